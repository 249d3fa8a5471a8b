"""Pieces of a source: recipes, not rows, so that they travel to workers in a few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from statecast.errors import DataError, MissingDependency

try:
    import pyarrow as pa
    import pyarrow.dataset
except ImportError as error:
    raise MissingDependency.of("pyarrow", "cluster", "spreading series over workers") from error


class RowPiece(Protocol):
    """Some rows of a source."""

    def read(self, columns: Sequence[str] | None) -> pa.Table:
        """These rows, with these columns or with all.

        Raises:
            DataError: they cannot be read.
        """


@dataclass(frozen=True)
class FragmentPiece:
    """A fragment of a dataset, such as a row group of a Parquet file.

    Attributes:
        fragment: of a pyarrow dataset.
        schema: of the whole dataset, which a file need not have in full.
    """

    fragment: pyarrow.dataset.Fragment
    schema: pa.Schema

    def read(self, columns: Sequence[str] | None) -> pa.Table:
        """See `RowPiece`."""
        try:
            return self.fragment.to_table(schema=self.schema, columns=columns and list(columns), use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.place} cannot be read: {error}") from error

    @property
    def place(self) -> str:
        """What to call it in messages."""
        return str(getattr(self.fragment, "path", None) or "a part of the dataset")

    @property
    def lacking(self) -> frozenset[str]:
        """The dataset's columns that these rows do not have, neither in the file nor by the name of its folder."""
        names = set(self.schema.names) - set(self.fragment.physical_schema.names)
        return frozenset(names - set(pyarrow.dataset.get_partition_keys(self.fragment.partition_expression)))


@dataclass(frozen=True, eq=False)
class BlockPiece:
    """A block of a Ray Dataset.

    Attributes:
        reference: to an Arrow table in the object store.
    """

    reference: Any

    def read(self, columns: Sequence[str] | None) -> pa.Table:
        """See `RowPiece`."""
        import ray

        table = ray.get(self.reference)
        return table if columns is None else table.select(list(columns))
