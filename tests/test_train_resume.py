"""A fit that was stopped at any moment and goes on ends in the bits of one that was never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from train_cases import panel_of, ready, same_bits, settings, wave

from statecast.config import Config
from statecast.errors import Interrupted, ModelFileError
from statecast.model.network import Network
from statecast.train import checkpoint, loop
from statecast.train.fit import fingerprint, train
from statecast.train.prepare import Prepared
from statecast.train.progress import Fitted, Report
from statecast.train.trainer import Trainer

CARRIES: dict[str, dict[str, Any]] = {
    "zero": {"dropout": 0.2, "dense": (2,)},
    "learned": {"carry": "learned"},
    "stored": {"carry": "stored", "burn_in": 0, "shuffle": False},
    "ensemble": {"ensemble": 2, "dropout": 0.2},
}


def config_of(carry: str, **values: Any) -> Config:
    return settings(**{"max_steps": 8, "patience": 3, "schedule": "plateau"} | CARRIES[carry] | values)


def table() -> Any:
    return panel_of(wave(40, 1), wave(25, 2))


def alike(a: Fitted, b: Fitted) -> bool:
    """The same bits, but for the clock."""
    columns = [name for name in a.history if name != "seconds"]
    histories = [np.array([fit.history[name] for name in columns]) for fit in (a, b)]
    return (
        same_bits(a.weights, b.weights)
        and histories[0].tobytes() == histories[1].tobytes()
        and (a.steps, a.best_step) == (b.steps, b.best_step)
    )


@cache
def compiled(config: Config) -> tuple[Network, Prepared, Trainer]:
    network, prepared, _ = ready(config, table())
    return network, prepared, Trainer(config, network, prepared)


class Fit:
    """Fits of one table that share what is compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
        self.config = config
        self.network, self.prepared, trainer = compiled(config)
        monkeypatch.setattr("statecast.train.fit.Trainer", lambda *_: trainer)

    def __call__(self, watch: Any = None, folder: Path | None = None, resume: bool = False) -> Fitted:
        return train(self.config, self.network, self.prepared, watch, folder, resume)


def interrupt_at(call: int) -> Any:
    """Ctrl-C at the n-th report."""
    calls = []

    def watch(report: Report) -> None:
        calls.append(report)
        if len(calls) == call:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize("carry", CARRIES)
def test_an_interrupted_fit_goes_on_to_the_same_bits(
    carry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Fit(monkeypatch, config_of(carry))
    whole = fit()
    assert whole.steps == 8
    for call in range(1, 9, 2 if carry == "zero" else 3):
        folder = tmp_path / str(call)
        with pytest.raises(Interrupted, match=r"interrupted after \d of at most 8 steps.*--resume"):
            fit(interrupt_at(call), folder)
        with pytest.raises(Interrupted):  # and once more
            fit(interrupt_at(2), folder, resume=True)
        assert alike(fit(None, folder, resume=True), whole), f"interrupted at report {call}"


def test_an_interrupt_before_the_first_look_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Fit(monkeypatch, config_of("zero"))
    whole = fit()

    def stop(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_look", stop)
        with pytest.raises(Interrupted, match="after 0 of"):
            fit(None, tmp_path)
    assert alike(fit(None, tmp_path, resume=True), whole)


def test_a_fit_that_is_done_stays_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Fit(monkeypatch, config_of("zero"))
    whole = fit(None, tmp_path)

    def never(report: Report) -> None:
        raise AssertionError("a step was made")

    assert alike(fit(never, tmp_path, resume=True), whole)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]


def test_without_resume_a_fit_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Fit(monkeypatch, config_of("zero"))
    with pytest.raises(Interrupted):
        fit(interrupt_at(5), tmp_path)
    first: list[int] = []
    fit(lambda report: first.append(report.step), tmp_path)
    assert first[0] <= 2


def test_without_a_folder_an_interrupt_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        Fit(monkeypatch, config_of("zero"))(interrupt_at(2))


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = Fit(monkeypatch, config_of("zero"))
    fit(None, tmp_path)
    with pytest.raises(ModelFileError, match="other settings or another table"):
        train(config_of("zero", learning_rate=0.02), fit.network, fit.prepared, folder=tmp_path, resume=True)
    moved = panel_of(wave(40, 1), wave(25, 3))
    network, prepared, _ = ready(config_of("zero"), moved)
    with pytest.raises(ModelFileError, match="other settings or another table"):
        train(config_of("zero"), network, prepared, folder=tmp_path, resume=True)


def test_a_checkpoint_with_other_arrays_or_damage_is_refused(tmp_path: Path) -> None:
    progress = checkpoint.Progress(3, 0.5, 1, 1.0, 2.0, {"loss": [float("nan"), 1.5]}, False)
    checkpoint.save(tmp_path, progress, {"w": np.arange(3.0)}, "mark")
    found, arrays = checkpoint.load(tmp_path, {"w": np.zeros(3)}, "mark")
    assert np.array_equal(np.asarray(arrays["w"]), np.arange(3.0))
    assert (found.step, found.best, found.history["loss"][1]) == (3, 0.5, 1.5)
    for like in ({"w": np.zeros(4)}, {"w": np.zeros(3, np.int64)}, {"w": np.zeros(3), "v": np.zeros(3)}):
        with pytest.raises(ModelFileError, match="other arrays"):
            checkpoint.load(tmp_path, like, "mark")
    content = (tmp_path / checkpoint.NAME).read_bytes()
    (tmp_path / checkpoint.NAME).write_bytes(content[:-3])
    with pytest.raises(ModelFileError, match="truncated"):
        checkpoint.load(tmp_path, {"w": np.zeros(3)}, "mark")


CHILD = """
import sys
from pathlib import Path
import test_train_resume as case
from statecast.train import loop
loop.CHECKPOINT_SECONDS = 0.0
config = case.config_of("zero", max_steps=100_000, patience=0)
network, prepared, _ = case.ready(config, case.table())
case.train(config, network, prepared, folder=Path(sys.argv[1]))
"""


def test_a_fit_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL gives no time to write anything; what another process left behind is enough."""
    paths = [str(Path(__file__).parent), *sys.path]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    )
    deadline = time.monotonic() + 100
    while not (tmp_path / checkpoint.NAME).exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    config = config_of("zero", max_steps=100_000, patience=0)
    fit = Fit(monkeypatch, config)
    mark = fingerprint(config, fit.prepared)
    like = Trainer(config, fit.network, fit.prepared).begin(fit.prepared.weights)
    step = checkpoint.load(tmp_path, like, mark)[0].step
    assert step < 100_000
    # Both are stopped a few looks further on, where the two checkpoints must agree to the bit.
    ends = []
    for folder in (tmp_path, tmp_path / "anew"):
        with pytest.raises(Interrupted):
            fit(stop_after(step + 6), folder, resume=True)
        progress, arrays = checkpoint.load(folder, like, mark)
        ends.append((progress.step, progress.best, progress.history["val_loss"], arrays))
    assert ends[0][:3] == ends[1][:3]
    assert same_bits(plain(ends[0][3]), plain(ends[1][3]))


def stop_after(step: int) -> Any:
    def watch(report: Report) -> None:
        if report.step > step:
            raise KeyboardInterrupt

    return watch


def plain(arrays: dict[str, Any]) -> dict[str, Any]:
    import jax

    return {str(n): np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(arrays))}
