"""The folder of rows on their way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statecast.errors import OutputError


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """What goes wrong as rows are written there, as an error of ours.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"rows on their way to workers cannot be written to {folder}: {error.strerror or error}; they take about "
            "as much room as the columns that are read: name a folder with more by the environment variable TMPDIR"
        ) from error
