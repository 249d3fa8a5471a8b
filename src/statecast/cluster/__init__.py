"""One model over more rows than a process should hold: the calls of a `Forecaster`, spread over workers.

Series are put into buckets by a hash of their names, a series never in two, and each bucket is read, worked on and
written by one worker. Which engine runs the workers is the user's choice: processes of this machine ("local"), a Ray
cluster ("ray") or Spark ("spark"). What a series gets depends neither on its bucket nor on the engine.
"""

from importlib import import_module
from typing import Any

from statecast.cluster.calls import backtest, fit, forecast, score
from statecast.cluster.outcome import Outcome, SkippedSeries

__all__ = ["Outcome", "SkippedSeries", "backtest", "fit", "forecast", "score"]


def __getattr__(name: str) -> Any:
    """The room for Spark, which is loaded when somebody asks for it.

    Raises:
        MissingDependency: Spark is not installed.
    """
    if name == "spark":
        return import_module("statecast.cluster.spark")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
