"""What came of a call over many workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class SkippedSeries:
    """A series, or a group of them, that could not be worked on.

    Attributes:
        name: its name; None if the fault is not that of a single one.
        column: the column that names it; None if all rows are of one series.
        bucket: the number of its bucket.
        message: what is wrong.

    Example:
        >>> print(sc.cluster.SkippedSeries("north", "site", 3, "column load: row 7 holds text"))
        bucket 3, site 'north': column load: row 7 holds text
    """

    name: Any
    column: str | None
    bucket: int
    message: str

    def __str__(self) -> str:
        name = "" if self.column is None else f", {self.column} {self.name!r}"
        return f"bucket {self.bucket}{name}: {self.message}"


@dataclass(frozen=True, eq=False)
class Stage:
    """How far a call has got.

    Attributes:
        phase: "reading", in which rows are put into buckets, or "working", in which buckets are worked on.
        done: pieces or buckets that are finished.
        total: how many there are.
    """

    phase: str
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of a call.

    Attributes:
        rows: the number of rows of the result.
        series: the number of series that were processed, or of groups if `fit` fits by a column.
        files: the files that were written, in order; none without `out`.
        skipped: what could not be used, with `on_error="skip"`.
        scores: those of `score`, as a mapping like that of `Forecaster.score`.
        result: the rows themselves if no `out` was given.

    Example:
        >>> outcome.rows, outcome.series, outcome.skipped
        (12, 1, ())
    """

    rows: int
    series: int
    files: tuple[Path, ...] = ()
    skipped: tuple[SkippedSeries, ...] = ()
    scores: Mapping[str, Any] | None = None
    result: pa.Table | None = None

    def table(self) -> pa.Table:
        """The result as a pyarrow table, read from the files if it was written to some; it must fit into memory.

        Example:
            >>> outcome.table().column_names[:3]
            ['unique_id', 'month', 'statecast']
        """
        import pyarrow as pa
        import pyarrow.parquet

        if self.result is not None:
            return self.result
        return pa.concat_tables([pyarrow.parquet.read_table(file) for file in self.files])
