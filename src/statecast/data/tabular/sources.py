"""Where a table's bytes come from: a file, a packed file, or standard input; and what is said where there is none."""

from __future__ import annotations

import gzip
import mmap
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from statecast.errors import DataError, nearest

SUFFIXES = ".csv, .csv.gz, .tsv or .parquet"


@dataclass(frozen=True, eq=False)
class Source:
    """A table's bytes, or the path that has them.

    Attributes:
        content: what to read.
        format: how to read it.
        separator: of CSV, where the suffix tells it.
        origin: what to call it in messages.
    """

    content: Path | bytes
    format: Literal["csv", "parquet"]
    separator: str | None
    origin: str

    def view(self) -> memoryview | bytes:
        """The bytes, without a copy in memory if they are in a file; the mapping ends with the last view of it."""
        if isinstance(self.content, bytes):
            return self.content
        with self.content.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return b""
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def find(path: str | os.PathLike[str], name: str | None = None) -> Source:
    """The source at a path; "-" is standard input.

    Raises:
        DataError: there is no such file, it is a folder, cannot be opened, or has the suffix of something else.
    """
    if str(path) == "-":
        data = sys.stdin.buffer.read()
        return Source(data, "parquet" if data[:4] == b"PAR1" else "csv", None, name or "standard input")
    file = Path(path)
    _require_file(file)
    suffix = "".join(file.suffixes[-2:]).lower() if file.suffix.lower() == ".gz" else file.suffix.lower()
    separator = "\t" if suffix.endswith((".tsv", ".tsv.gz")) else None
    try:
        if suffix.endswith((".csv.gz", ".tsv.gz")):
            return Source(gzip.decompress(file.read_bytes()), "csv", separator, name or file.name)
        file.open("rb").close()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if suffix not in (".csv", ".tsv", ".txt", ".parquet"):
        raise DataError(f"{file} is not a table that statecast reads: give {SUFFIXES}")
    return Source(file, "parquet" if suffix == ".parquet" else "csv", separator, name or file.name)


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder: give a file, {SUFFIXES}")
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        near = nearest(path.name, sorted(entry.name for entry in beside if not entry.is_dir()))
        raise DataError(f"there is no file {path}{'; ' + near if near.startswith('did') else ''}")
