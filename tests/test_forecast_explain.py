"""What a network used: importance by shuffling, against networks whose weights say what they use; and the gates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forecast_cases import model, panel
from hypothesis import given
from hypothesis import strategies as st
from model_cases import layer_parameters, layer_state, same_bits

import statecast as sc
from statecast.config import CELLS as NAMES
from statecast.data import examples
from statecast.errors import DataError, NotFitted
from statecast.forecast.explain import Explanation, ShuffledFront, explain, lag_groups
from statecast.forecast.predict import state_after
from statecast.model.cells import CELLS
from statecast.model.rings import Rings
from statecast.model.scan import gates, layer
from statecast.model.trained import Model

LENGTHS = (60, 45, 50)


def explained(of: Model, seed: int = 0) -> Explanation:
    result = explain(of, panel(of, LENGTHS), np.array([30, 20, 25]), seed)
    assert result is not None
    return result


def importance(of: Model) -> dict[str, float]:
    return {item.name: item.importance for item in explained(of).inputs}


def deaf(of: Model, kind: str) -> Model:
    """The same network with no weight on the covariates of a kind."""
    front, weights = of.network.front, of.weights
    each = {name: getattr(front, name) * (2 if front.missing and name != "calendar" else 1) for name in KINDS}
    begin = front.inputs - sum(list(each.values())[list(each).index(kind) :])
    cells = weights["stack"]["cells"]["0"]
    rows = np.arange(front.inputs)[:, None]
    inside = (rows >= begin) & (rows < begin + each[kind])
    stack = weights["stack"] | {"cells": {"0": cells | {"W": np.where(inside, 0, cells["W"]).astype(of.dtype)}}}
    head = weights["head"]
    known = head["known"]["W"].copy()
    if kind in ("known", "calendar"):
        known[slice(0, each["known"]) if kind == "known" else slice(each["known"], None)] = 0
    return replace(of, weights=weights | {"stack": stack, "head": head | {"known": {"W": known}}})


KINDS = ("past", "known", "calendar", "static")
NAMES_OF = {"past": ["wind"], "known": ["heat", "open"], "calendar": ["hour", "weekday", "yearday"], "static": ["area"]}


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_without_weight_has_no_importance(kind: str) -> None:
    """Exactly none: it is not worked out at all differently; what has weight has some."""
    whole = model(covariates=True)
    before, after = importance(whole), importance(deaf(whole, kind))
    for name in NAMES_OF[kind]:
        assert after.pop(name) == 0, name
        assert before[name] != 0, name
    assert 0 not in after.values()


@pytest.mark.parametrize("kind", ["known", "calendar"])
def test_what_is_known_ahead_counts_where_it_enters_the_head_alone(kind: str) -> None:
    whole = model(covariates=True)
    of = deaf(whole, kind)
    head = of.weights["head"] | {"known": whole.weights["head"]["known"]}
    result = importance(replace(of, weights=of.weights | {"head": head}))
    assert all(result[name] != 0 for name in NAMES_OF[kind])


def test_every_input_is_named_once_with_its_kind() -> None:
    result = explained(model(covariates=True))
    assert {item.kind: item.name for item in result.inputs if item.kind == "lags"} == {"lags": "lags 1–3"}
    assert sorted(item.name for item in result.inputs if item.kind != "lags") == sorted(
        name for names in NAMES_OF.values() for name in names
    )
    values = [item.importance for item in result.inputs]
    assert values == sorted(values, reverse=True)
    assert list(result.columns()) == ["input", "kind", "importance", "spread"]


@pytest.mark.parametrize("local", [False, True])
def test_lags_without_weight_have_no_importance(local: bool) -> None:
    """A network of 20 lags in the skip alone, or in each series' map, of which only the fifth carries."""
    more = {"local_skip": True, "series": ("s0", "s1")} if local else {}
    of = model(hidden=(), dense=(), lags=1, skip=20, use_calendar=False, normalize="none", **more)
    skip = np.zeros_like(of.weights["skip"]["W"])
    if local:
        maps = np.zeros_like(of.constants["maps"])
        maps[..., 20 - 5] = 1
        of = replace(of, constants=of.constants | {"maps": maps})
    else:
        skip[:, 20 - 5] = 1
    weights = of.weights | {"skip": {"W": skip}}
    weights["stack"] = weights["stack"] | {"dense": {}}
    weights["head"] = {"out": {name: np.zeros_like(value) for name, value in of.weights["head"]["out"].items()}}
    result = importance(replace(of, weights=weights))
    assert list(result) == ["lags 5–8", "lags 1–4", "lags 9–16", "lags 17–20"]
    assert result["lags 5–8"] > 0.01
    assert [result[name] for name in list(result)[1:]] == [0, 0, 0]


def test_lags_are_dealt_out_even_where_one_forecast_counts() -> None:
    of = model(skip=10, normalize="none", horizon=8)
    result = explain(of, panel(of, (40,)), np.array([35]))
    assert result is not None
    assert result.origins == 1
    assert all(item.importance != 0 for item in result.inputs if item.kind == "lags")


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    of = model(covariates=True)
    assert explained(of).inputs == explained(of).inputs != explained(of, seed=1).inputs


@pytest.mark.parametrize("kind", ["mean", "joint", "independent", "pinball"])
def test_every_kind_of_network(kind: str) -> None:
    of = model(targets=2, independent=kind == "independent", head="pinball" if kind == "pinball" else "point")
    result = explained(of)
    assert all(np.isfinite(item.importance) for item in result.inputs)
    assert result.activity is not None
    assert set(result.activity.gates) == {f"0.{name}" for name in ("input", "forget", "candidate", "output", "h")}


def test_nothing_to_judge() -> None:
    of = model()
    assert explain(of, panel(of, (20,)), np.array([20])) is None
    assert explained(model(hidden=())).activity is None


