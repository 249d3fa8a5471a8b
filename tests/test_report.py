"""The report's words, pictures and page, on one small report and on its extremes."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from forecast_cases import model, panel

from statecast.data.segments import Split
from statecast.display.chart import Chart, Curve
from statecast.errors import DataError, MissingDependency, OutputError, SettingError
from statecast.forecast.explain import Activity, Explanation, Input
from statecast.forecast.hindcast import follow
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import origin_rows
from statecast.forecast.predict import from_table
from statecast.forecast.residuals import Residuals
from statecast.forecast.scores.comparison import evaluation
from statecast.forecast.scores.metrics import Scores
from statecast.report import collect, page, plot, test_rows
from statecast.report.correlation import autocorrelation
from statecast.report.summary import (
    Facts,
    Layer,
    Report,
    Rolling,
    SettingChoice,
    facts_table,
    headline,
    layers_table,
    residual_remark,
    score_tables,
)
from statecast.sequence_config import ClassifierConfig

PICTURES = ["forecast", "future", "rolling", "error_by_step", "loss", "residuals", "autocorrelation",
            "importance", "gates"]  # fmt: skip


def scored(error: float, targets: int = 1) -> Scores:
    y = np.zeros((8, targets))
    return Scores.empty(targets).add(y, y + error, 1.0, {80: y - 1}, {80: y + 1})


def made(targets: int = 1, horizon: int = 4, dated: bool = True, error: float = 0.5) -> Report:
    """A report of noise, with gaps, of this many targets."""
    rng = np.random.default_rng(0)
    names = tuple(f"target {d}" for d in range(targets))
    time = np.arange(60)
    if dated:
        time = np.datetime64("2024-02-27T00", "us") + time * np.timedelta64(1, "h")
    y = rng.normal(size=60).cumsum()
    y[[5, 7, 30]] = np.nan
    ahead, back = time[-horizon:], time[:-horizon]
    past, actual = y[:-horizon], y[-horizon:]
    bounds = {"lower": {80: actual - 1, 95: actual - 2}, "upper": {80: actual + 1, 95: actual + 2}}
    noise = rng.normal(size=(2, 60))
    return Report(
        title="Load & price",
        facts=Facts(60, 1, "2024-02-27", "2024-02-29", "hourly", "hour", 0.05, names, train=40, validation=8, test=12),
        evaluation=evaluation(scored(error, targets), {"persistence": scored(1.0, targets)}, names),
        settings=(SettingChoice("hidden", (64,), "given"),
                  SettingChoice("season", 24, "chosen", "hourly rows repeat each day")),
        layers=(Layer("layer 1", "lstm", "64", 16896), Layer("head", "point", f"{horizon} x {targets}", 260)),
        history={"step": time[:9] if not dated else np.arange(9), "loss": np.linspace(2, 0.1, 9),
                 "val_loss": np.array([np.nan, 2, np.nan, 1, np.nan, 0.5, np.nan, 0.6, 0.7]),
                 "learning_rate": np.r_[np.full(5, 0.1), np.full(4, 0.01)]},
        error_by_step={name: {"statecast": np.linspace(0.4, 0.6, horizon),
                              "persistence": np.linspace(0.5, 1.5, horizon)} for name in names[:6]},
        examples=tuple(Chart(d, time, y, (Curve(ahead, actual + 0.1, **bounds),), origins=back[-1:]) for d in names),
        rolling=tuple(Rolling(d, time, y, y + 0.2) for d in names),
        residuals=tuple(Residuals(d, time, noise[0], 2 * noise[1]) for d in names),
        future=tuple(Chart(d, back, past, (Curve(ahead, actual, **bounds),), origins=back[-1:]) for d in names),
        values=dict.fromkeys(names, y),
        explanation=explained(time),
        activity_time=time,
        horizon=horizon,
        season=24,
    )  # fmt: skip


def explained(time: np.ndarray) -> Explanation:
    """What a network of 20 inputs and five units used."""
    rng = np.random.default_rng(2)
    inputs = tuple(Input(f"column {n}", "past", 0.2 / (n + 1) - 0.03, 0.01) for n in range(20))
    maps = {"0.update": rng.random((len(time), 5)), "0.candidate": rng.normal(size=(len(time), 5)),
            "0.h": rng.random((len(time), 5)), "1.update": rng.random((len(time), 9))}  # fmt: skip
    return Explanation(500, inputs, Activity("north", np.arange(len(time)), maps))


def texts(figure: plot.Figure) -> str:
    """All that is written in a picture."""
    return "\n".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))


def lines(figure: plot.Figure, label: str) -> list[np.ndarray]:
    return [np.asarray(x.get_ydata()) for axes in figure.axes for x in axes.lines if x.get_label() == label]


# --- autocorrelation


def test_autocorrelation_is_the_textbook_estimate() -> None:
    x = np.random.default_rng(1).normal(size=50).cumsum()
    c = x - x.mean()
    expected = [np.sum(c[lag:] * c[: 50 - lag]) / np.sum(c**2) for lag in range(11)]
    result = autocorrelation(x, 10)
    np.testing.assert_allclose(result.values, expected, atol=1e-12)
    assert result.band == pytest.approx(1.96 / np.sqrt(50))


def test_autocorrelation_passes_over_gaps() -> None:
    x = np.sin(np.arange(2000) * 2 * np.pi / 20)
    gaps = np.where(np.random.default_rng(0).random(2000) < 0.4, np.nan, x)
    np.testing.assert_allclose(autocorrelation(gaps, 40).values, autocorrelation(x, 40).values, atol=0.05)


def test_autocorrelation_of_a_lag_without_pairs_is_nan() -> None:
    x = np.array([1.0, np.nan] * 20) * np.arange(40)
    result = autocorrelation(x, 3).values
    assert np.isnan(result[[1, 3]]).all()
    assert np.isfinite(result[[0, 2]]).all()


@pytest.mark.parametrize("x", [np.ones(9), np.full(9, np.nan), np.zeros(0), np.array([3.0])])
def test_autocorrelation_of_nothing_that_varies_is_nan(x: np.ndarray) -> None:
    assert np.isnan(autocorrelation(x, 4).values).all()


def test_autocorrelation_has_no_scale() -> None:
    x = np.random.default_rng(2).normal(size=30)
    for size in (1e-200, 1e200):
        np.testing.assert_allclose(autocorrelation(x * size, 5).values, autocorrelation(x, 5).values, rtol=1e-9)


def test_autocorrelation_checks_what_it_gets() -> None:
    with pytest.raises(DataError, match=r"one series \[n\]; got an array of shape \(3, 2\)"):
        autocorrelation(np.zeros((3, 2)), 1)
    with pytest.raises(SettingError, match="at least 0; got -1"):
        autocorrelation(np.zeros(3), -1)


def test_the_remark_on_residuals_tells_noise_from_structure() -> None:
    noise = np.random.default_rng(0).normal(size=2000)
    time = np.arange(2000)

    def remark(*of: np.ndarray) -> str:
        return residual_remark(replace(made(), residuals=tuple(Residuals("a", time, x, x) for x in of)))

    assert "about as many as chance gives" in remark(noise)
    assert "chance gives about 4" in remark(noise.cumsum())
    assert remark() == ""


# --- words


def test_the_headline_in_plain_words() -> None:
    assert headline(made()) == (
        "On the last 12 hours, forecasting 4 hours ahead, "
        "the network's mean absolute error is 50 % below that of persistence."
    )
    assert "the network does not beat persistence: its mean absolute error is 50 % higher." in headline(made(error=1.5))
    assert "30 times as high" in headline(made(error=30))
    assert "exactly as good as persistence" in headline(made(error=1))
    assert headline(replace(made(), evaluation={})) == "The network forecasts 4 hours ahead; it was not tested."
    assert headline(replace(made(horizon=1), evaluation={})).startswith("The network forecasts one hour ahead")
    many = replace(made(), facts=replace(made().facts, series=3))
    assert headline(many).startswith("On the 12 test rows of 3 series")


def test_the_score_table() -> None:
    table, intervals = score_tables(made().evaluation)
    assert table[0] == ["", "MAE", "RMSE", "sMAPE %", "MASE", "skill against it"]  # r2 of a constant is not there
    assert table[1] == ["statecast", "0.5000", "0.5000", "200.0", "0.5000", ""]
    assert table[2][-1] == "+50.0 %"
    assert intervals[0] == ["interval", "values inside", "mean width", "interval score", "scaled interval score"]
    assert intervals[1] == ["80 %", "100 %", "2.000", "2.000", "2.000"]
    assert score_tables(made(2).evaluation)[-1][0] == ["interval", "values inside", "scaled interval score"]
    assert score_tables({}) == []
    assert score_tables(evaluation(Scores.empty(1), {"persistence": Scores.empty(1)})) == []


def test_several_targets_have_a_table_of_their_own_and_no_common_mean_of_different_units() -> None:
    y = np.zeros((8, 2))
    network, naive = (
        Scores.of(y, y + np.array(errors), scale=np.array([10.0, 100.0])) for errors in ([24.0, 76.4], [48.0, 38.2])
    )
    overall, each = score_tables(evaluation(network, {"persistence": naive}, ["riders", "sales"], "mase"))
    assert overall[0] == ["", "sMAPE %", "MASE", "skill against it"]
    assert each[0] == ["target", "MAE", "RMSE", "sMAPE %", "MASE", "vs persistence"]
    assert [row[0] for row in each[1:]] == ["riders", "sales"]
    assert [row[1] for row in each[1:]] == ["24.00", "76.40"]
    assert [row[-1] for row in each[1:]] == ["+50.0 %", "-100.0 %"]
    page_text = page.render(
        replace(made(2), evaluation=evaluation(network, {"persistence": naive}, ["riders", "sales"]))
    )
    assert "<td>riders</td><td>24.00</td>" in page_text
    assert "50.2" not in page_text


def test_a_long_table_of_targets_says_how_many_it_leaves_out() -> None:
    many = Scores.of(np.zeros((2, 25)), np.ones((2, 25)))
    each = score_tables(evaluation(many, {"persistence": many}))[1]
    assert len(each) == 22
    assert each[-1][0] == "5 more in metrics.json"


def test_layers_and_facts_as_text() -> None:
    report = made()
    assert layers_table(report.layers)[-1] == ["all", "", "", "17,156"]
    facts = dict(facts_table(report.facts))
    assert facts["missing"] == "5 % of the target values"
    assert facts["split by time"] == "40 training, 8 validation, 12 test"
    assert "known covariates" not in facts


# --- pictures


def test_every_picture_is_written(tmp_path: Path) -> None:
    paths = plot.save_all(made(), tmp_path)
    assert [path.name for path in paths] == [f"{name}.png" for name in PICTURES]
    assert all(path.parent == tmp_path / "plots" and path.read_bytes()[:4] == b"\x89PNG" for path in paths)
    assert len(list((tmp_path / "plots").iterdir())) == len(PICTURES)


def test_the_same_report_gives_the_same_bytes() -> None:
    report = replace(made(), future=(), rolling=(), values={}, residuals=())
    assert plot.images(report) == plot.images(report)


def test_drawing_touches_nothing_global() -> None:
    code = """
