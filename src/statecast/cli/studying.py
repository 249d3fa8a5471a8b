"""`statecast tune`: try settings, fit with the best, write and report; what was tried is kept, to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from statecast.cli import fitting, output
from statecast.cli.destination import StudyDestination
from statecast.cli.options import FitRequest
from statecast.errors import Interrupted, MissingDependency
from statecast.tuning import Tuning, tune
from statecast.tuning.display import TuningDisplay

SHOWN = 5  # of the best trials


@dataclass(frozen=True)
class StudyRequest:
    """How settings are tried.

    Attributes:
        trials: how many; None where time alone limits them.
        minutes: for all.
        engine: where they run.
        workers: how many at once.
        resume: go on with the study in the folder.
        force: replace an earlier one.
    """

    trials: int | None
    minutes: float | None
    engine: str | None
    workers: int | None
    resume: bool
    force: bool


def run(table: Any, out: str, request: FitRequest, study: StudyRequest, as_json: bool, words: Sequence[str]) -> int:
    """Tune, write everything into a folder, and print what came out.

    Args:
        table: the file, or a mapping of columns.
        out: the folder.
        request: settings and columns.
        study: how settings are tried.
        as_json: print JSON.
        words: the command line as typed, without the program's name.

    Raises:
        Interrupted: Ctrl-C before there is a result; says how to continue.
        StatecastError: anything else that went wrong.
    """
    if find_spec("matplotlib") is None:  # said now rather than after the trials
        raise MissingDependency.of("matplotlib", "plot", "the report of a fit")
    place = StudyDestination(Path(out))
    place.prepare(study.resume, study.force)
    options: dict[str, Any] = {"trials": study.trials, "minutes": study.minutes, "space": request.space}
    options |= {"engine": study.engine, "workers": study.workers}
    try:
        with TuningDisplay() as progress:
            options |= request.roles | request.settings
            tuning = tune(table, **options, out=place.folder, resume=study.resume, watch=progress)
            written = tuning.write(place.folder)
            place.finish(written)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(_interruption(error, place, words)) from error
    finally:
        place.abandon()
    if as_json:
        output.document(_document(tuning, place.folder, written))
        return 0
    _show(tuning)
    fitting.show(tuning.forecaster, tuning.forecaster.report(), place, written, table)
    return 0


def _interruption(error: BaseException, place: StudyDestination, words: Sequence[str]) -> str:
    if not place.unfinished:
        return "interrupted before the first trial had ended; nothing was written"
    kept = f"interrupted: the trials in {place.study} are kept; continue with --resume"
    return f"{error if isinstance(error, Interrupted) else kept}: {fitting.resumption(words)}"


def _show(tuning: Tuning) -> None:
    for sentence in tuning.sentences:
        output.prose(sentence)
    output.say()
    output.table(tuning.leaders(SHOWN))
    output.say()


def _document(tuning: Tuning, folder: Path, written: Sequence[Path]) -> dict[str, Any]:
    columns = tuning.columns()
    trials = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    verdict = tuning.verdict
    return {
        "folder": str(folder),
        "files": [str(path) for path in written],
        "tuned": tuning.settings,
        "best": {"trial": verdict.best, "settings": dict(verdict.settings), "taken": verdict.taken},
        "windows": {
            "count": verdict.windows,
            "apparent_gain": verdict.apparent,
            "gain": verdict.gain,
            "chance": verdict.chance,
        },
        "trials": trials,
        "interrupted": tuning.interrupted,
        "evaluation": tuning.forecaster.evaluation_,
        "automatic": tuning.automatic,
        "settings": tuning.forecaster.model_.config.to_dict(),
        "verdict": tuning.sentences,
    }
