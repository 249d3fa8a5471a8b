"""`statecast fit`: what it writes and says, what it refuses to write over, and how a broken-off fit goes on."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_cases import PLAIN, Command, passengers, plain, said, statecast

from statecast import Forecaster
from statecast.cli.destination import Destination
from statecast.errors import OutputError, TrainingError
from statecast.files import write_text
from statecast.report.progress import ProgressDisplay

WRITTEN = {
    "model.safetensors",
    "config.toml",
    "schema.json",
    "metrics.json",
    "history.csv",
    "predicted.csv",
    "test_data.csv",
    "plots",
    "report.html",
    "README.md",
}


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch, plain: Path) -> None:
    """A fit that only loads what was fitted before, and writes a few files: for tests of what is around it."""
    ready = Forecaster.load(plain)

    def fit(self: Forecaster, source: Any, **options: Any) -> Forecaster:
        self._model = ready.model_
        Path(options["checkpoint"]).mkdir(parents=True, exist_ok=True)
        (Path(options["checkpoint"]) / "checkpoint.safetensors").write_bytes(b"weights")
        return self

    def write(self: Forecaster, folder: Path, title: str = "") -> list[Path]:
        return [
            self.save(folder / "model.safetensors"),
            write_text(folder / "config.toml", "horizon = 3\n"),
        ]

    monkeypatch.setattr(Forecaster, "fit", fit)
    monkeypatch.setattr(Forecaster, "write", write)
    monkeypatch.setattr("statecast.cli.fitting.show", lambda *_: None)
    monkeypatch.setattr(Forecaster, "report", lambda self: None)


def fit(statecast: Command, out: Path, *more: str) -> Any:
    return statecast("fit", passengers(), *PLAIN, "--out", out, *more)


# --- what comes out


def test_a_fit_writes_all_that_is_promised_and_says_how_good_it_is(plain: Path) -> None:
    assert {path.name for path in plain.iterdir()} == WRITTEN
    assert all(path.suffix == ".png" for path in (plain / "plots").iterdir())
    assert tomllib.loads((plain / "config.toml").read_text())["test_size"] == 24
    assert len((plain / "test_data.csv").read_text().splitlines()) == 25
    done = said(plain)
    assert "season = 12" in done.out
    for name in ("statecast", "persistence", "seasonal naive", "linear extrapolation"):
        assert f"\n{name} " in done.out
    assert done.out.startswith("The forecast ")  # comes from where, before anything else
    assert re.search(r"The (forecast|network)'s mean absolute error of", done.out)
    assert "error" not in done.err
    assert done.err.splitlines()[-1].startswith("scoring …")  # the phase that is waited for


def test_settings_come_from_file_set_and_option_in_that_order(
    statecast: Command, tmp_path: Path, no_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    before = Forecaster.fit

    def fit(self: Forecaster, source: Any, **options: Any) -> Forecaster:
        calls.append(
            (self.config.changed(), {name: options.get(name) for name in ("target", "time", "past", "static", "freq")})
        )
        return before(self, source, **options)

    monkeypatch.setattr(Forecaster, "fit", fit)
    file = tmp_path / "air.toml"
    file.write_text('horizon = 7\nseason = 5\ncell = "gru"\n[data]\ntarget = "load"\npast = ["a", "b"]\ntime = "day"\n')
    words = [
        "--config",
        file,
        "--set",
        "horizon=8",
        "season=6",
        "--horizon",
        "9",
        "--past",
        "c,d",
        "e",
        "--static",
        "f",
    ]
    statecast.well("fit", "table.csv", *words, "--static", "g", "--out", tmp_path / "out")
    settings, roles = calls[0]
    assert settings == {"horizon": 9, "season": 6, "cell": "gru"}
    assert roles == {"target": ("load",), "time": "day", "past": ("c", "d", "e"), "static": ("f", "g"), "freq": None}


def test_a_table_comes_from_standard_input(
    statecast: Command, tmp_path: Path, no_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    before = Forecaster.fit
    monkeypatch.setattr(
        Forecaster, "fit", lambda self, source, **more: (calls.append(source), before(self, source, **more))[1]
    )
    statecast.well("fit", "-", "--target", "load", "--out", tmp_path / "out")
    assert calls == ["-"]


# --- the folder


def test_a_folder_that_holds_anything_is_refused(statecast: Command, tmp_path: Path, no_training: None) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    assert fit(statecast, tmp_path).error == f"{tmp_path} exists and is not empty: choose another folder"
    forced = fit(statecast, tmp_path, "--force")
    assert forced.code == 1
    assert "holds files that no fit of statecast wrote (thesis.txt)" in forced.error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_will_do(statecast: Command, tmp_path: Path, no_training: None) -> None:
    assert fit(statecast, tmp_path).code == 0
    assert (tmp_path / "model.safetensors").exists()


def test_force_replaces_a_fit_and_nothing_else(statecast: Command, tmp_path: Path, no_training: None) -> None:
    fit(statecast, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"old")
    (tmp_path / "history.csv").write_text("of the fit before")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "forecast.png").write_bytes(b"of the fit before")
    (tmp_path / "plots" / "holiday.png").write_bytes(b"mine")
    refused = fit(statecast, tmp_path)
    assert refused.code == 1
    assert "add --force to replace what statecast wrote there" in refused.error
    assert fit(statecast, tmp_path, "--force").code == 0
    assert (tmp_path / "model.safetensors").read_bytes() != b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "config.toml", "notes.txt", "plots"}
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["holiday.png"]


def test_out_is_a_file(statecast: Command, tmp_path: Path, no_training: None) -> None:
    (tmp_path / "file").write_text("")
    assert fit(statecast, tmp_path / "file").error == f"--out {tmp_path / 'file'} is a file: give a folder"


def test_a_folder_that_cannot_be_written_is_known_before_training(
    statecast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Forecaster, "fit", lambda *_, **__: pytest.fail("trained first"))
    (tmp_path / "file").write_text("")
    done = fit(statecast, tmp_path / "file" / "out")
    assert done.code == 1
    assert done.error.startswith(f"--out {tmp_path / 'file' / 'out'} cannot be written: Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(statecast: Command, tmp_path: Path, no_training: None) -> None:
    tmp_path.chmod(0o555)
    assert "cannot be written: Permission denied" in fit(statecast, tmp_path / "out").error
    tmp_path.chmod(0o755)


def test_a_fit_that_fails_leaves_no_folder(statecast: Command, tmp_path: Path) -> None:
    done = statecast("fit", tmp_path / "none.csv", "--out", tmp_path / "a" / "b")
    assert done.code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_half_written(
    statecast: Command, tmp_path: Path, no_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def full(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").count("config.toml"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        done = fit(statecast, tmp_path)
    note, error = done.err.splitlines()
    assert done.code == 1
    assert error.startswith(f"error: cannot write {tmp_path / 'config.toml'}: No space left on device")
    assert note.startswith(
        f"the checkpoint in {tmp_path / 'checkpoint'} is kept; continue with --resume: statecast fit "
    )
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "checkpoint"}


def test_a_real_limit_leaves_nothing_half_written(plain: Path, tmp_path: Path) -> None:
    """A process that may write no more than 100 bytes to a file stands for a disk that is full."""
    code = (
        "import resource, sys; from statecast.cli import main; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["forecast", str(plain), "--out", str(tmp_path / "next.csv")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write {tmp_path / 'next.csv'}: File too large")
    assert list(tmp_path.iterdir()) == []


# --- broken off


def test_resume_without_a_checkpoint(statecast: Command, tmp_path: Path, plain: Path) -> None:
    expected = f"--resume: there is no unfinished fit in {tmp_path / 'new'}: leave --resume out to start one"
    assert fit(statecast, tmp_path / "new", "--resume").error == expected
    assert "the fit there is complete" in fit(statecast, plain, "--resume").error
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_a_checkpoint_and_the_printed_command_goes_on_to_the_same_bits(
    statecast: Command, tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: ProgressDisplay, report: Any) -> None:
        if report.step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ProgressDisplay, "__call__", interrupt)
        done = fit(statecast, tmp_path / "air one", "--force")
    assert done.code == 130
    last = done.err.splitlines()[-1]
    assert last.startswith("error: interrupted after 1 of at most 3 steps of training: the checkpoint in ")
    assert [path.name for path in (tmp_path / "air one").iterdir()] == ["checkpoint"]
    assert "holds an unfinished fit: add --resume" in fit(statecast, tmp_path / "air one").error

    program, *words = shlex.split(last.partition("is kept; continue with --resume: ")[2])
    assert program == "statecast"
    assert [word for word in words if word in ("--force", "--resume")] == ["--resume"]
    document = statecast.well(*words, "--json").json
    assert {path.name for path in (tmp_path / "air one").iterdir()} == WRITTEN
    one, other = (Forecaster.load(path).predict(horizon=5) for path in (tmp_path / "air one", plain))
    assert one.equals(other)

    assert document["steps"] == 3
    assert document["settings"]["horizon"] == 3
    assert document["evaluation"] == json.loads((tmp_path / "air one" / "metrics.json").read_text())
    assert {Path(path).name for path in document["files"]} >= WRITTEN - {"plots"}


def test_ctrl_c_before_the_first_checkpoint(
    statecast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Forecaster, "fit", fit)
    done = statecast("fit", "table.csv", "--target", "load", "--out", tmp_path / "out")
    assert (done.code, done.error) == (130, "interrupted before the first checkpoint; nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_a_fit_that_cannot_go_on_leaves_no_checkpoint(
    statecast: Command, tmp_path: Path, no_training: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Forecaster.fit

    def fit(self: Forecaster, source: Any, **options: Any) -> None:
        before(self, source, **options)
        raise TrainingError("the loss became nan at step 7: try a smaller learning_rate, or clip > 0")

    monkeypatch.setattr(Forecaster, "fit", fit)
    done = statecast("fit", "table.csv", "--target", "load", "--out", tmp_path / "out")
    assert (done.code, done.error[:24]) == (1, "the loss became nan at s")
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_is_no_obstacle(statecast: Command, tmp_path: Path, no_training: None) -> None:
    """Killed while the first checkpoint, or a file, was being written."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / ".checkpoint.safetensors.0badcafe.tmp").write_bytes(b"half")
    (tmp_path / ".metrics.json.0badcafe.tmp").write_bytes(b"half")
    assert fit(statecast, tmp_path).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "config.toml"}


