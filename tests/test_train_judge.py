"""What training gained beside chance: the test by hand, what is kept on noise and on waves, and why."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

import jax
import numpy as np
import pytest
from train_cases import panel_of, ready, run, same_bits, settings, wave

import statecast as sc
from statecast.train import fit, judge, loop, validation
from statecast.train.prepare import gains
from statecast.train.progress import Training
from statecast.train.segment_trainer import SegmentTrainer


def test_the_chance_of_gains_by_hand() -> None:
    """Of the eight signs of 3, 1, −2 three give sums of at least 2: all as they are, +3 +1 +2, and +3 −1 +2 = 4."""
    assert judge.chance_of(np.array([3.0, 1.0, -2.0])) == 3 / 8
    assert judge.chance_of(np.ones(6)) == 1 / 64
    assert judge.chance_of(np.zeros(6)) == 1
    assert judge.chance_of(np.zeros(0)) == 1
    assert judge.chance_of(-np.ones(8)) == 1
    many = np.random.default_rng(1).standard_normal(40) + 0.3
    assert judge.chance_of(many) == judge.chance_of(many[::-1].copy()[::-1])
    assert judge.chance_of(np.ones(40)) == 1 / 4096
    # A sum with forty signs at random is normal: one of 1.645 deviations is as rare as 5 %.
    noise = np.random.default_rng(2).standard_normal(40)
    noise = (noise - noise.mean()) / noise.std()
    even = 1.645 / (40 - 1.645**2) ** 0.5
    assert judge.chance_of(even + noise) == pytest.approx(0.05, abs=0.01)


def test_chance_is_as_often_small_as_it_says() -> None:
    """Of gains without a rule, as large a share as it says falls below each chance."""
    rng = np.random.default_rng(3)
    chances = np.array([judge.chance_of(rng.standard_normal(9)) for _ in range(800)])
    for level in (0.05, 0.25, 0.5):
        assert (chances <= level).mean() == pytest.approx(level, abs=0.04)


def test_gains_are_added_up_by_unit() -> None:
    sums = judge.by_unit(np.array([1.0, 2.0, 0.0, -4.0, 0.0]), np.array([7, 7, 3, 9, 3]))
    assert sums.tolist() == [3.0, -4.0]  # nothing is known of unit 3


def dealt(lengths: list[int], val: int, horizon: int, by_series: bool = False) -> tuple[np.ndarray, ...]:
    """Units, folds and choosers of all origins of validation rows; the last row of a series is none."""
    panel = panel_of(*(wave(n, k) for k, n in enumerate(lengths)))
    config = settings(horizon=horizon, val_size=val, test_size=0)
    _, prepared, parts = ready(config, panel)
    rows = prepared.rows
    scored = (rows.age >= parts.train[rows.series] - 1) & (rows.age < parts.val[rows.series] - 1)
    return validation.dealt(rows, parts, np.arange(len(rows.y)), scored, horizon, by_series)


def test_who_chooses_in_time_shares_no_forecast_row_with_who_judges() -> None:
    """Validation rows 50 to 89, ten for each fold: from row 56 on, the third value ahead is that of row 59 or later."""
    units, folds, choosers = dealt([90], 40, 3)
    assert [np.flatnonzero(folds == fold).tolist() for fold in (0, 1)] == [list(range(49, 59)), list(range(59, 69))]
    assert np.flatnonzero(choosers[1]).tolist() == [*range(49, 57), *range(71, 89)]
    assert units[49:52].tolist() == [0] * 3 and units[52] == 1 and units[88] == 13
    for fold, mask in enumerate(choosers):
        rows = [{row + k for row in np.flatnonzero(part) for k in (1, 2, 3)} for part in (mask, folds == fold)]
        assert not rows[0] & rows[1]


def test_folds_are_of_series_where_the_rows_span_few_horizons() -> None:
    units, folds, choosers = dealt([40] * 8, 6, 4)
    series = np.repeat(np.arange(8), 40)
    assert set(series[folds == 1]) == {1, 5} and set(series[choosers[1]]) == {0, 2, 3, 4, 6, 7}
    assert np.array_equal(units, series)
    # Networks of one series each learn nothing of the rows of others.
    units, folds, choosers = dealt([40] * 8, 12, 4, by_series=True)
    assert all(set(series[folds == fold]) == set(series[choosers[fold]]) == set(range(8)) for fold in range(4))


@pytest.mark.parametrize(("lengths", "val", "horizon"), [([90], 5, 4), ([90], 1, 1), ([30, 30], 6, 4), ([90], 0, 1)])
def test_too_few_rows_make_no_folds(lengths: list[int], val: int, horizon: int) -> None:
    _, folds, choosers = dealt(lengths, val, horizon)
    assert len(choosers) == 0 and (folds == -1).all()


@pytest.mark.parametrize("more", [{}, {"ensemble": 3}, {"local": True}, {"carry": "stored", "burn_in": 0}])
def test_losses_of_origins_add_up_to_the_look(more: dict[str, Any]) -> None:
    panel = panel_of(wave(60), wave(45, 1), wave(52, 2))
    config = settings(skip=3, val_size=20, **more)
    network, prepared, parts = ready(config, panel)
    trainer = SegmentTrainer(config, network, prepared)
    look = trainer.validate(prepared.weights)
    each, counted = trainer.losses(prepared.weights)
    rows = trainer.validation.rows
    # Members of an ensemble begin with the same forecast, so the loss of its mean is that of each.
    networks = config.ensemble or 1
    assert networks * each.sum() == pytest.approx(look.total[0].sum(), rel=1e-5)
    assert networks * counted.sum() == pytest.approx(look.weight[0].sum())
    choosers = trainer.validation.choosers
    assert len(look.total) == 1 + len(choosers) == 1 + validation.FOLDS
    for mask, total, weight in zip(choosers, look.total[1:], look.weight[1:], strict=True):
        assert networks * each[mask].sum() == pytest.approx(total.sum(), rel=1e-5)
        assert networks * counted[mask].sum() == pytest.approx(weight.sum())
    series = prepared.rows.series[rows]
    age = prepared.rows.age[rows]
    inside = (age >= parts.train[series] - 1) & (age < parts.val[series] - 1)
    assert inside[counted > 0].all()
    assert len(np.unique(rows[counted > 0])) == 3 * 20


def test_what_is_learned_of_noise_is_not_kept() -> None:
    """A random walk has nothing to learn, so the weights are those of the start unless one insists."""
    walk = np.cumsum(np.random.default_rng(4).standard_normal(400))
    options: dict[str, Any] = {"horizon": 4, "max_steps": 60, "hidden": (8,), "eval_every": 5, "val_size": 40}
    result = sc.Forecaster(**options).fit(walk)
    assert result.model_.history["val_loss"][0] > min(result.model_.history["val_loss"])
    assert result.reasons_["significance"].endswith("no more than chance, so the linear start is kept")
    start = sc.Forecaster(**{**options, "max_steps": 1, "learning_rate": 1e-12, "significance": 1}).fit(walk)
    np.testing.assert_allclose(result.predict(), start.predict(), rtol=1e-5)
    trained = sc.Forecaster(**options, significance=1.0).fit(walk)
    assert "significance" not in trained.reasons_
    assert not np.allclose(trained.predict(), start.predict(), rtol=1e-5)


def test_what_is_learned_of_a_rule_is_kept() -> None:
    """A logistic map: no linear forecast knows where it goes."""
    y = np.empty(600)
    y[0] = 0.3
    for n in range(599):
        y[n + 1] = 3.9 * y[n] * (1 - y[n])
    result = sc.Forecaster(horizon=1, max_steps=200, hidden=(16,), test_size=60, learning_rate=0.01).fit(y)
    reason = result.reasons_["significance"]
    assert "moved the validation loss from" in reason and "chance" not in reason
    assert result.evaluation_["statecast"]["mae"] < 0.5 * result.evaluation_["persistence"]["mae"]


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("more", [{}, {"ensemble": 2}, {"decoder": "gru"}, {"known": 2}, {"dense": (3,)}])
def test_forecasts_of_weights_between_lie_between(share: float, more: dict[str, Any]) -> None:
    more = dict(more)
    r = np.random.default_rng(1)
    known = more.pop("known", 0)
    panel = dataclasses.replace(panel_of(wave(120)), known=r.standard_normal((120, known)), ahead=np.zeros((0, known)))
    config = settings(skip=5, val_size=10, learning_rate=0.05, **more)
    network, prepared, _ = ready(config, panel)
    trainer = SegmentTrainer(config, network, prepared)
    arrays = trainer.begin(prepared.weights)
    arrays, _ = run(trainer, arrays, 0, 20)
    result = jax.tree.map(np.asarray, arrays["weights"])
    # The stack's output, and what is known ahead, are the same whatever the head makes of them.
    state = network.start({"weights": result, "constants": prepared.constants}, 3, np.zeros(0, np.float32))
    state |= {name: r.standard_normal(value.shape).astype(np.float32) for name, value in state.items() if name == "out"}
    future = np.ones((3, config.horizon, network.front.future), np.float32) if network.front.future else None

    def forecast(weights: Any) -> np.ndarray:
        return np.asarray(network.emit({"weights": weights, "constants": prepared.constants}, state, future)[0])

    first, last = forecast(judge.between(prepared.weights, result, 0.0)), forecast(result)
    assert not np.allclose(first, last, atol=1e-3)
    between = forecast(judge.between(prepared.weights, result, share))
    np.testing.assert_allclose(between, first + share * (last - first), atol=1e-5)


@dataclasses.dataclass
class Judged:
    """A trainer whose forecast is the one number of the skip, and whose validation values are these."""

    config: Any
    values: np.ndarray

    @property
    def validation(self) -> Any:
        count = len(self.values)
        folds = np.arange(count) * 2 // count
        return types.SimpleNamespace(
            units=np.arange(count) // 10,
            folds=folds,
            choosers=np.stack([folds == 1, folds == 0]),
            undecided=lambda share: False,
        )

    def losses(self, weights: Any) -> tuple[np.ndarray, np.ndarray]:
        error = np.abs(self.values - weights["skip"]["W"])
        return error, np.ones(len(error))


def weights_of(skip: float) -> Any:
    return {"skip": {"W": np.float32(skip)}, "head": {"out": {"b": np.zeros(1)}}}


def kept_of(values: np.ndarray, first: float = 10, second: float = 10) -> Training:
    """What is kept where the start forecasts 0, training made it 10, and the first half chose this, the second that."""
    prepared = types.SimpleNamespace(weights=weights_of(0))
    choices = weights_of(second), weights_of(first)
    trained = Training(weights_of(10), {}, 20, 10, 1.0, choices, ((10,), (int(second) + 100,), (int(first),)))
    return judge.kept(Judged(settings(skip=5), values), prepared, trained)  # type: ignore[arg-type]


@pytest.mark.parametrize(("middle", "share"), [(10.0, 1.0), (7.0, 0.75), (5.0, 0.5), (2.0, 0.25), (-1.0, 0.0)])
def test_as_much_is_taken_as_validation_rows_support(middle: float, share: float) -> None:
    """The values lie around a number on the way."""
    kept = kept_of(middle + 0.01 * np.random.default_rng(0).standard_normal(400))
    assert kept.weights["skip"]["W"] == pytest.approx(10 * share)
    assert kept.best_step == (10 if share else 0)
    assert (
        kept.verdict.startswith("training" if share in (0, 1) else f"{100 * share:.0f} % of what training found")
        or not share
    )


def test_rows_do_not_judge_what_they_chose() -> None:
    """Each half chose its own mean, on the other side of the start from what the other half is like."""
    values = np.repeat([5.0, -5.0], 200) + 0.01 * np.random.default_rng(0).standard_normal(400)
    assert kept_of(values, first=5, second=-5).verdict.endswith("the linear start is kept")
    assert kept_of(np.abs(values), first=5, second=5).best_step == 10


def test_without_folds_nothing_is_known_and_the_start_is_kept() -> None:
    """Two validation rows cannot tell learning from luck; without any, what was trained is kept and said to be so."""
    y = wave(120)
    options: dict[str, Any] = {
        "horizon": 4,
        "max_steps": 20,
        "hidden": (3,),
        "eval_every": 5,
        "test_size": 0,
        "skip": 1,
    }
    few = sc.Forecaster(**options, val_size=8, learning_rate=0.05).fit(y)
    start = sc.Forecaster(**options, val_size=8, learning_rate=1e-12, significance=1).fit(y)
    assert few.reasons_["significance"].startswith("too few validation rows to tell")
    np.testing.assert_allclose(few.forecast().values, start.forecast().values, rtol=1e-5)
    blind = sc.Forecaster(**options, val_size=0).fit(y)
    assert blind.reasons_["significance"].startswith("no validation rows")
    assert blind.model_.history["step"][-1] == 20


@pytest.mark.parametrize(
    ("seed", "more"),
    [(2, {"ensemble": 2, "learning_rate": 0.05, "eval_every": 2}), (1, {"local": True, "learning_rate": 0.02})],
)
def test_networks_of_several_keep_no_weights_untested(seed: int, more: dict[str, Any]) -> None:
    """Random walks: some member is the better for luck at some look, whatever the mean of all does."""
    rng = np.random.default_rng(seed)
    panel = panel_of(*(np.cumsum(rng.standard_normal(160)) for _ in range(2)))
    config = settings(
        **{"skip": 4, "val_size": 40, "hidden": (4,), "max_steps": 40, "patience": 0, "eval_every": 4} | more
    )
    network, prepared, _ = ready(config, panel)
    trainer = SegmentTrainer(config, network, prepared)
    trained = loop.train(trainer, prepared.weights)
    assert any(trained.best_steps[0])  # so there is something to test
    kept = judge.kept(trainer, prepared, dataclasses.replace(trained, best_step=0))
    assert kept.verdict.endswith("no more than chance, so the linear start is kept")
    assert same_bits(kept.weights, prepared.weights)


def test_an_ensemble_is_judged_by_the_mean_of_its_forecasts() -> None:
    config = settings(skip=4, val_size=20, hidden=(4,), ensemble=2, learning_rate=0.05, max_steps=20)
    network, prepared, _ = ready(config, panel_of(wave(120)))
    trainer = SegmentTrainer(config, network, prepared)
    arrays, _ = run(trainer, trainer.begin(prepared.weights), 0, 20)
    together, _ = trainer.losses(arrays["weights"])
    apart = trainer.validate(arrays["weights"]).total[0]
    assert together.sum() < apart.mean()  # the error of a mean is less than the mean of the errors


@pytest.mark.parametrize("ensemble", [1, 2])
@pytest.mark.parametrize("more", [{}, {"loss": "pinball"}, {"loss": "normal"}, {"level_input": True, "embedding": 2}])
def test_the_skip_alone_forecasts_what_the_whole_network_does(ensemble: int, more: dict[str, Any]) -> None:
    """At the start, and after the skip was trained and put back; nothing but skip and biases has moved."""
    config = settings(skip=5, val_size=10, ensemble=ensemble, dense=(3,), learning_rate=0.05, **more)
    network, prepared, _ = ready(config, panel_of(wave(120), wave(90, 1)))
    assert judge.applies(config, network)
    whole = SegmentTrainer(config, network, prepared)
    trainer, start = judge.alone(config, network, prepared)

    def losses(of: SegmentTrainer, weights: Any) -> float:
        look = of.validate(weights)
        return float(look.total[0].sum() / look.weight[0].sum())

    assert losses(trainer, start.weights) == pytest.approx(losses(whole, prepared.weights), rel=1e-5)
    arrays = trainer.begin(start.weights)
    arrays, _ = run(trainer, arrays, 0, 20)
    result = jax.tree.map(np.asarray, arrays["weights"])
    placed = judge.into(prepared.weights, result)
    assert losses(trainer, result) != pytest.approx(losses(trainer, start.weights), rel=1e-4)
    assert losses(whole, placed) == pytest.approx(losses(trainer, result), rel=1e-5)
    before, after = (dict(jax.tree_util.tree_leaves_with_path(w)) for w in (prepared.weights, placed))
    names = {jax.tree_util.keystr(path) for path in before if not np.array_equal(before[path], after[path])}
    assert names == {"['skip']['W']", "['head']['out']['b']"}


def test_the_skip_alone_learns_from_one_forecast_in_three_and_is_judged_by_all() -> None:
    """Without layers there is no state to reach, so no step of a segment goes without a loss either."""
    config = settings(skip=5, val_size=30, segment=16, burn_in=4)
    network, prepared, _ = ready(config, panel_of(wave(120)))
    whole = SegmentTrainer(config, network, prepared)
    trainer, _ = judge.alone(config, network, prepared)
    assert trainer.plan.segments.outputs.tolist() == [0, 3, 6, 9, 12, 15]
    assert whole.plan.segments.outputs.tolist() == list(range(4, 16))
    np.testing.assert_array_equal(trainer.validation.rows, whole.validation.rows)


@pytest.mark.parametrize("change", [{"skip": 0}, {"hidden": ()}, {"decoder": "gru"}, {"significance": 1}])
def test_the_skip_is_not_trained_alone_where_there_is_no_use_for_it(change: dict[str, Any]) -> None:
    config = settings(**{"skip": 5} | change)
    network, _, _ = ready(config, panel_of(wave(60)))
    assert not judge.applies(config, network)


def test_the_skip_alone_is_tried_where_the_whole_network_found_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What either training is worth is written here: the whole network nothing, the skip something."""

    def kept(trainer: SegmentTrainer, prepared: Any, training: Training) -> Training:
        if trainer.plan.skip_alone:
            return dataclasses.replace(training, best_step=3, verdict="it helped", weights=moved(prepared.weights))
        return dataclasses.replace(training, best_step=0, verdict="luck", weights=prepared.weights)

    def moved(weights: Any) -> Any:
        return weights | {"skip": {"W": weights["skip"]["W"] + 0.5}}

    monkeypatch.setattr(judge, "kept", kept)
    config = settings(skip=5, val_size=30, ensemble=2)
    network, prepared, _ = ready(config, panel_of(wave(120)))
    result = fit.train(config, network, prepared)
    assert (result.verdict, result.best_step) == ("of the skip alone, it helped", 3)
    np.testing.assert_array_equal(result.weights["skip"]["W"], prepared.weights["skip"]["W"] + np.float32(0.5))
    few = ready(settings(skip=5, val_size=2, ensemble=2), panel_of(wave(120)))[1]  # nothing could be judged
    assert fit.train(config, network, few).verdict == "luck"


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
