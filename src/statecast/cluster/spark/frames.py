"""The calls on a Spark DataFrame: lazily, for another one; or at once, for answers that are brought together.

Rows go by buckets to Spark's workers, in Arrow, with the columns that the model reads and no others. The model travels
as a broadcast, once to each node. Spark keeps no order of rows, so a series is put in the order of its times where it
is worked on, and rows that are only counted are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pyspark.serializers import CPickleSerializer
from pyspark.sql import functions

from statecast.cluster.jobs import CUTOFF
from statecast.cluster.models import Trained
from statecast.cluster.spark import columns
from statecast.cluster.spark.buckets import BUCKET, by_bucket, with_bucket
from statecast.cluster.work import Answer, BucketWork
from statecast.errors import DataError, SettingError

AHEAD = "__statecast_ahead"  # marks rows of what is known ahead, among the others
ERROR = "error"  # the column that says why a series was passed over
_ANSWER = "answer"


@dataclass(frozen=True, eq=False)
class SparkRows:
    """Rows of a Spark DataFrame that a job works on.

    Attributes:
        frame: as the caller gave it.
        selection: its columns that are read, and those of what is known ahead, with the bucket of each row.
        partitions: of Spark, into which buckets are put.
    """

    frame: Any
    selection: Any
    partitions: int

    @classmethod
    def of(
        cls,
        frame: Any,
        work: BucketWork,
        trained: Trained | None,
        buckets: int | None,
        future: Any = None,
        required: Sequence[str] = (),
    ) -> SparkRows:
        """Rows for a job.

        Args:
            frame: the Spark DataFrame.
            work: the job; all columns are read where it has no model.
            trained: its model.
            buckets: how many; as many as Spark has partitions after a shuffle if None.
            future: another Spark DataFrame, of what is known ahead.
            required: columns that there must be where all are read.

        Raises:
            DataError: a column is missing, or rows are counted.
            SettingError: `future` is not a Spark DataFrame.
        """
        partitions = int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions"))
        schema, group = None if trained is None else trained.model.schema, work.job.group
        names = tuple(frame.columns) if trained is None else trained.columns
        role = "which the fit is to take" if trained is None else "which the model reads"
        columns.require(frame, (*names, *required) if group is None else (*names, *required, group), role)
        if schema is not None:
            columns.require_timed(schema)
        rows = columns.selected(frame, names, schema)
        if future is not None and trained is not None:
            rows = _beside(rows, future, trained)
        count = 1 if group is None else buckets or partitions
        return cls(frame, with_bucket(rows, group, count), min(partitions, count))

    def mapped(self, work: BucketWork, function: Callable[[Answer], pa.Table], schema: pa.Schema) -> Any:
        """What a function makes of the answer about each bucket, as a frame."""
        content, bare = shared(self.frame.sparkSession, work.content), replace(work, content=None)

        def of_bucket(rows: pa.Table) -> pa.Table:
            return function(_answer(replace(bare, content=content()), rows))

        return by_bucket(self.selection, self.partitions, of_bucket, schema)


def shared(spark: Any, content: bytes | None) -> Callable[[], bytes | None]:
    """Bytes that travel once to each node, and how a worker gets at them."""
    try:
        broadcast = spark.sparkContext.broadcast(content)
    except AttributeError:  # a session that is connected over a network has no broadcasts
        return lambda: content
    return lambda: broadcast.value


def lazily(rows: SparkRows, work: BucketWork, trained: Trained) -> Any:
    """The result of a job as a Spark DataFrame, which is worked out when somebody asks for its rows.

    Where series at fault are passed over, it has a column `error` more, and a row for each of them in which that is
    filled in.

    Raises:
        SettingError: the result has a column of that name already.
    """
    model, patient = trained.model, work.patient
    schema = work.job.schema(model)
    if patient and ERROR in schema.names:
        raise SettingError(
            f'on_error="skip" tells of series in a column {ERROR!r}, which is one of the table: rename it'
        )
    if patient:
        schema = schema.append(pa.field(ERROR, pa.string()))

    def of_answer(answer: Answer) -> pa.Table:
        return _table(answer, schema, patient)

    result = rows.mapped(work, of_answer, schema)
    return columns.restored(result, rows.frame, model.schema, (model.schema.time_column, CUTOFF))


def answers(rows: SparkRows, work: BucketWork) -> list[Answer]:
    """The answers about all buckets that have rows."""
    schema = pa.schema([(_ANSWER, pa.binary())])
    language = CPickleSerializer()  # in which Spark's workers and its driver talk to each other anyhow

    def of_answer(answer: Answer) -> pa.Table:
        return pa.table({_ANSWER: [language.dumps(answer)]}, schema=schema)

    return [language.loads(bytes(row[0])) for row in rows.mapped(work, of_answer, schema).collect()]


def _beside(rows: Any, future: Any, trained: Trained) -> Any:
    """Rows with those of what is known ahead below them, and a mark on these."""
    if not hasattr(future, "sparkSession"):
        raise SettingError(
            f"future: got {type(future).__name__}, expected a Spark DataFrame like the one with the rows"
        )
    columns.require(future, trained.ahead, "of what is known ahead")
    ahead = columns.selected(future, trained.ahead, trained.model.schema).withColumn(AHEAD, functions.lit(True))
    return rows.withColumn(AHEAD, functions.lit(False)).unionByName(ahead, allowMissingColumns=True)


def _answer(work: BucketWork, rows: pa.Table) -> Answer:
    number = rows[BUCKET][0].as_py()
    rows, future = rows.drop_columns([BUCKET]), []
    if AHEAD in rows.column_names:
        mark = rows[AHEAD]
        rows, later = (rows.filter(part).drop_columns([AHEAD]) for part in (pa.compute.invert(mark), mark))
        future = [later]
    return work.do(number, [rows], future)


def _table(answer: Answer, schema: pa.Schema, patient: bool) -> pa.Table:
    """The rows of an answer, and where series may be passed over one for each that was.

    Raises:
        DataError: a series cannot be used, and is not to be passed over.
    """
    if answer.skipped and not patient:
        raise DataError(str(answer.skipped[0]))
    table = columns.conformed(pa.table({}) if answer.table is None else answer.table, schema)
    if not answer.skipped:
        return table
    lost: dict[str, list[str | None]] = {ERROR: [str(item) for item in answer.skipped]}
    column = answer.skipped[0].column
    if column is not None and column in schema.names:
        lost[column] = [None if item.name is None else str(item.name) for item in answer.skipped]
    return pa.concat_tables([table, columns.conformed(pa.table(lost), schema)])
