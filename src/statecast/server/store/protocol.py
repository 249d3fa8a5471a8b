"""What a store keeps for an engine, and what it promises.

A store is a log of batches, blocks of states, and pieces of history. A `Transaction` is written whole and is on the
disk when `commit` returns, or not at all. Series have numbers that the engine gives, in the order in which they come;
256 neighbouring ones make a block. A block says up to which sequence number its state has taken the log's rows in, so
that what the log holds beyond is replayed, and what lies behind all blocks can be cut off.

A store may keep several shards of the series, each with a log of its own that one server at a time may write to. Blocks
then belong to one shard each: the engine opens a block for a shard and fills it with this shard's series, and a
transaction is split by its blocks. Sequence numbers grow within a shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from statecast.server.states.batch import Batch, Id, StoredAlarm

BLOCK = 256  # series of a block
CHAMPION = "champion"  # the note that says which model answers
RIVAL = "rival"  # the note that says which model observes beside, as JSON: number, name, whether it takes over
TOGETHER = "together"  # the note that says what is remembered of all series together
KEPT_ALARMS = 100_000  # the latest alarms, which a store keeps


@dataclass(frozen=True)
class StoredBlock:
    """What is remembered of the series of one block.

    Attributes:
        number: of the block: its series have the numbers from number · 256 on.
        seq: the last sequence number that it contains.
        content: the bytes of states and ledger, see `checkpoints`.
        model: whose states they are, by its number in the store.
    """

    number: int
    seq: int
    content: bytes
    model: int = 0


@dataclass(frozen=True)
class StoredModel:
    """A model that a store has had states of.

    Attributes:
        number: it is given once.
        fingerprint: of the model.
        content: the bytes of its file.
    """

    number: int
    fingerprint: str
    content: bytes


@dataclass(frozen=True)
class Piece:
    """Rows of one block's series that came between two of its checkpoints, for looking back.

    Attributes:
        block: its number.
        first, last: sequence numbers of the first and last row.
        content: the bytes, see `pieces`.
    """

    block: int
    first: int
    last: int
    content: bytes


@dataclass(frozen=True)
class KeyRecord:
    """A request that is known by its Idempotency-Key.

    Attributes:
        key: the key.
        seq: the last sequence number when it was answered.
        created: seconds since 1970.
        digest: of the request's rows.
        answer: the bytes of the answer.
    """

    key: str
    seq: int
    created: float
    digest: bytes
    answer: bytes


@dataclass(frozen=True)
class Transaction:
    """What is written together.

    Attributes:
        batches: to be put at the end of the log.
        keys: of requests among them.
        blocks: replace what was kept of these blocks.
        pieces: to be kept, each in place of one of its block with the same first number.
        cuts: for shards, up to which sequence number the log's rows are no longer needed, neither by a block nor for
            being kept.
        trims: for shards, up to which sequence number pieces of history are old enough to go.
        forget: keys that were made before this second since 1970 are no longer needed.
        models: to be kept.
        notes: strings that the store is to remember, by name; `CHAMPION` is the number of the model that answers from
            now on, so that what is read of the store are its blocks.
        retired: numbers of models whose blocks are no longer needed.
    """

    batches: Sequence[Batch] = ()
    keys: Sequence[KeyRecord] = ()
    blocks: Sequence[StoredBlock] = ()
    pieces: Sequence[Piece] = ()
    cuts: Mapping[int, int] = field(default_factory=dict)
    trims: Mapping[int, int] = field(default_factory=dict)
    forget: float | None = None
    models: Sequence[StoredModel] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    retired: Sequence[int] = ()

    def without(self, shards: frozenset[int], total: int, keys: Sequence[KeyRecord]) -> Transaction:
        """What is left where others hold some of the shards; with other records of the keys."""
        parts = [batch.split(lambda number: number // BLOCK % total) for batch in self.batches]
        batches = [batch for part in parts for shard, batch in part.items() if shard not in shards]
        blocks = [block for block in self.blocks if block.number % total not in shards]
        pieces = [piece for piece in self.pieces if piece.block % total not in shards]
        cuts, trims = (
            {shard: seq for shard, seq in part.items() if shard not in shards} for part in (self.cuts, self.trims)
        )
        return replace(self, batches=batches, keys=keys, blocks=blocks, pieces=pieces, cuts=cuts, trims=trims)


def columns_of(alarm: StoredAlarm) -> tuple[Any, ...]:
    """An alarm as the columns of a table."""
    return (*astuple(alarm)[:-1], np.array(alarm.value, np.float64).tobytes())


def stored_alarm(row: Sequence[Any]) -> StoredAlarm:
    """The alarm of such columns; a number that is none has no place in some tables."""
    seq, number, kind, time, score, since, received, value = row
    numbers = tuple(np.frombuffer(value, np.float64).tolist())
    return StoredAlarm(seq, number, kind, time, np.nan if score is None else score, since, received, numbers)


@dataclass(frozen=True)
class StoreCheck:
    """What a check of a store says.

    Attributes:
        faults: what is wrong, one sentence each; none where all is well.
        counts: how many series, blocks, log entries and pieces were read.
    """

    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Tenant(Protocol):
    """Who serves the shards of a store: an engine. Both methods are called by a thread of the store's."""

    def adopt(self, shard: int) -> None:
        """Read a shard that is held now, and serve it when this returns."""

    def drop(self, shard: int) -> None:
        """Stop serving a shard, and forget it.

        What is under way for it is over when this returns: written where the shard is still held, refused where not.
        """


