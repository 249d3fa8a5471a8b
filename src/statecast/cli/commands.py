"""What can be typed about models and tables; `service` has what can be typed about a server.

Each command is a function: its parameters are the options, its docstring is the help. The functions are short: they
gather what was typed, call the library, and print. The help lists the commands in the order of the files.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from statecast.cli.app import COMMAND_LINE, command
from statecast.cli.options import (
    Assignments,
    Columns,
    Count,
    File,
    Files,
    Folder,
    MaybeCount,
    MaybeFile,
    MaybeFolder,
    Name,
    Numbers,
    Preset,
    Rate,
    Share,
    Spreading,
    fit_request,
)
from statecast.errors import SettingError


@command("statecast fit loads.csv --target load --id site --time hour --past temperature --horizon 24 --out loads")
def fit(
    table: MaybeFile = None,
    /,
    *,
    out: MaybeFolder = None,
    columns: Columns | None = None,
    horizon: MaybeCount = None,
    test_size: Share = None,
    config: MaybeFile = None,
    preset: Preset = None,
    set_: Assignments = (),
    resume: bool = False,
    force: bool = False,
    by: Name = None,
    spreading: Spreading | None = None,
    json: bool = False,
) -> int:
    """Train a network on a table, score it against simple forecasts, and write everything into a folder.

    If --out is left out, or it is not clear which column is the target, nothing is fitted. A complete command that
    suits the table is printed instead, for you to check and run.

    Args:
        table: CSV or Parquet file, long (with an id column) or wide (with several targets), or - for standard input.
            May be left out if the TOML file names one.
        out: folder for the model, its scores, pictures and report.
        columns: which columns play which role.
        horizon: number of steps ahead to forecast.
        test_size: last rows of each series that are held out for the test scores, as a count or as a share such as 0.1.
        config: TOML file of settings, such as the config.toml of an earlier fit; its section [data] may say which
            columns play which role, and name the table by path (relative to the file) or by example (one of the
            gallery's).
        preset: how much time to take: fast or best. The list of settings says what each sets; --set overrides it.
        set_: any setting, such as hidden=[64,32] cell=gru; statecast settings lists them. A cell of your own is named
            with its module, cell=my_module:my_cell.
        resume: continue the fit that was interrupted in this folder; the result is the same, bit for bit, as without
            the interruption.
        force: replace what an earlier fit wrote into this folder.
        by: train a network for each value of this column, such as a region, on many workers; the folder then holds a
            model for each, and forecast takes it like the folder of a single fit.
        spreading: where the workers are.
        json: print the scores and the names of the files as one JSON document.
    """
    from statecast.cli import fitting, proposing

    request = fit_request(columns, config, set_, horizon, test_size, preset)
    if table is None and request.table is None:
        raise SettingError("TABLE is missing: give a table, or --config FILE whose section [data] names one")
    source = request.table if table is None else table
    workers = spreading or Spreading()
    if by is None and not workers.arguments:
        source = proposing.require_enough(source, out, request, COMMAND_LINE)
    if out is None:
        raise SettingError("--out DIR is missing: folder for the model, its scores, pictures and report")
    if by is not None or workers.arguments:
        from statecast.cli import spread

        if resume or force:
            raise SettingError("--by trains many networks: --resume and --force are for the fit of one")
        return spread.fit(source, out, by, request, workers, json)
    return fitting.run(source, out, request, resume, force, json, COMMAND_LINE)


@command("statecast forecast loads --horizon 48 --levels 80,95 --out next.csv")
def forecast(
    model: Folder,
    table: MaybeFile = None,
    /,
    *,
    horizon: MaybeCount = None,
    levels: Numbers = None,
    future: Files = (),
    samples: MaybeCount = None,
    seed: Count = 0,
    out: MaybeFile = None,
    spreading: Spreading | None = None,
    json: bool = False,
) -> int:
    """Forecast the next values of every series.

    Args:
        model: folder that fit wrote, or a model file.
        table: forecast the series of this table instead, which must have the columns of the training table; - is
            standard input. A pattern such as 'tables/*.parquet' or a folder stands for many files, which workers
            share.
        horizon: number of steps ahead; beyond the horizon of the fit, forecasts are fed back as inputs.
        levels: levels of the intervals, in percent.
        future: table of the covariates known ahead, for the steps to forecast. If given several times, the column
            scenario tells the futures apart by the names of their files, and the column difference compares each with
            the first.
        samples: number of sample paths of each series, in place of points and intervals; the columns are then id,
            time, sample_id and statecast.
        seed: seed of the sample paths.
        out: file for the forecasts, CSV or Parquet by its suffix; if left out, they are printed. A folder if many
            workers forecast.
        spreading: where the workers are.
        json: print one JSON document.
    """
    from statecast.cli import forecasts

    if samples is not None and levels is not None:
        raise SettingError("--samples and --levels exclude each other: sample paths have no intervals")
    if samples is not None and len(future) > 1:
        raise SettingError("--samples takes one --future: sample paths of several are not compared")
    request = forecasts.ForecastRequest(table, horizon, levels, future, samples, seed)
    if (workers := spreading or Spreading()).apply_to(table):
        from statecast.cli import spread

        return spread.forecast(model, request, out, workers, json)
    return forecasts.forecast(model, request, out, json)


@command("statecast backtest loads loads.csv --windows 8 --step 24")
def backtest(
    model_or_table: File,
    table: MaybeFile = None,
    /,
    *,
    windows: Count = 5,
    step: MaybeCount = None,
    refit: bool = False,
    config: MaybeFile = None,
    columns: Columns | None = None,
    horizon: MaybeCount = None,
    set_: Assignments = (),
    out: MaybeFile = None,
    spreading: Spreading | None = None,
    json: bool = False,
) -> int:
    """Forecast from past moments of a table, and score the forecasts against simple ones.

    Give the folder of a fit and a table; or --config and only a table, to fit first on the rows before the first
    moment. A network has learned from the rows that it was fitted on, so its scores there are flattering: give it later
    rows, or use --config or --refit.

    Args:
        model_or_table: folder that fit wrote; with --config, the table.
        table: CSV or Parquet file with the columns of the training table, or - for standard input.
        windows: number of moments to forecast from.
        step: rows between two moments; the horizon if left out.
        refit: train anew on the rows before each moment.
        config: TOML file of settings for a fit that is made first.
        columns: with --config, which columns play which role.
        horizon: with --config, number of steps ahead to forecast.
        set_: with --config, any setting.
        out: file for every forecast next to what happened, CSV or Parquet by its suffix. A folder if many workers
            forecast.
        spreading: where the workers are.
        json: print the scores and forecasts as one JSON document.
    """
    from statecast.cli import forecasts

    if config is None:
        if columns or horizon or set_:
            raise SettingError("options of columns and settings go with --config: add it, or leave them out")
        if table is None:
            raise SettingError("give the folder of a fit and a table, or --config FILE and a table")
        if (workers := spreading or Spreading()).apply_to(table):
            from statecast.cli import spread

            if refit:
                raise SettingError("--refit trains on all series of a table at once, which workers do not share")
            return spread.backtest(model_or_table, table, windows, step, out, workers, json)
        return forecasts.backtest(model_or_table, table, windows, step, refit, out, json)
    if table is not None:
        raise SettingError(f"--config fits first, so it takes the table alone: leave out {model_or_table!r}")
    request = fit_request(columns, config, set_, horizon)
    return forecasts.backtest_from(request, model_or_table, windows, step, refit, out, json)


@command("statecast explain loads loads.csv --at last --picture parts.png")
def explain(
    model: Folder,
    table: File,
    /,
    *,
    at: Annotated[str | None, Parameter(metavar="TIME")] = None,
    series: Annotated[str | None, Parameter(metavar="ID")] = None,
    future: MaybeFile = None,
    picture: MaybeFile = None,
    out: MaybeFile = None,
    json: bool = False,
) -> int:
    """Show which inputs a network uses: how much its error on a table grows when one of them is shuffled.

    With --at it takes one forecast apart instead: how much of it comes from the level, the season, each covariate, the
    recent values and the recurrence; these add up to the forecast. The report of a fit shows both, and how the
    network's gates open and close over time.

    Args:
        model: folder that fit wrote, or a model file.
        table: CSV or Parquet file with the columns of the training table, or - for standard input.
        at: time of the last row that the forecast is based on, or last for the last row of each series; the number of
            the row, counted from 0, if rows have no times.
        series: with --at, the only series to look at.
        future: with --at, file of the covariates known ahead of the last row.
        picture: with --at, file for the picture, a PNG.
        out: file for the numbers, CSV or Parquet by its suffix.
        json: print one JSON document.
    """
    from statecast.cli import explaining

    if at is None:
        if series is not None or future is not None or picture is not None:
            raise SettingError("--series, --future and --picture go with --at: say which forecast, such as --at last")
        return explaining.inputs(model, table, out, json)
    return explaining.one(model, table, explaining.Origin(at, series, future), picture, out, json)


@command("statecast update loads later.csv --learn")
def update(
    model: Folder,
    table: File,
    /,
    *,
    learn: bool = False,
    steps: MaybeCount = None,
    learning_rate: Rate = None,
    out: MaybeFolder = None,
    resume: bool = False,
    json: bool = False,
) -> int:
    """Add the rows that have arrived since a fit, and let the network learn from them if asked.

    Each series goes on from its last row; rows up to that one are skipped, so the same table given twice changes
    nothing. With --learn the weights learn as well, if the newest rows, which are held out, show that it helps: the
    table should then begin with rows before the new ones.

    Args:
        model: folder that fit wrote, or a model file.
        table: CSV or Parquet file with the columns of the training table, or - for standard input.
        learn: let the weights learn from the table, too.
        steps: with --learn, number of training steps at most.
        learning_rate: with --learn, the first learning rate; half of that of the fit if left out.
        out: folder to write the model into; if left out, the model is replaced in place.
        resume: continue the update that was interrupted; the result is the same, bit for bit, as without the
            interruption.
        json: print the result as one JSON document.
    """
    from statecast.cli import updating
    from statecast.estimators.updating import Learning

    if not learn and (steps is not None or learning_rate is not None or resume):
        raise SettingError("--steps, --learning-rate and --resume go with --learn: add it, or leave them out")
    learning = Learning(learn, steps, learning_rate)
    return updating.run(model, table, learning, out, resume, json, COMMAND_LINE)


@command("tail -n +1 -f new.jsonl | statecast stream loads --snapshot loads.state")
def stream(
    model: Folder,
    /,
    *,
    snapshot: MaybeFile = None,
    every: Count = 1000,
    empty: bool = False,
    csv: bool = False,
) -> int:
    """Read rows from standard input as they arrive, and print a forecast after each of them.

    A row is a JSON object on a line of its own, or a line of CSV after a header; its keys are the columns of the
    training table. Each series continues where that table ended, and a series that was not in it starts afresh. Columns
    known ahead need JSON: a list of the value for this step and for each step of the horizon. Each row is answered by a
    line of JSON: id, time, times, statecast, statecast-lo-80, statecast-hi-80, … A row that cannot be used is reported
    with its line number and changes nothing; the exit code is then 1.

    Args:
        model: folder that fit wrote, or a model file.
        snapshot: file for the state of the stream; the stream continues from it if it exists, and it is written every
            so many rows, at the end of the input, and on Ctrl-C and SIGTERM.
        every: number of rows between two snapshots.
        empty: start without the series of the training table.
        csv: print CSV, with a line for each step ahead as forecast does, and the time of the row as cutoff.
    """
    from statecast.cli import live

    return live.run(model, snapshot, every, empty, csv)


@command("statecast replay loads loads.csv --rows 336")
def replay(
    model: Folder,
    table: File,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from", metavar="TIME")] = None,
    rows: MaybeCount = None,
    series: Annotated[str | None, Parameter(metavar="ID")] = None,
    seconds: Annotated[float | None, Parameter(metavar="N")] = None,
    json: bool = False,
) -> int:
    """Play back a table as if its rows were arriving now: each value next to its forecast, with alarms and a sketch.

    If the table goes on after the end of the model's series, its new rows are played; otherwise the test rows, or the
    last rows if the network has learned from all of them. Earlier rows are observed first. Ctrl-C ends the replay with
    a summary of the rows so far. If the output is not a terminal there are no pauses, and only alarms and the summary
    are printed.

    Args:
        model: folder that fit wrote, or a model file.
        table: CSV or Parquet file with the columns of the training table, or - for standard input.
        from_: time of the first row to play.
        rows: number of rows of each series; with --from the first ones from there, otherwise the last ones.
        series: the only series to play.
        seconds: how long the replay takes; a minute if left out, and no time if the output is not a terminal.
        json: print the summary as one JSON document.
    """
    from statecast.cli import playing

    return playing.run(model, table, playing.ReplayRequest(from_, rows, series, seconds), json)


@command("statecast export loads --out loads.onnx")
def export(
    model: Folder,
    /,
    *,
    out: MaybeFile = None,
    web: MaybeFolder = None,
    modules: MaybeFolder = None,
    json: bool = False,
) -> int:
    """Write a saved model for other runtimes: as ONNX graphs with its state as inputs and outputs, or as a web page.

    Args:
        model: folder of a fit, or a model file.
        out: file for the graph that takes a row, ending in .onnx; the graph that only forecasts, and the states of the
            table's series, are written next to it.
        web: folder for a page that forecasts in a browser, without a server; open its index.html.
        modules: folder node_modules that contains onnxruntime-web, for --web; if left out, the nearest one from here
            upwards.
        json: print one JSON document.
    """
    from statecast.cli import exporting

    if out is None and web is None:
        raise SettingError("give --out FILE.onnx, --web FOLDER, or both")
    if modules is not None and web is None:
        raise SettingError("--modules is for --web: give --web FOLDER as well")
    return exporting.run(model, out, web, modules, json)
