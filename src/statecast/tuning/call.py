"""`tune`: from a table and settings to a study of them; `tuner` tells its course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from statecast.config import Config
from statecast.data import checks
from statecast.data.grid.merging import Merging
from statecast.data.grid.roles import Roles
from statecast.data.limits import Limits
from statecast.data.tabular import table
from statecast.data.tabular.table import Table
from statecast.errors import OutputError, SettingError
from statecast.estimators import training
from statecast.tuning import study
from statecast.tuning.budget import Budget
from statecast.tuning.pools import engine_of
from statecast.tuning.progress import TuningWatch
from statecast.tuning.result import Tuning
from statecast.tuning.space import SearchSpace, Suggest, space_of
from statecast.tuning.study import Storage
from statecast.tuning.trials import TuningProblem
from statecast.tuning.tuner import Tuner
from statecast.tuning.windows import windows_of

Names = str | Sequence[str] | None


def tune(
    source: Any,
    target: Names = None,
    *,
    id: str | None = None,
    time: str | None = None,
    past: Names = None,
    known: Names = None,
    static: Names = None,
    freq: str | None = None,
    weight: str | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    space: Mapping[str, Any] | Suggest | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    engine: str | None = None,
    workers: int | None = None,
    watch: TuningWatch | None = None,
    **settings: Any,
) -> Tuning:
    """Try settings on the rows before the test rows, and fit with the best if it gains more than luck would.

    The first trial is the automatic choice: what `Forecaster(**settings)` would choose. Every trial is scored by
    rolling windows, and test rows are not looked at until everything is chosen. The same seed (`random_state`) gives
    the same trials for the same number of workers, even if the study was interrupted and resumed; `minutes` only
    decides how many there are.

    Args:
        source: see `Forecaster.fit`.
        target: likewise.
        id: likewise.
        time: likewise.
        past: likewise.
        known: likewise.
        static: likewise.
        freq: likewise.
        weight: likewise.
        trials: how many, including the automatic choice, over all runs of the study; 20 if `minutes` is None, too.
        minutes: time for everything, including the fits at the end; the automatic choice is always tried.
        space: what may be tried: for each setting a list of values, or a range (low, high) or (low, high, "log"); or a
            function of an Optuna trial that returns settings. If None, the settings that matter, around the
            automatic choice.
        out: folder in which the trials are kept, so that the study can be resumed; only in memory if None.
        resume: continue the study in that folder.
        engine: where trials run: "local" (processes of this machine) or "ray"; this process if None.
        workers: how many trials run at once; one if None, or with an engine as many as there are processors.
        watch: called with the `TuningProgress` of the work.
        settings: of the `Forecaster`, the same for all trials.

    Returns:
        The fitted `Forecaster` with the trials and what was gained.

    Raises:
        DataError: the table cannot be used, or has too few rows.
        SettingError: an option or setting is out of range.
        OutputError: the folder already holds a study.
        ModelFileError: the study there is of another table, settings or space.
        Interrupted: Ctrl-C before the automatic choice was tried, or in the fits at the end.
        MissingDependency: Optuna is not installed.

    Example:
        >>> space = {"skip": [12, 24], "normalize": ["last", "ewma"]}
        >>> tuning = sc.tune(table, "passengers", time="month", horizon=12, max_steps=0, space=space, trials=3)
        >>> len(tuning.records), tuning.forecaster.predict().columns[-1]
        (3, 'statecast-hi-95')
    """
    budget, engine = Budget.of(trials, minutes), engine_of(engine, workers)
    config = Config.of(settings)
    search = None if space is None else space_of(space, config)
    rows = table.read(source)
    roles = {"target": target, "id": id, "time": time, "past": past, "known": known, "static": static}
    roles |= {"freq": freq, "weight": weight}
    problem = _problem(config, rows, roles)
    storage = _storage(problem, search, out, resume)
    tuner = Tuner(problem, search, budget, storage, watch or (lambda progress: None))
    tuner.run(engine, workers)
    return tuner.result(rows, source, roles)


def _problem(config: Config, rows: Table, roles: Mapping[str, Any]) -> TuningProblem:
    panel, schema = checks.panel(rows, Roles.of(**roles), Merging.of(config), config.holidays)
    Limits.of(config, schema.target).require_table(panel)
    return TuningProblem(config, schema, *windows_of(panel, config.horizon, config.val_size, config.test_size))


def _storage(
    problem: TuningProblem, search: SearchSpace | None, out: str | Path | None, resume: bool
) -> Storage | None:
    """The file of the study.

    Raises:
        OutputError: the folder cannot be made, or holds a study that is not to be resumed, or none that is.
    """
    if out is None:
        if resume:
            raise SettingError("resume: give the folder of the study, out=…")
        return None
    path = Path(out).absolute() / study.FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {out} cannot be made: {error.strerror}; choose another one") from error
    if path.exists() != resume:
        raise OutputError(
            f"there is no study in {out} to go on with: leave resume out to begin one"
            if resume
            else f"{out} holds a study: resume it, or choose another folder"
        )
    panel = problem.panel
    arrays = [panel.y, panel.time, panel.offsets, panel.past, panel.known, panel.static]
    common = problem.config.to_dict() | {"space": str(search), "columns": repr(problem.schema.to_json())}
    return Storage(path, training.room("checkpoint").fingerprint(common, arrays))
