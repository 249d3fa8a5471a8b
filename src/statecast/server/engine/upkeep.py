"""Keeping a store in order while no server uses it: check it, give back room, copy it, and put a copy in its place.

`Engine.backup` copies a store that is in use. What is here takes the folder's lock, as a server does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from statecast.errors import OutputError, SettingError
from statecast.files import write_pieces
from statecast.server.store.protocol import StoreCheck
from statecast.server.store.sqlite import AHEAD, NAME, SqliteStore

PORTION = 1 << 20  # bytes that are copied at once


def check(folder: str | Path) -> StoreCheck:
    """Read the whole store of a folder, and say what is wrong.

    Raises:
        SettingError: there is no store.
        OutputError: a server uses it.
    """
    with closing(_opened(folder)) as store:
        return store.check()


def compact(folder: str | Path) -> tuple[int, int]:
    """Give back room on the disk; how many bytes the store took before and takes now."""
    with closing(_opened(folder)) as store:
        before = store.sizes()["file"]
        store.compact()
        return before, store.sizes()["file"]


def backup(folder: str | Path, file: str | Path) -> Path:
    """Copy the store of a folder to a new file."""
    with closing(_opened(folder)) as store:
        return store.backup(file)


def restore(folder: str | Path, file: str | Path) -> StoreCheck:
    """Put a copy of a store into a folder that has none, for a server to go on from; what a check says of it.

    Raises:
        SettingError: there is no such file.
        OutputError: the folder has a store already, or cannot be written.
        ModelFileError: the file is not a store.
    """
    source, target = Path(file), Path(folder) / NAME
    if not source.is_file():
        raise SettingError(f"there is no file {source}: give one that a backup wrote")
    ahead = source.with_name(f"{source.name}-wal")
    if ahead.exists() and ahead.stat().st_size:
        raise SettingError(f"{source} is a store in use, whose latest rows are in {ahead.name}: give a backup of it")
    if any(target.with_name(name).exists() for name in (NAME, AHEAD)):  # SQLite would add what lies ahead to the copy
        raise OutputError(
            f"{folder} has a store already, or a part of one ({NAME} or {AHEAD}): move it away first, or restore to a "
            "new folder"
        )
    write_pieces(target, _portions(source))
    try:
        return check(folder)
    except BaseException:
        target.unlink()
        raise


def _opened(folder: str | Path) -> SqliteStore:
    if not (Path(folder) / NAME).is_file():
        raise SettingError(f"there is no store in {folder}: give the folder that a server was started with (--state)")
    return SqliteStore(folder, {})


def _portions(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while portion := source.read(PORTION):
            yield portion
