"""Intervals that follow a series: worked by hand, native beside NumPy, stream beside table, and what they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_cases import HEADS, START, arguments, model, panel, remembering, same_bits, sized, value, watching
from train_cases import panel_of

from statecast.forecast import calibrate
from statecast.forecast.hindcast import follow
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.follow import reports_at
from statecast.forecast.hindcast.origins import Origins
from statecast.forecast.predict import from_table
from statecast.forecast.runner import Runner
from statecast.forecast.stream import Stream
from statecast.model.adaptive import GRID, RATE, Adaptive, Bounds
from statecast.model.blocks import Blocks
from statecast.model.heads.head import Head
from statecast.model.kernel import library as kernel_library
from statecast.model.kernel.adaptive import Follower
from statecast.model.kernel.network import NetworkStep
from statecast.model.state import Layout, State
from statecast.model.trained import Model


def empty(of: Model) -> Model:
    return replace(of, state=State.empty(of.layout, of.dtype))


def by_hand(horizon: int = 2, levels: tuple[float, ...] = (80,)) -> tuple[Adaptive, Bounds, dict[str, Any]]:
    """A point head whose scores are uniform between −1 and 1: an 80 % interval is ±0.8."""
    adaptive = Adaptive(Head(1, horizon, 1, (), 0), levels)
    residuals = np.broadcast_to((2 * GRID - 1)[:, None, None], (401, horizon, 1)).copy()
    layout = Layout.of(adaptive.parts())
    return adaptive, Bounds.of(adaptive, residuals), layout.unpack(np.zeros((1, layout.size)))


def test_a_case_worked_by_hand() -> None:
    """Two steps ahead are watched. Forecasts are 0 with scale 1; the values are 0.5, 0.9, 0.85 and 2."""
    adaptive, bounds, parts = by_hand()
    mask, still = np.ones((1, 1)), np.zeros((1, 2, 1, 1))
    one, two = RATE, RATE / np.sqrt(2)
    moves = []
    for y in (0.5, 0.9, 0.85, 2.0):
        adaptive.observe(parts, bounds, np.array([[y]]), mask)
        adaptive.remember(parts, still, mask, mask)
        moves.append(parts["shifts"][0, :, 0, 0].copy())
    # Nothing was forecast of the first value, and two steps ahead nothing of the second. A value outside widens the
    # interval by rate · (1 − 0.2), one inside narrows it by rate · 0.2; both in units of the half width, 0.8.
    np.testing.assert_allclose(moves[0], [0, 0])
    np.testing.assert_allclose(moves[1], [0.8 * one, 0])  # 0.9 is outside ±0.8
    assert 0.85 > 0.8 + 0.8 * 0.8 * one  # and 0.85 still is
    np.testing.assert_allclose(moves[2], [1.6 * one, 0.8 * two])
    np.testing.assert_allclose(moves[3], [2.4 * one, 1.6 * two])


def sizes_after(scores: list[dict[int, float]], typical: dict[int, float]) -> dict[int, float]:
    """The sizes of a series' errors by the steps ahead, from its scores one after another: written out."""
    sums, weights, sizes = ({lead: start for lead in typical} for start in (0.0, 0.0, 1.0))
    for arrived in scores:
        before = dict(sizes)
        for lead, score in arrived.items():
            sums[lead] = 0.99 * sums[lead] + min(abs(score) / typical[lead], 10 * before[lead]) / lead
            weights[lead] = 0.99 * weights[lead] + 1 / lead
        size = 1.0
        for lead in sorted(typical):
            sizes[lead] = size = (10 * size + sums[lead]) / (10 + weights[lead])
    return sizes


def test_the_sizes_of_a_series_own_errors_are_means_that_begin_at_those_of_the_step_before() -> None:
    adaptive = Adaptive(Head(1, 4, 1, (), 0), (80,), sized=True)
    residuals = np.broadcast_to((2 * GRID - 1)[:, None, None], (401, 4, 1)).copy()
    bounds = Bounds.of(adaptive, residuals, np.array([[1.0], [2.0], [9.0], [4.0]]))
    layout = Layout.of(adaptive.parts())
    parts = layout.unpack(np.zeros((1, layout.size)))
    mask, still, scores = np.ones((1, 1)), np.zeros((1, 3, 1, 1)), []
    for t, y in enumerate([3.0, 1.0, -2.0, 0.0, 50.0, 4.0, -4.0, 4.0, 4.0, 4.0]):
        adaptive.observe(parts, bounds, np.array([[y]]), mask)
        adaptive.remember(parts, still, mask, mask)
        scores.append({lead: y for lead in (1, 2, 4) if t >= lead})
        expected = sizes_after(scores, {1: 1.0, 2: 2.0, 4: 4.0})
        np.testing.assert_allclose(adaptive.sizes(parts["shifts"])[0, :, 0], list(expected.values()))
    ahead = adaptive.ahead(adaptive.sizes(parts["shifts"]))[0, :, 0]
    assert ahead[[0, 1, 3]] == pytest.approx(list(expected.values()))
    assert min(ahead[1], ahead[3]) < ahead[2] < max(ahead[1], ahead[3])
    plain = replace(adaptive, sized=False)
    assert (plain.sizes(np.zeros((1, 3, 1, 1))) == 1).all()


