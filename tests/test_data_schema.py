from __future__ import annotations

import json

import pytest

from statecast.data.calendar import Frequency
from statecast.data.schema import Covariate, Schema
from statecast.errors import ModelFileError

FULL = Schema(
    target=("load", "price"),
    id="site",
    time="hour",
    id_kind="integer",
    time_kind="datetime",
    tz="Europe/Berlin",
    frequency=Frequency.parse("15m"),
    past=(Covariate("temperature"), Covariate("wind", "categorical", ("NE", "SW"))),
    known=(Covariate("holiday", "categorical", ("false", "true")),),
    static=(Covariate("area"),),
)


@pytest.mark.parametrize("schema", [FULL, Schema(("y",))])
def test_json_both_ways(schema: Schema) -> None:
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_names() -> None:
    assert FULL.past_features == ("temperature", "wind=NE", "wind=SW")
    assert FULL.known_features == ("holiday=false", "holiday=true")
    assert FULL.static_features == ("area",)
    assert FULL.columns == ("site", "hour", "load", "price", "temperature", "wind", "holiday", "area")
    assert (FULL.id_column, FULL.time_column) == ("site", "hour")
    assert (Schema(("y",)).id_column, Schema(("y",)).time_column) == ("unique_id", "ds")


def test_output_ids() -> None:
    assert FULL.output_ids((7, 8)) == ("7/load", "7/price", "8/load", "8/price")
    assert Schema(("a", "b")).output_ids(("series",)) == ("a", "b")
    assert Schema(("a",), id="site").output_ids((7, 8)) == (7, 8)


@pytest.mark.parametrize(
    "damage",
    [
        {"target": "load"},
        {"target": [1]},
        {"time_kind": "moon"},
        {"frequency": "?"},
        {"past": [{}]},
        {"id": 3},
        {"tz": 1},
    ],
)
def test_damaged_json(damage: dict[str, object]) -> None:
    with pytest.raises(ModelFileError, match="schema of the columns is damaged"):
        Schema.from_json(FULL.to_json() | damage)
    with pytest.raises(ModelFileError, match="schema of the columns is damaged"):
        Schema.from_json({})
