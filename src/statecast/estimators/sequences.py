"""Classifier and Regressor: from a row of a table, or a sequence, to one answer; scikit-learn's own kind of estimator.

Nothing is worked out here: inputs are read by `data`, networks trained by `train` and run by `model`. Their arguments
are the fields of a settings class, so that names, defaults and checks stay in `config`. This file alone knows
scikit-learn, and is imported when one of the two is asked for.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags, check_array, check_consistent_length
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from statecast.config import ClassifierConfig, RegressorConfig, SequenceConfig, names
from statecast.data.encoding import Encoding
from statecast.data.sequences import Sequences, is_sequences, of_sequences, of_table
from statecast.errors import DataError, MissingDependency, SettingError, nearest
from statecast.model import answers
from statecast.model.answers import Answers


class _Reading(BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """What both have in common; abstract."""

    _kind: ClassVar[str]
    _settings: ClassVar[type[SequenceConfig]]

    def __init__(self, **settings: Any) -> None:
        known = names(self._settings)
        for name in settings:
            if name not in known:
                raise SettingError(f"there is no setting {name!r}; {nearest(name, known)}")
        # Kept as they came, as scikit-learn wants it; `fit` checks them.
        for spec in dataclasses.fields(self._settings):
            setattr(self, spec.name, settings.get(spec.name, spec.default))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.three_d_array = True
        return tags

    def _config(self) -> SequenceConfig:
        return self._settings.of(self.get_params(deep=False))

    def _sequences(self, X: Any, y: Any = None, *, reset: bool = False) -> Sequences:
        """X as rows or sequences; scikit-learn's own checks for tables."""
        if is_sequences(X):
            found = of_sequences(X)
            if reset:
                self.n_features_in_ = found.channels
                self.__dict__.pop("feature_names_in_", None)
            return found
        if hasattr(X, "to_pandas") and type(X).__module__.startswith("pyarrow"):
            X = X.to_pandas()
        # Text stays text; numbers in columns of objects are looked at column by column.
        return of_table(validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan"))

    def _train(
        self,
        source: Sequences,
        target: np.ndarray,
        weight: np.ndarray,
        count: int,
        watch: Any,
        checkpoint: str | Path | None,
        resume: bool,
    ) -> dict[str, Any]:
        """Train, and give what the model is made of."""
        train = _training()
        config = self._config()
        encoding = Encoding.fit(source, config.differences)
        task = train.Task(encoding.apply(source), source.offsets, source.recurrent, target, weight, count)
        outcome = train.fit(config, task, watch, Path(checkpoint) if checkpoint else None, resume)
        self.reasons_: dict[str, str] = outcome.reasons
        return {
            "kind": self._kind,
            "config": outcome.config,
            "encoding": encoding,
            "recurrent": source.recurrent,
            "reader": outcome.reader,
            "weights": outcome.fitted.weights,
            "names": tuple(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None,
            "history": outcome.fitted.history,
        }

    def _keep(self, model: Answers) -> None:
        """The attributes of a fitted estimator."""
        self.model_ = model
        self.history_: dict[str, list[float]] = model.history
        self.n_iter_ = int(model.history["step"][-1])

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to one file; predicting from it needs no JAX.

        Raises:
            NotFittedError: before `fit`.
            OutputError: the file cannot be written.
        """
        check_is_fitted(self)
        return answers.save(self.model_, path, self.get_params(deep=False))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A fitted estimator from a file that `save` wrote.

        Raises:
            ModelFileError: the file is missing, damaged, of another kind or of a later statecast.
        """
        model, settings = answers.load(path, cls._kind)
        found = cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()})
        found._keep(model)
        found._restore(model)
        found.n_features_in_ = len(model.encoding.columns)
        if model.names is not None:
            found.feature_names_in_ = np.array(model.names, object)
        return found

    def _restore(self, model: Answers) -> None:
        """Further attributes of a model that was loaded."""


