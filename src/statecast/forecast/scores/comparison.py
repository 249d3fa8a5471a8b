"""The network beside the baselines: what each forecast from the same origins, and how much better the network was.

`ForecastPairs` hold what came and what was forecast. From the scores of such pairs `evaluation` makes plain values that
JSON can hold; `evaluation_`, `metrics.json` and the command line show these, and `verdict` puts them into words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import SettingError, nearest
from statecast.forecast.scores import baselines
from statecast.forecast.scores.metrics import METRICS, Scores, seasonal_scale
from statecast.forecast.scores.terms import crps_terms, sum_of

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

STEPPED = 6  # targets whose error is told for each step ahead, where there are several: as many as a report draws


@dataclass(frozen=True, eq=False)
class ForecastPairs:
    """What came after n origins and what was forecast there, in the units of the table.

    Attributes:
        actual: the values, NaN where missing or beyond the end of the series.
        scale: the scale of mase of each target, see `metrics.seasonal_scale`; along the second axis it is broadcast.
        points: the point forecasts of "statecast" and of each baseline.
        lower: the network's lower bounds by level in percent.
        upper: its upper bounds.
        crps: the CRPS of its forecasts.
    """

    actual: Float64[np.ndarray, "n H D"]
    scale: Float64[np.ndarray, "n 1 D"]
    points: dict[str, Float64[np.ndarray, "n H D"]]
    lower: dict[float, Float64[np.ndarray, "n H D"]]
    upper: dict[float, Float64[np.ndarray, "n H D"]]
    crps: Float64[np.ndarray, "n H D"]

    @classmethod
    def of(
        cls,
        y: Float64[np.ndarray, "T D"],
        origins: Int64[np.ndarray, " n"],
        begin: int,
        season: int,
        point: Float64[np.ndarray, "n H D"],
        lower: dict[float, Float64[np.ndarray, "n H D"]],
        upper: dict[float, Float64[np.ndarray, "n H D"]],
        members: Iterable[tuple[float, Float64[np.ndarray, "n H D"]]],
    ) -> ForecastPairs:
        """The network's forecasts from some rows of a series, beside what came and what the baselines say.

        Args:
            y: the series.
            origins: rows after which the forecasts begin.
            begin: the first row that any of them is for: the rows before it give the scale of mase.
            season: rows in a season.
            point: the network's forecasts.
            lower: its lower bounds by level.
            upper: its upper bounds by level.
            members: quantiles of its forecasts, as `crps_terms` takes them.
        """
        horizon = point.shape[1]
        ahead = origins[:, None] + np.arange(1, horizon + 1)
        actual = np.where((ahead < len(y))[..., None], y[np.minimum(ahead, len(y) - 1)], np.nan)
        scale = np.broadcast_to(seasonal_scale(y[:begin], season), (len(origins), 1, y.shape[1]))
        points = {"statecast": point, **baselines.forecasts(y, origins, horizon, season)}
        return cls(actual, scale, points, lower, upper, crps_terms(actual, members))

    @classmethod
    def none(cls, targets: int, horizon: int, levels: Sequence[float]) -> ForecastPairs:
        """Those of no origin: what they are called, and nothing else."""
        y, blank = np.zeros((1, targets)), np.zeros((0, horizon, targets))
        bounds = dict.fromkeys(levels, blank)
        return cls.of(y, np.zeros(0, np.int64), 1, 1, blank, bounds, bounds, [(0.5, blank)])

    def columns(self) -> dict[str, Float64[np.ndarray, "n H D"]]:
        """What came and what was forecast, by the names of their columns in results, in that order."""
        bounds = {}
        for level in sorted(self.lower):
            bounds[f"statecast-lo-{level:g}"] = self.lower[level]
            bounds[f"statecast-hi-{level:g}"] = self.upper[level]
        points = dict(self.points)
        return {"y": self.actual, "statecast": points.pop("statecast"), **bounds, **points}

    @staticmethod
    def joined(parts: Sequence[ForecastPairs]) -> ForecastPairs:
        """Several as one, along their origins."""
        if len(parts) == 1:
            return parts[0]
        points, lower, upper = (
            {key: np.concatenate([getattr(part, name)[key] for part in parts]) for key in getattr(parts[0], name)}
            for name in ("points", "lower", "upper")
        )
        actual, scale, crps = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("actual", "scale", "crps")
        )
        return ForecastPairs(actual, scale, points, lower, upper, crps)


@dataclass(frozen=True, eq=False)
class ScoreSums:
    """The sums from which scores follow: a value, like `Scores`.

    Attributes:
        scores: of "statecast" and of every baseline.
        errors: for each of them the sums of absolute errors, and their counts, by step ahead and target.
        origins: that were forecast from.
    """

    scores: Mapping[str, Scores]
    errors: Mapping[str, Float64[np.ndarray, "2 H d"]]
    origins: int = 0

    @classmethod
    def empty(cls, targets: int, horizon: int) -> ScoreSums:
        """That of no origin."""
        names = ("statecast", *baselines.BASELINES)
        blank = np.zeros((2, horizon, min(targets, STEPPED)))
        return cls(dict.fromkeys(names, Scores.empty(targets)), dict.fromkeys(names, blank))

    def add(self, pairs: ForecastPairs) -> ScoreSums:
        """This sums and that of more pairs."""
        scores, errors = dict(self.scores), dict(self.errors)
        for name, point in pairs.points.items():
            error = np.abs(pairs.actual - point)
            # The CRPS of a forecast that is one value is its absolute error.
            more = (pairs.lower, pairs.upper, pairs.crps) if name == "statecast" else ({}, {}, error)
            scores[name] = scores[name].add(pairs.actual, point, pairs.scale, *more)
            error = error[..., :STEPPED]
            errors[name] = errors[name] + np.array([sum_of(error), np.sum(~np.isnan(error), axis=0)])
        return ScoreSums(scores, errors, self.origins + len(pairs.actual))

    def merge(self, other: ScoreSums) -> ScoreSums:
        """The sums of the pairs of both."""
        scores = {name: part.merge(other.scores[name]) for name, part in self.scores.items()}
        errors = {name: part + other.errors[name] for name, part in self.errors.items()}
        return ScoreSums(scores, errors, self.origins + other.origins)

    def evaluation(self, targets: Sequence[str], series: int) -> dict[str, Any]:
        """Scores of the network and of every baseline: what `metrics.json` holds.

        Args:
            targets: names of the targets.
            series: number of series; the errors of several are compared by mase, which has no unit.

        Returns:
            See `evaluation`; besides "origins", their number, and "error_by_step", the mean absolute error of each step
            ahead for the network and each baseline (where there are several targets, among the scores of the first
            six).
        """
        scores = dict(self.scores)
        network = scores.pop("statecast")
        # Errors in the table's units cannot be averaged over targets and series of different size.
        unitless = (len(targets) > 1 or series > 1) and not math.isnan(network.result()["mase"])
        result = evaluation(network, scores, targets, "mase" if unitless else "mae")
        for d, target in enumerate(targets[:STEPPED]):
            by_step = {name: _ratios(*total[..., d]) for name, total in self.errors.items()}
            (result["targets"][target] if len(targets) > 1 else result)["error_by_step"] = by_step
        return result | {"origins": self.origins}


def evaluate(pairs: Iterable[ForecastPairs], targets: Sequence[str], horizon: int, series: int) -> dict[str, Any]:
    """Scores of the network and of every baseline, see `ScoreSums.evaluation`.

    Args:
        pairs: of all origins, in any number of parts.
        targets: names of the targets.
        horizon: steps ahead, H.
        series: number of series.
    """
    sums = ScoreSums.empty(len(targets), horizon)
    for part in pairs:
        sums = sums.add(part)
    return sums.evaluation(targets, series)


def evaluation(
    scores: Scores, baseline_scores: Mapping[str, Scores], targets: Sequence[str] | None = None, metric: str = "mae"
) -> dict[str, Any]:
    """The network's scores beside those of the baselines, as plain values that JSON can hold (None for NaN).

    Args:
        scores: of the network.
        baseline_scores: of each baseline, over the same pairs.
        targets: names of the targets; their numbers from 0 if None.
        metric: the error from which skill is computed.

    Returns:
        A dict {"statecast": {...}, "<baseline>": {...}, …, "metric": ..., "skill": {"<baseline>": ...},
        "beaten_by": [...]}; `beaten_by` names the baselines whose error is below the network's, best first. Where there
        are several targets also "targets": such a dict for each of them; `metric` is "mae" there if a target has no
        value of the metric that was asked for.

    Raises:
        SettingError: `metric` is not an error, for which less is better, or there are not as many names as targets.
    """
    allowed = tuple(name for name in METRICS if name != "r2")
    if metric not in allowed:
        raise SettingError(f"skill is made of an error; got {metric!r}: {nearest(metric, allowed)}")
    size = scores.mean.size
    targets = [str(d) for d in range(size)] if targets is None else targets
    if len(targets) != size:
        raise SettingError(f"these scores are of {size} targets; got {len(targets)} names: {', '.join(targets)}")
    result = _beside({"statecast": scores, **baseline_scores}, metric)
    if size > 1:
        result["targets"] = {
            target: _beside(
                {name: part.of_target(d) for name, part in [("statecast", scores), *baseline_scores.items()]}, metric
            )
            for d, target in enumerate(targets)
        }
    return result


def _beside(scores: Mapping[str, Scores], metric: str) -> dict[str, Any]:
    results = {name: part.result() for name, part in scores.items()}
    if math.isnan(results["statecast"].get(metric, math.nan)):
        metric = "mae"
    errors = {name: result.get(metric, math.nan) for name, result in results.items()}
    error = errors.pop("statecast")
    return {
        **{name: _plain(result) for name, result in results.items()},
        "metric": metric,
        "skill": {name: skill(error, other) for name, other in errors.items()},
        "beaten_by": sorted((name for name in errors if errors[name] < error), key=errors.__getitem__),
    }


def skill(error: float, baseline_error: float) -> float | None:
    """1 - error / baseline error: 1 is perfect, 0 is as good as the baseline, below 0 is worse.

    Where the baseline makes no error: 0 if there is none either, else None (it would be minus infinity).
    None as well where one of the errors is not known.
    """
    if not (math.isfinite(error) and math.isfinite(baseline_error)):
        return None
    if baseline_error == 0:
        return 0.0 if error == 0 else None
    return 1 - error / baseline_error


def _plain(result: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in result.items()}


def _ratios(totals: Float64[np.ndarray, " H"], counts: Float64[np.ndarray, " H"]) -> list[float | None]:
    return [float(total / count) if count else None for total, count in zip(totals, counts, strict=True)]
