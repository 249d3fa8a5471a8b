"""Statements to PostgreSQL, repeated until their outcome is known.

A connection can break after a statement was sent and before its result came, and then nobody knows whether it was
carried out: the database may even be at it still. So every statement that comes here is written so that twice is the
same as once, is a transaction of its own, and is sent again over a new connection until a result comes. What takes row
locks takes them in one order, and no transaction waits for this process between two statements: a server that is
stopped in the middle holds no lock that would keep another from taking over.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from statecast.errors import MissingDependency, OutputError, SettingError

PATIENCE = 60.0  # seconds that a database may be away, such as for a restart, before the server gives up
LONGEST_PAUSE = 0.5  # seconds between two attempts
CONNECT = 5  # seconds
# Conditions that pass: the statement was not carried out, or its connection is gone. Classes 08 (connection), 40
# (rolled back for another's sake) and 57 (the database stops or starts), a standby that is not yet promoted, no room.
PASSING = ("08", "40", "57P", "25006", "53300", "55P03")


class Database:
    """One connection to a database, which is made anew whenever it breaks. Any thread may call; one at a time runs.

    Args:
        url: as libpq reads it, such as `postgresql://user@host/database`.
        schema: where the tables are.
        purpose: shown in the database's list of sessions.
        patience: seconds that a statement is repeated before it is given up.

    Raises:
        SettingError: the schema's name is none.
    """

    def __init__(self, url: str, schema: str, purpose: str, patience: float = PATIENCE) -> None:
        self.url, self.schema, self.purpose, self.patience = url, schema, purpose, patience
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", schema):
            raise SettingError(f"schema: got {schema!r}, expected a name of small letters, digits and _")
        self._connection: Any = None
        self._turn, self._closing = threading.Lock(), threading.Event()

    def run(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = (), binary: bool = True
    ) -> list[tuple[Any, ...]]:
        """Carry out one statement, for which twice must be the same as once, and return its rows.

        Args:
            statement: with placeholders of psycopg. Several, with semicolons, are one transaction; `binary` is False.
            parameters: their values.
            binary: how the rows come.

        Raises:
            OutputError: the database refuses it, or could not be reached for too long; what it said is in the message.
        """
        psycopg, started, pause = driver(), time.monotonic(), 0.02
        with self._turn:
            while True:
                try:
                    return self._once(statement, parameters, binary)
                except psycopg.Error as error:
                    passing = self._connection is None or self._connection.broken or passes(error)
                    if self._connection is None or self._connection.broken:
                        self._drop()
                    if not passing or time.monotonic() - started + pause > self.patience:
                        raise OutputError(self._complaint(error, time.monotonic() - started)) from error
                if self._closing.wait(pause):
                    raise OutputError("the connection to the database is closed")
                pause = min(2 * pause, LONGEST_PAUSE)

    def create(self, tables: str) -> None:
        """Make the schema and its tables if there are none yet; of several servers that come at once, one does."""
        if self.run("SELECT to_regclass('alarms')") == [(None,)]:
            lock = f"SELECT pg_advisory_xact_lock(hashtext('statecast {self.schema}'))"
            self.run(f"{lock}; CREATE SCHEMA IF NOT EXISTS {self.schema}; {tables}", binary=False)

    def close(self) -> None:
        """Close the connection; a statement that is being repeated is given up."""
        self._closing.set()
        with self._turn:
            self._drop()

    def _once(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any], binary: bool
    ) -> list[tuple[Any, ...]]:
        if self._closing.is_set():
            raise OutputError("the connection to the database is closed")
        if self._connection is None:
            self._connection = self._connect()
        cursor = self._connection.execute(statement, parameters or None, binary=binary)
        return cursor.fetchall() if cursor.description else []

    def _connect(self) -> Any:
        psycopg = driver()
        try:
            described: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(self.url)
        except psycopg.ProgrammingError as error:
            raise SettingError(f"{self.url!r} is not the address of a PostgreSQL database: {error}") from error
        # A peer that is gone without a word is noticed in seconds, and of several hosts the one that takes writes.
        defaults = {"connect_timeout": CONNECT, "tcp_user_timeout": 5000, "target_session_attrs": "read-write"}
        defaults |= {"keepalives_idle": 3, "keepalives_interval": 1, "keepalives_count": 3}
        connection = psycopg.connect(
            **(defaults | described), autocommit=True, application_name=f"statecast {self.purpose}"
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Any) -> None:
        """What holds for the session; see that what it commits will be on the disk."""
        sync, commit = connection.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        ).fetchone()
        if sync != "on":
            raise OutputError("this database runs with fsync = off and may lose what it acknowledged: turn it on")
        if commit == "off":
            connection.execute("SET synchronous_commit = on")
        connection.execute("SELECT set_config('search_path', %s, false)", (self.schema,))

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(driver().Error):
                connection.close()

    def _complaint(self, error: Exception, waited: float) -> str:
        reason = " ".join(str(error).split()) or type(error).__name__
        away = f" for {waited:.0f} seconds" if waited > 1 else ""
        return f"the database cannot be used{away}: {reason}"


def passes(error: Any) -> bool:
    """Whether a statement that failed like this may succeed when it is sent again."""
    return str(getattr(error, "sqlstate", None) or "").startswith(PASSING)


def driver() -> Any:
    """The module psycopg.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise MissingDependency.of("psycopg", "postgres", "a store in PostgreSQL") from error
    return psycopg
