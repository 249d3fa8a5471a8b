"""One-step equations of the recurrent cells, about ten lines a cell; there is no loop over time here.

A cell takes z = x·W + b, the input's share of every gate computed for all steps at once, and the state before the step;
it returns the state after it, and the gates that led there, for those who want to look at them. Gates are blocks of H
columns. The lines use the array API standard alone, so that the same ones run under NumPy and under JAX.

Where the state after is a·(state before) + b with a and b from the input alone, the cell says just that, `linear`, and
its step follows from it; so does the whole sequence at once, in `scan`.

A new cell is a function with `@cell(...)` or `@linear_cell(...)` above it: scan, stream, training, archive and the
command line take it from the table `CELLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np

from statecast import config
from statecast.errors import SettingError, UnknownCell, shortened
from statecast.model.initial import Start, init_dense, init_recurrent

Array = Any  # a NumPy or JAX array; shapes are given in the docstrings
Weights = Mapping[str, Any]
StateParts = dict[str, Any]
Gates = dict[str, Any]
Components = tuple[Any, ...]  # of a number for each unit: (real,), or (real, imaginary)

Equations = Callable[[Weights, Array, StateParts], tuple[StateParts, Gates]]
Coefficients = Callable[[Weights, Array], tuple[Components, Components, Gates]]
Readout = Callable[[Weights, Array, StateParts], Array]
Draw = Callable[[np.random.Generator, int, Start], dict[str, np.ndarray]]
Further = Callable[[int], Mapping[str, tuple[int, ...]]]


def _output(w: Weights, z: Array, s: StateParts) -> Array:
    return s["h"]


@dataclass(frozen=True)
class Cell:
    """What the rest of the network needs to know about a cell.

    Attributes:
        name: as in the setting `cell`.
        gates: blocks of H columns in W [I, gates·H] and b.
        recurrent: blocks of H columns in U [H, recurrent·H]; 0 where the gates do not depend on the state.
        states: names of the state's parts, each [B, H].
        equations: (weights, z [B, gates·H], state) → the state after the step, and its gates by name, each [B, H].
        forget: index of the forget gate's block, or None.
        heads: whether U is block-diagonal, [heads, H/heads, recurrent·H/heads].
        fixed: names of the parts that always start at zero; the start of the others can be learned.
        read: (weights, z, state after the step) → the output [B, H].
        draw: (generator, H, start) → further weights.
        further: H → their shapes; if None, they are found by drawing the weights, which takes as much memory.
        linear: (weights, z) → a, b, gates, where the state after is a·(state before) + b; None for other cells.
    """

    name: str
    gates: int
    recurrent: int
    states: tuple[str, ...]
    equations: Equations
    forget: int | None = None
    heads: bool = False
    fixed: tuple[str, ...] = ()
    read: Readout = _output
    draw: Draw = lambda rng, units, start: {}
    further: Further | None = None
    linear: Coefficients | None = None

    def step(self, w: Weights, z: Array, s: StateParts) -> StateParts:
        """The state after one step, each part [B, H]."""
        return self.equations(w, z, s)[0]

    def start(self, w: Weights, part: str) -> Array:
        """What a part of the state starts from, [H] or zero."""
        return 0.0 if part in self.fixed else w[f"init_{part}"]

    def init(self, rng: np.random.Generator, inputs: int, units: int, start: Start) -> dict[str, np.ndarray]:
        """First weights of one layer, drawn gate by gate as float64 arrays; the initial state starts at zero."""
        w = {"W": np.concatenate([init_dense(rng, inputs, units)["W"] for _ in range(self.gates)], axis=1)}
        w["b"] = np.zeros(self.gates * units)
        if self.forget is not None:
            w["b"][self.forget * units : (self.forget + 1) * units] = start.forget_bias
        if self.recurrent:
            w["U"] = init_recurrent(rng, units, self.recurrent, start, self.heads)
        w |= self.draw(rng, units, start)
        return w | {f"init_{part}": np.zeros(units) for part in self.states if part not in self.fixed}


CELLS: dict[str, Cell] = {}
BUILT_IN = frozenset(config.CELLS)


def cell(
    name: str, gates: int, recurrent: int, states: tuple[str, ...] = ("h",), **more: Any
) -> Callable[[Equations], Equations]:
    """Register a one-step function as a cell; see `Cell` for the arguments.

    Raises:
        SettingError: a built-in cell has this name, or a part of the state has a name that is not allowed. If the
            function later asks for a weight or a part that does not exist, or returns other parts, the error says so.

    Example:
        >>> from statecast.model.cells import cell, sigmoid
        >>> @cell("example_leaky", gates=2, recurrent=0)
        ... def example_leaky(w, z, s):
        ...     half = s["h"].shape[-1]
        ...     leak = sigmoid(z[..., :half])
        ...     return {"h": leak * s["h"] + (1 - leak) * z[..., half:]}, {"leak": leak}
        >>> wave = np.sin(np.arange(200) / 4)
        >>> sc.Forecaster(cell="example_leaky", hidden=4, max_steps=0).fit(wave).forecast().values.shape
        (1, 1, 1)
    """

    def enter(equations: Equations) -> Equations:
        _register(Cell(name, gates, recurrent, states, equations, **more))
        return equations

    return enter


def linear_cell(
    name: str, gates: int, states: tuple[str, ...] = ("h",), **more: Any
) -> Callable[[Coefficients], Coefficients]:
    """Register the coefficients of a linear recurrence as a cell; see `Cell` for the arguments, `cell` for errors.

    Example:
        >>> from statecast.model.cells import linear_cell, sigmoid
        >>> @linear_cell("example_decay", gates=2)
        ... def example_decay(w, z):
        ...     half = z.shape[-1] // 2
        ...     decay = sigmoid(z[..., :half])
        ...     return (decay,), ((1 - decay) * z[..., half:],), {"decay": decay}
        >>> wave = np.sin(np.arange(200) / 4)
        >>> sc.Forecaster(cell="example_decay", hidden=4, max_steps=0).fit(wave).forecast().values.shape
        (1, 1, 1)
    """

    def enter(linear: Coefficients) -> Coefficients:
        def equations(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
            a, b, gates_by_name = linear(w, z)
            return dict(zip(states, affine(a, tuple(s[part] for part in states), b), strict=True)), gates_by_name

        _register(Cell(name, gates, 0, states, equations, linear=linear, **more))
        return linear

    return enter


def require_registered(settings: Mapping[str, Any]) -> None:
    """Refuse the settings of a file whose cell is not registered in this process.

    Raises:
        UnknownCell: says which cell, and how to register it.
    """
    for name in ("cell", "decoder"):
        value = settings.get(name, "none")
        if isinstance(value, str) and value not in ("none", *CELLS):
            raise UnknownCell(
                f"its {name} is {shortened(value)}, and no module that was imported registers such a cell; before "
                f"loading, import the one that does, by @statecast.model.cells.cell({shortened(value)}, …)"
            )


def _register(entry: Cell) -> None:
    if entry.name in BUILT_IN and entry.name in CELLS:
        raise SettingError(f"there is a built-in cell {entry.name!r}: give yours another name")
    for part in entry.states:
        if not part.isidentifier():
            raise SettingError(f"cell {entry.name!r} has a part {part!r}: expected letters, digits and underscores")
    parts = {name: _explained(entry, getattr(entry, name)) for name in ("equations", "read")}
    linear = entry.linear and _explained(entry, entry.linear)
    CELLS[entry.name] = replace(entry, **parts, linear=linear)
    if entry.name not in config.CELLS:
        config.CELLS.append(entry.name)


def _explained(entry: Cell, function: Any) -> Any:
    """A function of a cell that raises a `SettingError` where it asks for, or returns, what there is not."""

    @wraps(function)
    def run(w: Weights, z: Array, *state: StateParts) -> Any:
        try:
            result = function(w, z, *state)
        except KeyError as error:
            raise SettingError(
                f"cell {entry.name!r} asks for {error}: its weights are {', '.join(w)}, and the parts of its state "
                f"{', '.join(entry.states)}; `draw` makes further weights, and `states` names further parts"
            ) from error
        if function is entry.equations:
            _require_parts(entry, result)
        return result

    return run


def _require_parts(entry: Cell, result: Any) -> None:
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Mapping)):
        raise SettingError(
            f"cell {entry.name!r} returns {type(result).__name__}, expected (state, gates), two mappings"
        )
    if set(result[0]) != set(entry.states):
        raise SettingError(
            f"cell {entry.name!r} returns the parts {', '.join(result[0])} of its state, expected "
            f"{', '.join(entry.states)}; `states` names them"
        )


def product(a: Components, s: Components) -> Components:
    """a·s, unit by unit: real numbers, or complex ones as pairs."""
    if len(a) == 1:
        return (a[0] * s[0],)
    return a[0] * s[0] - a[1] * s[1], a[0] * s[1] + a[1] * s[0]


def affine(a: Components, s: Components, b: Components) -> Components:
    """a·s + b, unit by unit."""
    return tuple(x + y for x, y in zip(product(a, s), b, strict=True))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(−x)), written with tanh, which cannot overflow.

    Example:
        >>> from statecast.model.cells import sigmoid
        >>> sigmoid(np.zeros(2))
        array([0.5, 0.5])
    """
    xp = x.__array_namespace__()
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow.

    Example:
        >>> from statecast.model.cells import softplus
        >>> softplus(np.zeros(1)).round(4)
        array([0.6931])
    """
    xp = x.__array_namespace__()
    return xp.logaddexp(x, xp.zeros_like(x))


def blocks(z: Array, count: int) -> tuple[Array, ...]:
    """The gates' blocks of columns of z [..., count·H]."""
    width = z.shape[-1] // count
    return tuple(z[..., k * width : (k + 1) * width] for k in range(count))


