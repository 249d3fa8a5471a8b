"""What a notebook shows, and the pictures that are drawn of forecasts: by matplotlib, by plotly, and as sketches."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from forecast_cases import HOUR, START, model, panel, remembering, watching

from statecast import Forecaster, Stream
from statecast.data.panel import Panel
from statecast.display import style
from statecast.display.chart import Chart, Curve
from statecast.display.html import forecast_table
from statecast.display.lettering import drawable, fitting
from statecast.display.numbers import amount, number, tick_texts
from statecast.display.sketch import sketch
from statecast.display.units import with_unit
from statecast.errors import SettingError, UnknownSeries
from statecast.forecast.charts import remembered, tails
from statecast.model.trained import Model

HOSTILE = "<script>alert(1)</script>&\"'$x_{$"


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def fitted(of: Model | None = None, lengths: tuple[int, ...] = (40, 30), ids: Any = None) -> tuple[Forecaster, Panel]:
    """A Forecaster as it is loaded, and the table that it remembers."""
    of = model() if of is None else of
    table = panel(of, lengths)
    table = table if ids is None else replace(table, ids=ids)
    forecaster = Forecaster()
    forecaster._model = remembering(of, table)
    return forecaster, table


class Tags(HTMLParser):
    """The tags of a page, each of which must be closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def sound(text: str, most: int = 16_000) -> Tags:
    """Well-formed HTML of a few kilobytes that runs nothing and has no ground of its own."""
    page = Tags(text)
    assert "script" not in page.tags
    assert len(text.encode()) < most
    assert not re.search(r"background:(?!transparent)", text)
    assert not re.search(r"\b(src|href|url)\b", text)
    assert "NaN" not in text and "nan" not in re.sub(r"<style>.*?</style>", "", text)
    return page


# --- notebooks


def test_settings_are_shown_before_a_fit() -> None:
    page = sound(Forecaster(hidden=(8,), cell="gru")._repr_html_())
    assert "not fitted" in page.text and "units of each recurrent layer" in page.text
    assert sound(Forecaster()._repr_html_()).text.endswith("by fit(table, target=…).")


def test_choices_scores_and_verdict_are_shown_after_a_fit() -> None:
    rng = np.random.default_rng(0)
    y = 5 + np.sin(np.arange(120) / 4) + 0.1 * rng.normal(size=120)
    forecaster = Forecaster(horizon=2, lags=4, hidden=2, max_steps=2).fit(y)
    for shown in (forecaster, forecaster.report()):
        page = sound(shown._repr_html_())
        assert "persistence" in page.text and "skill against it" in page.text
        assert "chosen" in page.text and "lstm" in page.text
        assert "forecast comes" in page.text


def test_ids_and_columns_are_strangers() -> None:
    forecaster, _ = fitted(ids=(HOSTILE, "plain"))
    schema = replace(forecaster.model_.schema, target=(HOSTILE,))
    forecaster._model = replace(forecaster.model_, schema=schema)
    for shown in (forecaster.forecast(), forecaster.stream(), forecaster):
        assert HOSTILE in sound(shown._repr_html_()).text
    panels = forecaster.plot()
    panels[0].figure.savefig(io.BytesIO())  # what looks like mathematics would be an error here
    assert panels[0].get_title(loc="left") == f"{HOSTILE} · {HOSTILE}"


@pytest.mark.parametrize("horizon", [1, 3, 40])
def test_a_forecast_of_one_series_is_a_picture_and_its_numbers(horizon: int) -> None:
    forecaster, _ = fitted(model(id=None), (40,))
    result = forecaster.forecast(horizon=horizon)
    page = sound(result._repr_html_())
    assert {"svg", "table"} <= page.tags
    assert page.text.count("interval") == 2
    assert f"{result.values[0, 0, 0]:,.5g}" in page.text and f"{result.values[0, -1, 0]:,.5g}" in page.text
    assert (f"and {horizon - 8} steps more" in page.text) == (horizon > 8)


