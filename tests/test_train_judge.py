"""What training gained beside chance: the standard error by hand, what is kept on noise and on waves, and why."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

import jax
import numpy as np
import pytest
from train_cases import panel_of, ready, settings, wave

import statecast as sc
from statecast.train import fit, judge
from statecast.train.prepare import gains
from statecast.train.progress import Fitted
from statecast.train.trainer import Trainer


def test_the_standard_error_by_hand() -> None:
    """Two series, two blocks: the differences 3, 1 | 2, 6 have mean 3; by series −2, 2 are left, by block −1, 1."""
    before = np.array([10.0, 10, 10, 10])
    after = before - [3, 1, 2, 6]
    series, block = np.array([4, 4, 9, 9]), np.array([0, 1, 0, 1])
    one = np.ones(4)
    mean, error = judge.compared(before, after, one, series, block)
    assert mean == 3
    # Excesses over 4: series (0 − 2)/4 and (−1 + 3)/4, so Σ² = 1/2; blocks (0 − 1)/4 and (−2 + 3)/4; times 2/(2 − 1).
    assert error == pytest.approx((2 * 0.5) ** 0.5)
    _, error = judge.compared(before, after, one, 0 * series, block)
    assert error == pytest.approx((2 * 2 / 16) ** 0.5)
    assert judge.compared(before, after, one, 0 * series, 0 * block) == (3, 0)


def test_forecasts_count_by_their_weights() -> None:
    """A forecast of twice the weight is two of half the sum, and which of them comes first is all the same."""
    r = np.random.default_rng(0)
    before, after = r.random(30), r.random(30)
    series, block = r.integers(0, 3, 30), r.integers(0, 5, 30)
    split = judge.compared(*(np.repeat(x / 2, 2) for x in (before, after, np.ones(30))), *_twice(series, block))
    whole = judge.compared(before, after, np.ones(30), series, block)
    np.testing.assert_allclose(split, whole)
    order = r.permutation(30)
    again = judge.compared(*(x[order] for x in (before, after, np.ones(30), series, block)))
    np.testing.assert_allclose(again, whole)


def _twice(*arrays: np.ndarray) -> list[np.ndarray]:
    return [np.repeat(x, 2) for x in arrays]


@pytest.mark.parametrize("more", [{}, {"ensemble": 3}, {"local": True}, {"carry": "stored", "burn_in": 0}])
def test_losses_of_origins_add_up_to_the_look(more: dict[str, Any]) -> None:
    panel = panel_of(wave(60), wave(45, 1), wave(52, 2))
    config = settings(skip=3, val_size=10, **more)
    network, prepared, parts = ready(config, panel)
    trainer = Trainer(config, network, prepared)
    weights = jax.tree.map(np.asarray, trainer.begin(prepared.weights)["weights"])
    total, weight, _ = trainer.validate(weights)
    each, counted, rows = (np.asarray(x) for x in trainer.origins(weights))
    assert each.sum() == pytest.approx(float(np.sum(total)), rel=1e-5)
    assert counted.sum() == pytest.approx(float(np.sum(weight)))
    series = prepared.rows.series[rows]
    age = prepared.rows.age[rows]
    inside = (age >= parts.train[series] - 1) & (age < parts.val[series] - 1)
    assert inside[counted > 0].all()
    assert len(np.unique(rows[counted > 0])) == 3 * 10


def test_what_is_learned_of_noise_is_not_kept() -> None:
    """A random walk has nothing to learn, so the weights are those of the start unless one insists."""
    walk = np.cumsum(np.random.default_rng(0).standard_normal(400))
    given: dict[str, Any] = {"horizon": 4, "max_steps": 60, "hidden": (8,), "eval_every": 5, "val_size": 40}
    found = sc.Forecaster(**given).fit(walk)
    assert found.model_.history["val_loss"][0] > min(found.model_.history["val_loss"])
    assert found.reasons_["significance"].endswith("no more than chance, so least squares on the last values is kept")
    start = sc.Forecaster(**{**given, "max_steps": 1, "learning_rate": 1e-12, "significance": 1}).fit(walk)
    np.testing.assert_allclose(found.predict(), start.predict(), rtol=1e-5)
    trained = sc.Forecaster(**given, significance=1.0).fit(walk)
    assert "significance" not in trained.reasons_
    assert not np.allclose(trained.predict(), start.predict(), rtol=1e-5)


def test_what_is_learned_of_a_rule_is_kept() -> None:
    """A logistic map: no linear forecast knows where it goes."""
    y = np.empty(600)
    y[0] = 0.3
    for n in range(599):
        y[n + 1] = 3.9 * y[n] * (1 - y[n])
    found = sc.Forecaster(horizon=1, max_steps=200, hidden=(16,), test_size=60, learning_rate=0.01).fit(y)
    told = found.reasons_["significance"]
    assert "moved the validation loss from" in told and "chance" not in told
    assert found.evaluation_["statecast"]["mae"] < 0.5 * found.evaluation_["persistence"]["mae"]


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("more", [{}, {"ensemble": 2}, {"decoder": "gru"}, {"known": 2}, {"dense": (3,)}])
def test_forecasts_of_weights_between_lie_between(share: float, more: dict[str, Any]) -> None:
    more = dict(more)
    r = np.random.default_rng(1)
    known = more.pop("known", 0)
    panel = dataclasses.replace(panel_of(wave(120)), known=r.standard_normal((120, known)), ahead=np.zeros((0, known)))
    config = settings(skip=5, val_size=10, learning_rate=0.05, **more)
    network, prepared, _ = ready(config, panel)
    trainer = Trainer(config, network, prepared)
    arrays = trainer.begin(jax.tree.map(jax.numpy.asarray, prepared.weights))
    arrays, _ = trainer.run(arrays, trainer.batches(0, 20), np.asarray(20), np.asarray(0), np.float32(1))
    found = jax.tree.map(np.asarray, arrays["weights"])
    # The stack's output, and what is known ahead, are the same whatever the head makes of them.
    state = network.start({"weights": found, "constants": prepared.constants}, 3, np.zeros(0, np.float32))
    state |= {name: r.standard_normal(value.shape).astype(np.float32) for name, value in state.items() if name == "out"}
    future = np.ones((3, config.horizon, network.front.future), np.float32) if network.front.future else None

    def forecast(weights: Any) -> np.ndarray:
        return np.asarray(network.emit({"weights": weights, "constants": prepared.constants}, state, future)[0])

    first, last = forecast(judge.between(prepared.weights, found, 0.0)), forecast(found)
    assert not np.allclose(first, last, atol=1e-3)
    between = forecast(judge.between(prepared.weights, found, share))
    np.testing.assert_allclose(between, first + share * (last - first), atol=1e-5)


@dataclasses.dataclass
class Judged:
    """A trainer whose forecast is the one number of the skip, and whose validation values are these."""

    config: Any
    values: np.ndarray
    val_starts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(1))

    def origins(self, weights: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        error = np.abs(self.values - weights["skip"]["W"])
        return error, np.ones(len(error)), np.arange(len(error))


@pytest.mark.parametrize(("middle", "share"), [(10.0, 1.0), (7.0, 0.75), (5.0, 0.5), (2.0, 0.25), (-1.0, 0.0)])
def test_as_much_is_taken_as_validation_rows_support(middle: float, share: float) -> None:
    """The start forecasts 0, training made it 10, and the values lie around a number on the way."""
    values = middle + 0.01 * np.random.default_rng(0).standard_normal(400)
    config = settings(skip=5)
    rows = types.SimpleNamespace(series=np.zeros(400, np.int64), age=np.arange(400))
    start, found = ({"skip": {"W": np.float32(w)}, "head": {"out": {"b": np.zeros(1)}}} for w in (0, 10))
    parts = types.SimpleNamespace(train=np.zeros(1, np.int64))
    prepared = types.SimpleNamespace(weights=start, rows=rows, parts=parts)
    fitted = Fitted(found, {}, 20, 10, 1.0)
    kept = judge.kept(Judged(config, values), prepared, fitted)  # type: ignore[arg-type]
    assert kept.weights["skip"]["W"] == pytest.approx(10 * share)
    assert kept.best_step == (10 if share else 0)
    assert kept.worth.startswith("training" if share in (0, 1) else f"{share:.0%} of what training found") or not share


@pytest.mark.parametrize("ensemble", [1, 2])
@pytest.mark.parametrize("more", [{}, {"loss": "pinball"}, {"loss": "normal"}, {"level_input": True, "embedding": 2}])
def test_the_skip_alone_forecasts_what_the_whole_network_does(ensemble: int, more: dict[str, Any]) -> None:
    """At the start, and after the skip was trained and put back; nothing but skip and biases has moved."""
    config = settings(skip=5, val_size=10, ensemble=ensemble, dense=(3,), learning_rate=0.05, **more)
    network, prepared, _ = ready(config, panel_of(wave(120), wave(90, 1)))
    assert judge.applies(config, network)
    whole = Trainer(config, network, prepared)
    trainer, start = judge.alone(config, network, prepared)

    def losses(of: Trainer, weights: Any) -> float:
        total, weight, _ = of.validate(of.begin(jax.tree.map(jax.numpy.asarray, weights))["weights"])
        return float(np.sum(total) / np.sum(weight))

    assert losses(trainer, start.weights) == pytest.approx(losses(whole, prepared.weights), rel=1e-5)
    arrays = trainer.begin(jax.tree.map(jax.numpy.asarray, start.weights))
    arrays, _ = trainer.run(arrays, trainer.batches(0, 20), np.asarray(20), np.asarray(0), np.float32(1))
    found = jax.tree.map(np.asarray, arrays["weights"])
    placed = judge.into(prepared.weights, found)
    assert losses(trainer, found) != pytest.approx(losses(trainer, start.weights), rel=1e-3)
    assert losses(whole, placed) == pytest.approx(losses(trainer, found), rel=1e-5)
    before, after = (dict(jax.tree_util.tree_leaves_with_path(w)) for w in (prepared.weights, placed))
    names = {jax.tree_util.keystr(path) for path in before if not np.array_equal(before[path], after[path])}
    assert names == {"['skip']['W']", "['head']['out']['b']"}


@pytest.mark.parametrize("change", [{"skip": 0}, {"hidden": ()}, {"decoder": "gru"}, {"significance": 1}])
def test_the_skip_is_not_trained_alone_where_there_is_no_use_for_it(change: dict[str, Any]) -> None:
    config = settings(**{"skip": 5} | change)
    network, _, _ = ready(config, panel_of(wave(60)))
    assert not judge.applies(config, network)


def test_the_skip_alone_is_tried_where_the_whole_network_found_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What either training is worth is written here: the whole network nothing, the skip something."""

    def kept(trainer: Trainer, prepared: Any, fitted: Any) -> Any:
        if trainer.skip_alone:
            return dataclasses.replace(fitted, best_step=3, worth="it helped", weights=moved(prepared.weights))
        return dataclasses.replace(fitted, best_step=0, worth="luck", weights=prepared.weights)

    def moved(weights: Any) -> Any:
        return weights | {"skip": {"W": weights["skip"]["W"] + 0.5}}

    monkeypatch.setattr(judge, "kept", kept)
    config = settings(skip=5, val_size=10, ensemble=2)
    network, prepared, _ = ready(config, panel_of(wave(120)))
    found = fit.train(config, network, prepared)
    assert (found.worth, found.best_step) == ("of the skip alone, it helped", 0)
    np.testing.assert_array_equal(found.weights["skip"]["W"], prepared.weights["skip"]["W"] + np.float32(0.5))
    monkeypatch.setattr(judge, "applies", lambda *_: False)
    assert fit.train(config, network, prepared).worth == "luck"


def test_a_few_huge_numbers_do_not_set_typical_sizes() -> None:
    r = np.random.default_rng(0)
    parts = {
        "ring": r.standard_normal((500, 4, 2)),
        "held": np.ones((500, 4, 2)),
        "target": r.standard_normal((500, 3, 2)),
    }
    before = gains(parts)
    assert all(np.allclose(size, 1, atol=0.2) for size in before.values())
    parts["ring"][7], parts["target"][7] = 1e8, -1e8
    for name, size in gains(parts).items():
        np.testing.assert_allclose(size, before[name], rtol=0.1)
    parts["target"][:, 0] = np.nan
    parts["target"][:, 1] = 0
    assert gains(parts)["output_gain"][:2].tolist() == [[1, 1], [1, 1]]
