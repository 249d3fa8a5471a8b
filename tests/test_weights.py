"""Weights of rows: how they are read, and that a row counts in training by its weight and not otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from train_cases import one_step, panel_of, ready, run, schema_of, settings, wave

import statecast as sc
from statecast.cli import main
from statecast.data import checks
from statecast.data.grid.merging import Merging
from statecast.data.grid.roles import Roles
from statecast.data.panel import Panel
from statecast.data.segments import split
from statecast.data.tabular import table
from statecast.errors import DataError, ModelFileError, SettingError
from statecast.model import archive
from statecast.model.inputs import rows_of
from statecast.train.segment_trainer import SegmentTrainer
from statecast.train.start.design import Design
from statecast.train.start.straight import NormalEquations, Sums
from statecast.train.working import WorkingTable, linear

DAYS = pd.date_range("2024-01-01", periods=6).delete(3)
FRAME = {"day": DAYS, "y": [1.0, 2, 4, 8, 16], "w": [1.0, 0, 2, 3, 4]}


def read(frame: Any, merging: Merging = Merging(), **roles: Any) -> Any:  # noqa: B008  # a frozen value
    return checks.panel(table.read(frame), Roles.of(**{"target": "y", "weight": "w"} | roles), merging)


# --- reading


def test_a_column_of_weights_is_laid_on_the_grid_and_a_gap_counts_for_nothing() -> None:
    panel, schema = read(FRAME)
    assert panel.weight is not None
    assert panel.weight.tolist() == [1, 0, 2, 0, 3, 4]
    assert schema.weight == "w" and schema.columns == ("day", "y")
    assert checks.columns_of(panel, schema)["w"].tolist() == [1, 0, 2, 0, 3, 4]
    part = panel.pieces(np.array([0]), np.array([2]), np.array([5]))
    assert part.weight is not None and part.weight.tolist() == [2, 0, 3]
    folded = read({**FRAME, "z": FRAME["y"]}, target=["y", "z"])[0].fold(("y", "z"))
    assert folded.weight.tolist() == 2 * [1, 0, 2, 0, 3, 4]


def test_it_is_no_target_and_a_later_table_needs_none() -> None:
    panel, schema = checks.panel(table.read(FRAME), Roles.of(weight="w"))
    assert schema.target == ("y",)
    later = checks.panel_like(table.read({name: FRAME[name] for name in ("day", "y")}), schema)
    assert later.weight is None
    assert checks.panel_like(table.read(FRAME), schema).weight.tolist() == panel.weight.tolist()  # type: ignore[union-attr]


def test_rows_of_one_step_have_the_mean_of_their_weights() -> None:
    frame = {"day": [DAYS[0], DAYS[0], DAYS[1]], "y": [1.0, 2, 3], "w": [1.0, 3, 5]}
    panel, _ = read(frame, Merging("sum"), freq="1d")
    assert panel.y[:, 0].tolist() == [3, 3] and panel.weight.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -1, 2, 3, 4], "column 'w', row 1: the weight is -1: expected a number of at least 0"),
        ([1.0, np.nan, 2, 3, 4], "column 'w', row 1: the weight is missing"),
        ([0.0, 0, 0, 0, 0], "column 'w': every weight is 0, so there is nothing to learn from"),
        (list("abcde"), "'a' is not a number"),
        ([1.0, np.inf, 2, 3, 4], "row 1: inf cannot be used"),
    ],
)
def test_weights_that_are_none(weights: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read({**FRAME, "w": weights})


def test_a_weight_has_one_role_and_is_a_column() -> None:
    with pytest.raises(SettingError, match=r"the column 'w' has two roles: give it one of .*, weight"):
        read({**FRAME}, past="w")
    with pytest.raises(DataError, match="has no column 'v'"):
        read(FRAME, weight="v")
    with pytest.raises(SettingError, match="weight = 3: expected a string"):
        Roles.of("y", weight=3)  # type: ignore[arg-type]


# --- what counts in training


def with_weights(panel: Panel, weight: np.ndarray) -> Panel:
    return replace(panel, weight=np.asarray(weight, np.float64))


def loss_of_first_batch(config: Any, panel: Panel) -> float:
    trainer, before, _ = one_step(config, panel)
    return float(run(trainer, before, 0, 1)[1][0])


@pytest.mark.parametrize("way", [{}, {"skip": 3}, {"loss": "pinball"}, {"loss": "normal"}], ids=str)
def test_a_row_that_weighs_nothing_teaches_nothing_by_being_forecast(way: dict[str, Any]) -> None:
    """The last row is forecast and never an input: its value is of no account once it weighs nothing."""
    config = settings(val_size=0, test_size=0, segment="full", burn_in=0, batch_size=1, shuffle=False, **way)
    y, weight = wave(16), np.append(np.ones(15), 0.0)
    other = np.append(y[:-1], y[-1] + 5)
    for weights, alike in ((np.ones(16), False), (weight, True)):
        one, two = (first_loss(config, with_weights(panel_of(values), weights), y) for values in (y, other))
        assert (one == two) == alike


def first_loss(config: Any, panel: Panel, y: np.ndarray) -> float:
    """The loss of the first batch, in the units of another table."""
    network, of_other, _ = ready(config, with_weights(panel_of(y), panel.weight))  # type: ignore[arg-type]
    rows = rows_of(network, of_other.constants, schema_of(panel), panel, np.float32)
    data = of_other.data | {"y": padded(of_other.data["y"], rows.y, network.front.ring)}
    trainer = SegmentTrainer(config, network, replace(of_other, rows=rows, data=data))
    return float(run(trainer, trainer.begin(of_other.weights), 0, 1)[1][0])


def padded(like: Any, y: np.ndarray, before: int) -> np.ndarray:
    """Values in the place of others on the device."""
    result = np.array(like)
    result[before : before + len(y)] = y
    return result


def gathered(config: Any, panel: Panel) -> np.ndarray:
    """The weights [N, B, H, D] of a batch's forecasts."""
    from statecast.train.loss import gather

    network, prepared, _ = ready(config, panel)
    trainer = SegmentTrainer(config, network, prepared)
    tape = trainer.data["tape"]
    batch = gather(network, prepared.data, tape, np.array([0]), trainer.plan.segments)
    return np.asarray(batch["weight"])


