"""What is chosen by looking at the values: season, reach of the skip, lags and units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecast.config import Config
from statecast.data import checks
from statecast.data.grid.roles import Roles
from statecast.data.segments import Split, split
from statecast.data.tabular import table
from statecast.train.choose import season, settings, skip
from statecast.train.loss import Segments
from statecast.train.start.extrapolation import reach
from statecast.train.working import WorkingTable


def repeating(period: int, rows: int, seed: int, noise: float = 0.1) -> np.ndarray:
    r = np.random.default_rng(seed)
    return np.tile(r.normal(size=period), rows // period + 1)[:rows] + noise * r.normal(size=rows)


def panel_of(values: np.ndarray) -> tuple:
    return checks.panel(table.read(values), Roles.of(None, None, None, None, None, None, None))


@given(st.integers(2, 40), st.integers(0, 9))
def test_the_season_is_the_period_that_repeats(period: int, seed: int) -> None:
    y = repeating(period, 12 * period + 90, seed)[:, None]
    size, correlation = season.rows_of_season(y, np.array([0, len(y)]), np.array([len(y)]))
    assert size in {n for n in range(2, period + 1) if period % n == 0} and correlation > season.CLEAR


def test_a_day_is_taken_before_the_week_that_repeats_it() -> None:
    day, week = repeating(24, 24 * 60, 1, 0.0), repeating(168, 24 * 60, 2, 0.0)
    y = (day + 0.3 * week)[:, None]
    assert season.rows_of_season(y, np.array([0, len(y)]), np.array([len(y)]))[0] == 24


@pytest.mark.parametrize("rows", [0, 1, 5, 40, 3000])
def test_a_random_walk_has_no_season(rows: int) -> None:
    y = np.cumsum(np.random.default_rng(3).normal(size=rows))[:, None]
    assert season.rows_of_season(y, np.array([0, rows]), np.array([rows])) == (1, 0.0)


def test_rows_after_the_training_part_do_not_matter() -> None:
    y = repeating(12, 400, 4)[:, None]
    other = y.copy()
    other[300:] = 7.0
    ends = np.array([0, 400]), np.array([300])
    assert (
        season.rows_of_season(y, *ends) == season.rows_of_season(other, *ends)
        and season.rows_of_season(y, *ends)[0] == 12
    )


def test_gaps_and_constants_are_no_season() -> None:
    y = repeating(7, 700, 5)[:, None]
    y[::10] = np.nan
    both = np.concatenate([y, np.full((50, 1), 3.0)])
    assert season.rows_of_season(both, np.array([0, 700, 750]), np.array([700, 50]))[0] == 7


def test_autocorrelation_by_hand() -> None:
    values = np.array([1.0, -1.0, 2.0, -2.0])
    result = season.autocorrelation(values, 3)
    np.testing.assert_allclose(result, [1, (-1 - 2 - 4) / 10, (2 + 2) / 10], atol=1e-12)


def test_the_skip_reaches_back_to_what_tells_the_next_value() -> None:
    """Each value repeats that of 14 seasons of 4 before, with noise: fewer seasons tell nothing."""
    r, lag, rows = np.random.default_rng(6), 56, 4000
    y = r.normal(size=rows)
    for t in range(lag, rows):
        y[t] = 0.9 * y[t - lag] + 0.4 * y[t]
    panel, schema = panel_of(y)
    config = Config(normalize="none", season=4, missing=False, calendar=False, nonnegative=False)
    table = WorkingTable.of(config, schema, panel, split(panel.lengths, 1, 0.2, 0.1))
    size, why, _ = skip.best(config, table)
    assert size == lag and "56" in why
    assert settings._lags(config.with_(skip=size), 3000)[0] == 28


def test_the_skip_without_validation_rows_is_chosen_on_stretches_of_training_rows() -> None:
    """As for a short table with validation rows; without a linear start its size follows the shape."""
    panel, schema = panel_of(repeating(4, 400, 7))
    parts = Split(panel.lengths, panel.lengths)
    config = Config(normalize="last", season=4, missing=False, calendar=False, nonnegative=False, horizon=3)

    def best(config: Config) -> tuple[int, str]:
        return skip.best(config, WorkingTable.of(config, schema, panel, parts))[:2]

    assert best(config) == (reach(4), "exponential smoothing with autoregression")
    size, why = best(config.with_(normalize="none"))  # no filter: the level is fixed
    assert size in {4 * seasons for seasons in skip.SEASONS} and why.startswith("least squares on the last ")
    assert best(config.with_(skip_init="zero"))[0] == 14 * 4


@given(st.integers(1, 60), st.integers(0, 59), st.integers(1, 12))
def test_steps_with_a_loss_end_at_the_last_and_never_lie_in_the_burn_in(length: int, burn_in: int, every: int) -> None:
    burn_in = min(burn_in, length - 1)
    outputs = Segments(length, burn_in, every).outputs
    assert outputs[-1] == length - 1 and outputs[0] >= burn_in and outputs[0] - every < burn_in
    assert (np.diff(outputs) == every).all()


@pytest.mark.parametrize(("days", "years"), [(729, False), (731, True)])
def test_the_course_of_a_year_is_an_input_from_two_years_on(days: int, years: bool) -> None:
    time = np.arange("2001-01-01", np.datetime64("2001-01-01") + days, dtype="M8[D]")
    frame = {"ds": time, "y": np.arange(len(time), dtype=float)}
    _, schema = checks.panel(table.read(frame), Roles.of("y", None, "ds", None, None, None, None))
    assert schema.years == years
    assert any(name.startswith("yearday") for name in schema.calendar_features) == years
    assert any(name.startswith("weekday") for name in schema.calendar_features)
    assert type(schema).from_json(schema.to_json()) == schema


@pytest.mark.parametrize(("series", "local"), [(49, False), (50, False), (50, True)])
def test_many_series_take_several_networks_and_more_steps_of_smaller_batches(series: int, local: bool) -> None:
    """From 50 series on, unless each series has a network of its own; what a user sets stays."""
    rows = 170
    frame = {"id": np.repeat([f"s{n}" for n in range(series)], rows), "y": np.tile(repeating(4, rows, 8), series)}
    panel, schema = checks.panel(table.read(frame), Roles.of("y", "id", None, None, None, None, None))
    parts = split(panel.lengths, 1, 0.1, 0.1)
    config, reasons, *_ = settings.choose(Config(local=local, season=4), schema, panel, parts, series)
    several = series >= 50 and not local
    assert (config.ensemble, config.batch_size, config.max_steps) == ((3, 32, 900) if several else (1, 64, 600))
    assert {"ensemble", "batch_size", "max_steps"} <= set(reasons)
    complete, batch_reasons, *_ = settings.choose(
        Config(local=local, season=4, batch_size=7, ensemble=1), schema, panel, parts, series
    )
    assert (complete.batch_size, complete.ensemble, complete.max_steps) == (7, 1, config.max_steps)
    assert not {"ensemble", "batch_size"} & set(batch_reasons)


@pytest.mark.parametrize(("rows", "batch"), [(3500, 32), (4500, 64)])
def test_a_step_sees_a_quarter_of_the_segments_at_most_before_batches_are_large(rows: int, batch: int) -> None:
    """Segments of 32 rows begin 24 apart: eight tenths of the rows make 118 or 152, and 128 are four batches."""
    panel, schema = checks.panel(table.read({"y": repeating(4, rows, 8)}), Roles.of("y", *[None] * 6))
    parts = split(panel.lengths, 1, 0.1, 0.1)
    config, reasons, *_ = settings.choose(Config(season=4, segment=32), schema, panel, parts, 1)
    assert config.batch_size == batch
    assert "segments" in reasons["batch_size"] or batch == 64
