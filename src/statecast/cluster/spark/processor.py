"""What Spark runs over a bucket's packets of each micro-batch, with the bucket's states beside them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any

from pyspark import SparkFiles
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from statecast.cluster.spark.live import LiveColumns
from statecast.cluster.spark.packets import unpacked
from statecast.cluster.spark.states import VALUE, BucketStates
from statecast.cluster.spark.steps import stepped
from statecast.cluster.work import in_one_thread
from statecast.model import archive
from statecast.model.trained import Model

NAME = "series"  # of the states in Spark's store


class SeriesProcessor(StatefulProcessor):  # type: ignore[misc]  # PySpark is not there to check types by
    """Steps the series of a bucket.

    Args:
        file: of the model, without what it remembers, among the files that Spark has brought to each machine.
        count: number of buckets.
        levels: of the intervals that are told.
        horizon: steps that are told.
        gap_limit: steps that a row may skip.
    """

    def __init__(self, file: str, count: int, levels: tuple[float, ...], horizon: int, gap_limit: int) -> None:
        self._file, self._count, self._levels = file, count, levels
        self._horizon, self._gap_limit = horizon, gap_limit

    def init(self, handle: StatefulProcessorHandle) -> None:
        """See `StatefulProcessor`."""
        self._value = handle.getValueState(NAME, VALUE)

    @cached_property
    def _tools(self) -> tuple[BucketStates, LiveColumns]:
        """What works with the model, made once in each worker."""
        model, states = _tools(self._file, self._count)
        return states, LiveColumns(model, self._levels, self._horizon)

    def handleInitialState(self, key: Any, initialState: Any, timerValues: Any) -> None:
        """See `StatefulProcessor`; it is what the model remembers of the bucket's series from its fit."""
        row = initialState.iloc[0, -len(VALUE.split(",")) :]
        model, count, *texts = row.tolist()
        self._value.update((model, int(count), *texts))

    def handleInputRows(self, key: Any, rows: Iterator[Any], timerValues: Any) -> Iterator[Any]:
        """See `StatefulProcessor`."""
        states, live = self._tools
        # The packet is the first column; pandas renames it, since its name is none that Python's tuples take.
        arrived = live.rows(unpacked(packet for frame in rows for packet in frame.iloc[:, 0]))
        steps = stepped(live.model, states.state(self._value.get()), arrived, self._gap_limit)
        self._value.update(states.value(steps.state))
        yield live.results(steps, arrived)

    def close(self) -> None:
        """See `StatefulProcessor`; there is nothing to close."""


@lru_cache(maxsize=2)
def _tools(file: str, count: int) -> tuple[Model, BucketStates]:
    model = in_one_thread(archive.load(SparkFiles.get(file)))
    return model, BucketStates(model, count)
