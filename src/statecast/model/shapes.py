"""The names and shapes of a network's arrays, and their formats on disk: said here, once.

`Network.init` and `Network.constants` make arrays of these shapes, `archive` refuses a file whose arrays differ, and
the native kernel takes no others. Nothing is allocated here, so a file's claims can be compared with what it holds
before anything is believed. Trees of shapes are like the trees of arrays: dicts of dicts, with tuples as leaves.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from statecast.config import Settings
from statecast.model import tails
from statecast.model.adaptive import GRID
from statecast.model.cells import Cell
from statecast.model.heads.decoder import STEP_UNITS, UNITS, Decoder
from statecast.model.heads.head import FUTURE_UNITS, Head
from statecast.model.initial import Start
from statecast.model.network import Network
from statecast.model.sequences.reader import SequenceReader
from statecast.model.stack import Stack
from statecast.model.state import Layout

Shapes = dict[str, Any]  # a tree of shapes

LIMITS = ("ceiling", "low", "high")  # of the constants below, those that files of before do not have
TABLE_UNITS = ("least", "origin", "floor", "unit", *LIMITS)
"""Constants that lead from the table's units to working units: float64 whatever the network's precision."""


class Form(NamedTuple):
    """What an array of a model is: its shape, with None along an axis of any length, and its format."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]

    def fits(self, array: np.ndarray) -> bool:
        """Whether an array is of this form."""
        sizes = zip(array.shape, self.shape, strict=False)
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(size in (fixed, size if fixed is None else fixed) for size, fixed in sizes)
        )

    def __str__(self) -> str:
        return described(self.dtype, self.shape)


def described(dtype: Any, shape: tuple[int | None, ...]) -> str:
    """A format and a shape for people, such as "float32 [3, any]"."""
    return f"{dtype} [{', '.join('any' if size is None else str(size) for size in shape)}]"


def weights(network: Network, heads: int = Settings.cell_heads) -> Shapes:
    """Of every weight, in the tree that `Network.init` makes.

    Args:
        network: the network.
        heads: the setting `cell_heads`, which block-diagonal cells are drawn by.
    """
    front, horizon = network.front, network.head.horizon
    tree: Shapes = {
        "stack": _stack(network.stack, heads),
        "head": _head(network.head, heads),
        "skip": {"W": (front.targets, front.skip, horizon)} if front.skip else {},
    }
    if front.embedding:
        tree["series"] = {"E": (network.series, front.embedding)}
    return _several(tree, network.members.axis) if network.members.axis else tree


def constants(network: Network) -> dict[str, tuple[int, ...]]:
    """Of every constant, as `Network.constants` makes them."""
    front = network.front
    each = (*TABLE_UNITS, "level", "spread", "deviation", "ring_gain")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(each, (front.targets,))
    shapes["output_gain"] = (network.head.horizon, front.targets)
    for name in ("past", "known", "static"):
        shapes |= {f"{name}_{moment}": (getattr(front, name),) for moment in ("mean", "scale")}
    if front.local_skip:
        shapes["maps"] = (network.series, front.targets, network.head.horizon, front.skip)
    return shapes


def answers(reader: SequenceReader, heads: int, ensemble: int) -> Shapes:
    """Of every weight of an ensemble of readers, in the tree that `SequenceReader.init` makes; see `weights`."""
    tree: Shapes = {"forwards": _stack(reader.recurrent, heads), "dense": _stack(reader.dense, heads)}
    tree["out"] = _dense(reader.dense.outputs, reader.answers)
    if reader.bidirectional:
        tree["backwards"] = _stack(reader.recurrent, heads)
    return dict(_several(tree, ensemble))


def convolutions(inputs: int, answers: int) -> dict[str, Form]:
    """Of the arrays of a map that reads convolutions; there may be any number of these, the same everywhere."""
    exact, single = np.dtype(np.float64), np.dtype(np.float32)
    spacing, channels = Form((None,), np.dtype(np.int64)), Form((None, inputs), np.dtype(bool))
    maps = {"W": Form((None, answers), exact), "b": Form((answers,), exact)}
    return {"spacing": spacing, "channels": channels, "threshold": Form((None, None), single)} | maps


