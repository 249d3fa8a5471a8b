"""A linear map by ridge regression, and what it says of each row when that row is left out.

Leaving a row out needs no other fit: its error is the error of the fit divided by 1 − h, where h is the row's share in
its own answer (Allen 1974). So one decomposition tells, for every penalty, how well the map answers rows that it has
not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

PENALTIES = np.geomspace(1e-4, 1e2, 13)  # in units of the mean eigenvalue
RELATIVE_FLOOR = 1e-3  # of a feature's deviation, in units of the mean one


@dataclass(frozen=True, eq=False)
class RidgeMap:
    """A linear map of one penalty.

    Attributes:
        predictions: its answer to each row, from all the others [n, K].
        weights: {"W": [features, K], "b": [K]}.
    """

    predictions: Float[np.ndarray, "n K"]
    weights: dict[str, np.ndarray]

    def times(self, by: float) -> RidgeMap:
        """The map whose answers are so many times as large."""
        return RidgeMap(by * self.predictions, {name: by * array for name, array in self.weights.items()})


def ridges(
    features: Float[np.ndarray, "n P"], target: Float[np.ndarray, "n K"], weight: Float[np.ndarray, " n"]
) -> Iterator[RidgeMap]:
    """Linear maps with an intercept, from the least penalty to the largest.

    Args:
        features: of each row; they are standardised, so that one penalty suits all.
        target: what is to be answered.
        weight: of each row in the sum of squares.
    """
    root = np.sqrt(weight / weight.mean())[:, None]
    share = (weight / weight.sum())[:, None]
    mean, target_mean = (share * features).sum(axis=0), (share * target).sum(axis=0)
    deviation = np.sqrt((share * (features - mean) ** 2).sum(axis=0))
    scale = deviation + RELATIVE_FLOOR * deviation.mean() + np.finfo(float).tiny
    x, y = root * (features - mean) / scale, root * (target - target_mean)
    left, eigenvalues = _decomposition(x)
    spectrum = left.T @ y
    for penalty in PENALTIES * max(eigenvalues.mean(), np.finfo(float).tiny):
        fitted = left @ (spectrum * (eigenvalues / (eigenvalues + penalty))[:, None])
        leverage = (left**2) @ (eigenvalues / (eigenvalues + penalty)) + share[:, 0]
        error = (y - fitted) / np.maximum(1 - leverage, 1e-9)[:, None]
        # A row without weight takes no part in the fit; the mean stands for its answer, which nobody counts.
        predictions = np.where(root > 0, target - error / np.where(root > 0, root, 1), target_mean)
        w = x.T @ (left @ (spectrum / (eigenvalues + penalty)[:, None])) / scale[:, None]
        yield RidgeMap(predictions, {"W": w, "b": target_mean - mean @ w})


def _decomposition(x: Float[np.ndarray, "n P"]) -> tuple[Float[np.ndarray, "n R"], Float[np.ndarray, " R"]]:
    """Left singular vectors of a matrix, and the squares of its singular values, by its smaller product."""
    if len(x) <= x.shape[1]:
        eigenvalues, left = np.linalg.eigh(x @ x.T)
        return left, np.maximum(eigenvalues, 0)
    eigenvalues, right = np.linalg.eigh(x.T @ x)
    rank = eigenvalues > 1e-12 * max(eigenvalues[-1], np.finfo(float).tiny)
    return (x @ right[:, rank]) / np.sqrt(eigenvalues[rank]), eigenvalues[rank]
