"""The history of a model's training: columns by name, a row for each look at the validation rows.

A fit may train more than once, and counts its steps anew each time. So the history of a model has a column of numbers
that say which training a row is of; a history without it is of one training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HISTORY = ("step", "epoch", "loss", "val_loss", "learning_rate", "seconds")
TRAINING, SKIP_ALONE, EVERY_ROW = "training", "training the linear part", "learning from every row"
TRAININGS = (TRAINING, SKIP_ALONE, EVERY_ROW)
"""The trainings of a fit, by the numbers that they have in a history."""


def joined(histories: Mapping[str, Mapping[str, list[float]]]) -> dict[str, list[float]]:
    """The histories of several trainings as one, row after row, with the number of each row's phase as a column.

    Args:
        histories: by their phases, in the order of time; an empty one is of a training that was not made.
    """
    parts = [(TRAININGS.index(phase), history) for phase, history in histories.items() if history]
    numbers = [float(number) for number, history in parts for _ in history["step"]]
    return {"phase": numbers} | {name: [value for _, part in parts for value in part[name]] for name in HISTORY}


def phases_of(history: Mapping[str, Any]) -> list[str]:
    """The name of the phase of each row of a history.

    Args:
        history: of a model; that of a single training has no numbers. It may come from a file, so a number that no
            phase has is that of the first one.
    """
    numbers = history.get("phase", [0] * len(history.get("step", ())))
    return [TRAININGS[int(number)] if 0 <= number < len(TRAININGS) else TRAINING for number in numbers]


def lengths(history: Mapping[str, Sequence[float]]) -> dict[str, tuple[int, float]]:
    """The steps and the seconds of each training of a history, by its phase."""
    columns = (phases_of(history), history.get("step", ()), history.get("seconds", ()))
    return {phase: (int(step), seconds) for phase, step, seconds in zip(*columns, strict=True)}
