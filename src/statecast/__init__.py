"""statecast: train a recurrent network on your series once, then carry its state everywhere."""

from statecast.config import Config
from statecast.errors import StatecastError
from statecast.estimators import Forecaster
from statecast.forecast.predict import Forecast
from statecast.forecast.stream import Stream

__all__ = ["Config", "Forecast", "Forecaster", "StatecastError", "Stream", "__version__"]
__version__ = "0.1.0"
