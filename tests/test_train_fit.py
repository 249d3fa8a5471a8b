"""From a panel to trained weights: no look at what lies ahead, odd tables, and what is chosen from the data."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from train_cases import leaves, panel_of, ready, run, same_bits, schema_of, settings, wave

import statecast as sc
from statecast.config import Config
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.segments import split
from statecast.errors import DataError, SettingError
from statecast.forecast.hindcast.roll import roll
from statecast.forecast.scores import evaluate
from statecast.model.inputs import from_working
from statecast.model.kernel import library as kernel_library
from statecast.train.choose import level
from statecast.train.choose.settings import channels, choose
from statecast.train.fit import Fit, fit, fold
from statecast.train.segment_trainer import SegmentTrainer


def disturbed(panel: Panel, begin: np.ndarray, stop: np.ndarray) -> Panel:
    """The panel with other values in rows `begin[s]:stop[s]` of each series, one of them missing."""
    y = panel.y.copy()
    for s, span in enumerate(panel.spans()):
        y[span][begin[s] : stop[s]] = 50 + 30 * y[span][begin[s] : stop[s]]
        if stop[s] > begin[s]:
            y[span][stop[s] - 1] = np.nan
    return replace(panel, y=y)


def fitted(config: Config, panel: Panel) -> Fit:
    return fit(config, schema_of(panel), panel)


def test_test_rows_change_nothing() -> None:
    """Not a weight, not a constant, not a setting, not a validation loss; all is chosen from the data here."""
    panel = panel_of(wave(60, 1), wave(40, 2))
    config = Config(horizon=2, hidden=(2,), cell="rnn_tanh", max_steps=6, eval_every=2, batch_size=2)
    parts = split(panel.lengths, 2, config.val_size, config.test_size)
    first = fitted(config, panel)
    second = fitted(config, disturbed(panel, parts.val, panel.lengths))
    assert (first.config, first.reasons) == (second.config, second.reasons)
    assert same_bits(first.prepared.constants, second.prepared.constants)
    assert same_bits(first.training.weights, second.training.weights)
    assert first.training.history["val_loss"] == second.training.history["val_loss"]


def trained(config: Config, panel: Panel) -> tuple[SegmentTrainer, dict[str, Any]]:
    """The last weights of some steps, whatever the validation rows say of them."""
    network, prepared, _ = ready(config, panel)
    trainer = SegmentTrainer(config, network, prepared)
    arrays, _ = run(trainer, trainer.begin(prepared.weights), 0, 6)
    return trainer, arrays


def test_validation_rows_change_no_step() -> None:
    """Where no penalty is chosen, the course of the weights is that of the training rows alone."""
    panel = panel_of(wave(60, 1), wave(40, 2))
    config = settings(skip=0)
    parts = split(panel.lengths, 2, config.val_size, config.test_size)
    other = disturbed(panel, parts.train, parts.val)
    (first, before), (second, after) = trained(config, panel), trained(config, other)
    assert same_bits(before["weights"], after["weights"])
    assert same_bits(first.data["constants"], second.data["constants"])
    looks = [t.validate(a["weights"]).total.item() for t, a in ((first, before), (second, after))]
    assert looks[0] != looks[1]  # and they were seen there


def test_validation_rows_choose_no_more_than_the_penalty() -> None:
    panel = panel_of(wave(90, 1), wave(70, 2))
    config = settings(skip=4)
    parts = split(panel.lengths, 2, config.val_size, config.test_size)
    first, second = (ready(config, p)[1] for p in (panel, disturbed(panel, parts.train, parts.val)))
    assert same_bits(first.constants, second.constants)
    changed = {k for k, v in leaves(first.weights).items() if v.tobytes() != leaves(second.weights)[k].tobytes()}
    assert changed <= {"/skip/W", "/head/out/b"}


# --- odd tables


def forecasts(outcome: Fit) -> np.ndarray:
    """Every forecast over the whole table, in its units."""
    p = {"weights": outcome.training.weights, "constants": outcome.prepared.constants}
    everywhere = np.ones(len(outcome.rows.y), bool)
    result = [o.values for o in roll(outcome.network, p, outcome.rows, everywhere)]
    return from_working(outcome.prepared.constants, np.concatenate(result))


ODD: dict[str, list[Any]] = {
    "all kinds together": [
        wave(30),
        np.full(30, 7.0),
        np.full(20, np.nan),
        [3.0],
        [2.0, 4.0],
        np.where(np.arange(30) < 25, np.nan, 5.0),
        1e12 * wave(30, 1),
        1e-12 * wave(30, 1),
    ],
    "constant": [np.full(40, 3.0)],
    "shorter than a segment and than the horizon": [[1.0, 2.0, 1.5, 2.5]],
    "many short series": [wave(n % 7 + 1, n) for n in range(60)],
    "nothing to train on": [np.where(np.arange(30) < 28, np.nan, 5.0), [1.0, 2.0, 3.0]],
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_table_is_fitted_and_forecast(name: str) -> None:
    outcome = fitted(settings(horizon=5, skip=3, missing=True, max_steps=4), panel_of(*ODD[name]))
    assert np.isfinite(forecasts(outcome)).all()
    assert all(np.isfinite(leaf).all() for leaf in leaves(outcome.training.weights).values())
    if name == "constant":
        np.testing.assert_allclose(forecasts(outcome), 3.0, rtol=1e-6)


def test_many_short_series_are_packed() -> None:
    """Fifty series of six rows take the steps of one of three hundred, not fifty batches of padding."""
    config = settings(segment=10, burn_in=0, batch_size=4, shuffle=False, val_size=0, test_size=0)
    network, prepared, _ = ready(config, panel_of(*[wave(6, n) for n in range(50)]))
    assert SegmentTrainer(config, network, prepared).sampler.segments == 30


@pytest.mark.parametrize("lengths", [[], [1], [2, 1, 2]])
def test_too_few_rows_are_refused_with_what_would_do(lengths: list[int]) -> None:
    panel = panel_of(*[wave(n) for n in lengths]) if lengths else panel_of(np.zeros((0, 1)))
    with pytest.raises(DataError, match="expected at least 3 training rows"):
        fitted(settings(), panel)


def test_several_targets_share_one_network_or_see_each_other() -> None:
    values = np.stack([wave(40, 1), wave(40, 2)], axis=1)
    alone = fitted(settings(channels="independent", max_steps=2), panel_of(values))
    assert (alone.network.front.targets, alone.panel.ids) == (1, ("s0/y0", "s0/y1"))
    joint = fitted(settings(channels="joint", max_steps=2), panel_of(values))
    assert (joint.network.front.targets, joint.panel.ids) == (2, ("s0",))
    assert forecasts(joint).shape == (40, 2, 2, 1)


# --- what is chosen


WITHOUT = {"max_epochs", "tensorboard", "holidays", "lower", "upper"}  # None means that there are none


def chosen(panel: Panel, **values: Any) -> tuple[Config, dict[str, str]]:
    config = Config(**values)
    parts = split(panel.lengths, config.horizon, config.val_size, config.test_size)
    config, reasons = channels(config, panel, Limits.of(config, schema_of(panel).target))
    folded, folded_parts = fold(config, schema_of(panel), panel, parts)
    config, more, *_ = choose(config, schema_of(panel), folded, folded_parts, panel.series)
    return config, reasons | more


@pytest.mark.parametrize("rows", [3, 10, 100, 5000])
def test_whatever_is_left_out_is_chosen_and_explained(rows: int) -> None:
    config, reasons = chosen(panel_of(wave(rows)))
    open_still = {name for name, value in config.to_dict().items() if value is None} - WITHOUT
    assert not open_still
    assert set(reasons) == {name for name, value in Config().to_dict().items() if value is None} - WITHOUT
    assert all(len(reason) > 5 for reason in reasons.values())
    least = max(3, round(0.81 * rows))
    assert config.lags <= least and config.skip <= rows and config.burn_in < config.segment


def test_what_the_user_gave_is_kept() -> None:
    options = {
        "lags": 3,
        "skip": 1,
        "segment": 20,
        "burn_in": 3,
        "learning_rate": 0.5,
        "max_epochs": 4,
        "shuffle": False,
    }
    options |= {
        "normalize": "ewma",
        "calendar": False,
        "missing": True,
        "level_input": True,
        "eval_every": 2,
        "season": 6,
    }
    config, reasons = chosen(panel_of(wave(300)), **options)
    assert {name: getattr(config, name) for name in options} == options
    assert not set(options) & set(reasons)
    assert config.max_steps is None  # epochs limit the fit already


def test_missing_values_are_marked_where_there_are_some() -> None:
    values = wave(100)
    assert not chosen(panel_of(values))[0].missing
    values[30] = np.nan
    assert chosen(panel_of(values))[0].missing
    late = wave(100)
    late[-1] = np.nan  # a test row: no one looks there
    assert not chosen(panel_of(late))[0].missing


def reverting(rows: int, seed: int = 0) -> np.ndarray:
    """Pulled towards 5 so slowly that eight values show no mean: only the level itself tells where it goes."""
    noise, y = np.random.default_rng(seed).standard_normal(rows), [5.0]
    for n in range(1, rows):
        y.append(y[-1] + 0.05 * (5 - y[-1]) + noise[n])
    return np.array(y)


def test_the_level_is_an_input_where_it_tells_where_a_series_goes() -> None:
    """Of a series that is drawn back to its mean it does, of one that wanders or grows it does not."""
    result, reasons = chosen(panel_of(reverting(4000), reverting(4000, 1)), horizon=12, skip=2)
    assert result.level_input and "level" in reasons["level_input"]
    walk = np.cumsum(np.random.default_rng(2).standard_normal(4000))
    for wandering in (walk, walk + 0.3 * np.arange(4000)):
        assert not chosen(panel_of(wandering), horizon=12, skip=2)[0].level_input


def test_the_level_is_held_against_some_last_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """However far the skip looks back: with more columns, more rows would be needed than are looked at."""
    columns: list[int] = []
    best = level.best
    monkeypatch.setattr(level, "best", lambda x, *rest: columns.append(x.shape[1]) or best(x, *rest))
    chosen(panel_of(reverting(4000)), horizon=12, skip=500)
    assert set(columns) <= {337, 338}


@pytest.mark.parametrize("values", [{"normalize": "none"}, {"normalize": "global"}, {"val_size": 0}])
def test_where_that_cannot_be_seen_the_level_is_no_input(values: dict[str, Any]) -> None:
    assert not chosen(panel_of(reverting(4000)), horizon=12, skip=2, **values)[0].level_input


def test_the_level_of_each_of_several_targets_is_looked_at() -> None:
    both = np.stack([reverting(4000), reverting(4000, 1)], axis=1)
    for way in ("joint", "independent"):
        assert chosen(panel_of(both), horizon=12, skip=2, channels=way)[0].level_input


def test_looks_at_the_validation_rows_take_little_of_the_time() -> None:
    """They come less often where a step is small beside them."""
    every = [chosen(panel_of(wave(20_000)), batch_size=batch)[0].eval_every for batch in (64, 1)]
    assert every[0] == 25
    assert every[1] > 100


def test_a_stored_state_makes_segments_in_the_order_of_time() -> None:
    config, _ = chosen(panel_of(wave(300)), carry="stored")
    assert (config.burn_in, config.shuffle) == (0, False)


# --- where the native kernel was not built


@pytest.mark.parametrize(
    ("more", "choice", "expects_warning"),
    [
        ({}, "auto", True),
        ({"cell": "gru"}, "auto", True),
        ({}, "off", False),
        ({"cell": "slstm"}, "auto", False),
        ({"hidden": (), "skip": 3}, "auto", False),
    ],
)
def test_one_line_tells_that_training_could_be_faster(
    more: dict[str, Any], choice: str, expects_warning: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "the native kernel was not built; install a C++17 compiler and reinstall statecast"
    monkeypatch.setattr(kernel_library, "load", lambda: (None, why))
    monkeypatch.setenv("STATECAST_KERNEL", choice)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = sc.Forecaster(horizon=2, max_steps=2, lags=2, **{"skip": 0, "hidden": (3,)} | more).fit(wave(60, 1))
    lines = [str(item.message) for item in caught if item.category is UserWarning]
    assert lines == ([f"recurrent layers run in NumPy or JAX, more slowly: {why}"] if expects_warning else [])
    assert np.isfinite(result.predict()).all()


@pytest.mark.parametrize(("shape", "expects_warning"), [((12, 5, 2), True), ((12, 4), False)])
def test_rows_of_a_table_need_no_kernel(
    shape: tuple[int, ...], expects_warning: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their layers are dense; those of sequences are recurrent."""
    monkeypatch.setattr(kernel_library, "load", lambda: (None, "not built"))
    X, y = np.random.default_rng(0).normal(size=shape), np.arange(12) % 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        sc.Classifier(hidden=[3], ensemble=1, max_steps=1).fit(X, y)
    assert any("more slowly" in str(item.message) for item in caught) == expects_warning


