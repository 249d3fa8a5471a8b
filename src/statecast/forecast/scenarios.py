"""What if: forecasts of the same series from the same moment, each with another future of the covariates known ahead.

All start from one state, so that whatever differs between them comes from the futures alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.framed import TableResult
from statecast.display import html
from statecast.display.chart import Chart, side_by_side
from statecast.display.drawing import draw
from statecast.display.numbers import number
from statecast.errors import SettingError
from statecast.forecast.answer import Forecast, output_ids
from statecast.forecast.charts import Past
from statecast.forecast.predict import Future, forecast
from statecast.forecast.runner import Runner
from statecast.model.state import State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64

MOST = 100  # futures at once


@dataclass(frozen=True, eq=False)
class Scenarios(TableResult):
    """Forecasts of the same series and steps by the name of their future; the others are compared with the first.

    Attributes:
        forecasts: at least one.

    Example:
        >>> shop.scenarios(futures).names
        ('cheap', 'dear')
    """

    forecasts: dict[str, Forecast]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the futures."""
        return tuple(self.forecasts)

    @property
    def values(self) -> Float64[np.ndarray, "C S H D"]:
        """The point forecasts of each of C futures, in the units of the table."""
        return np.stack([one.values for one in self.forecasts.values()])

    @property
    def tz(self) -> str | None:
        """The time zone; None if the times have none."""
        return next(iter(self.forecasts.values())).tz

    def columns(self) -> dict[str, np.ndarray]:
        """The columns of a forecast, one future after another, with its name in `scenario`.

        `difference` is `statecast` minus that of the first future.

        Example:
            >>> list(shop.scenarios(futures).columns())[2:4]
            ['scenario', 'statecast']
        """
        parts = [one.columns() for one in self.forecasts.values()]
        time = list(parts[0])[:2]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        names = np.repeat(np.array([*self.names, None], object)[:-1], len(parts[0]["statecast"]))
        difference = np.concatenate([part["statecast"] - parts[0]["statecast"] for part in parts])
        places = {name: joined.pop(name) for name in time}
        return places | {"scenario": names} | joined | {"difference": difference}

    def charts(self, past: Past | None = None, series: Any = None, most: int | None = None) -> tuple[Chart, ...]:
        """As `Forecast.charts`, with a curve for each future.

        Example:
            >>> len(shop.scenarios(futures).charts()[0].curves)
            2
        """
        return side_by_side({name: one.charts(past, series, most) for name, one in self.forecasts.items()})

    def plot(self, series: Any = None, *, ax: Any = None, backend: str = "matplotlib") -> Any:
        """Draw the forecasts side by side; the arguments are those of `Forecast.plot`.

        Example:
            >>> axes = shop.scenarios(futures).plot()
        """
        return draw(self.charts(series=series), backend, "What if", ax)

    def _repr_html_(self) -> str:
        first, *_ = self.forecasts.values()
        names = output_ids(first.model.schema, first.ids)
        mean = self.values.mean(axis=2)  # over the steps
        rows = [
            [str(name), *(number(value) for value in mean[:, n // size, n % size])]
            for size in [mean.shape[-1]]
            for n, name in enumerate(names[: html.ROWS])
        ]
        table = html.html_table(["mean over the steps", *self.names], rows)
        alike = len(self.forecasts) > 1 and bool((self.values == self.values[0]).all())
        notes = ["These futures make no difference: the forecast does not depend on what is known ahead."] * alike
        notes += [f"and {len(names) - html.ROWS:,} series more"] * (len(names) > html.ROWS)
        return html.card("What if", html.sketches(self.charts(most=html.SKETCHES)), table, html.paragraphs(notes))


def scenarios(
    model: Model,
    state: State,
    futures: Mapping[str, Future],
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
) -> Scenarios:
    """The forecasts of a state with each of several futures; see `predict.forecast` for what else may go wrong.

    Args:
        model: the model.
        state: what it has observed.
        futures: by name, as `predict.forecast` takes one.
        horizon: steps; the network's if None.
        levels: of the intervals, in percent; those of the settings if None.
    """
    runner = Runner(model)
    parts = {name: forecast(model, state, horizon, levels, future, runner) for name, future in futures.items()}
    return Scenarios(parts)


def require_futures(model: Model, names: Sequence[str]) -> None:
    """Refuse to compare futures where there are none, too many, or nothing that they could change.

    Raises:
        SettingError: says which.
    """
    if not model.schema.known:
        raise SettingError(
            "this model has no covariates known ahead, so no future of them changes its forecast: fit it with known=…"
        )
    if not 1 <= len(names) <= MOST:
        raise SettingError(f"futures: got {len(names)}, expected 1 to {MOST}, by name: {{'low': frame, 'high': frame}}")
