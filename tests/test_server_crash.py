"""Whatever kills a server, nothing that it acknowledged is lost, nothing counts twice, and its bits are the same.

`kill −9` comes at any moment, also while a start replays the log. A loss of power is simulated: a file system below
SQLite notes every write and every sync, and an image of the disk holds what was synced, and of what came after it a
part that ends at any byte, or any of the writes.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import server_cases as server

from statecast.server.engine import upkeep
from statecast.server.store.opening import meta_of
from statecast.server.store.sqlite import NAME, SqliteStore

apsw = pytest.importorskip("apsw")

KILLS = int(os.environ.get("STATECAST_KILLS", "20"))
FLYING = 8  # requests that have no answer yet; a series remembers more rows than these


# --- kill −9


@dataclass
class Killed:
    """A server that is killed again and again, and the client that sends it batches until each is acknowledged."""

    model: Path
    state: Path
    late: int
    random: random.Random = field(default_factory=lambda: random.Random(15))
    acknowledged: set[int] = field(default_factory=set)
    next: int = 0
    repeats: int = 0

    def live(self, seconds: float) -> None:
        """Start the server, send it batches, and kill it after some time."""
        command = [
            sys.executable,
            "-B",
            str(Path(__file__).with_name("dying_server.py")),
            self.model,
            self.state,
            "0.1",
            str(self.late),
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
            try:
                self._send(process, time.monotonic() + seconds)
            finally:
                process.kill()

    def _send(self, process: subprocess.Popen[bytes], end: float) -> None:
        assert process.stdin is not None
        # What was sent and not answered is sent again, in the order of time.
        waiting = [n for n in range(self.next) if n not in self.acknowledged]
        flying: set[int] = set()
        text, ready = b"", False
        while (left := end - time.monotonic()) > 0:
            while ready and len(flying) < FLYING:
                number = waiting.pop(0) if waiting else self.next
                self.next = max(self.next, number + 1)
                flying.add(number)
                process.stdin.write(b"%d\n" % number)
            if process.stdout in select.select([process.stdout], [], [], left)[0]:
                chunk = os.read(process.stdout.fileno(), 1 << 16)  # type: ignore[union-attr]
                assert chunk, "the server ended by itself"
                *lines, text = (text + chunk).split(b"\n")
                ready = ready or b"ready" in lines
                flying -= {self._note(line) for line in lines if line != b"ready"}

    def _note(self, line: bytes) -> int:
        number, _, statuses = line.decode().partition(" ")
        assert statuses in ("accepted", "duplicate"), statuses
        self.repeats += statuses == "duplicate"
        self.acknowledged.add(int(number))
        return int(number)


@pytest.mark.heavy
@pytest.mark.parametrize("late", [0, 3])
def test_a_server_that_is_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path, late: int) -> None:
    killed = Killed(server.saved(tmp_path), tmp_path / "state", late)
    start = time.monotonic()
    while not killed.acknowledged:
        killed.live(time.monotonic() - start + 0.5)
    usual = time.monotonic() - start
    for _ in range(KILLS // 2):
        killed.live(killed.random.uniform(0.3, 1.5) * usual)
    for _ in range(10 * KILLS):  # until a kill fell between a commit and its answer, which a few kills may miss
        if killed.repeats:
            break
        killed.live(killed.random.uniform(0.3, 1.5) * usual)
    engine = server.started(killed.model, killed.state, late=late)
    assert len(killed.acknowledged) > KILLS
    assert killed.repeats  # rows that were kept before the kill and acknowledged after it
    batches = [server.batch(n) for n in range(killed.next)]
    for rows in batches[-FLYING:]:  # what no server lived to acknowledge
        assert set(engine.submit(rows).result().statuses) <= {"accepted", "duplicate"}
    server.require_same(engine, server.undying(engine.model, batches))
    assert engine.status().observations == sum(len(rows) for rows in batches)
    engine.close()


@pytest.mark.heavy
@pytest.mark.parametrize("task", ["compact", "backup", "restore"])
def test_a_kill_while_a_store_is_kept_in_order_leaves_it_whole(tmp_path: Path, task: str) -> None:
    model, state, copy, folder = server.saved(tmp_path), tmp_path / "state", tmp_path / "copy.db", tmp_path / "results"
    batches = [server.batch(n, server.SERIES) for n in range(30)]
    engine = server.started(model, state, checkpoint=3600)
    for rows in batches[:20]:
        engine.submit(rows).result()
    engine.checkpoint()
    for rows in batches[20:]:
        engine.submit(rows).result()
    engine.backup(copy)
    engine._store.close()  # as a kill leaves it
    stream, chance = server.undying(engine.model, batches), random.Random(15)
    command = [sys.executable, str(Path(__file__).with_name("keeping_server.py")), task, state, copy, folder]
    for _ in range(max(KILLS // 5, 1)):
        folder.mkdir()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
        results = [upkeep.check(path) for path in (state, *folder.glob("[0-9]*/")) if (path / NAME).exists()]
        for number, path in enumerate(folder.glob("*.db")):
            results.append(upkeep.restore(tmp_path / f"from-{number}", path))
            shutil.rmtree(tmp_path / f"from-{number}")
        assert all(result == results[0] and not result.faults for result in results)
        shutil.rmtree(folder)
    engine = server.started(model, state)
    server.require_same(engine, stream)
    engine.close()


# --- loss of power


@dataclass
class Operation:
    """What was done to a file: bytes at a place, a new length, or a sync."""

    name: str
    kind: str
    offset: int = 0
    content: bytes = b""


class Disk:
    """A file system that hands everything to the real one, and notes what changes."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        disk = self

        class NotedFile(apsw.VFSFile):  # type: ignore[misc,name-defined]
            def __init__(self, name: Any, flags: Any) -> None:
                self.name = os.path.basename(name.filename() if hasattr(name, "filename") else name or "")
                super().__init__("", name, flags)

            def xWrite(self, content: bytes, offset: int) -> None:
                disk.note(self.name, "write", offset, bytes(content))
                super().xWrite(content, offset)

            def xTruncate(self, size: int) -> None:
                disk.note(self.name, "truncate", size)
                super().xTruncate(size)

            def xSync(self, flags: int) -> None:
                super().xSync(flags)
                disk.note(self.name, "sync")

        class NotingSystem(apsw.VFS):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__("noting", "")

            def xOpen(self, name: Any, flags: Any) -> Any:
                return NotedFile(name, flags)

            def xDelete(self, name: str, sync: bool) -> None:
                super().xDelete(name, sync)
                disk.note(os.path.basename(name), "delete")

        self.system = NotingSystem()

    def note(self, name: str, kind: str, offset: int = 0, content: bytes = b"") -> None:
        self.operations.append(Operation(name, kind, offset, content))

    def image(self, end: int, kept: Any) -> dict[str, bytes]:
        """The files after a loss of power before operation `end`: what was synced, and what `kept` leaves of the rest.

        `kept` takes an operation's number and gives how many of its bytes came to the disk.
        """
        synced: dict[str, int] = {}
        for n, operation in enumerate(self.operations[:end]):
            if operation.kind in ("sync", "delete"):
                synced[operation.name] = n
        files: dict[str, bytearray] = {}
        for n, operation in enumerate(self.operations[:end]):
            count = len(operation.content) if n <= synced.get(operation.name, -1) else kept(n)
            _apply(files, operation, count)
        return {name: bytes(content) for name, content in files.items()}


