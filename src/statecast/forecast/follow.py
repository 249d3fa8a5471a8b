"""What adaptation makes of a table: the intervals of every series, moved after each of its rows.

A stream moves its intervals step by step; over a table the same lines run, series side by side, on forecasts of the
watched steps ahead that one run of the network gives. So what an origin of the past is told here is what a stream would
have said there: it rests on values up to the origin alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.panel import Panel
from statecast.forecast import evaluate, steps
from statecast.forecast.roll import Origins, Scan
from statecast.model.inputs import Rows, transformed
from statecast.model.state import Layout
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def start(model: Model, numbers: Float[np.ndarray, "S 1"]) -> Float[np.ndarray, "S size"]:
    """The rows of the state of series that have seen nothing; see `inputs.numbers_of`."""
    data = np.zeros((len(numbers), model.layout.size), model.dtype)
    Layout.of(model.network.parts()).pack(model.network.start(model.p, len(data), data, numbers), data)
    return data


def followed(
    model: Model,
    panel: Panel,
    rows: Rows,
    data: Float[np.ndarray, "S size"],
    origins: Origins,
    scan: Scan | None = None,
) -> Origins:
    """Run through a table, whose series start from nothing.

    Args:
        model: the model.
        panel: the table, folded.
        rows: the same, prepared.
        data: the states, from `start`; they become those after each series' last row.
        origins: forecasts at some rows, in their order.
        scan: another execution of `Network.scan`.

    Returns:
        The origins with how far intervals were moved there.
    """
    adaptive = model.adaptive
    ends = np.zeros((len(data), model.own.start), model.dtype)
    if adaptive is None:
        evaluate.tested(model.network, model.p, rows, np.zeros(len(rows.y), bool), ends, scan)
        data[...] = ends
        return origins
    network, p = model.network.narrowed(model.p, adaptive.leads)
    seen = np.asarray(rows.m.any(axis=-1))
    said = evaluate.tested(network, p, rows, seen, ends, scan, adaptive.leads)
    data[:, : model.own.start] = ends
    said = replace(said, scale=np.where(_seen(rows)[said.rows] < model.network.front.ring, 0, said.scale))
    wanted = np.zeros(len(rows.y), bool)
    wanted[origins.rows] = True
    moved = _steps(model, panel, said, data, wanted)
    return replace(origins, moved=moved)


def _seen(rows: Rows) -> Float[np.ndarray, "R D"]:
    """How many values of its series were seen at each row, as the state counts them."""
    total = np.concatenate([np.zeros((1, rows.m.shape[1])), np.cumsum(rows.m, axis=0, dtype=np.float64)])
    return np.asarray(total[1:] - total[rows.offsets[:-1]][rows.series])


def _steps(
    model: Model, panel: Panel, said: Origins, data: Float[np.ndarray, "S size"], wanted: Bool[np.ndarray, " R"]
) -> Float[np.ndarray, "n K L D"]:
    """All series step by step: the moves at the wanted rows, in their order. `data` changes in place."""
    place = np.zeros(panel.rows, np.int64)  # of rows without a value any will do: it is not kept
    place[said.rows] = np.arange(len(said.rows))
    number = np.where(wanted, np.cumsum(wanted) - 1, -1)
    found = np.zeros((int(wanted.sum()), *model.layout.slices["moved"][1]), model.dtype)
    if model.follower is not None and len(said.rows):
        y = np.ascontiguousarray(transformed(model.constants, panel.y))
        values, scale = np.ascontiguousarray(said.values), np.ascontiguousarray(said.scale)
        for s, (begin, end) in enumerate(zip(panel.offsets[:-1], panel.offsets[1:], strict=True)):
            part = slice(begin, end)
            model.follower.through(data, s, y[part], place[part], values, scale, number[part], found)
        return found
    order = np.argsort(-panel.lengths, kind="stable")  # the series that still have a row stand first
    begins, lengths = panel.offsets[:-1][order], panel.lengths[order]
    for t in range(int(lengths.max(initial=0)) if len(said.rows) else 0):
        count = int(np.searchsorted(-lengths, -t, side="left"))
        at = begins[:count] + t
        n = place[at]
        moved = steps.adapted(model, data, panel.y[at], said.values[n], said.scale[n], order[:count])
        asked = wanted[at]
        if asked.any():
            found[number[at[asked]]] = moved[asked]
    return found
