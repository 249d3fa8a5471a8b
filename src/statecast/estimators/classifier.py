"""Classifier: from a row of a table, or a sequence, to its class; scikit-learn's own kind of estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from statecast.data.sequences import Sequences
from statecast.errors import DataError, ModelFileError, NotFitted, SettingError, nearest
from statecast.estimators import training
from statecast.estimators.base import SequenceEstimator, refusals, require_target
from statecast.estimators.keywords import ClassifierKeywords
from statecast.forecast.scores import classification
from statecast.model.sequences.answers import Answers
from statecast.sequence_config import ClassifierConfig

if TYPE_CHECKING:
    from statecast.report.classes import ClassReport

LARGEST_TEST = 0.5  # of each class: as many at least are learned from
TEST_SEED = 1_000_003  # added to the seed, so that test rows are not drawn as validation rows are


class Classifier(ClassifierMixin, ClassifierKeywords, SequenceEstimator):  # type: ignore[misc]
    """A network that predicts the class of a row of a table or of a sequence.

    X is a table (an array [n, columns], or a data frame with columns of numbers and strings), which dense layers read,
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
        reasons_: for each setting chosen from the data, the reason.
        evaluation_: the scores on the rows that `test_size` sets aside.

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
            watch: called with the progress from time to time, see `statecast.train.progress.Progress`.
            verbose: show on standard error which phase is running, and about how much longer it takes.
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
        source, codes, classes = self._coded(X, y)
        test = self._test_rows(codes)
        rows = np.flatnonzero(~test)
        weight = self._weights(classes, classes[codes[rows]])[codes[rows]]
        learned = source.take(rows) if test.any() else source
        with training.watching(watch, verbose) as tell:
            parts = self._train(learned, codes[rows], weight, len(classes), tell, checkpoint, resume)
        none = np.zeros(0)
        model = Answers(**parts, classes=classes, mean=none, scale=none, single=True)
        model = replace(model, learned=tuple(np.bincount(codes[rows], minlength=len(classes)).tolist()))
        scores = _scores(model, source.take(np.flatnonzero(test)), codes[test]) if test.any() else {}
        self.classes_ = classes
        self._keep(replace(model, scores=scores))
        return self

    def _coded(self, X: Any, y: Any) -> tuple[Sequences, np.ndarray, np.ndarray]:
        """X, the number of the class of each row, and the classes."""
        source = self._sequences(X, y, reset=True)
        labels = _labels(y)
        with refusals():
            check_consistent_length(source.offsets[1:], labels)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError(f"y holds one class, {classes[0]!r}: a classifier needs 2 or more classes")
        return source, codes.astype(np.int64), classes

    def _test_rows(self, codes: np.ndarray) -> np.ndarray:
        """Which rows are kept for the test scores: the same share of every class, and never all rows of one."""
        config = self._config()
        assert isinstance(config, ClassifierConfig)
        size = config.test_size
        if not size:
            return np.zeros(len(codes), bool)
        if (size if isinstance(size, float) else size / len(codes)) > LARGEST_TEST:
            raise DataError(
                f"test_size = {size} of {len(codes)} rows: at most half of the rows of each class can be kept for the "
                f"test, {len(codes) // 2} or a share of 0.5"
            )
        drawn = config.with_(ensemble=1, val_size=size, random_state=(config.random_state + TEST_SEED) % 2**32)
        mask: np.ndarray = training.room("sequences.trial").held_out(drawn, codes)[0]
        if not mask.any():
            raise DataError(
                f"test_size = {size} of {len(codes)} rows keeps none: expected at least one, or 0 for no test"
            )
        return mask

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

    @property
    def evaluation_(self) -> dict[str, Any]:
        """The scores on the rows that were set aside for a test; see docs/classification.md.

        Raises:
            NotFitted: none were set aside: give `test_size`, or score other rows with `evaluate`. It is an
                AttributeError as well, so tools that list what a fitted estimator has leave it out.
        """
        check_is_fitted(self)
        if not self.model_.scores:
            raise NotFitted("no rows were kept for a test: fit with test_size=0.2, or call evaluate(X, y)")
        return self.model_.scores

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:
        """Scores on other rows, next to those of a forecast that knows only how frequent each class is.

        Args:
            X: rows or sequences, none of which it was trained on.
            y: their labels [n], all among `classes_`.

        Returns:
            Plain values: accuracy, log loss and Brier score of the probabilities and of the class shares, the skill
            against these, the confusion matrix, precision and recall of each class, and the reliability table; see
            `forecast.scores.classification.evaluation`.

        Raises:
            DataError: X or y cannot be used, or a label is none of the classes.

        Example:
            >>> classifier.evaluate(X, y)["statecast"]["accuracy"] > 0.9
            True
        """
        check_is_fitted(self)
        source, labels = self._sequences(X), _labels(y)
        with refusals():
            check_consistent_length(source.offsets[1:], labels)
        strange = next((label for label in labels.tolist() if label not in self.classes_), None)
        if strange is not None:
            hint = nearest(strange, self.classes_)
            raise DataError(f"y holds the class {strange!r}, which it was not trained on: {hint}")
        codes = np.searchsorted(self.classes_, labels)
        return _scores(self.model_, source, codes)

    def report(self, path: str | Path | None = None, *, title: str = "") -> ClassReport:
        """The report: scores, confusion matrix, calibration of the probabilities, settings and networks.

        Args:
            path: of an HTML page to write; nothing is written if None.
            title: of the page.

        Raises:
            MissingDependency: a page is to be written, and matplotlib is not installed.
            OutputError: the page cannot be written.

        Example:
            >>> classifier.report("classifier.html").title
            'Classifier of 2 classes'
        """
        from statecast.report import classes, readers

        check_is_fitted(self)
        model, defaults = self.model_, ClassifierConfig()
        settings = model.config.to_dict()
        user_settings = {name: value for name, value in self.get_params().items() if value != getattr(defaults, name)}
        report = classes.ClassReport(
            title or f"Classifier of {len(self.classes_)} classes",
            sum(model.learned),
            model.scores,
            classes.choices(settings, user_settings, getattr(self, "reasons_", {}), tuple(settings), ClassifierConfig),
            readers.layers(model, model.columns),
            {name: np.array(column, float) for name, column in model.history.items()},
        )
        if path is not None:
            classes.write_page(report, path)
        return report

    def plot_confusion(self, X: Any = None, y: Any = None) -> Any:
        """Draw which classes are taken for which, on the test rows or on others; returns the axes of matplotlib.

        Example:
            >>> classifier.plot_confusion(X, y).get_xlabel()
            'predicted class'
        """
        from statecast.report import plot

        return plot.confusion(self._evaluation_of(X, y), shown=True).axes[0]

    def plot_reliability(self, X: Any = None, y: Any = None) -> Any:
        """Draw how often answers are right, by their probability, on the test rows or on others; returns the axes.

        Example:
            >>> classifier.plot_reliability(X, y).get_xlabel()
            'probability of the answer'
        """
        from statecast.report import plot

        return plot.reliability(self._evaluation_of(X, y), shown=True).axes[0]

    def _evaluation_of(self, X: Any, y: Any) -> dict[str, Any]:
        return self.evaluation_ if X is None else self.evaluate(X, y)

    def _restore(self, model: Answers) -> None:
        self.classes_ = np.asarray(model.classes)
        try:
            classification.require(model.scores)
        except ValueError as error:
            raise ModelFileError(f"a model file is damaged: {error}") from error


def _scores(model: Answers, source: Sequences, codes: np.ndarray) -> dict[str, Any]:
    assert model.classes is not None
    count = len(model.classes)
    rows = np.array(model.learned or [1] * count, np.float64)  # a file of before does not know them
    names = [str(label) for label in model.classes]
    return classification.evaluation(codes, model.probabilities(source), names, rows / rows.sum())


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
            f"y[{int(np.flatnonzero(~np.isfinite(labels))[0])}] is NaN or infinity: expected a class for each row"
        )
    with refusals():
        check_classification_targets(labels)
    return np.asarray(labels)
