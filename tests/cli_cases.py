"""What the tests of the command line share: running it in this process, and two small fits that are made once.

`plain` is one monthly series; `rich` has sites, hours, and covariates of every role, with categories. Both are made by
`statecast fit` itself, with tiny networks and a few steps.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statecast.cli import main
from statecast.data import examples, results
from statecast.files import write_text

TINY = ("max_steps=3", "eval_every=1", "hidden=[4]", "segment=24", "skip=12", "lags=4")
# Two years of validation rows: fewer could not judge what training gains, and no step would be made.
PLAIN = (
    "--time",
    "month",
    "--target",
    "passengers",
    "--horizon",
    "3",
    "--test-size",
    "24",
    "--set",
    *TINY,
    "val_size=24",
)
RICH = (
    *("--id", "site", "--time", "hour", "--target", "load", "--past", "temperature", "--known", "holiday"),
    *("--static", "area", "--horizon", "4", "--set", *TINY),
)


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


def passengers() -> Path:
    return examples.path("air_passengers")


def _made(factory: pytest.TempPathFactory, name: str, words: Sequence[object]) -> Path:
    """The folder of a fit; where pytest runs in several processes, one of them makes it and the others wait."""
    base = factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fitted"
    folder, said = home / name, home / f"{name}.json"
    home.mkdir(exist_ok=True)
    try:
        (home / f"{name}.begun").mkdir()
    except FileExistsError:
        for _ in range(3000):
            if said.exists():
                break
            time.sleep(0.1)
    else:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["fit", *(str(word) for word in words), "--out", str(folder)])
        write_text(said, json.dumps([code, out.getvalue(), err.getvalue()]))
    done = Done(*json.loads(said.read_text()))
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="session")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three sites with hourly loads."""
    path = tmp_path_factory.mktemp("loads") / "loads.csv"
    results.write(examples.panel((60, 48, 72)), path)
    return path


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fit of one series; not to be changed."""
    return _made(tmp_path_factory, "plain", [passengers(), *PLAIN])


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory, loads: Path) -> Path:
    """The folder of a fit of three series with covariates; not to be changed."""
    return _made(tmp_path_factory, "rich", [loads, *RICH])


def said(folder: Path) -> Done:
    """What the fit of `plain` or `rich` said."""
    return Done(*json.loads(folder.with_name(f"{folder.name}.json").read_text()))


def days(values: Sequence[object], first: str = "2024-01-01") -> str:
    """A CSV table of daily values."""
    stamps = np.datetime64(first) + np.arange(len(values))
    return "day,load\n" + "".join(f"{stamp},{value}\n" for stamp, value in zip(stamps, values, strict=True))