def test_what_a_stream_returns_is_shown_as_well() -> None:
    forecaster, _ = fitted(watching(model(targets=2)))
    stream = forecaster.stream()
    single = stream.observe("s0", [400.0, None])
    assert single.single
    page = sound(single._repr_html_())
    assert "y0 · s0" in page.text and "y1 · s0" in page.text
    assert f"unusual{', '.join(['s0'] * len(single.alarms()))}" in page.text and single.alarms()
    assert "missing" in sound(stream._repr_html_()).text


@pytest.mark.parametrize("freq", ["1h", "1mo"])
def test_many_series_stay_small(freq: str) -> None:
    forecaster, _ = fitted(model(freq=freq), (9,) * 100)
    page = sound(forecaster.forecast()._repr_html_())
    assert "and 96 series or targets more" in page.text
    assert "and 92 series more" in sound(forecaster.stream()._repr_html_()).text


def test_streams_without_series_or_rows() -> None:
    sound(Stream(model())._repr_html_())
    counted = Stream(model(time_kind="row", id=None, freq="1", use_calendar=False))
    counted.observe("load", None)
    sound(counted._repr_html_())


def test_futures_are_shown_side_by_side_and_that_they_make_no_difference() -> None:
    forecaster, table = fitted(model(covariates=True))
    ends = [int(table.time[span.stop - 1]) for span in table.spans()]
    rows = [(name, end + k * HOUR) for name, end in zip(table.ids, ends, strict=True) for k in (1, 2, 3)]
    future = {"site": [name for name, _ in rows], "hour": np.array([time for _, time in rows]).astype("M8[us]"),
              "heat": np.zeros(6), "open": ["no"] * 6}  # fmt: skip
    futures = {"<b>": future, "_other": future | {"heat": np.full(6, 3.0)}}
    page = sound(forecaster.scenarios(futures)._repr_html_())
    assert "<b>" in page.text and "make no difference" not in page.text
    assert "make no difference" in sound(forecaster.scenarios({"a": future, "b": future})._repr_html_()).text
    axes = forecaster.plot(futures=futures, series="s0")
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["actual", "<b>", " _other"]
    assert axes.figure.get_suptitle() == "What if (with 80 % intervals)"


# --- charts


def test_what_a_state_remembers_are_the_last_rows_of_its_table() -> None:
    for independent in (False, True):
        of = model(targets=2, independent=independent, precision="float64", lags=7)
        forecaster, table = fitted(of)
        past = remembered(of, forecaster.model_.state, table.ids)
        for s, name in enumerate(table.ids):
            time, values = past[name]
            span = table.span(s)
            np.testing.assert_array_equal(time, table.time[span][-7:])
            np.testing.assert_allclose(values, table.y[span][-7:], rtol=1e-9)


def test_a_chart_holds_the_forecast_after_its_past() -> None:
    forecaster, table = fitted(model(targets=2))
    result = forecaster.forecast()
    shown = result.charts(tails(forecaster.model_, table), "s1")
    assert [chart.title for chart in shown] == ["y0 · s1", "y1 · s1"]
    np.testing.assert_array_equal(shown[1].actual, table.y[40 + 30 - 24 :, 1])
    np.testing.assert_array_equal(shown[1].curves[0].values, result.values[1, :, 1])
    np.testing.assert_array_equal(shown[1].curves[0].upper[95], result.upper[95][1, :, 1])
    assert shown[0].time[-1] < shown[0].curves[0].time[0]
    with pytest.raises(UnknownSeries, match="no series 's9' here"):
        result.charts(series="s9")


def test_a_sketch_has_gaps_and_survives_extremes() -> None:
    time = np.arange(9)
    values = np.array([1.0, np.nan, 3.0, 4.0, np.nan, 5.0, 1e308, -1e308, 2.0])
    text = sketch(Chart("y", time, values, ()))
    Tags(text)
    assert text.count("M") == 3  # beginnings of a line
    assert "1.2 M" in sketch(Chart("y", time, np.full(9, 1.2e6), ()))
    near = sketch(Chart("y", time, 1e6 + np.arange(9.0), ()))
    assert "1,000,000<" in near and "1,000,008<" in near
    for part in (np.full(9, np.nan), np.zeros(9), np.full(9, 7.0)):
        assert "nan" not in sketch(Chart("y", time, part, (Curve(time[-1:] + 1, np.ones(1)),)))


