"""The bucket of each row of a Spark DataFrame, and a function run on the rows of each bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import functions
from pyspark.sql.types import ByteType, IntegerType, LongType, ShortType

from statecast.cluster.spark.columns import ddl, quoted, type_of
from statecast.data.buckets import bucket, name_of

BUCKET = "__statecast_bucket"  # a column of our own, which no result has
NAMES = 1_000_000  # whose buckets a worker remembers

OfBucket = Callable[[pa.Table], pa.Table]


def with_bucket(frame: Any, column: str | None, count: int) -> Any:
    """A frame with the bucket of each row; rows whose series has no name are put into the first one."""
    if column is None or count == 1:
        return frame.withColumn(BUCKET, functions.lit(0))
    names, whole = (
        frame[quoted(column)],
        isinstance(type_of(frame, column), (ByteType, IntegerType, LongType, ShortType)),
    )

    # pandas makes floats of whole numbers among which one is missing, and large ones lose digits: strings lose none.
    def numbered(values: pd.Series) -> pd.Series:
        return pd.Series([_bucket(value, whole, count) for value in values], dtype="int32")

    udf = functions.pandas_udf(numbered, "int")
    return frame.withColumn(BUCKET, udf(names.cast("string") if whole else names))


@lru_cache(maxsize=NAMES)
def _bucket(value: Any, whole: bool, count: int) -> int:
    if value is None or value != value:
        return 0
    return bucket(int(value) if whole else name_of(value), count)


def by_bucket(frame: Any, partitions: int, function: OfBucket, schema: pa.Schema) -> Any:
    """What a function makes of the rows of each bucket, as a frame.

    Args:
        frame: with the column `BUCKET`.
        partitions: into how many the buckets are put. Spark joins small partitions where nobody says how many, and a
            result of few bytes is no work of little time.
        function: of the rows of one bucket.
        schema: of what it returns.
    """
    spread = frame.repartition(partitions, BUCKET)
    grouped = spread.groupBy(BUCKET)
    if hasattr(grouped, "applyInArrow"):

        def of_bucket(rows: pa.Table) -> pa.Table:
            return function(rows)

        return grouped.applyInArrow(of_bucket, ddl(schema))

    def of_partition(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in _runs(batches):
            yield from function(rows).to_batches()

    return spread.sortWithinPartitions(BUCKET).mapInArrow(of_partition, ddl(schema))  # before Spark 4.0


def _runs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of one bucket after another, where those of a bucket follow one another."""
    parts: list[pa.RecordBatch] = []
    for batch in batches:
        numbers = batch.column(BUCKET).to_numpy()
        cuts = [0, *(numbers[1:] != numbers[:-1]).nonzero()[0] + 1, len(numbers)]
        for begin, end in pairwise(cuts):
            if parts and end > begin and parts[0].column(BUCKET)[0].as_py() != numbers[begin]:
                yield pa.Table.from_batches(parts)
                parts = []
            if end > begin:
                parts.append(batch.slice(begin, end - begin))
    if parts:
        yield pa.Table.from_batches(parts)
