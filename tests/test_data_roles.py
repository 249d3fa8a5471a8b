"""Which column is the time where nobody said so: the one that can only be that, or a question."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from statecast.data import checks
from statecast.data.grid.roles import Roles
from statecast.data.tabular import table
from statecast.errors import DataError, SettingError

DAYS = pd.date_range("2024-01-01", periods=4)
Y = np.array([1.0, 2.0, 4.0, 8.0])


def fit(source: Any, **roles: Any) -> Any:
    read = table.read(source)
    panel, schema = checks.panel(read, Roles.of(**roles))
    return panel, schema, read.reasons


@pytest.mark.parametrize(
    "source",
    [
        pd.DataFrame({"day": DAYS, "y": Y}),
        pd.DataFrame({"day": DAYS.strftime("%Y-%m-%d"), "y": Y}),
        pd.DataFrame({"day": DAYS.to_period("D"), "y": Y}),
        pd.DataFrame({"y": Y}, index=DAYS.rename("day")),
        pd.DataFrame({"y": Y}, index=DAYS.to_period("D").rename("day")),
        pd.Series(Y, index=DAYS.rename("day"), name="y"),
        pl.DataFrame({"day": DAYS.date, "y": Y}),
        pl.DataFrame({"y": Y, "day": DAYS.to_numpy()}),
        pa.table({"day": DAYS.to_numpy(), "y": Y}),
        {"day": DAYS.to_numpy(), "y": Y},
        {"day": [date(2024, 1, n) for n in (1, 2, 3, 4)], "y": Y},
        {"day": ["31/12/2023", "1/1/2024", "2/1/2024", "3/1/2024"], "y": Y},
    ],
)
def test_the_only_column_of_dates_is_the_time(source: Any) -> None:
    panel, schema, reasons = fit(source)
    assert (schema.target, schema.time, schema.frequency.text) == (("y",), "day", "1d")
    assert panel.rows == 4
    assert (
        reasons["time"].endswith("'day' alone holds dates, so it is the time of the rows") or "index" in reasons["time"]
    )


@pytest.mark.parametrize("index", [DAYS, DAYS.to_period("D")])
def test_an_index_without_a_name_is_called_as_times_are(index: Any) -> None:
    for frame, name in (
        (pd.DataFrame({"y": Y}, index=index), "ds"),
        (pd.DataFrame({"y": Y, "ds": ["a", "b", "c", "d"]}, index=index), "time"),
        (pd.Series(Y, index=index), "ds"),
    ):
        _, schema, reasons = fit(frame)
        assert (schema.time, schema.frequency.text) == (name, "1d")
        assert reasons == {"time": "the index of the frame alone holds dates, so it is the time of the rows"}
    months = pd.PeriodIndex(["2024-01", "2024-02", "2024-03"], freq="M")
    assert fit(pd.DataFrame({"y": Y[:3]}, index=months))[1].frequency.text == "1mo"


def test_a_csv_file_and_columns_with_a_role(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("day,born,who,y\n2024-01-01,1999-01-01,a,1\n2024-01-02,1999-01-01,a,2\n")
    with pytest.raises(DataError, match=r"t\.csv: the columns 'day', 'born' hold dates.*pass time='…', or time=''"):
        fit(path)
    assert fit(path, time="day")[1].time == "day"
    assert fit(path, time="")[1].time is None
    path.write_text("day,y\n2024-01-01,1\n2024-01-02,2\n")
    assert fit(path)[1].time == "day"


def test_what_is_no_date_is_no_time() -> None:
    for column in (np.arange(4), Y, ["a", "b", "c", "d"], ["2024-01-01", "x", "y", "z"], [None] * 4, ["7"] * 4):
        _, schema, reasons = fit({"other": column, "y": Y}, target="y")
        assert schema.time is None
        assert reasons == {}


def test_a_time_that_was_found_by_looking_can_be_left_out() -> None:
    frame = pd.DataFrame({"born": [DAYS[0]] * 4, "y": Y})
    with pytest.raises(DataError, match=r"two rows for 2024-01-01.*'born' alone holds dates.* pass time='' to count"):
        fit(frame)
    assert fit(frame, time="")[1].time is None
    with pytest.raises(DataError, match=r"two rows for 2024-01-01") as error:
        fit(frame, time="born")
    assert "alone holds dates" not in str(error.value)


def test_a_name_is_a_text() -> None:
    """A frame made of an array labels its columns with numbers."""
    frame = pd.DataFrame(Y)
    with pytest.raises(SettingError, match="target = 0: expected a string: a column that is labelled 0 is named '0'"):
        fit(frame, target=0)
    with pytest.raises(SettingError, match=r"past = 1\.5: expected a string$"):
        fit(frame, target="0", past=[1.5])
    with pytest.raises(SettingError, match="id = 3: expected a string"):
        fit(frame, target="0", id=3)
    assert fit(frame, target="0")[1].target == ("0",)
