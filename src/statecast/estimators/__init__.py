"""The estimators: settings in, a trained model out."""

from statecast.estimators.forecaster import Forecaster

__all__ = ["Forecaster"]
