"""`statecast forecast` and `statecast backtest`: frames of results, printed or written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from statecast.cli import output
from statecast.cli.options import FitRequest
from statecast.data import results as files
from statecast.errors import SettingError
from statecast.estimators import Forecaster
from statecast.forecast.predict import Forecast
from statecast.forecast.sample import Samples
from statecast.forecast.verdict import verdict


@dataclass(frozen=True)
class ForecastRequest:
    """What `statecast forecast` is asked for; see the command."""

    table: str | None
    horizon: int | None
    levels: Sequence[float] | None
    future: str | None
    samples: int | None
    seed: int

    def of(self, model: Forecaster) -> Forecast | Samples:
        """The forecast, or sample paths."""
        if self.samples is None:
            return model.forecast(self.table, horizon=self.horizon, levels=self.levels, future=self.future)
        return model.samples(self.samples, self.table, horizon=self.horizon, future=self.future, seed=self.seed)


def forecast(path: str, request: ForecastRequest, out: str | None, as_json: bool) -> int:
    """Print or write the next values of every series; see the command."""
    model = Forecaster.load(path)
    found = request.of(model)
    columns, tz = found.columns(), model.model_.schema.tz
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


def explain(path: str, table: str, out: str | None, as_json: bool) -> int:
    """Print or write what a saved model uses; see the command."""
    from statecast.report.summary import signed_percent

    found = Forecaster.load(path).explanation(table)
    columns = found.columns()
    if out is not None:
        files.write(columns, out, None)
    if as_json:
        inputs = list(output.records(columns, False))
        output.document({"model": path, "origins": found.origins, "inputs": inputs} | ({"file": out} if out else {}))
    elif out != "-":
        rows = [[item.name, item.kind, signed_percent(item.importance)] for item in found.inputs]
        output.table([["input", "kind", "error when shuffled"], *rows])
        output.say()
        output.prose(f"Mean absolute error over {found.origins:,} forecasts; around 0 % the network does without it.")
    return 0


def backtest(path: str, table: str, windows: int, step: int | None, refit: bool, out: str | None, as_json: bool) -> int:
    """Score a saved model on a table; see the command."""
    return _backtest(Forecaster.load(path), table, windows, step, refit, out, as_json)


def backtest_from(
    request: FitRequest, table: str, windows: int, step: int | None, refit: bool, out: str | None, as_json: bool
) -> int:
    """Fit on the rows before the first origin, and score on the rest; see the command."""
    from statecast.data.table import read
    from statecast.report.progress import ProgressDisplay

    horizon = int(request.settings.get("horizon", 1))
    if windows < 1 or (step is not None and step < 1):
        raise SettingError(f"windows = {windows}, step = {step}: wanted whole numbers of at least 1")
    # None of the rows that are forecast may be learned from.
    kept = (windows - 1) * (step or horizon) + horizon
    rows = read(table)
    model = Forecaster(**{"test_size": kept, **request.settings})
    with ProgressDisplay() as progress:
        model.fit(rows, **request.roles, watch=progress)
    return _backtest(model, rows, windows, step, refit, out, as_json)


def _backtest(
    model: Forecaster, table: Any, windows: int, step: int | None, refit: bool, out: str | None, as_json: bool
) -> int:
    result = model.backtested(table, windows=windows, step=step, refit=refit)
    columns, evaluation, tz = result.columns(), result.evaluation(), model.model_.schema.tz
    if out is not None:
        files.write(columns, out, tz)
    if not refit and result.learned_from():
        output.note("note: the network learned from some of these rows, which flatters its scores; see backtest --help")
    if as_json:
        document = {"windows": windows, "evaluation": evaluation, "verdict": verdict(evaluation)}
        output.document(document | {"backtest": list(output.records(columns, bool(tz)))})
    elif out != "-":
        output.scores(evaluation)
        if out:
            output.say(f"every forecast of the {windows} windows is in {out}")
    return 0
