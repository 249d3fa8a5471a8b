"""Results on their way out: columns as a frame of the library that the data came in, or as a file.

Texts are object arrays, times datetime64; a zone is stated once for all of them, since NumPy's times cannot carry one.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from statecast.errors import MissingDependency, SettingError
from statecast.files import write_bytes

Native = Literal["polars", "pandas", "pyarrow", "numpy"]
SUFFIXES = ".csv, .csv.gz, .tsv or .parquet"


def require_polars(purpose: str) -> Any:
    """The polars module.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise MissingDependency.of("polars", "tables", purpose) from error
    return pl


def to_native(columns: Mapping[str, np.ndarray], native: Native, tz: str | None = None) -> Any:
    """Columns as a frame of the library that the data came in.

    Args:
        columns: numbers, datetime64 and texts (object arrays), all [rows].
        native: the library; "numpy" gives a mapping of arrays.
        tz: the zone to show datetime64 columns in; they then hold UTC instants.
    """
    if native == "polars":
        return _to_polars(columns, tz)
    if native == "pandas":
        return _to_pandas(columns, tz)
    if native == "pyarrow":
        return _to_pyarrow(columns, tz)
    return dict(columns)


def _is_stamp(values: np.ndarray) -> bool:
    return values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] != "D"


def _to_polars(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    pl = require_polars("a polars frame")
    zone = tz if tz is None or tz[0] not in "+-" else "UTC"  # polars knows no fixed offset of half an hour
    series = []
    for name, values in columns.items():
        if values.dtype.kind in "OU":
            column = pl.Series(name, values.tolist(), dtype=pl.String)
        elif values.dtype.kind == "M":
            unit = "D" if not _is_stamp(values) else "us"
            column = pl.Series(name, np.ascontiguousarray(values, f"M8[{unit}]"))
        else:
            column = pl.Series(name, np.ascontiguousarray(values), nan_to_null=values.dtype.kind == "f")
        if zone and _is_stamp(values):
            column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        series.append(column)
    return pl.DataFrame(series)


def _to_pandas(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    import pandas as pd

    frame = {}
    for name, values in columns.items():
        column = values.astype("M8[s]") if values.dtype.kind == "M" and not _is_stamp(values) else values
        zoned = bool(tz) and _is_stamp(values)
        zone = f"UTC{tz}" if tz and tz[0] in "+-" else tz
        frame[name] = pd.DatetimeIndex(column).tz_localize("UTC").tz_convert(zone) if zoned else column
    return pd.DataFrame(frame)


def _to_pyarrow(columns: Mapping[str, np.ndarray], tz: str | None) -> Any:
    import pyarrow as pa

    frame = {}
    for name, values in columns.items():
        kind = pa.timestamp("us", tz) if tz and _is_stamp(values) else None
        frame[name] = pa.array(values, type=kind, from_pandas=values.dtype.kind in "fO")
    return pa.table(frame)


def write(columns: Mapping[str, np.ndarray], path: str | os.PathLike[str], tz: str | None = None) -> None:
    """Write columns as CSV or Parquet, by the suffix; "-" is CSV on standard output.

    The file appears whole or not at all. Times with a zone are written in UTC in CSV, so that they read back.

    Raises:
        OutputError: the file cannot be written.
        SettingError: another suffix.
    """
    if str(path) == "-":
        _write_csv(columns, sys.stdout.buffer, tz)
        sys.stdout.flush()
        return
    target = Path(path)
    suffix = "".join(target.suffixes[-2:]).lower() if target.suffix.lower() == ".gz" else target.suffix.lower()
    separator = "\t" if ".tsv" in suffix else ","
    content = io.BytesIO()
    if suffix == ".parquet":
        _to_polars(columns, tz).write_parquet(content, compression="zstd")
    elif suffix.endswith((".csv", ".tsv")):
        _write_csv(columns, content, tz, separator)
    elif suffix.endswith((".csv.gz", ".tsv.gz")):
        with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed:
            _write_csv(columns, packed, tz, separator)
    else:
        raise SettingError(f"{target} has no suffix of a table: give {SUFFIXES}")
    write_bytes(target, content.getvalue())


def _write_csv(columns: Mapping[str, np.ndarray], file: Any, tz: str | None, separator: str = ",") -> None:
    frame = _to_polars(columns, "UTC" if tz else None)
    clock = "%Y-%m-%d %H:%M:%S%.f" + ("Z" if tz else "")
    frame.write_csv(file, separator=separator, datetime_format=clock)
