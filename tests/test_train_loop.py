"""The training loop: seeds, one compilation, early stopping, falling rates, errors, and its quiet."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from train_cases import compilations, leaves, panel_of, ready, run, same_bits, schema_of, settings, wave

import statecast as sc
from statecast.config import Config
from statecast.errors import MissingDependency, OutputError, SettingError, TrainingError
from statecast.model.history import HISTORY
from statecast.model.network import Network
from statecast.train import loop
from statecast.train.fit import fit, train
from statecast.train.prepare import Prepared
from statecast.train.progress import Progress, Training
from statecast.train.segment_trainer import SegmentTrainer
from statecast.train.trainer import Look, dropper


@cache
def compiled(config: Config) -> tuple[Network, Prepared, SegmentTrainer]:
    panel = panel_of(wave(60, 1), wave(30, 2))
    network, prepared, _ = ready(config, panel)
    return network, prepared, SegmentTrainer(config, network, prepared)


def fitted(monkeypatch: pytest.MonkeyPatch, config: Config, watch: Any = None, **kept: Any) -> Training:
    """A fit whose functions are compiled once for all tests; `kept` are settings that the compiled ones do not see."""
    network, prepared, trainer = compiled(config)
    config = config.with_(**kept)
    monkeypatch.setattr(trainer, "config", config)
    monkeypatch.setattr(trainer, "steps", kept.get("max_steps", trainer.steps))
    monkeypatch.setattr("statecast.train.fit.SegmentTrainer", lambda *_: trainer)
    return train(config, network, prepared, watch)


# --- seeds


def test_the_same_seed_gives_the_same_bits() -> None:
    panel = panel_of(wave(60, 1), wave(30, 2))
    result = [fit(settings(dropout=0.1, dense=(2,)), schema_of(panel), panel).training for _ in range(2)]
    assert same_bits(result[0].weights, result[1].weights)
    assert result[0].history["val_loss"] == result[1].history["val_loss"]


def test_another_seed_gives_other_weights_and_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = compiled(settings()), compiled(settings(random_state=4))
    assert not same_bits(first[1].weights, second[1].weights)
    assert not np.array_equal(first[2].batches(0, 20), second[2].batches(0, 20))
    ends = [fitted(monkeypatch, settings(random_state=seed)) for seed in (0, 4)]
    assert not same_bits(ends[0].weights, ends[1].weights)


def dropped(share: Any, step: int, place: int) -> np.ndarray:
    drop = dropper(share, jax.random.fold_in(jax.random.key(0), step))
    assert drop is not None
    return np.asarray(drop(place, np.ones((40, 50), np.float32)))


def test_dropout_is_of_the_step_and_keeps_the_mean() -> None:
    """Each step and place drops other units, of which a share is zero and the rest larger by as much."""
    drops = {(n, place): dropped(0.25, n, place) for n in (1, 2) for place in (0, 1)}
    assert len({outputs.tobytes() for outputs in drops.values()}) == 4
    assert np.array_equal(drops[1, 0], dropped(0.25, 1, 0))
    for outputs in drops.values():
        assert set(np.unique(outputs)) == {np.float32(0), np.float32(1 / 0.75)}
        assert outputs.mean() == pytest.approx(1, abs=0.06)


def test_each_layer_has_a_dropout_of_its_own() -> None:
    assert (dropped((0, 0.5), 1, 0) == 1).all()
    assert set(np.unique(dropped((0, 0.5), 1, 1))) == {np.float32(0), np.float32(2)}
    assert dropper((0, 0), jax.random.key(0)) is None
    with pytest.raises(SettingError, match=r"dropout = \[0.1\] has 1 shares, and .* have 2 layers: expected"):
        settings(hidden=(3,), dense=(2,), dropout=(0.1,))


# --- compilation


def trainer_and_arrays(config: Config) -> tuple[SegmentTrainer, dict[str, Any]]:
    _, prepared, trainer = compiled(config)
    return trainer, trainer.begin(prepared.weights)


def test_how_many_steps_a_call_makes_changes_no_bit() -> None:
    trainer, arrays = trainer_and_arrays(settings())
    at_once, losses = run(trainer, arrays, 0, 7)
    result = []
    for step, count in ((0, 1), (1, 4), (5, 2)):
        arrays, new = run(trainer, arrays, step, count)
        result += list(new)
    assert result == list(losses)
    assert same_bits(arrays["weights"], at_once["weights"])


WAYS: dict[str, dict[str, Any]] = {
    "skip alone": {"skip": 3},
    "dropout": {"dropout": 0.2, "schedule": "piecewise"},
    "judged ensemble": {"ensemble": 2, "skip": 1, "learning_rate": 0.05},
    "stored": {"carry": "stored", "burn_in": 0, "shuffle": False},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_second_fit_of_like_shape_compiles_nothing(way: str) -> None:
    """Other values, rows, seed, rate and number of steps: the sizes that are compiled have room for them.

    A random walk teaches nothing, so there the skip is trained alone, too; what is learned of a wave is judged.
    """
    config = settings(
        **{"val_size": 30, "hidden": (3,), "max_steps": 9, "eval_every": 3, "learning_rate": 0.02} | WAYS[way]
    )
    y = wave(230) if way == "judged ensemble" else np.cumsum(np.random.default_rng(1).standard_normal(230))
    first, second, longer = panel_of(y[:200]), panel_of(5 * y[10:210]), panel_of(y[:202])
    phases: set[str] = set()
    fit(config, schema_of(first), first, lambda report: phases.add(report.phase))
    assert ("training the linear part" in phases) == (way == "skip alone")
    assert compilations(lambda: fit(config, schema_of(second), second)) == 0
    other = config.with_(random_state=5, learning_rate=0.01, max_steps=8, eval_every=2, patience=2)
    assert compilations(lambda: fit(other, schema_of(longer), longer)) == 0


def test_a_backtest_that_trains_anew_compiles_nothing_more() -> None:
    """Each window has another row; what the first one compiled serves all of them, and whatever comes after."""
    values = np.cumsum(np.random.default_rng(1).standard_normal(230))
    options: dict[str, Any] = {"horizon": 2, "hidden": (3,), "lags": 4, "skip": 4, "segment": 16, "max_steps": 4}
    model = sc.Forecaster(**options, eval_every=2, val_size=30, batch_size=4, season=1).fit(values[:200])
    model.backtest(values[:200], windows=1, refit=True)
    assert compilations(lambda: model.backtest(values[:206], windows=4, step=2, refit=True)) == 0


def test_steps_are_compiled_while_the_first_look_is() -> None:
    """In another thread, once: the first call waits for it."""
    network, prepared, _ = ready(settings(lags=3, horizon=3), panel_of(wave(60)))
    trainer, threads = SegmentTrainer(settings(lags=3, horizon=3), network, prepared), []

    def heard(name: str, seconds: float, **_: Any) -> None:
        if name.endswith("backend_compile_duration"):
            threads.append(threading.current_thread() is threading.main_thread())

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        arrays = trainer.begin(prepared.weights)
        trainer.validate(prepared.weights)
        run(trainer, arrays, 0, 1)
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    assert sorted(threads) == [False, True, True]


def test_compilations_are_counted() -> None:
    assert compilations(lambda: jax.jit(lambda x: x * 1.375 + 2)(1.0)) == 1


# --- early stopping and the course of the rate


def test_significance_1_shows_the_network_as_trained_even_where_its_start_is_better() -> None:
    panel = panel_of(wave(200))
    config = settings(skip=6, val_size=30, learning_rate=1.0, max_steps=6, eval_every=2)
    kept, shown = (fit(config.with_(significance=level), schema_of(panel), panel).training for level in (0.9, 1.0))
    assert kept.history["val_loss"][0] == min(kept.history["val_loss"])  # so large a step only does harm
    assert (kept.best_step, shown.best_step > 0) == (0, True)
    assert kept.history["val_loss"] == shown.history["val_loss"]
    assert not kept.weights["head"]["out"]["W"].any()
    assert shown.weights["head"]["out"]["W"].any()


class Scripted:
    """A trainer whose validation losses are given: the decisions of the loop alone are looked at."""

    keeps_start = True
    measures = 1

    def __init__(self, config: Config, losses: list[float], steps: int = 100) -> None:
        self.config, self.losses, self.steps = config, iter(losses), steps
        self.steps_of_epoch = 4

    def begin(self, weights: Any) -> Any:
        return {"weights": weights}

    def validate(self, weights: Any) -> Look:
        loss = next(self.losses)
        total, weight = (0.0, 0.0) if math.isnan(loss) else (loss * 3, 3.0)
        return Look(np.full((1, 1), total), np.full((1, 1), weight), True)

    def rates(self, steps: Any) -> np.ndarray:
        return np.full(np.shape(steps), 0.5)

    def batches(self, step: int, count: int) -> Any:
        return step

    def run(self, arrays: Any, starts: Any, rates: Any, count: Any, first: Any) -> Any:
        """Weights that count the steps, and losses of the step's own number."""
        return {"weights": arrays["weights"] + int(count)}, first + 1.0 + np.arange(int(count))


