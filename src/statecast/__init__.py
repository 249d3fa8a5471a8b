"""statecast: train a recurrent network on your series once, then carry its state everywhere."""

from typing import TYPE_CHECKING, Any

from statecast.config import Config
from statecast.errors import MissingDependency, StatecastError
from statecast.estimators import Forecaster
from statecast.forecast.predict import Forecast
from statecast.forecast.stream import Stream

if TYPE_CHECKING:
    from statecast.estimators.sequences import Classifier, Regressor

__all__ = ["Classifier", "Config", "Forecast", "Forecaster", "Regressor", "StatecastError", "Stream", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Classifier and Regressor are scikit-learn's own kind of estimator, and loaded when one of them is asked for."""
    if name not in ("Classifier", "Regressor"):
        raise AttributeError(f"module 'statecast' has no attribute {name!r}")
    try:
        from statecast.estimators import sequences
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise MissingDependency.of("scikit-learn", "sklearn", name) from error
    return getattr(sequences, name)
