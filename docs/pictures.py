"""Draws the pictures of the pages that explain, by fitting and running the library: `make pictures`.

A picture is an SVG whose colours follow the page around it, light or dark. What it shows is what the library did while
it was drawn; nothing is sketched by hand.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.dates import DateFormatter, DayLocator
from matplotlib.figure import Figure

import statecast as sc
from statecast.config import read_toml
from statecast.data import examples
from statecast.data.segments import Sampler
from statecast.gallery import cases, forecasting
from statecast.model.inputs import from_working

IMAGES = Path(__file__).parent / "images"
# A colour in the light, and the one that takes its place in the dark.
INK, SOFT, GRID, BLUE, PALE, ORANGE, GREEN = "#22303c", "#5b6b79", "#dfe5ea", "#0072b2", "#9fcbe6", "#d55e00", "#009e73"
DARK = {
    INK: "#e4eaef",
    SOFT: "#9babb8",
    GRID: "#2b3741",
    BLUE: "#63b3e4",
    PALE: "#2b5876",
    ORANGE: "#ff9d5c",
    GREEN: "#4cc9a4",
}
STYLE = {
    **{"font.size": 9, "axes.titlesize": 9.5, "axes.titleweight": "bold", "axes.titlelocation": "left"},
    **{"axes.edgecolor": GRID, "axes.labelcolor": SOFT, "axes.titlecolor": INK, "text.color": INK},
    **{"xtick.color": SOFT, "ytick.color": SOFT, "xtick.major.size": 0, "ytick.major.size": 0},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "legend.frameon": False},
    **{"svg.hashsalt": "statecast", "savefig.transparent": True, "lines.solid_capstyle": "round"},
}


def figure(rows: int = 1, columns: int = 1, height: float = 3.0, **more: Any) -> tuple[Figure, Any]:
    """A figure of the width of a page, and its axes."""
    result = Figure(figsize=(7.6, height), layout="constrained")
    return result, result.subplots(rows, columns, **more)


def save(drawing: Figure, name: str) -> None:
    """Write a figure as an SVG whose colours are those of the page around it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "drawing.svg"
        drawing.savefig(file, metadata={"Date": None})
        text = file.read_text(encoding="utf-8")
    names = {light: f"--c{number}" for number, light in enumerate(DARK)}
    for light, variable in names.items():
        text = text.replace(light, f"var({variable})")
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    rules = [
        "".join(f"{names[light]}:{shown};" for light, shown in pairs)
        for pairs in ({shown: shown for shown in DARK}.items(), DARK.items())
    ]
    # A map of colours is an image within the SVG: in the dark its white middle becomes black, its hues stay.
    dark = f"svg{{{rules[1]}}}image{{filter:invert(1) hue-rotate(180deg)}}"
    style = f"<style>svg{{{rules[0]}}}@media(prefers-color-scheme:dark){{{dark}}}</style>"
    text = text.replace("<defs>", f"{style}<defs>", 1)
    (IMAGES / f"{name}.svg").write_text(text, encoding="utf-8")