def log_sigmoid(x: Array) -> Array:
    """log σ(x) without overflow."""
    return -softplus(-x)


def by_heads(h: Array, u: Array) -> Array:
    """h [..., B, H] times a block-diagonal matrix, given by its blocks u [..., heads, H/heads, gates·H/heads].

    Returns:
        [..., B, gates·H], in blocks of gates as those of z.
    """
    xp = h.__array_namespace__()
    heads, width, columns = u.shape[-3:]
    split = xp.moveaxis(xp.reshape(h, (*h.shape[:-1], heads, width)), -2, -3)
    out = xp.reshape(xp.moveaxis(split @ u, -3, -2), (*h.shape[:-1], heads, columns // width, width))
    return xp.reshape(xp.moveaxis(out, -2, -3), (*h.shape[:-1], heads * columns))


@cell("rnn_tanh", gates=1, recurrent=1)
def rnn_tanh(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """Simple recurrent network (Elman 1990): h' = tanh(x·W + h·U + b)."""
    xp = z.__array_namespace__()
    return {"h": xp.tanh(z + s["h"] @ w["U"])}, {}


@cell("rnn_relu", gates=1, recurrent=1)
def rnn_relu(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """Simple recurrent network with rectified units (Le et al. 2015): h' = max(0, x·W + h·U + b)."""
    a = z + s["h"] @ w["U"]
    return {"h": a * (a > 0)}, {}


@cell("lstm", gates=4, recurrent=4, states=("h", "c"), forget=1)
def lstm(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000). Gates i, f, g, o.

    c' = σ(f)·c + σ(i)·tanh(g);  h' = σ(o)·tanh(c').
    """
    xp = z.__array_namespace__()
    i, f, g, o = blocks(z + s["h"] @ w["U"], 4)
    i, f, g, o = sigmoid(i), sigmoid(f), xp.tanh(g), sigmoid(o)
    c = f * s["c"] + i * g
    return {"h": o * xp.tanh(c), "c": c}, {"input": i, "forget": f, "candidate": g, "output": o}


@cell(
    "gru",
    gates=3,
    recurrent=3,
    draw=lambda rng, units, start: {"bn": np.zeros(units)},
    further=lambda units: {"bn": (units,)},
)
def gru(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """Gated recurrent unit, reset after the recurrent product (the form of cuDNN). Gates r, u, n.

    n = tanh(x·Wₙ + bₙ + r·(h·Uₙ + b'ₙ));  h' = (1 − u)·n + u·h  (Cho et al. 2014, version 1).
    """
    xp = z.__array_namespace__()
    (r, u, n), (hr, hu, hn) = blocks(z, 3), blocks(s["h"] @ w["U"], 3)
    r, u = sigmoid(r + hr), sigmoid(u + hu)
    n = xp.tanh(n + r * (hn + w["bn"]))
    return {"h": n + u * (s["h"] - n)}, {"reset": r, "update": u, "candidate": n}


@cell("gru_reset_before", gates=3, recurrent=3)
def gru_reset_before(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """Gated recurrent unit as first published, reset before the recurrent product (Cho et al. 2014, version 3).

    n = tanh(x·Wₙ + bₙ + (r·h)·Uₙ);  h' = (1 − u)·n + u·h.
    """
    xp = z.__array_namespace__()
    h, width = s["h"], s["h"].shape[-1]
    r, u, n = blocks(z, 3)
    hr, hu = blocks(h @ w["U"][..., : 2 * width], 2)
    r, u = sigmoid(r + hr), sigmoid(u + hu)
    n = xp.tanh(n + (r * h) @ w["U"][..., 2 * width :])
    return {"h": n + u * (h - n)}, {"reset": r, "update": u, "candidate": n}


def _exponential(i: Array, log_f: Array, g: Array, o: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """The memory of an sLSTM: c and n are kept divided by e^m, m such that no exponential overflows.

    A memory without weight, n = 0, keeps nothing: there m starts at the input gate, so that n' ≥ 1 ever after.
    """
    xp = i.__array_namespace__()
    memory = xp.where(s["n"] > 0, log_f + s["m"], -xp.inf)
    m = xp.maximum(memory, i)
    i, f, g, o = xp.exp(i - m), xp.exp(memory - m), xp.tanh(g), sigmoid(o)
    c, n = f * s["c"] + i * g, f * s["n"] + i
    return {"h": o * c / n, "c": c, "n": n, "m": m}, {"input": i, "forget": f, "candidate": g, "output": o}


@cell("slstm", gates=4, recurrent=4, states=("h", "c", "n", "m"), forget=1, heads=True, fixed=("c", "n", "m"))
def slstm(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """Scalar LSTM of xLSTM (Beck et al. 2024, eqs. 8–17): exponential input gate, normaliser, heads. Gates i, f, g, o.

    c' = σ(f)·c + e^i·tanh(g);  n' = σ(f)·n + e^i;  h' = σ(o)·c'/n', all stabilised by m' = max(log σ(f) + m, i).
    """
    i, f, g, o = blocks(z + by_heads(s["h"], w["U"]), 4)
    return _exponential(i, log_sigmoid(f), g, o, s)


@cell("slstm_exp", gates=4, recurrent=4, states=("h", "c", "n", "m"), heads=True, fixed=("c", "n", "m"))
def slstm_exp(w: Weights, z: Array, s: StateParts) -> tuple[StateParts, Gates]:
    """The scalar LSTM with the paper's other forget gate, e^f for σ(f); its bias starts at 0, where all is kept."""
    i, f, g, o = blocks(z + by_heads(s["h"], w["U"]), 4)
    return _exponential(i, f, g, o, s)


@linear_cell("mingru", gates=2)
def mingru(w: Weights, z: Array) -> tuple[Components, Components, Gates]:
    """Minimal gated recurrent unit (Feng et al. 2024): h' = (1 − u)·h + u·n, gates from the input alone."""
    u, n = blocks(z, 2)
    keep, u = sigmoid(-u), sigmoid(u)
    return (keep,), (u * n,), {"update": u, "candidate": n}


@linear_cell("minlstm", gates=3, forget=0)
def minlstm(w: Weights, z: Array) -> tuple[Components, Components, Gates]:
    """Minimal LSTM (Feng et al. 2024): h' = f/(f+i)·h + i/(f+i)·n with f, i = σ of the input alone. Gates f, i, n."""
    f, i, n = blocks(z, 3)
    # σ(f)/(σ(f)+σ(i)) = σ(log σ(f) − log σ(i)), which keeps its digits where both gates are shut.
    share = log_sigmoid(f) - log_sigmoid(i)
    f, i = sigmoid(share), sigmoid(-share)
    return (f,), (i * n,), {"forget": f, "input": i, "candidate": n}


def _ring(rng: np.random.Generator, units: int, start: Start) -> dict[str, np.ndarray]:
    """Eigenvalues uniform on a ring of the complex plane, γ that keeps the size of what enters, and C."""
    (low, high), spread = start.radius, 1 / np.sqrt(2 * units)
    square = rng.uniform(low**2, high**2, units)
    return {
        "nu": np.log(-0.5 * np.log(square)),
        "theta": np.log(rng.uniform(0, start.phase, units)),
        "gamma": np.log(np.sqrt(1 - square)),
        "C": rng.normal(0, spread, (2 * units, 2 * units)),
    }


def _glu(w: Weights, z: Array, s: StateParts) -> Array:
    """Re(C·s) + D·x, through the gated linear unit that follows the recurrence in the paper's block."""
    xp = z.__array_namespace__()
    y = xp.concat([s["re"], s["im"]], axis=-1) @ w["C"] + z[..., z.shape[-1] // 2 :]
    value, gate = blocks(y, 2)
    return value * sigmoid(gate)


def _ring_shapes(units: int) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(("nu", "theta", "gamma"), (units,)) | {"C": (2 * units, 2 * units)}


@linear_cell("lru", gates=4, states=("re", "im"), read=_glu, draw=_ring, further=_ring_shapes)
def lru(w: Weights, z: Array) -> tuple[Components, Components, Gates]:
    """Linear recurrent unit (Orvieto et al. 2023): s' = λ·s + γ·(B·x), diagonal and complex, as pairs of real numbers.

    λ = exp(−exp(ν) + i·exp(θ)), so that |λ| < 1 whatever is learned; γ = exp(log γ). The output is
    Re(C·s') + D·x through a gated linear unit, whose two maps are part of C and D. Columns: Re B, Im B, D for both.
    """
    xp = z.__array_namespace__()
    size, angle = xp.exp(-xp.exp(w["nu"])), xp.exp(w["theta"])
    gain, (re, im, *_) = xp.exp(w["gamma"]), blocks(z, 4)
    return (size * xp.cos(angle), size * xp.sin(angle)), (gain * re, gain * im), {}
