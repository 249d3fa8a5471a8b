"""Scalars for TensorBoard, on request alone.

Where no folder is asked for, nothing is imported, opened or written. The names are those of the history's columns, so
that a curve in TensorBoard and the file `history.csv` tell the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from statecast.errors import MissingDependency, OutputError

Log = Callable[[Mapping[str, float]], None]

TAGS = {
    "loss": "loss/training",
    "val_loss": "loss/validation",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
    "seconds": "seconds",
}


@contextmanager
def scalars(folder: str | None, step: int) -> Iterator[Log]:
    """A function that logs one row of the history; it does nothing where there is no folder.

    Args:
        folder: where the event files go.
        step: the step that the fit goes on from; what an earlier run logged after it is left out of the curves.

    Raises:
        MissingDependency: tensorboardX is not installed.
        OutputError: the folder cannot be written.
    """
    if folder is None:
        yield lambda row: None
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise MissingDependency.of("tensorboardX", "logs", "the setting tensorboard") from error
    try:
        writer = SummaryWriter(folder, purge_step=step + 1 if step else None, flush_secs=1)
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror or error}; give tensorboard a folder that can be written"
        ) from error

    def log(row: Mapping[str, float]) -> None:
        for name, tag in TAGS.items():
            if not math.isnan(row[name]):
                writer.add_scalar(tag, row[name], int(row["step"]))

    try:
        yield log
    finally:
        writer.close()  # waits until all is written
