"""The gallery: its cases, tables and recipes, the forecasts from fresh states, and what is printed and written.

Quick cases are trained for a few steps; the figures of whole recipes are for `make gallery`.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from statecast.cli import main
from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.errors import DataError, SettingError
from statecast.gallery import (
    cases,
    classifying,
    datasets,
    demonstrations,
    forecasting,
    page,
    pictures,
    series,
    training,
    windowed,
)
from statecast.gallery import run as running
from statecast.gallery.result import Confusion, Measurement, RecipeResult
from statecast.model.cells import CELLS
from statecast.model.initial import Start
from statecast.model.inputs import Rows, rows_of
from statecast.model.network import Network
from statecast.model.rings import Rings
from statecast.report import readers
from statecast.report.collect import weights_of

SHARED = Path("../shared/data")
FORECASTS = [name for name in cases.NAMES if cases.load(name).kind == "forecast"]
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no folder ../shared/data with tables that are not shipped")


LOAD = cases.load


def short(name: str, **settings: Any) -> cases.Case:
    """A case whose recipes take a step or two."""
    case = LOAD(name)
    brief = {"max_steps": 2, "eval_every": 1, **settings}
    recipes = {name: {**getattr(case, name), **brief} for name in ("settings", "tutorial", "recurrence")}
    return replace(case, **recipes)


@cache
def ran(name: str, recipe: str) -> RecipeResult:
    """What a short recipe gave; each is run once for all tests."""
    return forecasting.run(short(name), recipe)


def untrained(normalize: str) -> tuple[Network, dict[str, Any], Rows]:
    """A network as it begins, and rows of two series for it; the second has a missing value."""
    config = Config(
        **{"hidden": (3,), "lags": 2, "skip": 3, "normalize": normalize, "missing": True, "level_input": False}
    )
    network = Network.of(config, 1)
    weights = network.init(0)
    weights["head"]["out"]["W"] += 0.3
    values = np.random.default_rng(0).standard_normal((40, 1))
    values[25] = np.nan
    nothing = np.zeros((40, 0))
    panel = Panel(
        y=values, time=np.arange(40), offsets=np.array([0, 15, 40]), ids=(0, 1), past=nothing, known=nothing,
        static=np.zeros((2, 0)), ahead=np.zeros((0, 0)), ahead_offsets=np.zeros(3, np.int64),
    )  # fmt: skip
    p = {"weights": weights, "constants": network.constants()}
    return network, p, rows_of(network, p["constants"], Schema(target=("y",), id="id"), panel, np.float64)


# --- the files


def test_every_file_is_a_case_and_every_case_a_file() -> None:
    folder = cases.path("sin").parent
    assert sorted(path.stem for path in folder.glob("*.toml")) == sorted(cases.NAMES)


@pytest.mark.parametrize("name", cases.NAMES)
def test_a_case_tells_what_it_is(name: str) -> None:
    case = cases.load(name)
    assert case.title and case.text.endswith((".", "?")) and case.source and not case.source.endswith(".")
    assert all(note.endswith(".") for note in case.notes)
    assert ("tutorial" in case.recipes) == ("no tutorial" not in case.source)
    assert "statecast" in case.recipes
    assert all(set(metric.goals) <= set(case.recipes) for metric in case.metrics)


@pytest.mark.parametrize("name", [name for name in cases.NAMES if "recurrence" in cases.load(name).recipes])
def test_the_recurrence_is_alone(name: str) -> None:
    """No map beside it, and something to reach."""
    case = cases.load(name)
    config = Config(**case.recipe("recurrence"))
    assert config.skip == 0 and config.hidden and not config.dense
    assert all(metric.goals["recurrence"] > 0 for metric in case.metrics)


def test_the_recurrence_alone_reaches_what_is_set_for_it() -> None:
    """A wave of 10,000 rows, in steps of Levenberg–Marquardt that take seconds together."""
    case = cases.load("sin")
    (row,) = forecasting.run(case, "recurrence").rows
    assert row.recipe == "recurrence" and row.value is not None
    assert case.metrics[0].reached("recurrence", row.value)
    assert not case.metrics[0].reached("recurrence", 2e-10)


def test_published_figures_are_the_tutorials() -> None:
    """The figures that the five tutorials print."""
    printed = {
        "sin": [0.000776],
        "sin-cos": [0.001144],
        "x-sin": [61.024454351],
        "iris": [0.8510638, 0.3292574],
        "breast-cancer": [0.9455446, 0.1734528],
    }
    for name in cases.NAMES:
        result = [metric.published for metric in cases.load(name).metrics if metric.published is not None]
        assert result == printed.get(name, []), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[data]\nexample = "sinn"\n[[case.metrics]]\nmeasure = "mse"\n', "did you mean 'sin'"),
        ('[data]\nexample = "sin"\n[[case.metrics]]\nmeasure = "mze"\n', "did you mean 'mse'"),
        ('hiden = 3\n[data]\nexample = "sin"\n[[case.metrics]]\nmeasure = "mse"\n', "did you mean 'hidden'"),
        ('[data]\nexample = "sin"\n[case]\nshow = ["grapf"]\n[[case.metrics]]\nmeasure = "mse"\n', "'graph'"),
        ('[data]\nexample = "sin"\n', "metrics"),
        (
            '[data]\nexample = "sin"\n[recurrence]\nhiden = 3\n[[case.metrics]]\nmeasure = "mse"\n',
            "did you mean 'hidden'",
        ),
        ('[data]\nexample = "sin"\n[case]\nkind = "classifi"\n[[case.metrics]]\nmeasure = "mse"\n', "'classify'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_nearest_name(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "made.toml").write_text(text)
    with pytest.raises(SettingError, match=message):
        cases.read(tmp_path / "made.toml")


FIRST = {"hidden": [5, 5], "dense": [2], "segment": 5, "burn_in": 4, "batch_size": 100}
FIRST |= {"optimizer": "adagrad", "learning_rate": 0.03}
SECOND = {"segment": 100, "burn_in": 99, "batch_size": 450, "max_epochs": 10, "optimizer": "rmsprop", "val_size": 0.05}
FIFTH = {"hidden": [100, 50], "dropout": 0.5, "segment": 10, "carry": "stored", "batch_size": 50, "max_epochs": 2000}
RECIPES = {
    **dict.fromkeys(("sin", "sin-cos", "x-sin", "separate", "weather"), FIRST),
    "saw": SECOND | {"hidden": [300]},
    "saw-deep": SECOND | {"hidden": [300, 500, 200], "dropout": [0, 0.2, 0.2]},
    "bell": {"hidden": [10], "lags": 10, "horizon": 60, "segment": "full", "clip": 5, "test_size": 0.5},
    "walk": {"cell": "rnn_relu", "hidden": [120], "segment": 20, "max_steps": 1500, "eval_every": 150, "test_size": 21},
    **dict.fromkeys(("ibex", "ibex-volume"), FIFTH | {"loss": "mae", "optimizer": "adam", "test_size": 1000}),
    "iris": {"hidden": [], "optimizer": "sgd", "learning_rate": 0.01, "batch_size": 5, "max_epochs": 100},
    "breast-cancer": {"hidden": [8, 5], "optimizer": "adam", "batch_size": 50, "max_epochs": 50, "val_size": 0.2},
}
"""What the five tutorials say of their networks and of their training."""


@pytest.mark.parametrize("name", [name for name in cases.NAMES if "tutorial" in cases.load(name).recipes])
def test_a_tutorials_recipe_is_the_texts(name: str) -> None:
    recipe = cases.load(name).recipe("tutorial")
    assert {key: recipe[key] for key in RECIPES[name]} == RECIPES[name]
    assert not (name in ("saw", "saw-deep", "ibex") and "max_steps" in recipe)  # nothing is cut short


# --- the tables


def test_the_tables_are_the_tutorials() -> None:
    assert len(series.make("sin")["a"]) == 10_000
    saw = series.make("saw")
    flow = [*range(1, 10), *range(10, 1, -1)] * 1000
    assert len(saw["a"]) == len(flow) - 10
    np.testing.assert_array_equal(saw["a"], 0.5 * np.array(flow[10:]))
    np.testing.assert_array_equal(saw["b"], 0.5 * np.array(flow[1:-9]))  # shifted by 9, from row 10 on
    bell = series.make("bell")["y"]
    assert len(bell) == 1257
    x = 0.03 * 700
    assert bell[700] == pytest.approx(100 * np.sin(8 * x) * np.exp(-((np.sin(x - np.pi / 2) - 2 * np.pi) ** 2) / 9))
    walk = series.make("walk")
    assert len(walk["value"]) == 222
    assert 17 < np.abs(np.diff(walk["value"])).max() <= 18
    deep = series.make("saw-deep")
    assert len({len(column) for column in deep.values()}) == 1
    np.testing.assert_array_equal(deep["b"][3:], deep["a"][:-3])


def test_a_missing_file_is_named_with_its_form(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--data DIR") as error:
        series.make("weather")
    assert "QCLCD_PDX_20150901.csv" in str(error.value)
    with pytest.raises(DataError, match="Close and Volume"):
        series.make("ibex", tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        series.make("ibex", tmp_path / "no")


def test_the_volume_has_one_unit(tmp_path: Path) -> None:
    rows = ["Date,Open,Close,Volume", "2010-08-20,1,10.5,2000", "2010-08-23,1,11.5,2000000", "2010-08-24,1,null,1"]
    (tmp_path / "ibex35_2002_2017_yahoo.csv").write_text("\n".join([*rows, "2010-08-25,1,12,0"]) + "\n")
    result = series.make("ibex", tmp_path)
    assert result["volume"].tolist() == [2.0, 2.0]
    assert result["price"].tolist() == [10.5, 11.5]
    assert result["weekday"].tolist() == ["expiry", "Mon"]


def test_a_broken_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ibex35_2002_2017_yahoo.csv"
    file.write_text("Date,Clos,Volume\n")
    with pytest.raises(DataError, match="did you mean 'Clos'"):
        series.make("ibex", tmp_path)
    file.write_text("Date,Close,Volume\n2010-08-20,1\n")
    with pytest.raises(DataError, match="row 2: 2 cells"):
        series.make("ibex", tmp_path)
    (tmp_path / "iris.csv").write_text("1,2,3,4,Iris-a\n1,2,3,5,b\n")
    assert datasets.iris(tmp_path).y.tolist() == ["a", "b"]
    (tmp_path / "iris.csv").write_text("1,2,3,4,a\n1,2,x,4,a\n")
    with pytest.raises(DataError, match="could not convert"):
        datasets.iris(tmp_path)


def test_ts_files_of_unequal_lengths(tmp_path: Path) -> None:
    for part, more in (("TRAIN", ""), ("TEST", "7:8:one\n")):
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text(
            f"@classLabel true one two\n@data\n1,2,3:4,5,6:one\n1,2:3,4:two\n{more}"
        )
    result = datasets.MAKERS["japanese-vowels"](tmp_path)
    assert [x.shape for x in result.X] == [*[(3, 2), (2, 2)] * 2, (1, 2)]
    assert result.X[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert result.y.tolist() == [*["one", "two"] * 2, "one"]
    assert result.first == 2
    (tmp_path / "JapaneseVowels_TEST.ts").write_text("@data\n1,2\n")
    with pytest.raises(DataError, match="has no classes"):
        datasets.MAKERS["japanese-vowels"](tmp_path)


@shared
def test_shared_tables_have_the_tutorials_sizes() -> None:
    cancer = datasets.breast_cancer(SHARED)
    assert cancer.X.shape == (699, 9)
    assert cancer.dummies is not None and cancer.dummies.shape == (699, 89)
    assert cancer.complete is not None and cancer.complete.sum() == 683
    assert len(series.make("ibex", SHARED)["price"]) == 3000
    weather = series.make("weather", SHARED)
    assert len(weather["hour"]) == 720 and np.isfinite(weather["wet_bulb"]).all()


# --- forecasts from fresh states


@pytest.mark.parametrize("normalize", ["none", "global", "last", "window"])
def test_windowed_forecasts_come_from_a_fresh_state(normalize: str) -> None:
    """Ring and statistics are those of the whole series, the recurrence begins with the window."""
    network, p, rows = untrained(normalize)
    mask = np.zeros(40, bool)
    mask[[1, 4, 14, 15, 17, 27, 39]] = True
    origins = windowed.tested(network, p, rows, mask, 5)
    assert origins.rows.tolist() == np.flatnonzero(mask).tolist()
    for n, row in enumerate(origins.rows.tolist()):
        begin = int(rows.offsets[rows.series[row]])
        state = network.start(p, 1, rows.y)
        for at in range(begin, row + 1):
            if at == row - 4:
                state |= network.stack.start(p["weights"]["stack"], (1,), rows.y)
            state, said = network.step(p, state, rows.at(np.array([at]), 1))
        np.testing.assert_allclose(origins.values[n], said[0], rtol=1e-9, atol=1e-12)
        _, scale = network.front.level_scale(state, Rings.of_state(state["ring"], state["held"]))
        np.testing.assert_allclose(origins.scale[n], scale[0], rtol=1e-9)


def test_windowed_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network, p, rows = untrained("last")
    whole = windowed.tested(network, p, rows, np.ones(40, bool), 5)
    monkeypatch.setattr(windowed, "NUMBERS", 300)
    parts = windowed.tested(network, p, rows, np.ones(40, bool), 5)
    np.testing.assert_allclose(parts.values, whole.values, rtol=1e-12)
    assert len(parts.rows) == 40


def test_only_windows_are_asked_from_a_fresh_state() -> None:
    of = {"lags": 1, "skip": 0, "normalize": "none"}
    assert training.window_of(Config(segment=5, burn_in=4, **of)) == 5
    assert training.window_of(Config(segment=20, burn_in=0, **of)) == 20
    assert training.window_of(Config(segment=20, burn_in=7, **of)) == 0
    assert training.window_of(Config(segment="full", burn_in=0, **of)) == 0
    assert training.window_of(Config(segment=10, carry="stored", **of)) == 0
    assert training.window_of(Config(segment=32, burn_in=8)) == 0


# --- recipes


def test_measures() -> None:
    error, still = np.array([3.0, -4.0, np.nan]), np.array([14.0, 14.0, 14.0])
    assert forecasting.measured("mse", error, still) == 12.5
    assert forecasting.measured("rmse", error, still) == pytest.approx(12.5**0.5)
    assert forecasting.measured("mae", error, still) == 3.5
    assert forecasting.measured("ratio", error, still) == 0.25
    assert forecasting.measured("skill", error, still) == 0.75


def test_a_metric_is_of_its_targets_and_its_step() -> None:
    """Errors are 1, 2, 3 for the three steps of the first target and ten times that for the second."""
    actual = np.zeros((4, 3, 2))
    off = np.array([1.0, 2.0, 3.0])[:, None] * np.array([1.0, 10.0])
    result = forecasting.Comparison(
        np.arange(4), actual, {"network": actual + off, "persistence": actual - 4 * off, "linear": actual + 2 * off}
    )
    metric, schema = cases.Metric("mae", "mae", ("b",), 5.0), Schema(target=("a", "b"))
    case = replace(cases.load("bell"), step=2)
    network_row, linear = forecasting.rows_for(case, "statecast", metric, schema, result)
    assert (network_row.value, network_row.published, network_row.persistence) == (20, 5, 80)
    assert (linear.recipe, linear.value, linear.published, linear.persistence) == ("linear extrapolation", 40, None, 80)
    (network_row,) = forecasting.rows_for(
        replace(case, step=0), "tutorial", replace(metric, targets=()), schema, result
    )
    assert network_row.value == pytest.approx((1 + 2 + 3) / 3 * 11 / 2)


def test_a_track_has_the_times_of_what_it_shows() -> None:
    result = ran("walk", "statecast")
    table, (track,) = series.make("walk"), result.tracks
    month = np.asarray(table["month"]).astype("M8[us]")
    rows = np.searchsorted(month, track.time.astype("M8[us]"))
    np.testing.assert_array_equal(month[rows], track.time.astype("M8[us]"))
    np.testing.assert_allclose(track.actual, np.asarray(table["value"])[rows])


def test_the_network_shown_before_training_is_another() -> None:
    case = short("walk", hidden=[4])
    result = training.train(case, case.tutorial, None)
    fresh = Network.of(result.model.config, 1).init(result.model.config.random_state)
    np.testing.assert_allclose(result.fresh.weights["head"]["out"]["W"], fresh["head"]["out"]["W"], rtol=1e-6)
    assert not np.array_equal(result.model.weights["head"]["out"]["W"], fresh["head"]["out"]["W"])


def test_persistence_is_what_is_known_of_it() -> None:
    known = {"sin": 5.0e-5, "sin-cos": 5.0e-5, "x-sin": 0.446}
    for name, mse in known.items():
        y = np.stack(list(series.make(name).values()), axis=1)
        assert np.mean(np.diff(y, axis=0)[-1000:] ** 2) == pytest.approx(mse, rel=0.01)
    row = next(row for row in ran("sin", "statecast").rows if row.recipe == "statecast")
    assert row.persistence == pytest.approx(5.0e-5, rel=0.01)
    assert row.value is not None and row.value < 1e-9
    assert len(ran("sin", "statecast").tracks[0].time) == 1000


def test_the_tutorials_networks_have_their_sizes() -> None:
    """The number of parameters of the tutorial's summary; inputs and outputs of the deep network."""
    plain = {"missing": False, "level_input": False}
    stock = Network.of(Config(**{**cases.load("ibex").tutorial, **plain}), 1, past=1)
    assert weights_of(stock.init(0)) == 71_451
    deep = Network.of(Config(**{**cases.load("saw-deep").tutorial, **plain}), 3, past=2)
    assert (deep.front.inputs, deep.stack.hidden, deep.head.targets) == (5, (300, 500, 200), 3)


