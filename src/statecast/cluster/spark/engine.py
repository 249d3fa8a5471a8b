"""A plan as tasks of Spark's workers, for sources that are no Spark DataFrames: files, datasets, tables.

Pieces are recipes, so that Spark's workers read them as those of any other engine do. Cuts travel as Arrow's bytes
through Spark's shuffle, bucket k to task k; a task whose worker dies is Spark's own to do again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from statecast.cluster.outcome import Stage
from statecast.cluster.partition import Partition
from statecast.cluster.pieces import RowPiece
from statecast.cluster.plan import Plan
from statecast.cluster.work import Answer, BucketWork
from statecast.errors import MissingDependency, SettingError, StatecastError

QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}

# The bucket, the number of the piece, and its rows of that bucket, or why it cannot be read. An error of ours is handed
# on, not raised in the task: Spark would try the task again, and wrap the error in pages of its own.
Cut = tuple[int, tuple[int, bytes | StatecastError]]


class SparkEngine:
    """Tasks of the Spark session that is active, or of one that is started on this machine.

    Args:
        workers: tasks that run at once where a session is started: all processors if None.

    Raises:
        SettingError: the session is connected over a network, which takes Spark DataFrames alone.
    """

    def __init__(self, workers: int | None) -> None:
        session = SparkSession.getActiveSession() or _started(workers)
        if not hasattr(session, "sparkContext"):
            raise SettingError(
                'engine="spark" runs files through a session of its own cluster; through Spark Connect give a Spark '
                "DataFrame: spark.read.parquet(…)"
            )
        self._context = session.sparkContext
        self.workers = workers or int(self._context.defaultParallelism)

    def run(self, plan: Plan) -> Iterator[Answer]:
        """See `Executor`."""
        count, rows = plan.partition.count, len(plan.rows)
        calls = list(enumerate(plan.pieces))
        work = self._context.broadcast(plan.work)
        cuts = self._context.parallelize(calls, len(calls)).flatMap(_cut)
        tasks = cuts.groupByKey(count, int).map(lambda item: _work(work.value, item[0], rows, item[1]))
        for n, answer in enumerate(tasks.collect(), 1):
            if isinstance(answer, StatecastError):
                raise answer
            plan.watch(Stage("working", n, count))
            yield answer


def _started(workers: int | None) -> Any:
    """A session of this machine, whose workers run this very Python and which says errors alone.

    Raises:
        MissingDependency: there is no Java to run it.
    """
    builder = SparkSession.builder.master(f"local[{workers or '*'}]").appName("statecast")
    for name, value in QUIET.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:
        if "JAVA_GATEWAY_EXITED" not in str(error):
            raise
        raise MissingDependency(
            "Spark needs Java, which did not start: install Java 17 or newer, such as openjdk-17-jre-headless, so that "
            "`java -version` runs; or say with JAVA_HOME where it is"
        ) from error
    context = session.sparkContext
    if "PYSPARK_PYTHON" not in os.environ:  # else any python3 of the path
        context.pythonExec = sys.executable
    return session


def _cut(call: tuple[int, tuple[Partition, RowPiece]]) -> Iterator[Cut]:
    number, (partition, piece) = call
    try:
        parts = partition.parts(piece)
    except StatecastError as error:
        yield 0, (number, error)
        return
    for bucket, part in enumerate(parts):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
        yield bucket, (number, sink.getvalue().to_pybytes())


def _work(
    work: BucketWork, bucket: int, rows: int, cuts: Iterable[tuple[int, bytes | StatecastError]]
) -> Answer | StatecastError:
    """The job for a bucket, whose cuts come in any order."""
    parts: list[pa.Table] = []
    for _, content in sorted(cuts, key=lambda cut: cut[0]):
        if isinstance(content, StatecastError):
            return content
        parts.append(pa.ipc.open_stream(content).read_all())
    try:
        return work.do(bucket, parts[:rows], parts[rows:])
    except StatecastError as error:
        return error
