"""Intervals by the season's phase: factors worked by hand, when they are chosen, and where they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forecast_cases import model, panel, remembering, same_bits

from statecast.data.segments import Split
from statecast.errors import ModelFileError
from statecast.forecast import assemble, calibrate, phases
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.predict import forecast
from statecast.forecast.sample import sample
from statecast.forecast.stream import Stream
from statecast.model import archive

SEASON = 4


def test_factors_worked_by_hand() -> None:
    """Two steps ahead, a season of two: errors of 3 at odd rows and of 1 at even ones, from the rows 10 to 13."""
    phase = np.array([10, 11, 12, 13])
    scores = np.array([[3.0, -1.0], [-1.0, 3.0], [3.0, np.nan], [1.0, -3.0]])[..., None]
    first, second = np.array([3, 1, 3, 1]) / 2, np.array([1, 3, 3]) / (7 / 3)
    # Of the odd rows 11 and 13 twice, 15 once; a row is forecast from two origins, which count as one.
    odd = (10 + (first[0] + first[2] + second[1] + second[2]) / 2) / (10 + 4 / 2)
    even = (10 + (first[1] + first[3] + second[0]) / 2) / (10 + 3 / 2)
    expected = np.array([even, odd]) / ((even + odd) / 2)
    np.testing.assert_allclose(phases.factors(scores, phase, 2)[:, 0], expected)
    np.testing.assert_allclose(phases.at(expected[:, None], np.array([10]), 3)[0, :, 0], expected[[1, 0, 1]])


def of_phases(count: int, loud: float, seed: int, begin: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores three steps ahead whose size is `loud` at one phase of four, and the phases of their origins."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count + 3) * np.where((begin + np.arange(count + 3)) % SEASON == 1, loud, 1.0)
    at = np.arange(count)
    return values[at[:, None] + np.arange(1, 4)][..., None], begin + at


def test_factors_are_chosen_where_training_rows_foretell_the_errors_of_validation_rows() -> None:
    fitted, held_out = of_phases(400, 3.0, 0), of_phases(120, 3.0, 1, 400)
    factor = phases.chosen(*fitted, *held_out, SEASON)
    assert factor is not None
    assert factor.argmax() == 1
    assert factor[1] > 1.6
    assert factor.mean() == pytest.approx(1)
    # Loud at one phase while training, at another while validating: what was learned of phases is no help.
    elsewhere = held_out[0], held_out[1] + 2
    assert phases.chosen(*fitted, *elsewhere, SEASON) is None
    assert phases.chosen(*fitted, *held_out, 1) is None
    few = held_out[0][:7], held_out[1][:7]
    assert phases.chosen(*fitted, *few, SEASON) is None


def test_phases_that_do_not_differ_are_seldom_chosen_and_then_close_to_one() -> None:
    made = [phases.chosen(*of_phases(400, 1.0, 2 * n), *of_phases(120, 1.0, 2 * n + 1, 400), SEASON) for n in range(40)]
    some = [factor for factor in made if factor is not None]
    assert len(some) <= 12
    assert all(np.abs(factor - 1).max() < 0.2 for factor in some)


def test_forecasts_streams_samples_and_files_widen_by_the_phase_of_their_times(tmp_path: Path) -> None:
    of = model(horizon=3)
    of = remembering(of, panel(of))
    factor = np.array([1.0, 2.0, 0.5, 0.5])[:, None]
    other = replace(of, phases=factor)
    first = of.schema.frequency.steps_between(0, of.state.time) + 1
    expected = factor[(first[:, None] + np.arange(3)) % SEASON]
    plain, wide = forecast(of), forecast(other)
    same_bits(plain.values, wide.values)
    for level in (80, 95):
        for side in ("lower", "upper"):
            reach = getattr(plain, side)[level] - plain.values
            np.testing.assert_allclose(getattr(wide, side)[level] - plain.values, reach * expected, rtol=1e-6)
    streamed = Stream(other).forecast()
    np.testing.assert_allclose(streamed.upper[80], wide.upper[80], rtol=1e-6)
    spreads = [np.std(sample(each, 400).values, axis=1) for each in (of, other)]
    np.testing.assert_allclose(spreads[1] / spreads[0], expected, rtol=0.01)
    back = archive.load(archive.save(other, tmp_path / "m"))
    same_bits(forecast(back).upper[95], wide.upper[95])
    for wrong, message in ((np.zeros((0, 1)), "'phases' holds none"), (np.zeros((2, 1)), "'phases' holds 0")):
        with pytest.raises(ModelFileError, match=message):
            archive.load(archive.save(replace(of, phases=wrong), tmp_path / "m"))


def test_a_fit_finds_the_loud_phase_of_the_season() -> None:
    of = model(horizon=2, precision="float64", use_calendar=False)
    rows, test = 24 * 16, 48
    table = panel(of, (rows,), gaps=False)
    phase = of.schema.frequency.steps_between(0, table.time) % SEASON
    noise = np.random.default_rng(0).normal(size=rows)
    table = replace(table, y=(6 + noise * np.where(phase == 2, 4.0, 0.5))[:, None])
    parts = Split(np.array([rows - 3 * test]), np.array([rows - test]))
    made, tested = assemble.assemble(of, Feed.of(of, table), parts)
    assert made.phases is not None
    assert made.phases.argmax() == 2
    lower, upper = calibrate.Spread.of(made, tested).bounds(80)
    phase_ahead = (phase[tested.rows][:, None] + [1, 2]) % SEASON
    widths = (upper - lower)[..., 0]
    assert widths[phase_ahead == 2].mean() > 1.3 * widths[phase_ahead != 2].mean()
    still, _ = assemble.assemble(replace(of, config=of.config.with_(adaptive=False)), Feed.of(of, table), parts)
    assert still.phases is None