import sys
import matplotlib
# Reading the backend is what chooses it, and imports pyplot.
settings = lambda: {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}
before = settings()
import numpy as np
from statecast.report import plot
plot.png(plot.loss({"loss": np.array([1.0, 0.5])}))
assert settings() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("report", [made(7, 12), made(1, 1), made(2, 2, dated=False)], ids=["seven", "one", "integers"])
def test_extremes_are_drawn(report: Report) -> None:
    for _, figure in plot.figures(report):
        figure.draw_without_rendering()


def test_what_is_left_out_is_said() -> None:
    report = made(7)
    assert "6 of 7 forecasts" in texts(plot.forecast(report.examples))
    assert "6 of 7 targets" in texts(plot.residuals(report.residuals, 4))
    assert "6 of 7 targets" in texts(plot.correlations(report.values, report.residuals))
    long = Rolling("a", np.arange(2000), np.zeros(2000), np.zeros(2000))
    assert "the last 500 of 2,000 hours; 6 of 9 targets" in texts(plot.rolling([long] * 9, 4, "hour"))
    dots = Residuals("a", np.arange(20000), np.ones(20000), np.ones(20000))
    assert "one point in 4" in texts(plot.residuals([dots], 4))


def test_missing_values_are_gaps_and_lone_values_dots() -> None:
    figure = plot.forecast(made().examples)
    drawn = lines(figure, "actual")[0]
    assert np.isnan(drawn[[5, 7, 30]]).all()
    lone = [line for line in figure.axes[0].lines if line.get_linestyle() == "None" and len(line.get_ydata()) == 1]
    assert lone[0].get_ydata()[0] == drawn[6]