def state() -> Figure:
    """One series, observed by three streams that hand the state on."""
    wave = examples.sine(240, period=24, noise=0.15, seed=3)
    model = sc.Forecaster(horizon=12, hidden=12, max_steps=200, significance=1, random_state=1).fit(wave[:120])
    whole = model.stream()
    ends, fans = (120, 160, 200), []
    stream, numbers = model.stream(), 0
    for now in range(120, 201):
        if now in ends[1:]:  # elsewhere: the state goes through a file
            with tempfile.TemporaryDirectory() as folder:
                stream = sc.Stream.load(stream.save(Path(folder) / "state.safetensors"))
        numbers = stream.state.data.shape[1]
        if now in ends:
            assert np.array_equal(stream.forecast().values, whole.forecast().values)
            fans.append(stream.forecast(levels=[80]))
        name = stream.ids[0]
        stream.observe(name, wave[now])
        whole.observe(name, wave[now])
    units = model.activations(wave[:212]).parts["0.h"][88:]
    drawing, (above, below) = figure(2, 1, 3.7, sharex=True, height_ratios=(3, 2))
    above.plot(np.arange(88, 212), wave[88:212], color=SOFT, lw=1)
    for end, fan in zip(ends, fans, strict=True):
        steps = np.arange(end, end + 12)
        above.fill_between(steps, fan.lower[80][0, :, 0], fan.upper[80][0, :, 0], color=PALE, lw=0)
        above.plot(steps, fan.values[0, :, 0], color=BLUE, lw=2)
    picture = below.imshow(units.T, aspect="auto", extent=(87.5, 211.5, 0, 12), cmap="RdBu", vmin=-0.8, vmax=0.8)
    for axes in (above, below):
        for end in ends:
            axes.axvline(end - 0.5, color=ORANGE, lw=1.3, ls=(0, (2, 2)))
    for end, text in zip(ends, ("where the fit ended", "a stream elsewhere", "another"), strict=True):
        above.annotate(text, (end, 1.5), xytext=(4, 0), textcoords="offset points", color=ORANGE, va="center")
    above.set(title="a series, and forecasts from three places", ylim=(-1.7, 1.7), yticks=[-1, 0, 1])
    below.set(title=f"the outputs of twelve units, a part of the {numbers} numbers that are handed on", yticks=[])
    below.set_xlabel("row")
    drawing.colorbar(picture, ax=below, pad=0.01, aspect=8).outline.set_visible(False)
    return drawing


def segments() -> Figure:
    """Windows beside segments, as the sampler of a fit lays them out."""
    rows, window = 240, 48
    sampler = Sampler(rows, 72, 18, 64, shuffle=True, stored=False, seed=2)
    drawing, (left, right) = figure(1, 2, 2.9, sharex=True)
    starts = np.arange(0, rows - window, 6)
    for line, begin in enumerate(starts):
        left.barh(line, window, left=begin, height=0.7, color=PALE)
        left.barh(line, 1.5, left=begin + window - 1.5, height=0.7, color=BLUE)
    for line, begin in enumerate(sorted(sampler.epoch(0).reshape(-1))):
        right.barh(line, 18, left=begin, height=0.55, color=PALE)
        right.barh(line, 54, left=begin + 18, height=0.55, color=BLUE)
    read = [sum(1 for begin in range(rows - window + 1)) * window, sampler.segments * sampler.segment]
    texts = "windows of 48 rows (every sixth is drawn)", "segments of 72 rows"
    for axes, text, count in zip((left, right), texts, read, strict=True):
        axes.set(title=text, yticks=[], xlim=(0, rows), xlabel=f"row; {count:,} rows are read for {rows} rows")
        axes.invert_yaxis()
    handles = [
        mpl.patches.Patch(color=PALE, label="read alone"),
        mpl.patches.Patch(color=BLUE, label="read, and its forecast judged"),
    ]
    drawing.legend(handles=handles, loc="outside lower center", ncols=2)
    return drawing


def front() -> Figure:
    """Level and scale follow a growing series, and what the network sees does not grow."""
    values = examples.x_sin(700)
    model = sc.Forecaster(max_steps=0, skip=8).fit(values[:300])
    stream = model.stream(empty=True)
    parts = []
    for value in values:
        stream.observe("x", value)
        parts.append(
            {
                name: part[0, 0]
                for name, part in model.model_.layout.unpack(stream.state.data).items()
                if name in ("level", "spread")
            }
        )
    constants = model.model_.constants
    level = from_working(constants, np.array([[[p["level"]]] for p in parts]))[:, 0, 0]
    scale = np.array([p["spread"] for p in parts]) * constants["unit"][0]
    relative = (values[1:] - level[:-1]) / scale[:-1]
    drawing, (above, below) = figure(2, 1, 3.5, sharex=True, height_ratios=(3, 2))
    steps = np.arange(len(values))
    above.fill_between(steps, level - 8 * scale, level + 8 * scale, color=PALE, lw=0, label="level ± 8 scales")
    above.plot(steps, values, color=INK, lw=1.2, label="the series, x · sin x")
    above.legend(loc="upper left")
    above.axvline(300, color=ORANGE, lw=1.3, ls=(0, (2, 2)))
    above.annotate("training ends", (300, -90), xytext=(5, 0), textcoords="offset points", color=ORANGE, va="center")
    above.set(title="a series that grows without end", ylim=(-105, 130))
    below.plot(steps[1:], relative, color=BLUE, lw=1.2)
    below.axvline(300, color=ORANGE, lw=1.3, ls=(0, (2, 2)))
    below.set(title="what the network sees: (value − level) / scale", xlabel="row", ylim=(-3.4, 3.4))
    below.grid(axis="y", color=GRID)
    return drawing


