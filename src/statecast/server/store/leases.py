"""Which server holds which shards: leases in a database, and what a server does to keep, take and give away its own.

Each running server has a row with the time at which it last said that it lives; each shard has a row with its holder
and an epoch, which grows whenever the holder changes. A server whose row is older than its lease is struck off, by
whichever server sees it first, and its shards are free to be taken. That alone would trust clocks and luck: a server
that was only asleep could wake up and write. So every write names the epochs of its shards and locks their rows, and
comes to nothing where an epoch has changed: see `PostgresStore`. Reads have no such fence: they are refused from the
moment on at which the lease may be over, by this machine's own clock, which was read before each renewal was sent.

Two threads: one renews and does nothing else, so that no amount of other work costs a server its lease; one moves
shards, which can take seconds each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from statecast.errors import StatecastError
from statecast.server.store.database import Database
from statecast.server.store.protocol import Tenant

TTL = 5.0  # seconds that a lease lasts without being renewed
RENEWALS = 4  # times that a lease is renewed while it lasts
LOOK = 1.0  # seconds between two looks for shards to take or to give away

REGISTER = "INSERT INTO servers (address, ttl, renewed) VALUES (%b, %b, clock_timestamp()) RETURNING server"
RENEW = "UPDATE servers SET renewed = clock_timestamp() WHERE server = %b RETURNING server"
# While the database was away nobody could say that it lives.
STRIKE_OFF = """
DELETE FROM servers WHERE server <> %(server)s
AND greatest(renewed, pg_postmaster_start_time()) + make_interval(secs => ttl) < clock_timestamp()"""
FREE = """
UPDATE shards SET server = NULL, epoch = epoch + 1 WHERE shard IN (
    SELECT shard FROM shards WHERE server IS NOT NULL AND server NOT IN (SELECT server FROM servers)
    ORDER BY shard FOR UPDATE)"""
# As even as can be: of 16 shards three servers hold 6, 5 and 5, those that came first the larger part.
SHARE = """
SELECT total / n + (rank < mod(total, n))::int FROM (
    SELECT (SELECT count(*) FROM shards) AS total, greatest(count(*), 1) AS n,
        count(*) FILTER (WHERE server < %(server)s) AS rank FROM servers) AS counts"""
TAKE = f"""
UPDATE shards SET server = %(server)s, epoch = epoch + 1 WHERE shard IN (
    SELECT shard FROM shards WHERE server IS NULL ORDER BY shard
    LIMIT greatest(0, ({SHARE}) - (SELECT count(*) FROM shards WHERE server = %(server)s)) FOR UPDATE SKIP LOCKED)"""
MAP = f"SELECT shard, epoch, server, address, ({SHARE}) FROM shards LEFT JOIN servers USING (server) ORDER BY shard"
GIVE = "UPDATE shards SET server = NULL, epoch = epoch + 1 WHERE shard = %b AND server = %b AND epoch = %b"
GIVE_ALL = "UPDATE shards SET server = NULL, epoch = epoch + 1 WHERE server = %b"
LEAVE = "DELETE FROM servers WHERE server = %b"


class Leases:
    """The shards that one server holds.

    Args:
        renewals: a connection for nothing but renewals.
        moves: a connection for the rest.
        address: at which clients reach this server.
        ttl: seconds that a lease lasts without being renewed.

    Attributes:
        faults: shards that are held and cannot be served, and why.
    """

    def __init__(self, renewals: Database, moves: Database, address: str, ttl: float = TTL) -> None:
        self._renewals, self._moves = renewals, moves
        self._address, self._ttl = address, ttl
        self._server: int | None = None
        self._until = -1.0  # when the lease may be over, by this machine's clock
        self._epochs: dict[int, int] = {}  # of the shards that may be written to
        self._served: dict[int, int] = {}  # epochs of the shards that the tenant has; the moving thread's own
        self._owners: dict[int, str | None] = {}
        self._lock, self._stop, self._wake = threading.Lock(), threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.faults: dict[int, str] = {}

    # --- what is held

    def holds(self, shard: int) -> bool:
        """Whether nobody else can hold the shard at this moment."""
        return shard in self._epochs and clock() < self._until

    def epoch(self, shard: int) -> int:
        """The epoch under which a shard may be written to; −1, which is never any, where it is not held."""
        return self._epochs.get(shard, -1)

    @property
    def held(self) -> list[int]:
        """The shards that may be written to, as far as this server knows."""
        with self._lock:
            return sorted(self._epochs)

    def owner(self, shard: int) -> str | None:
        """The address of the server that holds a shard, as of the last look; None where it is nobody's."""
        return self._owners.get(shard)

    def lose(self, shards: frozenset[int]) -> None:
        """Take note that a write was refused, so these shards are another's."""
        with self._lock:
            for shard in shards:
                self._epochs.pop(shard, None)
        self._wake.set()

    # --- what the threads do, round by round

    def renew(self) -> bool:
        """Say that this server lives; False where it is struck off: then it holds nothing.

        Raises:
            OutputError: the database cannot be reached.
        """
        before, server = clock(), self._server
        if server is None:
            return False
        alive = bool(self._renewals.run(RENEW, (server,)))
        with self._lock:
            if alive and self._server == server:
                self._until = before + self._ttl
            elif self._server == server:
                self._server, self._until, self._epochs = None, -1.0, {}
        self._wake.set() if not alive else None
        return alive

    def look(self, tenant: Tenant) -> None:
        """Strike off the dead, take free shards up to a fair share, and give away what is beyond it.

        Raises:
            OutputError: the database cannot be reached.
        """
        self._dropped(tenant)
        server = self._server or self._registered()
        self._moves.run(STRIKE_OFF, {"server": server})
        self._moves.run(FREE)
        self._moves.run(TAKE, {"server": server})
        rows = self._moves.run(MAP, {"server": server})
        self._owners = {shard: address for shard, _, holder, address, _ in rows if holder != server}
        mine = {shard: epoch for shard, epoch, holder, _, _ in rows if holder == server}
        if self._accepted(server, mine):
            self._dropped(tenant)
            self._adopted(tenant)
            self._give(tenant, max(len(mine) - rows[0][-1], 0))

    def _registered(self) -> int:
        before = clock()
        ((server,),) = self._moves.run(REGISTER, (self._address, self._ttl))
        with self._lock:
            self._server, self._until = server, before + self._ttl
        return int(server)

    def _accepted(self, server: int, mine: dict[int, int]) -> bool:
        """Take over what the database says is held; False where this server was struck off since it was asked."""
        with self._lock:
            if self._server != server:
                return False
            self._epochs = mine
            return True

    def _dropped(self, tenant: Tenant) -> None:
        """Have the tenant stop serving what is no longer held, or was another's in between."""
        for shard, epoch in list(self._served.items()):
            if self.epoch(shard) != epoch:
                tenant.drop(shard)
                del self._served[shard]
                self.faults.pop(shard, None)

    def _adopted(self, tenant: Tenant) -> None:
        """Have the tenant serve what is new; a shard that cannot be read is kept from others, who could not either."""
        for shard in self.held:
            epoch = self.epoch(shard)
            if shard not in self._served and epoch >= 0 and not self._stop.is_set():
                self._served[shard] = epoch
                try:
                    tenant.adopt(shard)
                except StatecastError as error:
                    self.faults[shard] = str(error)

    def _give(self, tenant: Tenant, count: int) -> None:
        """Give shards away, the last ones first."""
        for shard in self.held[::-1][:count]:
            epoch, server = self.epoch(shard), self._server
            tenant.drop(shard)
            self.lose(frozenset((shard,)))
            self._served.pop(shard, None)
            self.faults.pop(shard, None)
            self._moves.run(GIVE, (shard, server, epoch))

    # --- threads

    def start(self, tenant: Tenant, failed: Callable[[str], None]) -> None:
        """Take what is free, and go on in the background.

        Args:
            tenant: who serves the shards.
            failed: is called, from a thread, with an error that is no fault of the database's.

        Raises:
            OutputError: the database cannot be reached.
        """
        if self._server is None:
            self._registered()

        def rounds(pause: float, bell: threading.Event, act: Callable[[], object]) -> None:
            while not self._stop.is_set():
                bell.wait(pause)
                bell.clear()
                try:
                    if not self._stop.is_set():
                        act()
                except StatecastError:
                    continue  # the database is away: whoever writes will say so, and this goes on when it is back
                except BaseException as error:  # a fault of ours; nobody would learn of it otherwise
                    failed(f"shards can no longer be moved: {type(error).__name__}: {error}")
                    raise

        def begin(name: str, *arguments: Any) -> None:
            self._threads.append(threading.Thread(target=rounds, args=arguments, name=name, daemon=True))
            self._threads[-1].start()

        begin("renewals", self._ttl / RENEWALS, threading.Event(), self.renew)
        self.look(tenant)
        begin("moves", LOOK, self._wake, lambda: self.look(tenant))

    def close(self) -> None:
        """Give everything away, so that others need not wait for the lease to end; the tenant is at its end already."""
        self._stop.set()
        self._wake.set()
        self._moves.patience = self._ttl
        for thread in self._threads:
            thread.join()
        try:
            if self._server is not None:
                self._moves.run(GIVE_ALL, (self._server,))
                self._moves.run(LEAVE, (self._server,))
        except StatecastError:
            pass  # the database is away; the lease ends by itself
        finally:
            self._renewals.close()
            self._moves.close()


def clock() -> float:
    """Seconds that go on while the process, or the whole machine, is asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