def scripted(losses: list[float], **values: Any) -> Training:
    trainer = Scripted(settings(eval_every=10, **values), losses)
    return loop.train(trainer, np.zeros(1))


def test_the_best_weights_are_kept_and_the_fit_stops_when_patience_ends() -> None:
    training = scripted([9.0, 5.0, 3.0, 4.0, 3.5, 3.0, 1.0], patience=3)
    assert training.history["val_loss"] == [9.0, 5.0, 3.0, 4.0, 3.5, 3.0]
    assert (training.weights.item(), training.best_step, training.steps) == (20, 20, 50)
    assert training.best_steps == ((20,),)


def test_an_improvement_starts_the_wait_anew() -> None:
    training = scripted([9.0, 9.5, 9.5, 8.0, 8.5, 8.5, 8.5, 1.0], patience=3)
    assert training.history["val_loss"][-1] == 8.5 and training.steps == 60


def test_no_patience_at_all_means_never_to_stop_early() -> None:
    training = scripted([1.0] * 11, patience=0)
    assert training.steps == 100 and training.weights.item() == 0


def test_without_validation_rows_the_last_weights_are_the_best() -> None:
    training = scripted([math.nan] * 11, patience=2)
    assert (training.steps, training.weights.item(), training.best_step) == (100, 100, 100)


