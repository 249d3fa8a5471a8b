"""Forecasts of a network that was only ever trained on windows: each from a fresh state over its last n rows.

Such a network has never met the state that more than n rows leave behind, so it must not be handed one. The statistics
of the front depend on the data alone and come from one pass over the rows; the windows are gathered by row numbers, a
bounded batch at a time, so memory does not grow with rows times window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.forecast.hindcast.origins import Origins
from statecast.model.front import STATISTICS
from statecast.model.inputs import Rows
from statecast.model.network import Network

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

NUMBERS = 4_000_000  # numbers of the widest array of a batch


def tested(network: Network, p: Any, rows: Rows, mask: Bool[np.ndarray, " R"], size: int) -> Origins:
    """The forecasts at some of the rows, each made from the initial state over its last `size` rows.

    Args:
        network: the network.
        p: weights and constants, in the precision of `rows`.
        rows: the panel, prepared.
        mask: which rows are origins.
        size: rows of a window; one that would reach before its series begins there instead.
    """
    at, d = np.flatnonzero(mask), network.front.targets
    numbers = statistics(network, p, rows)
    batch = max(1, NUMBERS // (size * _width(network)))
    values = np.zeros((len(at), network.head.horizon, d, network.head.width), rows.y.dtype)
    for begin in range(0, len(at), batch):
        part = slice(begin, begin + batch)
        values[part] = _last(network, p, rows, numbers, at[part], size)
    statistics_at = {name: numbers[name][at] for name in STATISTICS}
    _, scale = network.front.level_scale(statistics_at, rows.rings(at, network.front.ring))
    return Origins(at, values, scale)


def statistics(network: Network, p: Any, rows: Rows) -> dict[str, np.ndarray]:
    """The front's statistics after every row, each [R, D]: one series after another, in the order of time."""
    numbers = {name: np.empty_like(rows.y) for name in STATISTICS}
    for begin, end in zip(rows.offsets[:-1], rows.offsets[1:], strict=True):
        if begin == end:
            continue
        y, m = rows.y[begin:end, None], rows.m[begin:end, None]
        start = network.front.start(p["constants"], rows.y, (1,))
        parts, _ = network.front.scan(p["constants"], y, m, np.zeros((end - begin, 1), bool), start)
        for name in STATISTICS:
            numbers[name][begin:end] = parts[name][:, 0]
    return numbers


def _last(
    network: Network, p: Any, rows: Rows, numbers: dict[str, np.ndarray], at: Int64[np.ndarray, " B"], size: int
) -> np.ndarray:
    """The forecasts [B, H, D, O] after the last step of each window."""
    index = at[None, :] - np.arange(size - 1, -1, -1)[:, None]
    first = at - rows.age[at]
    inside = np.maximum(index, first)
    # Rows before the series are the first row over and over; its last appearance resets what they left.
    reset = (index <= first) | (np.arange(size) == 0)[:, None]
    rings = rows.rings(inside, network.front.ring)
    level, scale = network.front.level_scale({name: numbers[name][inside] for name in STATISTICS}, rings)
    here = {"level": level, "scale": scale, "since": numbers["since"][inside]}
    inputs = rows.at(inside, np.arange(1, network.head.horizon + 1)) | {"series": rows.numbers[rows.series[inside]]}
    if "future" in inputs:
        inputs["future"] = inputs["future"][-1:]
    cells = network.cells(p, len(at), rows.y, rows.numbers[rows.series[at]])
    forecasts, _ = network.segment(p, here, rings, cells, inputs, reset, None, np.array([size - 1]))
    return np.asarray(forecasts[-1])


def _width(network: Network) -> int:
    """Numbers that one step of one window needs at least."""
    front, head, stack = network.front, network.head, network.stack
    widths = [units * stack.equations.gates for units in stack.hidden] + list(stack.dense)
    return max(front.ring * front.targets, head.horizon * head.targets * head.width, *widths, 1)
