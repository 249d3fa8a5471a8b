"""What Classifier and Regressor share: from a row of a table, or a sequence, to one answer, as scikit-learn does it.

Nothing is worked out here: inputs are read by `data`, networks trained by `train` and run by `model`. Their arguments
are the fields of a settings class, so that names, defaults and checks stay in `config`. These three files alone know
scikit-learn, and are imported when one of the two is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from statecast.config import require_names
from statecast.data.sequences import Sequences, is_sequences, of_sequences, of_table, unmasked
from statecast.errors import DataError, StatecastError, WrongType
from statecast.estimators import training
from statecast.estimators.keywords import SettingsKeywords
from statecast.model.sequences import answers
from statecast.model.sequences.answers import Answers
from statecast.sequence_config import SequenceConfig


class SequenceEstimator(SettingsKeywords, BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """What both have in common; abstract."""

    _kind: ClassVar[str]
    _settings: ClassVar[type[SequenceConfig]]

    def _accept(self, settings: dict[str, Any]) -> None:
        require_names(self._settings, settings)
        # Kept as they came, as scikit-learn wants it; `fit` checks them.
        for name, value in settings.items():
            setattr(self, name, value)

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
            sequences = of_sequences(X)
            if reset:
                self.n_features_in_: int = sequences.channels
                self.__dict__.pop("feature_names_in_", None)
            return sequences
        if hasattr(X, "to_pandas") and type(X).__module__.startswith("pyarrow"):
            X = X.to_pandas()
        X = unmasked(X) if np.ma.isMaskedArray(X) else X
        # Text stays text; numbers in columns of objects are looked at column by column.
        with refusals():
            table = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
        return of_table(table)

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
        train = training.room("sequences.fit_reader")
        problem = train.Problem(source, target, weight, count)
        outcome = train.fit(self._config(), problem, watch, Path(checkpoint) if checkpoint else None, resume)
        self.reasons_: dict[str, str] = outcome.reasons
        return {
            "kind": self._kind,
            "config": outcome.config,
            "columns": source.channels,
            "recurrent": source.recurrent,
            "readings": outcome.readings,
            "shares": outcome.shares,
            "names": tuple(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None,
            "history": outcome.history,
        }

    def _keep(self, model: Answers) -> None:
        """The attributes of a fitted estimator."""
        self.model_ = model
        self.history_: dict[str, list[float]] = model.history
        self.n_iter_: int = int(model.history["step"][-1])

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to one file; predicting from it needs no JAX.

        Raises:
            NotFittedError: before `fit`.
            OutputError: the file cannot be written.

        Example:
            >>> classifier.save("waves.safetensors").name
            'waves.safetensors'
        """
        check_is_fitted(self)
        return answers.save(self.model_, path, self.get_params(deep=False))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A fitted estimator from a file that `save` wrote.

        Raises:
            ModelFileError: the file is missing, damaged, of another kind or of a later statecast.

        Example:
            >>> again = sc.Classifier.load(classifier.save("waves.safetensors"))
            >>> bool((again.predict(X) == classifier.predict(X)).all())
            True
        """
        model, settings = answers.load(path, cls._kind)
        estimator = cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()})
        estimator._keep(model)
        estimator._restore(model)
        estimator.n_features_in_ = model.columns
        if model.names is not None:
            estimator.feature_names_in_ = np.array(model.names, object)
        return estimator

    def _restore(self, model: Answers) -> None:
        """Further attributes of a model that was loaded."""


def require_target(y: Any) -> None:
    """Refuse a fit without targets, in the words that scikit-learn's checks look for, or with some of them masked."""
    if y is None:
        raise DataError("This estimator requires y to be passed, but the target y is None")
    if np.ma.is_masked(y):
        row = int(np.argwhere(np.ma.getmaskarray(y))[0][0])
        raise DataError(f"y[{row}] is masked: expected a target for each row; leave out the rows that have none")


@contextmanager
def refusals() -> Iterator[None]:
    """scikit-learn's refusals of X and y as errors of this house, in the same words."""
    try:
        yield
    except StatecastError:
        raise
    except TypeError as error:
        raise WrongType(str(error)) from error
    except ValueError as error:
        raise DataError(str(error)) from error
