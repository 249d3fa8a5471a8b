"""Processes of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

from statecast.cluster.outcome import Stage
from statecast.cluster.partition import Partition
from statecast.cluster.pieces import RowPiece
from statecast.cluster.plan import AHEAD, Plan, room_explained
from statecast.cluster.work import Answer, BucketWork
from statecast.errors import StatecastError

MOST_ON_WINDOWS = 61  # processes that one may wait for there
DEATHS = 3  # of workers without any progress in between, after which there is no point in going on


class LocalEngine:
    """Processes of this machine, each started anew ("spawn"), so that threads of the caller do no harm.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = min(workers, MOST_ON_WINDOWS) if sys.platform == "win32" else workers

    def run(self, plan: Plan) -> Iterator[Answer]:
        """See `Executor`."""
        names = [plan.scratch / f"piece-{n:06}.arrow" for n in range(len(plan.pieces))]
        pool = _Pool(self.workers, plan.scratch / "arrived")
        try:
            pairs = zip(plan.pieces, names, strict=True)
            calls = [partial(_cut, partition, piece, name) for (partition, piece), name in pairs]
            for n, _ in enumerate(pool.results(calls), 1):
                plan.watch(Stage("reading", n, len(calls)))
            rows, future = names[: len(plan.rows)], names[len(plan.rows) :]
            works = [partial(_work, plan.work, k, rows, future) for k in range(plan.partition.count)]
            for n, answer in enumerate(pool.results(works), 1):
                plan.watch(Stage("working", n, len(works)))
                yield answer
        finally:
            pool.close()


class _Pool:
    """Processes that are replaced when one of them dies.

    Args:
        workers: how many.
        arrived: a file that each makes as soon as it is up.
    """

    def __init__(self, workers: int, arrived: Path) -> None:
        self._workers, self._arrived = workers, arrived
        self._pool = self._fresh()

    def _fresh(self) -> ProcessPoolExecutor:
        spawn = get_context("spawn")
        return ProcessPoolExecutor(self._workers, spawn, initializer=Path.touch, initargs=(self._arrived,))

    def results(self, calls: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        """What calls return, as they are done; those that a dead process had in hand are made again.

        Raises:
            StatecastError: processes die again and again, or cannot be started.
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
                if not self._arrived.exists():
                    raise StatecastError(
                        "no worker process could be started: each first runs what stands outside of functions in the "
                        'calling script; put the call below `if __name__ == "__main__":`'
                    ) from error
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


def _cut(partition: Partition, piece: RowPiece, name: Path) -> None:
    """Write the rows of a piece, one batch of a file for each bucket.

    Raises:
        DataError: they cannot be read.
        OutputError: there is no room for them.
    """
    parts = partition.parts(piece)
    draft = name.with_suffix(f".{os.getpid()}")  # another process may do the same again after a death
    with room_explained(name.parent):
        with pa.OSFile(str(draft), "wb") as file, pa.ipc.new_file(file, parts[0].schema) as writer:
            for part in parts:
                whole = part.combine_chunks().to_batches()
                writer.write_batch(whole[0] if whole else pa.RecordBatch.from_pylist([], part.schema))
        os.replace(draft, name)


def _work(work: BucketWork, bucket: int, rows: Sequence[Path], future: Sequence[Path]) -> Answer:
    return work.do(bucket, *([_batch(name, bucket) for name in names] for names in (rows, future)))


def _batch(name: Path, bucket: int) -> pa.Table:
    with pa.memory_map(str(name)) as file:
        return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(bucket)])
