"""The network from its definition, in plain Python numbers: slow, float64, one series, one unit, one sum at a time.

Every execution of the package (NumPy step by step, NumPy scan, JAX scan, kernel, exported model) must give these
numbers. It shares no code with the package and imports nothing of it; only the names and the order of the weights are
common. Where the package carries a running number, this file goes back to the whole history since the series began:
level and scale at a step are functions of the values up to it, written as sums.

Weights and constants come as nested dicts of nested lists (see `plain`), a series as a list of `Row`.
"""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Vector = list[float]
Tree = Mapping[str, Any]

SMALLEST_SCALE = 1e-8
LARGEST_INPUT, LARGEST_FINITE = 20.0, 2.0**64
HIDDEN_AHEAD = 32  # units of the layer through which what is known ahead acts


@dataclass(frozen=True)
class Spec:
    """What the network is made of, as the settings call it; `outputs` counts the numbers for each (step, target)."""

    cell: str
    hidden: tuple[int, ...]
    dense: tuple[int, ...]
    activation: str
    residual: bool
    targets: int
    lags: int
    skip: int
    normalize: str
    decay: float
    missing: bool
    level_input: bool
    horizon: int
    outputs: int
    family: str = ""  # the distribution whose parameters are forecast
    decoder: str = ""  # the cell that runs over the steps ahead
    number: int = 0  # of the series among those that have a linear map of their own, from 1 on; 0 for another


@dataclass(frozen=True)
class Row:
    """One time step of one series; `y` means nothing where `present` is false."""

    y: Vector
    present: list[bool]
    reset: bool = False
    covariates: Vector = field(default_factory=list)  # past, known, calendar, static, one after the other
    future: list[Vector] | None = None  # [H][F]


@dataclass(frozen=True)
class Seen:
    """Everything that the network knows and says after a row."""

    level: Vector
    scale: Vector
    count: list[int]
    gap: list[int]
    ring: list[Vector]  # oldest first; 0 where nothing is held
    held: list[list[bool]]
    inputs: Vector
    cells: dict[str, Vector]
    forecast: list[list[Vector]]  # [H][D][O]


def plain(tree: Any) -> Any:
    """A tree of arrays as one of lists of Python floats."""
    if isinstance(tree, Mapping):
        return {name: plain(part) for name, part in tree.items()}
    return tree.tolist()


# --- scalar functions


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x))


def log_one_plus_exp(x: float) -> float:
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


def activate(name: str, x: float) -> float:
    if name == "gelu":
        return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return {
        "linear": lambda: x,
        "tanh": lambda: math.tanh(x),
        "relu": lambda: max(x, 0.0),
        "sigmoid": lambda: logistic(x),
        "silu": lambda: x * logistic(x),
    }[name]()


