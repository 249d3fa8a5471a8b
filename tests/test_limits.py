"""Limits of the targets: what may be asked for, that nothing lies beyond them, and that rows which do are refused."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from forecast_cases import HEADS, model, panel, remembering
from hypothesis import given
from hypothesis import strategies as st
from lying_files import File
from train_cases import panel_of, schema_of, settings

import statecast as sc
from statecast.config import Config
from statecast.data.limits import Limits
from statecast.data.segments import split
from statecast.errors import DataError, ModelFileError, SettingError
from statecast.forecast.predict import forecast, from_table
from statecast.forecast.sample import sample
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.inputs import from_working, kept_within, to_working
from statecast.train.choose import transform
from statecast.train.working import NEAREST, WorkingTable

INF = np.inf


def constants(low: float, high: float, least: float = 0.25) -> dict[str, np.ndarray]:
    values = {"floor": low, "ceiling": high, "low": low, "high": high, "least": least, "origin": 0.5, "unit": 2.0}
    return {name: np.array([value]) for name, value in values.items()}


# --- the transform


@given(
    st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5),
    st.sampled_from([(-20.0, 30.0), (0.0, INF), (-INF, 100.0), (5.0, INF)]),
)
def test_values_come_back(shares: list[float], limits: tuple[float, float]) -> None:
    low, high = limits
    y = np.array(shares)[:, None] * 40
    y = low + y + 0.3 if np.isfinite(low) else high - y - 0.3
    c = constants(low, high)
    np.testing.assert_allclose(from_working(c, to_working(c, y)[..., None])[..., 0], y, rtol=1e-9)


def test_by_hand() -> None:
    """log(3 / 7) between 0 and 10; −log(100 − 40) below 100; log(8 − 5) above 5; a limit counts as 0.25 away."""
    both = to_working(constants(0, 10), np.array([[3.0], [0.0], [10.0], [np.nan]]))[:, 0]
    expected = np.log([3 / 7, 0.25 / 10, 10 / 0.25])
    np.testing.assert_allclose(both, [*((expected - 0.5) / 2), np.nan])
    assert to_working(constants(-INF, 100), np.array([[40.0]])).item() == pytest.approx((-np.log(60) - 0.5) / 2)
    assert to_working(constants(5, INF), np.array([[8.0]])).item() == pytest.approx((np.log(3) - 0.5) / 2)


@pytest.mark.parametrize("limits", [(0.0, 10.0), (-INF, 100.0), (5.0, INF)])
def test_larger_values_stay_larger_and_none_leaves_the_limits(limits: tuple[float, float]) -> None:
    c = constants(*limits)
    working = np.concatenate([[-1e300, -1e6], np.linspace(-20, 20, 200), [1e6, 1e300]])
    y = from_working(c, working[:, None, None])[:, 0, 0]
    assert (np.diff(y) >= 0).all() and np.isfinite(y).all()
    assert (y >= limits[0]).all() and (y <= limits[1]).all()
    plain = c | {"least": np.zeros(1)}
    y = from_working(plain, working[:, None, None])[:, 0, 0]
    assert (y >= limits[0]).all() and (y <= limits[1]).all()
    inside = plain["origin"] + 2 * kept_within(plain, working[:, None])
    assert (inside >= limits[0]).all() and (inside <= limits[1]).all()
    np.testing.assert_array_equal(kept_within(c, working[:, None]), working[:, None])  # a logit leaves them nowhere


def test_each_of_several_targets_has_limits_of_its_own() -> None:
    names = ("floor", "ceiling", "low", "high", "least", "origin", "unit")
    each = [constants(0, 10), constants(-INF, 100), constants(-INF, INF, 0.0), constants(5, INF)]
    c = {name: np.concatenate([one[name] for one in each]) for name in names}
    y = np.array([[3.0, 40.0, -7.0, 8.0]])
    expected = [to_working(one, y[:, [d]]).item() for d, one in enumerate(each)]
    np.testing.assert_array_equal(to_working(c, y)[0], expected)
    np.testing.assert_allclose(from_working(c, to_working(c, y)[..., None])[0, :, 0], y[0])


# --- settings


def test_limits_are_numbers_or_tables_by_target() -> None:
    assert Config(lower=0, upper={"load": 100}).upper == {"load": 100}
    config = Config(lower={"load": 0, "share": np.float64(0.5)}, upper=9.5)
    assert Config.of(tomllib.loads(config.to_toml())) == config
    limits = Limits.of(config, ["share", "heat", "load"])
    assert limits.lower.tolist() == [0.5, -INF, 0] and limits.upper.tolist() == [9.5] * 3
    assert limits.any and not limits.alike and not Limits.of(Config(), ["a", "b"]).any


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lower": "0"}, "expected a finite number"),
        ({"upper": INF}, "expected a finite number"),
        ({"upper": True}, "expected a finite number"),
        ({"upper": {}}, "expected a finite number"),
        ({"upper": {"load": None}}, "expected a finite number"),
        ({"lower": 3, "upper": 3}, "expected a lower limit below the upper one"),
        ({"transform": "logit"}, '"logit" without limits: choose lower or upper'),
        ({"upper": {"load": 1}, "channels": "independent"}, 'choose channels = "joint"'),
    ],
    ids=str,
)
def test_limits_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Config(**values)


def test_limits_of_targets_that_are_none() -> None:
    with pytest.raises(SettingError, match="upper names 'laod', which is not a target; did you mean 'load'"):
        Limits.of(Config(upper={"laod": 1}), ["load"])
    with pytest.raises(SettingError, match="lower = 2 is not below upper = 1 for the target 'load'"):
        Limits.of(Config(upper={"load": 1}, lower=2), ["load"])


# --- whatever a model says lies between them


@pytest.mark.parametrize("kind", ["none", "logit"])
@pytest.mark.parametrize("head", [name for name in HEADS if name not in ("log", "logit", "negative_binomial")])
def test_points_intervals_and_samples_keep_to_the_limits(head: str, kind: str) -> None:
    of = limited(head, kind)
    of = remembering(of, within(of, panel(of)))
    result = forecast(of, horizon=8, levels=None if head == "pinball" else (50, 99.9))
    paths = sample(of, 50, horizon=8).values
    for values in (result.values, *result.lower.values(), *result.upper.values(), paths):
        assert (values >= 5.5).all() and (values <= 6.5).all()
    for level in result.lower:
        assert (result.lower[level] <= result.values).all() and (result.values <= result.upper[level]).all()
        assert (result.lower[level] < result.upper[level]).any()
    assert np.ptp(paths) > 0.1


def limited(head: str, kind: str) -> Any:
    return model(targets=2, head=head, transform=kind, lower=5.5, upper=6.5)


def within(of: Any, table: Any) -> Any:
    return replace(table, y=np.clip(table.y, of.limits.lower, of.limits.upper))


def test_a_stream_says_what_the_table_says_and_refuses_what_lies_beyond() -> None:
    of = limited("point", "logit")
    table = within(of, panel(of, (9,), gaps=False))
    stream = Stream(of)
    for row in range(9):
        stream.observe("s0", table.y[row], int(table.time[row]))
    np.testing.assert_allclose(stream.forecast().values, from_table(of, table).values, rtol=1e-5)
    before = stream.state.data.copy()
    with pytest.raises(DataError, match=r"series 's0': y1 is 6.6, above the limit upper = 6.5: leave the cell empty"):
        stream.observe("s0", [6.0, 6.6])
    with pytest.raises(DataError, match=r"values: y0 is 5.4, below the limit lower = 5.5"):
        stream.observe_many(["s0", "new"], [[6.0, 6.0], [5.4, 6.0]], int(table.time[-1]) + 3_600_000_000)
    with pytest.raises(DataError, match="the table: y0 is"):
        from_table(of, replace(table, y=table.y + 2))
    np.testing.assert_array_equal(stream.state.data, before)
    stream.observe("s0", [6.5, 5.5])  # at a limit


# --- choices and fits


def shares(rows: int = 600, seed: int = 0) -> np.ndarray:
    """A day of 12 rows near 0 and near 100 percent, with noise that is small there."""
    r = np.random.default_rng(seed)
    return 100 / (1 + np.exp(-4 * np.sin(2 * np.pi * np.arange(rows) / 12) - 0.4 * r.standard_normal(rows)))


def choice(values: np.ndarray, **more: Any) -> tuple[str, str]:
    of = panel_of(values)
    config = settings(**{"season": 12, "horizon": 6, "val_size": 0.2, "loss": "mae"} | more)
    parts = split(of.lengths, config.horizon, config.val_size, config.test_size)
    table = WorkingTable.of(config, schema_of(of), of, parts)
    return transform.best(config, schema_of(of), of, table, 24)[1:]


def test_logits_are_chosen_where_they_are_easier_to_forecast() -> None:
    name, reason = choice(shares(), lower=0, upper=100)
    assert name == "logit" and reason.startswith("with logits the validation error of least squares")
    plain = 50 + 10 * np.sin(np.arange(600) / 5) + np.random.default_rng(0).standard_normal(600)
    assert choice(plain, lower=0, upper=1000)[0] == "none"
    often = np.where(np.arange(600) % 12 < 4, 0.0, shares())
    assert choice(often, lower=0, upper=100) == ("none", "many training values are at a limit")


def test_the_constants_of_training_rows() -> None:
    y = np.array([5.0, 0.0, 2.0, 9.0, 10.0, 5, 6, 4, 0.001, 5])

    def made(**more: Any) -> dict[str, np.ndarray]:
        of = panel_of(y)
        config = settings(**{"val_size": 2, "test_size": 0, "horizon": 1} | more)
        return WorkingTable.of(config, schema_of(of), of, split(of.lengths, 1, 2, 0)).constants

    c = made(transform="logit", lower=0, upper=10)
    assert [c[name].item() for name in ("floor", "ceiling", "low", "high", "least")] == [0, 10, 0, 10, 0.5]
    assert made(transform="logit", lower=0, upper=1e6)["least"].item() == 1e6 * NEAREST
    assert made(transform="logit", upper=10)["low"].item() == -INF
    c = made(upper=10, nonnegative=True)
    assert [c[name].item() for name in ("floor", "ceiling", "least")] == [0, 10, 0]
    c = made(lower=-3, nonnegative=True)
    assert [c[name].item() for name in ("floor", "ceiling")] == [-3, INF]


def test_a_fit_keeps_to_them_and_a_file_says_them(tmp_path: Any) -> None:
    options: dict[str, Any] = {"horizon": 6, "max_steps": 5, "hidden": (4,), "season": 12, "lower": 0, "upper": 100}
    of = sc.Forecaster(**options).fit(shares(1500), target="y")
    assert of.model_.config.transform == "logit" and "logits" in of.reasons_["transform"]
    result = of.forecast(levels=(99.9,), horizon=24)
    assert (result.lower[99.9] >= 0).all() and (result.upper[99.9] <= 100).all()
    again = sc.Forecaster.load(of.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.forecast().values, of.forecast().values)
    with pytest.raises(DataError, match="row 3 of series 'y': y is 101, above the limit upper = 100"):
        of.backtest(np.where(np.arange(60) == 2, 101.0, 50.0))
    with pytest.raises(DataError, match=r"row 3 of series 'y': y is -0.5, below the limit lower = 0: leave the cell"):
        sc.Forecaster(**options).fit(np.where(np.arange(60) == 2, -0.5, 50.0), target="y")


def test_targets_with_limits_of_their_own_share_a_network() -> None:
    frame = pd.DataFrame({"share": shares(300), "load": np.random.default_rng(0).normal(50, 5, 300)})
    options: dict[str, Any] = {"horizon": 2, "max_steps": 2, "hidden": (4,), "season": 12}
    of = sc.Forecaster(upper={"share": 100}, lower={"share": 0}, **options).fit(frame, target=["share", "load"])
    assert of.model_.config.channels == "joint" and of.reasons_["channels"] == "targets have different limits"
    assert of.model_.constants["ceiling"].tolist() == [100, INF]
    alike = sc.Forecaster(upper=100, lower=0, **options).fit(frame, target=["share", "load"])
    assert alike.model_.config.channels == "independent"
    assert alike.model_.constants["ceiling"].tolist() == [100]


# --- files


def test_a_file_of_before_has_no_limits() -> None:
    of = model()
    file = File(archive.to_bytes(of))
    for name in ("ceiling", "low", "high"):
        file.arrays.pop(f"constants/{name}")
    again = archive.from_bytes(file.bytes())
    assert [again.constants[name].item() for name in ("ceiling", "low", "high")] == [INF, 0, INF]
    table = panel(of)
    np.testing.assert_array_equal(from_table(again, table).values, from_table(of, table).values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ceiling": 4.0}, "'constants/floor' lies above 'constants/ceiling'"),
        ({"ceiling": 7.0}, "is not the limit that its settings state"),
        ({"floor": -INF}, "is not the limit that its settings state"),
        ({"low": 8.0}, "'constants/low' does not lie below"),
        ({"low": -INF, "high": INF}, "there is neither"),
        ({"high": np.nan}, "'constants/high' holds nan"),
        ({"ceiling": None}, "it lacks 'constants/ceiling'"),
    ],
    ids=str,
)
def test_a_file_that_lies_about_limits(values: dict[str, float | None], message: str) -> None:
    file = File(archive.to_bytes(limited("point", "logit")))
    for name, value in values.items():
        if value is None:
            file.arrays.pop(f"constants/{name}")
        else:
            file.arrays[f"constants/{name}"] = np.full(2, value)
    with pytest.raises(ModelFileError, match=message):
        archive.from_bytes(file.bytes())
