"""A linear map by ridge regression, and what it says of rows when they are left out, one by one or several together.

Leaving rows out needs no other fit: their errors e become (I − H)⁻¹ e, where H says how much each of them counts in
the answers to the others of them; for one row, e / (1 − h) (Allen 1974). So one decomposition tells, for every penalty,
how well the map answers rows that it has not learned from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

PENALTIES = np.geomspace(1e-4, 1e2, 13)  # in units of the mean eigenvalue
LEAST = 1e-12  # of what is divided by
RELATIVE_FLOOR = 1e-3  # of a feature's deviation, in units of the mean one


@dataclass(frozen=True, eq=False)
class RidgeMap:
    """A linear map of one penalty.

    Attributes:
        answers: its answer to each row, which it has learned from [n, K].
        target: what was to be answered [n, K].
        root: of the weight of each row in the sum of squares [n].
        influence: [n, R]; its product with its transpose says how much each row counts in the answers to the others,
            in sums of squares.
        weights: {"W": [features, K], "b": [K]}.
    """

    answers: Float[np.ndarray, "n K"]
    target: Float[np.ndarray, "n K"]
    root: Float[np.ndarray, " n"]
    influence: Float[np.ndarray, "n R"]
    weights: dict[str, np.ndarray]

    def one_by_one(self) -> Float[np.ndarray, "n K"]:
        """The answer to each row, learned from all the others."""
        rest = np.maximum(1 - (self.influence**2).sum(axis=1), LEAST)
        return np.asarray(self.target - (self.target - self.answers) / rest[:, None])

    def without(self, rows: Int64[np.ndarray, " m"]) -> Float[np.ndarray, "m K"]:
        """The answers to these rows, learned from all but them."""
        part, root = self.influence[rows], np.maximum(self.root[rows, None], LEAST)
        error = root * (self.target - self.answers)[rows]
        rest = (1 + LEAST) * np.eye(len(rows)) - part @ part.T
        return np.asarray(self.target[rows] - np.linalg.solve(rest, error) / root)


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
    typical = eigenvalues.mean()
    for penalty in PENALTIES * (typical if typical > 0 else 1.0):  # where no feature varies, any penalty will do
        w = x.T @ (left @ (spectrum / (eigenvalues + penalty)[:, None])) / scale[:, None]
        b = target_mean - mean @ w
        influence = np.hstack([left * np.sqrt(eigenvalues / (eigenvalues + penalty)), np.sqrt(share)])
        yield RidgeMap(features @ w + b, target, root[:, 0], influence, {"W": w, "b": b})


def _decomposition(x: Float[np.ndarray, "n P"]) -> tuple[Float[np.ndarray, "n R"], Float[np.ndarray, " R"]]:
    """Left singular vectors of a matrix, and the squares of its singular values, by its smaller product."""
    if len(x) <= x.shape[1]:
        eigenvalues, left = np.linalg.eigh(x @ x.T)
        return left, np.maximum(eigenvalues, 0)
    eigenvalues, right = np.linalg.eigh(x.T @ x)
    rank = eigenvalues > 1e-12 * max(eigenvalues[-1], np.finfo(float).tiny)
    return (x @ right[:, rank]) / np.sqrt(eigenvalues[rank]), eigenvalues[rank]
