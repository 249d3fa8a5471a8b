"""What adaptors to other libraries share: settings as constructor arguments, and series as their classifiers get them.

Those libraries read an estimator's parameters from the signature of its constructor, and keep each as it came. What
they call a panel is a list of series of any lengths, which is what `Classifier` reads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from statecast.config import require_names
from statecast.estimators.classifier import Classifier
from statecast.sequence_config import ClassifierConfig

CLASSIFIER: Mapping[str, Any] = ClassifierConfig().to_dict()
# Of networks that are trained in a moment, for the suites: one that is recurrent, one of fixed convolutions.
SMALL: tuple[Mapping[str, Any], ...] = (
    {"readings": ("recurrence",), "hidden": (4,), "ensemble": 1, "max_steps": 4, "eval_every": 2},
    {"readings": ("convolutions",)},
)


def showing(settings: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Decorates a constructor that takes settings by name, so that its signature shows them with their defaults."""

    def decorate(constructor: Any) -> Any:
        first, *_ = inspect.signature(constructor).parameters.values()
        kind = inspect.Parameter.KEYWORD_ONLY
        rest = [inspect.Parameter(name, kind, default=value) for name, value in settings.items()]
        constructor.__signature__ = inspect.Signature([first, *rest])
        return constructor

    return decorate


def keep(estimator: Any, config: type, defaults: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Set an estimator's parameters as they came; what is left out has its default.

    Raises:
        SettingError: there is no such setting.
    """
    require_names(config, settings)
    for name, value in {**defaults, **settings}.items():
        setattr(estimator, name, value)


def classifier(settings: Mapping[str, Any], panel: Iterable[Any], y: Any) -> Classifier:
    """A classifier, fitted.

    Args:
        settings: those of `Classifier`.
        panel: of each series an array [steps, channels].
        y: its class.

    Raises:
        DataError, SettingError: as `Classifier.fit`.
    """
    return Classifier(**settings).fit(listed(panel), y)


def listed(panel: Iterable[Any]) -> list[np.ndarray]:
    """A panel as `Classifier` reads it: of each series an array [steps, channels] that is its own."""
    return [np.ascontiguousarray(series) for series in panel]
