"""A store in PostgreSQL, which several servers share: the tables of a store in a folder, in shards.

A shard of the series has a log of its own, and one server at a time that may write to it: see `leases`. All that a
commit writes goes in one statement, and so in one transaction, whose first part finds those of its shards that are
still held under the epochs that this server knows, and locks their rows against a change of holder until the
transaction is over; the rest writes for these shards alone. So a server that was thought dead, and whose shards were
taken, writes nothing, and is told so.

Where a connection breaks in the middle of a commit, the statement is sent again (see `Database`): what the first
attempt wrote is known by its shard, its sequence number, its epoch and its checksum, and counts as written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from statecast.data.buckets import bucket
from statecast.errors import ModelFileError, NewerFormat, NotOwner, OutputError, SettingError, StatecastError
from statecast.server.states.batch import Batch, Id, StoredAlarm, checksum, woven
from statecast.server.store import statements
from statecast.server.store.database import PATIENCE, Database
from statecast.server.store.leases import TTL, Leases
from statecast.server.store.protocol import (
    BLOCK,
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

FORMAT = 1
SHARDS = 16
SCHEMA = "statecast"
CHUNK = 32  # entries that are read at once
BEGIN = 2.0  # seconds after which a database that cannot be reached at the start is given up


class PostgresStore:
    """A store in a PostgreSQL database.

    Args:
        url: as libpq reads it, such as `postgresql://user@host/database`.
        meta: what the store must be of, by name, such as the model's fingerprint; a new store is made of it.
        address: at which clients reach this server; others answer with it where a series is this server's.
        shards: into how many parts a new store's series are split, no fewer than there will ever be servers; those of
            a store that is there already stay as they are.
        schema: where the tables are.
        ttl: seconds after which a server that says nothing is taken for dead.
        patience: seconds that the database may be away before a commit fails.
        swap: whether the store may be of another model, which is to be changed.

    Raises:
        OutputError: the database cannot be reached, or refuses.
        ModelFileError: the store is another model's.
        SettingError: the address is none of a database.
        MissingDependency: psycopg is not installed.
    """

    def __init__(
        self,
        url: str,
        meta: Mapping[str, str],
        address: str = "",
        shards: int = SHARDS,
        schema: str = SCHEMA,
        ttl: float = TTL,
        patience: float = PATIENCE,
        swap: bool = False,
    ) -> None:
        if not 1 <= shards <= 4096:
            raise SettingError(f"shards: got {shards!r}, expected 1 to 4096")
        self._writer, self._reader, renewals, moves = (
            Database(url, schema, purpose, BEGIN) for purpose in ("commits", "reads", "renewals", "moves")
        )
        self.leases = Leases(renewals, moves, address, ttl)
        try:
            self._prepare(dict(meta) | {"format": str(FORMAT)}, shards, swap)
        except BaseException:
            for database in (self._writer, self._reader, renewals, moves):
                database.close()
            raise
        for database in (self._writer, self._reader, moves):
            database.patience = patience
        renewals.patience = ttl

    def _prepare(self, meta: dict[str, str], shards: int, swap: bool) -> None:
        """Make the tables of a new store, and check what an old one is of."""
        self._writer.create(statements.TABLES)
        self._writer.run(statements.CREATE, {"names": [*meta], "values": [*meta.values()], "shards": shards})
        stored = dict(self._writer.run("SELECT name, value FROM meta"))
        if int(stored["format"]) > FORMAT:
            raise NewerFormat(
                f"the store was written by a later statecast (format {stored['format']}): install that one"
            )
        known = {row[0] for row in self._writer.run("SELECT fingerprint FROM models")}
        for name, value in meta.items():
            if not (stored.get(name) == value or value in known or (swap and known)):
                raise ModelFileError(
                    f"the database holds the store of another model than this one (its {name} differs): give its own "
                    "model, another database, or change models with --swap"
                )
        ((self.total,),) = self._writer.run("SELECT count(*) FROM shards")

    # --- shards

    def serve(self, tenant: Tenant, failed: Callable[[str], None]) -> None:
        """See `Store`."""
        self.leases.start(tenant, failed)

    def shard_of(self, ids: Sequence[Id]) -> list[int]:
        """See `Store`."""
        return [bucket(name, self.total) for name in ids]

    def holds(self, shard: int) -> bool:
        """See `Store`."""
        return self.leases.holds(shard)

    def owner(self, shard: int) -> str | None:
        """See `Store`."""
        return self.leases.owner(shard)

    # --- reading

    def names(self, shard: int = 0) -> Iterator[tuple[int, Id, bool]]:
        """See `Store`."""
        number, most = -1, 100_000
        select = "SELECT number, id, removed FROM series WHERE shard = %b AND number > %b ORDER BY number LIMIT %b"
        while rows := self._reader.run(select, (shard, number, most)):
            for number, text, removed in rows:
                yield number, json.loads(text), removed

    def blocks(self, shard: int = 0) -> Iterator[StoredBlock]:
        """See `Store`."""
        number, model = -1, self.champion()
        while rows := self._reader.run(statements.SELECT_BLOCKS, (shard, model, number, CHUNK)):
            for number, seq, check, content in rows:
                _require_sound(content, check, f"block {number}")
                yield StoredBlock(number, seq, content, model)

    def models(self) -> list[StoredModel]:
        """See `Store`."""
        rows = self._reader.run("SELECT number, fingerprint, content FROM models ORDER BY number")
        return [StoredModel(*row) for row in rows]

    def champion(self) -> int:
        """See `Store`."""
        return int(self.note(CHAMPION) or 0)

    def batches(self, after: int, shard: int | None = None) -> Iterator[Batch]:
        """See `Store`."""
        if shard is None:
            yield from woven([self.batches(after, held) for held in self.leases.held])
            return
        select = "SELECT last, first, checksum, rows FROM log WHERE shard = %b AND last > %b ORDER BY last LIMIT %b"
        while rows := self._reader.run(select, (shard, after, 8 * CHUNK)):
            for after, first, check, content in rows:
                what = f"the log's entry {first} to {after} of shard {shard}"
                _require_sound(content, check, what)
                batch = Batch.from_bytes(content)
                if (batch.first, batch.last) != (first, after):
                    raise _damaged(f"{what} holds {batch.first} to {batch.last}")
                yield batch

    def earliest(self, shard: int | None = None) -> int:
        """See `Store`."""
        shards = self.leases.held if shard is None else [shard]
        return int(self._reader.run("SELECT coalesce(max(cut), 0) FROM shards WHERE shard = ANY(%b)", (shards,))[0][0])

    def pieces(self, block: int) -> Iterator[Piece]:
        """See `Store`."""
        first = 1 << 62
        while rows := self._reader.run(statements.SELECT_PIECES, (block, first)):
            for first, last, check, content in rows:
                _require_sound(content, check, f"the history of block {block}, {first} to {last}")
                yield Piece(block, first, last, content)

    def alarms(self, limit: int, after: int = 0, number: int | None = None) -> list[StoredAlarm]:
        """See `Store`."""
        values = after, number is None, -1 if number is None else number, self.leases.held, limit
        return [stored_alarm(row) for row in reversed(self._reader.run(statements.SELECT_ALARMS, values))]

    def note(self, name: str) -> str | None:
        """See `Store`."""
        rows = self._reader.run("SELECT value FROM meta WHERE name = %b", (name,))
        return str(rows[0][0]) if rows else None

    def key(self, key: str) -> KeyRecord | None:
        """See `Store`."""
        rows = self._reader.run("SELECT key, seq, created, digest, answer FROM keys WHERE key = %b", (_text(key),))
        return KeyRecord(key, *rows[0][1:]) if rows else None

    def sizes(self) -> dict[str, int]:
        """See `Store`."""
        tables = {"log": "log", "blocks": "blocks", "history": "pieces"}
        sizes = ", ".join(f"pg_total_relation_size('{table}')" for table in tables.values())
        return dict(zip(tables, self._reader.run(f"SELECT {sizes}")[0], strict=True))

    # --- writing

    def commit(self, transaction: Transaction) -> None:
        """See `Store`."""
        parts, values = _parts(transaction, self.total)
        if not parts:
            return
        epochs = [self.leases.epoch(shard) for shard in values["shards"]]
        known = dict(zip(values["shards"], epochs, strict=True))
        values |= {"epochs": epochs, "now": time.time(), "log_epochs": [known[shard] for shard in values["log_shards"]]}
        appended = statements.APPENDED if values["log_shards"] else ""
        rows = self._writer.run(f"{statements.HELD}{''.join(parts)}{statements.COMMIT}{appended}", values)
        entries = set(zip(values["log_shards"], values["log_lasts"], strict=True))
        missing = entries.difference(rows)
        if missing:
            missing.difference_update(self._writer.run(statements.EARLIER, values))
        lost = frozenset(values["shards"]) - {shard for shard, last in rows if last is None}
        if lost and (missing or not entries):
            self.leases.lose(lost)
            numbers = ", ".join(map(str, sorted(lost)))
            raise NotOwner(f"other servers hold the shards {numbers} now: nothing was written", shards=lost)
        if missing:
            raise OutputError(f"other entries than this server's stand in the log, as (shard, last): {sorted(missing)}")

    # --- keeping house

    def backup(self, path: str | Path) -> Path:
        """See `Store`."""
        raise SettingError(f"a store in PostgreSQL is backed up by PostgreSQL: pg_dump --schema={self._writer.schema}")

    def compact(self) -> None:
        """See `Store`."""
        self._writer.run("VACUUM (ANALYZE) log, blocks, pieces, series, keys, shards, servers")

    def check(self) -> StoreCheck:
        """See `Store`. It reads the shards of all servers."""
        blocks = [row[0] for row in self._reader.run("SELECT DISTINCT block FROM pieces ORDER BY block")]
        readings: list[tuple[str, Iterator[Any]]] = [("pieces", self.pieces(block)) for block in blocks]
        for shard in range(self.total):
            series = (name for _, name, removed in self.names(shard) if not removed)
            readings += [("series", series), ("blocks", self.blocks(shard)), ("batches", self.batches(0, shard))]
        faults, counts = [], dict.fromkeys(("series", "blocks", "batches", "pieces"), 0)
        for kind, items in readings:
            try:
                counts[kind] += sum(1 for _ in items)
            except StatecastError as error:
                faults.append(str(error))
        return StoreCheck(faults + self._disorder(), counts)

    def _disorder(self) -> list[str]:
        """Where the order of a log's entries, or of their epochs, is broken."""
        rows = self._reader.run(
            "SELECT shard, last FROM (SELECT shard, last, first <= lag(last) OVER entries OR epoch < lag(epoch) OVER "
            "entries AS wrong FROM log WINDOW entries AS (PARTITION BY shard ORDER BY last)) AS log WHERE wrong"
        )
        return [f"the log's entry up to {last} of shard {shard} is out of order" for shard, last in rows]

    def close(self) -> None:
        """See `Store`."""
        self.leases.close()
        for database in (self._writer, self._reader):
            database.close()