def forms(network: Network, layout: Layout, dtype: Any, heads: int) -> dict[str, Any]:
    """Of every array of a model, by its path in the model's file; an empty dict stands for a branch without arrays.

    Args:
        network: the network.
        layout: of the states, those of the intervals among them.
        dtype: the format that the network runs in.
        heads: see `weights`.
    """
    dtype, exact, horizon, targets = np.dtype(dtype), np.dtype(np.float64), network.head.horizon, network.front.targets
    tree: dict[str, Any] = {
        f"weights/{path}": {} if shape == {} else Form(shape, dtype)
        for path, shape in leaves(weights(network, heads)).items()
    }
    for name, shape in constants(network).items():
        tree[f"constants/{name}"] = Form(shape, exact if name in TABLE_UNITS else dtype)
    tree["state/data"] = Form((None, layout.size), dtype)
    tree["state/time"] = Form((None,), np.dtype(np.int64))
    tree |= {f"training/{name}": Form((None,), np.dtype(np.int64)) for name in ("first", "train", "val")}
    tree["residuals"] = Form((len(GRID), horizon, targets), exact)
    tree["typical"] = Form((horizon, targets), exact)
    tree["phases"] = Form((None, targets), exact)
    tree["tails"] = Form((tails.NUMBERS, 2, targets), exact)
    tree["paths"] = Form((None, horizon, targets), np.dtype(np.float32))
    return tree


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a tree by their paths, such as "head/out/W"; a dict that holds nothing is a leaf as well."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        flat |= leaves(value, f"{path}/") if isinstance(value, dict) and value else {path: value}
    return flat


def _several(tree: Any, count: int) -> Any:
    """Shapes with an axis more in front."""
    if isinstance(tree, dict):
        return {name: _several(value, count) for name, value in tree.items()}
    return (count, *tree)


def _stack(stack: Stack, heads: int) -> Shapes:
    widths = (stack.inputs, *stack.hidden)
    cells = {str(n): cell(stack.equations, widths[n], units, heads) for n, units in enumerate(stack.hidden)}
    widths = (widths[-1], *stack.dense)
    return {"cells": cells, "dense": {str(n): _dense(widths[n], units) for n, units in enumerate(stack.dense)}}


def _head(head: Head, heads: int) -> Shapes:
    numbers = head.targets * head.width
    if head.decoding:
        return _decoder(head.decoding, heads)
    tree: Shapes = {"out": _dense(head.inputs, head.horizon * numbers)}
    if head.future:
        tree["state"] = _dense(head.inputs, FUTURE_UNITS)
        tree |= {"known": {"W": (head.future, FUTURE_UNITS)}, "step": {"e": (head.horizon, FUTURE_UNITS)}}
        tree["mix"] = {"W": (FUTURE_UNITS, numbers)}
    return tree


def _decoder(decoder: Decoder, heads: int) -> Shapes:
    equations = decoder.equations
    learned = [part for part in equations.states if part not in equations.fixed]
    return {
        "decoder": cell(equations, decoder.future + STEP_UNITS, UNITS, heads),
        "begin": {part: _dense(decoder.inputs, UNITS) for part in learned},
        "step": {"e": (decoder.horizon, STEP_UNITS)},
        "out": {"W": (UNITS, decoder.numbers), "b": (decoder.horizon * decoder.numbers,)},
    }


def _dense(inputs: int, units: int) -> Shapes:
    return {"W": (inputs, units), "b": (units,)}


def cell(of: Cell, inputs: int, units: int, heads: int) -> Shapes:
    """Of one recurrent layer; `Cell.init` draws it."""
    tree: Shapes = {"W": (inputs, of.gates * units), "b": (of.gates * units,)}
    if of.recurrent:
        blocks = math.gcd(heads, units) if of.heads else 1
        matrix = units // blocks, of.recurrent * units // blocks
        tree["U"] = (blocks, *matrix) if of.heads else matrix
    tree |= _further(of, units)
    return tree | {f"init_{part}": (units,) for part in of.states if part not in of.fixed}


def _further(of: Cell, units: int) -> Shapes:
    """What the cell draws beside W, U and b: as it says, or else as it does."""
    if of.further is not None:
        return dict(of.further(units))
    return {name: array.shape for name, array in of.draw(np.random.default_rng(0), units, Start()).items()}