def test_intervals_and_labels_are_in_the_forecast() -> None:
    said = texts(plot.forecast(made().examples))
    for part in ("80 % interval", "95 % interval", "actual", "forecast", "target 0"):
        assert part in said


def test_later_trainings_are_drawn_after_the_first_one() -> None:
    row = {"step": [0.0, 10.0], "loss": [np.nan, 1.0], "val_loss": [2.0, 1.5], "learning_rate": [0.1, 0.1]}
    both = {name: [*values, *values] for name, values in row.items()} | {"phase": [0.0, 0.0, 2.0, 2.0]}
    axes = plot.loss({name: np.array(values) for name, values in both.items()}).axes[0]
    ends = [np.asarray(line.get_xdata()).max() for line in axes.lines if line.get_label() == "training"]
    assert ends == [10, 20]
    assert "learning from every row" in texts(axes.figure)


def test_an_interval_of_one_step_is_seen() -> None:
    bars = [
        part for part in plot.forecast(made(horizon=1).examples).axes[0].collections if hasattr(part, "get_segments")
    ]
    assert [np.ptp(part.get_segments()[0][:, 1]) for part in bars] == pytest.approx([4, 2])  # 95 %, then 80 % on top


def test_the_error_by_step_begins_at_zero_and_tells_of_runaways() -> None:
    errors = {"statecast": np.ones(5), "persistence": 2 * np.ones(5), "linear_extrapolation": np.arange(5) * 100.0}
    figure = plot.error_by_step({"load": errors}, "hour")
    bottom, top = figure.axes[0].get_ylim()
    assert bottom == 0
    assert 2 < top < 10
    assert "beyond the top:\nlinear extrapolation up to 400" in texts(figure)
    assert "hours ahead" in texts(figure)
    two = plot.error_by_step({"load": errors | {"seasonal_naive": 90 * np.ones(5)}})
    assert two.axes[0].get_ylim()[1] < 4  # not one bad baseline, nor two, press the network's line to the ground
    alike = plot.error_by_step({"load": {"statecast": np.ones(5), "persistence": 1.5 * np.ones(5)}})
    assert alike.axes[0].get_ylim()[1] > 1.5