def _parts(transaction: Transaction, total: int) -> tuple[list[str], dict[str, Any]]:
    """The parts of a commit's statement that a transaction needs, and the values that they name."""
    parts_of = [part for batch in transaction.batches for part in batch.split(lambda n: n // BLOCK % total).items()]
    entries = [
        (shard, batch.last, batch.first, checksum(content), content)
        for shard, batch, content in ((shard, batch, batch.to_bytes()) for shard, batch in parts_of)
        if batch.last >= batch.first
    ]
    names: dict[int, tuple[Id | None, bool]] = {
        number: (name, False) for batch in transaction.batches for number, name in batch.names.items()
    }
    for number in (number for batch in transaction.batches for number in batch.removed):
        names[number] = (names[number][0] if number in names else None), True
    texts = [(n // BLOCK % total, n, None if name is None else _text(name), gone) for n, (name, gone) in names.items()]
    keys = {key.key: (_text(key.key), key.seq, key.created, key.digest, key.answer) for key in transaction.keys}
    blocks = {
        (b.model, b.number): (b.number % total, b.number, b.seq, checksum(b.content), b.content, b.model)
        for b in transaction.blocks
    }
    pieces = [(p.block % total, p.block, p.last, p.first, checksum(p.content), p.content) for p in transaction.pieces]
    cuts, trims = [*transaction.cuts.items()], [*transaction.trims.items()]
    alarms = [(shard, *columns_of(alarm)) for shard, batch in parts_of for alarm in batch.stored_alarms()]
    models = [(model.number, model.fingerprint, model.content) for model in transaction.models]
    shards = {row[0] for row in (*entries, *texts, *blocks.values(), *pieces, *cuts, *trims)}
    values: dict[str, Any] = {"shards": sorted(shards)}
    parts = []
    for part, columns, rows in (
        (statements.ENTRIES, "log_shards log_lasts log_firsts log_checksums log_rows", entries),
        (statements.NAMES, "name_shards name_numbers names removed", texts),
        (statements.KEYS, "keys key_seqs key_created key_digests key_answers", [*keys.values()]),
        (
            statements.BLOCKS,
            "block_shards block_numbers block_seqs block_checksums block_contents block_models",
            [*blocks.values()],
        ),
        (
            statements.PIECES,
            "piece_shards piece_blocks piece_lasts piece_firsts piece_checksums piece_contents",
            pieces,
        ),
        (
            statements.ALARMS,
            "alarm_shards alarm_seqs alarm_numbers alarm_kinds alarm_times alarm_scores alarm_since alarm_received "
            "alarm_values",
            alarms,
        ),
        (statements.CUT, "cut_shards cuts", cuts),
        (statements.TRIM, "trim_shards trims", trims),
        (statements.MODELS, "models fingerprints model_contents", models),
        (statements.RETIRED, "retired", [(number,) for number in transaction.retired]),
        (statements.NOTES, "note_names notes", [*transaction.notes.items()]),
    ):
        values |= {name: [row[n] for row in rows] for n, name in enumerate(columns.split())}
        parts += [part] if rows else []
    values |= {"forget": transaction.forget, "kept_alarms": KEPT_ALARMS}
    parts += [] if transaction.forget is None else [statements.FORGET]
    return parts, values


def _text(name: Id) -> str:
    """A name as text that PostgreSQL takes whatever the name holds, a NUL or half a surrogate pair too."""
    return json.dumps(name)


def _require_sound(content: bytes, check: int, what: str) -> None:
    if checksum(content) != check:
        raise _damaged(f"{what} does not have the checksum that was written with it")


def _damaged(reason: str) -> ModelFileError:
    return ModelFileError(f"the database is damaged: {reason}; restore a backup, or see what can be read with a check")