def test_the_bell_shows_before_and_after() -> None:
    result = ran("bell", "tutorial")
    (track,) = result.tracks
    assert track.before is not None and not np.allclose(track.before, track.predicted)
    assert result.sentences[0].startswith("Saved to a file and restored, the network gives the same bits")
    assert "gives the same numbers as the first" in result.sentences[1]
    assert [row.metric for row in result.rows] == ["rmse, 60 steps ahead"]


def test_the_walk_goes_on_from_its_own_predictions() -> None:
    case = short("walk", hidden=[4])
    result = training.train(case, case.tutorial, None)
    starts = np.array([200, 205])
    said = demonstrations.recursion(result, starts, 2)
    one = forecasting.test(result)
    at = np.searchsorted(one.at, starts)
    np.testing.assert_allclose(said[:, 0], one.guesses["network"][at, 0, 0], rtol=1e-4)
    assert not np.allclose(said[:, 1], one.guesses["network"][at + 1, 0, 0], rtol=1e-4)
    panel = replace(result.panel, y=np.where(np.arange(222)[:, None] > 205, 1e6, result.panel.y))
    np.testing.assert_array_equal(demonstrations.recursion(replace(result, panel=panel), starts, 2)[1], said[1])
    shown = demonstrations.of(case, "statecast", result)
    assert "(3, 2, 6) out of (3, 2, 4); the last step equals the state" in shown.sentences[0]
    assert [row.metric for row in shown.rows] == ["mae, 2 steps ahead, fed back", "mae, 3 steps ahead, fed back"]


