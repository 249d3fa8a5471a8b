"""Every row learned from: what is trained once more, what is only solved again, and what stays as it was tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from train_cases import compilations, leaves, panel_of, same_bits, schema_of, settings, wave

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.errors import Interrupted, ModelFileError
from statecast.train import refit
from statecast.train.checkpoint import NAME, REFIT_NAME
from statecast.train.fit import Fit, fit, learn_every_row
from statecast.train.prepare import Prepared
from statecast.train.progress import Progress
from statecast.train.segment_trainer import SegmentTrainer
from statecast.train.working import WorkingTable

# Training is kept whatever the validation rows say, so that every row is trained on.
TRAINED: dict[str, Any] = {"skip": 3, "significance": 1, "max_steps": 8, "patience": 0, "test_size": 12, "val_size": 20}


def fitted(config: Config, panel: Panel, **more: Any) -> Fit:
    return fit(config, schema_of(panel), panel, **more)


@pytest.fixture(scope="module")
def table() -> Panel:
    return panel_of(wave(120, 1), wave(90, 2))


@pytest.fixture(scope="module")
def whole(table: Panel) -> Fit:
    return fitted(settings(**TRAINED), table)


def with_test_rows(panel: Panel, rows: int, value: float) -> Panel:
    """The panel with other values in the last rows of its first series."""
    y = panel.y.copy()
    y[panel.offsets[1] - rows : panel.offsets[1]] = value
    return replace(panel, y=y)


def again(whole: Fit) -> refit.Refit:
    assert whole.refit is not None
    return whole.refit


def test_the_network_that_is_scored_is_the_one_without_a_refit(table: Panel, whole: Fit) -> None:
    without = fitted(settings(**TRAINED, refit=False), table)
    assert without.refit is None and "refit" not in without.reasons
    assert same_bits(without.training.weights, whole.training.weights)
    assert not same_bits(again(whole).weights, whole.training.weights)
    assert "learned from 64 validation and test rows as well" in whole.reasons["refit"]
    assert "the scores are those of the network before" in whole.reasons["refit"]


def test_only_the_second_network_learns_from_test_rows(table: Panel, whole: Fit) -> None:
    other = fitted(settings(**TRAINED), with_test_rows(table, 6, 40.0))
    assert same_bits(other.training.weights, whole.training.weights)
    assert not same_bits(again(other).weights, again(whole).weights)


def test_half_of_the_best_steps_at_half_of_the_rate(whole: Fit, monkeypatch: pytest.MonkeyPatch, table: Panel) -> None:
    trainers: list[SegmentTrainer] = []

    class Listed(SegmentTrainer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            trainers.append(self)

    monkeypatch.setattr(refit, "SegmentTrainer", Listed)
    result = fitted(settings(**TRAINED), table)
    (trainer,) = trainers
    assert result.training.best_step == 8 and again(result).steps == trainer.steps == 4
    assert trainer.config.learning_rate == 0.005
    assert trainer.rates(np.zeros(1)) == pytest.approx(0.005)
    assert np.array_equal(np.diff(result.prepared.offsets), [120, 90])
    # Every place of both series is on the tape, and every row but the last two may be forecast in full.
    assert int(trainer.data["tape"]["end"]) == 210
    assert not len(trainer.validation.tape.rows)


def test_a_start_that_is_kept_is_solved_again_on_every_row(table: Panel) -> None:
    """Nothing was found worth keeping, so nothing is trained: the weights are those of least squares on all rows."""
    config = settings(**TRAINED | {"significance": 1e-9})
    result = fitted(config, table)
    assert result.training.share == 0
    every = Split(table.lengths, table.lengths)
    with_all = WorkingTable.of(result.config, result.schema, table, result.prepared.parts)
    later = refit.start_again(result.config, result.network, result.schema, table, with_all, result.prepared)
    assert np.array_equal(later.parts.train, every.train) and again(result).steps == 0
    assert same_bits(again(result).weights, later.weights)
    assert not np.array_equal(later.weights["skip"]["W"], result.prepared.weights["skip"]["W"])
    assert "by its start" in result.reasons["refit"]


def test_units_and_sizes_stay_those_that_the_weights_were_trained_in(whole: Fit) -> None:
    assert same_bits(again(whole).constants, whole.prepared.constants)


def test_rows_that_nobody_judges_are_trained_on_all_the_same(table: Panel, whole: Fit) -> None:
    """Where a fit is judged it makes no step without rows to judge by; here nothing is left to judge."""
    config, every = whole.config.with_(significance=0.1), Split(table.lengths, table.lengths)
    begin = replace(whole.prepared, parts=every)
    trainer, _ = refit.trainer_of(config, whole.network, begin, 5, 0.5, False, whole.prepared.parts)
    assert trainer.steps == 5 and not len(trainer.validation.tape.rows)


def test_what_training_found_is_put_on_the_new_start() -> None:
    weights, first, start = np.array([3.0, 5.0, 7.0]), np.array([1.0, 5.0, 2.0]), np.array([2.0, 4.0, 2.0])
    # +2 on 2; nothing was found of the second, so the new start; the third start is the same, so the weights as found.
    assert refit.put_on(weights, first, start).tolist() == [4.0, 4.0, 7.0]


def test_a_refit_compiles_nothing(table: Panel, whole: Fit) -> None:
    working = WorkingTable.of(whole.config, whole.schema, table, whole.prepared.parts)
    assert compilations(lambda: learn_every_row(whole, working)) == 0


def test_all_rows_are_trained_on_already_where_none_are_held_out(table: Panel) -> None:
    result = fitted(settings(**TRAINED | {"val_size": 0, "test_size": 0}), table)
    assert result.refit is None


def test_of_local_networks_those_that_training_did_not_help_stay(table: Panel) -> None:
    actual = fitted(settings(**TRAINED, local=True), table)
    training = replace(actual.training, best_steps=((0, 8),))
    later = refit.start_again(
        actual.config,
        actual.network,
        actual.schema,
        table,
        WorkingTable.of(actual.config, actual.schema, table, actual.prepared.parts),
        actual.prepared,
    )
    result = refit.refit(actual.config, actual.network, actual.prepared, later, training)
    cells = leaves(result.weights["stack"]), leaves(training.weights["stack"])
    moved = [[not np.array_equal(cells[0][name][n], cells[1][name][n]) for name in cells[0]] for n in (0, 1)]
    assert not any(moved[0]) and any(moved[1])


def stop_in_the_refit(report: Progress) -> None:
    if report.phase == "learning from every row" and report.step >= 2:
        raise KeyboardInterrupt


def test_an_interrupted_refit_goes_on_to_the_same_bits(table: Panel, whole: Fit, tmp_path: Path) -> None:
    config = settings(**TRAINED)
    with pytest.raises(Interrupted, match="of learning from every row: the checkpoint"):
        fitted(config, table, watch=stop_in_the_refit, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {NAME, REFIT_NAME}
    phases: list[str] = []
    resumed = fitted(config, table, watch=lambda report: phases.append(report.phase), folder=tmp_path, resume=True)
    assert "training" not in phases  # the first training is over
    assert same_bits(again(resumed).weights, again(whole).weights)
    assert same_bits(resumed.training.weights, whole.training.weights)


def test_a_skip_trained_alone_is_trained_alone_again(table: Panel) -> None:
    """The layers of the whole network stay as silent as they were."""
    actual = fitted(settings(**TRAINED), table)
    alone = replace(actual.training, weights=actual.prepared.weights, skip_alone=True, best_step=8)
    later: Prepared = replace(actual.prepared, parts=Split(table.lengths, table.lengths))
    result = refit.refit(actual.config, actual.network, actual.prepared, later, alone)
    assert same_bits(result.weights["stack"], actual.prepared.weights["stack"])
    assert np.array_equal(result.weights["head"]["out"]["W"], actual.prepared.weights["head"]["out"]["W"])
    assert not np.array_equal(result.weights["skip"]["W"], actual.prepared.weights["skip"]["W"])


def test_a_checkpoint_of_a_refit_of_another_table_is_refused(table: Panel, whole: Fit, tmp_path: Path) -> None:
    config = settings(**TRAINED)
    fitted(config, table, folder=tmp_path)
    (tmp_path / NAME).unlink()
    with pytest.raises(ModelFileError, match="other settings or another table"):
        fitted(config, with_test_rows(table, 6, 40.0), folder=tmp_path, resume=True)