def test_a_series_that_errs_more_has_wider_intervals_at_all_steps_before_the_long_ones_are_known() -> None:
    """Errors three times as large as is typical, one step ahead, say so of eight steps ahead as well."""
    adaptive = Adaptive(Head(1, 8, 1, (), 0), (80,), sized=True)
    scores = np.random.default_rng(1).normal(size=(2000, 8, 1))
    bounds = Bounds.of(adaptive, calibrate.quantiles(scores, np.ones((401, 8, 1))), np.full((8, 1), np.sqrt(2 / np.pi)))
    layout = Layout.of(adaptive.parts())
    parts, rng = layout.unpack(np.zeros((50, layout.size))), np.random.default_rng(0)
    mask = np.ones((50, 1))
    for _ in range(8):
        adaptive.observe(parts, bounds, 3 * rng.normal(size=(50, 1)), mask)
        adaptive.remember(parts, np.zeros((50, 4, 1, 1)), mask, mask)
    sizes = adaptive.sizes(parts["shifts"]).mean(axis=0)[:, 0]
    assert sizes[0] > 1.4
    assert sizes[3] == pytest.approx(sizes[2])  # nothing is known yet eight steps ahead
    for _ in range(400):
        adaptive.observe(parts, bounds, 3 * rng.normal(size=(50, 1)), mask)
        adaptive.remember(parts, np.zeros((50, 4, 1, 1)), mask, mask)
    np.testing.assert_allclose(adaptive.sizes(parts["shifts"]).mean(axis=0), 2.75, atol=0.25)


def test_a_gap_forgets_the_forecasts_that_fell_due_in_it() -> None:
    for gap in range(6):
        adaptive, bounds, parts = by_hand(horizon=5)
        mask, still = np.ones((1, 1)), np.zeros((1, 3, 1, 1))
        for _ in range(7):
            adaptive.observe(parts, bounds, np.zeros((1, 1)), mask)
            adaptive.remember(parts, still, mask, mask)
        moved = {name: part.copy() for name, part in parts.items()}
        adaptive.skip(parts, gap)
        for _ in range(gap):  # the same, step by step
            adaptive.observe(moved, bounds, np.zeros((1, 1)), np.zeros((1, 1)))
            adaptive.remember(moved, still, mask, np.zeros((1, 1)))
        assert parts["turn"] == moved["turn"]
        same_bits(parts["waiting"][..., 1], moved["waiting"][..., 1])
        before = parts["shifts"].copy()
        adaptive.observe(parts, bounds, np.full((1, 1), 9.0), mask)
        # Those made `lead` steps ago are due; inside the gap none was made.
        assert (parts["shifts"] != before)[0, :, 0, 0].tolist() == [gap < lead for lead in (1, 2, 4)]


@pytest.mark.parametrize("head", HEADS)
def test_a_stream_says_what_the_table_would_at_every_row(head: str) -> None:
    """No look-ahead: the interval of an origin in the middle of a table is the stream's, which has seen no more."""
    of = sized(model(head=head, precision="float64", use_calendar=False, hidden=(3,), lags=2, skip=2))
    table = panel(of, (30, 24), gaps=False)
    if head == "negative_binomial":
        of = replace(of, constants=of.constants | {"origin": np.zeros(1), "unit": np.ones(1)})
        table = replace(table, y=np.round(np.abs(table.y)))
    origins = follow.forecasts(of, Feed.of(of, table), np.ones(table.rows, bool))
    stream = Stream(of)
    bounds = {level: calibrate.Spread.of(of, origins).bounds(level) for level in (50, 80, 95)}
    for row in range(table.rows):
        s = int(row >= 30)
        stream.observe(table.ids[s], value(table, row), int(table.time[row]), **arguments(of, table, row))
        if np.isfinite(table.y[row]).all():
            result = stream.forecast([table.ids[s]], levels=(50, 80, 95))
            for level, (lower, upper) in bounds.items():
                np.testing.assert_allclose(result.lower[level][0], lower[row], rtol=1e-9)
                np.testing.assert_allclose(result.upper[level][0], upper[row], rtol=1e-9)
    assert np.abs(origins.shifts).max() > RATE  # something moved at all


