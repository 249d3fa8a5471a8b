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


def test_the_file_is_as_readable_as_any(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert write_bytes(tmp_path / "b", b"").stat().st_mode == plain.stat().st_mode


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*b: "):
        write_bytes(tmp_path / "a" / "b", b"")