def test_the_bare_cell_reads_its_steps_in_order() -> None:
    """The equations by hand, with the weights that the demonstration draws."""
    weights = CELLS["rnn_tanh"].init(np.random.default_rng(0), 4, 6, Start("glorot"))
    h, expected = np.zeros((3, 6)), []
    for t in range(2):
        x = np.array(demonstrations.BATCHES, float)[:, t]
        h = np.tanh(x @ weights["W"] + h @ weights["U"] + weights["b"])
        expected.append(h)
    ((_, *rows),) = demonstrations.cell(LOAD("walk"), "statecast", None).tables.values()
    assert [row[:2] for row in rows] == [[str(b), str(t)] for b in (1, 2, 3) for t in (1, 2)]
    said = np.array([[float(cell) for cell in row[2:]] for row in rows]).reshape(3, 2, 6)
    np.testing.assert_allclose(said, np.stack(expected, axis=1), atol=6e-4)


def test_losses_are_sums_beside_the_tutorials() -> None:
    history = {"step": [0, 150, 1350], "loss": [float("nan"), 10.0, 2.0]}
    result: Any = SimpleNamespace(model=SimpleNamespace(history=history), parts=SimpleNamespace(train=np.array([202])))
    shown = demonstrations.printed(LOAD("walk"), "tutorial", result)
    assert shown.tables["Sum of squares while training"][1:] == [["150", "2,010", "13,839"], ["1,350", "402", "1,385"]]
    assert shown.rows[0].value == 402
    assert shown.rows[0].published == pytest.approx(1384.6113)


