"""The same plan as tasks of a Ray cluster; rows travel through its object store, the model once to each node."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from statecast.cluster.outcome import Stage
from statecast.cluster.plan import AHEAD, Plan
from statecast.cluster.work import Answer, BucketWork
from statecast.errors import MissingDependency

try:
    import ray
except ImportError as error:
    raise MissingDependency.of("ray", "ray", 'engine="ray"') from error

RETRIES = 3  # of a task whose worker died


class RayEngine:
    """Tasks of the Ray cluster that the program is connected to, or of one that is started on this machine.

    Args:
        workers: tasks that run at once; as many as the cluster has processors where None.
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
            (of_work, (work, k, len(plan.rows), *(parts[k] for parts in cuts))) for k in range(plan.partition.count)
        )
        for n, (_, reference) in enumerate(self._done(calls), 1):
            plan.watch(Stage("working", n, plan.partition.count))
            yield ray.get(reference)

    def _cuts(self, plan: Plan) -> list[list[Any]]:
        """For each piece, references to its rows of each bucket."""
        count, pieces = plan.partition.count, plan.pieces
        of_cut = ray.remote(_cut).options(num_returns=count, max_retries=RETRIES)
        references: dict[int, list[Any]] = {}
        calls = ((of_cut, (partition, piece)) for partition, piece in pieces)
        for n, (number, result) in enumerate(self._done(calls), 1):
            references[number] = result if count > 1 else [result]
            plan.watch(Stage("reading", n, len(pieces)))
        return [references[n] for n in range(len(pieces))]

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


def _cut(partition: Any, piece: Any) -> Any:
    parts = [part.combine_chunks() for part in partition.parts(piece)]
    return parts if len(parts) > 1 else parts[0]


def _work(work: BucketWork, bucket: int, rows: int, *parts: pa.Table) -> Answer:
    return work.do(bucket, parts[:rows], parts[rows:])
