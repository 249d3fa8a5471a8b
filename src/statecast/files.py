"""Files that appear whole or not at all.

Everything that statecast writes goes to a temporary name in the same folder first and is renamed when it is complete.
A full disk, an interrupt or a kill leaves the file that was there before, or none; never half of a new one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from statecast.errors import OutputError


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` to `path`, whose folders are made where they are missing, and returns the path.

    Raises:
        OutputError: the folder or the file cannot be written; what was there before is unchanged.
    """
    path = Path(path)
    # Made by hand, not by tempfile: its files are for their owner's eyes only, and so would be the result.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
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
