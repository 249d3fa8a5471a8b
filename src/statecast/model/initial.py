"""First weights of layers, drawn from a seeded generator as float64 arrays.

Input weights are Glorot-uniform, gate by gate, for every cell; recurrent ones are as the settings say; what a cell has
beside these it draws itself (`Cell.draw`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from statecast.config import Settings


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


def init_recurrent(rng: np.random.Generator, units: int, gates: int, start: Start, by_heads: bool) -> np.ndarray:
    """Recurrent weights [H, gates·H], drawn gate by gate.

    `by_heads`: of a block-diagonal recurrence, [heads, H/heads, gates·H/heads]; there are as many heads as `start`
    allows and the units can be divided into.
    """
    heads = math.gcd(start.heads, units) if by_heads else 1
    u = np.stack([_gates(rng, units // heads, gates, start.recurrent) for _ in range(heads)])
    return u if by_heads else np.asarray(u[0])


def _gates(rng: np.random.Generator, units: int, gates: int, kind: str) -> np.ndarray:
    return np.concatenate([_recurrent(rng, units, kind) for _ in range(gates)], axis=1)


def _recurrent(rng: np.random.Generator, units: int, kind: str) -> np.ndarray:
    if kind == "orthogonal":  # Saxe et al. 2014; the sign makes the QR decomposition unique
        q, r = np.linalg.qr(rng.standard_normal((units, units)))
        return np.asarray(q * np.sign(np.diag(r)))
    if kind == "glorot":
        return init_dense(rng, units, units)["W"]
    return rng.uniform(-1, 1, (units, units)) / math.sqrt(units)
