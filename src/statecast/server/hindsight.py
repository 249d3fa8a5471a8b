"""What was forecast of a series before its values came, and what the network did meanwhile.

A server keeps the rows of a series and its state, not the forecasts that it made on the way: they would take more room
than all the rest, and they follow from the rows. So whoever looks at a series has its rows observed once more, by a
stream like the one that observed them first: where the rows reach back to the first one, the forecasts are the same
bits; otherwise the replay begins earlier than what is shown, and differs by what a state remembers from before that.
The streams of the series that were looked at last are kept, so that a series that is watched costs its new rows alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.forecast import explain, wire
from statecast.forecast.answer import Forecast
from statecast.forecast.observation import Features
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.model.trained import Model
from statecast.server import selection
from statecast.server.batch import Batch, Id

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

WARM = 250  # rows that are observed before the first that is shown, where there are so many
STREAMS = 16  # that are kept
LONGEST = 1000  # rows that are kept with each


@dataclass(frozen=True, eq=False)
class Lookback:
    """Past rows of one series, oldest first, and what had been forecast of each when the row before it had come.

    Attributes:
        times: [n] as `Panel.time` has them.
        values: [n, D].
        predicted: [n, D] NaN where nothing was forecast.
        lower, upper: [n, D] bounds by level, likewise.
        scores: [n, D] normal scores, see `Forecast.score`.
        unusual: [n, D] see `Forecast.unusual`.
    """

    times: Int64[np.ndarray, " n"]
    values: Float64[np.ndarray, "n D"]
    predicted: Float64[np.ndarray, "n D"]
    lower: dict[float, Float64[np.ndarray, "n D"]]
    upper: dict[float, Float64[np.ndarray, "n D"]]
    scores: Float64[np.ndarray, "n D"]
    unusual: Bool[np.ndarray, "n D"]


class Hindsight:
    """Looks back at the series of a server.

    Args:
        model: the server's; what its own state remembers is left out.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._replays: OrderedDict[Id, _Replay] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, limit: int) -> int:
        """How many rows of a series are needed to look back at `limit` of them."""
        return limit + max(WARM, self._model.network.front.ring)

    def look(self, id: Id, rows: Batch, limit: int) -> Lookback:
        """The last rows of a series, and what was forecast of them.

        Args:
            id: the series.
            rows: its last ones, oldest first, as many as `rows` asks for; no others.
            limit: how many to show.
        """
        with self._lock:
            replay = self._replays.pop(id, None)
            if replay is None or not replay.continues(rows):
                replay = _Replay(self._model, id)
            replay.follow(rows)
            self._replays[id] = replay
            while len(self._replays) > STREAMS:
                self._replays.popitem(last=False)
            return replay.lookback(limit)

    def gates(self, id: Id, rows: Batch, limit: int) -> dict[str, Any]:
        """What the recurrent layers did over the last steps of a series, as an object.

        Args:
            id: the series.
            rows: its last ones, oldest first.
            limit: steps to show; twice as many are run over.

        Returns:
            times: of the steps. layers: name, such as "0.forget", and values [steps, units], of each gate and output;
            empty where there is no recurrent layer. heard: whether any forecast depends on them.
        """
        table = panel_of(self._model, id, rows, 2 * limit) if len(rows.times) else None
        activity = None if table is None else explain.activity(self._model, table, limit)
        if activity is None:
            return {"times": [], "layers": [], "heard": False}
        layers = [{"name": name, "values": np.round(values, 3).tolist()} for name, values in activity.gates.items()]
        return {"times": wire.times(activity.time, self._model.schema), "layers": layers, "heard": activity.heard}


