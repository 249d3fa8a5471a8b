"""What the tests of the command line share: running it in this process, and two small fits that are made once.

`plain` is one monthly series; `rich` has sites, hours, and covariates of every role, with categories. Both are made by
`statecast fit` itself, with tiny networks and a few steps.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statecast.cli import main
from statecast.data import examples, results

TINY = ("max_steps=3", "eval_every=1", "hidden=[4]", "segment=24", "skip=12", "lags=4")
PLAIN = ("--time", "month", "--target", "passengers", "--horizon", "3", "--test-size", "24", "--set", *TINY)
RICH = (
    *("--id", "site", "--time", "hour", "--target", "load", "--past", "temperature", "--known", "holiday"),
    *("--static", "area", "--horizon", "4", "--set", *TINY),
)


SAID: dict[str, Done] = {}  # what the fits that are made once said


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The only line on standard error, which is an error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")


class Command:
    """Runs `statecast` in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture

    def __call__(self, *words: object) -> Done:
        self.capture.readouterr()
        code = main([str(word) for word in words])
        return Done(code, *self.capture.readouterr())

    def well(self, *words: object) -> Done:
        """The same, for a command that must not fail."""
        done = self(*words)
        assert done.code == 0, done.err
        return done


@pytest.fixture
def statecast(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@cache
def home() -> Path:
    """A folder for what is made once; the system clears it, and `pytest` cannot, since it outlives every test."""
    folder = Path(tempfile.mkdtemp(prefix="statecast-tests-"))
    atexit.register(shutil.rmtree, folder, True)
    return folder


def passengers() -> Path:
    return examples.path("air_passengers")


@cache
def panel_table() -> Path:
    """Three sites with hourly loads."""
    results.write(examples.panel((60, 48, 72)), home() / "loads.csv")
    return home() / "loads.csv"


def _fit(name: str, words: Sequence[object]) -> Path:
    folder, out, err = home() / "made" / name, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["fit", *(str(word) for word in words), "--out", str(folder)])
    assert code == 0, err.getvalue()
    SAID[name] = Done(code, out.getvalue(), err.getvalue())
    return folder


@cache
def _plain() -> Path:
    return _fit("plain", [passengers(), *PLAIN])


@cache
def _rich() -> Path:
    return _fit("rich", [panel_table(), *RICH])


@pytest.fixture
def plain() -> Path:
    """The folder of a fit of one series; not to be changed."""
    return _plain()


@pytest.fixture
def rich() -> Path:
    """The folder of a fit of three series with covariates; not to be changed."""
    return _rich()


def days(values: Sequence[object], first: str = "2024-01-01") -> str:
    """A CSV table of daily values."""
    stamps = np.datetime64(first) + np.arange(len(values))
    return "day,load\n" + "".join(f"{stamp},{value}\n" for stamp, value in zip(stamps, values, strict=True))
