"""An engine whose shards come and go: what a shard's next server knows, and what one that lost it may still say.

Stores in memory of the database stand in for several servers; processes that are killed are in `test_server_failover`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import forecast_cases
import numpy as np
import pytest
from postgres_cases import Cluster, psycopg, running

from statecast.errors import NotOwner
from statecast.forecast.stream import Stream
from statecast.model.state import State
from statecast.server.engine.engine import Engine
from statecast.server.engine.receipts import Happening
from statecast.server.engine.swap import champion_of
from statecast.server.options import Options
from statecast.server.rows import LiveRows
from statecast.server.store.opening import meta_of
from statecast.server.store.postgres import PostgresStore

pytestmark = pytest.mark.heavy
MODEL = forecast_cases.model(time_kind="integer", freq="1")
IDS = [f"s{n}" for n in range(40)]
OPTIONS = Options(checkpoint=0.3, window=0.0)


@pytest.fixture
def cluster() -> Cluster:
    return running()


class Servers:
    """Engines on one database; those that are asleep move no shards by themselves."""

    def __init__(self, url: str) -> None:
        self.url, self.engines, self.stores = url, {}, {}

    def start(self, name: str, awake: bool = True, ttl: float = 1.0, **options: float) -> Engine:
        store = PostgresStore(self.url, meta_of(MODEL), f"http://{name}", 4, ttl=ttl)
        if not awake:
            store.serve = lambda tenant, failed: store.leases.look(tenant)  # type: ignore[method-assign]  # sleeps then
        self.stores[name] = store
        self.engines[name] = Engine(MODEL, store, Options(**{"checkpoint": 0.3, "window": 0.0, **options}), pytest.fail)
        return self.engines[name]


@pytest.fixture
def servers(cluster: Cluster) -> Iterator[Servers]:
    servers = Servers(cluster.database())
    yield servers
    for engine in servers.engines.values():
        engine.close()


def rows(ids: list[str], time: int, offset: float = 0.0) -> LiveRows:
    values = np.array([np.sin(time + IDS.index(name)) + offset for name in ids])
    return LiveRows(list(ids), np.full(len(ids), time), values[:, None])


def expected(steps: int) -> Stream:
    """A stream that never died."""
    stream = Stream(MODEL, State.empty(MODEL.layout, MODEL.dtype))
    for step in range(steps):
        stream.observe_many(IDS, rows(IDS, step).values, np.full(len(IDS), step))
    return stream


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def mine(engine: Engine) -> list[str]:
    return sorted((summary.id for summary in engine.series(limit=100)), key=IDS.index)


def test_a_second_server_takes_its_share_and_goes_on_bit_for_bit(servers: Servers) -> None:
    first = servers.start("a")
    for step in range(20):
        receipt = first.submit(rows(IDS, step)).result(20)
        assert receipt.statuses == ["accepted"] * len(IDS)
    second = servers.start("b")
    until(lambda: len(mine(first)) + len(mine(second)) == len(IDS) and 0 < len(mine(second)) < len(IDS))
    assert not set(mine(first)) & set(mine(second))
    for step in range(20, 25):
        for engine in (first, second):
            assert set(engine.submit(rows(mine(engine), step)).result(20).statuses) == {"accepted"}
    stream = expected(25)
    for engine in (first, second):
        ids = mine(engine)
        assert np.array_equal(engine.forecast(ids).values, stream.forecast(ids).values)


def test_rows_of_another_server_are_refused_with_its_address(servers: Servers) -> None:
    first = servers.start("a")
    first.submit(rows(IDS, 0)).result(20)
    second = servers.start("b")
    until(lambda: len(mine(first)) + len(mine(second)) == len(IDS) and 0 < len(mine(second)) < len(IDS))
    theirs = mine(second)
    until(lambda: all(first.submit(rows(theirs[:1], 0)).result(20).elsewhere == {0: "http://b"} for _ in range(2)))
    receipt = first.submit(rows(IDS, 1)).result(20)
    for row, name in enumerate(IDS):
        foreign = name in theirs
        assert receipt.statuses[row] == ("rejected" if foreign else "accepted")
        assert receipt.elsewhere.get(row) == ("http://b" if foreign else None)
        assert (receipt.errors[row] is not None) == foreign
    assert f"series {theirs[0]!r} is on the server at http://b" in str(receipt.errors[IDS.index(theirs[0])])
    for ask in (first.one, first.history, first.remove, lambda id: first.forecast([id])):
        with pytest.raises(NotOwner) as refusal:
            ask(theirs[0])
        assert refusal.value.address == "http://b"


def test_a_server_that_was_asleep_acknowledges_nothing(servers: Servers) -> None:
    first = servers.start("a", awake=False, ttl=0.6)
    first.submit(rows(IDS, 0)).result(20)
    second = servers.start("b", ttl=5.0)
    until(lambda: len(mine(second)) == len(IDS))
    second.submit(rows(IDS, 1, 100.0)).result(20)
    with pytest.raises(NotOwner):
        first.forecast(IDS[:1])
    receipt = first.submit(rows(IDS, 1)).result(20)
    assert set(receipt.statuses) == {"rejected"}
    assert receipt.forecast is None
    assert all("on its way from one server to another" in str(text) for text in receipt.errors)
    assert second.one(IDS[0]).value[0] > 50


def test_a_lost_shard_is_found_out_by_the_commit(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    first = servers.start("a", awake=False, ttl=60.0)
    first.submit(rows(IDS, 0)).result(20)
    store = servers.stores["a"]
    (lost,) = set(store.shard_of(["s0"]))
    with psycopg.connect(servers.url, autocommit=True) as connection:
        connection.execute("UPDATE statecast.shards SET server = 0, epoch = epoch + 1 WHERE shard = %s", (lost,))
    heard: list[Happening] = []
    first.subscribe(None, heard.append)
    receipt = first.submit(rows(IDS, 1), key="k").result(20)
    gone = [name for name, shard in zip(IDS, store.shard_of(IDS), strict=True) if shard == lost]
    assert [name for name, status in zip(IDS, receipt.statuses, strict=True) if status == "rejected"] == gone
    assert receipt.forecast is not None
    assert set(receipt.forecast.ids) == set(IDS) - set(gone)
    assert {name for item in heard for name in item.ids} == set(IDS) - set(gone)
    for item in heard:
        assert len(item.ids) == item.last - item.first + 1
    kept = {number for shard in range(4) for batch in store.batches(40, shard) for number in batch.numbers.tolist()}
    assert len(kept) == len(IDS) - len(gone)
    repeated = first.submit(rows(IDS, 1), key="k").result(20)
    assert repeated.statuses == receipt.statuses, "the key remembers what was written, not what was tried"
    removal = gone[0]
    with pytest.raises(NotOwner):
        first.remove(removal)


def test_events_of_all_shards_come_in_one_order_from_the_log(servers: Servers) -> None:
    engine = servers.start("a", checkpoint=60.0, retention=3600.0)
    for step in range(5):
        engine.submit(rows(IDS, step)).result(20)
    live: list[Happening] = []
    engine.subscribe(0, live.append)
    engine.close()
    again = servers.start("a", checkpoint=60.0, retention=3600.0)
    heard: list[Happening] = []
    subscription = again.subscribe(0, heard.append)
    assert not subscription.missed
    assert [item.first for item in heard] == sorted(item.first for item in heard)

    def flat(items: list[Happening]) -> list[tuple[int, str, float]]:
        return [
            (item.first + n, str(item.ids[n]), float(item.values[n, 0])) for item in items for n in range(len(item.ids))
        ]

    assert flat(heard) == flat(live)
    assert len(flat(heard)) == 5 * len(IDS)


def test_shards_that_come_back_and_forth_lose_nothing(servers: Servers) -> None:
    first = servers.start("a", checkpoint=0.1)
    step = 0

    def observe(engines: list[Engine]) -> None:
        nonlocal step
        left = list(IDS)
        deadline = time.monotonic() + 20
        while left and time.monotonic() < deadline:
            for engine in engines:
                if left:
                    statuses = engine.submit(rows(left, step)).result(20).statuses
                    left = [name for name, status in zip(left, statuses, strict=True) if status == "rejected"]
        assert not left
        step += 1

    for _ in range(5):
        observe([first])
    for round in range(3):
        second = servers.start(f"b{round}", checkpoint=0.1)
        until(lambda: bool(mine(second)))  # noqa: B023  # called at once
        for _ in range(5):
            observe([first, second])
        second.close()
        del servers.engines[f"b{round}"]
        for _ in range(5):
            observe([first])
    assert np.array_equal(first.forecast(IDS).values, expected(step).forecast(IDS).values)
    assert servers.stores["a"].check().faults == []


def test_models_are_changed_by_a_server_that_has_all_series(servers: Servers) -> None:
    first, other = servers.start("a"), forecast_cases.model(time_kind="integer", freq="1", seed=5)
    for step in range(6):
        first.submit(rows(IDS, step)).result(20)
    first.models.challenge(other, "other", promote=True)
    until(lambda: first.model.shares_states(other))
    first.submit(rows(IDS, 6)).result(20)
    wanted = Stream(other, State.empty(other.layout, other.dtype))
    for step in range(7):
        wanted.observe_many(IDS, rows(IDS, step).values, np.full(len(IDS), step))
    assert np.array_equal(first.forecast(IDS).values, wanted.forecast(IDS).values)
    assert servers.stores["a"].champion() == 1
    servers.engines.pop("a").close()
    store = PostgresStore(servers.url, meta_of(MODEL), "http://b", 4)
    again = servers.engines["b"] = Engine(champion_of(store, MODEL), store, OPTIONS, pytest.fail)
    assert np.array_equal(again.forecast(IDS).values, wanted.forecast(IDS).values)
