"""`statecast update`: a saved model takes the rows that have come since, and is written back or into another folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from statecast.cli import output
from statecast.cli.destination import Destination
from statecast.cli.fitting import resumption
from statecast.errors import Interrupted
from statecast.estimators import Forecaster
from statecast.estimators.updating import Learning
from statecast.report.folder import write_model
from statecast.report.progress import ProgressDisplay


def run(
    path: str, table: str, learning: Learning, out: str | None, resume: bool, as_json: bool, words: Sequence[str]
) -> int:
    """Update a model, write it, and print what came of the rows.

    Args:
        path: the folder of a fit, or a model file.
        table: the file.
        learning: whether weights learn, and how.
        out: the folder to write into; where the model lies if None.
        resume: continue from the checkpoint.
        as_json: print JSON.
        words: the command line as typed, without the program's name.

    Raises:
        Interrupted: Ctrl-C; says how to continue.
        StatecastError: anything else that went wrong.
    """
    model = Forecaster.load(path)
    where = Path(path)
    place = Destination(Path(out) if out else where if where.is_dir() else where.parent)
    if out:
        place.prepare(resume, force=False)
    elif resume:
        place.prepare(resume, force=True)
    try:
        with ProgressDisplay() as progress:
            model.update(
                table,
                learning.enabled,
                steps=learning.steps,
                learning_rate=learning.learning_rate,
                watch=progress,
                checkpoint=place.checkpoint if learning.enabled else None,
                resume=resume,
            )
        written = write_model(place.folder, model.model_) if out or where.is_dir() else [model.save(where)]
        if learning.enabled:
            place.clear_checkpoint()
    except Interrupted as error:
        raise Interrupted(f"{error}: {resumption(words)}") from error
    finally:
        place.abandon()
    if as_json:
        document = {name: value for name, value in asdict(model.update_).items() if value not in (None, "")}
        output.document(document | {"files": [str(path) for path in written]})
        return 0
    output.prose(f"{model.update_.text}.")
    if model.update_.verdict:
        output.prose(f"{model.update_.verdict}.")
    home = str(place.folder) if out else path
    output.say(f"in {home}; next: statecast forecast {shlex.quote(home)}")
    return 0