def test_weights_of_the_loss_are_those_of_the_rows_that_are_forecast() -> None:
    config = settings(val_size=0, test_size=0, segment="full", burn_in=0, batch_size=1, shuffle=False)
    rows = np.array([1.0, 2, 0, 4, 1, 1, 3, 2, 1, 1])
    y = wave(10)
    y[6] = np.nan
    weight = gathered(config, with_weights(panel_of(y), rows))
    relative = rows / rows[rows > 0].mean()
    expected = np.array([[relative[t + k] if t + k < 10 and t + k != 6 else 0 for k in (1, 2)] for t in range(10)])
    np.testing.assert_allclose(weight[:, 0, :, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(gathered(config, panel_of(y))[:, 0, :, 0] > 0, ~np.isnan(next_two(y)))


def next_two(y: np.ndarray) -> np.ndarray:
    """The next two values of each row, NaN where there is none."""
    after = np.append(y, [np.nan, np.nan])
    return np.stack([after[1:-1], after[2:]], axis=1)


def test_only_the_ratios_of_weights_matter() -> None:
    config = settings(val_size=4, test_size=0, skip=2)
    y, weight = wave(40), np.random.default_rng(0).integers(1, 5, 40).astype(float)
    first, second = (loss_of_first_batch(config, with_weights(panel_of(y), scale * weight)) for scale in (1, 1024))
    assert first == second
    alike = [loss_of_first_batch(config, panel) for panel in (panel_of(y), with_weights(panel_of(y), np.full(40, 7.0)))]
    assert alike[0] == pytest.approx(alike[1], rel=1e-6)


# --- the linear start


def equations(panel: Panel, rows: np.ndarray) -> Sums:
    config = settings(val_size=0, test_size=0, transform="none")
    working = WorkingTable.of(config, schema_of(panel), panel, split(panel.lengths, 2, 0, 0))
    front = linear(config, 1, 3).front
    return NormalEquations.of(Design.empty(working, front, 0, 2, 3).training().of(rows), (3,), False).back(3)


def test_a_row_of_the_linear_start_counts_as_often_as_its_weight() -> None:
    y = np.cumsum(np.random.default_rng(0).standard_normal(30))
    weight = np.ones(30)
    weight[11:13] = 3  # what row 10 forecasts
    weighted = equations(with_weights(panel_of(y), weight), np.array([5, 10]))
    repeated = equations(panel_of(y), np.array([5, 10, 10, 10]))
    mean = weight.mean()
    np.testing.assert_allclose(weighted.gram * mean, repeated.gram, rtol=1e-6)
    np.testing.assert_allclose(weighted.moments * mean, repeated.moments, rtol=1e-6)


def test_the_linear_start_does_not_learn_from_rows_that_weigh_nothing() -> None:
    y = np.cumsum(np.random.default_rng(0).standard_normal(30))
    weight = np.ones(30)
    weight[20] = 0
    rows = np.arange(3, 27)
    kept = rows[(rows + 1 != 20) & (rows + 2 != 20)]
    one, other = (equations(with_weights(panel_of(y), weight), part) for part in (rows, kept))
    np.testing.assert_array_equal(one.gram, other.gram)
    np.testing.assert_array_equal(one.moments, other.moments)


def test_a_stretch_that_weighs_nothing_is_not_learned(tmp_path: Path) -> None:
    """Half of the table alternates, half repeats: the next value follows the half that counts."""
    rng = np.random.default_rng(0)
    swing = np.concatenate([np.tile([1.0, -1.0], 200), np.tile([1.0, 1.0, -1.0, -1.0], 100)])
    frame = pd.DataFrame({"y": swing + 0.05 * rng.standard_normal(800), "first": 1.0})
    frame["first"] = np.where(np.arange(800) < 400, 1.0, 0.0)
    options: dict[str, Any] = {"horizon": 1, "val_size": 0, "test_size": 0, "max_steps": 0, "season": 1, "skip": 3}
    ends = {}
    for weight in ("first", None):
        of = sc.Forecaster(**options, lags=2, hidden=(2,)).fit(frame, "y", weight=weight)
        ends[weight] = of.forecast(frame["y"].to_numpy()[:400]).values.item()
    assert abs(ends["first"] - 1) < 0.2  # after …, 1, −1
    assert abs(ends[None] - 1) > 0.3
    saved = sc.Forecaster.load(of.save(tmp_path / "m"))
    assert saved.model_.schema.weight is None


def test_a_weighted_fit_updates_and_goes_on(tmp_path: Path) -> None:
    y = wave(200)
    frame = pd.DataFrame({"y": y, "w": np.where(np.arange(200) % 40 < 5, 0.0, 2.0)})
    of = sc.Forecaster(horizon=2, hidden=(3,), max_steps=4, season=12).fit(frame, "y", weight="w")
    assert of.model_.schema.weight == "w"
    again = sc.Forecaster.load(of.save(tmp_path / "m"))
    again.update(frame.tail(40), learn=True, steps=2)
    again.update(frame[["y"]].tail(10))
    assert np.isfinite(again.forecast().values).all()
    assert of.score(frame[["y"]]) == of.score(frame)  # scores count every row


# --- files and the command line


def test_a_file_that_lies_about_the_weight() -> None:
    _, schema = read(FRAME)
    assert type(schema).from_json(schema.to_json()) == schema
    for value, message in (("y", "'y' has two roles"), (3, "weight is 3, not a string")):
        with pytest.raises(ModelFileError, match=message):
            type(schema).from_json(schema.to_json() | {"weight": value})
    old = {name: value for name, value in schema.to_json().items() if name not in ("weight", "holidays")}
    assert type(schema).from_json(old) == replace(schema, weight=None)


def test_the_command_line_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({"y": wave(60), "w": 1.0}).to_csv(path, index=False)
    words = ["fit", str(path), "--target", "y", "--weight", "w", "--set", "max_steps=0", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert archive.load(tmp_path / "out").schema.weight == "w"
    capsys.readouterr()
    words[words.index("w")] = "v"
    assert main([*words[:-1], str(tmp_path / "b")]) == 1
    assert "has no column 'v'" in capsys.readouterr().err