def skip() -> Figure:
    """The linear map of the skip, and one forecast taken apart."""
    table = examples.load("air_passengers")
    model = sc.Forecaster(horizon=12, max_steps=0).fit(table, target="passengers", time="month")
    weights = model.weights()["skip/W"][0]  # [values back, steps ahead], the newest value last
    drawing, (left, right) = figure(1, 2, 3.1, width_ratios=(3, 2))
    back = 48
    most = np.abs(weights[-back:]).max()
    picture = left.imshow(
        weights[-back:].T, aspect="auto", cmap="RdBu", vmin=-most, vmax=most, extent=(-back + 0.5, 0.5, 12.5, 0.5)
    )
    left.set(
        title="the linear map", xlabel="months back", ylabel="months ahead", xticks=range(-36, 1, 12), yticks=[1, 6, 12]
    )
    drawing.colorbar(picture, ax=left, pad=0.01, aspect=20).outline.set_visible(False)
    taken = model.breakdown()
    names, amounts = [part.name for part in taken.parts], taken.amounts[0, :, :, 0]
    largest = np.argsort(-np.abs(amounts[1:]).max(axis=1))[:3] + 1
    months = np.arange(1, 13)
    right.axhline(0, color=GRID, lw=1)
    for number, colour in zip(largest, (BLUE, ORANGE, GREEN), strict=True):
        right.plot(months, amounts[number], color=colour, lw=2, label=names[number])
    right.plot(months, taken.values[0, :, 0] - amounts[0], color=INK, lw=2, ls=":", label="forecast − level")
    right.set(title="a forecast taken apart", xlabel="months ahead", xticks=[1, 6, 12], ylim=(-80, 340))
    right.legend(fontsize=7.5)
    return drawing


def calibration() -> Figure:
    """Intervals that follow a series whose noise grows, beside intervals that do not."""
    rows, change = 3000, 2200
    noise = np.random.default_rng(5).standard_normal(rows) * np.where(np.arange(rows) < change, 0.3, 0.9)
    values = 3 * np.sin(2 * np.pi * np.arange(rows) / 24) + noise
    drawing, (above, below) = figure(2, 1, 3.7, sharex=True)
    for adaptive, colour, text in ((False, ORANGE, "as calibrated"), (True, BLUE, "adaptive")):
        model = sc.Forecaster(horizon=1, season=24, adaptive=adaptive, max_steps=0).fit(values[:2000])
        stream, inside, width = model.stream(), [], []
        ahead = stream.forecast(levels=[80])
        for value in values[2000:]:
            low, high = ahead.lower[80][..., 0].item(), ahead.upper[80][..., 0].item()
            inside.append(low <= value <= high)
            width.append(high - low)
            ahead = stream.observe(stream.ids[0], value)
        steps = np.arange(2000, rows)
        share = np.convolve(inside, np.ones(100) / 100, "valid")
        above.plot(steps, width, color=colour, lw=1.6, label=text)
        below.plot(steps[99:], 100 * share, color=colour, lw=1.6)
    below.axhline(80, color=SOFT, lw=1, ls=":")
    for axes in (above, below):
        axes.axvline(change, color=SOFT, lw=1.2, ls=(0, (2, 2)))
        axes.grid(axis="y", color=GRID)
    above.annotate("the noise triples", (change, 0.2), xytext=(5, 0), textcoords="offset points", color=SOFT)
    above.set(title="width of the 80 % interval", ylim=(0, None))
    above.legend(loc="upper left")
    below.set(title="of the last 100 values, per cent inside", xlabel="row", ylim=(20, 101))
    return drawing


