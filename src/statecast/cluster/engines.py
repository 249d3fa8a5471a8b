"""The engines: who runs the work. "local" is processes of this machine; "ray" is in a room of its own.

Both do the same in two phases. First every piece of the source is read and cut by buckets; then each bucket's cuts are
brought together, in the order of the pieces, and worked on. A worker that dies takes no result with it: what it had in
hand is done again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from statecast.cluster.outcome import Progress
from statecast.cluster.sources import Piece
from statecast.cluster.spread import Spread
from statecast.cluster.work import Answer, Work
from statecast.errors import SettingError, StatecastError, nearest

ENGINES = ("ray", "local")
DEATHS = 3  # of workers without any progress in between, after which there is no point in going on
AHEAD = 4  # tasks of each worker that are handed out before they are needed

Watch = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class Plan:
    """What an engine is to run.

    Attributes:
        rows: the pieces of the source.
        future: those of the covariates known ahead; none where there are none.
        spread: how rows are put into buckets; those known ahead likewise, but for the columns.
        work: what is done with a bucket.
        scratch: a folder of this machine for rows on their way.
        watch: is told of the progress.
    """

    rows: Sequence[Piece]
    future: Sequence[Piece]
    spread: Spread
    future_spread: Spread
    work: Work
    scratch: Path
    watch: Watch

    @property
    def pieces(self) -> list[tuple[Spread, Piece]]:
        """All pieces, each with how it is spread; the rows' first."""
        return [*((self.spread, piece) for piece in self.rows), *((self.future_spread, piece) for piece in self.future)]


class Engine(Protocol):
    """Runs a plan."""

    def run(self, plan: Plan) -> Iterator[Answer]:
        """The answers about all buckets, as they come."""


def engine_of(name: str | None, workers: int | None) -> Engine:
    """The engine of a name; Ray where it is installed, if no name is given.

    Raises:
        SettingError: there is no such engine, or no such number of workers.
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise SettingError(f"workers = {workers!r}: wanted a whole number of at least 1")
    name = name or ("ray" if find_spec("ray") else "local")
    if name == "local":
        return LocalEngine(workers or _processors())
    if name == "ray":
        from statecast.cluster.ray import RayEngine

        return RayEngine(workers)
    raise SettingError(f"there is no engine {name!r}; {nearest(name, ENGINES)}")


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalEngine:
    """Processes of this machine, each started anew ("spawn"), so that threads of the caller do no harm.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, plan: Plan) -> Iterator[Answer]:
        """See `Engine`."""
        names = [plan.scratch / f"piece-{n:06}.arrow" for n in range(len(plan.pieces))]
        pool = _Pool(self.workers)
        try:
            pairs = zip(plan.pieces, names, strict=True)
            calls = [partial(_cut, spread, piece, name) for (spread, piece), name in pairs]
            for n, _ in enumerate(pool.results(calls), 1):
                plan.watch(Progress("reading", n, len(calls)))
            rows, future = names[: len(plan.rows)], names[len(plan.rows) :]
            works = [partial(_work, plan.work, k, rows, future) for k in range(plan.spread.count)]
            for n, answer in enumerate(pool.results(works), 1):
                plan.watch(Progress("working", n, len(works)))
                yield answer
        finally:
            pool.close()


class _Pool:
    """Processes that are replaced when one of them dies."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._fresh()

    def _fresh(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))

    def results(self, calls: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        """What calls return, as they are done; those that a dead process had in hand are made again.

        Raises:
            StatecastError: processes die again and again.
        """
        left, deaths = list(calls)[::-1], 0
        running: dict[Future[Any], Callable[[], Any]] = {}
        while left or running:
            try:
                while left and len(running) < AHEAD * self._workers:
                    running[self._pool.submit(left[-1])] = left[-1]
                    left.pop()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    del running[future]
                    deaths = 0
                    yield result
            except BrokenProcessPool as error:
                deaths += 1
                if deaths > DEATHS:
                    raise StatecastError(
                        f"worker processes died {deaths} times without finishing anything (out of memory?): ask for "
                        "more buckets, so that each is smaller, or for fewer workers"
                    ) from error
                left += running.values()
                running.clear()
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = self._fresh()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _cut(spread: Spread, piece: Piece, name: Path) -> None:
    """Write the rows of a piece, one batch of a file for each bucket."""
    parts = spread.parts(piece)
    draft = name.with_suffix(f".{os.getpid()}")  # another process may do the same again after a death
    with pa.OSFile(str(draft), "wb") as file, pa.ipc.new_file(file, parts[0].schema) as writer:
        for part in parts:
            whole = part.combine_chunks().to_batches()
            writer.write_batch(whole[0] if whole else pa.RecordBatch.from_pylist([], part.schema))
    os.replace(draft, name)


def _work(work: Work, bucket: int, rows: Sequence[Path], future: Sequence[Path]) -> Answer:
    return work.do(bucket, *([_batch(name, bucket) for name in names] for names in (rows, future)))


def _batch(name: Path, bucket: int) -> pa.Table:
    with pa.memory_map(str(name)) as file:
        return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(bucket)])
