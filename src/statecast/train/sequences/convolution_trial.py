"""A linear map that reads convolutions with fixed weights: least squares, and nothing to train; see `trial`.

Its penalty is the one whose answers to rows left out one by one err least. Scores of classes come by least squares
towards 0 and 1, and a factor makes them the logarithms of odds: the one under which the classes of rows left out are
most probable, with labels smoothed as if one more row were of any class; perfect answers to few rows would ask for an
infinite one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.encoding import Encoding
from statecast.model.sequences.convolutions import SAMPLE, Convolutions
from statecast.model.sequences.readings import PLACES, ConvolutionReading, batches, features_of, outcomes
from statecast.sequence_config import SequenceConfig
from statecast.train.leave_one_out import RidgeMap, ridges
from statecast.train.sequences.trial import Problem, Trial, held_out_outcomes, losses

if TYPE_CHECKING:
    from jaxtyping import Float

FACTORS = np.geomspace(1, 256, 17)


def convolutions(config: SequenceConfig, problem: Problem) -> Trial:
    """The map that errs least on rows left out: from values alone, or from values and their changes."""
    encodings = [Encoding.fit(problem.source, changes) for changes in sorted({False, config.differences})]
    return min((_fit(config, problem, encoding) for encoding in encodings), key=lambda pair: pair[0])[1]


def _fit(config: SequenceConfig, problem: Problem, encoding: Encoding) -> tuple[float, Trial]:
    """The map for these inputs, and its loss on rows left out one by one."""
    source, rng = problem.source, np.random.default_rng([config.random_state, 3])
    sample = source.take(rng.permutation(source.count)[:SAMPLE])
    _, x, mask = next(batches(encoding.apply(sample), sample.offsets, PLACES))
    layer = Convolutions.draw(x, mask, rng)
    target = np.eye(problem.answers)[problem.target] if problem.classes else problem.target
    maps = ridges(features_of(layer, encoding.apply(source), source.offsets), target, problem.weight)
    loss, factor, ridge = _odds(problem, target, maps) if problem.classes else _values(config, problem, maps)
    weights = {name: factor * array for name, array in ridge.weights.items()}
    # Compared with others by the rows that these hold out, and as many together: left out one by one it looks better.
    predictions = held_out_outcomes(
        config, problem, lambda _, rows: outcomes(factor * ridge.without(rows)[None], problem.classes)
    )
    return loss, Trial(ConvolutionReading(encoding, layer, weights), predictions, None)


def _values(config: SequenceConfig, problem: Problem, maps: Iterable[RidgeMap]) -> tuple[float, float, RidgeMap]:
    def loss(ridge: RidgeMap) -> float:
        return float(problem.weight @ losses(config, ridge.one_by_one(), problem.target))

    return min(((loss(ridge), 1.0, ridge) for ridge in maps), key=lambda triple: triple[0])


def _odds(
    problem: Problem, target: Float[np.ndarray, "n K"], maps: Iterable[RidgeMap]
) -> tuple[float, float, RidgeMap]:
    """The map whose scores, times a factor, are logarithms of odds: its loss with smoothed labels, and the factor."""
    smoothing = 1 / (1 + problem.source.count)
    aim = (1 - smoothing) * target + smoothing / problem.answers

    def loss(scores: Float[np.ndarray, "n K"]) -> float:
        scores = scores - scores.max(axis=1, keepdims=True)
        return float(problem.weight @ (np.log(np.exp(scores).sum(axis=1)) - (aim * scores).sum(axis=1)))

    def best(ridge: RidgeMap) -> tuple[float, float, RidgeMap]:
        scores = ridge.one_by_one()
        least, factor = min((loss(factor * scores), factor) for factor in FACTORS.tolist())
        return least, factor, ridge

    return min(map(best, maps), key=lambda triple: triple[0])
