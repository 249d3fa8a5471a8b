"""Scores of values: worked by hand, stream beside table, and that as many are unusual as the setting says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forecast_cases import START, arguments, model, panel, same_bits, sized, value, watching

from statecast.config import Config
from statecast.errors import ModelFileError, SettingError
from statecast.forecast import assemble, calibrate, watch, wire
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.stream import Stream
from statecast.model import archive, surprise, tails
from statecast.model.adaptive import GRID, Adaptive, Bounds
from statecast.model.heads.head import Head
from statecast.model.heads.special import normal_tail, normal_upper
from statecast.model.state import Layout
from statecast.model.trained import Model


def watching_of(targets: int = 1, rate: float = 1e-4) -> surprise.Watching:
    both = np.broadcast_to(tails.prior()[:, None, None], (tails.NUMBERS, 2, targets))
    return tails.watching(both, rate)


def test_positions_worked_by_hand() -> None:
    """Two steps ahead are watched; intervals of 80 % are ±0.8, and ±1.6 two steps ahead."""
    adaptive = Adaptive(Head(1, 2, 1, (), 0), (80,), watched=True)
    residuals = (2 * GRID - 1)[:, None, None] * np.array([1.0, 2.0])[:, None]
    bounds = Bounds.of(adaptive, residuals, None, watching_of())
    layout = Layout.of(adaptive.parts())
    parts, there = layout.unpack(np.zeros((1, layout.size))), np.ones((1, 1))
    rows = []
    for y in (0.5, 0.4, -0.8, 0.6):
        wide = 1 + parts["shifts"][0, :, 0, 0]  # in units of the calibrated intervals
        adaptive.observe(parts, bounds, np.array([[y]]), there)
        adaptive.remember(parts, np.zeros((1, 2, 1, 1)), there, there)
        rows.append((parts["watch"][0, :3, 0].tolist(), wide))
    assert rows[0][0] == [0, 0, 0]  # nothing was forecast of the first value
    assert rows[1][0] == pytest.approx([0.5, 0.5, 1])
    one, two = -0.8 / 0.8 / rows[2][1][0], -0.8 / 1.6 / rows[2][1][1]
    beyond = 1 + (abs(one) - 1) / 1  # no excess has come yet, so they are in units of the table's
    assert rows[2][0] == pytest.approx([-beyond, (one + two) / 2, 2])
    adaptive.observe(parts, bounds, np.zeros((1, 1)), np.zeros((1, 1)))
    assert not parts["watch"].any()  # a value that is missing lies nowhere
    parts["watch"][...] = 1
    adaptive.skip(parts, 1)
    assert not parts["watch"].any()


def test_a_value_after_a_gap_is_placed_by_the_latest_forecast_that_was_made_for_it() -> None:
    of = watching(model(horizon=4, use_calendar=False))
    stream, rng = Stream(of), np.random.default_rng(0)
    for k in range(30):
        stream.observe("a", float(rng.normal()), START + k * 3_600_000_000)
    after = stream.observe("a", 3.0, START + 32 * 3_600_000_000)
    latest, mean, count = after.watch[0, :3, 0]  # the mean is the latest, but for the units of excesses
    assert count == 1  # of the steps 1, 2 and 4, those two before and one before fell into the gap or at its end
    assert min(latest, mean) > 1
    assert np.isfinite(after.score).all()


@pytest.mark.parametrize("head", ["point", "pinball", "student_t"])
def test_a_stream_scores_as_the_table_does(head: str) -> None:
    of = watching(sized(model(head=head, precision="float64", use_calendar=False, hidden=(3,), lags=2, skip=2)))
    table = panel(of, (30, 24), gaps=False)
    feed = Feed.of(of, table)
    from statecast.forecast.hindcast import follow

    origins, _ = follow.through(of, feed, feed.forecasts(of, np.ones(table.rows, bool)))
    stream, compared = Stream(of), 0
    for row in range(table.rows):
        s = int(row >= 30)
        forecast = stream.observe(table.ids[s], value(table, row), int(table.time[row]), **arguments(of, table, row))
        np.testing.assert_allclose(forecast.watch[0], origins.watch[row], rtol=1e-8, atol=1e-12)
        compared += int(forecast.watch[0, 2, 0] > 0)
        assert np.isnan(forecast.score[0]) == (forecast.watch[0, 2, 0] == 0)
    assert compared > 20


def test_tails_turn_positions_into_normal_scores() -> None:
    rng = np.random.default_rng(0)
    for draw in (rng.standard_normal, lambda n: rng.standard_t(4, n), lambda n: rng.exponential(size=n) - 1):
        known, fresh = draw(20_000), draw(1_000_000)
        score = tails.scores(tails.learned(known)[:, None], fresh[:, None])[:, 0]
        for share in (0.2, 0.05, 0.01, 0.001, 0.0001):
            outside = (np.abs(score) > normal_upper(np.array(share / 2))).mean()
            assert share / 3 < outside < 2 * share
    ladder = np.linspace(-50, 50, 20_001)
    assert (np.diff(tails.scores(tails.prior()[:, None], ladder[:, None])[:, 0]) >= 0).all()
    np.testing.assert_allclose(
        tails.scores(tails.prior()[:, None], np.array([[-1.0], [0.0], [1.0]]))[:, 0], [-1.96, 0, 1.96], atol=0.001
    )


def test_few_positions_leave_the_prior_and_equal_ones_do_no_harm() -> None:
    same_bits(tails.learned(np.zeros(tails.FEWEST - 1)), tails.prior())
    flat = tails.learned(np.zeros(1000))[:, None]
    score = tails.scores(flat, np.array([[-1.0], [0.0], [1.0]]))[:, 0]
    assert score[0] < -3 < -1e-9 < score[1] < 1e-9 < 3 < score[2]


@pytest.mark.parametrize("louder", [0.4, 1.0, 2.5])
def test_as_many_values_are_unusual_as_the_setting_says(louder: float) -> None:
    """Also where a series has become louder or calmer than the rows that scores were learned from."""
    adaptive = Adaptive(Head(1, 1, 1, (), 0), (80, 95), sized=True, watched=True)
    rng = np.random.default_rng(0)
    residuals = calibrate.quantiles(rng.normal(size=(2000, 1, 1)), np.ones((401, 1, 1)))
    bounds = Bounds.of(adaptive, residuals, np.full((1, 1), np.sqrt(2 / np.pi)), watching_of())
    layout, there = Layout.of(adaptive.parts()), np.ones((400, 1))

    def run(size: float, steps: int, parts: dict[str, np.ndarray]) -> np.ndarray:
        told = []
        for _ in range(steps):
            adaptive.observe(parts, bounds, size * rng.normal(size=(400, 1)), there)
            adaptive.remember(parts, np.zeros((400, 1, 1, 1)), there, there)
            told.append(parts["watch"][:, 0].copy())
        return np.array(told)

    parts = layout.unpack(np.zeros((400, layout.size)))
    usual = tails.learned(run(1.0, 300, parts)[50:].reshape(-1))[:, None]
    run(louder, 300, parts)  # while intervals still follow
    score = tails.scores(usual, run(louder, 1000, parts).reshape(-1, 1))
    for rate in (0.01, 0.001, 0.0001):
        unusual = (np.abs(score) > normal_upper(np.array(rate / 2))).mean()
        assert rate / 10 < unusual < 2 * rate


def told(latest: float, together: float, count: float = 3, record: float = 0) -> list[list[float]]:
    return [[latest], [together], [count], [record], [0], [0]]


def test_several_looks_have_their_price() -> None:
    of = watching(model(horizon=4))
    rows = np.array([told(0.5, 0.1), told(0.1, -3), told(0.1, -3, 0), told(0.5, 0.1, 3, 20), told(0.5, 0.1, 3, -20)])
    score = watch.scores(of, rows, (5, 1))[:, 0]
    alone = tails.scores(tails.prior()[:, None], np.array([[-3.0], [0.5]]))[:, 0]
    assert 0 < score[0] < alone[1]
    assert 2 * normal_tail(-score[1]) == pytest.approx(2 * normal_tail(-alone[0]) / 0.1, rel=5e-2)
    assert np.isnan(score[2])
    rate = float(surprise.rate(np.array(20.0)))
    assert 2 * normal_tail(score[3]) == pytest.approx(rate / 0.8, rel=1e-2)
    assert score[4] == -score[3]
    single = watching(model(horizon=1))
    price = watch.scores(single, np.array([told(-3, -3, 1)]), (1, 1))[0, 0]
    assert 2 * normal_tail(-price) == pytest.approx(2 * normal_tail(-alone[0]) * 9, rel=5e-2)


def test_the_rate_of_false_alarms_is_a_setting() -> None:
    of = watching(model())
    score = np.array([[3.8], [3.95], [-3.95], [np.nan]])
    assert watch.unusual(of, score)[:, 0].tolist() == [False, True, True, False]
    strict = replace(of, config=of.config.with_(false_alarms=0.5))
    assert watch.unusual(strict, score)[:, 0].tolist() == [True, True, True, False]
    assert Config().false_alarms == 0.0001


def observed(of: Model) -> Stream:
    stream, rng = Stream(of), np.random.default_rng(0)
    for k in range(20):
        stream.observe_many(["a", "b"], rng.normal(size=(2, len(of.schema.target))), START if k == 0 else None)
    return stream


@pytest.mark.parametrize("independent", [False, True])
def test_scores_go_out_with_forecasts(independent: bool, tmp_path: Path) -> None:
    of = watching(sized(model(targets=2, independent=independent, use_calendar=False)))
    stream = observed(of)
    before = stream.observe_many(["a", "b"], [[1e6, 0.0], [0.0, None]])
    assert before.unusual.tolist() == [[True, False], [False, False]]
    assert np.isnan(before.score[1, 1])
    one, other = wire.documents(before)
    assert one["score"]["y0"] > 3.9
    assert one["unusual"] == {"y0": True, "y1": False}
    assert other["score"]["y1"] is None
    back = Stream.load(stream.save(tmp_path / "stream"))
    same_bits(back.forecast().score, stream.forecast().score)
    alone = stream.observe("a", [0.0, -1e6])
    assert alone.score.shape == (2,)
    assert wire.document(alone)["unusual"]["y1"] is True


def test_a_series_is_scored_the_same_whatever_its_company() -> None:
    of = watching(sized(model(use_calendar=False)))
    together, apart = observed(of), observed(of)
    rows = together.observe_many(["a", "b"], [[0.3], [4.0]])
    for n, name in enumerate(("a", "b")):
        same_bits(apart.observe(name, [0.3, 4.0][n]).score, rows.score[n])


def test_a_model_that_cannot_score_says_nothing() -> None:
    of = model(use_calendar=False)
    forecast = observed(of).observe("a", 1e9)
    assert np.isnan(forecast.score).all()
    assert not forecast.unusual.any()
    assert wire.document(forecast)["score"] is None
    assert "watch" not in of.layout.slices


def test_a_fit_learns_how_values_lie() -> None:
    of, table = model(use_calendar=False), panel(model(use_calendar=False), (300, 250), gaps=False)
    from statecast.data.segments import Split

    lengths = table.lengths
    made, _ = assemble.assemble(of, Feed.of(of, table), Split(lengths - 60, lengths - 30))
    assert made.tails.shape == (tails.NUMBERS, 2, 1)
    assert (made.tails[:, 0, 0] != tails.prior()).all()
    assert made.tails[-1, 0, 0] == pytest.approx(0, abs=0.2)
    assert np.abs(made.tails[[0, 6], 0, 0]) == pytest.approx([1, 1], abs=0.35)  # intervals hold about what they should
    back = archive.from_bytes(archive.to_bytes(made))
    same_bits(back.tails, made.tails)
    assert back.layout == made.layout


@pytest.mark.parametrize(
    ("place", "number", "message"),
    [(0, 9.0, "do not ascend"), (7, 0.0, "above zero"), (8, 2.0, "shapes"), (3, np.nan, "finite")],
)
def test_tails_that_are_none_are_refused(place: int, number: float, message: str) -> None:
    of = watching(model())
    of.tails[place] = number
    with pytest.raises(ModelFileError, match=message):
        archive.from_bytes(archive.to_bytes(of))


# --- records and changes, of values that are forecast as 0


def arrival(values: np.ndarray) -> surprise.Arrival:
    """Values [N, 1] whose forecasts were 0, with a 95 % interval of ±1.96."""
    one = np.ones(values.shape)
    return surprise.Arrival(values, one > 0, values / 1.96, values / 1.96, one, one > 0, values)


def memory(count: int) -> dict[str, np.ndarray]:
    layout = Layout.of(surprise.parts(1))
    return layout.unpack(np.zeros((count, layout.size)))


def run(parts: dict[str, np.ndarray], rows: np.ndarray, rate: float = 1e-4) -> np.ndarray:
    """The reports [T, N, W] of values [T, N]."""
    reports = []
    for row in rows:
        surprise.observe(parts, watching_of(rate=rate), arrival(row[:, None]))
        reports.append(parts["watch"][..., 0].copy())
    return np.array(reports)


def test_records_are_as_rare_as_they_are_said_to_be() -> None:
    rng = np.random.default_rng(0)
    for draw, most in ((rng.standard_normal, 1.5), (rng.random, 1.5), (lambda shape: rng.standard_t(4, shape), 6)):
        record = run(memory(300), draw((800, 300)))[..., 3]
        for rate in (1e-2, 1e-3, 1e-4):
            assert (surprise.rate(record[100:]) < rate).mean() < most * rate


def test_a_record_is_one_of_the_series_and_not_of_the_table() -> None:
    rng = np.random.default_rng(0)
    usual = rng.normal(size=(300, 2)) * [1.0, 1000.0]
    reports = run(memory(2), np.concatenate([usual, [[20.0, 20.0], [-30.0, -30.0]]]))
    assert reports[-2, 0, 3] > 9
    assert reports[-1, 0, 3] < -9
    assert (np.abs(reports[-2:, 1, 3]) < 9).all()


def test_errors_of_one_side_are_measured_by_the_whole_range() -> None:
    rng, parts, records = np.random.default_rng(0), memory(1), []
    for error in [*(rng.exponential(size=300) - 0.01), -0.05, -5.0]:
        usual = arrival(np.array([[error]]))
        surprise.observe(parts, watching_of(), replace(usual, value=rng.uniform(-50, 50, (1, 1))))
        records.append(float(parts["watch"][0, 3, 0]))
    assert -8 < records[-2] < 0  # five times as far below 0 as any before, but by little of what errors span
    assert records[-1] < -9


def test_a_series_that_grows_sets_records_and_nobody_minds() -> None:
    rng = np.random.default_rng(0)
    steps = 1 + 0.1 * rng.random((400, 1))
    parts, reports = memory(1), []
    for level, step in zip(steps.cumsum(), steps[:, 0] - 1.05, strict=True):
        usual = arrival(np.array([[step]]))
        surprise.observe(parts, watching_of(), replace(usual, value=np.array([[level]])))
        reports.append(parts["watch"][0, 3, 0])
    assert np.abs(reports).max() < 9.2


@pytest.mark.parametrize(("bias", "louder", "bet"), [(1.0, 1.0, 1), (-1.0, 1.0, 2), (0.0, 4.0, 3), (0.0, 0.2, 4)])
def test_a_change_is_told_with_its_kind_and_its_beginning(bias: float, louder: float, bet: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(900, 20))
    rows[400:] = rows[400:] * louder + bias
    reports = run(memory(20), rows)
    change, age = reports[..., 4], reports[..., 5]
    assert (change[:400] > 0).sum() <= 1
    for n in range(20):
        first = int(np.argmax(change[400:, n] > 0))
        assert change[400 + first, n] == bet
        assert first < 260
        assert age[400 + first, n] == pytest.approx(first + 1, abs=100)


@pytest.mark.parametrize(("louder", "bet"), [(3.0, 3), (0.35, 4)])
def test_a_change_of_size_is_told_though_the_scale_follows_it(louder: float, bet: int) -> None:
    adaptive = Adaptive(Head(1, 1, 1, (), 0), (80, 95), sized=True, watched=True)
    residuals = calibrate.quantiles(np.random.default_rng(0).normal(size=(2000, 1, 1)), np.ones((401, 1, 1)))
    bounds = Bounds.of(adaptive, residuals, np.full((1, 1), np.sqrt(2 / np.pi)), watching_of())
    layout, mask, rng = Layout.of(adaptive.parts()), np.ones((20, 1)), np.random.default_rng(1)
    parts, changes = layout.unpack(np.zeros((20, layout.size))), []
    for size in np.repeat([1.0, louder], 400):
        adaptive.observe(parts, bounds, size * rng.normal(size=(20, 1)), mask)
        adaptive.remember(parts, np.zeros((20, 1, 1, 1)), size * mask, mask)
        changes.append(parts["watch"][:, 4, 0].copy())
    bets = np.array(changes)
    assert not bets[:400].any()
    assert (bets[400:] == bet).any(axis=0).mean() > 0.8


def test_false_alarms_of_drift_keep_to_the_rate() -> None:
    rng = np.random.default_rng(0)
    for draw in (rng.standard_normal, lambda shape: rng.standard_t(3, shape), lambda shape: rng.random(shape) - 0.5):
        change = run(memory(300), draw((1000, 300)), rate=1e-3)[..., 4]
        assert (change > 0).mean() < 1e-3


def test_what_a_gap_does_to_the_age_of_a_stake() -> None:
    parts = memory(1)
    run(parts, np.full((30, 1), 1.5))
    before = parts["stakes"].copy()
    surprise.skip(parts, 7)
    moved = parts["stakes"] - before
    np.testing.assert_array_equal(moved[:, :, 1], np.where(before[:, :, 0] > 0, 7, 0))
    assert moved.any()


def test_alarms_name_series_target_and_beginning() -> None:
    of = watching(sized(model(targets=2, use_calendar=False)))
    forecast = observed(of).observe_many(["a", "b"], [[1e6, 0.0], [0.0, None]])
    (alarm,) = forecast.alarms()
    assert (alarm.id, alarm.target, alarm.kind, alarm.time) == ("a", "y0", "unusual", int(forecast.last[0]))
    told_of = forecast.watch.copy()
    told_of[1, 4:, 1] = 3, 5
    changed = replace(forecast, watch=told_of)
    assert changed.changed.tolist() == [[False, False], [False, True]]
    drift = changed.alarms()[-1]
    assert (drift.id, drift.target, drift.kind, drift.change) == ("b", "y1", "drift", "louder")
    assert drift.since == forecast.last[1] - 4 * 3_600_000_000
    assert changed.since[0, 0] == forecast.last[0]


def test_series_that_are_silent_for_too_long() -> None:
    hour = 3_600_000_000
    stream = Stream(watching(model(use_calendar=False)))
    assert stream.overdue() == []
    stream.observe_many(["a", "b"], [1.0, 1.0], START)
    for k in range(1, 6):
        stream.observe("a", 1.0, START + k * hour)
    (late,) = stream.overdue()
    assert (late.id, late.kind, late.since, late.time) == ("b", "missing", START + hour, START + 5 * hour)
    assert stream.overdue(5) == []
    assert len(stream.overdue(3, START + 50 * hour)) == 2
    for k in range(6, 11):  # rows that come without a value are silence as well
        stream.observe("a", None, START + k * hour)
    assert {alarm.id: alarm.since for alarm in stream.overdue(3)}["a"] == START + 6 * hour
    with pytest.raises(SettingError, match="at least 1"):
        stream.overdue(0)
