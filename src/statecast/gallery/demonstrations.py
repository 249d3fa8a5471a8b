"""What a case shows besides its figures, in the terms of its tutorial: sentences, small tables, further rows.

redundancy  the tutorial's windows beside segments: memory, work, time and error of the same network
restore     a model saved and loaded again, and the state of a shorter sequence
printed     the training loss as the tutorial prints it
ahead       forecasts of 2 and 3 steps from the network's own predictions
cell        a bare cell on a small array: shapes, and that the last output is the state
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.forecast.hindcast.roll import forecasts_at
from statecast.gallery import windowed
from statecast.gallery.cases import Case
from statecast.gallery.result import Measurement
from statecast.gallery.training import TrainedCase, train
from statecast.model import archive, container
from statecast.model.cells import CELLS
from statecast.model.initial import Start
from statecast.model.inputs import from_working, rows_of
from statecast.model.scan import layer
from statecast.model.trained import Model
from statecast.report.summary import number

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(frozen=True)
class Demonstration:
    """Rows of the table, sentences, and tables by their headings."""

    rows: tuple[Measurement, ...] = ()
    sentences: tuple[str, ...] = ()
    tables: Mapping[str, list[list[str]]] = field(default_factory=dict)


def of(case: Case, recipe: str, trained: TrainedCase) -> Demonstration:
    """All demonstrations of the case."""
    demonstrations = [SHOWN[name](case, recipe, trained) for name in case.show if name in SHOWN]
    return Demonstration(
        tuple(row for part in demonstrations for row in part.rows),
        tuple(text for part in demonstrations for text in part.sentences),
        {name: rows for part in demonstrations for name, rows in part.tables.items()},
    )


def redundancy(case: Case, recipe: str, trained: TrainedCase) -> Demonstration:
    """The tutorial's windows beside segments: what is held, how often a row is worked on, seconds, and the error.

    The tutorial's own network is trained once more, on segments with a loss at every step after a quarter of them: as
    many losses in a step, and as many steps, so that time and error can be compared.
    """
    config, train_rows = trained.model.config, int(trained.parts.val[0])
    size, burn_in = int(config.segment or 1), int(config.burn_in or 0)
    if recipe != "tutorial":
        return Demonstration(
            sentences=(
                f"Segments of {size} rows with a loss at every step after the first {burn_in}: each row goes through "
                f"the network {size / (size - burn_in):.2g} times a pass, and once in a forecast.",
            )
        )
    quarter = size // 4
    again = {"burn_in": quarter, "batch_size": max(1, int(config.batch_size or 1) // (size - quarter))}
    other = train(case, {**case.tutorial, **again}, None).model
    width = trained.panel.targets + trained.panel.past.shape[1]
    count = train_rows - size
    rows = [
        ["the tutorial's network", "on windows", "on segments"],
        ["rows in training", f"{count:,} x {size} x {width}", f"{train_rows:,} x {width}"],
        ["the same in float64", *(f"{8e-6 * n * width:,.2f} MB" for n in (count * size, train_rows))],
        ["times a row is worked on in a pass", str(size), f"{size / (size - quarter):.2g}"],
        ["seconds a pass", *(number(pass_seconds(model.history)) for model in (trained.model, other))],
        [
            f"validation RMSE after {trained.model.history['epoch'][-1]:.0f} passes",
            *(number(float(np.sqrt(model.history["val_loss"][-1]))) for model in (trained.model, other)),
        ],
    ]
    sentence = (
        f"An array of all windows, as the tutorial makes it, repeats every row {size} times. It is never made here: a "
        "window is the number of a row. Segments do away with the repeated work as well."
    )
    return Demonstration(sentences=(sentence,), tables={"Windows and segments": rows})


def pass_seconds(history: Mapping[str, Sequence[float]]) -> float:
    """Seconds of a pass over the training rows, without the steps up to the first look, which wait for the compiler."""
    epochs, seconds = history["epoch"], history["seconds"]
    return float((seconds[-1] - seconds[1]) / (epochs[-1] - epochs[1]))


def restore(case: Case, recipe: str, trained: TrainedCase) -> Demonstration:
    """Save, load, and compare bits; then the same network on a shorter sequence."""
    model, panel = trained.model, trained.panel
    with tempfile.TemporaryDirectory() as folder:
        loaded = archive.load(archive.save(model, Path(folder) / container.FILE))
    whole, again = (_carried(one, panel) for one in (model, loaded))
    short = _carried(model, panel.cut(panel.lengths // 3))
    same = "the same bits" if whole.tobytes() == again.tobytes() else "other numbers"
    part = "the same numbers" if np.allclose(short, whole[: len(short)], rtol=1e-5, atol=1e-5) else "other numbers"
    return Demonstration(
        sentences=(
            f"Saved to a file and restored, the network gives {same} at all {len(whole):,} rows.",
            f"A sequence of {len(short):,} rows gives {part} as the first {len(short):,} rows of the whole: its length "
            "is not part of the network.",
        )
    )


def _carried(model: Model, panel: Panel) -> np.ndarray:
    rows = rows_of(model.network, model.constants, model.schema, panel, model.dtype)
    return forecasts_at(model.network, model.p, rows, np.ones(panel.rows, bool)).values


def printed(case: Case, recipe: str, trained: TrainedCase) -> Demonstration:
    """The sum of squares over the training rows, as the tutorial prints it every 150 steps."""
    if recipe != "tutorial":
        return Demonstration()
    history, targets = trained.model.history, int(trained.parts.train[0]) - 1
    sums = [value * targets for value in history["loss"]]
    published = dict(zip((150 * n for n in range(10)), PRINTED, strict=True))
    rows = [["step", "mean of the last 150 steps", "the tutorial's"]]
    for step, value in zip(history["step"], sums, strict=True):
        if np.isfinite(value):
            figure = f"{published[int(step)]:,.0f}" if int(step) in published else ""
            rows.append([f"{step:,.0f}", f"{value:,.0f}", figure])
    last = next((v for s, v in zip(history["step"], sums, strict=True) if s == 1350), None)
    row = Measurement(
        case.name, recipe, "training sum of squares, steps 1201-1350", last, published[1350], None, None, None
    )
    return Demonstration(rows=(row,), tables={"Sum of squares while training": rows})


PRINTED = (502893.34, 13839.129, 3964.835, 2619.885, 2418.772, 2110.5923, 1887.9644, 1747.1377, 1556.3398, 1384.6113)
"""The tutorial's losses at steps 0, 150, …, 1350."""