def test_scores_are_those_of_all_origins_however_few_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two series of two targets, each a channel of its own; the last block of a series is smaller than the others."""
    table = {"id": ["a"] * 70 + ["b"] * 50, "x": [*wave(70, 1), *wave(50, 2)], "y": [*wave(70, 3), *wave(50, 4)]}
    scores, sizes, made = [], [], evaluate.bounded  # type: list[Any], list[int], Any
    monkeypatch.setattr(evaluate, "bounded", lambda m, parts: (sizes.append(len(parts[0].rows)), made(m, parts))[1])
    for block in (65_536, 30):
        monkeypatch.setattr(evaluate, "BLOCK", block)
        sizes.clear()
        model = sc.Forecaster(horizon=3, max_steps=3, hidden=(4,), test_size=20, channels="independent")
        scores.append(model.fit(table, target=["x", "y"], id="id").evaluation_)
    assert sizes[:4] == [5, 5, 5, 3]  # the 18 origins of a series
    flat = [dict(jax.tree_util.tree_flatten_with_path(score)[0]) for score in scores]
    assert flat[0].keys() == flat[1].keys() and flat[0]
    for name, value in flat[0].items():
        same = value if isinstance(value, str) else pytest.approx(value, rel=1e-9, nan_ok=True)
        assert flat[1][name] == same, name


# --- precision = "bf16"

BF16 = {"horizon": 2, "lags": 2, "skip": 0, "hidden": (20,), "max_steps": 8, "precision": "bf16"}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_bf16_trains_nearly_what_float32_does(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kernel_library.load()[0] is None or not kernel_library.runs(bf16=True):
        pytest.skip(f"bf16 is {kernel_library.bf16_description()}")
    models = [sc.Forecaster(**BF16 | {"cell": cell, "precision": p}).fit(wave(200, 1)) for p in ("bf16", "float32")]
    result, expected = (np.asarray(model.predict()) for model in models)
    assert 0 < np.abs(result - expected).max() < 0.05
    models[0].save(tmp_path / "model")
    monkeypatch.setenv("STATECAST_KERNEL", "plain")  # a machine that has no bf16 forecasts the same
    again = sc.Forecaster.load(tmp_path / "model")
    np.testing.assert_allclose(np.asarray(again.predict()["statecast"]), result, rtol=1e-4)
    assert next(iter(again.stream().observe("0", 10.0).values.ravel())) > 0
    monkeypatch.delenv("STATECAST_KERNEL")
    outcome = fitted(Config(**BF16 | {"cell": cell}), panel_of(wave(200, 1)))
    assert {leaf.dtype for leaf in jax.tree.leaves(outcome.training.weights)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("more", "choice", "expected"),
    [({"cell": "slstm"}, "auto", "expected one of lstm, gru"), ({}, "off", "leave STATECAST_KERNEL out")],
)
def test_bf16_is_refused_where_there_is_none(
    more: dict[str, Any], choice: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel_library.load()[0] is None:
        pytest.skip(kernel_library.load()[1])
    monkeypatch.setenv("STATECAST_KERNEL", choice)
    with pytest.raises(SettingError, match=expected):
        sc.Forecaster(**BF16 | more).fit(wave(60, 1))