def test_curves_that_are_compared_have_colours_and_names() -> None:
    time = np.arange(3)
    curves = tuple(
        Curve(time, np.arange(3.0) + n, {80: time}, {80: time}, name) for n, name in enumerate(("low", "<i>"))
    )
    text = sketch(Chart("y", time, np.ones(3), curves))
    assert Tags(text).text.endswith("― low ― <i>")
    assert len(set(re.findall(r'stroke="(#\w+)"', text))) == 2
    assert "polygon" not in text  # one interval would hide the other
    assert "polygon" in sketch(Chart("y", time, np.ones(3), curves[:1]))


def test_a_sketch_of_many_values_keeps_the_extremes() -> None:
    values = np.zeros(100_000)
    values[54_321], values[77_777] = 9.0, -4.0
    text = sketch(Chart("y", np.arange(100_000), values, ()))
    assert len(text) < 8000
    heights = [float(pair.split()[1]) for pair in re.findall(r"[ML]([\d. ]+)", text)]
    assert min(heights) == 22 and max(heights) == 116


# --- numbers and dates beside axes


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0, 5e5, 1e6, 1.5e6), ["0", "0.5 M", "1.0 M", "1.5 M"]),
        ((0, 50_000, 100_000), ["0", "50 k", "100 k"]),
        ((2000, 2500, 3000), ["2,000", "2,500", "3,000"]),
        ((-1e9, 0, 1e9), ["−1 bn", "0", "1 bn"]),
        ((1_000_000.25, 1_000_000.5), ["1,000,000.25", "1,000,000.50"]),
        ((0, 2e-7, 4e-7), ["0", "2×10⁻⁷", "4×10⁻⁷"]),
        ((0, 0.1, 0.1 + 0.2), ["0", "0.1", "0.3"]),
        ((1e20,), ["10²⁰"]),
        ((), []),
        ((0, float("nan")), ["0", "nan"]),
    ],
)
def test_ticks_are_numbers_as_people_write_them(values: tuple[float, ...], expected: list[str]) -> None:
    assert tick_texts(values) == expected


def test_a_number_alone_keeps_all_digits_before_the_point() -> None:
    assert [number(value) for value in (1234567.8, 0.0123456, 1.23e-9, -41.5, 0.0)] == [
        "1,234,568", "0.012346", "1.23×10⁻⁹", "-41.5", "0",
    ]  # fmt: skip
    assert [amount(value) for value in (1234567.8, -250_000, 41.5)] == ["1.235 M", "−250 k", "41.5"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        *[("load [MW]", "load, MW"), ("temperature (°C)", "temperature, °C"), ("pm2.5 (µg/m³)", "pm2.5, µg/m³")],
        *[("price [EUR/MWh]", "price, EUR/MWh"), ("flow [m^3/s]", "flow, m^3/s"), ("humidity (%)", "humidity, %")],
        *[("current [A]", "current, A"), ("temp_c", "temp_c, °C"), ("sales_EUR", "sales_EUR, EUR")],
        *[(name, name) for name in ("load", "[MW]", "kwh", "plan_c", "sales (total)", "load (2)", "x [0]", "team (A)")],
        *[(name, name) for name in ("eur_usd", "template_c", "temp_x", "a (b) c", "n (MW MX)", "", "_usd", "y (1)")],
    ],
)
def test_a_unit_is_read_from_a_name_that_says_it_alone(column: str, expected: str) -> None:
    assert with_unit(column) == expected


