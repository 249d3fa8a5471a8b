"""Rolling origins: forecasts that could have been made at the time, beside the baselines of the same rows."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from weakref import WeakSet

import numpy as np
import pytest
from forecast_cases import HEADS, HOUR, close, model, panel

from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.errors import DataError, SettingError
from statecast.forecast.hindcast.backtest import backtest
from statecast.forecast.hindcast.roll import roll
from statecast.forecast.predict import from_table
from statecast.forecast.scores.baselines import persistence, seasonal_naive
from statecast.model.inputs import Rows
from statecast.model.kernel import library
from statecast.model.trained import Model, TrainingRows

BASELINES = ["persistence", "seasonal_naive", "linear_extrapolation"]


def known(table: Panel) -> Panel:
    return replace(table, y=np.where(np.isnan(table.y), 1.0, table.y))


@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
@pytest.mark.parametrize("head", HEADS)
def test_a_backtest_is_what_the_forecasts_would_have_been(head: str, independent: bool) -> None:
    of = model(targets=2, independent=independent, head=head, covariates=True, precision="float64")
    table = known(panel(of, (14, 11)))
    result = backtest(of, table, windows=3, step=2).columns()
    bounds = ["statecast-lo-80", "statecast-hi-80", "statecast-lo-95", "statecast-hi-95"]
    assert list(result) == ["site", "hour", "cutoff", "y", "statecast", *bounds, *BASELINES]
    assert {len(values) for values in result.values()} == {2 * 2 * 3 * 3}
    assert result["site"].tolist()[::9] == ["s0/y0", "s0/y1", "s1/y0", "s1/y1"]
    blocks = {name: values.reshape(2, 2, 3, 3) for name, values in result.items()}  # series, target, origin, step
    for s, length in enumerate((14, 11)):
        for w in range(3):
            row = length - 4 - 2 * (2 - w)
            cut = table.cut(np.array([row + 1 if n == s else 1 for n in range(2)]))
            expected = from_table(of, cut)
            close(blocks["statecast"][s, :, w].T, expected.values[s], "float64")
            close(blocks["statecast-lo-95"][s, :, w].T, expected.lower[95][s], "float64")
            close(blocks["statecast-hi-80"][s, :, w].T, expected.upper[80][s], "float64")
            assert (blocks["hour"][s, 0, w] == expected.stamps[s]).all()
            span = table.span(s)
            assert (blocks["cutoff"][s, :, w].astype(np.int64) == table.time[span][row]).all()
            y = table.y[span]
            assert (blocks["y"][s, :, w].T == y[row + 1 : row + 4]).all()
            at = np.array([row])
            assert (blocks["persistence"][s, :, w].T == persistence(y, at, 3)[0]).all()
            assert (blocks["seasonal_naive"][s, :, w].T == seasonal_naive(y, at, 3, 4)[0]).all()


def test_origins_are_a_horizon_apart_and_short_series_have_fewer() -> None:
    of = model()
    table = known(panel(of, (13, 6)))
    result = backtest(of, table, windows=4).columns()
    cutoffs = {name: np.unique(result["cutoff"][result["site"] == name]).astype(np.int64) for name in ("s0", "s1")}
    assert cutoffs["s0"].tolist() == table.time[[0, 3, 6, 9]].tolist()
    assert cutoffs["s1"].tolist() == table.time[13 + 2 : 13 + 3].tolist()
    with pytest.raises(
        DataError, match=r"series 's0' has 13 rows: 5 windows, 3 rows apart, with a horizon of 3 need 16; ask for fewer"
    ):
        backtest(of, table, windows=5)
    for wrong in ({"windows": 0}, {"windows": 2, "step": 0}, {"windows": 1.5}):
        with pytest.raises(SettingError, match=r"(windows|step) = .*: expected a whole number of at least 1"):
            backtest(of, table, **wrong)  # type: ignore[arg-type]


def test_a_refit_keeps_no_model_but_the_last() -> None:
    of, counts = model(), []
    alive: WeakSet[Model] = WeakSet()

    def refit(_: Panel) -> Model:
        another = replace(of)
        alive.add(another)
        counts.append(len(alive))
        return another

    backtest(of, panel(of, (40,), gaps=False), windows=5, step=1, refit=refit)
    assert len(counts) == 5
    assert max(counts) <= 2


@pytest.mark.parametrize("targets", [1, 2])
def test_a_refit_sees_the_rows_before_its_origin_alone(targets: int) -> None:
    of, panels = model(targets=targets, precision="float64"), []
    table = known(panel(of, (12, 10)))

    def refit(before: Panel) -> Model:
        panels.append(before)
        return model(targets=targets, precision="float64", seed=len(panels))

    result = backtest(of, table, windows=2, step=1, refit=refit).columns()
    assert [part.lengths.tolist() for part in panels] == [[8, 6], [9, 7]]
    forecasts = result["statecast"].reshape(2, targets, 2, 3)  # series, target, origin, step
    for w in range(2):
        expected = from_table(model(targets=targets, precision="float64", seed=w + 1), panels[w])
        close(np.moveaxis(forecasts[:, :, w], 1, -1), expected.values, "float64")
    with pytest.raises(DataError, match=r"series 's1' has 10 rows"):
        backtest(of, table, windows=8, step=1, refit=refit)
    assert len(panels) == 2


def test_no_id_and_counted_rows() -> None:
    of = model(targets=2, id=None, time_kind="row", freq="1")
    result = backtest(of, known(panel(of, (9,))), windows=2).columns()
    assert result["unique_id"].tolist()[::6] == ["y0", "y1"]
    assert result["ds"].tolist() == [3, 4, 5, 6, 7, 8] * 2
    assert result["cutoff"].tolist() == [2, 2, 2, 5, 5, 5] * 2


def test_rows_that_a_model_has_learned_from_are_known_by_series_and_time() -> None:
    of = model()
    table = known(panel(of, (20, 14)))
    trained = replace(of, training=TrainingRows.of(table, Split(table.lengths - 8, table.lengths - 6)))
    assert backtest(of, table, windows=2).learned_from() is None  # a file of before does not say
    assert backtest(trained, table, windows=2).learned_from() is False  # the last six rows, which no one looked at
    assert backtest(trained, table, windows=3).learned_from() is True
    later = replace(table, time=table.time + 30 * HOUR)
    assert backtest(trained, later, windows=3).learned_from() is False
    others = replace(table, ids=("new", "newer"))
    assert backtest(trained, others, windows=3).learned_from() is False
    # One series has come so far that only its test rows are forecast, the other has not.
    both = replace(table, time=np.concatenate([table.time[:20] + 30 * HOUR, table.time[20:]]))
    assert backtest(trained, both, windows=3).learned_from() is True


@pytest.mark.skipif(library.refuses() is not None, reason=library.description())
def test_memory_does_not_grow_with_the_skip() -> None:
    """Beyond the state, which holds the last values of each series: the kernel reads the rings where they lie."""
    series, length = 4, 3000
    peaks = {}
    for skip in (8, 1500):
        of = model(skip=skip, missing=False)
        network, count = of.network, series * length
        values = np.random.default_rng(0).normal(size=(count, 1)).astype(np.float32)
        rows = Rows(
            y=values,
            m=np.ones_like(values),
            covariates={"calendar": np.zeros((count, network.front.calendar), np.float32)},
            future=None,
            place=np.arange(count),
            series=np.repeat(np.arange(series), length),
            age=np.tile(np.arange(length), series),
            offsets=np.arange(series + 1) * length,
            numbers=np.zeros((series, 1), np.float32),
        )
        tracemalloc.start()
        for _ in roll(network, of.p, rows, np.ones(count, bool)):
            pass
        peaks[skip] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    state = 4 * series * 1500 * 2  # bytes of the last values and their mask
    assert peaks[1500] < peaks[8] + 12 * state
