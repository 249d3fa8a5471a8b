"""One definition of each score: worked by hand, and the same after a fit, in `score` and in a backtest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_cases import model, panel

import statecast as sc
from statecast.data.checks import columns_of
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.forecast import assemble
from statecast.forecast.hindcast.backtest import backtest
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.scores import comparison
from statecast.forecast.scores.comparison import ForecastPairs
from statecast.model import archive

HORIZON, TEST = 3, 9


def test_the_scores_of_two_targets_worked_by_hand() -> None:
    """Two origins of a series of two targets, two steps ahead; the second target is a hundred times the first."""
    first = np.array([1.0, 3.0, 2.0, 4.0, 6.0, 5.0, 9.0])
    y = np.column_stack([first, 100 * first])
    origins = np.array([3, 4])
    point = np.array([[[5.0, 500.0], [7.0, 700.0]], [[5.0, 500.0], [8.0, 600.0]]])
    members = [(0.25, point - 1), (0.75, point + 3)]
    pairs = ForecastPairs.of(y, origins, 4, 2, point, {}, {}, members)
    result = comparison.evaluate([pairs], ["a", "b"], 2, series=1)
    # Values 6, 5 and 5, 9; errors 1, -2, 0, 1 and a hundred times 1, -2, 0, 3.
    one, two = (result["targets"][name] for name in "ab")
    assert one["statecast"]["mae"] == 1
    assert two["statecast"]["mae"] == 150
    assert one["statecast"]["rmse"] == pytest.approx(np.sqrt(6 / 4))
    assert two["statecast"]["rmse"] == pytest.approx(100 * np.sqrt(14 / 4))
    assert one["statecast"]["smape"] == pytest.approx(np.mean([200 / 11, 400 / 12, 0, 200 / 17]))
    # The season has two rows: |2 - 1| and |4 - 3| in the four rows before the first forecast.
    assert one["statecast"]["mase"] == 1
    assert two["statecast"]["mase"] == 1.5
    spread = np.sum((np.array([6, 5, 5, 9]) - 6.25) ** 2)
    assert one["statecast"]["r2"] == pytest.approx(1 - 6 / spread)
    assert two["statecast"]["r2"] == pytest.approx(1 - 14 / spread)
    # Persistence says 4, 4 and 6, 6; the last season says 2, 4 and 4, 6.
    assert one["persistence"]["mae"] == np.mean([2, 1, 1, 3])
    assert one["seasonal_naive"]["mae"] == np.mean([4, 1, 1, 3])
    assert one["skill"]["persistence"] == pytest.approx(1 - 4 / 7)
    assert one["error_by_step"]["statecast"] == [0.5, 1.5]
    assert two["error_by_step"]["persistence"] == [150.0, 200.0]
    assert result["metric"] == "mase"
    assert result["statecast"]["mase"] == 1.25
    assert result["statecast"]["r2"] == pytest.approx(1 - 10 / spread)  # the mean of both, not that of all values
    assert result["origins"] == 2
    # A quarter of the area where one member lies beyond the value, and the whole way where both do: members are
    # 4 and 8, 6 and 10; 4 and 8, 7 and 11, and the values 6, 5; 5, 9. A single value scores its absolute error.
    assert one["statecast"]["crps"] == np.mean([0.5 + 0.5, 1 + 0.25 * 4, 0.25 * 1 + 0.25 * 3, 0.25 * 2 + 0.25 * 2])
    assert one["persistence"]["crps"] == one["persistence"]["mae"]


def fitted(lengths: tuple[int, ...], targets: int, independent: bool) -> tuple[Any, Panel]:
    """A model of random weights, assembled on a table whose last rows are a test."""
    of = model(targets=targets, independent=independent, precision="float64", horizon=HORIZON)
    table = panel(of, lengths, gaps=False)
    split = Split(table.lengths - TEST - 6, table.lengths - TEST)
    return assemble.assemble(of, Feed.of(of, table), split)[0], table


@pytest.mark.parametrize(
    ("lengths", "targets", "independent"), [((40,), 1, False), ((40, 33), 2, False), ((36,), 3, True)]
)
def test_a_fit_and_a_backtest_give_the_same_scores_from_the_same_origins(
    lengths: tuple[int, ...], targets: int, independent: bool
) -> None:
    of, table = fitted(lengths, targets, independent)
    again = backtest(of, table, windows=TEST - HORIZON + 1, step=1).evaluation()
    scores = {name: value for name, value in of.scores.items() if name != "calibration"}
    assert scores["origins"] == len(lengths) * (TEST - HORIZON + 1)
    assert again["statecast"]["mase"] is not None
    assert again.keys() == scores.keys()
    numbers, texts = flat(scores)
    assert flat(again)[1] == texts
    assert flat(again)[0] == pytest.approx(numbers, rel=1e-9)
    assert len(numbers) > 50


def flat(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of a tree of plain values by their paths, and everything else."""
    leaves = leaves_of(value)
    texts = {path: leaf for path, leaf in leaves.items() if isinstance(leaf, str)}
    return {path: leaf for path, leaf in leaves.items() if path not in texts}, texts


def leaves_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"{name}/{key}": item for name, part in value.items() for key, item in leaves_of(part).items()}
    if isinstance(value, list):
        return {f"{n}/{key}": item for n, part in enumerate(value) for key, item in leaves_of(part).items()}
    return {"": value}


def test_score_gives_what_a_backtest_from_the_same_origins_gives(tmp_path: Path) -> None:
    of, table = fitted((40, 33), 2, False)
    estimator = sc.Forecaster.load(archive.save(of, tmp_path / "m"))
    of = estimator.model_
    frame = columns_of(table, of.schema)
    scores = estimator.score(frame)
    assert scores["targets"].keys() == {"y0", "y1"}
    begin = max(of.network.front.ring, 2)
    windows = [int(n) - HORIZON - begin + 1 for n in table.lengths]
    for s, name in enumerate(table.ids):
        one = {key: values[frame["site"] == name] for key, values in frame.items()}
        again = estimator.backtested(one, windows=windows[s], step=1).evaluation()
        alone = estimator.score(one)
        assert alone["mase"] == pytest.approx(again["statecast"]["mase"])
        assert alone["r2"] == pytest.approx(again["statecast"]["r2"])
        assert alone["skill"] == pytest.approx(again["skill"])
        for target in ("y0", "y1"):
            expected = again["targets"][target]
            assert alone["targets"][target]["mae"] == pytest.approx(expected["statecast"]["mae"])
            assert alone["targets"][target]["coverage/80"] == pytest.approx(expected["statecast"]["coverage/80"])
