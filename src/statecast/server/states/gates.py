"""What the recurrent layers did over the last steps of a series, for whoever looks inside the network.

A server keeps no gates: they follow from the rows, so the model runs once more over those that it keeps of the series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.forecast import explain, wire
from statecast.model.trained import Model
from statecast.server.engine.receipts import History

if TYPE_CHECKING:
    from jaxtyping import Float64


def gates(model: Model, history: History, limit: int) -> dict[str, Any]:
    """The gates of the recurrent layers over the last steps of a series, as an object.

    Args:
        model: the model.
        history: rows of the series; the more there are before the steps that are shown, the nearer are the first of
            these to what was.
        limit: steps to show.

    Returns:
        times: of the steps. layers: the name, such as "0.forget", and the values [steps, units] of each gate and
        output; empty where there is no recurrent layer. heard: whether any forecast depends on them.
    """
    activity = explain.activity(model, panel_of(model, history, 2 * limit), limit) if len(history.times) else None
    if activity is None:
        return {"times": [], "layers": [], "heard": False}
    layers = [{"name": name, "values": np.round(values, 3).tolist()} for name, values in activity.gates.items()]
    return {"times": wire.times(activity.time, model.schema), "layers": layers, "heard": activity.heard}


def panel_of(model: Model, history: History, most: int) -> Panel:
    """The last steps of a series as a table: what is missing between its rows is NaN.

    Args:
        model: the model.
        history: one row at least.
        most: steps at most.
    """
    step, last = model.schema.frequency, history.times[-1]
    back = step.steps_between(history.times, np.full(len(history.times), last))  # steps before the last row
    rows = np.flatnonzero(back < most)
    count, first = int(back[rows[0]]) + 1, int(history.times[rows[0]])

    def laid(columns: Float64[np.ndarray, "rows n"]) -> Float64[np.ndarray, "steps n"]:
        steps = np.full((count, columns.shape[1]), np.nan)
        steps[count - 1 - back[rows]] = columns[rows]
        return steps

    y, past, known = map(laid, (history.values, history.past, history.known))
    time, ends = np.asarray(step.advance(first, np.arange(count))), np.array([0, 0])
    return Panel(y, time, np.array([0, count]), (history.id,), past, known, history.static[None], known[:0], ends)