def _apply(files: dict[str, bytearray], operation: Operation, count: int) -> None:
    content = files.setdefault(operation.name, bytearray())
    if operation.kind == "delete":
        del files[operation.name]
    elif operation.kind == "truncate" and count >= 0:
        del content[operation.offset :]
    elif operation.kind == "write" and count > 0:
        content.extend(bytes(max(operation.offset - len(content), 0)))
        content[operation.offset : operation.offset + count] = operation.content[:count]


@dataclass
class Lived:
    """A store that lived on a noting disk: when each batch was on it."""

    model: Path
    disk: Disk
    commits: list[tuple[int, int]]  # how many operations there were, and up to which sequence number all was kept

    def least(self, end: int) -> int:
        """The sequence number up to which everything has to be there."""
        return max((seq for operations, seq in self.commits if operations <= end), default=0)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder, disk = tmp_path_factory.mktemp("lived"), Disk()
    model = server.saved(folder)
    of = server.archive.load(model)
    store = SqliteStore(folder / "state", meta_of(of), vfs="noting")
    engine = server.Engine(of, store, server.Options(window=0, checkpoint=3600))
    commits = [(len(disk.operations), 0)]
    for n in range(10):
        receipt = engine.submit(server.batch(n, 20)).result()
        commits.append((len(disk.operations), receipt.seq))
        if n == 6:
            engine.checkpoint()
            store.tidy()
    engine.close()
    yield Lived(model, disk, commits)