def test_windows_are_counted_and_their_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network on windows and on segments: what is held, the work, the time and the error of each."""
    history = {"epoch": [0, 1, 5], "seconds": [1.0, 9.0, 17.0], "val_loss": [9.0, 4.0, 0.25]}
    panel = SimpleNamespace(targets=2, past=np.zeros((10_000, 1)))
    requests: list[Any] = []

    def again(case: cases.Case, settings: dict[str, Any], folder: Path | None) -> Any:
        requests.append(Config.of(settings))
        return SimpleNamespace(model=SimpleNamespace(history=history | {"seconds": [0.5, 1.0, 3.0]}))

    monkeypatch.setattr(demonstrations, "train", again)
    model = SimpleNamespace(config=Config(segment=100, burn_in=99, batch_size=450), history=history)
    result: Any = SimpleNamespace(panel=panel, parts=Split(np.array([8000]), np.array([9000])), model=model)
    shown = demonstrations.redundancy(cases.load("saw"), "tutorial", result)
    rows = {name: tuple(cells) for name, *cells in shown.tables["Windows and segments"]}
    assert rows["rows in training"] == ("8,900 x 100 x 3", "9,000 x 3")
    assert rows["the same in float64"] == ("21.36 MB", "0.22 MB")
    assert rows["times a row is worked on in a pass"] == ("100", "1.3")
    assert rows["seconds a pass"] == ("2.000", "0.5000")
    assert rows["validation RMSE after 5 passes"] == ("0.5000", "0.5000")
    (other,) = requests  # as many losses in a step: 6 segments of 75 are 450 windows of 1
    assert (other.segment, other.burn_in, other.batch_size, other.hidden) == (100, 25, 6, (300,))
    model.config = Config(segment=64, burn_in=16)
    (said,) = demonstrations.redundancy(cases.load("saw"), "statecast", result).sentences
    assert "after the first 16: each row goes through the network 1.3 times a pass" in said


def test_splits_are_drawn_or_the_archives() -> None:
    drawn = list(classifying.splits(0, 100))
    assert len(drawn) == 20
    assert all(len(train) + len(test) == 100 and not set(train) & set(test) for train, test in drawn)
    assert 0.6 < np.mean([len(train) for train, _ in drawn]) / 100 < 0.8
    ((train, test),) = classifying.splits(30, 100)
    assert (len(train), len(test)) == (30, 70)


def test_what_a_classifier_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clouds far apart, a tenth of the second named as the first: counts by truth, losses and layers by hand."""
    r = np.random.default_rng(0)
    y = np.array(["a"] * 60 + ["b"] * 60)
    X = r.normal(size=(120, 2)) + 9.0 * (y == "b")[:, None]
    X[y == "b"] = np.where(np.arange(60)[:, None] < 12, X[:60], X[60:])
    monkeypatch.setitem(datasets.MAKERS, "iris", lambda folder: datasets.Dataset(X, y, ("u", "v"), first=0))
    monkeypatch.setattr(classifying, "SPLITS", 2)
    brief = {"max_steps": None, "max_epochs": 7, "ensemble": 2, "hidden": [3]}
    case = replace(LOAD("iris"), metrics=tuple(cases.Metric(m, m) for m in ("accuracy", "loss")))
    case = replace(case, tutorial={**case.tutorial, **brief})
    result = classifying.run(case, "tutorial", None)
    assert result.confusion is not None
    (aa, ab), (ba, bb) = result.confusion.counts.tolist()
    assert ba > ab and aa + ab + ba + bb == sum(len(test) for _, test in classifying.splits(0, 120))
    losses = []
    for train, test in classifying.splits(0, 120):
        model = classifying.Classifier(**case.recipe("tutorial")).fit(X[train], y[train])
        chance = model.predict_proba(X[test])[np.arange(len(test)), (y[test] == "b").astype(int)]
        losses.append(-np.log(chance).mean())
    assert {row.metric: row.value for row in result.rows}["loss"] == pytest.approx(np.mean(losses))
    assert [layer.parameters for layer in result.layers] == [0, 2 * 3 + 3, 3 * 2 + 2]
    assert result.accuracy["epoch"].tolist() == [1, 2, 3, 5, 7]
    assert result.accuracy["training"][0] != result.accuracy["training"][-1]


