"""What can be typed about tuning; see `commands` for what a command is."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from statecast.cli.app import COMMAND_LINE, command
from statecast.cli.options import (
    Assignments,
    Columns,
    Folder,
    MaybeCount,
    MaybeFile,
    Minutes,
    Share,
    fit_request,
    require_count,
)
from statecast.errors import SettingError


@command("statecast tune loads.csv --target load --time hour --horizon 24 --minutes 10 --out loads")
def tune(
    table: MaybeFile = None,
    /,
    *,
    out: Folder,
    columns: Columns | None = None,
    horizon: MaybeCount = None,
    test_size: Share = None,
    config: MaybeFile = None,
    set_: Assignments = (),
    trials: MaybeCount = None,
    minutes: Minutes = None,
    resume: bool = False,
    force: bool = False,
    engine: Annotated[str | None, Parameter(metavar="ray|local")] = None,
    workers: MaybeCount = None,
    json: bool = False,
) -> int:
    """Try settings on the rows before the test rows, and fit with the best ones if they are better by more than luck.

    The first trial is what fit would choose. Each trial is scored on several stretches of time that it has not learned
    from, and the test rows, which choose nothing, then show what tuning gained or lost. Ctrl-C ends the trials, and the
    best so far is fitted; the folder keeps all trials, so --resume continues a study that was killed, or adds to it.

    Args:
        table: CSV or Parquet file, long (with an id column) or wide (with several targets), or - for standard input.
            May be left out if the TOML file names one.
        out: folder for the model, its scores, pictures and report, and for the trials.
        columns: which columns play which role.
        horizon: number of steps ahead to forecast.
        test_size: last rows of each series that are held out for the test scores, as a count or as a share such as 0.1.
        config: TOML file of settings, as for fit; its section [space] may say what is tried, such as
            hidden = [[32], [64]] or learning_rate = {low = 1e-4, high = 1e-2, log = true}.
        set_: any setting, the same for all trials; statecast settings lists them.
        trials: number of trials, including what fit would choose; 20 if --minutes is left out as well.
        minutes: time for all of them, including the fits at the end.
        resume: continue the study in this folder.
        force: replace what an earlier fit or study wrote into this folder.
        engine: run trials side by side, in processes of this machine or on a Ray cluster.
        workers: how many trials run at once; all processors if left out with --engine, otherwise one.
        json: print the trials, the scores and what was gained as one JSON document.
    """
    from statecast.cli import studying

    require_count("--trials", trials)
    require_count("--workers", workers)
    request = fit_request(columns, config, set_, horizon, test_size)
    if table is None and request.table is None:
        raise SettingError("TABLE is missing: give a table, or --config FILE whose section [data] names one")
    study = studying.StudyRequest(trials, minutes, engine, workers, resume, force)
    source = request.table if table is None else table
    return studying.run(source, out, request, study, json, COMMAND_LINE)
