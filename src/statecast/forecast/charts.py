"""From forecasts to charts: each target of each series, after the values before it.

The values come from a table, where there is one, or from what a state remembers, its ring of the last values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.display import html
from statecast.display.chart import Chart, Curve
from statecast.display.numbers import number
from statecast.errors import UnknownSeries, nearest
from statecast.forecast import channels
from statecast.model.inputs import from_working
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

Id = str | int
Past = Mapping[Id, "tuple[Int64[np.ndarray, ' n'], Float64[np.ndarray, 'n D']]"]  # times and values of each series
LISTED = 8  # series of a stream that a notebook lists
STEP_NAMES = {
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
    "m": "minute",
    "s": "second",
    "B": "business day",
    "C": "business day",
}
"""One step of time in the singular, by the unit of the frequency."""
LEAST = 24  # rows that are shown before a forecast, where there are so many


def step_name(schema: Schema) -> str:
    """What one step of time is called, in the singular, such as "hour"; "step" where it is none of these alone."""
    text = schema.frequency.text
    one = text[:2] in ("1h", "1d", "1w", "1m", "1q", "1y", "B", "C")
    return STEP_NAMES.get(text.lstrip("0123456789"), "step") if one else "step"


def length(model: Model) -> int:
    """Rows that are shown before a forecast: some horizons, and some seasons."""
    from statecast.forecast.scores.evaluate import season_of  # here, as a stream should not wait for scores to load

    return max(3 * model.config.horizon, 4 * season_of(model), LEAST)


def tails(model: Model, panel: Panel, ids: Sequence[Id] | None = None) -> Past:
    """The last rows of each series of a table."""
    some = set(panel.ids if ids is None else ids)
    spans = {name: panel.span(s) for s, name in enumerate(panel.ids) if name in some}
    rows = {name: slice(max(span.start, span.stop - length(model)), span.stop) for name, span in spans.items()}
    return {name: (panel.time[part], panel.y[part]) for name, part in rows.items()}


def remembered(model: Model, state: State, ids: Sequence[Id]) -> Past:
    """The last values that a state remembers of some of its series, as far as the network looks back."""
    part = state.gather(channels.row_ids(model, ids))
    parts = part.layout.unpack(part.data)
    held = parts["held"] > 0
    values = from_working(model.constants, parts["ring"][..., None])[..., 0]
    joined = channels.join(model, np.where(held, values, np.nan))[:, -length(model) :]
    back = np.arange(1 - joined.shape[1], 1)
    last = channels.last_times(model, part)
    step = model.schema.frequency
    return {
        name: (np.asarray(step.advance(int(last[s]), back), np.int64), joined[s])
        for s, name in enumerate(ids)
        if last[s] != UNSEEN
    }


def chart(schema: Schema, d: int, name: Id, past: Past, curves: tuple[Curve, ...], alone: bool) -> Chart:
    """The chart of target d of a series.

    Args:
        schema: what the columns are.
        d: number of the target.
        name: of the series.
        past: values before the forecasts; none of the series' where they are not known.
        curves: the forecasts.
        alone: whether it is the only series, whose name then says nothing.
    """
    time, values = past.get(name, (np.zeros(0, np.int64), np.zeros((0, len(schema.target)))))
    shown = stamps(schema, time)
    return Chart(schema.target[d], shown, values[:, d], curves, "" if alone else str(name), tuple(shown[-1:]))


def stamps(schema: Schema, time: Int64[np.ndarray, " n"]) -> Any:
    """Times as pictures show them: datetime64, or whole numbers."""
    return calendar.to_datetime64(time, schema.time_kind, schema.frequency, schema.tz)


def chosen(ids: Sequence[Id], series: Id | Sequence[Id] | None) -> list[int]:
    """The places of the series that the user names among `ids`; all if None.

    Raises:
        UnknownSeries: there is no such series.
    """
    if series is None:
        return list(range(len(ids)))
    names = [series] if isinstance(series, (str, int)) else list(series)
    index = {name: number for number, name in enumerate(ids)}
    for name in names:
        if name not in index:
            raise UnknownSeries(f"there is no series {name!r} here; {nearest(name, ids)}")
    return [index[name] for name in names]


def remembered_card(model: Model, state: State, count: int, title: str) -> str:
    """What a notebook shows of a stream: its first series with their last time and values, and pictures of these.

    Args:
        model: the model.
        state: of the first series.
        count: series in all.
        title: of the card, as plain text.
    """
    ids, schema = channels.series_ids(model, state.ids), model.schema
    past = remembered(model, state, ids)
    pictures = [chart(schema, d, name, past, (), schema.id is None) for name in past for d in range(len(schema.target))]
    rows = []
    for name in ids:
        if name not in past:
            rows.append([str(name), "none yet", *[""] * len(schema.target)])
            continue
        time, values = past[name]
        last = str(stamps(schema, time[-1:])[0]).replace("T", " ").removesuffix(".000000")
        rows.append([str(name), last, *(number(v) if np.isfinite(v) else "missing" for v in values[-1])])
    table = html.html_table(["series", "last row", *schema.target], rows) if rows else ""
    more = html.paragraphs([f"and {count - len(ids):,} series more"] if count > len(ids) else [])
    return html.card(title.strip("<>"), html.sketches(pictures), table, more)
