"""A file appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from statecast.errors import OutputError
from statecast.files import write_bytes, write_text


def test_writes_into_a_new_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = write_text(tmp_path / "new" / "page.html", "è finito")
    assert path.read_bytes() == "è finito".encode()
    assert os.listdir(path.parent) == ["page.html"]


def test_a_failure_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bytes(tmp_path / "a", b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("statecast.files.os.fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*a: No space left on device"):
        write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a"]


def test_what_a_kill_left_behind_goes_with_the_next_write(tmp_path: Path) -> None:
    """An attempt of the last hour may still be at work, and names of other files are not ours to judge."""
    names = [".a.0123abcd.tmp", ".a.4567cdef.tmp", ".ab.0123abcd.tmp", ".a.notours.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / names[1])
    write_bytes(tmp_path / "a", b"whole")
    assert sorted(os.listdir(tmp_path)) == sorted(["a", *names[1:]])


def test_the_file_is_as_readable_as_any(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert write_bytes(tmp_path / "b", b"").stat().st_mode == plain.stat().st_mode


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*b: "):
        write_bytes(tmp_path / "a" / "b", b"")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not show which file a handle is of")
def test_what_was_written_survives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are on the disk before the name is, and the name before the call returns; so are new folders."""
    events: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        events.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")) or "/")
        sync(handle)

    def replaced(old: Path, new: Path) -> None:
        events.append("renamed")
        replace(old, new)

    monkeypatch.setattr("statecast.files.os.fsync", synced)
    monkeypatch.setattr("statecast.files.os.replace", replaced)
    write_bytes(tmp_path / "new" / "newer" / "a", b"1")
    assert events[0].startswith(".a.")
    assert events[1:] == ["renamed", "newer", "new", tmp_path.name]
    events.clear()
    write_bytes(tmp_path / "new" / "newer" / "a", b"2")
    assert events[1:] == ["renamed", "newer"]
