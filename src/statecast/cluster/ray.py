"""The same plan as tasks of a Ray cluster; rows travel through its object store, the model once to each node."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from statecast.cluster.outcome import Stage
from statecast.cluster.partition import Partition
from statecast.cluster.pieces import RowPiece
from statecast.cluster.plan import AHEAD, Plan
from statecast.cluster.work import Answer, BucketWork
from statecast.errors import MissingDependency, StatecastError

try:
    import ray
    import ray.exceptions
except ImportError as error:
    raise MissingDependency.of("ray", "ray", 'engine="ray"') from error

RETRIES = 3  # of a task whose worker died
INLINE = 128 << 10  # bytes of a result below which Ray may put it into the driver's own memory
LITTLE = 64 << 20  # bytes of all rows that the driver may as well hold
DEATHS = tuple(
    getattr(ray.exceptions, f"{name}Error") for name in ("WorkerCrashed", "OutOfMemory", "NodeDied", "ObjectLost")
)


class RayEngine:
    """Tasks of the Ray cluster that the program is connected to, or of one that is started on this machine.

    Args:
        workers: tasks that run at once; as many as the cluster has processors if None.
    """

    def __init__(self, workers: int | None) -> None:
        if not ray.is_initialized():
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        library: Any = ray  # which has no types of its own
        resources: dict[str, float] = library.cluster_resources()
        self.workers: int = workers or max(int(resources.get("CPU", 1)), 1)

    def run(self, plan: Plan) -> Iterator[Answer]:
        """See `Executor`."""
        cuts = self._cuts(plan)
        work = ray.put(plan.work)
        of_work = ray.remote(_work).options(max_retries=RETRIES)
        calls = (
            (of_work, (work, k, len(cuts[0]), *(parts[k] for kind in cuts for parts in kind)))
            for k in range(plan.partition.count)
        )
        for n, (_, reference) in enumerate(self._done(calls), 1):
            answer = _result(reference)
            plan.watch(Stage("working", n, plan.partition.count))
            yield answer

    def _cuts(self, plan: Plan) -> tuple[list[list[Any]], list[list[Any]]]:
        """For some pieces after others, references to their rows of each bucket; and those of what is known ahead."""
        size = pieces_together(plan)
        rows, future = (
            [(partition, pieces[n : n + size]) for n in range(0, len(pieces), size)]
            for partition, pieces in ((plan.partition, plan.rows), (plan.future_partition, plan.future))
        )
        of_cut = ray.remote(_cut).options(num_returns=1 + plan.partition.count, max_retries=RETRIES)
        references: dict[int, list[Any]] = {}
        calls = ((of_cut, arguments) for arguments in (*rows, *future))
        for n, (number, (fault, *parts)) in enumerate(self._done(calls), 1):
            _result(fault)
            references[number] = parts
            plan.watch(Stage("reading", n, len(rows) + len(future)))
        ordered = [references[n] for n in range(len(references))]
        return ordered[: len(rows)], ordered[len(rows) :]

    def _done(self, calls: Any) -> Iterator[tuple[int, Any]]:
        """The numbers of calls and what they return, as they are done; few are handed out before they are needed."""
        running: dict[Any, tuple[int, Any]] = {}
        for number, (function, arguments) in enumerate(calls):
            if len(running) >= AHEAD * self.workers:
                yield self._next(running)
            result = function.remote(*arguments)
            running[result[0] if isinstance(result, list) else result] = (number, result)
        while running:
            yield self._next(running)

    @staticmethod
    def _next(running: dict[Any, tuple[int, Any]]) -> tuple[int, Any]:
        (first,), _ = ray.wait(list(running), num_returns=1)
        return running.pop(first)


def pieces_together(plan: Plan) -> int:
    """How many pieces one task cuts, so that the rows of a bucket that it hands on are no small object.

    Ray keeps small results in the memory of the driver, which would grow with the rows.
    """
    width = 8 * len(plan.partition.columns or (None,))  # bytes of a row at least
    if plan.total * width <= LITTLE:
        return 1
    piece = plan.total * width / len(plan.rows)
    return max(math.ceil(INLINE * plan.partition.count / piece), 1)


@contextmanager
def _explained() -> Iterator[None]:
    """What Ray says of workers that died, as an error of ours."""
    try:
        yield
    except DEATHS as error:
        raise StatecastError(
            f"a task was given up after the workers that had it in hand died {RETRIES + 1} times (out of memory?): ask "
            "for more buckets, so that each is smaller, or for fewer workers"
        ) from error


def _result(reference: Any) -> Any:
    """What a task returned.

    An error of ours is returned, not raised, in the task: Ray would tell of it once for each of its results, with all
    that was called.
    """
    with _explained():
        result = ray.get(reference)
    if isinstance(result, StatecastError):
        raise result
    return result


def _cut(partition: Partition, pieces: Sequence[RowPiece]) -> Any:
    """Nothing or what went wrong, and the rows of pieces by bucket."""
    try:
        return None, *(part.combine_chunks() for part in partition.parts(*pieces))
    except StatecastError as error:
        return error, *([None] * partition.count)


def _work(work: BucketWork, bucket: int, rows: int, *parts: pa.Table) -> Answer | StatecastError:
    try:
        return work.do(bucket, parts[:rows], parts[rows:])
    except StatecastError as error:
        return error
