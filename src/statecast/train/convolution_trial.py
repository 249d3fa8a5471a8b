"""A linear map that reads convolutions with fixed weights: least squares, and nothing to train; see `trial`.

Its penalty is the one whose answers to rows left out err least. Scores of classes come by least squares towards 0 and
1, and a factor makes them the logarithms of odds: the one under which the classes of rows left out are most probable,
with labels smoothed as if one more row were of any class. Perfect answers to few rows would ask for an infinite one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from statecast.config import SequenceConfig
from statecast.data.encoding import Encoding
from statecast.model.convolutions import SAMPLE, Convolutions
from statecast.model.readings import PLACES, ConvolutionReading, batches, features_of, outcomes
from statecast.train.leave_one_out import RidgeMap, ridges
from statecast.train.trial import Problem, Trial, losses

if TYPE_CHECKING:
    from jaxtyping import Float

FACTORS = np.geomspace(1, 256, 17)


def convolutions(config: SequenceConfig, problem: Problem) -> Trial:
    """The map that errs least on rows left out: from values alone, or from values and their changes."""
    encodings = [Encoding.fit(problem.source, changes) for changes in sorted({False, config.differences})]
    return min((_fit(config, problem, encoding) for encoding in encodings), key=lambda pair: pair[0])[1]


def _fit(config: SequenceConfig, problem: Problem, encoding: Encoding) -> tuple[float, Trial]:
    """The map for these inputs, and its loss on rows left out."""
    source, rng = problem.source, np.random.default_rng([config.random_state, 3])
    sample = source.take(rng.permutation(source.count)[:SAMPLE])
    _, x, mask = next(batches(encoding.apply(sample), sample.offsets, PLACES))
    layer = Convolutions.draw(x, mask, rng)
    target = np.eye(problem.answers)[problem.target] if problem.classes else problem.target
    maps = ridges(features_of(layer, encoding.apply(source), source.offsets), target, problem.weight)
    best = _odds(problem, target, maps) if problem.classes else _values(config, problem, maps)
    predictions = outcomes(best[1].predictions[None], problem.classes)
    return best[0], Trial(ConvolutionReading(encoding, layer, best[1].weights), predictions, None)


def _values(config: SequenceConfig, problem: Problem, maps: Iterable[RidgeMap]) -> tuple[float, RidgeMap]:
    def loss(ridge: RidgeMap) -> float:
        return float(problem.weight @ losses(config, ridge.predictions, problem.target))

    return min(((loss(ridge), ridge) for ridge in maps), key=lambda pair: pair[0])


def _odds(problem: Problem, target: Float[np.ndarray, "n K"], maps: Iterable[RidgeMap]) -> tuple[float, RidgeMap]:
    """The map whose scores, times the best factor, are the logarithms of odds, and its loss with smoothed labels."""
    smoothing = 1 / (1 + problem.source.count)
    aim = (1 - smoothing) * target + smoothing / problem.answers

    def loss(ridge: RidgeMap, factor: float) -> float:
        scores = factor * (ridge.predictions - ridge.predictions.max(axis=1, keepdims=True))
        return float(problem.weight @ (np.log(np.exp(scores).sum(axis=1)) - (aim * scores).sum(axis=1)))

    triples = ((loss(ridge, factor), factor, ridge) for ridge in maps for factor in FACTORS)
    least, factor, ridge = min(triples, key=lambda triple: triple[0])
    return least, ridge.times(factor)
