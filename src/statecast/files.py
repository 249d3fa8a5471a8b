"""Files that appear whole or not at all.

Everything that statecast writes goes to a temporary name in the same folder first, and takes the final name when it
is complete, in place of a file that has it (`os.replace`, which does so on Windows as well). A full disk, an interrupt
or a kill leaves the file that was there before, or none; never half of a new one. What a kill leaves under a temporary
name, the next writer of the same file removes once an hour has passed.

The bytes are on the disk before the name is (`fsync`), and on POSIX systems the folder's list of names is written out
before `write_bytes` returns. So what was saved survives a loss of power, as far as the disk keeps its word; Windows
offers nothing like the second step, and there the file before may come back.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from statecast.errors import OutputError

BUSY = 2.0  # seconds for which a file may be read by others on Windows, before it counts as one that cannot be written
STALE = 3600.0  # seconds since a temporary file was written to, after which whoever wrote it is taken for dead


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` to `path`, whose folders are made where they are missing, and returns the path.

    Raises:
        OutputError: the folder or the file cannot be written; what was there before is unchanged.
    """
    return write_pieces(path, (content,))


def write_pieces(path: str | Path, pieces: Iterable[bytes | memoryview]) -> Path:
    """Writes pieces one after another, as they come: see `write_bytes`. All of them are taken before the disk syncs."""

    def write(temporary: Path) -> None:
        with temporary.open("xb") as file:
            for piece in pieces:
                file.write(piece)

    return write_by(path, write)


def write_by(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Has `write` make a file under a temporary name, which then takes the name `path`: see `write_bytes`."""
    path = Path(path)
    # Made by hand, not by tempfile: its files are for their owner's eyes only, and so would be the result.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        new = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        _replace(temporary, path)
        _sweep(path)
        for folder in (path.parent, *(folder.parent for folder in new)):
            _keep_names(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write {path}: {reason}; choose a folder that can be written and has room"
        raise OutputError(message) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def write_text(path: str | Path, content: str) -> Path:
    """Writes `content` as UTF-8: see `write_bytes`."""
    return write_bytes(path, content.encode())


def _replace(temporary: Path, path: Path) -> None:
    """Give a file its name. Windows refuses while somebody reads the file before, which is soon over."""
    end = time.monotonic() + (BUSY if sys.platform == "win32" else 0.0)
    while True:
        try:
            return os.replace(temporary, path)
        except PermissionError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.02)


def _sweep(path: Path) -> None:
    """Remove what kills left behind of earlier attempts to write a file; others may be writing it at this moment."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    with contextlib.suppress(OSError):
        for left in path.parent.iterdir():
            if name.fullmatch(left.name) and time.time() - left.stat().st_mtime > STALE:
                left.unlink(missing_ok=True)


def _keep_names(folder: Path) -> None:
    """Write a folder's list of names to the disk, where the system can: some network file systems cannot."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
