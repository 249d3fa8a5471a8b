"""Is a value unusual? Each is scored under the forecasts that were made for it before it came.

A stream remembers forecasts until their values arrive, for its intervals (`model.adaptive`), and so a score costs
nothing more. Three things are looked at: where the value lies by the latest forecast; where by all of them together,
the mean over the watched steps ahead, both as probabilities by how values lay in the table (`model.tails`); whether it
is a record of the series (`model.surprise`). The latest forecast tells of a value that stands out; older ones, which do
not know yet what has come since, of a series that has left its way; a record of what the series has never done. The
least probable of the three counts, at the price of having looked so often, and becomes a normal score. Of the false
alarms that are allowed records have the largest share, since they are the most telling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.schema import Schema
from statecast.data.values import described
from statecast.errors import SettingError
from statecast.forecast import channels, observation
from statecast.model import surprise, tails
from statecast.model.heads.special import normal_upper
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64

SHARES = (0.1, 0.8, 0.1)  # of the false alarms: by the latest forecast, of records, by all forecasts together


@dataclass(frozen=True)
class Notice:
    """Something that a person may want to know about.

    Attributes:
        id: the series.
        target: which of its values.
        time: of the row that raised it, as a number; see `Panel.time`.
        kind: "unusual" (a value), "drift" (the series has changed) or "missing" (it has been silent for too long).
        score: of the value; NaN where there is none.
        since: when it began.
        change: what the series has become, one of `surprise.BETS`; empty for other kinds.

    Example:
        >>> notice = model.stream().observe("passengers", 4500.0).alarms()[0]
        >>> notice.id, notice.kind, notice.score > 4
        ('passengers', 'unusual', True)
    """

    id: str | int
    target: str
    time: int
    kind: str
    score: float
    since: int
    change: str = ""


def learned(watch: Float[np.ndarray, "N W D"]) -> Float64[np.ndarray, "P 2 D"]:
    """How the positions of values are distributed, from what `Adaptive` tells of the rows of a table."""
    _, _, size = watch.shape
    scored = watch[:, 2] > 0
    columns = [[tails.learned(watch[scored[:, d], n, d]) for d in range(size)] for n in range(2)]
    return np.moveaxis(np.array(columns), -1, 0)


def scores(
    model: Model, watch: Float[np.ndarray, "N W D"] | None, shape: tuple[int, int]
) -> Float64[np.ndarray, "N D"]:
    """The normal scores of the last values of some rows of states; NaN where nothing was forecast of one.

    Args:
        model: whose states they are.
        watch: what `Adaptive` tells of them; None where the model does not watch.
        shape: of the result.
    """
    if watch is None or model.tails is None:
        return np.full(shape, np.nan)
    latest, together = (tails.scores(model.tails[:, n], watch[:, n]) for n in range(2))
    record = watch[:, 3].astype(np.float64)
    looks = [(tails.two_sided(latest), latest), (surprise.rate(record), record)]
    if model.network.head.horizon > 1:
        looks.append((tails.two_sided(together), together))
    probabilities = np.minimum(np.stack([probability for probability, _ in looks]), 1 - 1e-12)
    shares = np.array(SHARES[: len(looks)])[:, None, None] / sum(SHARES[: len(looks)])
    chances = -np.expm1(np.log1p(-probabilities) / shares)  # that one of the looks is as rare for its share (Šidák)
    rarest = chances.argmin(axis=0)[None]
    sign = np.take_along_axis(np.stack([side for _, side in looks]), rarest, axis=0)[0]
    chance = np.take_along_axis(chances, rarest, axis=0)[0]
    return np.where(watch[:, 2] > 0, np.copysign(normal_upper(chance / 2), sign), np.nan)


def changes(
    model: Model, watch: Float[np.ndarray, "N W D"] | None, shape: tuple[int, int]
) -> Int64[np.ndarray, "N 2 D"]:
    """Which bet on a change was won with the last values, 1 to 4 and 0 for none, and over how many steps."""
    if watch is None:
        return np.zeros((shape[0], 2, shape[1]), np.int64)
    return watch[:, 4:6].astype(np.int64)


def overdue(model: Model, state: State, steps: int, now: Any = None) -> list[Notice]:
    """An alarm for each target of a series that has had no value for more than so many steps.

    Args:
        model: whose state it is.
        state: of the series.
        steps: how many may pass.
        now: the time to judge by, in any form that a row's time has; that of the latest row if None.

    Raises:
        DataError: `now` is not a time.
        SettingError: `steps` is not a whole number of at least 1.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise SettingError(f"steps = {described(steps)}: expected a whole number of steps, at least 1")
    schema, ids = model.schema, channels.series_ids(model, state.ids)
    last = channels.last_times(model, state)
    some = last != UNSEEN
    if not some.any():
        return []
    time = int(last.max()) if now is None else observation.time(now, schema)
    silent = channels.join(model, state.layout.unpack(state.data)["since"][:, None])[:, 0].astype(np.int64)
    late = np.maximum(schema.frequency.steps_between(np.where(some, last, time), time), 0)[:, None] + silent
    return [
        Notice(
            ids[s], schema.target[d], time, "missing", np.nan, _first_missing(schema, int(last[s]), int(silent[s, d]))
        )
        for s, d in zip(*np.nonzero((late > steps) & some[:, None]), strict=True)
    ]


def _first_missing(schema: Schema, last: int, silent: int) -> int:
    return int(schema.frequency.advance(last, 1 - silent))


def unusual(model: Model, score: Float64[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Whether values with these scores are less usual than the setting `false_alarms` allows; not where NaN."""
    bound = normal_upper(np.array(model.config.false_alarms / 2))
    return np.asarray(np.abs(score) > bound)
