"""What a call works with: one model for all series, or one for each group of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from statecast.cluster.jobs import MODELS, Grouped
from statecast.cluster.work import Job
from statecast.data.buckets import name_of
from statecast.errors import ModelFileError
from statecast.estimators import Forecaster
from statecast.model import archive
from statecast.model.trained import Model


@dataclass(frozen=True, eq=False)
class Trained:
    """What is to be worked with: one model for all series, or one for each group of them.

    Attributes:
        model: the one, or the first of many, whose columns are those of all.
        group: the column that makes the groups; None where there are none.
        files: their models.
    """

    model: Model
    group: str | None = None
    files: Mapping[Any, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Forecaster | str | Path) -> Trained:
        """From what a caller gives: a fitted Forecaster, where one was saved, or the folder that `fit` filled."""
        if isinstance(model, Forecaster):
            return cls(model.model_)
        folder = Path(model)
        if not (folder / MODELS).is_file():
            return cls(archive.load(folder))
        group, files = _files(folder.absolute())
        return cls(archive.load(next(iter(files.values()))), group, files)

    @property
    def content(self) -> bytes | None:
        """The archive of the one model."""
        return None if self.files else archive.to_bytes(self.model)

    def job(self, job: Job) -> Job:
        """A job for one model as a job for these."""
        return job if self.group is None else Grouped(self.group, job, self.files)

    @property
    def order(self) -> str:
        """The column of ids in results."""
        return self.model.schema.id_column

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that are read of a table."""
        schema = self.model.schema
        return self._with((*schema.target, *(part.name for part in (*schema.past, *schema.known, *schema.static))))

    @property
    def ahead(self) -> tuple[str, ...]:
        """Those that are read of a table of what is known ahead."""
        return self._with(tuple(part.name for part in self.model.schema.known))

    def _with(self, names: tuple[str, ...]) -> tuple[str, ...]:
        schema = self.model.schema
        lone = (name for name in (self.group, schema.id, schema.time) if name is not None)
        return tuple(dict.fromkeys([*lone, *names]))


def _files(folder: Path) -> tuple[str, dict[Any, Path]]:
    """The column that makes the groups of a folder, and the file of each group's model.

    Raises:
        ModelFileError: the table of the groups is none that `fit` wrote.
    """
    try:
        table = pyarrow.parquet.read_table(folder / MODELS)
    except (OSError, pa.ArrowException) as error:
        raise ModelFileError(f"{folder / MODELS} cannot be read: {error}") from error
    names = table["model"].to_pylist() if "model" in table.column_names else []
    if not names or not all(isinstance(name, str) and name == Path(name).name for name in names):
        raise ModelFileError(f"{folder / MODELS} does not name the files of models beside it: fit the groups again")
    groups = [name_of(value) for value in table.column(0).to_pylist()]
    return table.column_names[0], dict(zip(groups, (folder / name for name in names), strict=True))
