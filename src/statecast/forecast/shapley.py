"""Shapley values: what each player of a game adds to the result, on average over all orders in which they may come.

The values of all players sum to what all of them reach together, less what is there without any (Shapley, "A value for
n-person games", 1953). With few players every coalition is played. With many, orders are drawn, each together with its
reverse, which takes out much of the scatter (Mitchell et al., "Sampling permutations for Shapley value estimation",
2022); the sum holds there as well, since it holds for each order.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64

    Game = Callable[[Bool[np.ndarray, "C P"]], Float64[np.ndarray, "C ..."]]

EXACT = 10  # players of whom every coalition is played
PAIRS = 48  # orders, each with its reverse, that are drawn of more


def shapley(
    game: Game, players: int, seed: int = 0
) -> tuple[Float64[np.ndarray, " ..."], Float64[np.ndarray, "P ..."]]:
    """What is there without any player, and the value of each.

    Args:
        game: coalitions [C, P], true for each player that is in it, → results [C, …].
        players: P.
        seed: of the orders, where they are drawn.
    """
    if players <= EXACT:
        return _exact(game, players)
    rng, totals, empty = np.random.default_rng(seed), np.zeros(0), np.zeros(0)
    for _ in range(PAIRS):
        order = rng.permutation(players)
        for one in (order, order[::-1]):
            results = game(np.arange(players + 1)[:, None] > np.argsort(one))
            gains = np.diff(results, axis=0)[np.argsort(one)]
            empty, totals = results[0], totals + gains if totals.size else gains
    return empty, totals / (2 * PAIRS)


def _exact(game: Game, players: int) -> tuple[Any, Any]:
    numbers = np.arange(1 << players)
    coalitions = (numbers[:, None] >> np.arange(players) & 1).astype(bool)
    results, sizes = game(coalitions), coalitions.sum(axis=1)
    weights = np.array([factorial(n) * factorial(players - n - 1) / factorial(players) for n in range(players)])
    values = np.zeros((players, *results.shape[1:]))
    for player in range(players):
        without = numbers[~coalitions[:, player]]
        gains = results[without | 1 << player] - results[without]
        values[player] = np.tensordot(weights[sizes[without]], gains, axes=1)
    return results[0], values
