"""Tuning: settings are tried on rolling windows before the test rows, and taken where they gain more than luck gives.

Optuna proposes what is tried and keeps what came of it; everything else is the house's own way of fitting and judging.
"""

from statecast.tuning.call import tune
from statecast.tuning.progress import TuningProgress
from statecast.tuning.result import Tuning

__all__ = ["Tuning", "TuningProgress", "tune"]
