"""The folder of a store: a lock that keeps a second server out of it, and what goes wrong there in words."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from statecast.errors import MissingDependency, ModelFileError, OutputError

LOCK = "statecast.lock"


def locked(folder: Path) -> int:
    """A handle that keeps other servers out of a folder, until it is closed or the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(
            f"the folder {folder} cannot be used for a server's state: {error.strerror or error}; give one that "
            "belongs to the user who runs the server, and can be written"
        ) from error
    try:
        _lock(handle)
    except OSError as error:
        os.close(handle)
        raise OutputError(f"another server uses {folder}: stop it, or give this one a folder of its own") from error
    return handle


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows, which has locks of another name
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # known to Windows alone
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of SQLite as errors for people."""
    try:
        import apsw
    except ImportError as error:
        raise MissingDependency.of("apsw", "server", "a server's store") from error
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise damaged(path, str(error)) from error
    except apsw.FullError as error:
        raise OutputError(f"the disk of {path} is full ({error}): nothing more can be kept; make room") from error
    except (apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError) as error:
        raise OutputError(
            f"{path} cannot be written ({error}): let the folder and its files belong to the user who runs the server"
        ) from error
    except apsw.Error as error:
        raise OutputError(f"{path} cannot be used: {error}") from error


def damaged(path: Path, reason: str) -> ModelFileError:
    """That a store is damaged, and why."""
    return ModelFileError(f"{path} is damaged: {reason}; restore a backup, or see what can be read with a check")
