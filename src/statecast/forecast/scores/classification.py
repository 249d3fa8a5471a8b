"""Scores of probabilities of classes, beside those of a forecast that knows how frequent each class is and no more.

What a score judges: accuracy whether the most probable class is right; log loss and Brier score the probabilities
themselves, being least where they are the true ones; the reliability table whether what is said to have 80 % comes true
in 80 of 100 cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

BINS = 10  # of the reliability table
FLOOR = 1e-15  # of a probability whose logarithm is taken
NORMAL_95 = 1.959964


def evaluation(
    codes: Int64[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n K"],
    classes: Sequence[str],
    shares: Float64[np.ndarray, " K"],
) -> dict[str, Any]:
    """Scores of probabilities, as plain values that JSON can hold (None where there is nothing to tell).

    Args:
        codes: the true classes, as numbers.
        probabilities: of each class, n ≥ 1 rows that add up to 1.
        classes: their names.
        shares: of each class among the rows that were trained on: the forecast that is held against.

    Returns:
        "rows", "classes"; "statecast" and "class_shares": accuracy, log_loss, brier; "skill": 1 − score / that of the
        class shares, for log_loss and brier; of statecast also balanced_accuracy, the mean recall, and
        calibration_error, the mean distance of the reliability table's probabilities from what came true; "confusion":
        counts [true][predicted]; "by_class": precision, recall, f1 and rows of each; "reliability": see `reliability`.
    """
    codes, probabilities = np.asarray(codes, np.int64), np.asarray(probabilities, np.float64)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (codes, probabilities.argmax(axis=1)), 1)
    table = reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == codes)
    each = _by_class(confusion)
    recalls = [part["recall"] for part in each if part["recall"] is not None]
    further = {"balanced_accuracy": float(np.mean(recalls)), "calibration_error": _distance(table)}
    network = _scores(codes, probabilities) | further
    baseline = _scores(codes, np.broadcast_to(shares, probabilities.shape))
    return {
        "rows": len(codes),
        "classes": list(classes),
        "statecast": network,
        "class_shares": baseline,
        "skill": {name: _skill(network[name], baseline[name]) for name in ("log_loss", "brier")},
        "confusion": confusion.tolist(),
        "by_class": each,
        "reliability": table,
    }


def _scores(codes: Int64[np.ndarray, " n"], probabilities: Float64[np.ndarray, "n K"]) -> dict[str, float]:
    """Accuracy, log loss in nats, and the Brier score (Brier 1950): of two classes half of the sum over both."""
    count, size = probabilities.shape
    truth = probabilities[np.arange(count), codes]
    squares = np.sum((probabilities - np.eye(size)[codes]) ** 2, axis=1)
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == codes)),
        "log_loss": float(-np.log(np.maximum(truth, FLOOR)).mean()),
        "brier": float(squares.mean() / (2 if size == 2 else 1)),
    }


def _skill(score: float, baseline: float) -> float | None:
    return 1 - score / baseline if baseline > 0 else None


def _by_class(confusion: Int64[np.ndarray, "K K"]) -> list[dict[str, Any]]:
    right, rows, answers = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {
            "precision": float(right[k] / answers[k]) if answers[k] else None,
            "recall": float(right[k] / rows[k]) if rows[k] else None,
            "f1": float(2 * right[k] / (rows[k] + answers[k])) if rows[k] + answers[k] else None,
            "rows": int(rows[k]),
        }
        for k in range(len(confusion))
    ]


def reliability(probability: Float64[np.ndarray, " n"], right: Any, bins: int = BINS) -> list[dict[str, Any]]:
    """How often answers came true that were given with about the same probability.

    Args:
        probability: of the answer that was given, 0 to 1.
        right: whether it came true.
        bins: of equal width; one without answers is left out.

    Returns:
        For each bin "from", "to", "rows", "probability" (the mean), "share" (that came true), and "low" and "high",
        the share's 95 % interval (Wilson, "Probable inference", Journal of the American Statistical Association 1927).
    """
    place = np.minimum((np.asarray(probability) * bins).astype(np.int64), bins - 1)
    table = []
    for number in np.unique(place).tolist():
        inside = place == number
        count, hits = int(inside.sum()), int(np.asarray(right)[inside].sum())
        low, high = _wilson(hits, count)
        ends = {"from": number / bins, "to": (number + 1) / bins, "rows": count}
        mean = float(np.asarray(probability)[inside].mean())
        table.append(ends | {"probability": mean, "share": hits / count, "low": low, "high": high})
    return table


def _wilson(hits: int, count: int) -> tuple[float, float]:
    share, z = hits / count, NORMAL_95
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _distance(table: Sequence[Mapping[str, Any]]) -> float:
    rows = sum(part["rows"] for part in table)
    return float(sum(part["rows"] * abs(part["probability"] - part["share"]) for part in table) / rows)


def require(value: Any) -> dict[str, Any]:
    """An evaluation from a file, which is a stranger.

    Raises:
        ValueError: it is none that `evaluation` would give.
    """
    if value == {}:
        return {}
    try:
        classes, counts = [str(name) for name in value["classes"]], np.asarray(value["confusion"])
        parts = [value["statecast"], value["class_shares"], value["skill"], *value["by_class"], *value["reliability"]]
        numbers = [number for part in parts for number in part.values() if number is not None]
        names = [set(part) for part in parts[:2]] + [set(part) for part in value["reliability"]]
        sizes = counts.shape == (len(classes), len(classes)) and len(value["by_class"]) == len(classes)
        answers = sum(part["rows"] for part in value["reliability"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("its scores are not those of a classifier") from error
    keys = [_NETWORK, _BASELINE, *[_BIN] * len(value["reliability"])]
    sound = all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
    named = all(set(part) == _CLASS for part in value["by_class"]) and set(value["skill"]) == {"log_loss", "brier"}
    counted = sizes and counts.dtype.kind == "i" and counts.sum() == answers
    if names != keys or not (sound and named and counted) or value.get("rows") != counts.sum():
        raise ValueError("its scores are not those of a classifier")
    return dict(value)


_BASELINE = {"accuracy", "log_loss", "brier"}
_NETWORK = _BASELINE | {"balanced_accuracy", "calibration_error"}
_CLASS = {"precision", "recall", "f1", "rows"}
_BIN = {"from", "to", "rows", "probability", "share", "low", "high"}