def forecast() -> Figure:
    """The README's picture: of the forecasts of the demo's test rows the one whose error is the median."""
    settings = read_toml(Path(__file__).parent / "traffic.toml")
    roles = settings.pop("data")
    model = sc.Forecaster(**settings).fit(examples.path("interstate_traffic"), **roles)
    return traffic(model)


def traffic(model: sc.Forecaster) -> Figure:
    """Two days ahead, with the days before and with what happened."""
    table = model.backtest(examples.path("interstate_traffic"), windows=100, step=48)
    whole = table.group_by("cutoff").agg(
        (pl.col("y") - pl.col("statecast")).abs().mean().alias("mae"), pl.col("y").count()
    )
    whole = whole.filter(pl.col("y") == 48).sort("mae", "cutoff")
    cutoff = whole["cutoff"][len(whole) // 2]
    ahead = table.filter(pl.col("cutoff") == cutoff).sort("time")
    drawing, axes = figure(height=3.2)
    before = (
        table.filter(pl.col("time") <= cutoff, pl.col("time") > cutoff - timedelta(days=4)).unique("time").sort("time")
    )
    time = ahead["time"]
    for level, alpha in ((95, 0.16), (80, 0.3)):
        bounds = (ahead[f"statecast-{end}-{level}"] for end in ("lo", "hi"))
        axes.fill_between(time, *bounds, color=BLUE, alpha=alpha, lw=0, label=f"{level} % interval")
    axes.plot(before["time"], before["y"], color=SOFT, lw=1.3)
    axes.plot(time, ahead["statecast"], color=BLUE, lw=2, label="forecast")
    axes.plot(time, ahead["y"], color=ORANGE, lw=1.3, label="what happened")
    axes.axvline(cutoff, color=SOFT, lw=1, ls=(0, (2, 2)))
    axes.annotate("now", (cutoff, 0), xytext=(-4, 3), textcoords="offset points", color=SOFT, ha="right")
    axes.set(title=f"Vehicles an hour on Interstate 94, forecast at the end of {cutoff:%-d %B %Y}", ylim=(0, None))
    axes.xaxis.set_major_locator(DayLocator())
    axes.xaxis.set_major_formatter(DateFormatter("%a %-d %b"))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color=GRID)
    axes.legend(loc="upper left", ncols=4, bbox_to_anchor=(0, -0.1))
    return drawing


def gallery() -> Figure:
    """The gallery's series through the last of their test rows, as statecast's recipes forecast them."""
    rows = {"sin": 900, "sin-cos": 900, "x-sin": 900, "separate": 900}
    rows |= {"saw": 80, "saw-deep": 80, "bell": 150, "walk": 60}
    drawing, panels = figure(2, 4, 3.4)
    for (name, last), axes in zip(rows.items(), panels.flat, strict=True):
        result = forecasting.run(cases.load(name), "statecast")
        for track in result.tracks[:2]:
            axes.plot(track.actual[-last:], color=PALE, lw=3.5)
            axes.plot(track.predicted[-last:], color=BLUE, lw=1.1)
        axes.set(title=name, xticks=[])
    handles = [mpl.lines.Line2D([], [], color=colour, lw=width) for colour, width in ((PALE, 3.5), (BLUE, 1.1))]
    drawing.legend(handles, ["what happened", "forecast"], loc="outside lower center", ncols=2)
    return drawing


PICTURES: dict[str, Callable[[], Figure]] = {
    picture.__name__: picture for picture in (state, segments, front, skip, calibration, gallery, forecast)
}


def main(names: list[str]) -> None:
    """Draw the pictures with these names; all where there are none."""
    with mpl.rc_context(STYLE):
        for name in names or PICTURES:
            save(PICTURES[name](), name)


if __name__ == "__main__":
    main(sys.argv[1:])