def test_layers_are_those_of_one_network() -> None:
    """However many there are, and each way counts: a GRU of 3 units from 2 channels and their changes, twice over."""
    X, y = np.random.default_rng(0).normal(size=(24, 5, 2)), np.arange(24) % 2
    result = []
    for members in (1, 3):
        settings = {"hidden": [3], "dense": [4], "ensemble": members, "max_steps": 1, "readings": "recurrence"}
        model = classifying.Classifier(**settings).fit(X, y).model_
        result.append(readers.layers(model, 2))
    assert [layer.parameters for layer in result[0]] == [layer.parameters for layer in result[1]]
    cell = model.networks["recurrence"].weights["forwards"]["cells"]["0"]
    assert {name: value.shape[1:] for name, value in cell.items()} == {
        "W": (4, 9), "U": (3, 9), "b": (9,), "bn": (3,), "init_h": (3,),
    }  # fmt: skip
    assert result[0][1].parameters == 2 * (4 * 9 + 3 * 9 + 9 + 3 + 3)


@shared
def test_a_classifier_of_fifteen_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifying, "SPLITS", 1)
    case = cases.load("iris")
    case = replace(case, tutorial={**case.tutorial, "max_epochs": 20}, show=())
    result = classifying.run(case, "tutorial", SHARED)
    assert sum(layer.parameters for layer in result.layers) == 15
    assert result.confusion is not None
    accuracy = result.rows[0].value
    assert accuracy == pytest.approx(np.trace(result.confusion.counts) / result.confusion.counts.sum())
    assert accuracy > 0.6


