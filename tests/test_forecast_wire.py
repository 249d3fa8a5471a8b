"""Rows and forecasts as objects: names, times that do not depend on their company, several targets, missing columns."""

from __future__ import annotations

from typing import Any

import forecast_cases as cases
import pytest

from statecast import Stream
from statecast.errors import DataError
from statecast.forecast import wire

START = "2024-01-02 23:00:00"


def observed(**settings: Any) -> Any:
    stream = Stream(cases.model(**settings))
    return stream, stream.observe_many(["a", "b"], [[1.0] * stream.model.network.head.targets] * 2, START)


def test_a_document_holds_times_values_and_bounds() -> None:
    stream, forecast = observed()
    first, second = wire.documents(forecast)
    assert list(first) == [
        "id", "time", "times", "statecast",
        "statecast-lo-80", "statecast-hi-80", "statecast-lo-95", "statecast-hi-95", "score", "unusual",
    ]  # fmt: skip
    assert (first["id"], second["id"], first["time"]) == ("a", "b", START)
    assert first["times"] == ["2024-01-03 00:00:00", "2024-01-03 01:00:00", "2024-01-03 02:00:00"]
    assert second["statecast-hi-95"] == forecast.upper[95][1, :, 0].tolist()
    assert wire.documents(forecast, bounds=False)[0] == {name: part for name, part in first.items() if "-" not in name}
    assert wire.document(stream.observe("a", 2.0))["time"] == "2024-01-03 00:00:00"


def test_several_targets_are_told_by_name() -> None:
    stream, forecast = observed(targets=2)
    both = [wire.documents(forecast)[0], wire.document(stream.take(["a"]).observe("a", [2.0, 3.0]))]
    assert [list(document["statecast-lo-80"]) for document in both] == [["y0", "y1"]] * 2
    assert both[0]["statecast"]["y1"] == forecast.values[0, :, 1].tolist()


@pytest.mark.parametrize(
    ("settings", "time", "text"),
    [
        ({}, "2024-01-02 00:00:00", "2024-01-02 00:00:00"),
        ({}, "2024-01-02 00:00:00.5", "2024-01-02 00:00:00.500000"),
        ({"freq": "1d"}, "2024-01-02", "2024-01-02"),
        ({"freq": "1d", "time_kind": "date"}, "2024-01-02", "2024-01-02"),
        ({"tz": "Europe/Madrid"}, "2024-01-02 00:00:00Z", "2024-01-02 00:00:00Z"),
        ({"freq": "1", "time_kind": "integer"}, 7, 7),
    ],
)
def test_a_time_is_written_as_its_kind_and_in_no_other_way_beside_others(
    settings: dict[str, Any], time: Any, text: Any
) -> None:
    stream = Stream(cases.model(**settings))
    later = 12 if settings.get("time_kind") == "integer" else "2024-03-01 05:00:01" + ("Z" if "tz" in settings else "")
    alone = wire.document(stream.observe("a", 1.0, time))
    beside = wire.documents(Stream(stream.model).observe_many(["b", "a"], [1.0, 1.0], [later, time]))
    assert alone["time"] == text
    assert alone["times"] == beside[1]["times"]
    assert beside[1]["time"] == text


def test_a_row_has_every_column_but_static_ones() -> None:
    schema = cases.model(covariates=True).schema
    record = {"site": " 7 ", "hour": START, "load": None, "wind": 1, "heat": [1, 2], "open": "no", "x": 1}
    row = wire.live_row(record, schema)
    assert (row.id, row.time, row.value, row.past, row.static) == ("7", START, {"load": None}, {"wind": 1}, None)
    assert row.known == {"heat": [1, 2], "open": ["no"]}
    assert wire.live_row(record | {"area": 3}, schema).static == {"area": 3}
    for name in wire.required(schema):
        with pytest.raises(DataError, match=f"there is no column '{name}'"):
            wire.live_row({key: value for key, value in record.items() if key != name}, schema)
