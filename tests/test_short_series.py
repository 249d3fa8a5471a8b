"""Short series alone, and the peers: which rows are asked for, in which order answers stand, what they score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fits
import numpy as np
import others
import polars as pl
import pytest
from others import Answers
from protocols import PROTOCOLS, Protocol, Suite, load
from protocols.competitions import competition
from protocols.m1 import collection, drawn, first_month
from protocols.protocol import Forecasts
from protocols.short import alone

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NEEDS_DATA = pytest.mark.skipif(not DATA.exists(), reason="the tables in ../shared/data are not at hand")


# --- short series alone


def suite(*rows: int) -> Suite:
    """Lines that rise by one a month."""
    begin = np.datetime64("2000-01-01", "us")
    members = tuple(alone(f"s{n}", np.arange(float(n)), begin, "monthly", 12) for n in rows)
    return Suite("short", "", "", members)


@pytest.mark.parametrize(
    ("rows", "horizon", "step"), [(100, 12, 12), (50, 12, 7), (37, 12, 1), (36, 12, 1), (21, 7, 1)]
)
def test_three_origins_lie_a_horizon_apart_or_as_far_as_two_seasons_allow(rows: int, horizon: int, step: int) -> None:
    (member,) = suite(rows).members
    assert (member.horizon, member.step, member.windows) == (horizon, step, 3)
    assert member.origins(member.series[0]).tolist() == [rows - 1 - horizon - step * k for k in (2, 1, 0)]
    assert len(member.learnable) == rows - horizon - 2 * step
    assert member.settings == {"season": 12}


def test_each_series_has_one_voice() -> None:
    s = suite(100, 60)
    made = [
        replace(part, point=part.point + error) for part, error in zip(s.naive("seasonal_naive"), (9, -6), strict=True)
    ]
    # The seasonal naive misses by 12 everywhere: by 3 and by 18 with these added.
    assert s.ratios(made) == pytest.approx({"s100": 0.25, "s60": 1.5})
    scores = s.scores(made)
    assert scores["relative"] == pytest.approx(np.sqrt(0.25 * 1.5))
    assert (scores["worst"], scores["behind"]) == (pytest.approx(1.5), 1)


def test_a_fit_of_a_short_series_ends_at_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that repeats the last row of the table of its fit forecasts as persistence does from each origin."""
    values_of_asked: list[tuple[int, dict[str, Any]]] = []

    def repeating(member: Protocol, table: pl.DataFrame, seed: int, settings: Any) -> SimpleNamespace:
        values_of_asked.append((len(table), dict(settings)))
        names = ["statecast", *(f"statecast-{side}-{level}" for side in ("lo", "hi") for level in (80, 95))]
        return SimpleNamespace(
            predict=lambda: pl.DataFrame({name: [table["y"][-1]] * member.horizon for name in names})
        )

    monkeypatch.setattr(fits, "fitted", repeating)
    s, lines = suite(100, 60), list[str]()
    result = fits.measure_alone(s, 0, {"lags": 3}, lines.append)
    assert result["ratios"] == pytest.approx(s.ratios(s.naive("persistence")))
    assert [rows for rows, _ in values_of_asked[1:]] == [64, 76, 88, 24, 36, 48]
    assert all(settings == {"lags": 3} for _, settings in values_of_asked)
    assert [line.split()[0] for line in lines] == ["s100", "s60"]


# --- peers


def panel() -> Protocol:
    """One series of five training rows and two test rows."""
    rows, begin = {"s": np.arange(5.0)}, {"s": np.datetime64("2000-01-01", "us")}
    return competition(
        rows, {"s": np.array([7.0, 8.0])}, begin, "h", name="panel", title="", season=2, freq="h", shown=("mase",)
    )