def ahead(case: Case, recipe: str, trained: TrainedCase) -> Demonstration:
    """One, two and three steps ahead; from the second on, the network is fed its own forecasts."""
    panel, begin = trained.panel, int(trained.parts.val[0])
    y = panel.y[:, 0]
    starts = np.arange(begin - 1, panel.rows - 3)
    forecasts = recursion(trained, starts, 3)
    actual = y[starts[:, None] + np.arange(1, 4)]
    error, naive = np.abs(forecasts - actual).mean(axis=0), np.abs(y[starts][:, None] - actual).mean(axis=0)
    rows = [["steps ahead", "mean absolute error", "persistence's", "ratio"]]
    rows += [[str(k + 1), number(error[k]), number(naive[k]), f"{error[k] / naive[k]:.3f}"] for k in range(3)]
    lines = [
        Measurement(case.name, recipe, f"mae, {k} steps ahead, fed back", float(mae), None, float(base), None, None)
        for k, mae, base in zip((2, 3), error[1:], naive[1:], strict=True)
    ]
    return Demonstration(rows=tuple(lines), tables={"Further ahead, from its own forecasts": rows})


def recursion(trained: TrainedCase, starts: np.ndarray, steps: int) -> Float64[np.ndarray, "n steps"]:
    """Forecasts of one target from each start, each fed back as if it had been observed."""
    model, panel = trained.model, trained.panel
    size = trained.window or int(starts.max()) + 1
    forecasts = np.zeros((len(starts), steps))
    for k in range(steps):
        for n, start in enumerate(starts):
            first = max(0, start + 1 - size)
            y = np.concatenate([panel.y[first : start + 1, 0], forecasts[n, :k]])
            forecasts[n, k] = _after(model, _piece(panel, first, y), trained.window)
    return forecasts


def _piece(panel: Panel, first: int, y: np.ndarray) -> Panel:
    """The rows of the panel from `first` on, with these values in place of its own."""
    rows = slice(first, first + len(y))
    nothing = np.zeros((len(y), 0))
    return replace(
        panel, y=y[:, None], time=panel.time[rows], offsets=np.array([0, len(y)]), past=nothing, known=nothing
    )


def _after(model: Model, panel: Panel, window: int) -> float:
    """The forecast of the value after the last row."""
    rows = rows_of(model.network, model.constants, model.schema, panel, model.dtype)
    mask = np.arange(panel.rows) == panel.rows - 1
    if window:
        origins = windowed.tested(model.network, model.p, rows, mask, window)
    else:
        origins = forecasts_at(model.network, model.p, rows, mask)
    return float(from_working(model.constants, origins.values)[0, 0, 0, 0])


BATCHES = [[[0, 1, 2, 5], [9, 8, 7, 4]], [[3, 4, 5, 2], [0, 0, 0, 0]], [[6, 7, 8, 5], [6, 5, 4, 2]]]
"""The tutorial's array: 3 batches of 2 time steps of 4 inputs."""


def cell(case: Case, recipe: str, trained: TrainedCase) -> Demonstration:
    """A simple RNN of 6 neurons on a (3, 2, 4) array."""
    if recipe != "statecast":
        return Demonstration()
    x = np.array(BATCHES, np.float32)
    equations = CELLS["rnn_tanh"]
    drawn = equations.init(np.random.default_rng(0), 4, 6, Start("glorot"))
    weights: dict[str, Any] = {name: value.astype(np.float32) for name, value in drawn.items()}
    before = {"h": np.zeros((3, 6), np.float32)}
    out, state = layer(equations, weights, np.moveaxis(x, 1, 0), before)
    outputs = np.moveaxis(out, 0, 1)
    same = "equals" if np.array_equal(outputs[:, -1], state["h"]) else "differs from"
    rows = [["batch", "step", *(str(n + 1) for n in range(6))]]
    rows += [[str(b + 1), str(t + 1), *(f"{v:.3f}" for v in outputs[b, t])] for b in range(3) for t in range(2)]
    return Demonstration(
        sentences=(f"A bare cell makes {outputs.shape} out of {x.shape}; the last step {same} the state.",),
        tables={"A bare cell: the outputs of its six neurons": rows},
    )


SHOWN: dict[str, Callable[[Case, str, Any], Demonstration]] = {
    "redundancy": redundancy,
    "restore": restore,
    "printed": printed,
    "ahead": ahead,
    "cell": cell,
}
