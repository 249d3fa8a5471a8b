"""What a forecast is made of: measured by taking parts away, and said in words before anything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forecast_cases import model, panel

import statecast as sc
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast.attribution import sentences
from statecast.forecast.contributions import contributions
from statecast.forecast.scores.verdict import verdict
from statecast.model.trained import Model


def with_head(of: Model, bias: Any, slope: float = 0.0, skip: float = 0.0) -> Model:
    """A model whose forecast is level + size · (bias + slope · the layers' sum + skip · the last values' sum)."""
    w = of.weights
    out = {"W": np.full_like(w["head"]["out"]["W"], slope), "b": np.zeros_like(w["head"]["out"]["b"]) + bias}
    head = {"out": out.copy()}
    return replace(of, weights=w | {"head": head, "skip": {"W": np.full_like(w["skip"]["W"], skip)}})


def table(of: Model) -> tuple[Panel, Split]:
    rows = panel(of, (40, 30), gaps=False)
    return rows, Split(np.array([20, 15]), np.array([34, 25]))


def test_shares_are_the_distances_that_each_part_moves_the_level() -> None:
    of = with_head(model(missing=False), 4.0)
    shares = contributions(of, with_head(of, 3.0).weights, *table(of))
    assert [shares[name] for name in ("start", "map", "recurrence")] == pytest.approx([0.75, 0.25, 0])
    assert (shares["values"], shares["recurrent"]) == (3, True)
    assert "targets" not in shares
    nothing = with_head(of, 0.0)
    shares = contributions(nothing, nothing.weights, *table(of))
    assert [shares[name] for name in ("start", "map", "recurrence")] == [None] * 3


def test_layers_are_what_is_missing_without_their_output() -> None:
    of = model(missing=False)
    start = with_head(of, 1.0, skip=0.1)
    trained = with_head(of, 1.0, slope=0.7, skip=0.1)
    shares = contributions(trained, start.weights, *table(of))
    assert shares["map"] == 0
    assert shares["recurrence"] > 0.02
    assert shares["start"] + shares["recurrence"] == pytest.approx(1)
    twice = contributions(with_head(of, 1.0, slope=1.4, skip=0.1), start.weights, *table(of))
    ratio, double = (part["recurrence"] / part["start"] for part in (shares, twice))
    assert ratio < double < 2.2 * ratio  # forecasts from each series have a mean of their own


@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_each_target_has_shares_of_its_own(independent: bool) -> None:
    of = model(targets=2, missing=False, independent=independent, covariates=True, head="pinball")
    rows, split = table(of)
    several = contributions(of, of.weights, rows, split)
    assert list(several["targets"]) == ["y0", "y1"]
    for part in several["targets"].values():
        assert sum(part.values()) == pytest.approx(1)
        assert part["map"] == 0
    mean = np.mean([part["recurrence"] for part in several["targets"].values()])
    assert several["recurrence"] == pytest.approx(mean)
    assert several["targets"]["y0"] != several["targets"]["y1"]


def test_without_validation_rows_training_rows_tell() -> None:
    of = with_head(model(missing=False), 4.0)
    rows, split = table(of)
    shares = contributions(of, with_head(of, 3.0).weights, rows, Split(split.val, split.val))
    assert shares["start"] == pytest.approx(0.75)


def test_what_is_linear_is_forecast_by_the_start_and_significance_1_shows_what_training_made() -> None:
    noise, values = np.random.default_rng(3).standard_normal(300), np.zeros(300)
    for n in range(1, 300):
        values[n] = 0.5 * values[n - 1] + noise[n]
    options: dict[str, Any] = {"horizon": 2, "hidden": (3,), "lags": 4, "skip": 4, "segment": 16, "burn_in": 4}
    options |= {"max_steps": 6, "eval_every": 3, "batch_size": 4, "season": 1, "learning_rate": 0.05}
    kept, shown = (sc.Forecaster(**options, significance=level).fit(values) for level in (0.1, 1.0))
    assert kept.evaluation_["sources"] | {"start": 1.0, "map": 0.0, "recurrence": 0.0} == kept.evaluation_["sources"]
    assert sentences(kept.evaluation_)[0] == (
        "The forecast comes from the linear start alone (least squares on the last 4 values), and the recurrent layers "
        "have no part in it."
    )
    assert "significance = 1 keeps the network as it was trained" in sentences(kept.evaluation_)[1]
    assert not any("network" in sentence for sentence in verdict(kept.evaluation_) if "trained" not in sentence)
    kept_activity, shown_activity = (model.explanation().activity for model in (kept, shown))
    assert kept_activity is not None
    assert shown_activity is not None
    assert (kept_activity.heard, shown_activity.heard) == (False, True)
    assert shown.evaluation_["sources"]["recurrence"] > 0
    assert "from the recurrent layers" in sentences(shown.evaluation_)[0]
    assert any("The network" in sentence for sentence in verdict(shown.evaluation_))


def test_the_start_is_said_to_be_what_it_is_made_of() -> None:
    steps = np.arange(48)
    values = 10 + 3 * np.sin(2 * np.pi * steps / 12) + np.random.default_rng(1).normal(size=48)
    fitted = sc.Forecaster(horizon=6, season=12, hidden=(3,), refit=False, test_size=0, random_state=0).fit(values)
    assert "exponential smoothing" in fitted.reasons_["skip"]
    start = f"from the linear start alone ({fitted.reasons_['skip']})"
    assert (
        sentences(fitted.evaluation_)[0] == f"The forecast comes {start}, and the recurrent layers have no part in it."
    )


PARTS = {"values": 36, "recurrent": True}
WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "all": (
        {"start": 0.81, "map": 0.03, "recurrence": 0.16},
        "The forecast comes 81 % from the linear start (least squares on the last 36 values), 3 % from what training "
        "changed in this linear map and 16 % from the recurrent layers.",
    ),
    "map": (
        {"start": 0.9, "map": 0.1, "recurrence": 0.0},
        "The forecast comes 90 % from the linear start (least squares on the last 36 values) and 10 % from what "
        "training changed in this linear map, and the recurrent layers have no part in it.",
    ),
    "level": (
        {"start": None, "map": None, "recurrence": None},
        "The forecast is simply the last known level, and the recurrent layers have no part in it.",
    ),
    "no skip": (
        {"start": 0.0, "map": 0.1, "recurrence": 0.9, "values": 0},
        "The forecast comes from the recurrent layers, which start from the last known level.",
    ),
    "no layers": (
        {"start": 1.0, "map": 0.0, "recurrence": 0.0, "recurrent": False},
        "The forecast comes from the linear start alone (least squares on the last 36 values).",
    ),
    "blend": (
        {"start": 0.9, "map": 0.0, "recurrence": 0.1, "composition": "exponential smoothing"},
        "The forecast comes 90 % from the linear start (exponential smoothing) and 10 % from the recurrent layers.",
    ),
    "zero": (
        {"start": 0.0, "map": 0.5, "recurrence": 0.5, "composition": ""},
        "The forecast comes 50 % from what training changed in a linear map of the last 36 values and 50 % from the "
        "recurrent layers.",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str) -> None:
    sources, sentence = WORDS[name]
    said = sentences({"sources": PARTS | sources})
    assert said[0] == sentence
    assert len(said) == (2 if name in ("map", "level") else 1)


def test_targets_whose_parts_differ_are_told_apart() -> None:
    sources = PARTS | {"start": 0.9, "map": 0.0, "recurrence": 0.1}
    each = {
        name: {"start": 1 - share, "map": 0.0, "recurrence": share} for name, share in (("load", 0.2), ("price", 0.0))
    }
    said = sentences({"sources": sources | {"targets": each}})
    assert said[1:] == ["The recurrent layers' part by target: load 20 %, price 0 %."]


def test_a_file_of_before_does_not_say() -> None:
    assert sentences({"metric": "mae"}) == []
