"""One model over more rows than a process should hold: the calls of a `Forecaster`, spread over workers.

Series are put into buckets by a hash of their names, a series never in two, and each bucket is read, worked on and
written by one worker. Which engine runs the workers is the user's choice: processes of this machine ("local"), or a Ray
cluster ("ray"). What a series gets depends neither on its bucket nor on the engine.
"""

from statecast.cluster.calls import backtest, fit, forecast, score
from statecast.cluster.outcome import Outcome, SkippedSeries

__all__ = ["Outcome", "SkippedSeries", "backtest", "fit", "forecast", "score"]
