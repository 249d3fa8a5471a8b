"""Who may do what: a file of tokens, of which it holds hashes alone, and the sessions of browsers.

A token is 32 random bytes, so one round of SHA-256 hides it as well as many would. The file is read again when it
changes: a line that is taken out ends what the token may do, and the sessions that were begun with it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from statecast.errors import SettingError
from statecast.files import write_bytes

LOG = logging.getLogger(__name__)
Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")  # each may do what those before it may
HEADER = "# Tokens of a statecast server: a name, its scope (read, write or admin), and the SHA-256 of the token.\n"
_LINE = re.compile(r"(?P<name>\S+)\s+(?P<scope>\S+)\s+(?P<hash>[0-9a-f]{64})")
_NAME = re.compile(r"[\w.@-]{1,64}")
LOOK = 1.0  # seconds between two looks at the file
SESSION, SESSIONS = 12 * 3600.0, 10_000  # how long a session lasts, and how many there are at most


def includes(scope: Scope | None, needed: Scope | None) -> bool:
    """Whether a scope may do what another is needed for."""
    return needed is None or (scope is not None and SCOPES.index(scope) >= SCOPES.index(needed))


@dataclass(frozen=True)
class Tokens:
    """The tokens of a file.

    Attributes:
        scopes: by the hash of the token.
    """

    scopes: Mapping[str, Scope]

    @classmethod
    def read(cls, path: str | Path) -> Tokens:
        """Read a file of tokens.

        Raises:
            SettingError: it cannot be read, others than its owner may write to it, or a line is none.
        """
        try:
            with Path(path).open("rb") as file:
                mode, content = os.fstat(file.fileno()).st_mode, file.read()
            lines = content.decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"the tokens in {path} cannot be read: {error}") from error
        if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SettingError(f"{path} holds tokens, and others than its owner may write to it: chmod 600 {path}")
        scopes: dict[str, Scope] = {}
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                match = _LINE.fullmatch(line.strip())
                scope = next((item for item in SCOPES if match and match["scope"] == item), None)
                if match is None or scope is None:
                    raise SettingError(
                        f"{path}, line {number} is not a token: expected NAME SCOPE SHA256, with the scope "
                        f"{', '.join(SCOPES)}; statecast token writes such lines"
                    )
                scopes[match["hash"]] = scope
        if not scopes:
            raise SettingError(f"{path} holds no token, so nobody could use the server: see statecast token --help")
        return cls(scopes)


def issue(path: str | Path, scope: str, name: str) -> str:
    """Make a token and add its hash to a file.

    Returns:
        The token, which is written nowhere.

    Raises:
        SettingError: the scope or the name is none, or the name is taken.
        OutputError: the file cannot be written.
    """
    if scope not in SCOPES:
        raise SettingError(f"scope {scope!r}: expected {', '.join(SCOPES)}")
    if not _NAME.fullmatch(name):
        raise SettingError(f"name {name!r}: expected up to 64 letters, digits, dots, dashes, underscores or @")
    target = Path(path)
    if target.exists():
        Tokens.read(target)
    text = target.read_text(encoding="utf-8") if target.exists() else HEADER
    if any(line.split()[:1] == [name] for line in text.splitlines()):
        raise SettingError(f"{path} has a token with the name {name} already: take its line out, or give another name")
    token = f"sc-{secrets.token_urlsafe(32)}"
    separator = "" if text.endswith("\n") else "\n"
    write_bytes(target, f"{text}{separator}{name} {scope} {hashed(token)}\n".encode())
    if os.name == "posix":
        target.chmod(0o600)
    return token


def hashed(token: str) -> str:
    """The hash of a token, as files have it."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


class Access:
    """The scopes of callers; all may do everything where there is no file of tokens. May be used by several threads.

    Raises:
        SettingError: the file cannot be used.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._lock, self._looked, self._stamp = threading.Lock(), time.monotonic(), self._current_stamp()
        self._tokens = Tokens({}) if path is None else Tokens.read(path)
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()

    @property
    def open(self) -> bool:
        """Whether no token is needed."""
        return self._path is None

    def scope_of(self, token: str | None, session: str | None) -> Scope | None:
        """What the bearer of a token, or of a session, may do; None for nothing."""
        if self._path is None:
            return "admin"
        self._look()
        if token is not None:
            return self._tokens.scopes.get(hashed(token))
        key, end = self._sessions.get(hashed(session or ""), ("", 0.0))
        return self._tokens.scopes.get(key) if time.monotonic() < end else None

    def begin(self, token: str) -> str | None:
        """Begin a session with a token; None where it is unknown."""
        key = hashed(token)
        self._look()
        if self._tokens.scopes.get(key) is None:
            return None
        session = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[hashed(session)] = key, time.monotonic() + SESSION
            while len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        return session

    def end(self, session: str | None) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(hashed(session or ""), None)

    def _look(self) -> None:
        """Read the file again if it has changed; one that cannot be used leaves the tokens as they were."""
        if self._path is None or time.monotonic() < self._looked + LOOK:
            return
        with self._lock:
            self._looked, stamp = time.monotonic(), self._current_stamp()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._tokens = Tokens.read(self._path)
            except SettingError as error:
                LOG.error("%s; the tokens stay as they were", error)

    def _current_stamp(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