def test_the_error_by_step_has_a_panel_for_each_target_with_an_axis_of_its_own() -> None:
    parts = {f"y{d}": {"statecast": np.full(4, 10.0**d), "persistence": np.full(4, 2 * 10.0**d)} for d in range(3)}
    figure = plot.error_by_step(parts, targets=9)
    assert [axes.get_title("left") for axes in figure.axes] == ["y0", "y1", "y2"]
    assert [axes.get_ylim()[1] < 3 * 10.0**d for d, axes in enumerate(figure.axes)] == [True] * 3
    assert "3 of 9 targets" in texts(figure)


def test_losses_are_logarithmic_only_where_they_span_much() -> None:
    few = plot.loss({"loss": np.array([1.0, 0.5]), "val_loss": np.array([np.nan, 0.6])})
    low, high = few.axes[0].get_ylim()
    assert few.axes[0].get_yscale() == "linear"
    assert 0.4 < low < 0.5 and 1 < high < 1.1  # where the losses are, not at zero
    assert "best: 0.6000" in texts(few)
    assert plot.loss({"loss": np.array([1.0, 1e-3])}).axes[0].get_yscale() == "log"
    assert plot.loss({"loss": np.array([-1.0, -5.0])}).axes[0].get_ylim()[0] < -5
    assert len(plot.loss(made().history).axes) == 2  # the learning rate changed