def test_a_plateau_lowers_the_rate() -> None:
    """It falls at every second look without improvement, half of the patience."""
    training = scripted([9, 5, 5, 5, 5, 4, 4, 4, 4, 4], patience=4, schedule="plateau", rate_factor=0.1)
    expected = 0.5 * 0.1 ** np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 3])
    np.testing.assert_allclose(training.history["learning_rate"], expected)


def test_without_validation_rows_a_plateau_is_of_the_training_loss() -> None:
    """The scripted training loss only rises."""
    training = scripted([math.nan] * 11, patience=2, schedule="plateau", rate_factor=0.5)
    np.testing.assert_allclose(
        training.history["learning_rate"], 0.5 * 0.5 ** np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    )


@pytest.mark.parametrize("limits", [{"max_steps": None, "max_epochs": 2}, {"max_steps": 3, "max_epochs": 2}])
def test_epochs_and_steps_limit_a_fit(limits: dict[str, Any]) -> None:
    from statecast.train.trainer import count_steps

    config = settings(**limits)
    assert count_steps(config, 7) == (14 if config.max_steps is None else 3)


def test_a_fit_ends_at_its_last_step_with_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[Progress] = []
    result = fitted(monkeypatch, settings(), reports.append, max_steps=7, eval_every=3)
    assert result.history["step"] == [0, 3, 6, 7] and result.steps == 7
    assert set(result.history) == set(HISTORY)
    assert math.isnan(result.history["loss"][0]) and np.isfinite(result.history["loss"][1:]).all()
    assert result.weights is not None and result.best_step in result.history["step"]
    assert (reports[-1].step, reports[-1].steps) == (7, 7)
    assert {report.phase for report in reports} == {"training"}
    assert reports[-1].val_loss == result.history["val_loss"][-1]


