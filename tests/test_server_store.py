"""What a store refuses and what it survives: each fault has a clear message, and nothing that was kept is lost."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import server_cases as server

from statecast.cli import main
from statecast.errors import ModelFileError, NewerFormat, OutputError, SettingError, StatecastError
from statecast.server.engine import upkeep
from statecast.server.engine.ages import Ages
from statecast.server.engine.engine import Engine
from statecast.server.options import Options
from statecast.server.states.batch import DRIFT, MISSING, RAISED, Batch, woven
from statecast.server.store.opening import beside, meta_of, open_store
from statecast.server.store.protocol import KeyRecord, Piece, StoredBlock, Transaction
from statecast.server.store.sqlite import AHEAD, NAME, SqliteStore

apsw = pytest.importorskip("apsw")

BATCHES, SIZE = 6, 150


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return server.saved(tmp_path_factory.mktemp("model"))


@pytest.fixture
def state(model: Path, tmp_path: Path) -> Path:
    """A store with blocks, history and a log beyond them."""
    engine = server.started(model, tmp_path / "state", checkpoint=3600)
    for n in range(BATCHES):
        engine.submit(server.batch(n, SIZE)).result()
        if n == 3:
            engine.checkpoint()
    engine._store.close()
    return tmp_path / "state"


def change(state: Path, statement: str, *values: Any) -> None:
    connection = apsw.Connection(str(state / NAME))
    connection.execute(statement, values)
    connection.close()


def flipped(state: Path, table: str, column: str) -> None:
    """Change one byte in the middle of the last row of a table."""
    connection = apsw.Connection(str(state / NAME))
    ((row, content),) = connection.execute(
        f"SELECT rowid, {column} FROM {table} ORDER BY rowid DESC LIMIT 1"
    ).fetchall()
    middle = len(content) // 2
    content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (content, row))
    connection.close()


# --- what is refused


def test_two_servers_cannot_share_a_folder(model: Path, state: Path) -> None:
    engine = server.started(model, state)
    with pytest.raises(OutputError, match=r"another server uses .*: stop it"):
        server.started(model, state)
    engine.close()
    server.started(model, state).close()


def test_a_store_of_another_model_is_refused(state: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = server.saved(tmp_path / "other", seed=1)
    with pytest.raises(ModelFileError, match="store of another model"):
        server.started(other, state)


def test_what_is_no_store_is_refused(model: Path, state: Path, tmp_path: Path) -> None:
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / NAME).write_bytes(b"no database at all" * 1000)
    with pytest.raises(ModelFileError, match="is damaged"):
        server.started(model, tmp_path / "junk")
    (tmp_path / "foreign").mkdir()
    change(tmp_path / "foreign", "CREATE TABLE songs(name)")
    with pytest.raises(ModelFileError, match="not a store of statecast"):
        server.started(model, tmp_path / "foreign")
    change(state, "PRAGMA user_version=99")
    with pytest.raises(NewerFormat, match="later statecast"):
        server.started(model, state)
    with pytest.raises(SettingError, match="is not a store"):
        open_store("mysql://here", {})
    assert beside("models/load").name == "load-state"


def test_a_folder_that_cannot_be_one_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be used for a server's state"):
        server.started(model, tmp_path / "file" / "state")


@pytest.fixture
def stranger() -> Iterator[None]:
    """Be another user than the one whom files belong to, where this one may do anything."""
    root = os.name == "posix" and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def closed_to_others(state: Path) -> Path:
    for path in (state, *state.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in state.parents[:4]:
        parent.chmod(parent.stat().st_mode | 0o055)
    return state


@pytest.mark.skipif(os.name != "posix", reason="other systems have other owners")
def test_a_folder_of_another_user_is_refused(state: Path, request: pytest.FixtureRequest) -> None:
    closed_to_others(state)
    request.getfixturevalue("stranger")
    with pytest.raises(OutputError, match="belongs to the user who runs the server"):
        SqliteStore(state, {})


@pytest.mark.skipif(os.name != "posix", reason="other systems have other owners")
def test_a_database_that_cannot_be_written_is_refused(state: Path, request: pytest.FixtureRequest) -> None:
    (closed_to_others(state) / "statecast.lock").chmod(0o666)
    request.getfixturevalue("stranger")
    with pytest.raises(OutputError, match="belong to the user who runs the server"):
        SqliteStore(state, {})


# --- what is damaged


@pytest.mark.parametrize(
    ("table", "column", "words"), [("blocks", "content", "block 1"), ("log", "rows", "the log's entry 751 to 900")]
)
def test_damage_is_told_before_anything_is_served(
    model: Path, state: Path, table: str, column: str, words: str
) -> None:
    flipped(state, table, column)
    with pytest.raises(ModelFileError, match=f"{words} does not have the checksum"):
        server.started(model, state)
    with pytest.raises(ModelFileError):  # the lock was let go of
        server.started(model, state)


def test_a_check_names_every_fault(model: Path, state: Path) -> None:
    store = SqliteStore(state, {})
    sound = store.check()
    store.close()
    assert sound.faults == []
    assert sound.counts == {"series": 295, "blocks": 2, "batches": 2, "pieces": 2}
    for table, column in (("blocks", "content"), ("log", "rows"), ("pieces", "content")):
        flipped(state, table, column)
    store = SqliteStore(state, {})
    faults = store.check().faults
    store.close()
    assert len(faults) == 3
    assert [any(word in fault for fault in faults) for word in ("block 1 ", "log's entry", "history of block 1")] == [
        True
    ] * 3


def test_damaged_pages_are_told(model: Path, state: Path) -> None:
    path = state / NAME
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(StatecastError, match=r"damaged|cannot be used"):
        server.started(model, state)


@pytest.mark.parametrize("length", [0, 3, 40, 100, -1])
def test_bytes_that_are_no_batch_are_refused(length: int) -> None:
    batch = Batch(7, 1.5, np.arange(3, dtype=np.int32), np.arange(3), np.ones((3, 2)), names={0: "é", 2: "b"})
    content = batch.to_bytes()
    again = Batch.from_bytes(content)
    assert (again.first, again.received, again.names, again.last) == (7, 1.5, {0: "é", 2: "b"}, 9)
    np.testing.assert_array_equal(again.values, batch.values)
    with pytest.raises(ModelFileError, match="a batch of the log is damaged"):
        Batch.from_bytes(content[:length])
    with pytest.raises(ModelFileError, match="a batch of the log is damaged"):
        Batch.from_bytes(b"nope" + content[4:])


def test_alarms_go_with_the_rows_that_raised_them() -> None:
    numbers, times = np.array([0, 300, 1], np.int32), np.arange(3)
    alarms = np.array([(8, 300, DRIFT, 1, 2.5, 0), (9, 5, MISSING, 0, 4.0, 0)], RAISED)
    batch = Batch(7, 1.5, numbers, times, np.ones((3, 2)), names={0: "a"}, alarms=alarms)
    again = Batch.from_bytes(batch.to_bytes())
    np.testing.assert_array_equal(again.alarms, alarms)
    assert again.names == {0: "a"}
    parts = {part: Batch.from_bytes(some.to_bytes()) for part, some in again.split(lambda n: n // 256).items()}
    assert [parts[n].alarms["number"].tolist() for n in (0, 1)] == [[5], [300]]
    (whole,) = woven([iter([part]) for part in parts.values()])
    assert sorted(whole.alarms.tolist()) == alarms.tolist()
    for length in (len(batch.to_bytes()) - 1, 49):
        with pytest.raises(ModelFileError, match="a batch of the log is damaged"):
            Batch.from_bytes(batch.to_bytes()[:length])


@pytest.mark.parametrize(("name", "value"), [("kind", 3), ("seq", 10), ("number", -2)])
def test_alarms_that_no_row_can_have_raised_are_refused(name: str, value: int) -> None:
    alarms = np.array([(8, 1, DRIFT, 1, 2.5, 0)], RAISED)
    alarms[name] = value
    batch = Batch(7, 1.5, np.arange(3, dtype=np.int32), np.arange(3), np.ones((3, 2)), alarms=alarms)
    with pytest.raises(ModelFileError, match="none of its rows can have raised"):
        Batch.from_bytes(batch.to_bytes())


# --- what fails while a server runs


class FullDisk:
    """A file system that has no more room once `full` is set."""

    def __init__(self, name: str) -> None:
        self.full = threading.Event()
        full = self.full

        class LimitedFile(apsw.VFSFile):  # type: ignore[misc,name-defined]
            def xWrite(self, content: bytes, offset: int) -> None:
                if full.is_set():
                    raise apsw.FullError("no space left on device")
                super().xWrite(content, offset)

        class LimitedSystem(apsw.VFS):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__(name, "")

            def xOpen(self, path: Any, flags: Any) -> Any:
                return LimitedFile("", path, flags)

        self.system = LimitedSystem()


@pytest.fixture
def full() -> Iterator[FullDisk]:
    disk = FullDisk("limited")
    yield disk
    disk.system.unregister()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_ends_the_server_and_loses_nothing(model: Path, tmp_path: Path, full: FullDisk) -> None:
    of, failures = server.archive.load(model), []
    store = SqliteStore(tmp_path / "state", meta_of(of), vfs="limited")
    engine = Engine(of, store, Options(window=0), failures.append)
    engine.submit(server.batch(0)).result()
    full.full.set()
    with pytest.raises(OutputError, match=r"the server stops: the disk of .* is full"):
        engine.submit(server.batch(1)).result()
    for call in (lambda: engine.submit(server.batch(2)), lambda: engine.forecast(), lambda: engine.remove("s1")):
        with pytest.raises(OutputError, match="is full"):
            call()
    assert len(failures) == 1
    assert engine.status().failure == failures[0]
    engine.close()
    after = server.started(model, tmp_path / "state")
    server.require_same(after, server.undying(of, [server.batch(0)]))
    assert set(after.submit(server.batch(1)).result().statuses) == {"accepted"}
    after.close()


def test_a_transaction_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, {})
    batch = Batch(1, 0.0, np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros((1, 1)), names={0: "a"})
    store.commit(Transaction((batch,), (KeyRecord("k", 1, 1.0, b"d", b"a"),), (StoredBlock(0, 1, b"x"),)))
    with pytest.raises(OutputError):  # the number is taken
        store.commit(Transaction((batch,), (KeyRecord("l", 1, 1.0, b"d", b"a"),), pieces=(Piece(0, 1, 1, b"p"),)))
    assert store.key("k") == KeyRecord("k", 1, 1.0, b"d", b"a")
    assert store.key("l") is None
    assert list(store.pieces(0)) == []
    store.commit(Transaction(cuts={0: 1}, forget=2.0))
    assert store.key("k") is None
    assert list(store.batches(0)) == []
    assert store.earliest() == 1
    store.close()


# --- keeping house


def test_a_backup_is_a_store(model: Path, state: Path, tmp_path: Path) -> None:
    engine = server.started(model, state)
    (tmp_path / "copy").mkdir()
    path = engine.backup(tmp_path / "copy" / NAME)
    with pytest.raises(OutputError, match="exists already"):
        engine.backup(path)
    engine.submit(server.batch(BATCHES, SIZE)).result()
    engine.close()
    restored = server.started(model, path.parent)
    server.require_same(restored, server.undying(restored.model, [server.batch(n, SIZE) for n in range(BATCHES)]))
    restored.close()


def test_a_backup_is_there_whole_or_not_at_all(
    model: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = server.started(model, state)
    synced = os.fsync

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("statecast.files.os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        engine.backup(tmp_path / "copy.db")
    assert not list(tmp_path.glob("*copy.db*"))
    monkeypatch.setattr("statecast.files.os.fsync", synced)
    engine.backup(tmp_path / "copy.db")
    engine.close()


def test_a_copy_is_not_put_beside_what_an_earlier_store_left(model: Path, state: Path, tmp_path: Path) -> None:
    engine = server.started(model, state)
    engine.backup(tmp_path / "copy.db")
    engine.submit(server.batch(BATCHES, SIZE)).result()
    with pytest.raises(SettingError, match="is a store in use"):
        upkeep.restore(tmp_path / "other", state / NAME)
    engine.close()
    (tmp_path / "rest").mkdir()
    (tmp_path / "rest" / AHEAD).write_bytes(b"what SQLite would add to the copy")
    with pytest.raises(OutputError, match="a part of one"):
        upkeep.restore(tmp_path / "rest", tmp_path / "copy.db")


def test_compacting_gives_back_room(model: Path, tmp_path: Path) -> None:
    engine = server.started(model, tmp_path / "state", checkpoint=3600)
    for n in range(40):
        engine.submit(server.batch(n, 300)).result()
    engine.checkpoint()  # the log is empty now, and its pages are free
    before = engine.status().sizes["file"]
    engine.compact()
    assert engine.status().sizes["file"] < before
    server.require_same(engine, server.undying(engine.model, [server.batch(n, 300) for n in range(40)]))
    engine.close()


def test_the_log_is_cut_behind_the_blocks_unless_it_is_kept(model: Path, tmp_path: Path) -> None:
    for retention, count in ((0.0, 0), (3600.0, 3)):
        engine = server.started(model, tmp_path / f"state{retention}", checkpoint=3600, retention=retention)
        for n in range(3):
            engine.submit(server.batch(n)).result()
        engine.checkpoint()
        assert len(list(engine._store.batches(0))) == count
        engine.close()


def test_few_rows_at_a_time_make_no_small_pieces(model: Path, tmp_path: Path) -> None:
    engine = server.started(model, tmp_path / "state", checkpoint=3600)
    counts = []
    for n in range(24):
        engine.submit(server.batch(n, 200, 200)).result()
        engine.checkpoint()
        engine.checkpoint()  # nothing has come meanwhile
        counts.append(len(list(engine._store.pieces(0))))
        assert len(engine.history("s7").times) == n + 1
    assert counts[:3] == [1, 1, 1]
    assert 3 < counts[-1] < 24
    sizes = [len(piece.content) for piece in engine._store.pieces(0)]
    assert all(size >= 8192 for size in sizes[1:])  # all but the newest
    engine.close()


def test_history_that_is_old_enough_goes(model: Path, tmp_path: Path) -> None:
    """Rows that came before the span go, also where the server died meanwhile; states do not care."""
    options = {"checkpoint": 3600, "history": 1.0}
    engine, counts = server.started(model, tmp_path / "state", **options), []
    for n in range(4):
        engine.submit(server.batch(n, 200, 200)).result()
        engine.checkpoint()
        counts.append(len(engine.history("s7").times))
    assert counts == [1, 2, 3, 4]  # nothing is that old
    engine._store.close()  # as a kill leaves it
    time.sleep(1.1)
    engine = server.started(model, tmp_path / "state", **options)
    assert len(engine.history("s7").times) == 4
    engine.submit(server.batch(4, 200, 200)).result()
    engine.checkpoint()
    assert len(engine.history("s7").times) == 1
    server.require_same(engine, server.undying(engine.model, [server.batch(n, 200, 200) for n in range(5)]))
    engine.close()
    kept = server.started(model, tmp_path / "state", checkpoint=3600)  # for ever, from now on
    time.sleep(1.1)
    kept.submit(server.batch(5, 200, 200)).result()
    kept.checkpoint()
    assert len(kept.history("s7").times) == 2
    kept.close()


def test_ages_of_rows() -> None:
    ages = Ages()
    for second in range(10_000):
        ages = ages.noted(second, 10 * second, 1000)
        seq, ages = ages.cut(second - 1000)
        assert seq <= max(10 * (second - 1000), 0)  # no row goes that came later
        assert seq == 0 or seq > 10 * (second - 1000 - 1000 / 500)
        assert len(ages.marks) <= 513
    assert Ages.from_text(ages.to_text()) == ages
    back = ages.noted(5000.0, 200_000, 1000)  # a clock that was set back
    assert back.cut(4000.0)[0] == 0
    assert back.cut(5000.0)[0] == 200_000
    for text in (None, "", "[", "{}", "7", '[["x", 1]]', "[[2, 1], [1, 2]]", "[[1]]", "[[1e999, 1]]", "[null]"):
        assert Ages.from_text(text) == Ages()


def test_a_store_is_kept_in_order_from_the_command_line(
    model: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ran(*words: object) -> tuple[int, dict[str, Any]]:
        code = main(["store", *map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out or "{}")

    code, result = ran("check", state)
    assert (code, result["faults"], result["series"]) == (0, [], 295)
    assert ran("backup", state, tmp_path / "copy.db")[0] == 0
    assert ran("restore", tmp_path / "again", tmp_path / "copy.db") == (0, result)
    after = server.started(model, tmp_path / "again")
    server.require_same(after, server.undying(after.model, [server.batch(n, SIZE) for n in range(BATCHES)]))
    assert ran("check", tmp_path / "again")[0] == 1  # a server uses it
    after.close()
    code, sizes = ran("compact", state)
    assert code == 0
    assert sizes["after"] <= sizes["before"]
    flipped(state, "log", "rows")
    code, result = ran("check", state)
    assert code == 1
    assert "the log's entry 751 to 900" in result["faults"][0]
    assert ran("restore", state, tmp_path / "copy.db")[0] == 1  # there is a store
    assert ran("restore", tmp_path / "none", model)[0] == 1  # a file, but no store
    assert not (tmp_path / "none" / NAME).exists()
    for words in (("mend", state), ("check", tmp_path), ("backup", state), ("compact", state, "file")):
        assert ran(*words)[0] in (1, 2)