# --- what is shown


def outcome(recipe: str = "statecast") -> RecipeResult:
    rows = (
        Measurement("sin", recipe, "mse", 1e-12, 7.76e-4, 5e-5, 3.25, 400.0),
        Measurement("sin", "linear", "mse", 1.0, *[None] * 4),
    )
    confusion = Confusion(("a", "<b>"), np.array([[3, 1], [0, 4]]))
    return RecipeResult("sin", recipe, rows, {}, confusion=confusion, tables={"Loss": [["step"], ["1"]]})


def test_the_page_is_complete_and_escaped(tmp_path: Path) -> None:
    skipped = running.Skipped("weather", "", "no <file>", False)
    text = page.render([outcome(), skipped], {})
    assert "&lt;b&gt;" in text and "<b>a" not in text
    assert "Not run: no &lt;file&gt;" in text
    assert "own recipe reaches 1 of the 1 figures that were set for it.<" in text
    both = page.render([outcome(), outcome("recurrence")], {})
    assert "for it; the recurrence without a skip reaches 1 of the 1 figures that were set for it." in both
    assert "<h3>The recurrence without a skip</h3>" in both
    assert 'href="#sin"' in text and 'id="sin"' in text
    assert "<script" not in text and "http" not in text.replace("Content-Security-Policy", "").replace("http-equiv", "")


