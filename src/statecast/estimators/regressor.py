"""Regressor: from a row of a table, or a sequence, to one value or several; scikit-learn's own kind of estimator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Tags, check_array, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from statecast.data.encoding import deviation
from statecast.estimators import training
from statecast.estimators.base import SequenceEstimator, refusals, require_target
from statecast.estimators.keywords import RegressorKeywords
from statecast.model.sequences.answers import Answers
from statecast.sequence_config import RegressorConfig


class Regressor(RegressorMixin, RegressorKeywords, SequenceEstimator):  # type: ignore[misc]
    """A network that predicts one or several values for a row of a table or for a sequence; see `Classifier` for X.

    Args:
        **settings: see `statecast.config.describe_settings(RegressorConfig)`; what is left out is chosen from the
            data.

    Raises:
        SettingError: a setting is unknown.

    Attributes:
        model_: the trained model.
        history_: columns of the training history.
        n_iter_: training steps taken.
        reasons_: for each setting chosen from the data, the reason.

    Example:
        >>> regressor.predict(X[:2]).round().tolist()
        [6.0, 3.0]
    """

    _kind = "regressor"
    _settings = RegressorConfig

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

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
        """Train on rows or sequences and their values.

        Args:
            X: rows or sequences.
            y: values [n] or [n, K].
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
            >>> sc.Regressor(readings=["convolutions"]).fit(X, period).model_.columns
            1
        """
        source = self._sequences(X, y, reset=True)
        require_target(y)
        with refusals():
            values = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
            check_consistent_length(source.offsets[1:], values)
        single = values.ndim == 1
        values = values.reshape(len(values), -1)
        # What is constant is answered as it is: whatever a network reads out, times 0, plus its value.
        constant = (values == values[0]).all(axis=0)
        varying = np.where(constant, 0.0, values)
        mean = varying.mean(axis=0)
        scale = np.where(constant, 0.0, [deviation(column) for column in varying.T])
        target, weight = (varying - mean) / np.where(constant, 1.0, scale), np.ones(len(values))
        mean = np.where(constant, values[0], mean)
        with training.watching(watch, verbose) as tell:
            parts = self._train(source, target, weight, values.shape[1], tell, checkpoint, resume)
        self._keep(Answers(**parts, classes=None, mean=mean, scale=scale, single=single))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The values for each row or sequence, [n] or [n, K] like `y`.

        Example:
            >>> regressor.predict(X[:3]).shape
            (3,)
        """
        check_is_fitted(self)
        values = self.model_.values(self._sequences(X))
        return values[:, 0] if self.model_.single else values
