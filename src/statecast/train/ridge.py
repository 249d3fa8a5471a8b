"""Ridge regression on sampled rows, by which transforms and inputs are compared before anything is trained.

A linear map from the last values to the next is solved for in closed form: normal equations over training rows, and
validation rows to choose the strength of the penalty (or the training rows' end where there are none). Zero is among
the candidates, so a map is never worse than the level alone on those rows. Rows are weighted by scale², which makes the
relative errors those of the table's units. What a network starts from is solved for elsewhere, on all rows; see
`statecast.train.start`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from statecast.model.network import Network

PENALTIES = np.concatenate([[0.0], 10.0 ** np.arange(-10.0, 2.0)])  # relative to the mean eigenvalue
MANY = 100  # columns from which on penalties are tried one by one: those of fewer take no time together
FIRST = 10  # the place among the penalties where most tables have their best one, or next to it
REACH = 1  # penalties on either side of the best one that must err more

Parts = Mapping[str, Any]


def fit(network: Network, gains: Parts, train: Parts, val: Parts) -> tuple[np.ndarray, np.ndarray]:
    """Skip weights [D, skip, H] and intercepts [H, D].

    Args:
        network: tells the sizes.
        gains: typical sizes of ring and output.
        train: relative rings and targets of training rows, from `prepare.relative_rows`, with "loss_scale" [n, D].
        val: the same of validation rows; their number may be 0.
    """
    horizon, d = network.head.horizon, network.front.targets
    weights, intercepts = np.zeros((d, network.front.skip, horizon)), np.zeros((horizon, d))
    for target in range(d):
        x, y, _ = design(network, gains, train, target)
        if len(x) < 2 * x.shape[1]:
            continue
        x_val, y_val, _ = design(network, gains, val, target)
        if not len(x_val):
            cut = len(x) * 4 // 5
            x, y, x_val, y_val = x[:cut], y[:cut], x[cut:], y[cut:]
        solution, _ = best(x, y, x_val, y_val)
        weights[target], intercepts[:, target] = solution[:-1], solution[-1]
    return weights, intercepts


def design(network: Network, gains: Parts, parts: Parts, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted rows [n, skip + 1], targets [n, H] and levels [n, 1] of one target, where none of the H is missing.

    The levels are those of `parts`, which are of the weighted kind already; zeros where it has none.
    """
    y = parts["target"][:, :, target]
    whole = ~np.isnan(y).any(axis=1)
    weight = (parts["scale"][whole, target] / parts["loss_scale"][whole, target])[:, None]
    ring = parts["ring"][whole, network.front.ring - network.front.skip :, target] / gains["ring_gain"][target]
    x = np.concatenate([ring, np.ones((len(ring), 1))], axis=1)
    level = parts["level"][whole, target : target + 1] if "level" in parts else np.zeros((len(ring), 1))
    return x * weight, y[whole] / gains["output_gain"][:, target] * weight, level


def best(x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray) -> tuple[np.ndarray, float]:
    """The solution [columns of x, H] of least mean absolute error on the validation rows, and that error.

    It is zero where no other errs less.
    """
    gram, moments = x.T @ x, x.T @ y
    if len(gram) > MANY:
        solution, error, penalty = _nearby(gram, moments, x_val, y_val)
        if penalty > PENALTIES[1]:
            return solution, error
    values, vectors = np.linalg.eigh(gram)
    values, projected = np.maximum(values, 0), vectors.T @ moments
    kept, least = np.zeros_like(moments), float(np.mean(np.abs(y_val)))
    typical = max(float(values.mean()), 1e-30)
    for penalty in PENALTIES:
        damped = values + penalty * typical
        # Directions that rounding alone fills are left out of the plain solution.
        inverse = np.where(damped > 1e-14 * values.max(), 1 / np.maximum(damped, 1e-300), 0)
        solution = vectors @ (projected * inverse[:, None])
        error = float(np.mean(np.abs(y_val - x_val @ solution)))
        if error < least:
            kept, least = solution, error
    return kept, least


def _nearby(
    gram: np.ndarray, moments: np.ndarray, x_val: np.ndarray, y_val: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """The solution, its error and its penalty where stronger and weaker ones err more, found by walking from `FIRST`.

    Elimination for a few penalties takes a tenth of the time of an eigendecomposition for all.
    """
    solutions: dict[int, np.ndarray] = {}
    errors = {len(PENALTIES): float(np.mean(np.abs(y_val)))}  # of zero, which is what an endless penalty leaves
    typical, place = max(float(np.trace(gram)) / len(gram), 1e-30), FIRST
    while True:
        near = range(max(place - REACH, 1), min(place + REACH + 1, len(PENALTIES)))
        untried = [n for n in sorted(near, key=lambda n: abs(n - place)) if n not in errors]
        if not untried:
            break
        n = untried[0]
        solutions[n] = np.linalg.solve(gram + PENALTIES[n] * typical * np.eye(len(gram)), moments)
        errors[n] = float(np.mean(np.abs(y_val - x_val @ solutions[n])))
        place = min(solutions, key=errors.__getitem__)
    if errors[place] < errors[len(PENALTIES)]:
        return solutions[place], errors[place], float(PENALTIES[place])
    return np.zeros_like(moments), errors[len(PENALTIES)], np.inf
