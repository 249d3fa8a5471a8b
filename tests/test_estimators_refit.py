"""The network that forecasts and the one that was scored: what each is asked for, and what they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statecast import Forecaster
from statecast.data import checks
from statecast.data.tabular import table
from statecast.errors import NotFitted
from statecast.forecast.predict import state_after
from statecast.model.shapes import leaves

TINY: dict[str, Any] = {"max_steps": 6, "eval_every": 2, "hidden": 4, "segment": 24, "skip": 6, "lags": 3, "season": 12}
TINY |= {"horizon": 4, "learning_rate": 0.02, "significance": 1, "test_size": 30, "val_size": 20}
ROWS = 140


def values(rows: int = ROWS) -> np.ndarray:
    """A wave that turns into another one in the rows that are kept for the test."""
    period = np.where(np.arange(rows) < 100, 12, 7)
    return np.sin(2 * np.pi * np.cumsum(1 / period)) + 0.05 * np.random.default_rng(0).standard_normal(rows)


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    return Forecaster(**TINY).fit(values())


@pytest.fixture(scope="module")
def without() -> Forecaster:
    return Forecaster(**TINY, refit=False).fit(values())


def same(a: Any, b: Any) -> bool:
    one, two = leaves(a), leaves(b)
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_scores_are_those_of_the_network_before(fitted: Forecaster, without: Forecaster) -> None:
    assert fitted.evaluation_ == without.evaluation_
    assert same(fitted.tested().model_.weights, without.model_.weights)
    assert not same(fitted.model_.weights, without.model_.weights)
    np.testing.assert_array_equal(fitted.tested().predict(), without.predict())
    assert not np.array_equal(fitted.predict(), without.predict())


def test_intervals_keep_widths_and_moves_of_the_network_before(fitted: Forecaster) -> None:
    model, before = fitted.model_, fitted.tested().model_
    assert same({"r": model.residuals}, {"r": before.residuals})
    span, source = model.adaptive_span, table.read(values())
    assert np.array_equal(model.state.data[:, span], before.state.data[:, span])
    # The network's own part is where it ends when it runs through the table itself.
    again = state_after(model, checks.panel_like(source, model.schema))
    assert np.array_equal(model.state.data[:, : span.start], again.data[:, : span.start])
    assert not np.array_equal(model.state.data[:, span], again.data[:, span])
    assert model.training is not None and before.training is not None
    assert (model.training.train.item(), model.training.val.item()) == (ROWS - 1, ROWS - 1)
    assert (before.training.train.item(), before.training.val.item()) == (ROWS - 51, ROWS - 31)


def test_it_is_said(fitted: Forecaster, without: Forecaster, tmp_path: Path) -> None:
    assert "has learned from 50 validation and test rows as well" in fitted.reasons_["refit"]
    note = "The network that forecasts has learned from all 140 rows; the scores are those of the network"
    assert any(text.startswith(note) for text in fitted.report().notes)
    assert not any(text.startswith("The network that forecasts") for text in without.report().notes)
    assert "refit = true" in fitted.model_.config.to_toml()
    assert "refit = false" in without.model_.config.to_toml()
    loaded = Forecaster.load(fitted.save(tmp_path / "model.safetensors"))
    assert loaded.reasons_["refit"] == fitted.reasons_["refit"]
    with pytest.raises(NotFitted, match="not the one that was tested"):
        loaded.tested()


def test_a_backtest_takes_the_network_that_has_not_learned_the_rows(
    fitted: Forecaster, without: Forecaster, tmp_path: Path
) -> None:
    past, later = values(), values(ROWS + 20)
    tested, loaded = fitted.backtested(past, windows=3), Forecaster.load(fitted.save(tmp_path / "model.safetensors"))
    assert tested.model is not fitted.model_ and tested.learned_from() is False
    ours, theirs = tested.columns(), without.backtested(past, windows=3).columns()
    np.testing.assert_array_equal(ours["statecast"], theirs["statecast"])
    # Rows beyond the table are new to both, and the network that forecasts is asked.
    assert fitted.backtested(later, windows=3).model is fitted.model_
    assert loaded.backtested(past, windows=3).learned_from() is True


def test_windows_with_a_refit_learn_from_every_row_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from statecast.train import fit

    configs: list[Any] = []
    original = fit.fit

    def listed(config: Any, *arguments: Any) -> Any:
        configs.append(config)
        return original(config, *arguments)

    monkeypatch.setattr(fit, "fit", listed)
    model = Forecaster(**TINY | {"max_steps": 2, "hidden": 2}).fit(values())
    model.backtest(values(), windows=1, refit=True)
    assert [(config.test_size, config.refit) for config in configs] == [(30, True), (0, True)]
