from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from statecast.data import checks, examples
from statecast.data.grid.merging import Merging
from statecast.data.grid.roles import Roles
from statecast.data.tabular import table
from statecast.data.tabular.columns import Clock
from statecast.errors import SettingError

SHARED = Path(__file__).parents[2] / "shared" / "data"


def test_beijing_is_the_published_table() -> None:
    path = SHARED / "classic" / "pollution.csv"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    ours, theirs = table.read(examples.path("beijing_pm25")), table.read(path)
    assert ours.rows == theirs.rows == 43_824
    renamed = {"pm25": "pm2.5", "dew_point": "DEWP", "temperature": "TEMP", "pressure": "PRES", "wind_speed": "Iws"}
    for name, source in (renamed | {"snow_hours": "Is", "rain_hours": "Ir"}).items():
        np.testing.assert_array_equal(ours.column(name).values, theirs.column(source).values)
    columns = ours.column("wind_direction"), theirs.column("cbwd")
    winds = [np.array(column.labels)[column.values] for column in columns]
    np.testing.assert_array_equal(*winds)
    parts = [theirs.column(name).values for name in ("year", "month", "day", "hour")]
    times = [np.datetime64(f"{y}-{m:02}-{d:02}T{h:02}") for y, m, d, h in zip(*parts, strict=True)]
    np.testing.assert_array_equal(ours.column("time", Clock()).values, np.array(times, "M8[us]").astype(np.int64))


def test_traffic_is_the_published_table() -> None:
    path = SHARED / "traffic" / "Metro_Interstate_Traffic_Volume.csv"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    ours, theirs = table.read(examples.path("interstate_traffic")), table.read(path)
    assert ours.rows == theirs.rows == 48_204
    renamed = {"traffic": "traffic_volume", "temperature": "temp", "rain": "rain_1h", "snow": "snow_1h"}
    for name, source in (renamed | {"clouds": "clouds_all"}).items():
        np.testing.assert_array_equal(ours.column(name).values, theirs.column(source).values)
    for name, source in (("holiday", "holiday"), ("weather", "weather_main")):
        columns = ours.column(name), theirs.column(source)
        texts = [[None if n < 0 else c.labels[n] for n in c.values.tolist()] for c in columns]
        assert texts[0] == [None if text == "None" else text for text in texts[1]]
    np.testing.assert_array_equal(ours.column("time", Clock()).values, theirs.column("date_time", Clock()).values)


def test_traffic_as_a_panel_keeps_its_gaps() -> None:
    roles = Roles.of("traffic", time="time")
    merging = Merging(duplicates="first")
    panel, schema = checks.panel(table.read(examples.path("interstate_traffic")), roles, merging, "US-MN")
    assert (panel.rows, int(np.isnan(panel.y).sum()), schema.frequency.text) == (52_551, 11_976, "1h")
    assert schema.holidays


def test_beijing_as_a_panel() -> None:
    roles = Roles.of("pm25", time="time", past=["dew_point", "wind_direction", "wind_speed"])
    panel, schema = checks.panel(table.read(examples.load("beijing_pm25")), roles)
    assert panel.y.shape == (43_824, 1)
    assert int(np.isnan(panel.y).sum()) == 2067
    assert schema.frequency.text == "1h"
    assert schema.past_features[1:5] == tuple(f"wind_direction={name}" for name in ("NE", "NW", "SE", "cv"))


def test_air_passengers() -> None:
    panel, schema = checks.panel(table.read(examples.path("air_passengers")), Roles.of(time="month"))
    assert (panel.y[0, 0], panel.y[-1, 0], panel.rows) == (112, 432, 144)
    assert (schema.frequency.text, schema.time_kind, schema.target) == ("1mo", "date", ("passengers",))


def test_tables_ship_with_their_attribution() -> None:
    text = (examples.path("beijing_pm25").parent / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "10.24432/C5JS49" in text
    assert "10.24432/C5X60B" in text
    assert text.count("CC BY 4.0") == 2
    for name in examples.NAMES:
        assert f"{name}.parquet" in text


def test_unknown_example() -> None:
    with pytest.raises(SettingError, match="there is no example 'beijing': did you mean 'beijing_pm25'"):
        examples.path("beijing")


def test_generators_are_seeded() -> None:
    for make in (examples.random_walk, lambda n, seed: examples.saw(n, noise=0.1, seed=seed), examples.sine):
        np.testing.assert_array_equal(make(50, seed=3), make(50, seed=3))
    assert (examples.random_walk(50, seed=3) != examples.random_walk(50, seed=4)).any()
    assert examples.sin_cos(10).shape == (10, 2)
    np.testing.assert_allclose(examples.x_sin(20)[10], np.sin(1.0))
    assert 0 <= examples.saw(100).min() <= examples.saw(100).max() < 1


def test_panel_example() -> None:
    columns = examples.panel(lengths=(30, 50))
    roles = Roles.of("load", "site", "hour", past="temperature", known="holiday", static="area")
    panel, schema = checks.panel(table.read(columns), roles)
    assert panel.ids == ("site-0", "site-1")
    assert (panel.lengths + np.diff(panel.ahead_offsets)).tolist() == [30, 50]
    assert panel.static[:, 0].tolist() == [10, 20]
    assert np.isnan(panel.y).any()
    assert schema.known_features == ("holiday=no", "holiday=yes")
