"""The rows of a stream in packets: those of a bucket side by side in one value, as Arrow writes them.

PySpark hands rows to a stateful operator one by one, as tuples of Python, which costs more than to step them. So they
are put together where they come from, before Spark sends them to their buckets: the operator gets few rows, of which
each holds many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from statecast.cluster.spark.buckets import BUCKET, NAMES
from statecast.data.buckets import bucket
from statecast.data.schema import IdKind, Schema
from statecast.data.values import series_id
from statecast.errors import StatecastError

PACKET = "__statecast_packet"  # a column of our own
MOST = 1 << 26  # bytes of rows that are put together at once


def packets(frame: Any, schema: Schema, count: int) -> Any:
    """The rows of a frame in packets, and the bucket of each.

    Args:
        frame: with the model's id column first, where it has one.
        schema: of the model.
        count: number of buckets.
    """
    kind = schema.id_kind if schema.id is not None and count > 1 else None

    def packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in _portions(batches):
            yield _packed(rows, kind, count)

    return frame.mapInArrow(packed, f"{PACKET} binary, {BUCKET} int")


def unpacked(contents: Iterable[bytes]) -> pa.Table:
    """The rows of packets; at least one."""
    return pa.concat_tables([pa.ipc.open_stream(content).read_all() for content in contents])


def _portions(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches brought together, none larger than memory should hold."""
    some: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        some.append(batch)
        size += batch.nbytes
        if size >= MOST:
            yield pa.Table.from_batches(some)
            some, size = [], 0
    if some:
        yield pa.Table.from_batches(some)


def _packed(rows: pa.Table, kind: IdKind | None, count: int) -> pa.RecordBatch:
    numbers = np.zeros(rows.num_rows, np.int32)
    if kind is not None:
        numbers[:] = [_bucket(name, kind, count) for name in rows.column(0).to_pylist()]
        order = np.argsort(numbers, kind="stable")
        rows, numbers = rows.take(order), numbers[order]
    cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    spans = [(begin, end) for begin, end in pairwise(cuts) if end > begin]
    contents = [_content(rows.slice(begin, end - begin)) for begin, end in spans]
    at = np.array([begin for begin, _ in spans], np.int64)
    return pa.record_batch([pa.array(contents, pa.binary()), pa.array(numbers[at])], [PACKET, BUCKET])


def _content(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@lru_cache(maxsize=NAMES)
def _bucket(name: Any, kind: IdKind, count: int) -> int:
    """The bucket of a series, whichever way its name is written; rows that name none are put into the first one."""
    try:
        return bucket(series_id(name, kind), count)
    except StatecastError:
        return 0
