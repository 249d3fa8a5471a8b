"""From a model and its forecasts of the test rows to the `Report` that pictures, page and terminal show.

Everything in a report is in the units of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from statecast.config import Config, Settings, chosen_from_data, describe_settings
from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.display.chart import Chart, Curve
from statecast.errors import DataError
from statecast.forecast import channels, charts, observation, residuals
from statecast.forecast.breakdown import Breakdown, of_table
from statecast.forecast.calibrate import Spread
from statecast.forecast.explain import explain
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.predict import forecast
from statecast.forecast.scores.evaluate import season_of
from statecast.model.inputs import from_working
from statecast.model.trained import Model
from statecast.report.summary import Facts, Layer, Report, Rolling, SettingChoice

if TYPE_CHECKING:
    from jaxtyping import Int64

PAIRS = 6  # (series, target) pairs in pictures


def report(
    title: str,
    model: Model,
    tested: Model,
    panel: Panel,
    split: Split,
    origins: Origins,
    reasons: Mapping[str, str],
    user_settings: Mapping[str, Any],
) -> Report:
    """Everything worth reporting about a fit.

    Args:
        title: of the page.
        model: with its scores.
        tested: the same before it learned from the rows that it was scored on.
        panel: the table as it came, one series a series.
        split: of the table.
        origins: forecasts at the test origins, as rows of the folded panel.
        reasons: why settings were chosen.
        user_settings: those that the user gave.
    """
    folded = channels.fold(model, panel)
    rows = [_TestRows(model, folded, split, origins, s, d) for s, d in _pairs(model, folded)]
    rows = [part for part in rows if len(part.at)]
    season = season_of(model)
    explanation = explain(tested, panel.cut(split.val), split.train)
    activity = explanation.activity if explanation else None
    return Report(
        title=title,
        facts=facts(model.schema, panel, split),
        evaluation=model.scores,
        settings=settings(model, reasons, user_settings),
        layers=layers(model),
        history={name: np.array(values, float) for name, values in model.history.items()},
        error_by_step=_error_by_step(model),
        examples=tuple(part.example() for part in rows),
        rolling=tuple(part.rolling() for part in rows),
        residuals=residuals.of_series(tested, panel, origins, PAIRS),
        future=_future(model, panel),
        values={target: panel.y[panel.span(0), d] for d, target in enumerate(model.schema.target[:PAIRS])},
        explanation=explanation,
        breakdown=_breakdown(model, panel),
        activity_time=_stamps(model.schema, activity.time) if activity else np.zeros(0),
        horizon=model.config.horizon,
        season=season,
        notes=(_refit_note(panel, split),) if tested is not model and model.config.refit else (),
    )


def _refit_note(panel: Panel, split: Split) -> str:
    """That another network forecasts than was scored."""
    rows = int((panel.lengths - split.train).sum())
    return (
        f"The network that forecasts has learned from all {panel.rows:,} rows; the scores are those of the network "
        f"before it learned from the last {rows:,}."
    )


def _error_by_step(model: Model) -> dict[str, dict[str, np.ndarray]]:
    """By target and forecast, where there were values to compare."""
    targets = model.scores.get("targets", {model.schema.target[0]: model.scores})
    return {
        target: {name: np.array(values, float) for name, values in scores["error_by_step"].items()}
        for target, scores in targets.items()
        if any(error is not None for error in scores.get("error_by_step", {}).get("statecast", ()))
    }


def facts(schema: Schema, panel: Panel, split: Split) -> Facts:
    """What the table holds."""
    times = [observation.shown(int(end), schema) for end in (panel.time.min(), panel.time.max())]
    test = panel.lengths - split.val
    return Facts(
        rows=panel.rows,
        series=panel.series,
        start=times[0] if schema.time else "",
        end=times[1] if schema.time else "",
        frequency=schema.frequency.text if schema.time else "",
        step=charts.step_name(schema),
        missing=float(np.isnan(panel.y).mean()),
        targets=schema.target,
        past=tuple(item.name for item in schema.past),
        known=tuple(item.name for item in schema.known),
        static=tuple(item.name for item in schema.static),
        train=int(split.train.sum()),
        validation=int((split.val - split.train).sum()),
        test=int(test.sum()),
    )


def settings(model: Model, reasons: Mapping[str, str], user_settings: Mapping[str, Any]) -> tuple[SettingChoice, ...]:
    """Every setting with where its value comes from."""
    return tuple(
        SettingChoice(name, getattr(model.config, name), origin(name, user_settings, reasons), reasons.get(name, ""))
        for name, *_ in describe_settings()
        if name in user_settings or name in reasons or getattr(model.config, name) is not None
    )


def origin(
    name: str, user_settings: Mapping[str, Any], reasons: Mapping[str, str], of: type[Settings] = Config
) -> Literal["given", "chosen", "default"]:
    """Where the value of a setting comes from: the user, the data, or nothing but the settings themselves.

    A reason alone says nothing of that: some are of a rule, and some tell what came of a default.
    """
    if name in user_settings:
        return "given"
    return "chosen" if name in reasons and name in chosen_from_data(of) else "default"


def layers(model: Model) -> tuple[Layer, ...]:
    """The parts of the network with their output for one step and their numbers of weights."""
    network, w = model.network, model.weights
    front, head = network.front, network.head
    parts = [Layer("front", f"{front.normalize} normaliser, {front.lags} lags", str(front.inputs), 0)]
    for n, units in enumerate(network.stack.hidden):
        parts.append(
            Layer(f"recurrent {n + 1}", network.stack.cell, str(units), weights_of(w["stack"]["cells"][str(n)]))
        )
    for n, units in enumerate(network.stack.dense):
        parts.append(
            Layer(f"dense {n + 1}", network.stack.activation, str(units), weights_of(w["stack"]["dense"][str(n)]))
        )
    kind = f"{len(head.quantiles)} quantiles" if head.quantiles else head.family or "point"
    kind += f", {head.decoder} decoder" if head.decoder else ""
    parts.append(Layer("head", kind, f"{head.horizon} x {head.targets}", weights_of(w["head"])))
    if front.skip:
        parts.append(
            Layer(
                "skip", f"linear, last {front.skip} values", f"{head.horizon} x {head.targets}", weights_of(w["skip"])
            )
        )
    if front.local_skip:
        kind = f"linear, one for each of {network.series:,} series"
        parts.append(Layer("maps", kind, f"{head.horizon} x {head.targets}", weights_of(model.constants["maps"])))
    if front.embedding:
        kind = f"a vector of each of {network.series:,} series"
        parts.insert(1, Layer("embedding", kind, str(front.embedding), weights_of(w["series"])))
    if network.members.axis:
        kind = f"one for each of {network.series:,} series" if network.members.local else "the mean of their forecasts"
        parts.append(Layer(f"{network.members.axis:,} networks", kind, f"{head.horizon} x {head.targets}", 0))
    return tuple(parts)


def weights_of(tree: Any) -> int:
    """How many numbers a tree of weights holds that training may change; a fixed initial state is none."""
    if isinstance(tree, Mapping):
        return sum(weights_of(value) for name, value in tree.items() if not name.startswith("init_") or np.any(value))
    return int(np.size(tree))


def _pairs(model: Model, folded: Panel) -> list[tuple[int, int]]:
    """The (network row, target) pairs to show, the first ones."""
    return [(s, d) for s in range(folded.series) for d in range(model.network.front.targets)][:PAIRS]


def _stamps(schema: Schema, time: Int64[np.ndarray, " n"]) -> Any:
    return calendar.to_datetime64(time, schema.time_kind, schema.frequency, schema.tz)


class _TestRows:
    """The test rows of one target of one series, and the forecasts of them."""

    def __init__(self, model: Model, folded: Panel, split: Split, origins: Origins, s: int, d: int) -> None:
        self.model, self.panel, self.d, self.horizon = model, folded, d, model.config.horizon
        ids, (series, target) = channels.series_ids(model, folded.ids), channels.place_of(model, s, d)
        self.span, self.target = folded.span(s), model.schema.target[target]
        self.series = str(ids[series]) if len(ids) > 1 else ""
        self.first = self.span.start + int(split.val[series]) - 1
        inside = np.flatnonzero((origins.rows >= self.first) & (origins.rows < self.span.stop))
        self.at = origins.rows[inside]
        point = origins.values[inside][..., model.network.head.middle, None]
        self.point = from_working(model.constants, point)[:, :, d, 0]
        self.origins = origins.at(inside)

    def _actual(self, rows: np.ndarray) -> np.ndarray:
        inside = np.clip(rows, 0, self.panel.rows - 1)
        return np.where(rows < self.span.stop, self.panel.y[inside, self.d], np.nan)

    def _time(self, rows: np.ndarray) -> Any:
        return _stamps(self.model.schema, self.panel.time[np.minimum(rows, self.span.stop - 1)])

    def example(self) -> Chart:
        """The last forecast of the test rows whose steps all lie in the table."""
        whole = np.flatnonzero(self.at + self.horizon < self.span.stop)
        n = int(whole[-1]) if len(whole) else 0
        row = int(self.at[n])
        ahead = row + np.arange(1, self.horizon + 1)
        back = np.arange(max(self.span.start, row - charts.length(self.model)), row + 1)
        keep = ahead < self.span.stop
        spread = Spread.of(self.model, self.origins.at(slice(n, n + 1)))
        bounds = {
            level: [part[0, :, self.d][keep] for part in spread.bounds(level)] for level in self.model.config.levels
        }
        curve = Curve(
            self._time(ahead[keep]),
            self.point[n][keep],
            {level: low for level, (low, _) in bounds.items()},
            {level: high for level, (_, high) in bounds.items()},
        )
        shown = np.append(back, ahead[keep])
        return Chart(
            self.target, self._time(shown), self._actual(shown), (curve,), self.series, tuple(self._time(back[-1:]))
        )

    def rolling(self) -> Rolling:
        """Forecasts end to end, as somebody who asks once a horizon would have had them."""
        pick = np.flatnonzero((self.at - self.first) % self.horizon == 0)
        ahead = self.at[pick][:, None] + np.arange(1, self.horizon + 1)
        keep = ahead < self.span.stop
        rows = ahead[keep]
        return Rolling(self.target, self._time(rows), self._actual(rows), self.point[pick][keep], self.series)


def _future(model: Model, panel: Panel) -> tuple[Chart, ...]:
    """The forecast beyond the end of the table, unless it needs covariates that are not known there."""
    future = [panel.ahead[slice(*panel.ahead_offsets[s : s + 2])] for s in range(panel.series)]
    try:
        result = forecast(model, future=future)
    except DataError:  # known covariates end with the table, so there is no forecast to show
        return ()
    return result.charts(charts.tails(model, panel, panel.ids[:PAIRS]), panel.ids[:PAIRS], PAIRS)


def _breakdown(model: Model, panel: Panel) -> Breakdown | None:
    """What the forecasts beyond the end of the table come from, of the first series."""
    some = np.arange(min(panel.series, PAIRS))
    part = panel.pieces(some, np.zeros_like(some), panel.lengths[some])
    try:
        return of_table(model, part)
    except DataError:  # as in `_future`
        return None
