"""Classifier: from a row of a table, or a sequence, to its class; scikit-learn's own kind of estimator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from statecast.config import ClassifierConfig
from statecast.errors import DataError, SettingError, nearest
from statecast.estimators import training
from statecast.estimators.base import SequenceEstimator, refusals, require_target
from statecast.estimators.keywords import ClassifierKeywords
from statecast.model.sequences.answers import Answers


class Classifier(ClassifierMixin, ClassifierKeywords, SequenceEstimator):  # type: ignore[misc]
    """A network that tells the class of a row of a table, or of a sequence.

    X is a table (an array [n, columns], or a data frame with columns of numbers and of texts), which dense layers read,
    or sequences (an array [n, T, channels], or a list of arrays [T_i, channels] of unequal lengths), which recurrent
    layers read. NaN is missing.

    Args:
        **settings: see `statecast.config.describe_settings(ClassifierConfig)`; what is left out is chosen from the
            data.

    Raises:
        SettingError: a setting is unknown.

    Attributes:
        classes_: the labels.
        model_: the trained model.
        history_: columns of the training history.
        n_iter_: training steps taken.
        reasons_: for each setting chosen from the data, why.

    Example:
        >>> classifier.predict(X[:3]).tolist()
        ['slow', 'fast', 'slow']
    """

    _kind = "classifier"
    _settings = ClassifierConfig

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        watch: Callable[[Any], None] | None = None,
        verbose: bool = False,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on rows or sequences and their classes.

        Args:
            X: rows or sequences.
            y: labels [n].
            watch: called with the progress now and then, see `statecast.train.progress.Progress`.
            verbose: show on standard error which phase runs, and about how long it still takes.
            checkpoint: a folder for checkpoints; none are written if None.
            resume: continue from the checkpoint in that folder.

        Returns:
            This object, fitted.

        Raises:
            DataError: X or y cannot be used.
            SettingError: a setting is out of range.

        Example:
            >>> sc.Classifier(readings=["convolutions"]).fit(X, y).classes_.tolist()
            ['fast', 'slow']
        """
        source = self._sequences(X, y, reset=True)
        y = _labels(y)
        with refusals():
            check_consistent_length(source.offsets[1:], y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise DataError(f"y holds one class, {classes[0]!r}: a classifier wants 2 or more classes")
        weight = self._weights(classes, y)[codes]
        with training.watching(watch, verbose) as tell:
            parts = self._train(source, codes.astype(np.int64), weight, len(classes), tell, checkpoint, resume)
        none = np.zeros(0)
        self.classes_: np.ndarray = classes
        self._keep(Answers(**parts, classes=classes, mean=none, scale=none, single=True))
        return self

    def _weights(self, classes: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Weight of each class."""
        self._config()
        chosen: Any = self.class_weight
        if chosen is not None and not isinstance(chosen, str):
            strange = [label for label in chosen if label not in classes]
            if strange and not any(label in classes for label in chosen):
                raise SettingError(f"class_weight: no class is {strange[0]!r}; {nearest(strange[0], classes)}")
            chosen = {label: chosen.get(label, 1.0) for label in classes.tolist()}
        return np.asarray(compute_class_weight(chosen, classes=classes, y=y), np.float64)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class [n, K], in the order of `classes_`.

        Example:
            >>> classifier.predict_proba(X[:3]).shape
            (3, 2)
        """
        check_is_fitted(self)
        return self.model_.probabilities(self._sequences(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row or sequence [n].

        Example:
            >>> classifier.predict(X[:3]).tolist()
            ['slow', 'fast', 'slow']
        """
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[np.argmax(probabilities, axis=1)])

    def _restore(self, model: Answers) -> None:
        self.classes_ = np.asarray(model.classes)


def _labels(y: Any) -> np.ndarray:
    """Labels [n].

    Raises:
        DataError: y is missing, or holds values of a measure, not classes.
    """
    require_target(y)
    with refusals():
        labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(
            f"y[{int(np.flatnonzero(~np.isfinite(labels))[0])}] is NaN or infinity: wanted a class for each row"
        )
    with refusals():
        check_classification_targets(labels)
    return np.asarray(labels)