def test_units_stand_where_names_do() -> None:
    chart = Chart("temp_c", np.arange(3), np.arange(3.0), (Curve(np.arange(3, 5), np.ones(2)),), "north")
    assert chart.title == "temp_c, °C · north" and "temp_c, °C · north" in sketch(chart)
    assert "temp_c, °C" in forecast_table([replace(chart, series="")], 1)
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
    style.name(axes, "load [MW]", "north")
    assert axes.get_title("left") == "load, MW · north"


def test_names_are_as_long_as_there_is_room_for_and_in_letters_that_can_be_drawn() -> None:
    assert fitting("load · s1", 2) == "load · s1"
    assert fitting("a" * 50 + "b" * 50, 2) == "a" * 18 + "…" + "b" * 11
    assert len(fitting("北" * 50, 2)) == 15  # each is two letters wide
    from matplotlib.figure import Figure

    for names in (("a", "b"), ("北京", "\U0010fffd $x_{")):
        axes = Figure().subplots()
        style.row_names(axes, names)
        style.name(axes, names[0], names[1])
        axes.figure.savefig(io.BytesIO())  # a letter without a font would be a warning, which is an error here
    assert drawable("\U0010fffd") == "□" and drawable("Zürich") == "Zürich"


@pytest.mark.parametrize(
    ("start", "step", "expected"),
    [
        ("2023-12-30", "1D", ["30 Dec\n2023", "31", "1 Jan\n2024", "2"]),
        ("2024-01-30T12", "12h", ["12:00\n30 Jan 2024", "00:00\n31 Jan", "12:00", "00:00\n1 Feb"]),
        ("2023-11-01", "31D", ["1 Nov\n2023", "2 Dec", "2 Jan\n2024", "2 Feb"]),
        ("2024-01-01T00:00:30", "30s", ["00:00:30\n1 Jan 2024", "00:01:00", "00:01:30", "00:02:00"]),
    ],
)
def test_dates_repeat_nothing(start: str, step: str, expected: list[str]) -> None:
    from matplotlib.dates import date2num

    from statecast.display.ticks import DateFormatter

    times = np.datetime64(start, "us") + np.arange(4) * np.timedelta64(int(step[:-1]), step[-1])
    assert DateFormatter().format_ticks(date2num(times)) == expected
    years = date2num(np.array(["2020-01-01", "2022-01-01"], "M8[D]"))
    assert DateFormatter().format_ticks(years) == ["2020", "2022"]


# --- matplotlib


def drawn(axes: Any, label: str) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata()) for line in axes.lines if line.get_label() == label]


def test_plot_gives_axes_with_the_numbers_of_the_forecast() -> None:
    forecaster, _ = fitted()
    panels = forecaster.plot()
    assert panels.shape == (2,)
    np.testing.assert_array_equal(drawn(panels[1], "forecast")[0], forecaster.forecast().values[1, :, 0])
    alone = forecaster.plot(series="s1")
    np.testing.assert_array_equal(drawn(alone, "forecast")[0], drawn(panels[1], "forecast")[0])
    assert len(forecaster.forecast().plot()) == 2


def test_plot_of_a_table_shows_its_rows() -> None:
    forecaster, _ = fitted(model(id=None), (40,))
    hours = (START + np.arange(30) * HOUR).astype("M8[us]")
    rows = {"hour": hours, "load": np.linspace(5, 9, 30)}
    axes = forecaster.plot(rows)
    np.testing.assert_array_equal(drawn(axes, "actual")[0], rows["load"][-24:])
    np.testing.assert_array_equal(drawn(axes, "forecast")[0], forecaster.predict(rows)["statecast"])


def test_plot_draws_on_axes_of_the_user() -> None:
    from matplotlib.figure import Figure

    forecaster, _ = fitted()
    axes = Figure().subplots(2)
    assert list(forecaster.plot(ax=axes)) == list(axes)
    with pytest.raises(SettingError, match="got 1 axes, expected 2"):
        forecaster.plot(ax=axes[0])


def luminance(colour: Any) -> float:
    """Relative luminance (WCAG 2)."""
    from matplotlib.colors import to_rgb

    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("ground", ["default", "dark_background", "transparent and dark"])
