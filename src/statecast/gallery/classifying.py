"""A classification case by one recipe: fit on random splits, or on the archive's own one, and count what was right.

Where splits are drawn, the figures are means over all of them, and the confusion table adds them up; the curve of the
training and the network's summary are those of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from statecast.estimators.classifier import Classifier
from statecast.gallery import datasets
from statecast.gallery.cases import Case
from statecast.gallery.datasets import Dataset
from statecast.gallery.result import Confusion, Measurement, RecipeResult
from statecast.report import readers

SPLITS, SHARE = 20, 0.7
FLOOR = 1e-7  # of a probability whose logarithm is taken, as in the tutorial's library
EPOCHS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 80)  # after which the accuracy is looked at as well


def run(case: Case, recipe: str, folder: Path | None = None) -> RecipeResult:
    """Fit and count; see `forecasting.run` for the arguments."""
    dataset = datasets.MAKERS[case.example](folder)
    X, y = _coded(dataset, recipe)
    settings = case.recipe(recipe)
    classes = np.unique(y)
    counts, losses, first = np.zeros((len(classes), len(classes)), int), [], None
    accuracies = []
    for train, test in splits(dataset.first, len(y)):
        model = Classifier(**settings).fit(_rows(X, train), y[train])
        chances = model.predict_proba(_rows(X, test))
        truth, labels = np.searchsorted(classes, y[test]), np.argmax(chances, axis=1)
        np.add.at(counts, (truth, labels), 1)
        losses.append(float(-np.log(np.maximum(chances[np.arange(len(test)), truth], FLOOR)).mean()))
        accuracies.append(float((truth == labels).mean()))
        first = first or (model, train, test)
    assert first is not None
    values = {"accuracy": float(np.mean(accuracies)), "loss": float(np.mean(losses))}
    rows = (
        Measurement(case.name, recipe, m.name, values[m.measure], m.published, None, None, None) for m in case.metrics
    )
    answers: Any = first[0].model_
    return RecipeResult(
        case=case.name,
        recipe=recipe,
        rows=tuple(rows),
        settings={name: value for name, value in answers.config.to_dict().items() if value is not None},
        layers=readers.layers(answers, len(dataset.names)),
        history={name: np.array(column, float) for name, column in answers.history.items()},
        sentences=_spread(accuracies),
        confusion=Confusion(tuple(str(label) for label in classes), counts),
        accuracy=_by_epoch(settings, X, y, *first) if "accuracy" in case.show and recipe == "tutorial" else {},
    )


def splits(first: int, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows: the archive's own split, or each row drawn for training with a chance of 0.7."""
    if first:
        yield np.arange(first), np.arange(first, count)
        return
    for seed in range(SPLITS):
        chosen = np.random.default_rng(seed).random(count) < SHARE
        yield np.flatnonzero(chosen), np.flatnonzero(~chosen)


def _coded(dataset: Dataset, recipe: str) -> tuple[Any, np.ndarray]:
    """The rows as they are, or as the tutorial codes them: dummies, and without those that miss a value."""
    if recipe != "tutorial" or dataset.dummies is None:
        return dataset.X, dataset.y
    keep = slice(None) if dataset.complete is None else dataset.complete
    return dataset.dummies[keep], dataset.y[keep]


def _rows(X: Any, rows: np.ndarray) -> Any:
    return [X[n] for n in rows] if isinstance(X, list) else X[rows]


def _spread(accuracies: list[float]) -> tuple[str, ...]:
    if len(accuracies) == 1:
        return ()
    low, high = min(accuracies), max(accuracies)
    return (f"Over {len(accuracies)} random splits the accuracy lies between {low:.3f} and {high:.3f}.",)


def _by_epoch(
    settings: Mapping[str, Any], X: Any, y: np.ndarray, model: Any, train: np.ndarray, test: np.ndarray
) -> dict[str, np.ndarray]:
    """The accuracy on the first split after some epochs, each a fit of its own that stops there."""
    last = int(settings["max_epochs"])
    accuracies: dict[str, list[float]] = {"epoch": [*(n for n in EPOCHS if n < last), last], "training": [], "test": []}
    for epochs in accuracies["epoch"]:
        one = model if epochs == last else type(model)(**{**settings, "max_epochs": epochs}).fit(X[train], y[train])
        for name, part in (("training", train), ("test", test)):
            accuracies[name].append(float((one.predict(X[part]) == y[part]).mean()))
    return {name: np.array(values, float) for name, values in accuracies.items()}