def test_the_table_for_documents() -> None:
    lines = page.markdown(outcome().rows).splitlines()
    assert lines[0].startswith("| case | recipe | metric | value | published")
    assert lines[2] == "| sin | statecast | mse | 1.000e-12 | 0.0007760 | 5.000e-05 | 3.2 | 400 MB |"


def test_everything_is_written(tmp_path: Path) -> None:
    result = [ran("bell", "tutorial"), ran("sin", "statecast")]
    names = {path.relative_to(tmp_path).as_posix() for path in page.write(tmp_path, result)}
    expected = {"test.png", "loss.png", "predicted.csv", "test_data.csv", "history.csv"}
    assert names == {
        *(f"bell/tutorial/{name}" for name in expected),
        *(f"sin/statecast/{name}" for name in expected | {"graph.png"}),
        *("table.md", "gallery.html"),
    }
    assert all((tmp_path / name).stat().st_size for name in names)
    lines = (tmp_path / "sin/statecast/predicted.csv").read_text().splitlines()
    assert lines[0] == "time,a" and len(lines) == 1001


def test_a_picture_for_everything_that_is_shown() -> None:
    case = replace(short("sin"), show=("scatter", "correlation", "graph"))
    names = [name for name, caption, _ in pictures.of(case, ran("sin", "statecast")) if caption]
    assert names == ["test", "scatter", "loss", "correlation", "graph"]


# --- the command


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "--list", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [item["case"] for item in result] == list(cases.NAMES)
    assert "WetBulbCelsius" in next(item["needs"] for item in result if item["case"] == "weather")