def test_there_is_no_picture_of_a_training_that_was_not_made() -> None:
    untrained = {"step": np.zeros(1), "loss": np.array([np.nan]), "val_loss": np.array([np.nan])}
    names = [{name for name, _ in plot.figures(replace(made(), history=history))} for history in ({}, untrained)]
    assert "loss" not in names[0] | names[1] and "loss" in {name for name, _ in plot.figures(made())}


def test_a_constant_has_no_autocorrelation_and_is_drawn() -> None:
    assert "constant or empty" in texts(plot.correlations({"a": np.ones(50)}, []))


# --- page


class Sources(HTMLParser):
    """Everything that a page refers to, and every tag in it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_the_page_is_complete_in_itself(tmp_path: Path) -> None:
    path = page.write_page(made(), tmp_path / "report.html")
    text = path.read_text()
    result = Sources()
    result.feed(text)
    assert len(result.links) == len(PICTURES)
    assert all(link.startswith("data:image/png;base64,") for link in result.links)
    assert not {"script", "link", "iframe"} & set(result.tags)
    assert "url(" not in text
    assert "@import" not in text
    order = [
        text.index(part) for part in ("On the last 12 hours", "One forecast", "How good is it?", "How far", "Training")
    ]
    assert order == sorted(order)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_all_text_is_escaped() -> None:
    bad = "<script>alert('x')</script>"
    report = made()
    report = replace(
        report,
        title=bad,
        facts=replace(report.facts, targets=(bad,), past=(bad,), step=bad),
        settings=(SettingChoice(bad, bad, "given", bad),),
        layers=(Layer(bad, bad, bad, 1),),
        residuals=(replace(report.residuals[0], target=bad),),
        notes=(bad,),
    )
    text = page.render(report, {"autocorrelation": b"png"})
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 10


def test_settings_say_where_they_come_from() -> None:
    choices = (SettingChoice("a", 1, "given"), SettingChoice("b", 2, "chosen", "why"), SettingChoice("c", 3))
    shown = page.render(replace(made(), settings=choices), {})
    assert "<td>a</td><td>1</td><td>given</td>" in shown
    assert "<td>b</td><td>2</td><td>chosen</td><td>why</td>" in shown
    assert (
        "<summary>1 settings that have their defaults</summary>" in shown
        and "<td>c</td><td>3</td></tr>" in shown.partition("<summary>")[2]
    )


def test_only_what_depends_on_the_table_is_said_to_be_chosen_from_it() -> None:
    reasons = dict.fromkeys(("season", "significance", "refit", "levels", "normalize", "hidden"), "a reason")
    origins = {name: collect.origin(name, {"hidden": (4,)}, reasons) for name in (*reasons, "cell")}
    assert origins == {"season": "chosen", "hidden": "given"} | dict.fromkeys(
        ("significance", "refit", "levels", "normalize", "cell"), "default"
    )
    assert collect.origin("learning_rate", {}, {"learning_rate": "suits adamw"}, ClassifierConfig) == "default"


def test_a_report_of_little_has_a_page_too() -> None:
    text = page.render(Report("Nothing but a table", Facts(rows=3)))
    assert "it was not tested" in text
    assert "<img" not in text
    assert not re.search(r"\bnan\b|None", text)


def test_pictures_made_already_are_not_drawn_again() -> None:
    assert 'base64,bWFkZQ=="' in page.render(made(), {"forecast": b"made"})


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*report\.html"):
        page.write_page(Report("x", Facts(rows=1)), tmp_path / "file" / "report.html", {})


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "statecast.report.plot")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r"statecast\[plot\]"):
        page.render(made())


# --- what the network used


def test_bars_of_importance_in_percent_with_what_is_left_out() -> None:
    figure = dict(plot.figures(made()))["importance"]
    written = texts(figure)
    assert "16 of 20 inputs" in written
    assert "column 0" in written
    assert "column 16" not in written
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(widths, [100 * (0.2 / (n + 1) - 0.03) for n in range(16)])


def test_maps_of_the_gates_of_the_first_layer() -> None:
    report = made()
    assert "north" not in texts(dict(plot.figures(report))["gates"])  # a lone series goes without saying
    figure = dict(plot.figures(replace(report, facts=replace(report.facts, series=2))))["gates"]
    maps = [axes for axes in figure.axes if axes.get_ylabel() == "units"]
    assert [axes.get_title(loc="left") for axes in maps] == ["update gate", "candidate", "output"]
    assert "series north" in texts(figure)
    drawn = np.asarray(maps[0].collections[0].get_array())
    assert drawn.shape == (5, 60)
    assert (np.diff(drawn.mean(axis=1)) >= 0).all()
    assert maps[0].collections[0].get_clim() == (0, 1)
    low, high = maps[1].collections[0].get_clim()
    assert low == -high


# --- the test rows as tables


@pytest.mark.parametrize("independent", [False, True], ids=["joint", "independent"])
def test_tested_rows_lie_end_to_end_from_origins_one_horizon_apart(independent: bool) -> None:
    of = model(targets=2, independent=independent, missing=False, precision="float64")
    rows, split = panel(of, (16, 12), gaps=False), Split(np.array([6, 5]), np.array([9, 8]))
    origins = follow.forecasts(of, Feed.of(of, rows), origin_rows(rows, split.val, of.config.horizon))
    forecasts, actual = test_rows.columns(of, rows, split, origins)
    bounds = [f"y{d}-{side}-{level}" for d in (0, 1) for level in (80, 95) for side in ("lo", "hi")]
    assert list(actual) == ["site", "hour", "y0", "y1"]
    assert list(forecasts) == [*actual, "steps_ahead", *bounds]
    assert forecasts["steps_ahead"].tolist() == [1, 2, 3, 1, 2, 3, 1, 1, 2, 3, 1]
    for name, side in (("y0-lo-80", -1), ("y1-hi-95", 1)):
        gap = side * (forecasts[name] - forecasts[name[:2]])
        assert (gap[np.isfinite(gap)] > 0).all() and np.isfinite(gap).sum() == np.isfinite(forecasts[name[:2]]).sum()
    assert forecasts["site"].tolist() == ["s0"] * 7 + ["s1"] * 4
    later = {s: from_table(of, rows.cut(split.val + 3)).values[s] for s in (0, 1)}
    first = from_table(of, rows.cut(split.val)).values
    for d, name in enumerate(("y0", "y1")):
        expected = [*first[0, :, d], *later[0][:, d], np.nan, *first[1, :, d], np.nan]
        np.testing.assert_allclose(forecasts[name], expected, rtol=1e-9)
    np.testing.assert_array_equal(actual["y0"], np.concatenate([rows.y[9:16, 0], rows.y[24:28, 0]]))
