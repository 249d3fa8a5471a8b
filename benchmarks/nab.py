"""Unusual values in the Numenta Anomaly Benchmark (NAB), scored as NAB does, with the defaults alone.

Each file is a series. A model is fitted on its probationary part, the first 15 % of the rows and at most 750, and a
stream then observes the rows one after another; the size of `Forecast.score` is the anomaly score. Where the times of a
file have no regular step its rows are counted. Windows with labels are read by the scoring alone.

A detection is a row whose score reaches the threshold, which is the same for all files. Within a window the earliest
counts, by how early it is; outside each costs .11, and less shortly behind a window; a window without one costs 1. The
sum over all files is told between 0, what no detection gives, and 100, each window at its first row (Lavin & Ahmad,
"Evaluating real-time anomaly detection algorithms: the Numenta Anomaly Benchmark", ICMLA 2015; the standard profile).
NAB chooses each detector's threshold as the one that scores best, so that is done here too; beside it stands what the
default setting `false_alarms` scores, which no label had a part in.

    python benchmarks/nab.py                                 the seven files with known causes, recorded
    python benchmarks/nab.py --parts realTraffic,realTweets --data FOLDER       others; nothing is recorded
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from time import perf_counter
from typing import Any

import numpy as np
from record import Record, machine

import statecast as sc
from statecast.errors import DataError

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "nab"
RESULTS = HERE / "results" / "nab.json"
PART = "realKnownCause"
PROBATION, LONGEST = 0.15, 750  # the share of rows, and how many, that no detection counts in
FALSE_POSITIVE = 0.11  # what a detection far from every window costs, in units of a window that is missed


@dataclass(frozen=True, eq=False)
class Labelled:
    """A file with its windows.

    Attributes:
        name: its path in the corpus.
        times: as they are written.
        values: the series.
        window: the number of the window of each row, −1 outside.
        weight: what a detection at each row is worth.
    """

    name: str
    times: list[str]
    values: np.ndarray
    window: np.ndarray
    weight: np.ndarray

    @classmethod
    def read(cls, folder: Path, name: str) -> Labelled:
        """A file of the corpus."""
        with (folder / "data" / name).open(encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        times = [time for time, _ in rows]
        windows = json.loads((folder / "labels" / "combined_windows.json").read_text(encoding="utf-8"))[name]
        bounds = [(times.index(plain(first)), times.index(plain(last))) for first, last in windows]
        return cls(name, times, np.array([float(value) for _, value in rows]), *weighed(len(rows), bounds))

    @property
    def begin(self) -> int:
        """The first row behind the probationary part."""
        return min(int(PROBATION * len(self.values)), LONGEST)

    @property
    def windows(self) -> list[int]:
        """The windows that reach beyond the probationary part."""
        return sorted(set(self.window[self.begin :].tolist()) - {-1})

    def score(self, detected: np.ndarray) -> tuple[float, int, int]:
        """The sum of weights, how many windows were hit, and detections outside of all."""
        alive = detected & (np.arange(len(detected)) >= self.begin)
        outside = alive & (self.window < 0)
        hits = [self.weight[alive & (self.window == window)] for window in self.windows]
        total = self.weight[outside].sum() + sum(hit.max() if len(hit) else -1.0 for hit in hits)
        return float(total), sum(len(hit) > 0 for hit in hits), int(outside.sum())


def plain(time: str) -> str:
    """A label's time as the files write it."""
    return time.replace("T", " ").split(".")[0]


