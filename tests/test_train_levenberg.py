"""Levenberg–Marquardt beside a dense reference, whose derivatives are differences of the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from train_cases import leaves, one_step, panel_of, ready, run, same_bits, schema_of, settings, wave

from statecast.config import Config
from statecast.errors import Interrupted, SettingError
from statecast.sequence_config import ClassifierConfig, RegressorConfig
from statecast.train import levenberg
from statecast.train.fit import Fit, fit, precision, train
from statecast.train.loss import gather
from statecast.train.progress import Progress, Training
from statecast.train.segment_trainer import SegmentTrainer, batch_loss

SOLVED: dict[str, Any] = {
    "optimizer": "lm",
    "loss": "mse",
    "precision": "float64",
    "learning_rate": 1.0,
    "schedule": "constant",
    "patience": 0,
    "skip_init": "zero",
}
WAYS: dict[str, dict[str, Any]] = {
    "two targets and a skip": {"skip": 3},
    "one segment at a time": {"batch_size": 3, "dense": (2,)},
    "half a step, learned states": {"carry": "learned", "learning_rate": 0.5},
    "decoder": {"decoder": "rnn_tanh", "skip": 2},
}


def solved(**values: Any) -> Config:
    return settings(**SOLVED | values)


def two_waves() -> np.ndarray:
    """Two targets, some values of one of them missing."""
    table = np.stack([wave(40, 1), wave(40, 2, 9.0)], axis=1)
    table[[5, 17, 18], 1] = np.nan
    return table


def reference(trainer: SegmentTrainer, weights: Any, starts: np.ndarray, rate: float) -> tuple[np.ndarray, float]:
    """All weights after a step as one vector, and the loss before it; all weights are solved for at once."""
    flat, tree = ravel_pytree(weights)
    moves = {path: trainer.plan.moves(tuple(path[1:].split("/"))) for path in leaves(weights)}
    moving = np.concatenate([np.full(np.size(part), moves[path], float) for path, part in leaves(weights).items()])
    errors = jax.jit(lambda v: errors_of(trainer, tree(v), starts))

    def at(v: np.ndarray) -> np.ndarray:
        return np.asarray(errors(v)).ravel()

    start = np.asarray(flat)
    steps = np.eye(len(start)) * 1e-6
    jacobian = np.stack([(at(start + h) - at(start - h)) / 2e-6 for h in steps], axis=1) * moving
    r, loss = at(start), float((at(start) ** 2).sum())
    matrix, gradient = jacobian.T @ jacobian, jacobian.T @ r
    curvature = np.diag(np.maximum(np.diag(matrix), levenberg.FLOOR * np.diag(matrix).max()))
    damping = levenberg.DAMPING
    for _ in range(levenberg.TRIES):
        after = start - rate * np.linalg.solve(matrix + damping * curvature, gradient)
        if (at(after) ** 2).sum() < loss:
            return after, loss
        damping *= levenberg.GROWTH
    return start, loss


def errors_of(trainer: SegmentTrainer, weights: Any, starts: np.ndarray) -> Any:
    """Every error of a batch; the sum of their squares is the loss."""
    plan, data = trainer.plan, trainer.data
    batch = gather(plan.network, data["rows"], data["tape"], starts, plan.segments)
    p = {"weights": weights, "constants": data["constants"]}
    cells = plan.network.stack.start(weights["stack"], starts.shape, data["rows"]["y"][:0])
    steps = batch["inputs"], batch["reset"], None, batch["outputs"]
    forecast = plan.network.segment(p, batch["rows"], batch["rings"], cells, *steps)[0][..., 0]
    error = (forecast - batch["target"]) / batch["loss_scale"][:, :, None, :]
    return error * (batch["weight"] / batch["weight"].sum()) ** 0.5


@pytest.mark.parametrize("way", WAYS)
def test_a_step_is_that_of_the_dense_reference(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "one segment at a time":
        monkeypatch.setattr(levenberg, "ROOM", 1)
    config = solved(**WAYS[way])
    with precision(config):
        trainer, before, after = one_step(config, panel_of(two_waves()))
        starts = trainer.batches(0, 1)[0]
        expected, loss = reference(trainer, before["weights"], starts, config.learning_rate or 1.0)
        value = batch_loss(trainer.plan, trainer.data, before["weights"], {}, starts, None)[0]
        first, result = (np.asarray(ravel_pytree(arrays["weights"])[0]) for arrays in (before, after))
    np.testing.assert_allclose(loss, value, rtol=1e-12)
    moved = np.abs(result - first).max()
    assert moved > 0.01
    np.testing.assert_allclose(result, expected, atol=1e-5 * moved)


def test_what_does_not_move_keeps_its_bits() -> None:
    _, before, after = one_step(solved(), panel_of(two_waves()))
    first, last = leaves(before["weights"]), leaves(after["weights"])
    for path in first:
        assert (first[path].tobytes() == last[path].tobytes()) == ("init_" in path), path


def test_a_step_that_gains_lowers_the_damping_and_one_that_cannot_raises_it() -> None:
    """On forecasts that are exact nothing can be gained: no weight moves, and the damping grows."""
    config = solved(skip=3, skip_init="ridge")
    network, prepared, _ = ready(config, panel_of(two_waves()))
    with precision(config):
        trainer = SegmentTrainer(config, network, prepared)
        before = trainer.begin(prepared.weights)
        after, _ = run(trainer, before, 0, 1)
        assert float(after["moments"]["damping"]) < levenberg.DAMPING
        exact = trainer.data | {"rows": trainer.data["rows"] | {"m": 0 * trainer.data["rows"]["m"]}}
        trainer.data = exact  # no value is there, so no error is
        after, losses = run(trainer, before, 0, 1)
    assert losses[0] == 0
    assert same_bits(after["weights"], before["weights"])
    assert float(after["moments"]["damping"]) == levenberg.DAMPING * levenberg.GROWTH**levenberg.TRIES


@pytest.mark.parametrize("way", [{"ensemble": 2}, {"local": True, "ensemble": 1}], ids=["ensemble", "local"])
def test_several_networks_each_make_their_step(way: dict[str, Any]) -> None:
    """The first of them makes the step of one that is alone, or of one that has its series alone."""
    config = solved(batch_size=64, **way)
    series = (wave(40, 1), wave(40, 2))
    _, before, after = one_step(config, panel_of(*series))
    assert leaves(after["weights"])["/head/out/W"].shape[0] == 2
    assert (leaves(after["moments"])["/damping"] < levenberg.DAMPING).all()
    heads = [leaves(arrays["weights"])["/head/out/W"] for arrays in (before, after)]
    moved = [np.abs(a - b).max() for a, b in zip(*heads, strict=True)]
    assert min(moved) > 0.01
    if not way.get("local"):
        alone = one_step(solved(batch_size=64), panel_of(*series))[2]
        for path, value in leaves(alone["weights"]).items():
            np.testing.assert_allclose(leaves(after["weights"])[path][0], value, rtol=1e-6, atol=1e-9, err_msg=path)


def test_how_many_steps_a_call_makes_changes_no_bit() -> None:
    config = solved()
    network, prepared, _ = ready(config, panel_of(two_waves()))
    with precision(config):
        trainer = SegmentTrainer(config, network, prepared)
        arrays = trainer.begin(prepared.weights)
        at_once, losses = run(trainer, arrays, 0, 4)
        arrays, first = run(trainer, arrays, 0, 1)
        arrays, rest = run(trainer, arrays, 1, 3)
    assert [*first, *rest] == list(losses)
    assert same_bits(arrays, at_once)


def test_a_fit_that_was_interrupted_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    config = solved(max_steps=8)
    network, prepared, _ = ready(config, panel_of(two_waves()))
    reports = []

    def interrupting(report: Progress) -> None:
        reports.append(report)
        if len(reports) == 3:
            raise KeyboardInterrupt

    def trained(watch: Any, folder: Path | None, resume: bool) -> Training:
        with precision(config):
            return train(config, network, prepared, watch, folder, resume)

    whole = trained(None, None, False)
    with pytest.raises(Interrupted):
        trained(interrupting, tmp_path, False)
    again = trained(None, tmp_path, True)
    assert same_bits(again.weights, whole.weights)
    assert again.history["loss"][1:] == whole.history["loss"][1:]


def fitted(series: np.ndarray, **values: Any) -> Fit:
    panel = panel_of(series)
    return fit(solved(**values), schema_of(panel), panel)


def test_a_recurrence_without_skip_learns_a_sine_to_many_digits() -> None:
    sine = np.sin(np.arange(400) / 10)
    values = {"hidden": (4,), "horizon": 1, "segment": 40, "burn_in": 10, "batch_size": 64, "max_steps": 40}
    losses = {
        name: fitted(sine, **values | more).training.history["val_loss"]
        for name, more in {"lm": {}, "adam": {"optimizer": "adam", "learning_rate": 0.01}}.items()
    }
    assert min(losses["lm"]) < 1e-6
    assert min(losses["adam"]) > 1e-4


def test_what_it_learns_beside_a_skip_is_judged_as_with_any_optimizer() -> None:
    """On a random walk that is nothing, by the whole network or by the skip alone: the start is kept."""
    walk = np.cumsum(np.random.default_rng(3).standard_normal(150))
    result = fitted(walk, skip=2, skip_init="ridge", val_size=0.3, batch_size=64)
    assert result.training.best_step == 0
    assert result.training.steps > 0
    assert same_bits(result.training.weights, result.prepared.weights)


def test_few_units_and_steps_are_chosen_where_they_are_left_out() -> None:
    chosen = fitted(wave(80), hidden=None, max_steps=None, eval_every=None, patience=1, learning_rate=None).config
    assert (chosen.hidden, chosen.max_steps, chosen.eval_every, chosen.learning_rate) == ((8,), 100, 5, 1.0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"loss": "mae"}, 'loss = "mae" (its steps come from squared errors: choose "mse")'),
        ({"precision": "float32"}, 'precision = "float32" (products of derivatives need all digits: choose "float64")'),
        ({"carry": "stored", "burn_in": 0}, 'carry = "stored" (a batch must give the same errors again: choose "zero"'),
        ({"dropout": 0.1}, "dropout = 0.1 (a batch must give the same errors again: choose 0)"),
        ({"dropout": (0.0, 0.1), "hidden": (2, 2)}, "dropout = [0.0, 0.1]"),
        ({"hidden": (44,)}, "at most 2,000; choose fewer units in hidden, fewer lags, or another optimizer"),
    ],
)
def test_what_it_cannot_train_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError) as refusal:
        fitted(wave(60), **values)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingError, match=r'"mae".*"float32".*dropout = 0\.5'):
        fitted(wave(60), loss="mae", precision="float32", dropout=0.5)


@pytest.mark.parametrize("of", [ClassifierConfig, RegressorConfig])
def test_networks_that_read_whole_sequences_have_no_use_for_it(of: Any) -> None:
    with pytest.raises(SettingError, match=r"optimizer = 'lm': expected one of sgd, .* adamw"):
        of(optimizer="lm")
