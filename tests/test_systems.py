"""What Windows and macOS do otherwise, played on this system: no such machine is at hand where statecast is written."""

from __future__ import annotations

import ast
import errno
import io
import os
import shutil
import sys
import time
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from statecast import files
from statecast.cli import main, output
from statecast.cluster.local import MOST_ON_WINDOWS, LocalEngine
from statecast.data import zones
from statecast.errors import ModelFileError, OutputError
from statecast.gallery import run
from statecast.model import kernel
from statecast.model.kernel import library
from statecast.server.store import folder
from statecast.server.store.sqlite import NAME, SqliteStore

SOURCES = Path(files.__file__).parent


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")


def busy(path: Path, times: int) -> Any:
    """`os.replace` as it is while somebody reads the file: so many times refused."""
    replace, left = os.replace, [None] * times

    def refusing(source: Path, target: Path) -> None:
        if left:
            left.pop()
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        replace(source, target)

    return refusing


@pytest.mark.usefixtures("windows")
def test_a_file_that_is_being_read_on_windows_is_replaced_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.write_text(tmp_path / "model", "before")
    monkeypatch.setattr(os, "replace", busy(path, 3))
    files.write_text(path, "after")
    assert path.read_text(encoding="utf-8") == "after"
    monkeypatch.setattr(os, "replace", busy(path, 10**6))
    monkeypatch.setattr(files, "BUSY", 0.05)
    with pytest.raises(OutputError, match="Access is denied"):
        files.write_text(path, "never")
    assert path.read_text(encoding="utf-8") == "after" and list(tmp_path.iterdir()) == [path]


def test_elsewhere_a_refusal_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", busy(tmp_path, 1))
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits"))
    with pytest.raises(OutputError):
        files.write_text(tmp_path / "model", "text")


def test_files_are_written_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY")
    assert files.write_text(tmp_path / "new" / "model", "text").read_text(encoding="utf-8") == "text"


def texts() -> Iterator[tuple[str, ast.Call]]:
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                yield f"{path.relative_to(SOURCES)}:{node.lineno}", node


def test_every_text_file_names_its_encoding() -> None:
    """Without one, Windows takes that of its old programs."""
    offences = []
    for place, call in texts():
        name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id  # type: ignore[attr-defined]
        modes = [
            item.value for item in (*call.args, *(k.value for k in call.keywords)) if isinstance(item, ast.Constant)
        ]
        binary = any(isinstance(mode, str) and "b" in mode for mode in modes)
        reads = (
            name == "open" and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("os", "path")
        )
        text = name in ("read_text", "write_text") or (reads and not ast.unparse(call).startswith("os.") and not binary)
        if text and not any(keyword.arg == "encoding" for keyword in call.keywords):
            offences.append(f"{place} {ast.unparse(call)[:60]}")
    assert [line for line in offences if "files.write_text" not in line and " write_text(" not in line] == []


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_goes_to_a_pipe_is_utf_8(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(content, encoding=encoding))
    assert main(["describe", "no−model"]) == 1
    assert "no−model" in content.getvalue().decode("utf-8")


def test_a_terminal_shows_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    terminal = io.TextIOWrapper(content, encoding="cp1252")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["describe", "no−model"]) == 1
    assert b"no?model" in content.getvalue()


@pytest.mark.parametrize(("system", "code"), [("win32", 141), ("linux", 1)])
def test_a_reader_that_is_gone_is_no_error_on_windows(system: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str = "") -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(output, "say", gone)
    monkeypatch.setattr("statecast.cli._close_output", lambda: None)
    monkeypatch.setattr(sys, "platform", system)
    assert main(["settings", "--markdown"]) == code


@pytest.mark.parametrize(("system", "count"), [("win32", MOST_ON_WINDOWS), ("linux", 200)])
def test_windows_waits_for_so_many_processes_only(system: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert LocalEngine(200).workers == count


@pytest.mark.parametrize("taken", [False, True])
def test_a_folder_is_locked_where_there_is_no_fcntl(
    taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int, int]] = []

    def locking(*arguments: int) -> None:
        calls.append(arguments)  # type: ignore[arg-type]
        if taken:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    if taken:
        with pytest.raises(OutputError, match="another server uses"):
            folder.locked(tmp_path)
    else:
        handle = folder.locked(tmp_path)
        assert calls == [(handle, 2, 1)]
        os.close(handle)


def test_a_store_that_is_refused_keeps_no_file_open(tmp_path: Path) -> None:
    """Windows would not let anybody remove or replace it."""
    (tmp_path / NAME).write_bytes(b"no store" * 1000)
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not say which files are open")
    with pytest.raises(ModelFileError) as failure:
        SqliteStore(tmp_path, {})
    names = [os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink() and file.exists()]
    assert failure.tb is not None and not [name for name in names if name.startswith(str(tmp_path))]


@pytest.mark.parametrize("suffix", [".dll", ".dylib", ".so"])
def test_the_kernel_is_found_beside_what_else_a_compiler_leaves(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library.load()[0] is None:
        pytest.skip("there is no kernel here")
    monkeypatch.delenv("STATECAST_KERNEL_FILE", raising=False)
    shutil.copy(library.load()[0]._name, tmp_path / f"statecast_kernel{suffix}")
    for other in (".lib", ".exp", ".pdb"):
        (tmp_path / f"statecast_kernel{other}").write_bytes(b"")
    monkeypatch.setattr(kernel, "__path__", [str(tmp_path)])
    assert library.load.__wrapped__()[1] == f"native kernel (statecast_kernel{suffix})"


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert run.peak_mb() is None
    usage = SimpleNamespace(getrusage=lambda _: SimpleNamespace(ru_maxrss=5_000_000), RUSAGE_SELF=0)
    monkeypatch.setitem(sys.modules, "resource", usage)
    monkeypatch.setattr(sys, "platform", "darwin")  # which counts bytes
    assert run.peak_mb() == 5.0


def test_time_zones_come_from_a_package_where_the_system_has_none() -> None:
    pytest.importorskip("tzdata")
    paths = zoneinfo.TZPATH
    try:
        zoneinfo.reset_tzpath(to=[])
        zoneinfo.ZoneInfo.clear_cache()
        zones.zone.cache_clear()
        assert str(zones.zone("Europe/Berlin")) == "Europe/Berlin"
    finally:
        zoneinfo.reset_tzpath(to=paths)
