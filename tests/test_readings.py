"""Several ways to read a sequence: convolutions and their map against slow references, what is chosen, what is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")
pytest.importorskip("jax")

import statecast as sc
from statecast.data.sequences import of_sequences
from statecast.errors import DataError, SettingError, WrongType
from statecast.model.sequences.convolutions import HEAVY, Convolutions, spacings
from statecast.sequence_config import ClassifierConfig, RegressorConfig
from statecast.train import leave_one_out
from statecast.train.sequences import shares
from statecast.train.sequences.trial import Problem, Trial

QUICK: dict[str, Any] = {"ensemble": 2, "hidden": (8,), "max_steps": 60, "eval_every": 20, "val_size": 0.5}


def slow_features(layer: Convolutions, sequence: np.ndarray) -> np.ndarray:
    """Of one sequence [T, I], value by value."""
    features = []
    for n, (gap, channels, thresholds) in enumerate(zip(layer.spacing, layer.channels, layer.threshold, strict=True)):
        weights = [2.0 if place in HEAVY[n % 84] else -1.0 for place in range(9)]
        values = []
        for t in range(len(sequence)):
            total = 0.0
            for place, weight in enumerate(weights):
                at = t + (place - 4) * int(gap)
                if 0 <= at < len(sequence):
                    total += weight * sequence[at, channels].sum()
            values.append(total)
        features.append(max(values))
        features += [np.mean([value > threshold for value in values]) for threshold in thresholds]
    return np.array(features)


@given(st.integers(0, 1000))
def test_convolutions_against_a_slow_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, 3)
    x, mask = rng.normal(size=(lengths.max(), 3, 2)), np.arange(lengths.max())[:, None] < lengths
    threshold = rng.normal(size=(4, 2)).astype(np.float32)
    channels = np.array([[True, False], [False, True], [True, True], [True, False]])
    layer = Convolutions(np.array([1, 1, 2, 5]), channels, threshold)
    features = layer.read(x, mask)
    assert features.shape == (3, layer.features)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(features[n], slow_features(layer, x[:length, n]), atol=1e-5)


def test_convolutions_reach_as_far_as_sequences_are_long() -> None:
    assert spacings(1).tolist() == spacings(9).tolist() == [1]
    assert spacings(400)[[0, -1]].tolist() == [1, 49] and (np.diff(spacings(400)) > 0).all()
    x = np.random.default_rng(0).normal(size=(50, 4, 1))
    layer = Convolutions.draw(x, np.ones((50, 4), bool), np.random.default_rng(0))
    assert len(layer.spacing) == 84 * len(spacings(50)) and 2000 <= layer.features <= 3000
    share = np.mean([(values > layer.threshold[n, 0]).mean() for n, values in layer.values(x, np.ones((50, 4), bool))])
    assert 0.4 < share < 0.6  # thresholds lie amid the values


@pytest.mark.parametrize("shape", [(9, 4), (7, 12)])
def test_rows_left_out_are_answered_as_by_a_fit_without_them(shape: tuple[int, int]) -> None:
    """Against least squares of the other rows, at every penalty and with unequal weights."""
    rng = np.random.default_rng(0)
    features, target, weight = rng.normal(size=shape), rng.normal(size=(shape[0], 2)), rng.uniform(0.5, 2, shape[0])
    weight /= weight.mean()
    share = weight / weight.sum()
    mean = share @ features
    deviation = np.sqrt(share @ (features - mean) ** 2)
    x = (features - mean) / (deviation + leave_one_out.RELATIVE_FLOOR * deviation.mean())
    eigenvalues = np.linalg.svd(np.sqrt(weight)[:, None] * x, compute_uv=False) ** 2
    ahead = np.column_stack([np.ones(len(x)), x])

    def refit(damping: np.ndarray, weight: np.ndarray) -> np.ndarray:
        w = weight[:, None]
        return ahead @ np.linalg.solve(ahead.T @ (w * ahead) + damping, ahead.T @ (w * target))

    for penalty, ridge in zip(leave_one_out.PENALTIES, leave_one_out.ridges(features, target, weight), strict=True):
        damping = penalty * eigenvalues.mean() * np.diag([0.0, *np.ones(x.shape[1])])
        for row in range(len(x)):
            answers = refit(damping, np.where(np.arange(len(x)) == row, 0, weight))
            np.testing.assert_allclose(ridge.one_by_one()[row], answers[row], rtol=1e-5, atol=1e-6)
        together = np.array([4, 0, 5])
        answers = refit(damping, np.where(np.isin(np.arange(len(x)), together), 0, weight))
        np.testing.assert_allclose(ridge.without(together), answers[together], rtol=1e-5, atol=1e-6)
        fit = features @ ridge.weights["W"] + ridge.weights["b"]
        np.testing.assert_allclose(fit, refit(damping, weight), rtol=1e-6, atol=1e-8)


def trial(predictions: np.ndarray) -> Trial:
    reading: Any = None
    return Trial(reading, predictions, None)


def problem(target: np.ndarray, answers: int) -> Problem:
    return Problem(of_sequences(np.zeros((len(target), 2, 1))), target, np.ones(len(target)), answers)


def test_shares_go_to_what_is_right_on_rows_left_out() -> None:
    codes = np.arange(40) % 2
    right, wrong = np.where(np.eye(2)[codes] > 0, 0.9, 0.1), np.full((40, 2), 0.5)
    result, reason = shares.weigh(
        ClassifierConfig(), problem(codes, 2), {"table": trial(wrong), "recurrence": trial(right)}
    )
    assert result.tolist() == [0, 1]
    assert (
        reason == "the loss on rows left out is table 0.693, recurrence 0.105; with shares of recurrence 1 it is 0.105"
    )


def test_shares_are_halves_where_two_are_right_in_turn() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(400, 1))
    errors = rng.normal(size=(2, 400, 1))
    result, _ = shares.weigh(
        RegressorConfig(), problem(target, 1), {"a": trial(target + errors[0]), "b": trial(target + errors[1])}
    )
    assert abs(result[0] - 0.5) < 0.1


def test_few_rows_do_not_decide_all() -> None:
    """Two readings that differ on one row of ten alone: neither gets everything."""
    codes = np.arange(10) % 2
    first = np.where(np.eye(2)[codes] > 0, 0.8, 0.2)
    second = first.copy()
    first[0], second[1] = [0.45, 0.55], [0.55, 0.45]
    result, _ = shares.weigh(ClassifierConfig(), problem(codes, 2), {"a": trial(first), "b": trial(second)})
    assert 0.2 < result[0] < 0.8


def test_rows_that_nobody_leaves_out_weigh_nothing() -> None:
    codes = np.arange(8) % 2
    right, nothing = np.where(np.eye(2)[codes] > 0, 0.9, 0.1), np.full((8, 2), np.nan)
    result, reason = shares.weigh(ClassifierConfig(), problem(codes, 2), {"a": trial(right), "b": trial(nothing)})
    assert result.tolist() == [0.5, 0.5] and "no rows" in reason


def places(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of noise, whose class is the sign of two steps' difference: nothing but a table shows it."""
    x = np.random.default_rng(seed).normal(size=(count, 20, 1))
    return x, np.where(x[:, 4, 0] > x[:, 13, 0], "up", "down")


