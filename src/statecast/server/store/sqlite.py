"""A store in a folder: one SQLite database in WAL mode, that one server at a time has open.

SQLite brings what is hard about a log: a transaction is there whole or not at all after a kill, a loss of power or a
full disk. `synchronous=FULL` syncs the write-ahead log at every commit, and the folder is locked against a second
server. One connection writes; a second one reads, so that looking back never waits for the disk.

The wheel of `apsw` brings an SQLite of its own, and for a reason: up to 3.51.2, a write-ahead log that several
connections use can lose transactions when it starts again from its beginning.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statecast.errors import MissingDependency, ModelFileError, NewerFormat, OutputError, StatecastError
from statecast.files import write_by
from statecast.server.states.batch import Batch, Id, StoredAlarm, checksum
from statecast.server.store.folder import damaged, explained, locked
from statecast.server.store.protocol import (
    CHAMPION,
    KEPT_ALARMS,
    KeyRecord,
    Piece,
    StoreCheck,
    StoredBlock,
    StoredModel,
    Tenant,
    Transaction,
    columns_of,
    stored_alarm,
)

if TYPE_CHECKING:
    import apsw

NAME, AHEAD = "statecast.db", "statecast.db-wal"  # the database, and what lies ahead of it in its write-ahead log
FORMAT = 1
APPLICATION = 0x73636173  # "scas": what SQLite's file header says that the file is
FULL, TOO_FULL = 8 << 20, 64 << 20  # bytes of a write-ahead log that is moved to the database, by whom see `_Mover`
CHUNK = 64  # entries that are read at once: a reader that lingers would keep the write-ahead log from starting again
TABLES = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE series(number INTEGER PRIMARY KEY, id NOT NULL, removed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE log(last INTEGER PRIMARY KEY, first INTEGER NOT NULL, received REAL NOT NULL,
    checksum INTEGER NOT NULL, rows BLOB NOT NULL);
CREATE TABLE blocks(model INTEGER NOT NULL, number INTEGER NOT NULL, seq INTEGER NOT NULL, checksum INTEGER NOT NULL,
    content BLOB NOT NULL);
CREATE UNIQUE INDEX blocks_by_number ON blocks(model, number);
CREATE TABLE models(number INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, content BLOB NOT NULL);
CREATE TABLE pieces(block INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, checksum INTEGER NOT NULL,
    content BLOB NOT NULL);
CREATE UNIQUE INDEX pieces_of_block ON pieces(block, first);
CREATE TABLE keys(key TEXT PRIMARY KEY, seq INTEGER NOT NULL, created REAL NOT NULL, digest BLOB NOT NULL,
    answer BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX keys_by_age ON keys(created);
"""
LATER = """
CREATE TABLE IF NOT EXISTS alarms(seq INTEGER NOT NULL, number INTEGER NOT NULL, kind INTEGER NOT NULL,
    time INTEGER NOT NULL, score REAL, since INTEGER NOT NULL, received REAL NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY(seq, number, kind)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alarms_of_series ON alarms(number, seq);
CREATE INDEX IF NOT EXISTS pieces_by_age ON pieces(last);
"""
"""Tables and indices that stores of this format got later, and any of it can do without."""