@pytest.mark.parametrize("own", [True, False])
def test_pictures_can_be_read_on_the_ground_of_the_users_style(ground: str, own: bool) -> None:
    from matplotlib import pyplot

    through = ["dark_background", {"figure.facecolor": (1, 1, 1, 0), "axes.facecolor": (1, 1, 1, 0)}]
    with pyplot.style.context(through if ground == "transparent and dark" else ground):
        forecast = fitted(lengths=(40,))[0].forecast()
        axes = forecast.plot(ax=pyplot.figure().subfigures(1, 2)[0].subplots() if own else None)
        figure = axes.figure.canvas.figure
        figure.draw_without_rendering()
        behind = luminance("black" if "dark" in ground and own else figure.get_facecolor())
        assert (behind < 0.5) == ("dark" in ground)
        letters = [text.get_color() for text in figure.findobj(pyplot.Text) if text.get_text() and text.get_visible()]
        lines = [line.get_color() for line in axes.lines if len(line.get_xdata()) > 2]
        for colours, least in ((letters, 4.5), (lines, 3)):
            bright = [luminance(colour) for colour in colours]
            assert bright
            assert min((max(light, behind) + 0.05) / (min(light, behind) + 0.05) for light in bright) > least


def test_six_of_many_panels_are_drawn_and_it_says_so() -> None:
    forecaster, _ = fitted(lengths=(9,) * 8)
    panels = forecaster.plot()
    assert len(panels) == 6
    assert panels[0].figure.get_suptitle() == "Forecast (6 of 8)"


def test_a_backtest_is_drawn_from_every_origin() -> None:
    forecaster, table = fitted(model(id=None), (60,))
    rows = {"hour": table.time.astype("M8[us]"), "load": table.y[:, 0]}
    axes = forecaster.plot_backtest(rows, windows=4)
    columns = forecaster.backtest(rows, windows=4)
    forecasts = drawn(axes, "forecast")
    assert len(forecasts) == 4
    np.testing.assert_array_equal(np.concatenate(forecasts), columns["statecast"])
    np.testing.assert_array_equal(drawn(axes, "actual")[0][-12:], columns["y"])


# --- plotly


def test_plotly_has_the_same_numbers_and_a_menu_of_series() -> None:
    pytest.importorskip("plotly", reason="the extra `plotly` is not installed")
    forecaster, _ = fitted(ids=(HOSTILE, "plain"))
    picture = forecaster.plot(backend="plotly")
    names = [trace.name for trace in picture.data]
    assert names == ["95 % low", "95 % high", "80 % low", "80 % high", "actual", "forecast"] * 2
    np.testing.assert_array_equal(picture.data[11].y, forecaster.forecast().values[1, :, 0])
    assert [trace.visible for trace in picture.data] == [True] * 6 + [False] * 6
    first, second = picture.layout.updatemenus[0].buttons
    assert list(second.args[0]["visible"]) == [False] * 6 + [True] * 6
    assert "<script>" not in first.label
    assert picture.layout.hovermode == "x unified"
    one = forecaster.plot(series="plain", backend="plotly")
    assert not one.layout.updatemenus


def test_an_unknown_backend_is_refused() -> None:
    forecaster, _ = fitted()
    with pytest.raises(SettingError, match=r"backend = 'bokeh': expected 'matplotlib' or 'plotly'"):
        forecaster.plot(backend="bokeh")
    with pytest.raises(SettingError, match="plotly cannot draw on axes"):
        forecaster.plot(backend="plotly", ax=3)


def test_cards_need_no_drawing_library(tmp_path: Any) -> None:
    forecaster, _ = fitted()
    path = forecaster.save(tmp_path / "m.safetensors")
    code = (
        "import sys; from statecast import Stream, Forecaster\n"
        f"Stream.load({str(path)!r}).forecast()._repr_html_(); Forecaster.load({str(path)!r})._repr_html_()\n"
        "assert not {'matplotlib', 'plotly', 'jax', 'polars'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
