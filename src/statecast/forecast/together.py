"""Have many series changed at once? One test on the scores of all of them, beside the one that each series has.

A fault that all series share, such as a clock that is off, a new unit or a model that has grown old, moves each of them
by less than its own test can tell. So the scores of a round, which is a time step of all series, are put together in
two numbers: their mean, and the mean of their sizes. Each is compared with its own running mean and deviation, and bets
are placed on either side, as `model.surprise` does for one series: a stake multiplies by 1 + λ·(x − ε) and never falls
below 1, so whatever the numbers' distribution it takes 1/α rounds on average until one exceeds 1/α by chance, as long
as rounds do not hang together (Shin, Ramdas, Rinaldo, New England Journal of Statistics in Data Science 2, 2024).
Series that depend on one another, as those of one city do, are no matter: their rounds are only less steady.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.errors import ModelFileError
from statecast.model.surprise import BETS, DOUBT, LEAST, SLOW

if TYPE_CHECKING:
    from jaxtyping import Float64

FEWEST = 20  # scores that a round has at least
ANEW = 50.0  # rounds that what is usual rests on after a change
FARTHEST = 3.0  # a score counts as at most so large
STAKE = 0.5  # λ of each bet
EDGE = 0.1  # ε, what is taken off each gain, for rounds that hang together
SPREAD = 2.0  # deviations that count as a whole gain


@dataclass(frozen=True)
class Together:
    """What is remembered of the rounds so far; a plain value.

    Attributes:
        weight: of the rounds that means rest on.
        means: of the mean score and of the mean size.
        squares: mean squared deviations of the two.
        stakes: the logarithm of each of `surprise.BETS`.
        begins: the times at which these stakes began to grow.

    Example:
        >>> from statecast.forecast.together import Together
        >>> Together().weight
        0.0
    """

    weight: float = 0.0
    means: tuple[float, ...] = (0.0, 0.0)
    squares: tuple[float, ...] = (0.0, 0.0)
    stakes: tuple[float, ...] = (0.0,) * len(BETS)
    begins: tuple[int, ...] = (0,) * len(BETS)

    def to_text(self) -> str:
        """The value as JSON.

        Example:
            >>> from statecast.forecast.together import Together
            >>> Together.from_text(Together().to_text()) == Together()
            True
        """
        return json.dumps([self.weight, self.means, self.squares, self.stakes, self.begins])

    @classmethod
    def from_text(cls, text: str) -> Together:
        """The value that `to_text` wrote.

        Raises:
            ModelFileError: the text is not such a value.

        Example:
            >>> from statecast.forecast.together import Together
            >>> Together.from_text(Together().to_text()).weight
            0.0
        """
        try:
            weight, means, squares, stakes, begins = json.loads(text)
            value = cls(float(weight), *map(tuple, (means, squares, stakes, begins)))
            numbers = (value.weight, *value.means, *value.squares, *value.stakes)
            sound = all(map(math.isfinite, numbers)) and all(isinstance(time, int) for time in value.begins)
            lengths = [len(part) for part in (value.means, value.squares, value.stakes, value.begins)]
        except (ValueError, TypeError) as error:
            raise ModelFileError(f"what is remembered of all series together cannot be read: {error}") from error
        if not sound or lengths != [2, 2, len(BETS), len(BETS)] or weight < 0:
            raise ModelFileError("what is remembered of all series together is damaged")
        return value


@dataclass(frozen=True)
class CommonChange:
    """A change that the series have undergone together.

    Attributes:
        change: what they have become, one of `surprise.BETS`.
        since: the time at which it began.
        score: the mean score of the round that revealed it.

    Example:
        >>> from statecast.forecast.together import CommonChange
        >>> CommonChange("higher", 100, 0.8).since
        100
    """

    change: str
    since: int
    score: float


def observe(
    before: Together, scores: Float64[np.ndarray, "..."], time: int, rate: float
) -> tuple[Together, CommonChange | None]:
    """Take the scores of a round.

    Args:
        before: what is remembered.
        scores: normal scores of values that came in this round, such as `Forecast.score`; NaN where there is none. A
            round of fewer than 20 is ignored.
        time: of the round, as a number that grows.
        rate: of false alarms, per round; each of the bets has its share of it.

    Returns:
        What is remembered from now on, and the change if there is one.

    Example:
        >>> from statecast.forecast import together
        >>> value, change = together.observe(together.Together(), np.zeros(30), 0, 1e-4)
        >>> value.weight, change
        (1.0, None)
    """
    some = np.clip(scores[~np.isnan(scores)], -FARTHEST, FARTHEST)
    if len(some) < FEWEST:
        return before, None
    numbers = float(some.mean()), float(np.abs(some).mean())
    if before.weight < LEAST:
        return _learned(before, numbers), None
    stakes, begins = list(before.stakes), list(before.begins)
    for n, (number, mean, square) in enumerate(zip(numbers, before.means, before.squares, strict=True)):
        gain = min(max((number - mean) / max(SPREAD * math.sqrt(square), 1e-12), -1.0), 1.0)
        for bet, side in ((2 * n, gain), (2 * n + 1, -gain)):
            begins[bet] = time if stakes[bet] <= 0 else begins[bet]
            stakes[bet] = max(stakes[bet], 0.0) + math.log1p(STAKE * (side - EDGE))
    after = Together(before.weight, before.means, before.squares, tuple(stakes), tuple(begins))
    best = max(range(len(BETS)), key=stakes.__getitem__)
    if stakes[best] >= math.log(len(BETS) / rate):
        return Together(ANEW, numbers, before.squares), CommonChange(BETS[best], begins[best], numbers[0])
    return (after if stakes[best] > DOUBT else _learned(after, numbers)), None


def _learned(before: Together, numbers: tuple[float, float]) -> Together:
    """What is usual, with one more round: plain means at first, and slow running ones from then on."""
    weight = (1 - SLOW) * before.weight + 1
    away = [number - mean for number, mean in zip(numbers, before.means, strict=True)]
    means = tuple(mean + gap / weight for mean, gap in zip(before.means, away, strict=True))
    squares = tuple(
        square + (gap * (number - mean) - square) / weight
        for square, gap, number, mean in zip(before.squares, away, numbers, means, strict=True)
    )
    return Together(weight, means, squares, before.stakes, before.begins)
