"""A store in PostgreSQL: fencing, leases, and connections that break in the middle of a commit.

The database is a real one; see `postgres_cases`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from postgres_cases import Cluster, Relay, psycopg, running

from statecast.errors import ModelFileError, NotOwner, OutputError, SettingError
from statecast.server.states.batch import MARK, Batch
from statecast.server.store import leases
from statecast.server.store.postgres import PostgresStore
from statecast.server.store.protocol import BLOCK, KeyRecord, Piece, StoredBlock, Transaction

pytestmark = pytest.mark.heavy
META = {"model": "c0ffee"}


@pytest.fixture
def cluster() -> Cluster:
    return running()


class Served:
    """A tenant that only writes down what it is told."""

    def __init__(self) -> None:
        self.shards: set[int] = set()
        self.moves: list[tuple[str, int]] = []
        self.changed = threading.Condition()

    def adopt(self, shard: int) -> None:
        with self.changed:
            self.shards.add(shard)
            self.moves.append(("adopt", shard))
            self.changed.notify_all()

    def drop(self, shard: int) -> None:
        with self.changed:
            self.shards.discard(shard)
            self.moves.append(("drop", shard))
            self.changed.notify_all()

    def wait(self, *counts: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.shards) in counts, 20), f"{self.shards} of {counts}"


class Opened:
    """Stores that are closed at the end, whatever happens."""

    def __init__(self) -> None:
        self.stores: list[PostgresStore] = []

    def __call__(
        self,
        url: str,
        address: str = "http://a",
        shards: int = 4,
        ttl: float = 1.0,
        awake: bool = True,
        patience: float = 20.0,
        served: Served | None = None,
    ) -> tuple[PostgresStore, Served]:
        """A store; one that is not awake takes shards once, and does nothing more by itself."""
        store, served = PostgresStore(url, META, address, shards, ttl=ttl, patience=patience), served or Served()
        self.stores.append(store)
        if awake:
            store.serve(served, pytest.fail)
        else:
            store.leases.look(served)
        return store, served


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    for store in opened.stores:
        store.close()


def batch(shard: int, first: int, values: list[float], names: tuple[str, ...] = ()) -> Batch:
    """Rows of a shard, one for each value, of its first series."""
    numbers = np.full(len(values), shard * BLOCK, np.int32)
    new = {shard * BLOCK + n: name for n, name in enumerate(names)}
    return Batch(first, 0.0, numbers, np.arange(len(values)), np.array(values)[:, None], names=new)


def rows(store: PostgresStore, shard: int) -> list[tuple[int, float]]:
    return [
        (entry.first + n, value)
        for entry in store.batches(0, shard)
        for n, value in enumerate(entry.values[:, 0].tolist())
    ]


# --- what is written


def test_what_is_committed_is_read_back(cluster: Cluster, opened: Opened) -> None:
    store, served = opened(cluster.database())
    assert served.shards == {0, 1, 2, 3}
    name = "nul \0, 'quotes' %s, \U0001f600"
    blocks = (StoredBlock(2, 5, b"state"), StoredBlock(6, 5, b"more"))
    piece, key = Piece(2, 1, 5, b"past"), KeyRecord(name, 7, 1.5, b"digest", b"answer")
    store.commit(Transaction((batch(2, 1, [1.0, np.nan], (name,)), batch(3, 3, [4.0], ("b",))), [key], blocks, [piece]))
    assert [value for _, value in rows(store, 2)][:1] == [1.0]
    assert rows(store, 3) == [(3, 4.0)]
    assert list(store.names(2)) == [(2 * BLOCK, name, False)]
    assert list(store.blocks(2)) == list(blocks)
    assert list(store.pieces(2)) == [piece]
    assert store.key(name) == key
    assert store.check().faults == []
    assert store.check().counts == {"series": 2, "blocks": 2, "batches": 2, "pieces": 1}
    assert min(store.sizes().values()) > 0


def test_a_series_that_is_removed_keeps_its_number(cluster: Cluster, opened: Opened) -> None:
    store, _ = opened(cluster.database())
    removal = Batch(3, 0.0, np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros((0, 1)), removed=(BLOCK,))
    store.commit(Transaction((batch(1, 1, [1.0, 2.0], ("a",)), removal)))
    assert list(store.names(1)) == [(BLOCK, "a", True)]


def test_the_log_is_cut_and_keys_are_forgotten(cluster: Cluster, opened: Opened) -> None:
    store, _ = opened(cluster.database())
    store.commit(Transaction((batch(0, 1, [1.0]), batch(1, 2, [2.0])), [KeyRecord("k", 1, 10.0, b"", b"")]))
    store.commit(Transaction((batch(0, 3, [3.0]),)))
    store.commit(Transaction(cuts={0: 2, 1: 2}, forget=11.0))
    assert (rows(store, 0), rows(store, 1)) == ([(3, 3.0)], [])
    assert (store.earliest(0), store.earliest(1)) == (2, 2)
    assert store.key("k") is None


def test_history_goes_by_shard(cluster: Cluster, opened: Opened) -> None:
    store, served = opened(cluster.database())
    served.wait(4)
    pieces = [Piece(block, first, first + 1, b"rows") for block in (0, 1, 4) for first in (1, 3, 5)]
    store.commit(Transaction(pieces=pieces))
    store.commit(Transaction(trims={0: 4, 1: 1}))  # blocks 0 and 4 are of shard 0, block 1 is of shard 1
    kept = {block: [piece.first for piece in store.pieces(block)] for block in (0, 1, 4)}
    assert kept == {0: [5], 1: [5, 3, 1], 4: [5]}


def test_the_log_of_a_shard_that_is_being_read_is_left_alone(cluster: Cluster, opened: Opened) -> None:
    store, _ = opened(cluster.database())
    store.commit(Transaction((batch(0, 1, [1.0]), batch(1, 2, [2.0]))))
    store.commit(Transaction(cuts={0: 9}))
    assert (rows(store, 0), rows(store, 1)) == ([], [(2, 2.0)])


def test_shards_of_series_never_change(cluster: Cluster, opened: Opened) -> None:
    store, _ = opened(cluster.database(), shards=16)
    assert store.shard_of(["a", "b", 7, "7", "ä"]) == [8, 8, 2, 7, 5]
    assert np.bincount(store.shard_of([f"s{n}" for n in range(16_000)])).std() < 50


def test_another_models_store_is_refused(cluster: Cluster, opened: Opened) -> None:
    url = cluster.database()
    opened(url)
    with pytest.raises(ModelFileError, match="the store of another model than this one"):
        PostgresStore(url, {"model": "other"})


def test_what_is_no_database_is_refused_at_once(cluster: Cluster) -> None:
    with pytest.raises(SettingError, match="is not the address of a PostgreSQL database"):
        PostgresStore("postgresql://?x=1", META)
    with pytest.raises(OutputError, match="does not exist"):
        PostgresStore(cluster.database().replace("case", "none"), META)
    with pytest.raises(SettingError, match="expected a name of small letters"):
        PostgresStore(cluster.database(), META, schema='a"; DROP TABLE log')


# --- who may write


def test_shards_are_shared_evenly_and_given_back(cluster: Cluster, opened: Opened) -> None:
    url = cluster.database()
    first, mine = opened(url, "http://a", shards=5)
    assert mine.shards == {0, 1, 2, 3, 4}
    second, others = opened(url, "http://b", shards=99)
    assert second.total == 5
    mine.wait(3)
    others.wait(2)
    assert not mine.shards & others.shards
    shard = min(others.shards)
    deadline = time.monotonic() + 10
    while first.owner(shard) != "http://b" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (first.owner(shard), first.holds(shard), second.holds(shard)) == ("http://b", False, True)
    second.close()
    opened.stores.remove(second)
    mine.wait(5)


def test_a_server_that_was_asleep_writes_nothing(cluster: Cluster, opened: Opened) -> None:
    url = cluster.database()
    first, mine = opened(url, "http://a", awake=False)
    first.commit(Transaction((batch(0, 1, [1.0]),)))
    second, others = opened(url, "http://b")
    others.wait(4)
    assert not any(map(first.holds, range(4))), "it must not answer reads either"
    second.commit(Transaction((batch(0, 2, [2.0]),)))
    assert first.leases.held == [0, 1, 2, 3], "it does not know yet"
    with pytest.raises(NotOwner) as refusal:
        first.commit(Transaction((batch(0, 2, [9.0]), batch(1, 3, [9.0]))))
    assert refusal.value.shards == {0, 1}
    with pytest.raises(NotOwner):
        first.commit(Transaction(blocks=(StoredBlock(2, 2, b"old"),)))
    assert (rows(second, 0), rows(second, 1), list(second.blocks(2))) == ([(1, 1.0), (2, 2.0)], [], [])
    assert mine.shards == {0, 1, 2, 3}
    assert not first.leases.renew()
    first.leases.look(mine)
    assert [shard for move, shard in mine.moves if move == "drop"] == [0, 1, 2, 3], "it forgets what it served"


def test_one_lost_shard_keeps_a_whole_commit_back(cluster: Cluster, opened: Opened) -> None:
    url = cluster.database()
    store, _ = opened(url, awake=False)
    taken(url, 1)
    both = Transaction((batch(0, 1, [1.0]), batch(1, 2, [2.0])), [KeyRecord("k", 2, 1.0, b"", b"")])
    with pytest.raises(NotOwner, match="other servers hold the shards 1 now: nothing was written") as refusal:
        store.commit(both)
    assert refusal.value.shards == {1}
    assert (rows(store, 0), rows(store, 1), store.key("k")) == ([], [], None)
    store.commit(Transaction((batch(0, 1, [1.0]),), both.keys))
    assert rows(store, 0) == [(1, 1.0)]


def test_a_shard_is_not_taken_while_a_commit_is_under_way(cluster: Cluster, opened: Opened) -> None:
    url = cluster.database()
    opened(url, awake=False)
    with psycopg.connect(url) as commit, psycopg.connect(url, autocommit=True) as thief:
        commit.execute("SELECT FROM statecast.shards WHERE shard = 2 FOR SHARE")
        thief.execute("SET lock_timeout = '50ms'; SET search_path = statecast; UPDATE servers SET ttl = -1e6")
        thief.execute(leases.STRIKE_OFF, {"server": 0})
        with pytest.raises(psycopg.errors.LockNotAvailable):
            thief.execute(leases.FREE)
        commit.rollback()
        thief.execute(leases.FREE)
        assert thief.execute("SELECT count(*) FROM shards WHERE server IS NULL").fetchone() == (4,)


def test_shards_of_servers_that_are_no_more_are_free(cluster: Cluster, opened: Opened) -> None:
    url = cluster.database()
    PostgresStore(url, META, shards=4).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE statecast.shards SET server = 12345")
    _, served = opened(url)
    assert served.shards == {0, 1, 2, 3}


def test_a_shard_that_cannot_be_read_keeps_the_others_running(cluster: Cluster, opened: Opened) -> None:
    class Fails(Served):
        def adopt(self, shard: int) -> None:
            if shard == 1:
                raise ModelFileError("block 5 is damaged")
            super().adopt(shard)

    store, served = opened(cluster.database(), served=Fails())
    assert (served.shards, store.leases.faults) == ({0, 2, 3}, {1: "block 5 is damaged"})


# --- a database that goes away


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_that_breaks_in_mid_commit_leaves_every_row_once(
    cluster: Cluster, opened: Opened, moment: str
) -> None:
    url = cluster.database()
    relay = Relay(url, MARK)
    store, _ = opened(relay.url)
    for n in range(1, 7):
        relay.cut = moment
        store.commit(Transaction((batch(0, 2 * n - 1, [1.0 * n]), batch(1, 2 * n, [10.0 * n]))))
    assert relay.cuts == 6
    assert rows(store, 0) == [(2 * n - 1, 1.0 * n) for n in range(1, 7)]
    assert rows(store, 1) == [(2 * n, 10.0 * n) for n in range(1, 7)]
    relay.close()


def test_a_commit_whose_answer_was_lost_counts_although_the_shard_is_gone_by_now(
    cluster: Cluster, opened: Opened
) -> None:
    url = cluster.database()
    relay = Relay(url, MARK)
    store, _ = opened(relay.url, awake=False)
    relay.cut, relay.then = "after", lambda: taken(url, 0)
    store.commit(Transaction((batch(0, 1, [1.0]),)))
    assert relay.cuts == 1
    with pytest.raises(NotOwner):
        store.commit(Transaction((batch(0, 2, [2.0]),)))
    assert rows(store, 0) == [(1, 1.0)]
    relay.close()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_starts_again_loses_nothing(cluster: Cluster, opened: Opened, mode: str) -> None:
    store, served = opened(cluster.database(), ttl=60.0, patience=120.0)
    numbers, halt = [], threading.Event()

    def write() -> None:
        while not halt.is_set():
            store.commit(Transaction((batch(0, len(numbers) + 1, [1.0]),)))
            numbers.append(len(numbers) + 1)

    writer = threading.Thread(target=write)
    writer.start()
    cluster.restart(mode)
    before = len(numbers)
    while len(numbers) < before + 20 and writer.is_alive():
        time.sleep(0.01)
    halt.set()
    writer.join()
    assert [seq for seq, _ in rows(store, 0)] == numbers
    assert served.moves == [("adopt", shard) for shard in range(4)], "a short absence costs no lease"


def test_a_database_that_stays_away_ends_the_commit(cluster: Cluster, opened: Opened) -> None:
    store, _ = opened(cluster.database(), patience=0.5)
    cluster.stop()
    try:
        with pytest.raises(OutputError, match="the database cannot be used"):
            store.commit(Transaction((batch(0, 1, [1.0]),)))
        time.sleep(1.0)
        assert not store.holds(0)
    finally:
        cluster.start()


def test_entries_that_are_not_ones_own_are_noticed(cluster: Cluster, opened: Opened) -> None:
    store, _ = opened(cluster.database())
    store.commit(Transaction((batch(0, 1, [1.0]),)))
    with pytest.raises(OutputError, match=r"other entries than this server's stand in the log.*\(0, 1\)"):
        store.commit(Transaction((batch(0, 1, [2.0]),)))


@pytest.mark.parametrize("table", ["log", "blocks", "pieces"])
def test_damage_is_told(cluster: Cluster, opened: Opened, table: str) -> None:
    url = cluster.database()
    store, _ = opened(url)
    store.commit(Transaction((batch(0, 1, [1.0]),), (), (StoredBlock(0, 1, b"state"),), (Piece(0, 1, 1, b"past"),)))
    column = "rows" if table == "log" else "content"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"UPDATE statecast.{table} SET {column} = {column} || '\\x00'")
    (fault,) = store.check().faults
    assert "does not have the checksum that was written with it" in fault


def taken(url: str, shard: int) -> None:
    """A shard becomes another server's."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE statecast.shards SET server = 0, epoch = epoch + 1 WHERE shard = %s", (shard,))
