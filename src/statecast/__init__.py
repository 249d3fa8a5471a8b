"""statecast: train a recurrent network on your series once, then carry its state everywhere."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statecast.config import Config
    from statecast.errors import StatecastError
    from statecast.estimators import Forecaster
    from statecast.estimators.classifier import Classifier
    from statecast.estimators.regressor import Regressor
    from statecast.forecast.answer import Forecast
    from statecast.forecast.stream import Stream
    from statecast.server.client.client import Client
    from statecast.tuning import tune

__all__ = [
    "Classifier",
    "Client",
    "Config",
    "Forecast",
    "Forecaster",
    "Regressor",
    "StatecastError",
    "Stream",
    "__version__",
    "cluster",
    "interop",
    "tune",
]
__version__ = "0.2.0"

# Where each public name is at home. It is loaded when somebody asks for it, so that a stream does not wait for what
# only a fit needs, nor the command line's help for NumPy.
_HOMES = {
    "Classifier": "statecast.estimators.classifier",
    "Client": "statecast.server.client.client",
    "Config": "statecast.config",
    "Forecast": "statecast.forecast.answer",
    "Forecaster": "statecast.estimators",
    "Regressor": "statecast.estimators.regressor",
    "StatecastError": "statecast.errors",
    "Stream": "statecast.forecast.stream",
    "tune": "statecast.tuning",
}
_ROOMS = ("cluster", "interop")


def __getattr__(name: str) -> Any:
    """A public name, loaded from its room on first use.

    Raises:
        MissingDependency: Classifier and Regressor are scikit-learn's own kind of estimator, and it is not installed.
    """
    if name in _ROOMS:
        return import_module(f"statecast.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'statecast' has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOMES[name]), name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        from statecast.errors import MissingDependency

        raise MissingDependency.of("scikit-learn", "sklearn", name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
