"""A Classifier as aeon's own: its panels of series in front, the same network behind.

aeon's suite (`aeon.testing.estimator_checking.check_estimator`) passes in full. Only this file knows aeon, and it is
imported when somebody asks for it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from statecast.errors import MissingDependency
from statecast.estimators.classifier import Classifier
from statecast.interop.adaptors import CLASSIFIER, SMALL, classifier, keep, listed, showing
from statecast.sequence_config import ClassifierConfig

try:
    from aeon.classification.base import BaseClassifier
except ImportError as error:
    raise MissingDependency.of("aeon", "aeon", "statecast.aeon.AeonClassifier") from error


class AeonClassifier(BaseClassifier):  # type: ignore[misc]  # aeon publishes no types
    """A network that predicts the class of a series, as an aeon classifier.

    Args:
        settings: by name, those of `statecast.Classifier`.

    Series are arrays [channels, steps], of any lengths in a list; NaN is missing.

    Attributes:
        classifier_: the fitted `statecast.Classifier`.

    Example:
        >>> from aeon.datasets import load_unit_test
        >>> from statecast.aeon import AeonClassifier
        >>> X, y = load_unit_test()
        >>> AeonClassifier(readings=("convolutions",)).fit(X, y).predict_proba(X).shape
        (42, 2)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": "np-list",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "algorithm_type": "deeplearning",
    }

    @showing(CLASSIFIER)
    def __init__(self, **settings: Any) -> None:
        keep(self, ClassifierConfig, CLASSIFIER, settings)
        super().__init__()

    def _fit(self, X: Any, y: Any) -> AeonClassifier:
        self.classifier_: Classifier = classifier(self.get_params(deep=False), (series.T for series in X), y)
        return self

    def _predict(self, X: Any) -> Any:
        return self.classifier_.predict(listed(series.T for series in X))

    def _predict_proba(self, X: Any) -> Any:
        return self.classifier_.predict_proba(listed(series.T for series in X))

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings of small and fast networks, for aeon's suite."""
        return [dict(settings) for settings in SMALL]