def test_force_starts_an_unfinished_fit_over(statecast: Command, tmp_path: Path, no_training: None) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "checkpoint.safetensors").write_bytes(b"old")
    with pytest.raises(OutputError, match="unfinished fit"):
        Destination(tmp_path).prepare(False, False)
    Destination(tmp_path).prepare(False, True)
    assert list(tmp_path.iterdir()) == []


# --- progress


def test_plain_lines_come_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    import io

    from statecast.train.progress import Progress

    now = [0.0]
    stream = io.StringIO()
    with ProgressDisplay(stream, seconds=5, clock=lambda: now[0]) as progress:
        for step in range(1, 10):
            now[0] = 2.0 * step
            progress(Progress(step, 1200, step / 7, 0.5, 0.25 if step > 3 else None, 1e-3, 40.0, now[0]))
    assert stream.getvalue().splitlines() == [
        "training: step 3 of 1,200  loss 0.5000  40 steps/s  about 39:54 left in all",
        "training: step 6 of 1,200  loss 0.5000  validation 0.2500  40 steps/s  about 39:48 left in all",
        "training: step 9 of 1,200  loss 0.5000  validation 0.2500  40 steps/s  about 39:42 left in all",
    ]
    assert capsys.readouterr() == ("", "")


def test_lines_say_the_phase_of_a_fit() -> None:
    import io

    from statecast.forecast.assemble import SCORING
    from statecast.model.history import SKIP_ALONE
    from statecast.train.progress import PREPARING, Progress

    now = [0.0]
    stream = io.StringIO()
    with ProgressDisplay(stream, seconds=5, clock=lambda: now[0]) as progress:
        for seconds, report in (
            (1, Progress.of_phase(PREPARING)),
            (8, Progress(3, 10, 0.5, 0.5, None, 1e-3, 1.0, 8.0)),
            (14, Progress(2, 20, 0.5, 0.25, None, 1e-3, 1.0, 14.0, SKIP_ALONE)),
            (15, Progress(20, 20, 0.5, 0.125, None, 1e-3, 1.0, 15.0, SKIP_ALONE)),
            (30, Progress.of_phase(SCORING)),
        ):
            now[0] = seconds
            progress(report)
    assert stream.getvalue().splitlines() == [
        "training: step 3 of 10  loss 0.5000  1 steps/s",
        "training the linear part: step 2 of 20  loss 0.2500  1 steps/s",
        "training the linear part: step 20 of 20  loss 0.1250  1 steps/s",
        "scoring …",
    ]


def test_a_terminal_gets_a_bar() -> None:
    import io

    from statecast.train.progress import Progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    now = [0.0]
    with ProgressDisplay(stream, clock=lambda: now[0]) as progress:
        for step in (10, 20, 30):
            now[0] += 1
            progress(Progress(step, 60, 1.0, 0.125, np.nan, 1e-3, 12.0, 3.0))
        progress.done()
    shown = stream.getvalue()
    assert "30/" in shown
    assert "loss 0.1250" in shown
    assert "about 0:03 left in all" in shown
    assert "validation" not in shown


@pytest.mark.parametrize("phase", ["preparing", "training the linear part", "scoring"])
def test_a_bar_says_the_phase(phase: str) -> None:
    import io

    from statecast.train.progress import Progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with ProgressDisplay(stream) as progress:
        steps = 60 if phase.startswith("training") else 0
        progress(Progress(30 if steps else 0, steps, 1.0, 0.125, None, 1e-3, 0.0, 3.0, phase))
        shown = stream.getvalue()
        progress.done()
    assert phase in stream.getvalue()
    assert "nan" not in shown