@given(ring=st.integers(1, 400), season=st.integers(1, 60))
def test_groups_of_lags_hold_every_lag_once(ring: int, season: int) -> None:
    groups = lag_groups(ring, season)
    assert [lag for first, last in groups for lag in range(first, last + 1)] == list(range(1, ring + 1))


def test_groups_of_lags_by_hand() -> None:
    assert lag_groups(336, 24) == [(1, 4), (5, 8), (9, 16), (17, 24), (25, 48), (49, 96), (97, 192), (193, 336)]
    assert lag_groups(20, 1) == [(1, 4), (5, 8), (9, 16), (17, 20)]
    assert lag_groups(30, 12) == [(1, 4), (5, 8), (9, 12), (13, 24), (25, 30)]
    assert lag_groups(1, 7) == [(1, 1)]


def test_shuffled_lags_are_the_same_values_elsewhere() -> None:
    front = model(skip=10).network.front
    rng = np.random.default_rng(0)
    other = ShuffledFront(**vars(front), group=(2, 3), rng=rng)
    y, blank = rng.normal(size=(30, 2, 1)), np.zeros((2, 10, 1))
    ring, held = Rings.of(y, np.ones_like(y), np.zeros((30, 2), bool), blank, blank).newest(10).values()
    level, scale = np.zeros((30, 2, 1)), np.ones((30, 2, 1))
    plain, result = front.relative(ring, held, level, scale), other.relative(ring, held, level, scale)
    kept = [n for n in range(10) if n not in (7, 8)]
    same_bits(np.ascontiguousarray(result[:, :, kept]), np.ascontiguousarray(plain[:, :, kept]))
    pairs = [sorted(map(tuple, values[:, :, 7:9, 0].reshape(-1, 2))) for values in (plain, result)]
    assert pairs[0] == pairs[1]
    assert (plain[:, :, 7] != result[:, :, 7]).mean() > 0.8


# --- gates


@pytest.mark.parametrize("cell", NAMES)
def test_gates_belong_to_the_run_that_they_explain(cell: str) -> None:
    """The output and the states beside them are those of the layer; shares lie between 0 and 1."""
    w, state = layer_parameters(cell, 4), layer_state(cell, 3, 4)
    rng = np.random.default_rng(1)
    x, reset = rng.normal(size=(8, 3, 2)), rng.random((8, 3)) < 0.2
    result = gates(CELLS[cell], w, x, state, reset)
    output, after = layer(CELLS[cell], w, x, state, reset)
    np.testing.assert_allclose(result["h"], output, rtol=1e-13)
    for part, last in after.items():
        np.testing.assert_allclose(result[part][-1], last, rtol=1e-13)
    result = {name: values for name, values in result.items() if name not in ("h", *after)}
    for name, values in result.items():
        assert values.shape == (8, 3, 4)
        assert name == "candidate" or ((values >= 0) & (values <= 1)).all(), name


def test_gates_of_an_lstm_by_hand() -> None:
    w = {"W": np.array([[1.0, -2.0, 0.5, 3.0]]), "b": np.zeros(4), "U": np.zeros((1, 4)), "init_h": 0, "init_c": 0}
    zero = np.zeros((1, 1))
    result = gates(CELLS["lstm"], w, np.array([[[0.7]]]), {"h": zero, "c": zero}, np.zeros((1, 1), bool))
    squash = {"input": 0.7, "forget": -1.4, "output": 2.1}
    for name, z in squash.items():
        np.testing.assert_allclose(result[name], 1 / (1 + np.exp(-z)), rtol=1e-14)
    np.testing.assert_allclose(result["candidate"], np.tanh(0.35), rtol=1e-14)


def test_the_activity_is_that_of_the_last_steps() -> None:
    of = model(lags=2, skip=0, use_calendar=False)
    table = panel(of, LENGTHS)
    activity = explained(of).activity
    assert activity is not None
    assert activity.series == "s0"
    assert activity.time.tolist() == table.time[:60].tolist()
    state = state_after(of, table)
    np.testing.assert_allclose(activity.gates["0.h"][-1], state.layout.unpack(state.data)["0.h"][0], atol=1e-6)


# --- the estimator


@pytest.fixture(scope="module")
def fitted() -> sc.Forecaster:
    tiny: Any = {"max_steps": 2, "hidden": (4,), "skip": 12, "lags": 4, "segment": 24, "test_size": 24}
    return sc.Forecaster(horizon=3, **tiny).fit(examples.load("air_passengers"), "passengers", time="month")


def test_explain_gives_a_frame_and_looks_at_no_test_row(fitted: sc.Forecaster) -> None:
    frame = fitted.explain()
    assert frame.columns == ["input", "kind", "importance", "spread"]
    assert set(frame["input"]) == {"lags 1–4", "lags 5–8", "lags 9–12", "month"}
    kept = fitted._record
    assert kept is not None
    y = kept.panel.y.copy()
    y[-24:] = 1e6
    other = replace(kept.panel, y=y)
    try:
        kept.panel, whole = other, kept.panel
        assert fitted.explain().equals(frame)
    finally:
        kept.panel = whole


def test_a_loaded_model_needs_a_table(fitted: sc.Forecaster, tmp_path: Any) -> None:
    loaded = sc.Forecaster.load(fitted.save(tmp_path / "m.safetensors"))
    with pytest.raises(NotFitted, match=r"call explain\(table\)"):
        loaded.explain()
    result = loaded.explain(examples.load("air_passengers").to_pandas())
    assert type(result).__module__.startswith("pandas")
    assert len(result) == 4
    with pytest.raises(DataError, match="too few rows"):
        loaded.explain(examples.load("air_passengers").head(1))
