"""What an engine runs. Every engine does the same in two phases.

First every piece of the source is read and cut by buckets; then each bucket's cuts are brought together, in the order
of the pieces, and worked on. A worker that dies takes no result with it: what it had in hand is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from statecast.cluster.outcome import Stage
from statecast.cluster.partition import Partition
from statecast.cluster.pieces import RowPiece
from statecast.cluster.work import BucketWork
from statecast.errors import OutputError

AHEAD = 4  # tasks of each worker that are handed out before they are needed

Watch = Callable[[Stage], None]


@dataclass(frozen=True, eq=False)
class Plan:
    """What an engine is to run.

    Attributes:
        rows: the pieces of the source.
        future: those of the covariates known ahead; none where there are none.
        partition: how rows are put into buckets.
        future_partition: the same for those known ahead, which have columns of their own.
        work: what is done with a bucket.
        scratch: a folder of this machine for rows on their way.
        watch: is told of the progress.
        total: rows of the source.
    """

    rows: Sequence[RowPiece]
    future: Sequence[RowPiece]
    partition: Partition
    future_partition: Partition
    work: BucketWork
    scratch: Path
    watch: Watch
    total: int = 0

    @property
    def pieces(self) -> list[tuple[Partition, RowPiece]]:
        """All pieces, each with how it is cut; the rows' first."""
        return [
            *((self.partition, piece) for piece in self.rows),
            *((self.future_partition, piece) for piece in self.future),
        ]


@contextmanager
def room_explained(folder: Path) -> Iterator[None]:
    """What goes wrong as rows are written there, as an error of ours.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"rows on their way to workers cannot be written to {folder}: {error.strerror or error}; they take about "
            "as much room as the columns that are read: let the environment variable TMPDIR name a folder with more"
        ) from error
