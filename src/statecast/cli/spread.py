"""`statecast forecast`, `backtest` and `fit --by` over many workers: `statecast.cluster`, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from statecast.cli import cell_modules, output
from statecast.cli.forecasts import ForecastRequest
from statecast.cli.options import FitRequest, Spreading, require_count
from statecast.cluster import calls
from statecast.cluster.outcome import Outcome, Stage
from statecast.config import Config
from statecast.errors import SettingError
from statecast.report.progress import bar

MOST_FAULTS = 5  # that are printed; --json has them all


def forecast(path: str, request: ForecastRequest, out: str | None, spreading: Spreading, as_json: bool) -> int:
    """Write the next values of every series; see the command."""
    if request.samples is not None:
        raise SettingError("--samples are drawn by one process: leave out --engine and give one table")
    if request.table is None:
        raise SettingError("TABLE is missing: workers forecast the series of a table, not those that the model knows")
    if len(request.future) > 1:
        raise SettingError("several --future tables are compared by one process: leave out --engine and give one table")
    future = request.future[0] if request.future else None
    options = {"horizon": request.horizon, "levels": request.levels, "future": future}
    return _written(calls.forecast, (path, request.table), out, options, spreading, as_json)


def backtest(
    path: str, table: str, windows: int, step: int | None, out: str | None, spreading: Spreading, as_json: bool
) -> int:
    """Write forecasts from past moments of every series; see the command."""
    require_count("--windows", windows)
    require_count("--step", step)
    return _written(calls.backtest, (path, table), out, {"windows": windows, "step": step}, spreading, as_json)


def fit(table: Any, out: str, by: str | None, request: FitRequest, spreading: Spreading, as_json: bool) -> int:
    """Train a network for each group of series; see the command."""
    if by is None and "id" not in request.roles:
        raise SettingError("--by is missing: workers train a network for each value of a column, such as a region")
    if spreading.buckets is not None:
        raise SettingError("--buckets are for forecasts and backtests: a fit has one for each group")
    if cell_modules.option_for(Config.of(request.settings)):
        raise SettingError("workers know only the built-in cells: leave out --by and --engine, or the cell of your own")
    options = {"by": by, **request.roles, **request.settings}
    outcome = _run(calls.fit, (table,), out, options, spreading)
    count = f"{outcome.rows:,} models" if outcome.rows != 1 else "1 model"
    return _tell(outcome, f"{count} in {out}", as_json)


def _written(
    call: Callable[..., Outcome],
    subjects: tuple[Any, ...],
    out: str | None,
    options: dict[str, Any],
    spreading: Spreading,
    as_json: bool,
) -> int:
    """Write rows into a folder."""
    if out is None or out == "-":
        raise SettingError("--out is missing: many workers write into a folder, one file for each part")
    outcome = _run(call, subjects, out, options, spreading)
    count = len(outcome.files)
    text = f"{outcome.rows:,} rows of {outcome.series:,} series in {count:,} file{'s' * (count != 1)} of {out}"
    return _tell(outcome, text, as_json)


def _run(
    call: Callable[..., Outcome], subjects: tuple[Any, ...], out: str, options: dict[str, Any], spreading: Spreading
) -> Outcome:
    drawn, task = bar(sys.stderr, "starting")

    def watch(stage: Stage) -> None:
        if drawn is not None:
            drawn.update(task, description=stage.phase, completed=stage.done, total=stage.total)

    if drawn is not None:
        drawn.start()
    try:
        return call(*subjects, out=out, watch=watch, **options, **spreading.arguments)
    finally:
        if drawn is not None:
            drawn.stop()


def _tell(outcome: Outcome, text: str, as_json: bool) -> int:
    if as_json:
        skipped = [vars(item) for item in outcome.skipped]
        files = [str(file) for file in outcome.files]
        output.document({"rows": outcome.rows, "series": outcome.series, "files": files, "skipped": skipped})
        return 0
    output.say(text)
    for item in outcome.skipped[:MOST_FAULTS]:
        output.note(f"skipped: {item}")
    if len(outcome.skipped) > MOST_FAULTS:
        output.note(f"skipped: {len(outcome.skipped) - MOST_FAULTS:,} more; --json lists them all")
    return 0