def revive(lived: Lived, folder: Path, end: int, kept: Any) -> int:
    """Start from an image of the disk, and hold the engine against the stream that never died; how many batches."""
    state = folder / f"image{end}-{random.random()}"
    state.mkdir()
    for name, content in lived.disk.image(end, kept).items():
        if not name.endswith("-shm"):
            (state / name).write_bytes(content)
    engine = server.started(lived.model, state)
    seq = engine.status().seq
    assert seq >= lived.least(end)
    assert seq % 20 == 0  # a batch is there whole or not at all
    server.require_same(engine, server.undying(engine.model, [server.batch(n, 20) for n in range(seq // 20)]))
    engine._store.close()
    return seq // 20


def test_a_loss_of_power_keeps_what_was_acknowledged(lived: Lived, tmp_path: Path) -> None:
    operations = lived.disk.operations
    begin = lived.commits[0][0]
    ends = sorted({*range(begin, len(operations), max((len(operations) - begin) // 25, 1)), len(operations)})
    kinds = {operation.kind for operation in operations}
    assert {"write", "sync"} <= kinds
    assert any(operation.name == NAME and operation.kind == "sync" for operation in operations[begin:])
    counts = [revive(lived, tmp_path, end, lambda n: 0) for end in ends]
    assert counts[-1] == 10
    assert counts == sorted(counts)


def test_writes_that_came_to_the_disk_out_of_order_do_no_harm(lived: Lived, tmp_path: Path) -> None:
    operations, chance = lived.disk.operations, random.Random(0)
    begin = lived.commits[0][0]
    for _ in range(25):
        end = chance.randrange(begin, len(operations) + 1)
        fates = {n: chance.choice([0, 0, len(operations[n].content), 512]) for n in range(len(operations))}
        revive(lived, tmp_path, end, fates.__getitem__)


@pytest.mark.parametrize("every", [pytest.param(1 if KILLS > 20 else 13, marks=pytest.mark.heavy), 211])
def test_a_tail_that_is_torn_at_any_byte_does_no_harm(lived: Lived, tmp_path: Path, every: int) -> None:
    """The writes of the last commit come to the disk in their order, up to each byte in turn."""
    operations = lived.disk.operations
    begin, end = lived.commits[4][0], lived.commits[5][0]
    end = next(n for n in range(begin, end) if operations[n].kind == "sync")
    sizes = [len(operations[n].content) for n in range(begin, end)]
    folder = tmp_path / "torn"
    results = set()
    for cut in (*range(0, sum(sizes), every), sum(sizes)):
        results.add(_kept_batches(lived, folder, end, cut, begin, sizes))
    assert results == {4, 5}  # it is there once all of it is


def _kept_batches(lived: Lived, folder: Path, end: int, cut: int, begin: int, sizes: list[int]) -> int:
    """How many batches a store has whose last commit is torn after `cut` bytes; its log has to be sound."""
    before = {begin + n: sum(sizes[:n]) for n in range(len(sizes))}

    def kept(n: int) -> int:
        return min(max(cut - before[n], 0), sizes[n - begin]) if n in before else 0

    folder.mkdir(exist_ok=True)
    for name, content in lived.disk.image(end, kept).items():
        if not name.endswith("-shm"):
            (folder / name).write_bytes(content)
    store = SqliteStore(folder, {})
    batches = list(store.batches(0))
    assert [batch.first for batch in batches] == list(range(1, 20 * len(batches), 20))
    store.close()
    for path in folder.iterdir():
        path.unlink()
    return len(batches)