def test_rows_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def timed(case: str, recipe: str, *rest: object) -> RecipeResult:
        return running.measured(case, recipe, None)

    monkeypatch.setattr(running, "_run", timed)
    known = {recipe: ran("sin", recipe) for recipe in cases.RECIPES}
    monkeypatch.setattr(forecasting, "run", lambda case, recipe, folder: known[recipe])
    assert main(["gallery", "sin", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    keys = ["case", "recipe", "metric", "value", "published", "persistence", "seconds", "peak_mb"]
    assert [list(row) for row in rows] == [keys] * 4
    assert [row["recipe"] for row in rows] == ["tutorial", "statecast", "linear extrapolation", "recurrence"]
    assert rows[1]["seconds"] >= 0 and rows[1]["peak_mb"] > 50 and rows[2]["seconds"] is None
    assert "sin, the tutorial's recipe …" in err and "sin, the recurrence without a skip …" in err


def test_cases_without_data(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["gallery", "ibex"]) == 1
    assert "ibex35_2002_2017_yahoo.csv" in capsys.readouterr().err
    assert main(["gallery", "sinn"]) == 2
    assert "did you mean 'sin'" in capsys.readouterr().err
    monkeypatch.setattr(cases, "NAMES", ("iris",))
    assert main(["gallery", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert "iris: left out" in err


def test_what_can_run_runs_and_the_missing_data_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def timed(case: str, recipe: str, *rest: object) -> RecipeResult:
        started.append(case)
        return outcome(recipe)

    monkeypatch.setattr(running, "_run", timed)
    assert main(["gallery", "sin", "walk", "iris", "--recipe", "statecast"]) == 1
    out, err = capsys.readouterr()
    assert started == ["sin", "walk"]
    assert out.count("\nsin ") == 4  # two rows of either
    assert "iris: left out: the case needs iris.csv" in err


def test_a_system_that_does_not_tell_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither /proc nor the module `resource`, as on Windows."""
    monkeypatch.setattr(running, "Path", lambda path: Path("nothing") / "here")
    assert running.peak_mb() > 10  # type: ignore[operator]
    monkeypatch.setitem(sys.modules, "resource", None)
    assert running.peak_mb() is None


def test_a_failure_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(case: str, recipe: str, *rest: object) -> RecipeResult:
        if recipe == "tutorial":
            raise DataError("broken")
        return outcome()

    monkeypatch.setattr(running, "measured", measured)
    result = list(running.run(["sin"], apart=False))
    assert result[0] == running.Skipped("sin", "tutorial", "broken", True)
    assert isinstance(result[1], RecipeResult)


@pytest.mark.parametrize("name", FORECASTS)
def test_fit_reads_the_case(name: str) -> None:
    """`statecast fit --config` takes each file as it is; its sections and table are known there."""
    from statecast.cli import options

    case = cases.load(name)
    if case.needs and not SHARED.is_dir():
        pytest.skip("no folder ../shared/data")
    values = tomllib.loads(cases.path(name).read_text())
    if case.needs:
        with pytest.raises(DataError, match="is not in"):
            options.fit_request(None, str(cases.path(name)), ())
        return
    request = options.fit_request(None, str(cases.path(name)), ())
    assert set(request.settings) == set(values) - set(cases.SECTIONS)
    assert set(request.roles["target"]) <= set(request.table)


def test_fit_runs_a_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["fit", "--config", str(cases.path("sin")), "--out", str(out), "--set", "max_steps=1", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["evaluation"]["statecast"]["mse"] < 1e-9
    assert (out / "report.html").exists()


def test_fit_reads_a_table_beside_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from statecast.cli import options

    file = tmp_path / "fit.toml"
    file.write_text('max_steps = 1\n[data]\npath = "a.csv"\ntarget = "a"\n')
    request = options.fit_request(None, str(file), ())
    assert (request.table, request.roles) == (str(tmp_path / "a.csv"), {"target": ("a",)})
    assert main(["fit", "--config", str(file), "--out", str(tmp_path / "out")]) == 1
    assert f"there is no file {tmp_path / 'a.csv'}" in capsys.readouterr().err
    file.write_text('[data]\npath = "a.csv"\nexample = "sin"\n')
    assert main(["fit", "--config", str(file), "--out", str(tmp_path / "two")]) == 2
    assert "path or example" in capsys.readouterr().err
    assert main(["fit", "--out", str(tmp_path / "three")]) == 2
    assert "TABLE is missing" in capsys.readouterr().err
