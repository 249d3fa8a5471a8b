"""`statecast fit`: train, write, and report; an interrupted fit leaves a checkpoint and says how to continue."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statecast.cli import cell_modules, output
from statecast.cli.destination import Destination
from statecast.cli.options import FitRequest
from statecast.config import Config, names
from statecast.errors import (
    DataError,
    Interrupted,
    MissingDependency,
    OutputError,
    SettingError,
    TrainingError,
)
from statecast.estimators import Forecaster
from statecast.model.history import TRAINING, lengths
from statecast.report.progress import ProgressDisplay, duration

OUTCOMES = ("significance", "refit", "levels")  # settings of which a fit says what came of them
WRITING = 5.0  # seconds that pictures and files take, about

if TYPE_CHECKING:
    from statecast.report.summary import Report


def run(
    table: Any, out: str, request: FitRequest, resume: bool, force: bool, as_json: bool, words: Sequence[str]
) -> int:
    """Fit, write everything into a folder, and print what came out.

    Args:
        table: the file, or a mapping of columns.
        out: the folder.
        request: settings and columns.
        resume: continue from the checkpoint.
        force: replace an earlier fit.
        as_json: print JSON.
        words: the command line as typed, without the program's name.

    Raises:
        Interrupted: Ctrl-C; says how to continue.
        StatecastError: anything else that went wrong.
    """
    if find_spec("matplotlib") is None:  # said now rather than after the training
        raise MissingDependency.of("matplotlib", "plot", "the report of a fit")
    model = Forecaster(**request.settings)
    place = Destination(Path(out))
    place.prepare(resume, force)
    try:
        with ProgressDisplay(writing=WRITING) as progress:
            model.fit(table, **request.roles, watch=progress, checkpoint=place.checkpoint, resume=resume)
            progress.done()
            written = model.write(place.folder)
            place.finish(written)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(_interruption(error, place, words)) from error
    except OutputError:
        if place.unfinished:  # a full disk, perhaps: nothing that was trained is lost
            output.note(f"the checkpoint in {place.checkpoint} is kept; continue with --resume: {resumption(words)}")
        raise
    except (DataError, SettingError, TrainingError):
        if not resume:  # the same error would come again
            place.clear_checkpoint()
        raise
    finally:
        place.abandon()
    report = model.report()
    if as_json:
        output.document(_document(model, report, place, written))
    else:
        show(model, report, place, written, table)
    return 0


def _interruption(error: BaseException, place: Destination, words: Sequence[str]) -> str:
    if not place.unfinished:
        return "interrupted before the first checkpoint; nothing was written"
    kept = f"interrupted: the checkpoint in {place.checkpoint} is kept; continue with --resume"
    return f"{error if isinstance(error, Interrupted) else kept}: {resumption(words)}"


def resumption(words: Sequence[str]) -> str:
    """The command that goes on with what these words began."""
    return f"statecast {shlex.join([*(word for word in words if word not in ('--force', '--resume')), '--resume'])}"


def next_step(model: Forecaster, folder: Path, table: Any) -> str:
    """The command that forecasts from the folder of a fit, and what has to be written for it.

    Args:
        model: the fitted model.
        folder: where it was written.
        table: what it was fitted on: a path, "-" or columns.
    """
    cells, known = cell_modules.option_for(model.model_.config), model.model_.schema.known
    command = f"statecast forecast {shlex.quote(str(folder))}{cells}"
    if not known:
        return command
    if isinstance(table, str) and table != "-" and _reaches_ahead(model):
        return f"{command} --future {shlex.quote(table)}"
    schema, horizon = model.model_.schema, model.model_.config.horizon
    columns = [name for name in (schema.id, schema.time, *(item.name for item in known)) if name]
    steps = "the next step" if horizon == 1 else f"the next {horizon} steps"
    return f"{command} --future next.csv, where next.csv has {', '.join(columns)} for {steps} of every series"


def _reaches_ahead(model: Forecaster) -> bool:
    """Whether the training table holds what is known of the steps to forecast."""
    try:
        model.forecast()
    except DataError:
        return False
    return True


def show(model: Forecaster, report: Report, place: Destination, written: Sequence[Path], table: Any) -> None:
    """Print what came of a fit.

    Args:
        model: the fitted model.
        report: of it.
        place: the folder.
        written: the files in it.
        table: what was fitted.
    """
    from statecast.report import summary

    output.sources(report.evaluation)
    output.pairs(summary.facts_table(report.facts))
    output.say()
    output.say("chosen from the data:")
    reasons = [item for item in report.settings if item.origin == "chosen"]
    of_table = [(name, reason) for name, reason in model.reasons_.items() if name not in names(Config)]
    output.pairs([*of_table, *((f"{item.name} = {summary.value_text(item.value)}", item.reason) for item in reasons)])
    output.say()
    output.say(_trained(model))
    for item in report.settings:
        if item.origin == "default" and item.name in OUTCOMES and item.reason:
            output.prose(f"  {item.reason}", "  ")
    output.say()
    if report.evaluation:
        output.scores(report.evaluation)
    else:
        output.say("No rows were held out for a test, so the error of the forecast is unknown.")
    output.say()
    files = [path.relative_to(place.folder).parts[0] for path in written]
    output.prose(f"in {place.folder}: {', '.join(dict.fromkeys(files))}")
    output.say(f"open {place.folder / 'report.html'}")
    output.say(f"next: {next_step(model, place.folder, table)}")


def _trained(model: Forecaster) -> str:
    """How long it was trained, in words; steps of one training after another."""
    parts = lengths(model.model_.history)
    texts = [f"{phase}: {steps:,} steps in {duration(seconds)}" for phase, (steps, seconds) in parts.items() if steps]
    return "; ".join(texts) or "no training step was made"


def _document(model: Forecaster, report: Report, place: Destination, written: Sequence[Path]) -> dict[str, Any]:
    from statecast.report import summary

    steps, seconds = lengths(model.model_.history).get(TRAINING, (0, 0.0))
    return {
        "folder": str(place.folder),
        "files": [str(path) for path in written],
        "steps": steps,
        "seconds": seconds,
        "settings": model.model_.config.to_dict(),
        "chosen": {name: reason for name, reason in model.reasons_.items() if name not in names(Config)}
        | {item.name: item.reason for item in report.settings if item.origin == "chosen"},
        "remarks": {name: item.reason for item in report.settings if (name := item.name) in OUTCOMES and item.reason},
        "evaluation": model.evaluation_,
        "verdict": summary.conclusions(report.evaluation),
    }