@pytest.mark.parametrize(("model", "blocks"), [("AutoETS", [2, 2, 1]), ("LSTM", [5])])
def test_statistical_models_are_asked_for_in_blocks(
    monkeypatch: pytest.MonkeyPatch, model: str, blocks: list[int]
) -> None:
    """Each block answers with its own values; put together they stand in the order of the protocol."""
    sizes: list[int] = []

    def answering(problems: list[Protocol], *_: Any) -> Answers:
        sizes.append(sum(len(problem.series) for problem in problems))
        made = tuple(problem.naive("persistence") for problem in problems)
        return Answers(made, {"seconds": 1.0, "cpu_s": 2.0, "sparse": False})

    monkeypatch.setattr(others, "answers_of", answering)
    monkeypatch.setattr(others, "BLOCK", 2)
    one = panel().series[0]
    p = replace(panel(), series=tuple(replace(one, y=one.y + n) for n in range(5)))
    answer = others.peer(p, model, "", 1, lambda _: None)
    assert answer is not None
    assert sizes == blocks
    assert answer.forecasts[0].point.tolist() == p.naive("persistence").point.tolist()
    assert answer.notes["seconds"] == len(blocks)
    monkeypatch.setattr(others, "BLOCK", 6)
    s = suite(100, 60, 50)
    sizes.clear()
    each = others.peer(s, "AutoETS", "", 1, lambda _: None)
    assert each is not None
    assert (sizes, s.ratios(each.forecasts)) == ([2, 1], s.ratios(s.naive("persistence")))


def test_seconds_of_a_peers_fit_are_a_share_of_all() -> None:
    s = suite(100, 60)
    entry = others.entry(s, Answers(tuple(s.naive("persistence")), {"seconds": 12.0, "cpu_s": 9.0, "sparse": True}))
    assert (entry["scores"]["fit_s"], entry["cpu_s"], set(entry["ratios"])) == (2, 9, {"s100", "s60"})


def test_the_mean_of_two_peers_is_that_of_their_forecasts_and_bounds() -> None:
    text = {"seconds": 1.0, "cpu_s": 2.0, "sparse": False}
    low, high = (
        Forecasts(np.full((1, 2), v), {80: np.full((1, 2), v - 1)}, {80: np.full((1, 2), v + 1)}) for v in (1.0, 3.0)
    )
    mean = others.mean([Answers((low,), text), Answers((high,), text)])
    assert mean.forecasts[0].point.tolist() == [[2, 2]]
    assert (mean.forecasts[0].lower[80][0, 0], mean.forecasts[0].upper[80][0, 0]) == (1, 3)
    assert mean.notes["cpu_s"] == 4


# --- the real tables


@NEEDS_DATA
def test_series_of_m1_begin_where_their_table_says_and_at_a_made_up_year_where_it_does_not() -> None:
    assert first_month("23741/12") == np.datetime64("1978-06", "us")
    assert first_month("7915/4") == np.datetime64("1978-10", "us")
    assert first_month("23/12") == np.datetime64("1901-12", "us")
    assert collection(DATA, "yearly").begins["YAF2"] == np.datetime64("1972-01", "us")


@NEEDS_DATA
def test_forty_five_short_series_are_forecast_alone_and_choices_are_made_on_none_of_their_test_rows() -> None:
    s, cut = load("short", DATA), load("short", DATA, cut=True)
    assert isinstance(s, Suite)
    assert isinstance(cut, Suite)
    assert (len(s.members), {member.windows for member in s.members}) == (45, {3})
    assert not {name for _, name in drawn(DATA)} & {member.series[0].name for member in cut.members}
    for whole, rest in zip(s.members[:5], cut.members[:5], strict=True):
        assert rest.series[0].y.tolist() == whole.series[0].y[: -whole.test].tolist()
    for member in cut.members[5:]:
        period = {12: "monthly", 4: "quarterly", 1: "yearly"}[member.season]
        assert member.series[0].y.tolist() == collection(DATA, period).train[member.name].tolist()
    reserved = [PROTOCOLS[f"m1-{period}"](DATA).reserved for period in ("monthly", "quarterly", "yearly")]
    assert sum(map(len, reserved)) == 40