def test_learning_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wave of twelve rows: the start of this tiny network is the last value alone."""
    config = settings(learning_rate=0.05, schedule="constant", hidden=(4,), lags=6, max_steps=150, eval_every=50)
    result = fitted(monkeypatch, config)
    assert min(result.history["val_loss"]) < 0.5 * result.history["val_loss"][0]


# --- what goes wrong


def test_a_loss_that_is_not_finite_says_what_to_do() -> None:
    panel = panel_of(1e3 * wave(60, 1))
    wild = settings(optimizer="sgd", learning_rate=1000.0, clip=0.0, loss="mse", normalize="none", cell="rnn_relu")
    with pytest.raises(TrainingError, match=r"at step \d+: try a smaller learning_rate"):
        fit(wild.with_(max_steps=400, eval_every=100, patience=0), schema_of(panel), panel)


def test_weights_that_are_not_finite_are_never_taken_for_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step may break the weights after a loss that was finite still."""
    network, prepared, trainer = compiled(settings())
    broken = prepared.weights | {"head": {"out": {**prepared.weights["head"]["out"], "b": np.full(2, np.inf, "f4")}}}
    monkeypatch.setattr("statecast.train.fit.SegmentTrainer", lambda *_: trainer)
    with pytest.raises(TrainingError, match="no longer finite after step 0"):
        train(settings(), network, dataclasses.replace(prepared, weights=broken))


def test_a_stored_state_takes_no_burn_in() -> None:
    with pytest.raises(SettingError, match="burn_in = 2"):
        Config(carry="stored", burn_in=2)


# --- precision and quiet


def test_double_precision_works_and_leaves_the_global_setting_alone() -> None:
    panel = panel_of(wave(60, 1))
    assert not jax.config.jax_enable_x64
    result = fit(settings(precision="float64"), schema_of(panel), panel).training
    assert not jax.config.jax_enable_x64
    assert {leaf.dtype for leaf in leaves(result.weights).values()} == {np.dtype(np.float64)}


QUIET = """
import numpy as np
from train_cases import compilations, panel_of, schema_of, settings, wave
import jax
before = dict(jax.config.values)
from statecast.train.fit import fit
panel = panel_of(wave(40, 1))
programs = compilations(lambda: fit(settings(max_steps=2), schema_of(panel), panel))
assert programs == 3, programs  # first weights and moments, steps, looks: data are moved without compiling
assert dict(jax.config.values) == before
"""


def test_the_first_fit_of_a_process_compiles_three_programs_prints_nothing_and_writes_nothing(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), *sys.path]
    code = f"import sys; sys.path[:0] = {paths!r}\n{QUIET}"
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


# --- TensorBoard


def test_scalars_go_to_tensorboard_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    result = fitted(monkeypatch, settings(), tensorboard=str(tmp_path / "logs"), max_steps=4)
    (path,) = (tmp_path / "logs").iterdir()
    content, at, scalars = path.read_bytes(), 0, {}
    while at < len(content):  # records: length, checksum of it, event, checksum of that
        size = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + size])
        at += size + 16
        for value in event.summary.value:
            scalars[value.tag, event.step] = value.simple_value
    for name, tag in (("val_loss", "loss/validation"), ("loss", "loss/training"), ("learning_rate", "learning_rate")):
        for step, expected in zip(result.history["step"], result.history[name], strict=True):
            if not math.isnan(expected):
                assert scalars[tag, int(step)] == pytest.approx(expected, rel=1e-5)


def test_a_second_training_has_curves_of_its_own(tmp_path: Path) -> None:
    """A walk teaches nothing, so the skip is trained alone: its steps begin anew, in a folder below."""
    pytest.importorskip("tensorboardX")
    config = settings(skip=3, val_size=30, hidden=(3,), max_steps=4, tensorboard=str(tmp_path))
    network, prepared, _ = ready(config, panel_of(np.cumsum(np.random.default_rng(0).standard_normal(200))))
    phases: list[str] = []
    train(config, network, prepared, lambda report: phases.append(report.phase))
    assert list(dict.fromkeys(phases)) == ["training", "training the linear part"]
    curves = sorted(path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("events*"))
    assert curves == [".", "skip"]


def test_without_tensorboardx_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingDependency, match=r"pip install 'statecast\[logs\]'"):
        fitted(monkeypatch, settings(), tensorboard="logs")


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboardX")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        fitted(monkeypatch, settings(), tensorboard=str(tmp_path / "file" / "logs"))