class SqliteStore:
    """A store in a folder.

    Args:
        folder: is made where it is missing.
        meta: what the store must be of, by name, such as the model's fingerprint; a new store is made of it.
        vfs: the name of the SQLite file system to use; the usual one if None.
        swap: whether the store may be of another model, which is to be changed.

    Raises:
        OutputError: the folder cannot be used, or another server uses it.
        ModelFileError: the store is another model's, is damaged, or is none.
        MissingDependency: apsw is not installed.
    """

    def __init__(self, folder: str | Path, meta: Mapping[str, str], vfs: str | None = None, swap: bool = False) -> None:
        self.path = Path(folder) / NAME
        self._vfs = vfs
        self._reading = threading.Lock()
        with ExitStack() as opened, explained(self.path):
            self._lock = locked(Path(folder))
            opened.callback(os.close, self._lock)
            self._writer = opened.enter_context(closing(_connection(self.path, vfs, True)))
            _prepare(self._writer, self.path, meta, swap)
            self._reader = opened.enter_context(closing(_connection(self.path, vfs, False)))
            self._mover = _Mover(_connection(self.path, vfs, False))
            opened.pop_all()  # all is well: they stay open until `close`

    # --- reading

    def names(self, shard: int = 0) -> Iterator[tuple[int, Id, bool]]:
        """See `Store`."""
        number, select = -1, "SELECT number, id, removed FROM series WHERE number > ? ORDER BY number LIMIT 100000"
        while rows := self._rows(select, number):
            yield from rows
            number = rows[-1][0]

    def blocks(self, shard: int = 0) -> Iterator[StoredBlock]:
        """See `Store`."""
        number, model = -1, self.champion()
        select = "SELECT number, seq, checksum, content FROM blocks WHERE model = ? AND number > ? ORDER BY 1 LIMIT 64"
        while rows := self._rows(select, model, number):
            for number, seq, check, content in rows:
                _require_sound(content, check, f"block {number}", self.path)
                yield StoredBlock(number, seq, content, model)

    def models(self) -> list[StoredModel]:
        """See `Store`."""
        return [StoredModel(*row) for row in self._rows("SELECT number, fingerprint, content FROM models ORDER BY 1")]

    def champion(self) -> int:
        """See `Store`."""
        return int(self.note(CHAMPION) or 0)

    def batches(self, after: int, shard: int | None = None) -> Iterator[Batch]:
        """See `Store`."""
        select = "SELECT last, first, checksum, rows FROM log WHERE last > ? ORDER BY last LIMIT ?"
        while rows := self._rows(select, after, CHUNK):
            for after, first, check, content in rows:
                _require_sound(content, check, f"the log's entry {first} to {after}", self.path)
                batch = Batch.from_bytes(content)
                if (batch.first, batch.last) != (first, after):
                    raise damaged(self.path, f"the log's entry {first} to {after} holds {batch.first} to {batch.last}")
                yield batch

    def earliest(self, shard: int | None = None) -> int:
        """See `Store`."""
        return int(self.note("cut") or 0)

    def pieces(self, block: int) -> Iterator[Piece]:
        """See `Store`."""
        first = 1 << 62
        columns, order = "first, last, checksum, content", "ORDER BY first DESC LIMIT 8"
        select = f"SELECT {columns} FROM pieces WHERE block = ? AND first < ? {order}"
        while rows := self._rows(select, block, first):
            for first, last, check, content in rows:
                _require_sound(content, check, f"the history of block {block}, {first} to {last}", self.path)
                yield Piece(block, first, last, content)

    def alarms(self, limit: int, after: int = 0, number: int | None = None) -> list[StoredAlarm]:
        """See `Store`."""
        columns, order = "seq, number, kind, time, score, since, received, value", "ORDER BY seq DESC LIMIT ?"
        of = "" if number is None else " AND number = ?"
        values = (after, limit) if number is None else (after, number, limit)
        rows = self._rows(f"SELECT {columns} FROM alarms WHERE seq > ?{of} {order}", *values)
        return [stored_alarm(row) for row in reversed(rows)]

    def note(self, name: str) -> str | None:
        """See `Store`."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def key(self, key: str) -> KeyRecord | None:
        """See `Store`."""
        rows = self._rows("SELECT key, seq, created, digest, answer FROM keys WHERE key = ?", key)
        return KeyRecord(*rows[0]) if rows else None

    # --- one shard, always held

    total = 1

    def serve(self, tenant: Tenant, failed: Callable[[str], None]) -> None:
        """See `Store`."""
        tenant.adopt(0)

    def shard_of(self, ids: Sequence[Id]) -> list[int]:
        """See `Store`."""
        return [0] * len(ids)

    def holds(self, shard: int) -> bool:
        """See `Store`."""
        return True

    def owner(self, shard: int) -> None:
        """See `Store`."""

    def sizes(self) -> dict[str, int]:
        """See `Store`."""
        select = (
            "SELECT (SELECT coalesce(sum(length(rows)), 0) FROM log), (SELECT coalesce(sum(length(content)), 0) FROM "
            "blocks), (SELECT coalesce(sum(length(content)), 0) FROM pieces)"
        )
        log, blocks, history = self._rows(select)[0]
        return {"log": log, "blocks": blocks, "history": history, "file": self.path.stat().st_size + self._ahead()}

    def _ahead(self) -> int:
        """Bytes of the write-ahead log."""
        return self.path.with_name(AHEAD).stat().st_size

    def _rows(self, select: str, *values: Any) -> list[Any]:
        with self._reading, explained(self.path):
            return list(self._reader.execute(select, values))

    # --- writing

    def commit(self, transaction: Transaction) -> None:
        """See `Store`."""
        with explained(self.path), self._writer:
            for batch in transaction.batches:
                self._append(batch)
            for block in transaction.blocks:
                entry = block.model, block.number, block.seq, checksum(block.content), block.content
                self._writer.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?)", entry)
            for piece in transaction.pieces:
                row = piece.block, piece.first, piece.last, checksum(piece.content), piece.content
                self._writer.execute("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?, ?, ?)", row)
            for key in transaction.keys:
                known = key.key, key.seq, key.created, key.digest, key.answer
                self._writer.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", known)
            for seq in transaction.cuts.values():
                self._cut(seq)
            for seq in transaction.trims.values():
                self._writer.execute("DELETE FROM pieces WHERE last <= ?", (seq,))
            if transaction.forget is not None:
                self._writer.execute("DELETE FROM keys WHERE created < ?", (transaction.forget,))
            for model in transaction.models:
                self._writer.execute("INSERT OR REPLACE INTO models VALUES (?, ?, ?)", astuple(model))
            for number in transaction.retired:
                self._writer.execute("DELETE FROM blocks WHERE model = ?", (number,))
            for note in transaction.notes.items():
                self._writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", note)
        size = self._ahead()
        if size > TOO_FULL:  # the mover does not come to an end while more is written, so nothing is for once
            self.tidy()
        elif size > FULL:
            self._mover.wake()

    def tidy(self) -> None:
        """Move the write-ahead log to the database, so that it starts again from its beginning; by who commits."""
        with explained(self.path):
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _append(self, batch: Batch) -> None:
        if batch.last >= batch.first:
            content = batch.to_bytes()
            row = batch.last, batch.first, batch.received, checksum(content), content
            self._writer.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?)", row)
        for alarm in batch.stored_alarms():
            self._writer.execute("INSERT OR REPLACE INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?, ?)", columns_of(alarm))
        if batch.names:
            self._writer.executemany("INSERT INTO series(number, id) VALUES (?, ?)", batch.names.items())
        for number in batch.removed:
            self._writer.execute("UPDATE series SET removed = 1 WHERE number = ?", (number,))

    def _cut(self, seq: int) -> None:
        self._writer.execute("DELETE FROM log WHERE last <= ?", (seq,))
        self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('cut', ?)", (seq,))
        latest = "SELECT seq FROM alarms ORDER BY seq DESC LIMIT 1 OFFSET ?"
        self._writer.execute(f"DELETE FROM alarms WHERE seq < ({latest})", (KEPT_ALARMS - 1,))

    # --- keeping house

    def backup(self, path: str | Path) -> Path:
        """See `Store`."""
        path = Path(path)
        if path.exists():
            raise OutputError(f"{path} exists already: give a new name for the backup")

        def write(temporary: Path) -> None:
            with closing(_connection(self.path, self._vfs, False)) as connection:
                connection.execute("VACUUM INTO ?", (str(temporary),))

        with explained(path):
            return write_by(path, write)

    def compact(self) -> None:
        """See `Store`."""
        with explained(self.path):
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def check(self) -> StoreCheck:
        """See `Store`."""
        faults = [f"SQLite says: {row[0]}" for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
        counts = {"series": sum(1 for _ in self.names())}
        numbers = [row[0] for row in self._rows("SELECT DISTINCT block FROM pieces ORDER BY block")]
        readings = {"blocks": self.blocks(), "batches": self.batches(0)}
        readings |= {f"pieces of block {number}": self.pieces(number) for number in numbers}
        for name, items in readings.items():
            kind = name.split()[0]
            try:
                counts[kind] = counts.get(kind, 0) + sum(1 for _ in items)
            except StatecastError as error:
                faults.append(str(error))
        return StoreCheck(faults, counts)

    def close(self) -> None:
        """See `Store`."""
        import apsw

        self._mover.close()
        for connection in (self._reader, self._writer):
            with contextlib.suppress(apsw.Error):  # the log holds what could not be moved to the database
                connection.close()
        os.close(self._lock)


class _Mover:
    """A thread that moves the write-ahead log to the database, so that no commit waits for that.

    SQLite lets a writer go on meanwhile. What is written then stays in the log, which starts again from its beginning
    only where all of it was moved; so when the log has grown too far the writer itself moves the rest.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection, self._ended = connection, False
        self._bell = threading.Event()
        self._thread = threading.Thread(target=self._run, name="statecast-move", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to move."""
        self._bell.set()

    def close(self) -> None:
        """Finish."""
        self._ended = True
        self._bell.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        import apsw

        while self._bell.wait() and not self._ended:
            self._bell.clear()
            with contextlib.suppress(apsw.Error):  # the next commit meets the same fault, and tells of it
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _connection(path: Path, vfs: str | None, writes: bool) -> apsw.Connection:
    try:
        import apsw
    except ImportError as error:
        raise MissingDependency.of("apsw", "server", "a server's store") from error
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writes else 0)
    connection = apsw.Connection(str(path), flags, vfs)
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16384", "temp_store=MEMORY", "wal_autocheckpoint=0")
    with ExitStack() as opened:
        opened.callback(connection.close)
        connection.set_busy_timeout(10_000)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        opened.pop_all()
    return connection


def _prepare(connection: apsw.Connection, path: Path, meta: Mapping[str, str], swap: bool) -> None:
    """Make the tables of a new store, and check what an old one is of."""
    with connection:
        kind, version = (connection.pragma(name) for name in ("application_id", "user_version"))
        if kind == 0 and not connection.execute("SELECT name FROM sqlite_master").fetchall():
            connection.execute(TABLES)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.execute(f"PRAGMA application_id={APPLICATION}; PRAGMA user_version={FORMAT}")
            connection.execute(LATER)
            return
    if kind != APPLICATION:
        raise ModelFileError(f"{path} is a database, but not a store of statecast: give another folder")
    if version > FORMAT:
        raise NewerFormat(f"{path} was written by a later statecast (format {version}): install that one")
    with connection:
        connection.execute(LATER)
    known = {row[0] for row in connection.execute("SELECT fingerprint FROM models")}
    for name, value in meta.items():
        same = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchall() == [(value,)]
        if not (same or value in known or (swap and known)):
            raise ModelFileError(
                f"{path} is the store of another model than this one (its {name} differs): give its own model, another "
                "folder, or change models with --swap"
            )


def _require_sound(content: Any, check: int, what: str, path: Path) -> None:
    if not isinstance(content, bytes) or checksum(content) != check:
        raise damaged(path, f"{what} does not have the checksum that was written with it")