class _Replay:
    """A stream of one series, its rows, and the forecast that was made after each."""

    def __init__(self, model: Model, id: Id) -> None:
        self._model, self._id = model, id
        self._stream = Stream(model, State.empty(model.layout, model.dtype))
        self._times: deque[int] = deque(maxlen=LONGEST)
        self._values: deque[Float64[np.ndarray, " D"]] = deque(maxlen=LONGEST)
        self._forecasts: deque[Forecast] = deque(maxlen=LONGEST)

    def continues(self, rows: Batch) -> bool:
        """Whether the last row that was observed is among these, so that what follows it is all that is new."""
        if not self._times:
            return False
        place = np.flatnonzero(rows.times == self._times[-1])
        return len(place) == 1 and np.array_equal(rows.values[place[0]], self._values[-1], equal_nan=True)

    def follow(self, rows: Batch) -> None:
        """Observe the rows that are new."""
        after = self._times[-1] if self._times else np.iinfo(np.int64).min
        for n in np.flatnonzero(rows.times > after).tolist():
            row, static = slice(n, n + 1), None
            if rows.static is not None and rows.restated is not None and n in rows.restated:
                static = Features(rows.static[np.flatnonzero(rows.restated == n)])
            past = None if rows.past is None else Features(rows.past[row])
            known = None if rows.known is None else Features(_blocks(self._model, rows)[row])
            forecast = self._stream.observe_many([self._id], rows.values[row], rows.times[row], past, known, static)
            self._times.append(int(rows.times[n]))
            self._values.append(rows.values[n])
            self._forecasts.append(forecast)

    def lookback(self, limit: int) -> Lookback:
        times, shape = np.array(self._times, np.int64), (len(self._times), len(self._model.schema.target))
        values = np.array(self._values, np.float64).reshape(shape)
        predicted, scores, unusual = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool)
        levels = self._model.config.levels
        lower, upper = ({level: np.full(shape, np.nan) for level in levels} for _ in range(2))
        if len(times):
            after = selection.joined(list(self._forecasts))
            scores, unusual = after.score, after.unusual
            steps = self._model.schema.frequency.steps_between(times[:-1], times[1:])
            some = np.flatnonzero(steps <= after.horizon)  # of a value further away, nothing was forecast
            at = some, steps[some] - 1
            predicted[some + 1] = after.values[at]
            for level in levels:
                lower[level][some + 1], upper[level][some + 1] = after.lower[level][at], after.upper[level][at]
        last = slice(max(len(times) - limit, 0), None)
        lower, upper = ({level: part[last] for level, part in bounds.items()} for bounds in (lower, upper))
        return Lookback(times[last], values[last], predicted[last], lower, upper, scores[last], unusual[last])


def _blocks(model: Model, rows: Batch) -> Float64[np.ndarray, "n h K"]:
    """Covariates known ahead: of each row's own step, and of the next H."""
    assert rows.known is not None
    return rows.known.reshape(len(rows.known), model.network.head.horizon + 1, -1)


def panel_of(model: Model, id: Id, rows: Batch, most: int) -> Panel:
    """The last steps of a series as a table: what is missing between its rows is NaN.

    Args:
        model: the model.
        id: the series.
        rows: its rows, one at least, oldest first.
        most: steps at most.
    """
    step, front = model.schema.frequency, model.network.front
    back = step.steps_between(rows.times, np.full(len(rows.times), rows.times[-1]))  # steps before the last row
    rows_kept = np.flatnonzero(back < most)
    count = int(back[rows_kept[0]]) + 1
    places = count - 1 - back[rows_kept]
    first = int(rows.times[rows_kept[0]])

    def spread(columns: Any, width: int) -> Float64[np.ndarray, "steps width"]:
        table = np.full((count, width), np.nan)
        if columns is not None:
            table[places] = columns[rows_kept]
        return table

    blocks = None if rows.known is None else _blocks(model, rows)
    ahead = np.zeros((0, front.known)) if blocks is None else blocks[-1, 1:]
    static = np.full((1, front.static), np.nan) if rows.static is None else rows.static[-1:]
    return Panel(
        spread(rows.values, rows.values.shape[1]),
        np.asarray(step.advance(first, np.arange(count))),
        np.array([0, count]),
        (id,),
        spread(rows.past, len(model.schema.past_features)),
        spread(None if blocks is None else blocks[:, 0], len(model.schema.known_features)),
        static,
        ahead,
        np.array([0, len(ahead)]),
    )
