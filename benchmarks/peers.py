"""Other libraries' forecasts of a protocol's series; runs in their own environment, not in statecast's.

    peers/bin/python benchmarks/peers.py LSTM FOLDER

`accuracy.py` writes problems to the folder, and scores the answers that lie beside them then. Every model is what its
library gives by default for a horizon and a season; only the levels of the intervals are asked for. Networks are
trained once on all rows before the test rows (validation rows as well, since nothing of theirs stops early) and
forecast every origin without refit. Statistical models are fitted at each origin anew, which bounds how many origins
they can take: they get `sparse` ones, and the last `HISTORY` seasons before each, `LEAST` rows at least. Missing values
are interpolated for all of them, as these libraries take none.

Seconds count fitting and forecasting, not the import of the libraries; `cpu_s` those of all cores and worker processes.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LEVELS = (80, 95)
HISTORY = 56  # seasons before an origin that a statistical model is fitted on
LEAST = 200  # rows before an origin, where a series has so many
FEW = 20  # models, which are fitted sooner than another process starts
LONGEST_S = 600  # of training: DeepAR, whose steps take seconds, stops there, and the answer tells its steps
STEPS = 1000  # the default of both networks
Bounds = dict[str, np.ndarray]


class Clock:
    """Seconds of the wall clock, and of all cores, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), sum(os.times()[:4])

    def times(self) -> dict[str, float]:
        return {"seconds": time.perf_counter() - self._wall, "cpu_s": sum(os.times()[:4]) - self._cpu}


class Problem:
    """Series, the rows to forecast, and frames of them."""

    def __init__(self, path: str) -> None:
        with np.load(path) as arrays:
            held = dict(arrays)
        offsets = held["offsets"]
        self.freq = str(held["freq"])
        self.horizon, self.season, self.test, self.step, self.windows = (
            int(held[name]) for name in ("horizon", "season", "test", "step", "windows")
        )
        spans = [slice(*offsets[s : s + 2]) for s in range(len(offsets) - 1)]
        self.y = [pd.Series(held["y"][span]).interpolate(limit_direction="both").to_numpy() for span in spans]
        self.known = [held["known"][span] for span in spans]
        self.times = [
            pd.date_range(begin, periods=len(y), freq=self.freq) for begin, y in zip(held["begin"], self.y, strict=True)
        ]
        self.rows = held["sparse"]

    @property
    def covariates(self) -> list[str]:
        return [f"known{k}" for k in range(self.known[0].shape[1])]

    def frame(self, s: int, begin: int, stop: int, name: str) -> pd.DataFrame:
        """Rows of a series, in the columns that both libraries want."""
        columns = {"unique_id": name, "ds": self.times[s][begin:stop], "y": self.y[s][begin:stop]}
        columns |= {item: self.known[s][begin:stop, k] for k, item in enumerate(self.covariates)}
        return pd.DataFrame(columns)

    def origin(self, s: int, window: int) -> int:
        """The last row that a forecast may know."""
        return len(self.y[s]) - 1 - self.horizon - self.step * (self.windows - 1 - window)


