"""What is said of the names and shapes of a network's arrays is what the network makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from model_cases import HEADS, STRUCTURES, build, mapped

from statecast.config import Config
from statecast.model.cells import CELLS, Cell
from statecast.model.initial import Start
from statecast.model.network import Network
from statecast.model.shapes import Form, constants, described, leaves, weights
from statecast.model.stack import Stack


def network(**settings: Any) -> Network:
    counts = {name: settings.pop(name, 0) for name in ("past", "known", "calendar", "static", "series")}
    chosen = {"hidden": (4,), "lags": 2, "skip": 3, "normalize": "last", "missing": True, "level_input": False}
    return Network.of(Config(**{"horizon": 3, **chosen, **settings}), 2, **counts)


def same(of: Network, start: Start | None = None) -> None:
    heads = (start or Start()).heads
    assert leaves(weights(of, heads)) == leaves(mapped(np.shape, of.init(0, start)))
    assert constants(of) == mapped(np.shape, of.constants())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_under_every_head(cell: str, head: str) -> None:
    same(build(cell, head=head))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure(structure: str) -> None:
    same(build("gru", structure=structure))


@pytest.mark.parametrize("columns", [{}, {"past": 2}, {"calendar": 3}, {"static": 2}, {"known": 2, "calendar": 2}])
def test_covariates(columns: dict[str, int]) -> None:
    same(network(**columns))
    same(network(decoder="slstm", **columns))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "settings",
    [
        {"ensemble": 3},
        {"embedding": 2, "series": 5},
        {"embedding": 2, "ensemble": 2, "series": 5},
        {"local_skip": True, "series": 3},
        {"local_skip": True, "series": 3, "ensemble": 2},
        {"local_skip": True},  # of no series
        {"local": True, "series": 3},
        {"local": True, "series": 1},
        {"embedding": 2},  # of no series
        {"skip": 0, "ensemble": 2},
        {"hidden": (), "dense": (3,)},
        {"decoder": "lru", "ensemble": 2},
    ],
)
def test_several_networks(settings: dict[str, Any], cell: str) -> None:
    same(network(cell=cell, **settings))


@pytest.mark.parametrize("heads", [1, 2, 3, 100])
def test_heads_of_a_cell(heads: int) -> None:
    same(network(cell="slstm", hidden=(6, 4), decoder="slstm"), Start(heads=heads))


def test_a_cell_that_does_not_say_what_it_draws() -> None:
    entry = CELLS["lru"]
    quiet = Cell(**{**vars(entry), "name": "quiet", "further": None})
    assert entry.further is not None
    CELLS["quiet"] = quiet
    try:
        layers = Stack("quiet", 3, (4, 2), (), "relu", False)
        of = network()
        same(Network(of.front, layers, of.head))
    finally:
        del CELLS["quiet"]


def test_the_shapes_of_a_wide_layer_cost_nothing() -> None:
    """A hundred gigabytes, if they were allocated."""
    assert leaves(weights(network(cell="lru", hidden=(65_536,))))["stack/cells/0/C"] == (131_072, 131_072)


def test_a_form() -> None:
    form = Form((None, 3), np.dtype(np.float32))
    assert str(form) == "float32 [any, 3]"
    assert form.fits(np.zeros((0, 3), np.float32))
    assert form.fits(np.zeros((7, 3), np.float32))
    for other in (np.zeros((7, 3)), np.zeros((7, 2), np.float32), np.zeros((1, 7, 3), np.float32), np.zeros(3)):
        assert not form.fits(other)
    assert described(np.dtype(np.int8), ()) == "int8 []"
