"""One-step equations of the recurrent cells, about ten lines a cell; there is no loop over time here.

A cell takes z = x·W + b, the input's share of every gate computed for all steps at once, and the state before the step;
it returns the state after it. The first name in `states` is the output. Gates are blocks of H columns. The lines use
the array API standard alone, so that the same ones run under NumPy and under JAX.

A new cell is a function with the `@cell(...)` line above it: scan, stream, training, archive and the command line
take it from the table `CELLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from statecast import config

Array = Any  # a NumPy or JAX array; shapes are given in the docstrings
Weights = Mapping[str, Any]
State = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """What the rest of the network needs to know of a cell.

    Attributes:
        name: as in the setting `cell`.
        gates: blocks of H columns in W [I, gates·H] and b.
        recurrent: blocks of H columns in U [H, recurrent·H]; 0 where the gates do not see the state.
        states: names of the state's parts, each [B, H]; the first is the output.
        step: (weights, z [B, gates·H], state) → state.
        forget: index of the forget gate's block, or None.
        extra: names of further bias vectors [H].
    """

    name: str
    gates: int
    recurrent: int
    states: tuple[str, ...]
    step: Callable[[Weights, Array, State], State]
    forget: int | None = None
    extra: tuple[str, ...] = ()


CELLS: dict[str, Cell] = {}

Step = Callable[[Weights, Array, State], State]


def cell(
    name: str,
    gates: int,
    recurrent: int,
    states: tuple[str, ...] = ("h",),
    forget: int | None = None,
    extra: tuple[str, ...] = (),
) -> Callable[[Step], Step]:
    """Enter a one-step function into the table of cells; see `Cell` for the arguments."""

    def enter(step: Step) -> Step:
        CELLS[name] = Cell(name, gates, recurrent, states, step, forget, extra)
        if name not in config.CELLS:
            config.CELLS.append(name)
        return step

    return enter


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(−x)), written with tanh, which cannot overflow."""
    xp = x.__array_namespace__()
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    xp = x.__array_namespace__()
    return xp.logaddexp(x, xp.zeros_like(x))


def blocks(z: Array, count: int) -> tuple[Array, ...]:
    """The gates' blocks of columns of z [..., count·H]."""
    width = z.shape[-1] // count
    return tuple(z[..., k * width : (k + 1) * width] for k in range(count))


@cell("rnn_tanh", gates=1, recurrent=1)
def rnn_tanh(w: Weights, z: Array, s: State) -> State:
    """Simple recurrent network (Elman 1990): h' = tanh(x·W + h·U + b)."""
    xp = z.__array_namespace__()
    return {"h": xp.tanh(z + s["h"] @ w["U"])}


@cell("rnn_relu", gates=1, recurrent=1)
def rnn_relu(w: Weights, z: Array, s: State) -> State:
    """Simple recurrent network with rectified units (Le et al. 2015): h' = max(0, x·W + h·U + b)."""
    a = z + s["h"] @ w["U"]
    return {"h": a * (a > 0)}


@cell("lstm", gates=4, recurrent=4, states=("h", "c"), forget=1)
def lstm(w: Weights, z: Array, s: State) -> State:
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000). Gates i, f, g, o.

    c' = σ(f)·c + σ(i)·tanh(g);  h' = σ(o)·tanh(c').
    """
    xp = z.__array_namespace__()
    i, f, g, o = blocks(z + s["h"] @ w["U"], 4)
    c = sigmoid(f) * s["c"] + sigmoid(i) * xp.tanh(g)
    return {"h": sigmoid(o) * xp.tanh(c), "c": c}


@cell("gru", gates=3, recurrent=3, extra=("bn",))
def gru(w: Weights, z: Array, s: State) -> State:
    """Gated recurrent unit, reset after the recurrent product (the form of cuDNN). Gates r, u, n.

    n = tanh(x·Wₙ + bₙ + r·(h·Uₙ + b'ₙ));  h' = (1 − u)·n + u·h  (Cho et al. 2014, version 1).
    """
    xp = z.__array_namespace__()
    (r, u, n), (hr, hu, hn) = blocks(z, 3), blocks(s["h"] @ w["U"], 3)
    u = sigmoid(u + hu)
    n = xp.tanh(n + sigmoid(r + hr) * (hn + w["bn"]))
    return {"h": n + u * (s["h"] - n)}


@cell("gru_reset_before", gates=3, recurrent=3)
def gru_reset_before(w: Weights, z: Array, s: State) -> State:
    """Gated recurrent unit as first published, reset before the recurrent product (Cho et al. 2014, version 3).

    n = tanh(x·Wₙ + bₙ + (r·h)·Uₙ);  h' = (1 − u)·n + u·h.
    """
    xp = z.__array_namespace__()
    h, width = s["h"], s["h"].shape[-1]
    r, u, n = blocks(z, 3)
    hr, hu = blocks(h @ w["U"][:, : 2 * width], 2)
    u = sigmoid(u + hu)
    n = xp.tanh(n + (sigmoid(r + hr) * h) @ w["U"][:, 2 * width :])
    return {"h": n + u * (h - n)}


@cell("mingru", gates=2, recurrent=0)
def mingru(w: Weights, z: Array, s: State) -> State:
    """Minimal gated recurrent unit (Feng et al. 2024): h' = (1 − u)·h + u·n, gates from the input alone."""
    u, n = blocks(z, 2)
    u = sigmoid(u)
    return {"h": s["h"] + u * (n - s["h"])}


@cell("minlstm", gates=3, recurrent=0, forget=0)
def minlstm(w: Weights, z: Array, s: State) -> State:
    """Minimal LSTM (Feng et al. 2024): h' = f/(f+i)·h + i/(f+i)·n with f, i = σ of the input alone. Gates f, i, n."""
    f, i, n = blocks(z, 3)
    # σ(f)/(σ(f)+σ(i)) = σ(log σ(f) − log σ(i)), which keeps its digits where both gates are shut.
    share = sigmoid(softplus(-i) - softplus(-f))
    return {"h": n + share * (s["h"] - n)}