def statistical(problem: Problem, name: str) -> tuple[np.ndarray, Bounds, dict[str, Any]]:
    """A model of statsforecast, fitted at each sparse origin; a single origin takes the whole series."""
    from statsforecast import StatsForecast, models

    parts = []
    for number, row in enumerate(problem.rows):
        s, window = divmod(int(row), problem.windows)
        stop = problem.origin(s, window) + 1
        begin = 0 if problem.windows == 1 else max(stop - max(HISTORY * problem.season, LEAST), 0)
        parts.append(problem.frame(s, begin, stop, f"{number:06d}")[["unique_id", "ds", "y"]])
    model = getattr(models, name)(season_length=problem.season)
    cores = min(len(os.sched_getaffinity(0)), len(parts) // FEW + 1)
    clock = Clock()
    made = StatsForecast([model], freq=problem.freq, n_jobs=cores).forecast(
        h=problem.horizon, df=pd.concat(parts), level=list(LEVELS)
    )
    took = clock.times()
    made = made.sort_values(["unique_id", "ds"])
    column = next(c for c in made.columns if c not in ("unique_id", "ds") and "-lo-" not in c and "-hi-" not in c)
    shape = (-1, problem.horizon)
    bounds = {
        f"{side}-{level}": made[f"{column}-{side}-{level}"].to_numpy().reshape(shape)
        for side in ("lo", "hi")
        for level in LEVELS
    }
    return made[column].to_numpy().reshape(shape), bounds, took | {"sparse": problem.windows > 1}


def network(problem: Problem, name: str) -> tuple[np.ndarray, Bounds, dict[str, Any]]:
    """LSTM or DeepAR, trained once; every origin is forecast from the rows before it."""
    from neuralforecast import NeuralForecast

    frames = [problem.frame(s, 0, len(y), f"{s:06d}") for s, y in enumerate(problem.y)]
    df = pd.concat(frames, ignore_index=True)
    steps = int(min(LONGEST_S / step_seconds(problem, name, df), STEPS)) if name == "DeepAR" else STEPS
    clock = Clock()
    made = NeuralForecast([model(problem, name, steps)], freq=problem.freq).cross_validation(
        df, n_windows=None, test_size=problem.test, step_size=problem.step, refit=False
    )
    took = clock.times()
    made = made.sort_values(["unique_id", "cutoff", "ds"])
    shape = (len(problem.y) * problem.windows, problem.horizon)
    point = made[f"{name}-median" if f"{name}-median" in made else name].to_numpy().reshape(shape)
    bounds = {
        f"{side}-{level}": made[f"{name}-{side}-{level}"].to_numpy().reshape(shape)
        for side in ("lo", "hi")
        for level in LEVELS
        if f"{name}-{side}-{level}" in made
    }
    return point, bounds, took | {"sparse": False, "steps": steps} | device()


def device() -> dict[str, str]:
    """The GPU that PyTorch finds, which the networks then use; nothing where there is none."""
    import torch

    return {"device": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}


def model(problem: Problem, name: str, steps: int) -> Any:
    """A network at its defaults, but for the steps and the levels of the intervals."""
    from neuralforecast.losses.pytorch import DistributionLoss
    from neuralforecast.models import LSTM, DeepAR

    quiet: dict[str, Any] = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    quiet |= {"enable_model_summary": False}
    more: dict[str, Any] = {"max_steps": steps}
    more |= {"futr_exog_list": problem.covariates} if problem.covariates else {}
    if name == "DeepAR":
        # Its levels are 80 and 90 by default.
        more["loss"] = DistributionLoss("StudentT", level=list(LEVELS), return_params=False)
    return {"LSTM": LSTM, "DeepAR": DeepAR}[name](h=problem.horizon, **more, **quiet)


def step_seconds(problem: Problem, name: str, df: pd.DataFrame) -> float:
    """Seconds of CPU a training step, shared by the cores: what it takes on a machine that does nothing else."""
    from neuralforecast import NeuralForecast

    def took(steps: int) -> float:
        start = time.process_time()
        NeuralForecast([model(problem, name, steps)], freq=problem.freq).fit(df)
        return time.process_time() - start

    few, many = 1, 4
    return (took(many) - took(few)) / (many - few) / len(os.sched_getaffinity(0))


def packages() -> dict[str, str]:
    """The versions of those libraries that are there; statistical models need no network's."""
    versions = {}
    for name in ("neuralforecast", "statsforecast", "torch", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def main() -> None:
    name, folder = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    forecast = statistical if name.startswith("Auto") else network
    for source in sorted(Path(folder).glob("problem-*.npz")):
        point, bounds, notes = forecast(Problem(str(source)), name)
        target = source.with_name(source.name.replace("problem", "answer"))
        np.savez(target, point=point, notes=json.dumps(notes | {"packages": packages()}), **bounds)


if __name__ == "__main__":
    main()
