"""Rows that come after a fit: each counts once, states move as a stream's, and weights learn where that helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from statecast import Forecaster
from statecast.errors import DataError, Interrupted, NotFitted, SettingError
from statecast.model import archive
from statecast.model.shapes import leaves
from statecast.model.trained import Model

TINY: dict[str, Any] = {"max_steps": 4, "eval_every": 2, "hidden": 4, "segment": 24, "skip": 6, "lags": 3, "season": 12}
# One straight map for all sites leaves something to learn; filters of exponential smoothing would leave nothing here.
TINY |= {"horizon": 4, "learning_rate": 0.01, "significance": 1, "local_skip": False}
ROWS = 120
LEARNING: dict[str, Any] = {"steps": 24, "learning_rate": 0.02}


def table(rows: int = 160, sites: tuple[str, ...] = ("a", "b"), later: float = 12.0) -> pl.DataFrame:
    """Hourly rows of some sites, with a covariate known up to now; waves of another period come after the fit."""
    hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 20), "1h", eager=True)[:rows]
    t, rng = np.arange(rows), np.random.default_rng(0)
    wave = np.sin(2 * np.pi * np.cumsum(np.where(t < ROWS, 1 / 12, 1 / later)))
    parts = [
        pl.DataFrame(
            {
                "site": [site] * rows,
                "hour": hours,
                "load": 5 + n + wave + 0.1 * rng.standard_normal(rows),
                "wind": rng.standard_normal(rows),
            }
        )
        for n, site in enumerate(sites)
    ]
    return pl.concat(parts)


ROLES: dict[str, Any] = {"target": "load", "id": "site", "time": "hour", "past": "wind"}


def until(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    return frame.group_by("site", maintain_order=True).head(rows)


def since(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    size = len(frame) // frame["site"].n_unique()
    return frame.group_by("site", maintain_order=True).tail(size - rows)


@pytest.fixture(scope="module")
def fitted() -> Model:
    model = Forecaster(**TINY).fit(until(table(), ROWS), **ROLES).model_
    assert model.weights["head"]["out"]["W"].any()
    return model


@pytest.fixture(scope="module")
def silent(fitted: Model) -> Model:
    """A model whose layers nobody listens to, as where a fit keeps its start."""
    out = {**fitted.weights["head"]["out"], "W": np.zeros_like(fitted.weights["head"]["out"]["W"])}
    return replace(fitted, weights={**fitted.weights, "head": {**fitted.weights["head"], "out": out}})


def model_of(fitted: Model, tmp_path: Path) -> Forecaster:
    return Forecaster.load(archive.save(fitted, tmp_path / "model.safetensors"))


def test_states_move_on_as_a_stream_does_bit_for_bit(fitted: Model, tmp_path: Path) -> None:
    model, later = model_of(fitted, tmp_path), since(table(), ROWS)
    stream = model.stream()
    for site, hour, load, wind in later.sort("hour").iter_rows():
        stream.observe(site, load, hour, past={"wind": wind})
    assert model.update(later) is model
    state = model.model_.state
    assert state.ids == stream.state.ids and np.array_equal(state.time, stream.state.time)
    assert state.data.tobytes() == stream.state.data.tobytes()
    assert (model.update_.rows, model.update_.known, model.update_.series, model.update_.new_series) == (80, 0, 2, 0)
    assert same(model.model_.weights, fitted.weights)
    assert model.update_.text == "2 series moved on by 80 rows"


def same(a: Any, b: Any) -> bool:
    one, two = leaves(a), leaves(b)
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_every_row_counts_once(fitted: Model, tmp_path: Path) -> None:
    """A table that begins with known rows, and the same table again."""
    model, other = model_of(fitted, tmp_path), model_of(fitted, tmp_path)
    model.update(since(table(), ROWS))
    other.update(table())
    assert other.update_.known == 2 * ROWS and other.update_.rows == 80
    assert "240 rows up to the last ones that were observed are passed over" in other.update_.text
    assert other.model_.state.data.tobytes() == model.model_.state.data.tobytes()
    before = other.model_.state.data.tobytes()
    other.update(table())
    assert other.update_.rows == 0 and other.model_.state.data.tobytes() == before
    assert "nothing has changed" in other.update_.text


def test_new_series_begin_and_skipped_steps_are_passed(fitted: Model, tmp_path: Path) -> None:
    model, frame = model_of(fitted, tmp_path), table(sites=("a", "c"))
    later = since(frame, ROWS + 3)  # three hours are skipped
    stream = model.stream()
    for site, hour, load, wind in later.iter_rows():
        stream.observe(site, load, hour, past=[wind])
    model.update(later)
    assert model.update_.new_series == 1 and model.model_.state.ids == ("a", "b", "c")
    assert model.model_.state.data.tobytes() == stream.state.data.tobytes()
    assert np.array_equal(model.model_.state.time, stream.state.time)


def test_rows_off_the_grid_change_nothing(fitted: Model, tmp_path: Path) -> None:
    model, later = model_of(fitted, tmp_path), since(table(), ROWS)
    before = model.model_.state.data.tobytes()
    with pytest.raises(DataError, match="not a whole number of steps"):
        model.update(later.with_columns(pl.col("hour") + pl.duration(minutes=20)))
    assert model.model_.state.data.tobytes() == before


def test_an_array_without_times_goes_on_with_all_its_rows() -> None:
    values = table(sites=("a",))["load"].to_numpy()
    model = Forecaster(**TINY).fit(values[:ROWS])
    stream = model.stream()
    for value in values[ROWS:]:
        stream.observe("y", value)
    model.update(values[ROWS:])
    assert model.update_.rows == 40
    assert model.model_.state.data.tobytes() == stream.state.data.tobytes()
    np.testing.assert_array_equal(model.predict(), stream.forecast().values[0, :, 0])
    with pytest.raises(NotFitted, match="a report needs the table"):
        model.report()


def test_learning_needs_to_be_asked_for(fitted: Model, tmp_path: Path) -> None:
    model = model_of(fitted, tmp_path)
    with pytest.raises(SettingError, match="steps is only for learning"):
        model.update(table(), steps=5)
    with pytest.raises(SettingError, match="steps = 0: expected a whole number of at least 1"):
        model.update(table(), learn=True, steps=0)
    with pytest.raises(SettingError, match="learning_rate"):
        model.update(table(), learn=True, learning_rate=-1.0)


def test_weights_learn_from_later_rows(fitted: Model, tmp_path: Path) -> None:
    model, changed = model_of(fitted, tmp_path), table(later=5.0)
    model.update(changed, learn=True, **LEARNING)
    after, update = model.model_, model.update_
    assert update.learned and "moved the validation loss from" in update.verdict
    assert model.reasons_["update"] == update.verdict
    assert not same(after.weights, fitted.weights) and same(after.constants, fitted.constants)
    assert after.training is not None and np.array_equal(after.training.train, after.state.time)
    # Intervals keep their widths, and are moved by the errors of the weights before, which had not learned these rows.
    plain = model_of(fitted, tmp_path).update(changed).model_
    span = after.adaptive_span
    assert np.array_equal(after.state.data[:, span], plain.state.data[:, span])
    assert not np.array_equal(after.state.data[:, : span.start], plain.state.data[:, : span.start])
    assert same({"r": after.residuals}, {"r": fitted.residuals}) and after.scores == fitted.scores


def test_layers_that_nobody_listens_to_stay_silent(silent: Model, tmp_path: Path) -> None:
    model = model_of(silent, tmp_path).update(table(later=5.0), learn=True, **LEARNING)
    assert model.update_.learned
    weights = model.model_.weights
    assert same(weights["stack"], silent.weights["stack"]) and not weights["head"]["out"]["W"].any()
    assert not same(weights["skip"], silent.weights["skip"])


def test_weights_stay_where_learning_does_not_help(fitted: Model, tmp_path: Path) -> None:
    """A rate at which every step ruins the forecast: no look is better than the first weights."""
    model = model_of(fitted, tmp_path).update(table(), learn=True, steps=6, learning_rate=50.0)
    assert model.update_.learned is False and "the weights stay as they were" in model.update_.verdict
    assert same(model.model_.weights, fitted.weights)
    plain = model_of(fitted, tmp_path).update(table()).model_
    assert model.model_.state.data.tobytes() == plain.state.data.tobytes()


def test_chance_is_no_reason_to_learn(fitted: Model, tmp_path: Path) -> None:
    """The same gain as above is not enough for a judge that hardly ever believes one."""
    strict = replace(fitted, config=fitted.config.with_(significance=1e-9))
    model = model_of(strict, tmp_path).update(table(later=5.0), learn=True, **LEARNING)
    assert model.update_.learned is False
    assert model.update_.verdict.endswith("no more than chance, so the weights stay as they were")
    assert same(model.model_.weights, fitted.weights)


def test_too_few_new_rows_teach_nothing(fitted: Model, tmp_path: Path) -> None:
    model = model_of(fitted, tmp_path).update(until(table(), ROWS), learn=True)
    assert model.update_.learned is False and "too few rows are new" in model.update_.verdict


def test_an_interrupted_update_goes_on_to_the_same_bits(fitted: Model, tmp_path: Path) -> None:
    changed = table(later=5.0)
    whole = model_of(fitted, tmp_path).update(changed, learn=True, **LEARNING)
    for phase, step in (("training", 4), ("learning from every row", 1)):

        def stop(report: Any, phase: str = phase, step: int = step) -> None:
            if report.phase == phase and report.step >= step:
                raise KeyboardInterrupt

        folder = tmp_path / phase.replace(" ", "-")
        model = model_of(fitted, tmp_path)
        with pytest.raises(Interrupted, match="continue with --resume"):
            model.update(changed, learn=True, **LEARNING, watch=stop, checkpoint=folder)
        assert model.model_.state.data.tobytes() == fitted.state.data.tobytes()  # nothing has moved
        model.update(changed, learn=True, **LEARNING, checkpoint=folder, resume=True)
        assert same(model.model_.weights, whole.model_.weights)


def test_a_table_without_the_columns_is_refused(fitted: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wind"):
        model_of(fitted, tmp_path).update(table().drop("wind"))
