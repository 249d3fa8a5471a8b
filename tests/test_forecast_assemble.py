"""From trained weights to a model with intervals: which rows' errors they rest on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from forecast_cases import model, panel

import statecast as sc
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast import assemble, calibrate
from statecast.forecast.calibrate import bounds_of
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.roll import roll
from statecast.forecast.runner import Runner
from statecast.model.stack import Stack
from statecast.model.trained import Model

TRAIN, VAL, TEST, HORIZON = 90, 60, 8, 2


def of_steps(size: np.ndarray) -> tuple[Model, Panel]:
    """A series whose steps are of these sizes, to either side, and a model of random weights."""
    of = model(horizon=HORIZON, precision="float64", use_calendar=False, levels=(80, 95))
    rng = np.random.default_rng(1)
    table = panel(of, (len(size),), gaps=False)
    return of, replace(table, y=np.cumsum(size * rng.choice([-1.0, 1.0], len(size)))[:, None])


def errors(of: Model, table: Panel, origins: np.ndarray) -> np.ndarray:
    """Errors [N, H] of the forecasts from these rows, in units of the scale at each: worked out here."""
    expected = np.zeros(table.rows, bool)
    expected[origins] = True
    result = Feed.of(of, table).forecasts(of, expected)
    y = (table.y[:, 0] - of.constants["origin"]) / of.constants["unit"]
    happened = y[result.rows[:, None] + np.arange(1, HORIZON + 1)]
    return np.asarray((happened - result.values[:, :, 0, 0]) / result.scale)


@pytest.mark.parametrize("loud", [0.2, 5.0])
def test_intervals_rest_on_validation_rows_and_on_the_second_half_of_the_training_rows(loud: float) -> None:
    """Errors of training rows count as they are, or as large as those of the validation rows where they are smaller."""
    size = np.where(np.arange(TRAIN + VAL + TEST) < TRAIN, 1.0, loud)
    of, table = of_steps(size)
    of = replace(of, config=of.config.with_(adaptive=False))
    parts = Split(np.array([TRAIN]), np.array([TRAIN + VAL]))
    made, _ = assemble.assemble(of, Feed.of(of, table), parts)
    unseen = errors(of, table, np.arange(TRAIN - 1, TRAIN + VAL - HORIZON))
    learned = errors(of, table, np.arange(TRAIN // 2 - 1, TRAIN - HORIZON))
    factor = max(np.abs(unseen).mean() / np.abs(learned).mean(), 1)
    assert (factor > 1) == (loud > 1)
    pool = np.sort(np.concatenate([unseen, factor * learned]), axis=0)
    low, high = bounds_of(made.residuals, 80)
    rank = (len(pool) + 1) / 10
    np.testing.assert_allclose(low[:, 0], pool[int(np.floor(rank)) - 1])
    np.testing.assert_allclose(high[:, 0], pool[-int(np.floor(rank))])


def test_the_few_series_that_reach_the_last_steps_do_not_widen_the_intervals_of_all() -> None:
    """Of thirty calm series only the next step was held out, of a loud one both: sizes are compared by their counts."""
    count = 31
    parts = Split(np.full(count, TRAIN), np.full(count, TRAIN + 1))
    parts.val[-1] += HORIZON
    of, one = of_steps(np.ones(TRAIN + 4))
    of = replace(of, config=of.config.with_(adaptive=False))
    loud = np.where(np.arange(TRAIN + 4) < TRAIN, 1.0, 50.0)
    walks = [of_steps(np.ones(TRAIN + 4) if s < count - 1 else loud)[1].y for s in range(count)]
    table = replace(panel(of, (TRAIN + 4,) * count, gaps=False), y=np.concatenate(walks))
    made, _ = assemble.assemble(of, Feed.of(of, table), parts)
    alone, _ = assemble.assemble(of, Feed.of(of, one), Split(parts.train[:1], parts.val[:1]))
    low, high = bounds_of(made.residuals, 80)
    calm = np.subtract(*bounds_of(alone.residuals, 80)[::-1])
    assert (high - low < 5 * calm).all()


def test_scores_are_relative_to_the_sizes_of_a_series_own_errors() -> None:
    """Two series that move alike; of the second, which turns at every step, the forecasts err more."""
    rows = TRAIN + VAL + TEST
    of, one = of_steps(np.ones(rows))
    other = 5 + np.where(np.arange(rows) % 2, 1.0, -1.0) * np.linspace(1, 3, rows)
    table = replace(panel(of, (rows, rows), gaps=False), y=np.concatenate([one.y, other[:, None]]))
    parts = Split(np.full(2, TRAIN), np.full(2, TRAIN + VAL))
    made, _ = assemble.assemble(of, Feed.of(of, table), parts)
    still, _ = assemble.assemble(replace(of, config=of.config.with_(adaptive=False)), Feed.of(of, table), parts)
    assert made.typical is not None
    assert still.typical is None
    assert made.layout.size > replace(made, typical=None).layout.size
    both = [np.abs(errors(of, table, s * rows + np.arange(TRAIN // 2 - 1, TRAIN + VAL - HORIZON))) for s in (0, 1)]
    assert (np.mean(both, axis=(0, 1)) <= made.typical[:, 0] * 1.1).all()  # those of training rows may be scaled up
    sizes = calibrate.sizes(made, Runner(made).report(made.state.data)["shifts"], None)
    louder, calmer = np.argsort([-part.mean() for part in both])
    assert (sizes[louder] > 1.2 * sizes[calmer]).all()
    # Relative to these, the scores of both are of one size.
    ratio = both[louder].mean() / both[calmer].mean()
    assert ratio > 1.5
    assert np.abs(made.paths).mean() < np.abs(still.paths).mean()


def test_test_rows_move_no_interval() -> None:
    of, table = of_steps(np.ones(TRAIN + VAL + TEST))
    parts = Split(np.array([TRAIN]), np.array([TRAIN + VAL]))
    y = table.y.copy()
    y[TRAIN + VAL :] *= 9
    made, other = (assemble.assemble(of, Feed.of(of, each), parts)[0] for each in (table, replace(table, y=y)))
    np.testing.assert_array_equal(made.residuals, other.residuals)
    np.testing.assert_array_equal(made.paths, other.paths)


def test_series_shorter_than_what_the_network_looks_back_on_still_learn_which_of_them_are_easy() -> None:
    """Half of the series repeat a season, the others move as much from row to row, and nothing tells them ahead."""
    rng = np.random.default_rng(0)
    t = np.arange(48)
    easy = [10 + 5 * rng.permutation(np.arange(12))[t % 12] + rng.normal(0, 0.5, len(t)) for _ in range(10)]
    hard = [10 + 5 * rng.permutation(np.arange(12).repeat(4)) for _ in range(10)]
    ids = np.arange(20).repeat(len(t))
    frame = pl.DataFrame({"series": ids, "t": np.tile(t, 20), "y": np.concatenate([*easy, *hard])})
    made = sc.Forecaster(horizon=6, season=12, skip=60, max_steps=0, refit=False).fit(
        frame, target="y", id="series", time="t"
    )
    ahead = made.forecast(levels=[80])
    width = np.mean(ahead.upper[80] - ahead.lower[80], axis=(1, 2))
    assert np.median(width[:10]) < np.median(width[10:]) / 2


def silent(of: Model) -> Model:
    """The model with a head that takes nothing from the layers."""
    head = {name: {**part, "W": np.zeros_like(part["W"])} for name, part in of.weights["head"].items()}
    return replace(of, weights={**of.weights, "head": head})


@pytest.mark.parametrize("ensemble", [1, 3])
@pytest.mark.parametrize("hears", [False, True])
def test_layers_that_no_forecast_hears_do_not_run(ensemble: int, hears: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts are the same bits; where the head hears the layers, they run."""
    of = model(ensemble=ensemble, residual=True, hidden=(5, 4))
    of, table = of if hears else silent(of), panel(of, (20, 12))
    rows = Feed.of(of, table).rows
    parts = list(roll(of.network, of.p, rows, np.ones(table.rows, bool)))
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    expected = np.concatenate([part.values for part in parts])[order]
    widths, scan = [], Stack.scan
    monkeypatch.setattr(Stack, "scan", lambda self, *args: widths.append(self.hidden) or scan(self, *args))
    result = Feed.of(of, table).forecasts(of, np.ones(table.rows, bool))
    np.testing.assert_array_equal(result.values, expected)
    assert set(widths) == {(5, 4) if hears else ()}


def test_a_network_with_the_same_layers_remembers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where the second training changed the layers does the network run over the table once more."""
    of, table = of_steps(np.ones(TRAIN + VAL))
    tested, _ = assemble.assemble(of, Feed.of(of, table), Split(np.array([TRAIN]), np.array([TRAIN + VAL])))
    other = {**of.weights, "skip": {"W": of.weights["skip"]["W"] + 1}}
    runs, run = [], assemble.forecasts_at
    monkeypatch.setattr(assemble, "forecasts_at", lambda *args: runs.append(args) or run(*args))
    made = assemble.with_every_row(tested, other, of.constants, table)
    assert not runs
    np.testing.assert_array_equal(made.state.data, tested.state.data)
    cells = {name: {**part, "b": part["b"] + 1} for name, part in of.weights["stack"]["cells"].items()}
    other = {**other, "stack": {**of.weights["stack"], "cells": cells}}
    made = assemble.with_every_row(tested, other, of.constants, table)
    assert len(runs) == 1
    assert not np.array_equal(made.state.data, tested.state.data)