class Shards(Protocol):
    """The parts that the series of a store are in, each of which one server at a time holds.

    Attributes:
        total: how many there are, numbered from 0; it never changes. Block b is of shard b modulo `total`.
    """

    total: int

    def shard_of(self, ids: Sequence[Id]) -> list[int]:
        """The shard of each series, which never changes."""

    def holds(self, shard: int) -> bool:
        """Whether nobody else can hold a shard at this moment."""

    def owner(self, shard: int) -> str | None:
        """The address of the other server that holds a shard; None where it is not known."""


class Store(Shards, Protocol):
    """A store that is open for one engine; `commit` is called by one thread at a time, the rest by any."""

    def serve(self, tenant: Tenant, failed: Callable[[str], None]) -> None:
        """Have a tenant adopt the shards that this server holds: now, and from now on as they come and go.

        Args:
            tenant: the engine.
            failed: is called, from a thread, where shards can no longer be moved at all.
        """

    def names(self, shard: int = 0) -> Iterator[tuple[int, Id, bool]]:
        """The number and name of every series that ever was, by number, and whether it was removed."""

    def models(self) -> list[StoredModel]:
        """The models that the store has had states of, by number."""

    def champion(self) -> int:
        """The number of the model that answers; 0 where there was never another than the first."""

    def blocks(self, shard: int = 0) -> Iterator[StoredBlock]:
        """Every block of the champion, by number."""

    def batches(self, after: int, shard: int | None = None) -> Iterator[Batch]:
        """The batches of the log that hold a sequence number beyond `after`, in order; of all shards if None."""

    def earliest(self, shard: int | None = None) -> int:
        """The sequence number up to which the log was cut; 0 where it never was."""

    def pieces(self, block: int) -> Iterator[Piece]:
        """The history of a block's series, newest first."""

    def alarms(self, limit: int, after: int = 0, number: int | None = None) -> list[StoredAlarm]:
        """The latest alarms, oldest first.

        Args:
            limit: how many at most.
            after: only those beyond this sequence number.
            number: only those of this series; of all that are held here if None.
        """

    def note(self, name: str) -> str | None:
        """What the store was last told to remember under a name."""

    def key(self, key: str) -> KeyRecord | None:
        """The request of an Idempotency-Key."""

    def commit(self, transaction: Transaction) -> None:
        """Write; it is on the disk when this returns.

        Raises:
            OutputError: it could not be written; then nothing of it is there.
            NotOwner: likewise, for another server holds some of its shards, which the error names.
        """

    def sizes(self) -> dict[str, int]:
        """Bytes of the log, the blocks and the history."""

    def backup(self, path: str | Path) -> Path:
        """Write a copy to a file that is a store itself, while the server runs."""

    def compact(self) -> None:
        """Give back room on the disk that is no longer needed."""

    def check(self) -> StoreCheck:
        """Read everything, and say what is wrong."""

    def close(self) -> None:
        """Let go of files and locks."""