def weighed(rows: int, bounds: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """The window of each row, and what a detection there is worth.

    Args:
        rows: of the file.
        bounds: first and last row of each window, in order.
    """
    window, weight = np.full(rows, -1), np.full(rows, -FALSE_POSITIVE)
    for number, (first, last) in enumerate(bounds):
        inside = np.arange(first, last + 1)
        window[inside] = number
        weight[inside] = sigmoid((inside - last - 1) / len(inside)) / sigmoid(-1.0)
        stop = bounds[number + 1][0] if number + 1 < len(bounds) else rows
        behind = np.arange(last + 1, stop)
        past = (behind - last) / max(len(inside) - 1, 1)
        weight[behind] = FALSE_POSITIVE * np.where(past > 3, -1.0, sigmoid(past))
    return window, weight


def sigmoid(place: Any) -> Any:
    """Nearly 1 at −1, the beginning of a window, and 0 at its end."""
    return -np.tanh(2.5 * place)  # 2 / (1 + exp(5 · place)) − 1


def scores(file: Labelled) -> np.ndarray:
    """The anomaly score of each row: how unusual the stream calls it."""
    stream, timed = stream_of(file)
    (name,) = stream.ids
    rest = zip(file.values[file.begin :].tolist(), file.times[file.begin :], strict=True)
    live = [abs(float(stream.observe(name, value, time if timed else None).score[0])) for value, time in rest]
    return np.concatenate([np.zeros(file.begin), np.nan_to_num(live)])


def stream_of(file: Labelled) -> tuple[sc.Stream, bool]:
    """A stream after the probationary part, and whether it knows times."""
    columns = {"value": file.values[: file.begin], "time": np.array(file.times[: file.begin])}
    if regular(file.times):
        return sc.Forecaster().fit(columns, target="value", time="time").stream(), True
    return sc.Forecaster().fit({"value": columns["value"]}, target="value").stream(), False


def regular(times: Sequence[str]) -> bool:
    """Whether every time comes a whole number of the usual steps after the one before."""
    steps = np.diff(np.array([time.replace(" ", "T") for time in times], "datetime64[s]").astype(np.int64))
    usual = int(np.median(steps))
    return bool((steps > 0).all() and (steps % usual == 0).all())


def normalised(files: Sequence[Labelled], total: float) -> float:
    """A sum of weights on NAB's scale, from 0 for no detection to 100."""
    windows = sum(len(file.windows) for file in files)
    return 100 * (total + windows) / (2 * windows)


def outcome(files: Sequence[Labelled], live: Sequence[np.ndarray], threshold: float) -> dict[str, Any]:
    """What a threshold scores, over all files and for each of them."""
    each = [file.score(score >= threshold) for file, score in zip(files, live, strict=True)]
    rows = [
        {"file": file.name, "windows": len(file.windows), "score": total, "hit": hit, "false": false}
        for file, (total, hit, false) in zip(files, each, strict=True)
    ]
    return {"threshold": threshold, "score": normalised(files, sum(total for total, _, _ in each)), "files": rows}


def best(files: Sequence[Labelled], live: Sequence[np.ndarray]) -> dict[str, Any]:
    """What NAB's choice of the threshold scores: that of the best of all."""
    alive = np.concatenate([score[file.begin :] for file, score in zip(files, live, strict=True)])
    candidates = np.unique(alive)[-2000:]
    return max((outcome(files, live, float(bound)) for bound in candidates), key=lambda told: told["score"])


def published(folder: Path, files: Sequence[Labelled]) -> dict[str, float]:
    """What NAB published of its detectors on these files, on the same scale."""
    with (folder / "published_standard_scores.csv").open(encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    if not all(file.name in rows for file in files):
        return {}
    names = [name for name in next(iter(rows.values())) if name not in ("file", "windows")]
    sums = {name: sum(float(rows[file.name][name] or "nan") for file in files) for name in names}
    return {name: normalised(files, total) for name, total in sums.items() if np.isfinite(total)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=PART, help="folders of the corpus, with commas between them")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the corpus")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file that the results go to")
    options = parser.parse_args()
    paths = sorted(path for part in options.parts.split(",") for path in (options.data / "data" / part).glob("*.csv"))
    files, live, seconds = [], [], []
    for path in paths:
        begin = perf_counter()
        file = Labelled.read(options.data, f"{path.parent.name}/{path.name}")
        try:
            live.append(scores(file))
        except DataError as error:
            raise SystemExit(f"{file.name}: {error}") from error
        files.append(file)
        seconds.append(perf_counter() - begin)
        print(f"{file.name}: {len(file.values):,} rows, {seconds[-1]:.1f} s", flush=True)
    rate = sc.Forecaster().config.false_alarms
    entry = {
        "best": best(files, live),
        "default": {**outcome(files, live, NormalDist().inv_cdf(1 - rate / 2)), "rate": rate},
        "published": published(options.data, files) if options.parts == PART else {},
        "seconds": sum(seconds),
    }
    for label in ("best", "default"):
        print(f"{label}: threshold {entry[label]['threshold']:.2f}, score {entry[label]['score']:.1f}")
    if options.parts == PART:
        Record.read(options.out).with_(PART, entry, machine()).write(options.out)


if __name__ == "__main__":
    main()