class Classifier(ClassifierMixin, _Reading):  # type: ignore[misc]
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
    """

    _kind = "classifier"
    _settings = ClassifierConfig

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        watch: Callable[[Any], None] | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on rows or sequences and their classes.

        Args:
            X: rows or sequences.
            y: labels [n].
            watch: told of the progress, see `statecast.train.progress.Report`.
            checkpoint: a folder for checkpoints; none are written where None.
            resume: go on from the checkpoint there.

        Returns:
            This object, fitted.

        Raises:
            DataError: X or y cannot be used.
            SettingError: a setting is out of range.
        """
        source = self._sequences(X, y, reset=True)
        y = _labels(y)
        check_consistent_length(source.offsets[1:], y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise DataError(f"y holds one class, {classes[0]!r}: a classifier wants 2 or more classes")
        weight = self._weights(classes, y)[codes]
        parts = self._train(source, codes.astype(np.int64), weight, len(classes), watch, checkpoint, resume)
        none = np.zeros(0)
        self.classes_ = classes
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
        """Probability of each class [n, K], in the order of `classes_`."""
        check_is_fitted(self)
        return self.model_.probabilities(self._sequences(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row or sequence [n]."""
        found = self.predict_proba(X)
        return np.asarray(self.classes_[np.argmax(found, axis=1)])

    def _restore(self, model: Answers) -> None:
        self.classes_ = np.asarray(model.classes)


class Regressor(RegressorMixin, _Reading):  # type: ignore[misc]
    """A network that tells one value, or several, of a row of a table, or of a sequence; see `Classifier` for X.

    Args:
        **settings: see `statecast.config.describe_settings(RegressorConfig)`; what is left out is chosen from the
            data.

    Raises:
        SettingError: a setting is unknown.

    Attributes:
        model_: the trained model.
        history_: columns of the training history.
        n_iter_: training steps taken.
        reasons_: for each setting chosen from the data, why.
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
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on rows or sequences and their values.

        Args:
            X: rows or sequences.
            y: values [n] or [n, K].
            watch: told of the progress, see `statecast.train.progress.Report`.
            checkpoint: a folder for checkpoints; none are written where None.
            resume: go on from the checkpoint there.

        Returns:
            This object, fitted.

        Raises:
            DataError: X or y cannot be used.
            SettingError: a setting is out of range.
        """
        source = self._sequences(X, y, reset=True)
        _require_target(y)
        values = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        check_consistent_length(source.offsets[1:], values)
        single = values.ndim == 1
        values = values.reshape(len(values), -1)
        mean, scale = values.mean(axis=0), values.std(axis=0)
        scale = np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-300), scale, 1.0)
        weight = np.ones(len(values))
        parts = self._train(source, (values - mean) / scale, weight, values.shape[1], watch, checkpoint, resume)
        self._keep(Answers(**parts, classes=None, mean=mean, scale=scale, single=single))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The values of each row or sequence, [n] or [n, K] as `y` was."""
        check_is_fitted(self)
        found = self.model_.values(self._sequences(X))
        return found[:, 0] if self.model_.single else found


def _labels(y: Any) -> np.ndarray:
    """Labels [n].

    Raises:
        DataError: y is missing, or holds values of a measure, not classes.
    """
    _require_target(y)
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(
            f"y[{int(np.flatnonzero(~np.isfinite(labels))[0])}] is NaN or infinity: wanted a class for each row"
        )
    check_classification_targets(labels)
    return np.asarray(labels)


def _require_target(y: Any) -> None:
    if y is None:
        raise DataError("This estimator requires y to be passed, but the target y is None")


def _training() -> Any:
    """The training room, whose extra may not be installed."""
    try:
        from statecast.train import sequences
    except ImportError as error:
        if isinstance(error, MissingDependency) or (error.name or "").split(".")[0] not in ("jax", "jaxlib", "optax"):
            raise
        raise MissingDependency.of(error.name or "jax", "train", "training") from error
    return sequences


def _signature(of: type[SequenceConfig]) -> inspect.Signature:
    """The settings as keyword arguments, for help, completion and scikit-learn's `get_params`."""
    kind = inspect.Parameter.KEYWORD_ONLY
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    fields = dataclasses.fields(of)
    return inspect.Signature([own, *(inspect.Parameter(f.name, kind, default=f.default) for f in fields)])


def _with_signature(of: type[_Reading]) -> None:
    def __init__(self: _Reading, **settings: Any) -> None:
        _Reading.__init__(self, **settings)

    __init__.__signature__ = _signature(of._settings)  # type: ignore[attr-defined]
    of.__init__ = __init__  # type: ignore[method-assign]


for _each in (Classifier, Regressor):
    _with_signature(_each)
