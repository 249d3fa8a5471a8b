"""A fit that was stopped at any moment and goes on ends in the bits of one that was never stopped."""

from __future__ import annotations

import json
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
from statecast.model.container import read_tensors
from statecast.model.network import Network
from statecast.train import loop
from statecast.train.checkpoint import NAME, SKIP_NAME, Checkpoint
from statecast.train.fit import train
from statecast.train.prepare import Prepared
from statecast.train.progress import LoopState, Progress, Training
from statecast.train.segment_trainer import SegmentTrainer

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


def alike(a: Training, b: Training) -> bool:
    """The same bits, but for the clock."""
    columns = [name for name in a.history if name != "seconds"]
    histories = [np.array([fit.history[name] for name in columns]) for fit in (a, b)]
    return (
        same_bits(a.weights, b.weights)
        and histories[0].tobytes() == histories[1].tobytes()
        and (a.steps, a.best_step) == (b.steps, b.best_step)
    )


@cache
def compiled(config: Config) -> tuple[Network, Prepared, SegmentTrainer]:
    network, prepared, _ = ready(config, table())
    return network, prepared, SegmentTrainer(config, network, prepared)


class Fit:
    """Fits of one table that share what is compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
        self.config = config
        self.network, self.prepared, trainer = compiled(config)
        monkeypatch.setattr("statecast.train.fit.SegmentTrainer", lambda *_: trainer)

    def __call__(self, watch: Any = None, folder: Path | None = None, resume: bool = False) -> Training:
        return train(self.config, self.network, self.prepared, watch, folder, resume)


def interrupt_at(call: int) -> Any:
    """Ctrl-C at the n-th report."""
    calls = []

    def watch(report: Progress) -> None:
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

    def never(report: Progress) -> None:
        raise AssertionError("a step was made")

    assert alike(fit(never, tmp_path, resume=True), whole)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


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
    checkpoint = Checkpoint(tmp_path / NAME, "mark", resume=True)
    assert checkpoint.load({"w": np.zeros(3)}) is None
    checkpoint.save(LoopState(3, 0.5, 1, 1.0, 2.0, {"loss": [float("nan"), 1.5]}), {"w": np.arange(3.0)})
    state, arrays = checkpoint.load({"w": np.zeros(3)}) or (LoopState(), {})
    assert np.array_equal(np.asarray(arrays["w"]), np.arange(3.0))
    assert (state.step, state.best, state.history["loss"][1]) == (3, 0.5, 1.5)
    for like in ({"w": np.zeros(4)}, {"w": np.zeros(3, np.int64)}, {"w": np.zeros(3), "v": np.zeros(3)}):
        with pytest.raises(ModelFileError, match="other arrays"):
            checkpoint.load(like)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-3])
    with pytest.raises(ModelFileError, match="truncated"):
        checkpoint.load({"w": np.zeros(3)})


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
    while not (tmp_path / NAME).exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    config = config_of("zero", max_steps=100_000, patience=0)
    fit = Fit(monkeypatch, config)
    step = stand_of(tmp_path)[0]["step"]
    assert step < 100_000
    # Both are stopped a few looks further on, where the two checkpoints must agree to the bit.
    ends = []
    for folder in (tmp_path, tmp_path / "anew"):
        with pytest.raises(Interrupted):
            fit(stop_after(step + 6), folder, resume=True)
        state, arrays = stand_of(folder)
        ends.append(([state[name] for name in ("step", "best", "least", "best_steps")], arrays))
    assert ends[0][0] == ends[1][0]
    assert same_bits(ends[0][1], ends[1][1])


def stop_after(step: int) -> Any:
    def watch(report: Progress) -> None:
        if report.step > step:
            raise KeyboardInterrupt

    return watch


def stand_of(folder: Path, name: str = NAME) -> tuple[dict[str, Any], Any]:
    """Where the training of a checkpoint stood, and its arrays."""
    tree, texts = read_tensors(folder / name, "checkpoint")
    return json.loads(texts["progress"]), tree


SKIP: dict[str, Any] = {"skip": 3, "val_size": 30, "hidden": (3,), "max_steps": 8, "eval_every": 2}


@pytest.fixture(scope="module")
def walk() -> Any:
    """A table that teaches nothing, so that the skip is trained alone after the whole network."""
    return panel_of(np.cumsum(np.random.default_rng(0).standard_normal(200)))


def test_a_second_training_is_interrupted_and_goes_on_like_the_first(tmp_path: Path, walk: Any) -> None:
    config = settings(**SKIP)
    network, prepared, _ = ready(config, walk)
    whole = train(config, network, prepared)
    reports: list[Progress] = []

    def interrupt(report: Progress) -> None:
        reports.append(report)
        if report.phase == "training the linear part" and report.step >= 4:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"interrupted after \d of at most 8 steps of training the linear part: the"):
        train(config, network, prepared, interrupt, tmp_path)
    assert [report.step for report in reports if report.phase == "training"][-1] == 8
    assert {path.name for path in tmp_path.iterdir()} == {NAME, SKIP_NAME}
    state, _ = stand_of(tmp_path, SKIP_NAME)
    assert 0 < state["step"] < 8 and not state["done"]
    phases: set[str] = set()
    resumed = train(config, network, prepared, lambda report: phases.add(report.phase), tmp_path, resume=True)
    assert phases == {"training the linear part"}  # the first training is over, and not made again
    assert alike(resumed, whole) and resumed.verdict == whole.verdict


def test_an_interrupt_between_the_two_trainings_keeps_the_first(
    tmp_path: Path, walk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(**SKIP)
    network, prepared, _ = ready(config, walk)
    whole = train(config, network, prepared)

    def stop(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("statecast.train.judge.kept", stop)
        with pytest.raises(Interrupted, match="is kept; continue with --resume"):
            train(config, network, prepared, folder=tmp_path)
    assert alike(train(config, network, prepared, folder=tmp_path, resume=True), whole)
