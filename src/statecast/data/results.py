"""Results on their way out, to a file or to standard output; as frames they leave by `frames.to_native`."""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from statecast.data.tabular.frames import Native, to_native
from statecast.data.tabular.sources import SUFFIXES
from statecast.errors import SettingError
from statecast.files import write_bytes

__all__ = ["Native", "as_array", "axes_of", "to_native", "write"]


def axes_of(source: Any) -> int:
    """How many axes an array has; 0 for any other table."""
    return source.ndim if isinstance(source, np.ndarray) and source.dtype.names is None else 0


def as_array(values: np.ndarray, axes: int) -> np.ndarray:
    """Values [..., H, D] of a lone series as an array that is like the one that came in: without D for [T]."""
    return values[..., 0] if axes == 1 else values


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
        to_native(columns, "polars", tz).write_parquet(content, compression="zstd")
    elif suffix.endswith((".csv", ".tsv")):
        _write_csv(columns, content, tz, separator)
    elif suffix.endswith((".csv.gz", ".tsv.gz")):
        with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed:
            _write_csv(columns, packed, tz, separator)
    else:
        raise SettingError(f"{target} has no suffix of a table: give {SUFFIXES}")
    write_bytes(target, content.getvalue())


def _write_csv(columns: Mapping[str, np.ndarray], file: Any, tz: str | None, separator: str = ",") -> None:
    frame = to_native(columns, "polars", "UTC" if tz else None)
    clock = "%Y-%m-%d %H:%M:%S%.f" + ("Z" if tz else "")
    frame.write_csv(file, separator=separator, datetime_format=clock)
