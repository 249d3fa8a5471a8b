"""The part of `Forecaster` that people look at: what a notebook shows of it, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from statecast.config import Config, describe_settings
from statecast.data import checks
from statecast.data.grid.merging import Merging
from statecast.data.tabular import table
from statecast.display import html
from statecast.display.drawing import draw
from statecast.estimators.whatif import WhatIf
from statecast.forecast import channels, charts
from statecast.forecast.answer import Forecast
from statecast.forecast.scenarios import Scenarios
from statecast.report import collect, summary

if TYPE_CHECKING:
    from statecast.forecast.hindcast.backtest import Backtest
    from statecast.model.trained import Model


class Notebook(WhatIf):
    """What is shown and drawn of a Forecaster."""

    config: Config

    def forecast(
        self,
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        future: Any = None,
    ) -> Forecast:
        """See `Forecaster.forecast`."""
        raise NotImplementedError

    def backtested(self, source: Any, *, windows: int = 5, step: int | None = None, refit: bool = False) -> Backtest:
        """See `Forecaster.backtested`."""
        raise NotImplementedError

    def plot(
        self,
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        future: Any = None,
        futures: Mapping[str, Any] | None = None,
        series: Any = None,
        ax: Any = None,
        backend: str = "matplotlib",
    ) -> Any:
        """Draw the forecast after the values before it.

        Those values are the table's or, for a loaded model without one, what its state remembers of each series.

        Args:
            source: as in `forecast`.
            horizon: as in `forecast`.
            levels: as in `forecast`.
            future: as in `forecast`.
            futures: several of them by name, as in `compare`, whose forecasts are drawn side by side.
            series: which series, one or several ids; all if None.
            ax: axes of matplotlib to draw on, one for each series and target.
            backend: "matplotlib", or "plotly" for an interactive figure with a menu of series.

        Returns:
            The axes of matplotlib: one, or an array where there are several series or targets, of which the first six
            are drawn. For plotly a figure.

        Raises:
            UnknownSeries: there is no such series.
            MissingDependency: the library is not installed.

        Example:
            >>> axes = model.plot(horizon=24, levels=[50, 90])
            >>> figure = model.plot(backend="plotly")
        """
        rows = None if source is None else table.read(source)
        result: Forecast | Scenarios
        if futures is None:
            result, title = self.forecast(rows, horizon=horizon, levels=levels, future=future), "Forecast"
            ids = result.ids
        else:
            result, title = self.scenarios(futures, rows, horizon=horizon, levels=levels), "What if"
            ids = next(iter(result.forecasts.values())).ids
        names = tuple(ids[n] for n in charts.chosen(ids, series))
        return draw(result.charts(self._past(rows, names), series), backend, title, ax)

    def plot_backtest(
        self,
        source: Any,
        *,
        windows: int = 5,
        step: int | None = None,
        refit: bool = False,
        series: Any = None,
        ax: Any = None,
        backend: str = "matplotlib",
    ) -> Any:
        """Draw the forecasts from the last origins of a table next to what happened; see `backtest` and `plot`.

        Example:
            >>> axes = model.plot_backtest(table, windows=2)
        """
        result = self.backtested(source, windows=windows, step=step, refit=refit)
        return result.plot(series, ax=ax, backend=backend)

    def _past(self, rows: table.Table | None, ids: channels.Ids) -> charts.Past:
        """The values before a forecast: of the table that it is from, of the training table, or of the state."""
        model = self.model_
        if rows is not None and any(name in rows.names for name in model.schema.target):
            panel = checks.panel_like(rows, model.schema, merging=Merging.of(model.config))
            return charts.tails(model, panel, ids)
        if self._record is not None:
            return charts.tails(model, self._record.panel, ids)
        return charts.remembered(model, model.state, ids)

    def _repr_html_(self) -> str:
        if self._model is None:
            return _settings(self.config)
        model = self._model
        scores = model.scores
        targets = ", ".join(model.schema.target)
        ids = channels.series_ids(model, model.state.ids)
        facts = [
            ("targets", targets),
            ("series", f"{len(ids):,}" if model.schema.id else ""),
            ("horizon", _horizon(model)),
        ]
        choices = collect.settings(model, model.reasons or {}, self.config.changed())
        return html.card(
            "Forecaster, fitted",
            html.paragraphs(summary.conclusions(scores) if "skill" in scores else []),
            html.facts(facts),
            summary.evaluation_html(scores) if "skill" in scores else "",
            summary.choices_html(choices, collect.layers(model)),
        )


def _horizon(model: Model) -> str:
    """How far forecasts reach, such as `24 hours`; steps of 15m where these have no name."""
    step = charts.step_name(model.schema)
    of = f" of {model.schema.frequency.text}" if step == "step" and model.schema.time else ""
    return f"{summary.plural(model.config.horizon, step)}{of}"


def _settings(config: Config) -> str:
    """The settings as given, before a fit."""
    changed = config.changed()
    about = {name: help for name, _, help, _ in describe_settings()}
    rows = [[name, summary.value_text(value), about[name]] for name, value in changed.items()]
    text = "All other settings have their defaults, or are chosen from the data by fit(table, target=…)."
    table_of = html.html_table(["setting", "value", ""], rows, "words") if rows else ""
    return html.card("Forecaster, not fitted", table_of, html.paragraphs([text]))