def test_restored_streams_go_on_with_the_same_bits(tmp_path: Path) -> None:
    of = watching(sized(model(hidden=(3,), lags=2, skip=2)))
    rng, stream = np.random.default_rng(0), Stream(of)
    for k in range(40):
        stream.observe("a", float(rng.normal()), START if k == 0 else None)
    back = Stream.load(stream.save(tmp_path / "stream"))
    for _ in range(20):
        y = float(rng.normal())
        expected, result = stream.observe("a", y), back.observe("a", y)
        for level in (80, 95):
            same_bits(result.lower[level], expected.lower[level])
        same_bits(result.score, expected.score)
    same_bits(back.state.data, stream.state.data)


def follower_of(of: Model) -> Follower:
    counts, ring = of.layout.slices["count"][0].start, of.network.front.ring
    return Follower(of.adaptive, of.bounds, of.constants, of.adaptive_span.start, counts, ring, of.dtype)


@pytest.mark.skipif(kernel_library.refuses() is not None, reason=kernel_library.description())
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["plain", "sized", "watching", "both"])
@pytest.mark.parametrize("horizon", [1, 2, 3, 9])
def test_the_native_kernel_moves_what_numpy_moves(horizon: int, kind: str, precision: str) -> None:
    of = model(horizon=horizon, precision=precision, targets=2)
    of = sized(of) if kind in ("sized", "both") else of
    of = watching(of) if kind in ("watching", "both") else of
    follower, runner = follower_of(of), Runner(of)
    rng = np.random.default_rng(0)
    native, plain = (np.zeros((5, of.layout.size), of.dtype) for _ in range(2))
    counts = of.layout.slices["count"][0]
    for t in range(40 if kind in ("plain", "sized") else 400):
        index = rng.permutation(5)[:3] if t % 2 else None
        count = 3 if t % 2 else 5
        y = rng.normal(size=(count, 2)) * (3 if t < 300 else 30)
        y[rng.random(y.shape) < 0.2] = np.nan
        raw = rng.normal(size=(count, horizon, 2, 1)).astype(of.dtype)
        scale = rng.uniform(0.5, 2, (count, 2)).astype(of.dtype) * (rng.random((count, 2)) > 0.1)
        native[:, counts] = of.network.front.ring  # as many values as make a measure of a forecast
        result = follower.step(Blocks.of(native), y, raw, scale.astype(of.dtype), index)
        rows = plain if index is None else plain[index]
        expected = runner.adapted(rows, y, raw, scale.astype(of.dtype))
        plain[slice(None) if index is None else index] = rows
        np.testing.assert_allclose(result, expected, rtol=1e-5 if precision == "float32" else 1e-12, atol=1e-7)
    native[:, counts] = 0
    np.testing.assert_allclose(native, plain, rtol=1e-5 if precision == "float32" else 1e-12, atol=1e-7)
    assert np.abs(plain[:, of.layout.slices["shifts"][0]]).max() > RATE