def dot(a: Iterable[float], b: Iterable[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def column(matrix: Sequence[Vector], j: int) -> Vector:
    return [row[j] for row in matrix]


# --- cells: each unit j of the next state, written out


def step(cell: str, w: Tree, x: Vector, state: dict[str, Vector]) -> dict[str, Vector]:
    """The state after one step of a layer."""
    h, size = state.get("h", []), len(next(iter(state.values())))
    units = range(size)

    def inward(gate: int, j: int) -> float:
        return w["b"][gate * size + j] + dot(x, column(w["W"], gate * size + j))

    def within(gate: int, j: int) -> float:
        """What unit j's head says to it: the units of the head, times their block of weights."""
        block = w["U"][j // len(w["U"][0])]
        width = len(block)
        mates = h[j // width * width :][:width]
        return dot(mates, column(block, gate * width + j % width))

    def around(gate: int, j: int, from_state: Vector = h) -> float:
        return dot(from_state, column(w["U"], gate * size + j))

    def both(gate: int, j: int) -> float:
        return inward(gate, j) + around(gate, j)

    if cell == "rnn_tanh":
        return {"h": [math.tanh(both(0, j)) for j in units]}
    if cell == "rnn_relu":
        return {"h": [max(0.0, both(0, j)) for j in units]}
    if cell == "lstm":
        keep = [logistic(both(1, j)) * state["c"][j] for j in units]
        write = [logistic(both(0, j)) * math.tanh(both(2, j)) for j in units]
        c = [a + b for a, b in zip(keep, write, strict=True)]
        return {"h": [logistic(both(3, j)) * math.tanh(c[j]) for j in units], "c": c}
    if cell == "gru":
        old = [logistic(both(1, j)) for j in units]
        new = [math.tanh(inward(2, j) + logistic(both(0, j)) * (around(2, j) + w["bn"][j])) for j in units]
        return {"h": [(1 - old[j]) * new[j] + old[j] * h[j] for j in units]}
    if cell == "gru_reset_before":
        old = [logistic(both(1, j)) for j in units]
        left = [logistic(both(0, j)) * h[j] for j in units]
        new = [math.tanh(inward(2, j) + around(2, j, left)) for j in units]
        return {"h": [(1 - old[j]) * new[j] + old[j] * h[j] for j in units]}
    if cell == "mingru":
        take = [logistic(inward(0, j)) for j in units]
        return {"h": [(1 - take[j]) * h[j] + take[j] * inward(1, j) for j in units]}
    if cell == "minlstm":
        forget, take = [logistic(inward(0, j)) for j in units], [logistic(inward(1, j)) for j in units]
        return {"h": [(forget[j] * h[j] + take[j] * inward(2, j)) / (forget[j] + take[j]) for j in units]}
    if cell in ("slstm", "slstm_exp"):
        gates = [[inward(gate, j) + within(gate, j) for j in units] for gate in range(4)]
        return exponential_memory(gates, state, open_ended=cell == "slstm_exp")
    if cell == "lru":
        return diagonal(w, [[inward(gate, j) for j in units] for gate in range(2)], state)
    raise KeyError(cell)


def exponential_memory(gates: list[Vector], state: dict[str, Vector], open_ended: bool) -> dict[str, Vector]:
    """The memory as the paper first writes it, without a stabiliser; then in the units of the stabilised one."""
    after: dict[str, Vector] = {"h": [], "c": [], "n": [], "m": []}
    for i, f, g, o, c, n, m in zip(*gates, state["c"], state["n"], state["m"], strict=True):
        keep = math.exp(f) if open_ended else logistic(f)
        content = keep * c * math.exp(m) + math.exp(i) * math.tanh(g)
        weight = keep * n * math.exp(m) + math.exp(i)
        largest = max(math.log(keep) + m, i) if n > 0 else i
        after["h"].append(logistic(o) * content / weight)
        after["c"].append(content / math.exp(largest))
        after["n"].append(weight / math.exp(largest))
        after["m"].append(largest)
    return after


def diagonal(w: Tree, entering: list[Vector], state: dict[str, Vector]) -> dict[str, Vector]:
    """The next complex state of a linear recurrent unit."""
    after = []
    for j, (re, im) in enumerate(zip(*entering, strict=True)):
        turn = cmath.exp(complex(-math.exp(w["nu"][j]), math.exp(w["theta"][j])))
        after.append(turn * complex(state["re"][j], state["im"][j]) + math.exp(w["gamma"][j]) * complex(re, im))
    return {"re": [s.real for s in after], "im": [s.imag for s in after]}


def output(cell: str, w: Tree, x: Vector, state: dict[str, Vector]) -> Vector:
    """What a layer says in a state."""
    if cell != "lru":
        return state["h"]
    size, both = len(state["re"]), [*state["re"], *state["im"]]
    reads = [dot(both, column(w["C"], k)) for k in range(2 * size)]
    past = [w["b"][2 * size + k] + dot(x, column(w["W"], 2 * size + k)) for k in range(2 * size)]
    y = [a + b for a, b in zip(reads, past, strict=True)]
    return [y[j] * logistic(y[size + j]) for j in range(size)]


def first_state(cell: str, w: Tree) -> dict[str, Vector]:
    """The state that a layer starts from; the memory of an sLSTM is always empty."""
    learned = {name.removeprefix("init_"): list(value) for name, value in w.items() if name.startswith("init_")}
    empty = ("c", "n", "m") if cell.startswith("slstm") else ()
    return learned | {name: [0.0] * len(learned["h"]) for name in empty}


def run_layer(
    cell: str,
    w: Tree,
    xs: Sequence[Vector],
    state: dict[str, Vector],
    resets: Sequence[bool],
    masks: Sequence[bool],
) -> tuple[list[Vector], dict[str, Vector]]:
    """One layer over one series: the output of each step, and the last state."""
    out = []
    for x, reset, mask in zip(xs, resets, masks, strict=True):
        state = first_state(cell, w) if reset else state
        state = step(cell, w, x, state) if mask else state
        out.append(output(cell, w, x, state))
    return out, state


# --- the front: functions of the rows since the series began


def forgetting_mean(xs: Sequence[float], decay: float) -> float:
    """Σ xₖ·rₖ·Πⱼ>ₖ(1 − rⱼ) with rₖ = max(1/k, decay): the plain mean at first, an exponential one later."""
    rates = [max(1 / k, decay) for k in range(1, len(xs) + 1)]
    return math.fsum(x * rates[k] * math.prod(1 - r for r in rates[k + 1 :]) for k, x in enumerate(xs))


def values_of(history: Sequence[Row], d: int) -> list[tuple[int, float]]:
    """(step, value) of what was seen of target d."""
    return [(t, row.y[d]) for t, row in enumerate(history) if row.present[d]]


def level_and_scale(spec: Spec, c: Tree, history: Sequence[Row], d: int) -> tuple[float, float]:
    """Of target d after the rows of `history`."""
    level, spread = c["level"][d], c["spread"][d]
    known = values_of(history, d)
    ys = [y for _, y in known]
    if spec.normalize == "none":
        return 0.0, 1.0
    if spec.normalize == "last" and ys:
        level = ys[-1]
        pairs = itertools.pairwise(known)
        moves = [abs(later - earlier) / math.sqrt(t - s) for (s, earlier), (t, later) in pairs]
        spread = forgetting_mean(moves, spec.decay) if moves else spread
    if spec.normalize == "ewma" and ys:
        level = forgetting_mean(ys, spec.decay)
        moves = [abs(ys[k] - forgetting_mean(ys[:k], spec.decay)) for k in range(1, len(ys))]
        spread = forgetting_mean(moves, spec.decay) if moves else spread
    if spec.normalize == "window":
        recent = [y for t, y in known if t >= len(history) - ring_size(spec)]
        if recent:
            level = math.fsum(recent) / len(recent)
        if len(recent) > 1:
            spread = math.sqrt(math.fsum((y - level) ** 2 for y in recent) / len(recent))
    return level, max(spread, SMALLEST_SCALE)


def ring_size(spec: Spec) -> int:
    return max(spec.lags, spec.skip, 1)


def ring_of(spec: Spec, history: Sequence[Row]) -> tuple[list[Vector], list[list[bool]]]:
    """The last values of each target, oldest first, and which of them are held."""
    recent = history[-ring_size(spec) :]
    blank = ring_size(spec) - len(recent)
    held = [[False] * spec.targets] * blank + [list(row.present) for row in recent]
    values = [[y if present else 0.0 for y, present in zip(row.y, row.present, strict=True)] for row in recent]
    return [[0.0] * spec.targets] * blank + values, held


def steps_since(history: Sequence[Row], d: int) -> int:
    """Steps since target d was last seen; since the series began where it never was."""
    known = values_of(history, d)
    return len(history) - 1 - known[-1][0] if known else len(history)


def standardised(values: Vector, mean: Vector, scale: Vector, marked: bool) -> Vector:
    """Covariates in training deviations, 0 where missing, then (if `marked`) a 1 for each that is missing."""
    gone = [math.isnan(v) for v in values]
    scaled = [0.0 if g else (v - m) / s for v, g, m, s in zip(values, gone, mean, scale, strict=True)]
    return scaled + [float(g) for g in gone] * marked


# --- the network


def inputs_of(
    spec: Spec, c: Tree, history: Sequence[Row], relative: list[Vector], at: list[tuple[float, float]]
) -> Vector:
    """What enters the stack: lags, marks of what is missing, level and scale, covariates."""
    targets = range(spec.targets)
    lagged = [relative[n][d] / c["ring_gain"][d] for n in range(-spec.lags, 0) for d in targets]
    most = LARGEST_FINITE if spec.normalize == "none" else LARGEST_INPUT
    x = [max(-most, min(most, value)) for value in lagged]
    if spec.missing:
        x += [float(history[-1].present[d]) for d in targets]
        x += [math.log(1 + steps_since(history, d)) for d in targets]
    if spec.level_input:
        x += [(at[d][0] - c["level"][d]) / c["deviation"][d] for d in targets]
        x += [math.log(at[d][1] / max(c["spread"][d], SMALLEST_SCALE)) for d in targets]
    return x + history[-1].covariates


def through(spec: Spec, w: Tree, x: Vector, cells: dict[str, Vector]) -> tuple[Vector, dict[str, Vector]]:
    """The stack at one step: its output and the next state of all layers."""
    after: dict[str, Vector] = {}
    for n in range(len(spec.hidden)):
        before = {name.split(".")[1]: part for name, part in cells.items() if name.split(".")[0] == str(n)}
        state = step(spec.cell, w["cells"][str(n)], x, before)
        after |= {f"{n}.{name}": part for name, part in state.items()}
        x = beside(spec, x, output(spec.cell, w["cells"][str(n)], x, state))
    for n in range(len(spec.dense)):
        weights = w["dense"][str(n)]
        out = [b + dot(x, column(weights["W"], j)) for j, b in enumerate(weights["b"])]
        x = beside(spec, x, [activate(spec.activation, a) for a in out])
    return x, after


def beside(spec: Spec, x: Vector, out: Vector) -> Vector:
    """A layer's output, with its input added on request where the two are equally wide."""
    return [a + b for a, b in zip(x, out, strict=True)] if spec.residual and len(x) == len(out) else out


def quantiles(raw: Vector) -> Vector:
    """The middle number is the median; each other one is the positive gap to its inner neighbour."""
    half = len(raw) // 2
    gaps = [log_one_plus_exp(r) for r in raw]
    lower = [raw[half] - math.fsum(gaps[o:half]) for o in range(half)]
    upper = [raw[half] + math.fsum(gaps[half + 1 : o + 1]) for o in range(half + 1, len(raw))]
    return [*lower, raw[half], *upper]


def head(spec: Spec, w: Tree, h: Vector, row: Row, k: int, d: int) -> Vector:
    """What the head says of target d, k + 1 steps ahead, relative to level and scale."""
    if spec.decoder:
        raw = decoded(spec, w, h, row, k)[d * spec.outputs : (d + 1) * spec.outputs]
        return quantiles(raw) if spec.outputs > 1 and not spec.family else raw
    raw = []
    for o in range(spec.outputs):
        number = d * spec.outputs + o
        place = k * spec.targets * spec.outputs + number
        value = w["out"]["b"][place] + dot(h, column(w["out"]["W"], place))
        if row.future is not None:
            for u in range(HIDDEN_AHEAD):
                unit = w["state"]["b"][u] + dot(h, column(w["state"]["W"], u)) + w["step"]["e"][k][u]
                unit += dot(row.future[k], column(w["known"]["W"], u))
                value += math.tanh(unit) * w["mix"]["W"][u][number]
        raw.append(value)
    return quantiles(raw) if spec.outputs > 1 and not spec.family else raw


def decoded(spec: Spec, w: Tree, h: Vector, row: Row, k: int) -> Vector:
    """The numbers of step k + 1 by a decoder that starts from the stack's output and reads what is known ahead."""
    state = first_state(spec.decoder, w["decoder"])
    for part, begin in w["begin"].items():
        state[part] = [b + dot(h, column(begin["W"], u)) for u, b in enumerate(begin["b"])]
    known = row.future if row.future is not None else [[] for _ in range(spec.horizon)]
    xs = [[*ahead, *step] for ahead, step in zip(known, w["step"]["e"], strict=True)]
    no, yes = [False] * spec.horizon, [True] * spec.horizon
    out = run_layer(spec.decoder, w["decoder"], xs, state, no, yes)[0][k]
    count = spec.targets * spec.outputs
    return [w["out"]["b"][k * count + n] + dot(out, column(w["out"]["W"], n)) for n in range(count)]


def parameters(family: str, location: float, size: float, further: Vector) -> Vector:
    """The parameters of a distribution, from where it lies and how large an error is."""
    if family == "normal":
        return [location, size * (log_one_plus_exp(further[0]) + 1e-4)]
    if family == "student_t":
        return [location, size * (log_one_plus_exp(further[0]) + 1e-4), 2 + log_one_plus_exp(further[1])]
    if family == "negative_binomial":
        bend = size + 0.01
        mean = bend * (log_one_plus_exp(location / bend) + 1e-4)
        return [mean, size * log_one_plus_exp(further[0]) + 1e-3 * mean]
    raise KeyError(family)


def run(spec: Spec, weights: Tree, constants: Tree, rows: Sequence[Row]) -> list[Seen]:
    """A whole series, from the initial state on; a row with `reset` begins a new one."""
    begin = {
        f"{n}.{name}": part
        for n in range(len(spec.hidden))
        for name, part in first_state(spec.cell, weights["stack"]["cells"][str(n)]).items()
    }
    history: list[Row] = []
    cells, steps = begin, []
    for row in rows:
        history, cells = ([], begin) if row.reset else (history, cells)
        history = [*history, row]
        step = after_row(spec, weights, constants, history, cells)
        cells = step.cells
        steps.append(step)
    return steps


def after_row(spec: Spec, weights: Tree, c: Tree, history: list[Row], cells: dict[str, Vector]) -> Seen:
    """What the network knows and says after the last row of `history`; `cells` is the state before it."""
    targets = range(spec.targets)
    at = [level_and_scale(spec, c, history, d) for d in targets]
    ring, held = ring_of(spec, history)
    relative = [
        [(values[d] - at[d][0]) / at[d][1] if present[d] else 0.0 for d in targets]
        for values, present in zip(ring, held, strict=True)
    ]
    x = inputs_of(spec, c, history, relative, at)
    h, cells = through(spec, weights["stack"], x, cells)

    def forecast_of(k: int, d: int) -> Vector:
        line = [relative[n][d] / c["ring_gain"][d] for n in range(-spec.skip, 0)]
        linear = dot(line, [weights["skip"]["W"][d][n][k] for n in range(spec.skip)])
        if spec.number:
            linear += dot(line, c["maps"][spec.number - 1][d][k])
        level, scale = at[d][0], at[d][1] * c["output_gain"][k][d]
        numbers = head(spec, weights["head"], h, history[-1], k, d)
        if spec.family:
            return parameters(spec.family, level + scale * (numbers[0] + linear), scale, numbers[1:])
        return [level + scale * (out + linear) for out in numbers]

    return Seen(
        level=[level for level, _ in at],
        scale=[scale for _, scale in at],
        count=[len(values_of(history, d)) for d in targets],
        gap=[steps_since(history, d) for d in targets],
        ring=ring,
        held=held,
        inputs=x,
        cells=cells,
        forecast=[[forecast_of(k, d) for d in targets] for k in range(spec.horizon)],
    )


def beyond(
    spec: Spec, weights: Tree, constants: Tree, rows: Sequence[Row], ahead: Sequence[Row], steps: int
) -> list[list[Vector]]:
    """Forecasts of `steps` > H steps: the H central ones are taken as seen, and the next H are asked for.

    `ahead` gives covariates and future of the steps after `rows`; its values are not looked at. Each time the whole
    series is run again from its first row.
    """
    rows, forecasts = list(rows), []
    while len(forecasts) < steps:
        block = run(spec, weights, constants, rows)[-1].forecast
        for numbers in block:
            known = ahead[len(forecasts)] if len(forecasts) < len(ahead) else Row([], [])
            central = [of_target[0 if spec.family else len(of_target) // 2] for of_target in numbers]
            rows.append(Row(central, [True] * spec.targets, False, known.covariates, known.future))
            forecasts.append(numbers)
    return forecasts[:steps]
