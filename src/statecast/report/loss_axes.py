"""The loss of a training drawn on axes, one training after the other; it makes no figures, as `plot` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from statecast.display.palette import LIGHT
from statecast.model.history import EVERY_ROW, phases_of
from statecast.report.summary import number

SPAN = 8  # from the least to the greatest loss, as a factor, from which on the axis is logarithmic
EDGE = 0.08  # of the span of the losses, left free above and below


class _Training(NamedTuple):
    """A part of a history.

    Attributes:
        phase: its name.
        columns: its rows.
        begin: the step on the axis that its steps are counted from.
    """

    phase: str
    columns: Mapping[str, Any]
    begin: float


def clock_of(history: Mapping[str, Any]) -> str:
    """What the axis of a training history counts: steps, or epochs where there are no steps, or its rows."""
    return next((name for name in ("step", "epoch") if len(history.get(name, ()))), "row of the history")


def _trainings(history: Mapping[str, Any]) -> Iterator[_Training]:
    """The trainings of a history, each after the one before it."""
    columns = {name: np.asarray(values, np.float64) for name, values in history.items()}
    clock, count = clock_of(history), max(len(values) for values in columns.values())
    time = columns.get(clock, np.arange(1.0, count + 1))
    phases, begin = np.array(phases_of({"step": time, **history}), object), 0.0
    for phase in dict.fromkeys(phases.tolist()):
        part = {name: values[phases == phase] for name, values in columns.items() if len(values) == count}
        yield _Training(phase, part | {"time": time[phases == phase]}, begin)
        begin += float(time[phases == phase][-1])


def losses(axes: Any, history: Mapping[str, Any]) -> None:
    """Training and validation loss, the best validation loss, and where each training began."""
    for training in _trainings(history):
        columns, time = training.columns, training.begin + training.columns["time"]
        for key, colour, name in (("loss", LIGHT.ink, "training"), ("val_loss", LIGHT.main, "validation")):
            _curve(axes, time, columns.get(key, np.zeros(0)), colour, name)
        if training.begin:
            axes.axvline(training.begin, color=LIGHT.soft, lw=0.8, ls=(0, (2, 2)))
            words = f" {training.phase}"
            look: dict[str, Any] = {
                "fontsize": 8,
                "color": LIGHT.soft,
                "va": "top",
                "transform": axes.get_xaxis_transform(),
            }
            right = training.phase == EVERY_ROW and _share(axes, training) > 0.6
            axes.text(training.begin, 1.0, f"{words[1:]} " if right else words, ha="right" if right else "left", **look)
        else:
            _best(axes, time, columns.get("val_loss", np.zeros(0)))
    _scale(axes)


def _share(axes: Any, training: _Training) -> float:
    """Where a training begins, as a share of the axis."""
    return training.begin / (training.begin + float(training.columns["time"][-1]))


def rates(axes: Any, history: Mapping[str, Any]) -> None:
    """The learning rate of each training."""
    for training in _trainings(history):
        time, rate = training.begin + training.columns["time"], training.columns["learning_rate"]
        axes.plot(time, rate, color=LIGHT.soft, lw=1.2, drawstyle="steps-post")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="y", nbins=3)


def _curve(axes: Any, time: Any, value: Any, colour: str, label: str) -> None:
    finite = np.isfinite(value)
    if finite.any():
        look: dict[str, Any] = {"lw": 1.4, "label": label, "marker": "o" if finite.sum() < 30 else "", "ms": 3}
        axes.plot(time[finite], value[finite], color=colour, **look)


def _best(axes: Any, time: Any, value: Any) -> None:
    if np.isfinite(value).any():
        at = int(np.argmin(np.where(np.isfinite(value), value, np.inf)))
        look: dict[str, Any] = {"color": LIGHT.far, "marker": "D", "ms": 6, "ls": "", "zorder": 4}
        axes.plot(time[at], value[at], label=f"best: {number(float(value[at]))}", **look)


def _scale(axes: Any) -> None:
    """An axis from the least to the greatest loss; logarithmic where they span much."""
    curves = [np.asarray(line.get_ydata(), np.float64) for line in axes.lines if line.get_label()[:1] != "_"]
    values = np.concatenate([*curves, np.zeros(0)])
    if not len(values):
        return
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > SPAN * low:
        axes.set_yscale("log")
        many = high > 1e3 * low
        axes.yaxis.get_major_locator().set_params(subs=(1,) if many else (1, 2, 5), numticks=9)
        factor = (high / low) ** EDGE
        axes.set_ylim(low / factor, high * factor)
        return
    edge = EDGE * (high - low) or EDGE * abs(high) or 1.0
    axes.set_ylim(low - edge, high + edge)
