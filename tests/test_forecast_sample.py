"""Sample paths: their steps hang together as the errors did, and each step has its calibrated distribution."""

# ruff: noqa: F401, F811 (fixtures are imported by name and taken by name)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_cases import Command, plain, statecast
from forecast_cases import HEADS, model, panel, remembering, same_bits

import statecast as sc
from statecast.errors import SettingError
from statecast.forecast.predict import forecast
from statecast.forecast.sample import paths, sample
from statecast.model.archive import load, save
from statecast.model.trained import Model


def walking(of: Model, count: int = 500, seed: int = 0) -> tuple[Model, np.ndarray]:
    """The model with the scores of random walks for paths; their steps have the quantiles that it was given."""
    horizon, targets = of.network.head.horizon, of.network.head.targets
    walk = np.random.default_rng(seed).standard_normal((count, horizon, targets)).cumsum(axis=1)
    rank = walk.argsort(axis=0).argsort(axis=0)
    at = np.round((rank + 0.5) / count * 400).astype(int)
    result = np.take_along_axis(of.residuals, at, axis=0)
    return replace(of, paths=result.astype(np.float32)), walk


def test_steps_hang_together_as_the_errors_did() -> None:
    of, walk = walking(remembering(model(horizon=8, levels=()), panel(model(horizon=8))))
    result = sample(of, 4000, of.state.gather(("s0",)), seed=1).values[0, :, :, 0]
    ranks = [np.corrcoef(values.argsort(axis=0).argsort(axis=0).T) for values in (result, walk[..., 0])]
    np.testing.assert_allclose(ranks[0], ranks[1], atol=0.06)
    assert ranks[0][0, 7] < 0.5 < ranks[0][6, 7]


@pytest.mark.parametrize("head", HEADS)
def test_each_step_has_its_intervals(head: str) -> None:
    """As many paths lie inside an interval as its level says, whatever the head, with adaptation and without."""
    made = model(head=head, horizon=4)
    if head == "negative_binomial":
        units = {"origin": np.zeros(1), "unit": np.ones(1)}
        made = replace(made, constants=made.constants | units, residuals=model(head="normal", horizon=4).quantiles)
    of, _ = walking(remembering(made, panel(made, (40, 30))))
    document, result = forecast(of), sample(of, 3000, seed=3).values
    for level in (80, 95):
        inside = (result >= document.lower[level][:, None] - 1e-9) & (result <= document.upper[level][:, None] + 1e-9)
        share = inside.mean(axis=1)
        if head == "negative_binomial":
            assert (share >= level / 100 - 0.02).all()  # the bounds are counts
        else:
            np.testing.assert_allclose(share.mean(), level / 100, atol=0.05)


def test_beyond_the_horizon_each_path_feeds_on_itself() -> None:
    of, _ = walking(
        remembering(model(horizon=3, independent=True, targets=2), panel(model(targets=2, independent=True)))
    )
    result = sample(of, 60, horizon=10, seed=0)
    assert result.values.shape == (2, 60, 10, 2)
    assert np.isfinite(result.values).all()
    same_bits(result.values[:, :, :3], sample(of, 60, seed=0).values)
    later, sooner = result.values[:, :, 9].std(axis=1), result.values[:, :, 2].std(axis=1)
    assert (later > sooner).all()  # level = the last value of each path, so the paths go apart


def test_the_same_seed_gives_the_same_bits_and_files_keep_the_paths(tmp_path: Path) -> None:
    of, _ = walking(remembering(model(), panel(model())))
    expected = sample(of, 5, horizon=7, seed=4).values
    same_bits(sample(of, 5, horizon=7, seed=4).values, expected)
    assert (sample(of, 5, horizon=7, seed=5).values != expected).any()
    same_bits(sample(load(save(of, tmp_path / "m")), 5, horizon=7, seed=4).values, expected)


def test_stretches_with_gaps_are_filled_from_their_own_steps() -> None:
    scores = np.tile(np.arange(1.0, 7.0)[:, None], (30, 1, 1)) + 10 * np.arange(30)[:, None, None]
    scores[0, :, 0] = np.nan  # nothing there
    scores[1, :4, 0] = np.nan  # too little
    scores[2, [0, 2, 5], 0] = np.nan
    result = paths(scores)
    assert result is not None
    assert result.shape == (28, 6, 1)
    assert result[0, :, 0].tolist() == [22, 22, 22, 24, 25, 25]
    assert paths(scores[:20]) is None
    assert np.isfinite(result).all()


def test_without_stretches_paths_are_random_walks() -> None:
    of = replace(remembering(model(horizon=4), panel(model(horizon=4))), paths=None)
    result = sample(of, 5000, of.state.gather(("s0",))).values[0, :, :, 0]
    assert np.corrcoef(result.T)[0, 3] == pytest.approx(0.5, abs=0.05)


def test_numbers_of_paths_that_cannot_be() -> None:
    of = remembering(model(), panel(model()))
    for n in (0, -1, 2.5, True, "3"):
        with pytest.raises(SettingError, match=r"samples = .*: expected a whole number of paths, at least 1"):
            sample(of, n)  # type: ignore[arg-type]


def test_a_frame_and_the_command(statecast: Command, plain: Path) -> None:
    frame = sc.Forecaster.load(plain).sample(7, horizon=5, seed=1)
    assert frame.columns == ["unique_id", "month", "sample_id", "statecast"]
    assert frame["sample_id"].to_list() == [n for n in range(7) for _ in range(5)]
    lines = statecast.well("forecast", plain, "--samples", 7, "--seed", 1, "--horizon", 5).out.splitlines()
    assert lines[0] == "unique_id,month,sample_id,statecast"
    assert [float(line.split(",")[3]) for line in lines[1:]] == pytest.approx(frame["statecast"].to_list(), rel=1e-12)
    document = statecast.well("forecast", plain, "--samples", 2, "--json").json
    assert document["horizon"] == 3
    assert [row["sample_id"] for row in document["forecast"]] == [0, 0, 0, 1, 1, 1]
    wrong = statecast("forecast", plain, "--samples", 3, "--levels", 80)
    assert wrong.code == 2
    assert wrong.error == "--samples and --levels exclude each other: sample paths have no intervals"
    assert statecast("forecast", plain, "--samples", 0).error == "--samples 0: expected a whole number of at least 1"