@pytest.mark.skipif(kernel_library.refuses() is not None, reason=kernel_library.description())
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_table_in_the_native_kernel_moves_what_its_steps_move(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Series of unequal length, one of them empty; forecasts and asked moves at some rows alone."""
    of = watching(sized(model(horizon=9, precision=precision, targets=2)))
    native = Runner(of)
    monkeypatch.setenv("STATECAST_KERNEL", "off")
    numpy = Runner(of)
    monkeypatch.delenv("STATECAST_KERNEL")
    rng = np.random.default_rng(0)
    lengths = [30, 0, 41, 7]
    panel = panel_of(*(np.where(rng.random((n, 2)) < 0.2, np.nan, 3 * rng.normal(size=(n, 2))) for n in lengths))
    panel = replace(panel, y=np.asfortranarray(panel.y))  # a table may lie in memory in either order
    at = np.flatnonzero(rng.random(78) < 0.8)
    raw = rng.normal(size=(len(at), len(of.adaptive.leads), 2, 1)).astype(of.dtype)
    said = Origins(at, raw, rng.uniform(0.5, 2, (len(at), 2)).astype(of.dtype))
    expected = rng.random(78) < 0.5
    states = [np.zeros((4, of.layout.size), of.dtype) for _ in range(2)]
    result, plain = (
        reports_at(which, panel, said, data, expected) for which, data in zip((native, numpy), states, strict=True)
    )
    rtol = 1e-5 if precision == "float32" else 1e-12
    for name in ("shifts", "watch"):
        assert result[name].shape == (expected.sum(), *of.layout.slices[name][1])
        np.testing.assert_allclose(result[name], plain[name], rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(*states, rtol=rtol, atol=1e-6)
    assert np.abs(plain["shifts"]).max() > RATE
    assert plain["watch"][:, 2].max() == len(of.adaptive.leads)


def test_higher_levels_hold_lower_ones_however_they_moved() -> None:
    of = model(horizon=9)
    rng = np.random.default_rng(0)
    raw, scale = rng.normal(size=(50, 9, 1, 1)), np.ones((50, 1))
    moved = rng.normal(size=(50, 4, 2, 1)) * 3
    below, above = zip(*(calibrate.Spread(of, raw, scale, moved).at(level) for level in (80, 95)), strict=True)
    assert (below[1] >= below[0]).all()
    assert (above[1] >= above[0]).all()
    assert (calibrate.Spread(of, raw, scale, moved).at(99)[1] >= above[1]).all()


def test_without_it_the_state_is_the_network_s_alone() -> None:
    of = model()
    still = replace(of, config=of.config.with_(adaptive=False))
    assert still.layout == Layout.of(of.network.parts())
    assert still.layout.size < of.layout.size
    for other in (still, replace(of, config=of.config.with_(levels=()))):
        assert other.adaptive is None
        assert from_table(remembering(other, panel(other)), panel(other)).values.shape == (2, 3, 1)


@pytest.mark.parametrize("louder", [0.4, 1.0, 2.5])
def test_the_share_outside_comes_to_what_the_level_says(louder: float) -> None:
    """Values that are louder or quieter than those that the intervals were calibrated on."""
    adaptive = Adaptive(Head(1, 1, 1, (), 0), (80, 95))
    scores = np.random.default_rng(1).normal(size=(2000, 1, 1))
    bounds = Bounds.of(adaptive, calibrate.quantiles(scores, np.ones((401, 1, 1))))
    layout = Layout.of(adaptive.parts())
    parts, rng = layout.unpack(np.zeros((20, layout.size))), np.random.default_rng(0)
    mask, inside = np.ones((20, 1)), np.zeros(2)
    for t in range(2500):
        y = louder * rng.normal(size=(20, 1))
        if t >= 1500:
            reach = bounds.unit[0, 0] * parts["shifts"][:, 0, :, 0]
            held = (y >= bounds.low[0, :, 0] - reach) & (y <= bounds.high[0, :, 0] + reach)
            inside += held.mean(axis=0) / 1000
        adaptive.observe(parts, bounds, y, mask)
        adaptive.remember(parts, np.zeros((20, 1, 1, 1)), mask, mask)
    np.testing.assert_allclose(inside, [0.8, 0.95], atol=0.01)


@pytest.mark.skipif(kernel_library.refuses() is not None, reason=kernel_library.description())
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_step_and_its_intervals_in_one_call_are_both_calls(precision: str) -> None:
    """Early forecasts included, which are no measure yet; rows in several blocks."""
    of = watching(sized(model(horizon=9, precision=precision, targets=2)))
    step, follower = NetworkStep(of.network, of.p), follower_of(of)
    rng = np.random.default_rng(0)
    together = Blocks(of.layout.size, of.dtype, 3)
    together.reserve(7)
    for array in together.arrays:
        array[...] = 0
    apart = np.zeros((7, of.layout.size), of.dtype)
    for t in range(30):
        index = rng.permutation(7)[: 1 + t % 7]
        y = rng.normal(size=(len(index), 2)) * 3
        y[rng.random(y.shape) < 0.2] = np.nan
        blank = np.zeros((len(index), of.network.front.calendar), of.dtype)
        made = step.prepare(together, y, blank, None, index, follower)
        assert made.call() == 0
        raw, scale = step.step(apart, y, blank, None, index)
        moved = follower.step(Blocks.of(apart), y, raw, scale, index)
        for one, other in ((made.forecast, raw), (made.scale, scale), (made.report, moved)):
            same_bits(one, other)
    same_bits(together.take(np.arange(7)), apart)
    assert np.abs(apart[:, of.layout.slices["shifts"][0]]).max() > 0
