"""A stream of rows on Spark: Structured Streaming holds what the model remembers, and steps it by the rows that come.

Series go into buckets by their names, and a bucket is a key of Spark's state: what the model remembers of its series is
read, stepped side by side, and written once for each micro-batch in which it has rows. Spark writes these values with
its checkpoint, so a query that begins again from there forecasts the bits of one that never stopped.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from statecast.cluster.jobs import CUTOFF
from statecast.cluster.spark import columns
from statecast.cluster.spark.buckets import BUCKET
from statecast.cluster.spark.live import LiveColumns
from statecast.cluster.spark.packets import packets
from statecast.cluster.spark.states import VALUE, BucketStates
from statecast.errors import DataError, SettingError
from statecast.estimators import Forecaster
from statecast.files import write_bytes
from statecast.forecast import calibrate, channels
from statecast.forecast.incoming import LONGEST_GAP
from statecast.model import archive
from statecast.model.state import State
from statecast.model.trained import Model

SERIES = 1024  # of a bucket, about: what Spark and pandas do for each bucket then costs its rows little
FEWEST, MOST = 32, 1_000_000  # buckets
GAP_LIMIT = 100_000  # steps that a row may skip
STORE = "spark.sql.streaming.stateStore.providerClass"
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


def stream(
    model: Forecaster | str | Path,
    rows: Any,
    *,
    horizon: int | None = None,
    levels: Sequence[float] | None = None,
    buckets: int | None = None,
    gap_limit: int = GAP_LIMIT,
    empty: bool = False,
) -> Any:
    """Forecasts from after every row of a streaming DataFrame, as another streaming DataFrame.

    Each series goes on from where the table of the fit ended; one that the model does not know begins with its first
    row. Rows of a micro-batch are taken in the order of their times. One that comes too late, twice, or cannot be used
    is a row of the result with the reason in the column `error`, and ends nothing.

    Args:
        model: a fitted Forecaster, or where it was saved.
        rows: a streaming DataFrame with the columns of the table of the fit. A covariate known ahead is an array: of
            this step, and of the next ones up to the horizon.
        horizon: steps that are told of each forecast; those of the model if None, which are the most.
        levels: of the intervals; those of the settings if None.
        buckets: how many the series are put into; one for some 1,024 of the series that the model knows if None. A
            checkpoint keeps its number.
        gap_limit: steps that a row may skip since its series' last one.
        empty: begin with no series, not with those that the model remembers.

    Returns:
        A streaming DataFrame with the columns of `Forecaster.predict`, `cutoff` (the time of the row that the forecast
        follows) and `error`. A row that was not taken has its time in `cutoff`, the reason in `error`, and no others
        but its series. Write it in the mode "append".

    Raises:
        DataError: a column is missing, or the rows of the model were counted rather than timed.
        SettingError: this Spark is older than 4.0 or has no store for such states; an option is out of range.
    """
    trained = model.model_ if isinstance(model, Forecaster) else archive.load(model)
    processor, most = _processor(rows), trained.network.head.horizon
    steps = _whole("horizon", most if horizon is None else horizon, most)
    live = LiveColumns(trained, calibrate.checked_levels(trained, levels), steps)
    count = _buckets(trained, buckets)
    file = _sent(rows.sparkSession, trained)
    result = (
        packets(live.selected(rows), trained.schema, count)
        .groupBy(BUCKET)
        .transformWithStateInPandas(
            processor(file, count, live.levels, steps, _whole("gap_limit", gap_limit, LONGEST_GAP)),
            columns.ddl(live.schema),
            "Append",
            "None",
            None if empty else _initial(rows.sparkSession, trained, count),
        )
    )
    return columns.restored(result, rows, trained.schema, (trained.schema.time_column, CUTOFF))


def _processor(rows: Any) -> Any:
    """The kind of stateful processor that this Spark can run.

    Raises:
        DataError: the rows are not a stream.
        SettingError: this Spark has no such processors, or does not keep its states in RocksDB.
    """
    if not getattr(rows, "isStreaming", False):
        raise DataError(
            "the rows are not a streaming DataFrame: make one with spark.readStream, or call cluster.forecast"
        )
    session = rows.sparkSession
    if int(session.version.partition(".")[0]) < 4:
        raise SettingError(f"a stream needs Spark 4.0, where Python can keep states; this is {session.version}")
    if session.conf.get(STORE) != ROCKSDB:
        raise SettingError(f'Spark keeps such states in RocksDB alone: spark.conf.set("{STORE}", "{ROCKSDB}")')
    from statecast.cluster.spark.processor import SeriesProcessor

    return SeriesProcessor


def _sent(session: Any, model: Model) -> str:
    """The name under which workers find a model, without what it remembers, as a file that each machine gets once.

    It is not a broadcast: Spark starts a stateful processor on the driver as well, where it loads none.
    """
    bare = replace(model, state=State.empty(model.layout, model.dtype), training=None)
    content = archive.to_bytes(bare)
    name = f"statecast-{hashlib.blake2b(content, digest_size=16).hexdigest()}.safetensors"
    _send(session, session.conf.get("spark.app.id", ""), name, content)
    return name


@lru_cache(maxsize=64)
def _send(session: Any, application: str, name: str, content: bytes) -> None:
    """Give a file to Spark, which brings it to each machine; once, since no two may have one name."""
    folder = Path(tempfile.mkdtemp(prefix="statecast-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # until then the driver hands it out
    write_bytes(folder / name, content)
    if hasattr(session, "sparkContext"):
        session.sparkContext.addFile(str(folder / name))
    else:
        session.addArtifacts(str(folder / name), file=True)


def _buckets(model: Model, count: Any) -> int:
    if count is None:
        return max(FEWEST, -(-len(model.state.ids) // (SERIES * channels.rows_each(model))))
    return _whole("buckets", count, MOST)


def _initial(session: Any, model: Model, count: int) -> Any:
    """What a model remembers of its series, grouped by bucket; None where it remembers none."""
    values = list(BucketStates(model, count).initial())
    if not values:
        return None
    return session.createDataFrame(values, f"{BUCKET} INT, {VALUE}").groupBy(BUCKET)


def _whole(name: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise SettingError(f"{name} = {value!r}: expected a whole number from 1 to {most:,}")
    return value
