"""First weights of the layers, drawn from a seeded generator as float64 arrays.

Input weights are Glorot-uniform, gate by gate, for every cell; recurrent ones are as the settings say; what a cell has
beside these it draws itself (`Cell.draw`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from statecast.config import Settings
from statecast.model.cells import Cell


@dataclass(frozen=True)
class Start:
    """What the first weights of the cells are drawn by; see the settings of these names.

    Attributes:
        recurrent: "orthogonal", "glorot" or "uniform".
        forget_bias: of the forget gates.
        heads: most heads of a block-diagonal recurrence.
        radius, phase: of the eigenvalues of a linear recurrent unit: least and greatest modulus, greatest phase.
    """

    recurrent: str = Settings.recurrent_init
    forget_bias: float = Settings.forget_bias
    heads: int = Settings.cell_heads
    radius: tuple[float, ...] = Settings.eigenvalue_radius
    phase: float = Settings.eigenvalue_phase

    @classmethod
    def of(cls, config: Settings) -> Self:
        """As the settings say."""
        eigenvalues = config.eigenvalue_radius, config.eigenvalue_phase
        return cls(config.recurrent_init, config.forget_bias, config.cell_heads, *eigenvalues)


def init_dense(rng: np.random.Generator, inputs: int, units: int, gain: float = 1.0) -> dict[str, np.ndarray]:
    """W [inputs, units] Glorot-uniform (Glorot & Bengio 2010) times `gain`, b = 0."""
    bound = gain * math.sqrt(6 / max(inputs + units, 1))
    return {"W": rng.uniform(-bound, bound, (inputs, units)), "b": np.zeros(units)}


def init_cell(cell: Cell, rng: np.random.Generator, inputs: int, units: int, start: Start) -> dict[str, np.ndarray]:
    """Weights of one recurrent layer, gate by gate; the initial state starts at zero."""
    w = {"W": np.concatenate([init_dense(rng, inputs, units)["W"] for _ in range(cell.gates)], axis=1)}
    w["b"] = np.zeros(cell.gates * units)
    if cell.forget is not None:
        w["b"][cell.forget * units : (cell.forget + 1) * units] = start.forget_bias
    if cell.recurrent:
        heads = math.gcd(start.heads, units) if cell.heads else 1
        u = np.stack([_gates(rng, units // heads, cell.recurrent, start.recurrent) for _ in range(heads)])
        w["U"] = u if cell.heads else u[0]
    w |= cell.draw(rng, units, start)
    return w | {f"init_{part}": np.zeros(units) for part in cell.states if part not in cell.fixed}


def _gates(rng: np.random.Generator, units: int, gates: int, kind: str) -> np.ndarray:
    return np.concatenate([_recurrent(rng, units, kind) for _ in range(gates)], axis=1)


def _recurrent(rng: np.random.Generator, units: int, kind: str) -> np.ndarray:
    if kind == "orthogonal":  # Saxe et al. 2014; the sign makes the QR decomposition unique
        q, r = np.linalg.qr(rng.standard_normal((units, units)))
        return np.asarray(q * np.sign(np.diag(r)))
    if kind == "glorot":
        return init_dense(rng, units, units)["W"]
    return rng.uniform(-1, 1, (units, units)) / math.sqrt(units)
