"""What a worker does with the rows of a bucket, and what it answers.

A job says what is to be done; `BucketWork` does it for one bucket after another, and finds the series that is at fault
where a job fails. Both travel to the workers, the model as the bytes of its archive, which each process reads once.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet

from statecast.cluster.outcome import SkippedSeries
from statecast.cluster.partition import spellings, where
from statecast.errors import SettingError, StatecastError
from statecast.files import write_bytes
from statecast.forecast.scores.comparison import ScoreSums
from statecast.model import archive
from statecast.model.trained import Model

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # parameters of glibc's mallopt
LARGEST_MMAP_THRESHOLD, NEVER_TRIMMED = 32 << 20, (1 << 31) - 1  # their largest values


class Job(Protocol):
    """What is done with the rows of some series."""

    @property
    def group(self) -> str | None:
        """The column that names what can be worked on alone: a series, or a group of them."""

    @property
    def apart(self) -> bool:
        """Whether each group is worked on for itself; else all of a bucket's series together, which takes less time."""

    def run(self, rows: pa.Table, future: pa.Table | None, model: Model | None) -> Result:
        """Do it."""

    def schema(self, model: Any) -> pa.Schema:
        """The columns of the result's table, which may lack some of them."""


@dataclass(frozen=True, eq=False)
class Result:
    """What came of a job.

    Attributes:
        table: of rows.
        series: that were worked on.
        score_sums: the sums from which scores follow, by series.
    """

    table: pa.Table
    series: int
    score_sums: Mapping[Any, ScoreSums] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a worker answers about a bucket.

    Attributes:
        bucket: its number.
        rows: of the result.
        series: that were worked on.
        table: the result where it was not written.
        file: where it was.
        skipped: what could not be worked on.
        score_sums: see `Result`.
    """

    bucket: int
    rows: int = 0
    series: int = 0
    table: pa.Table | None = None
    file: Path | None = None
    skipped: tuple[SkippedSeries, ...] = ()
    score_sums: Mapping[Any, ScoreSums] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BucketWork:
    """A job for every bucket.

    Attributes:
        job: what is done.
        content: the model's archive; None where the job needs none.
        out: folder for the results; they are answered if None.
        patient: whether a series at fault is passed over; else it ends the work on its bucket.
    """

    job: Job
    content: bytes | None
    out: Path | None
    patient: bool = False

    @cached_property
    def model(self) -> Model | None:
        """The model, read once in each process."""
        return None if self.content is None else _loaded(self.content)

    def do(self, bucket: int, rows: Sequence[pa.Table], future: Sequence[pa.Table]) -> Answer:
        """The job for the rows of a bucket, which come in parts."""
        _keep_freed_memory()
        filled = [part for part in rows if part.num_rows]
        if not filled:
            return Answer(bucket)
        skipped: list[SkippedSeries] = []
        ahead = pa.concat_tables(future) if future else None
        results = list(self._results(bucket, pa.concat_tables(filled), ahead, skipped))
        score_sums = merged(result.score_sums for result in results)
        series, tables = sum(result.series for result in results), [result.table for result in results]
        if not tables:
            return Answer(bucket, skipped=tuple(skipped))
        table = pa.concat_tables(tables, promote_options="permissive")
        answer = Answer(bucket, table.num_rows, series, skipped=tuple(skipped), score_sums=score_sums)
        return self._handed_over(answer, table)

    def _handed_over(self, answer: Answer, table: pa.Table) -> Answer:
        if self.out is None:
            return replace(answer, table=table)
        return replace(answer, file=write(table, self.out / f"part-{answer.bucket:05}.parquet"))

    def _results(
        self, bucket: int, rows: pa.Table, future: pa.Table | None, skipped: list[SkippedSeries]
    ) -> Iterator[Result]:
        """The results of a bucket; where some series is at fault, those of the halves without it."""
        group = self.job.group
        names = [] if group is None else [*spellings(rows, group).items()]
        parts = [[one] for one in names] if self.job.apart else [names[: len(names) // 2], names[len(names) // 2 :]]
        if len(names) < 2 or not self.job.apart:
            try:
                yield self.job.run(rows, future, self.model)
                return
            except StatecastError as error:
                if isinstance(error, SettingError) and not self.job.apart:
                    raise  # it is the caller's, and no series is at fault
                if len(names) < 2:
                    skipped.append(SkippedSeries(names[0][0] if names else None, group, bucket, str(error)))
                    return
        assert group is not None
        for part in parts:
            values = [value for _, spelling in part for value in spelling]
            ahead = None if future is None else where(future, group, values)
            yield from self._results(bucket, where(rows, group, values), ahead, skipped)
            if skipped and not self.patient:
                return


def merged(parts: Iterable[Mapping[Any, ScoreSums]]) -> dict[Any, ScoreSums]:
    """The sums of scores of each series, of which several parts may have some: one of the same name in each group."""
    result: dict[Any, ScoreSums] = {}
    for part in parts:
        for name, sums in part.items():
            result[name] = result[name].merge(sums) if name in result else sums
    return result


def write(table: pa.Table, path: Path) -> Path:
    """Write a table as a Parquet file, which appears whole or not at all."""
    content = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, content, compression="zstd")
    return write_bytes(path, content.getvalue().to_pybytes())


@cache
def _keep_freed_memory() -> None:
    """Let this process keep the memory of a bucket's arrays for those of the next one.

    glibc gives large arrays back to the system as they are freed, and page faults as they come anew are up to a tenth
    of a worker's time. Other C libraries have no such switch.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(TRIM_THRESHOLD, NEVER_TRIMMED)


@lru_cache(maxsize=2)
def _loaded(content: bytes) -> Model:
    """The model, for a worker that has one thread: there is another one on the next processor."""
    return in_one_thread(archive.from_bytes(content, "the model that was sent to a worker"))


def in_one_thread(model: Model) -> Model:
    """The same model, run by one thread; its bits do not depend on that."""
    stack = replace(model.network.stack, threads=1)
    return replace(model, network=replace(model.network, stack=stack))
