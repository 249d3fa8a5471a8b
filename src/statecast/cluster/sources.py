"""A source of rows as pieces that a worker can read by itself.

A piece is a recipe, not rows: a fragment of a Parquet file, or a reference to a block of a Ray Dataset. Only a frame
that is in memory already is written to a file first, so that every worker reads its pieces in the same way.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from statecast.cluster.pieces import BlockPiece, FragmentPiece, RowPiece
from statecast.cluster.plan import room_explained
from statecast.data.tabular.frames import to_arrow
from statecast.data.tabular.table import Table
from statecast.data.tabular.table import read as read_table
from statecast.errors import DataError, MissingDependency, nearest

try:
    import pyarrow as pa
    import pyarrow.dataset
    import pyarrow.parquet
except ImportError as error:
    raise MissingDependency.of("pyarrow", "cluster", "spreading series over workers") from error

PIECE = 1_000_000  # rows of a row group of a frame that is written to a file


@dataclass(frozen=True, eq=False)
class RowSource:
    """Where rows come from.

    Attributes:
        pieces: all of them, in the order of the rows.
        names: the columns.
        rows: how many rows there are.
        origin: what to call it in messages.
        lacking: for each column that a file does not have, which other files have, the first such file.
    """

    pieces: tuple[RowPiece, ...]
    names: tuple[str, ...]
    rows: int
    origin: str
    lacking: Mapping[str, str] = field(default_factory=dict)

    def require(self, columns: Sequence[str], role: str) -> None:
        """Refuse a source that lacks a column.

        Raises:
            DataError: it does.
        """
        for name in columns:
            if name not in self.names:
                raise DataError(f"{self.origin} has no column {name!r} ({role}); {nearest(name, self.names)}")
            if name in self.lacking:
                raise DataError(
                    f"{self.lacking[name]} has no column {name!r} ({role}), which {self.origin} has elsewhere"
                )


def source_of(source: Any, scratch: Path) -> RowSource:
    """The pieces of a source.

    Args:
        source: the path of a Parquet file, a pattern such as "tables/*.parquet", a folder, a list of these, a pyarrow
            dataset, a Ray Dataset, or any table that `Forecaster.fit` takes.
        scratch: a folder for a table that is in memory.

    Raises:
        DataError: there are no rows, or they cannot be read.
    """
    if isinstance(source, pyarrow.dataset.Dataset):
        return _of_dataset(source, "the dataset")
    if hasattr(source, "to_arrow_refs"):
        return _of_ray(source)
    if isinstance(source, (str, os.PathLike)) and not _is_other_file(source):
        return _of_paths([str(source)])
    if isinstance(source, (list, tuple)) and source and all(isinstance(item, (str, os.PathLike)) for item in source):
        return _of_paths([str(item) for item in source])
    return _of_table(read_table(source), scratch)


def _is_other_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a table that is not a Parquet file: CSV, or standard input."""
    return str(path) == "-" or str(path).lower().endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt"))


def _of_paths(paths: Sequence[str]) -> RowSource:
    files = [file for path in paths for file in _files(path)]
    origin = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    try:
        folder = len(files) == 1 and os.path.isdir(files[0])
        dataset = pyarrow.dataset.dataset(
            files if len(files) > 1 else files[0], format="parquet", partitioning="hive" if folder else None
        )
        return _of_dataset(dataset, origin)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{origin} cannot be read as Parquet: {error}") from error


def _files(path: str) -> list[str]:
    """The files that a path or pattern names, in order; an address such as s3://… is left to pyarrow."""
    if "://" in path or os.path.isdir(path):
        return [path]
    files = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else [path]
    if not files:
        raise DataError(f"no file matches {path}")
    for file in files:
        if not os.path.exists(file):
            raise DataError(f"there is no file {file}")
    return files


def _of_dataset(dataset: Any, origin: str) -> RowSource:
    pieces, rows, lacking = [], 0, {}  # type: list[RowPiece], int, dict[str, str]
    for fragment in dataset.get_fragments():
        parts = fragment.split_by_row_group() if hasattr(fragment, "split_by_row_group") else [fragment]
        for part in parts:
            count = part.count_rows()
            rows += count
            if count:
                pieces.append(piece := FragmentPiece(part, dataset.schema))
                lacking |= dict.fromkeys(piece.lacking - lacking.keys(), piece.place)
    if not rows:
        raise DataError(f"{origin} has no rows")
    return RowSource(tuple(pieces), tuple(dataset.schema.names), rows, origin, lacking)


def _of_ray(dataset: Any) -> RowSource:
    pieces = tuple(BlockPiece(reference) for reference in dataset.to_arrow_refs())
    rows = int(dataset.count())
    if not rows:
        raise DataError("the Ray Dataset has no rows")
    return RowSource(pieces, tuple(dataset.schema().names), rows, "the Ray Dataset")


def _of_table(table: Table, scratch: Path) -> RowSource:
    """A table in memory, by way of a file."""
    path = scratch / f"table-{len(list(scratch.iterdir()))}.parquet"
    with room_explained(scratch):
        pyarrow.parquet.write_table(to_arrow(table.frame()), path, row_group_size=PIECE)
    return _of_dataset(pyarrow.dataset.dataset(path, format="parquet"), table.origin)