def rhythms(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Waves of one frequency or another at any phase amid noise: nothing that a table shows."""
    rng, y = np.random.default_rng(seed), np.arange(count) % 2
    phase, t = rng.uniform(0, 6.28, (count, 1)), np.arange(90)
    return (np.sin(np.where(y, 0.9, 1.1)[:, None] * t + phase) + 0.7 * rng.normal(size=(count, 90)))[..., None], y


@pytest.fixture(scope="module")
def of_places() -> sc.Classifier:
    return sc.Classifier(**{**QUICK, "max_steps": 150}).fit(*places(120, 0))


def test_sequences_do_no_worse_than_the_table(of_places: sc.Classifier) -> None:
    x, y = places(300, 1)
    alone = sc.Classifier(**{**QUICK, "max_steps": 150}).fit(places(120, 0)[0][..., 0], places(120, 0)[1])
    assert of_places.score(x, y) >= alone.score(x[..., 0], y) - 0.02
    counts = dict(zip(of_places.model_.readings, of_places.model_.shares, strict=True))
    assert counts["table"] > 0.5 and "table" in of_places.reasons_["readings"]
    assert of_places.model_.config.readings == tuple(counts)


def test_convolutions_see_a_form_wherever_it_is() -> None:
    m = sc.Classifier(**QUICK).fit(*rhythms(40, 0))
    assert dict(zip(m.model_.readings, m.model_.shares, strict=True))["convolutions"] > 0.5
    assert m.score(*rhythms(200, 1)) > 0.95


def test_values_by_convolutions() -> None:
    """How often a wave comes, from its convolutions; the same value for the lone sequence, and no training."""
    rng, t = np.random.default_rng(0), np.arange(80)
    frequency = rng.uniform(0.3, 1.2, 90)
    x = np.sin(frequency[:, None] * t + rng.uniform(0, 6.28, (90, 1)))[..., None] + 0.1 * rng.normal(size=(90, 80, 1))
    m = sc.Regressor(readings="convolutions").fit(x[:60], frequency[:60])
    assert m.score(x[60:], frequency[60:]) > 0.95
    assert m.n_iter_ == 0 and np.isfinite(m.history_["val_loss"]).all()
    np.testing.assert_allclose(m.predict(x[60:61])[0], m.predict(x[60:])[0], rtol=1e-9)


def test_a_sequence_of_another_length_is_read_by_those_that_can(of_places: sc.Classifier) -> None:
    x, _ = places(3, 2)
    other = [x[0], x[1, :15]]
    answers = of_places.predict_proba(other)
    np.testing.assert_allclose(answers[0], of_places.predict_proba(x[:1])[0], rtol=1e-9)
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    table = sc.Classifier(**QUICK, readings="table").fit(*places(40, 0))
    with pytest.raises(DataError, match=r"sequence 1 has 15 steps.*readings = \"recurrence\""):
        table.predict(other)


def test_several_readings_come_back_without_jax(of_places: sc.Classifier, tmp_path: Path) -> None:
    of_places.save(tmp_path / "m.safetensors")
    again = sc.Classifier.load(tmp_path / "m.safetensors")
    x, _ = places(5, 3)
    np.testing.assert_array_equal(again.predict_proba(x), of_places.predict_proba(x))
    assert again.readings is None and again.n_features_in_ == 1
    code = (
        "import sys, numpy as np, statecast as sc; m = sc.Classifier.load('m.safetensors');"
        "m.predict_proba(np.ones((2, 20, 1))); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0


def test_interrupted_in_the_second_training_and_resumed(tmp_path: Path) -> None:
    x, y = places(40, 0)
    whole = sc.Classifier(**QUICK).fit(x, y)

    def stop(report: Any) -> None:
        if "table" in report.phase and report.step >= 30:
            raise KeyboardInterrupt

    with pytest.raises(sc.StatecastError, match="interrupted"):
        sc.Classifier(**QUICK).fit(x, y, watch=stop, checkpoint=tmp_path)
    resumed = sc.Classifier(**QUICK).fit(x, y, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.predict_proba(x), whole.predict_proba(x))


def test_readings_that_cannot_be_are_refused() -> None:
    x, y = places(12, 0)
    with pytest.raises(SettingError, match="unequal lengths"):
        sc.Classifier(readings=("table", "recurrence")).fit([x[0, :5], *x[1:]], y)
    with pytest.raises(SettingError, match="for a table"):
        sc.Classifier(readings="recurrence").fit(x[..., 0], y)
    with pytest.raises(SettingError, match=r"readings = .*'convolution'.*did you mean 'convolutions'"):
        sc.Classifier(readings="convolution").fit(x, y)


def test_without_rows_to_leave_out_the_recurrence_is_alone() -> None:
    m = sc.Classifier(**{**QUICK, "max_steps": 2, "val_size": 0}).fit(*places(12, 0))
    assert tuple(m.model_.readings) == ("recurrence",) and "no rows to leave out" in m.reasons_["readings"]


def test_what_a_mask_hides_is_missing() -> None:
    x, y = places(20, 0)
    hidden = np.ma.masked_array(x, mask=x > 1.5)
    gaps = np.where(x > 1.5, np.nan, x)
    settings = {**QUICK, "max_steps": 2}
    for masked, plain in ((hidden, gaps), (list(hidden), list(gaps)), (hidden[..., 0], gaps[..., 0])):
        readings = "table" if masked is not hidden and not isinstance(masked, list) else "convolutions"
        one, other = (sc.Classifier(**settings, readings=readings).fit(source, y) for source in (masked, plain))
        np.testing.assert_array_equal(one.predict_proba(masked), other.predict_proba(plain))
    with pytest.raises(DataError, match=r"y\[2\] is masked"):
        sc.Regressor(**settings).fit(x, np.ma.masked_array(np.arange(20.0), mask=np.arange(20) == 2))


def test_a_constant_is_answered_exactly() -> None:
    x, _ = places(20, 0)
    y = np.column_stack([np.full(20, 0.1), x[:, 4, 0], np.full(20, -1e300)])
    answers = sc.Regressor(**{**QUICK, "max_steps": 5}).fit(x, y).predict(places(7, 1)[0])
    assert (answers[:, 0] == 0.1).all() and (answers[:, 2] == -1e300).all() and answers[:, 1].std() > 0


@pytest.mark.parametrize("estimator", [sc.Classifier, sc.Regressor])
def test_what_scikit_learn_refuses_is_an_error_of_this_house(estimator: Any) -> None:
    x = np.random.default_rng(0).normal(size=(12, 3))
    for bad, y in ((x, np.arange(9) % 2), (x[:, 0], np.arange(12) % 2), (x[:0], []), (x + 1j, np.arange(12) % 2)):
        with pytest.raises(DataError):
            estimator(**QUICK).fit(bad, y)
    with pytest.raises(DataError, match=r"y contains NaN|y\[0\] is NaN"):
        estimator(**QUICK).fit(x, np.full(12, np.nan))
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(WrongType, match="Sparse data"):
        estimator(**QUICK).fit(sparse.csr_array(x), np.arange(12) % 2)
    fitted = estimator(**{**QUICK, "max_steps": 1}).fit(x, np.arange(12) % 2)
    with pytest.raises(DataError, match="2 features"):
        fitted.predict(x[:, :2])


@pytest.mark.parametrize("x", [np.ones((20, 15, 1)), 1e300 * np.random.default_rng(0).random((20, 15, 1))])
def test_sequences_that_never_change_and_very_large_ones_are_read(x: np.ndarray) -> None:
    """Nothing varies, so classes are as frequent as they are; squares of the largest values would be no numbers."""
    probability = sc.Classifier(max_steps=3, hidden=2).fit(x, [0, 1] * 10).predict_proba(x)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-5)
    assert np.ptp(x) or np.abs(probability - 0.5).max() < 0.2


def test_very_large_targets_are_learned() -> None:
    x, y = np.random.default_rng(0).random((20, 15, 1)), 1e300 * np.arange(1, 21.0)
    assert np.isfinite(sc.Regressor(max_steps=3, hidden=2).fit(x, y).predict(x)).all()
