"""What can be typed. Each command is a function: its parameters are the options, its docstring is the help.

The functions are short: they put together what was typed, call the library, and print. The order of this file is the
order of the help.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Parameter

from statecast.cli import output
from statecast.cli.options import STDIN, Assignments, Columns, File, MaybeFile, Numbers, Share, fit_request
from statecast.errors import SettingError

app = App(
    name="statecast",
    help="Train a recurrent network on your series once, then carry its state everywhere.",
    help_epilogue="A first try: "
    "statecast fit $(statecast example air_passengers) --time month --horizon 12 --out air\n\n"
    "With --debug, any command shows where an error came from.",
    help_format="plaintext",  # Markdown would take as long to load as all the rest
    default_parameter=Parameter(negative=(), show_default=False),
)


def run(words: Sequence[str]) -> int:
    """Run the command that these words ask for, and return its exit code.

    Raises:
        CycloptsError: the words are no command.
    """
    if "--version" in words[:1]:
        from statecast.model.container import version

        output.say(version())
        return 0
    tokens = [STDIN if word == "-" else word for word in words]
    quiet = {"exit_on_error": False, "print_error": False, "help_on_error": False}
    command, bound, *_ = app.parse_args(tokens, **quiet)  # type: ignore[arg-type]
    COMMAND_LINE[:] = words
    return int(command(*bound.args, **bound.kwargs) or 0)


COMMAND_LINE: list[str] = []  # as typed, for commands that say how to go on


def complaint(error: cyclopts.CycloptsError, words: Sequence[str]) -> str:
    """What is wrong with the words, in one line, and where to look."""
    text = output.one_line(str(error)).replace(STDIN, "-").rstrip(".")
    known = next((word for word in words if word in app), "")
    if isinstance(error, cyclopts.UnusedCliTokensError):
        text = f"{shlex.join(error.unused_tokens or [])}: nothing more was expected here".replace(STDIN, "-")
    return f"{text}; see: statecast{' ' + known if known else ''} --help"


def command(example: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command of the app, whose help is the docstring up to its arguments, and ends in an example."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        told = inspect.getdoc(function) or ""
        paragraphs = told.partition("\n\nArgs:")[0].split("\n\n")
        text = "\n\n".join(output.one_line(paragraph) for paragraph in paragraphs)
        app.command(function, help=text, help_epilogue=f"Example: {example}", sort_key=len(list(app)))
        return function

    return add


@command("statecast fit loads.csv --target load --id site --time hour --past temperature --horizon 24 --out loads")
def fit(
    table: MaybeFile = None,
    /,
    *,
    out: str,
    columns: Columns | None = None,
    horizon: int | None = None,
    test_size: Share = None,
    config: str | None = None,
    set_: Assignments = (),
    resume: bool = False,
    force: bool = False,
    json: bool = False,
) -> int:
    """Train a network on a table, score it beside simple forecasts, and write all of it into a folder.

    Args:
        table: CSV or Parquet file, long (with an id column) or wide (several targets); - is standard input. It may be
            left out where the TOML file names one.
        out: folder for model, scores, pictures and report.
        columns: which columns play which role.
        horizon: steps ahead to forecast.
        test_size: last rows of each series kept for the test scores, a count or a share such as 0.1.
        config: TOML file of settings; its section [data] may say which columns play which role, and name the
            table: path, beside that file, or example, one of the gallery's.
        set_: any setting, such as hidden=[64,32] cell=gru; see statecast settings.
        resume: go on with the fit that was broken off in this folder; it ends in the same bits.
        force: replace what an earlier fit wrote into this folder.
        json: print scores and files as one JSON document.
    """
    from statecast.cli import fitting

    request = fit_request(columns, config, set_, horizon, test_size)
    if table is None and request.table is None:
        raise SettingError("wanted a table, or --config FILE whose section [data] names one with path or example")
    source = request.table if table is None else table
    return fitting.run(source, out, request, resume, force, json, COMMAND_LINE)


@command("statecast forecast loads --horizon 48 --levels 80,95 --out next.csv")
def forecast(
    model: str,
    table: MaybeFile = None,
    /,
    *,
    horizon: int | None = None,
    levels: Numbers = None,
    future: MaybeFile = None,
    samples: int | None = None,
    seed: int = 0,
    out: MaybeFile = None,
    json: bool = False,
) -> int:
    """Forecast the next values of every series.

    Args:
        model: folder that fit wrote, or a model file.
        table: series to forecast instead, with the columns of the training table; - is standard input.
        horizon: steps ahead; beyond the network's own its forecasts feed on themselves.
        levels: of the intervals, in percent.
        future: table of the covariates known ahead, for the steps to forecast.
        samples: sample paths of each series in place of points and intervals: columns id, time, sample and statecast.
        seed: of the sample paths.
        out: file for the forecasts, CSV or Parquet by its suffix; without it they are printed as CSV.
        json: print one JSON document.
    """
    from statecast.cli import forecasts

    if samples is not None and levels is not None:
        raise SettingError("--samples and --levels exclude each other: sample paths have no intervals")
    request = forecasts.ForecastRequest(table, horizon, levels, future, samples, seed)
    return forecasts.forecast(model, request, out, json)


@command("statecast backtest loads loads.csv --windows 8 --step 24")
def backtest(
    model_or_table: File,
    table: MaybeFile = None,
    /,
    *,
    windows: int = 5,
    step: int | None = None,
    refit: bool = False,
    config: str | None = None,
    columns: Columns | None = None,
    horizon: int | None = None,
    set_: Assignments = (),
    out: MaybeFile = None,
    json: bool = False,
) -> int:
    """Forecast from past moments of a table, and score that beside simple forecasts.

    Give the folder of a fit and a table; or --config and a table alone, to fit first on the rows before the first
    moment. A fit has learned from what it was fitted on: give it later rows, or --config, or --refit.

    Args:
        model_or_table: folder that fit wrote; with --config, the table.
        table: CSV or Parquet file with the columns of the training table; - is standard input.
        windows: number of moments.
        step: rows between two of them; the horizon if left out.
        refit: train anew on the rows before each moment.
        config: TOML file of settings to fit first.
        columns: with --config, which columns play which role.
        horizon: with --config, steps ahead to forecast.
        set_: with --config, any setting.
        out: file for every forecast beside what happened, CSV or Parquet by its suffix.
        json: print scores and forecasts as one JSON document.
    """
    from statecast.cli import forecasts

    if config is None:
        if columns or horizon or set_:
            raise SettingError(
                "columns and settings are those of the model: give them with --config, or leave them out"
            )
        if table is None:
            raise SettingError("wanted the folder of a fit and a table, or --config FILE and a table")
        return forecasts.backtest(model_or_table, table, windows, step, refit, out, json)
    if table is not None:
        raise SettingError(
            f"with --config a fit is made first: give the table alone, and not {model_or_table!r} as well"
        )
    request = fit_request(columns, config, set_, horizon)
    return forecasts.backtest_from(request, model_or_table, windows, step, refit, out, json)


@command("statecast explain loads loads.csv")
def explain(model: str, table: File, /, *, out: MaybeFile = None, json: bool = False) -> int:
    """Show what a network uses: how much its error on a table grows when one input is shuffled.

    The report of fit shows the same for the validation rows, and the gates over time beside it.

    Args:
        model: folder that fit wrote, or a model file.
        table: CSV or Parquet file with the columns of the training table; - is standard input.
        out: file for the numbers, CSV or Parquet by its suffix.
        json: print one JSON document.
    """
    from statecast.cli import forecasts

    return forecasts.explain(model, table, out, json)


@command("tail -n +1 -f new.jsonl | statecast stream loads --snapshot loads.state")
def stream(
    model: str,
    /,
    *,
    snapshot: str | None = None,
    every: int = 1000,
    empty: bool = False,
    csv: bool = False,
) -> int:
    """Read new rows from standard input, and print a forecast for each at once.

    A row is a JSON object on a line of its own, or a line of CSV after a header; its keys are the columns of the
    training table. Each series goes on where that table ended; a series that was not in it starts anew. Columns known
    ahead need JSON: a list with the value of this step and of each step of the horizon. For each row comes one JSON
    line: id, time, times, statecast, statecast-lo-80, statecast-hi-80, … A row that cannot be used is refused by its
    line number, changes nothing, and makes the exit code 1 at the end.

    Args:
        model: folder that fit wrote, or a model file.
        snapshot: file to go on from if it exists; written at the end, on Ctrl-C and SIGTERM, and now and then.
        every: rows between two snapshots.
        empty: start with no series.
        csv: print CSV with a line for each step, as forecast does, with the row's time as cutoff.
    """
    from statecast.cli import live

    return live.run(model, snapshot, every, empty, csv)


@command("statecast describe loads")
def describe(model: str | None = None, /, *, system: bool = False, json: bool = False) -> int:
    """Show a model: its layers, columns, settings and scores.

    Args:
        model: folder that fit wrote, a model file, or the snapshot of a stream.
        system: show versions and how networks are run on this machine instead.
        json: print one JSON document.
    """
    from statecast.cli import about

    if system == (model is not None):
        raise SettingError("wanted the folder of a model, or --system")
    return about.system(json) if model is None else about.model(model, json)


@command("statecast settings hidden cell")
def settings(*names: str, markdown: bool = False, json: bool = False) -> int:
    """List all settings with their defaults, or those that are named.

    Args:
        names: settings to show.
        markdown: print the reference page of the documentation.
        json: print one JSON document.
    """
    from statecast.cli import about

    return about.settings(names, markdown, json)


@command("statecast example beijing_pm25 --out pm25.csv")
def example(name: Annotated[str | None, Parameter()] = None, /, *, out: str | None = None, json: bool = False) -> int:
    """Print where a table lies that comes with statecast, or copy it; without a name, list them.

    Args:
        name: the table.
        out: file to copy it to, Parquet or CSV by its suffix.
        json: print one JSON document.
    """
    from statecast.cli import about

    return about.example(name, out, json)


@command("statecast gallery sin walk --out gallery")
def gallery(
    *names: str,
    list_: Annotated[bool, Parameter(name="--list")] = False,
    out: str | None = None,
    data: str | None = None,
    recipe: str | None = None,
    json: bool = False,
) -> int:
    """Run the experiments of five tutorials, by their recipes and by statecast's own, and compare what comes out.

    Args:
        names: cases; all that there is data for if left out.
        list_: list the cases instead.
        out: folder for pictures, CSV files and one report page.
        data: folder with the tables that may not be shipped.
        recipe: tutorial or statecast, to run one of the two alone.
        json: print one JSON document.
    """
    from statecast.cli import gallery as room

    return room.listed(json) if list_ else room.run(names, out, data, recipe, json)
