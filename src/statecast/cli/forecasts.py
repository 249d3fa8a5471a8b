"""`statecast forecast` and `backtest`: what a saved model says of a table, printed or written to a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statecast.cli import output
from statecast.cli.options import FitRequest, require_count
from statecast.config import canonical
from statecast.data import results as files
from statecast.errors import SettingError
from statecast.estimators import Forecaster
from statecast.forecast.answer import Forecast
from statecast.forecast.sample import Samples
from statecast.forecast.scenarios import Scenarios
from statecast.forecast.scores.verdict import verdict


@dataclass(frozen=True)
class ForecastRequest:
    """The options of `statecast forecast`; see the command.

    Raises:
        SettingError: one is out of range.
    """

    table: str | None
    horizon: int | None
    levels: Sequence[float] | None
    future: tuple[str, ...]
    samples: int | None
    seed: int

    def __post_init__(self) -> None:
        require_count("--horizon", self.horizon)
        require_count("--samples", self.samples)
        require_count("--seed", self.seed, 0)
        if self.levels is not None:
            canonical("levels", self.levels, "--levels")

    def of(self, model: Forecaster) -> Forecast | Samples | Scenarios:
        """The forecast, or sample paths; where there are several futures, the forecasts of all."""
        if len(self.future) > 1:
            return model.scenarios(self._futures(), self.table, horizon=self.horizon, levels=self.levels)
        future = self.future[0] if self.future else None
        if self.samples is None:
            return model.forecast(self.table, horizon=self.horizon, levels=self.levels, future=future)
        return model.samples(self.samples, self.table, horizon=self.horizon, future=future, seed=self.seed)

    def _futures(self) -> dict[str, str]:
        """The files of futures by their names without folder and suffix.

        Raises:
            SettingError: two are called alike.
        """
        futures = {Path(path).name.partition(".")[0]: path for path in self.future}
        if len(futures) < len(self.future):
            raise SettingError(
                f"--future: of {', '.join(self.future)} two have the same name, by which forecasts are told apart: "
                "rename one"
            )
        return futures


def forecast(path: str, request: ForecastRequest, out: str | None, as_json: bool) -> int:
    """Print or write the next values of every series; see the command."""
    model = Forecaster.load(path)
    columns, tz = request.of(model).columns(), model.model_.schema.tz
    if out is not None and out != "-":
        files.write(columns, out, tz)
    if as_json:
        horizon = request.horizon or model.model_.config.horizon
        document = {"model": path, "horizon": horizon, "forecast": list(output.records(columns, bool(tz)))}
        output.document(document | ({"file": out} if out else {}))
    elif out is not None and out != "-":
        output.say(f"{len(next(iter(columns.values()))):,} forecasts in {out}")
    elif sys.stdout.isatty() and out is None:
        output.frame(columns, bool(tz))
    else:
        files.write(columns, "-", tz)
    return 0


def backtest(path: str, table: str, windows: int, step: int | None, refit: bool, out: str | None, as_json: bool) -> int:
    """Score a saved model on a table; see the command."""
    require_count("--windows", windows)
    require_count("--step", step)
    return _backtest(Forecaster.load(path), table, windows, step, refit, out, as_json)


def backtest_from(
    request: FitRequest, table: str, windows: int, step: int | None, refit: bool, out: str | None, as_json: bool
) -> int:
    """Fit on the rows before the first origin, and score on the rest; see the command."""
    from statecast.data.tabular.table import read
    from statecast.report.progress import ProgressDisplay

    horizon = int(request.settings.get("horizon", 1))
    require_count("--windows", windows)
    require_count("--step", step)
    # No row that is forecast may be learned from.
    test_size = (windows - 1) * (step or horizon) + horizon
    rows = read(table)
    # The network that is scored is the one before it would learn from every row; with --refit windows have their own.
    once = {} if refit else {"refit": False}
    model = Forecaster(**{"test_size": test_size, **once, **request.settings})
    with ProgressDisplay() as progress:
        model.fit(rows, **request.roles, watch=progress)
    return _backtest(model, rows, windows, step, refit, out, as_json)


def _scored(refit: bool, learned: bool | None) -> str:
    """Which network the scores are of."""
    if refit:
        return "each window is forecast by a network that was trained on the rows before it"
    if learned is None:
        return "the model does not say which rows it learned from"
    if learned:
        return "the network learned from some of these rows, which flatters its scores; see backtest --help"
    return "the network that is scored has not learned from any of these rows"


def _backtest(
    model: Forecaster, table: Any, windows: int, step: int | None, refit: bool, out: str | None, as_json: bool
) -> int:
    result = model.backtested(table, windows=windows, step=step, refit=refit)
    columns, evaluation, tz = result.columns(), result.evaluation(), model.model_.schema.tz
    if out is not None:
        files.write(columns, out, tz)
    learned = None if refit else result.learned_from()
    output.note(f"note: {_scored(refit, learned)}")
    if as_json:
        document: dict[str, Any] = {"windows": windows, "refit": refit, "learned_from": learned}
        document |= {"evaluation": evaluation, "verdict": verdict(evaluation)}
        output.document(document | {"backtest": list(output.records(columns, bool(tz)))})
    elif out != "-":
        output.scores(evaluation)
        if out:
            output.say(f"every forecast of the {windows} windows is in {out}")
    return 0
