"""Other libraries' forecasts, made by their own Python (`peers.py`) and scored by the lines that score statecast's.

Statistical models are asked for in blocks of series, each a process of its own, so that a long job says how far it is.
The mean of two of them is a forecaster too, and a good one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from fits import combined, scored
from protocols import Protocol, Suite
from protocols.protocol import Forecasts

HERE = Path(__file__).resolve().parent
MODELS = ("AutoETS", "AutoTheta", "AutoARIMA", "LSTM", "DeepAR")
PAIR = ("AutoETS", "AutoTheta")  # whose mean is taken
MEAN = "the mean of AutoETS and AutoTheta"
BLOCK = 100  # models that a process fits


@dataclass(frozen=True, eq=False)
class Answers:
    """A peer's forecasts of a protocol, or of each member of a suite, and notes on how they were made."""

    forecasts: tuple[Forecasts, ...]
    notes: dict[str, Any]


def peer(
    problem: Protocol | Suite, model: str, python: str, minutes: float, watch: Callable[[str], None]
) -> Answers | None:
    """A peer's answers, made by its own Python; nothing where it is not done after so many minutes."""
    end = time.monotonic() + 60 * minutes
    blocks = list(batches(problem, model))
    parts: list[Answers] = []
    for number, block in enumerate(blocks, 1):
        try:
            parts.append(answers_of(block, model, python, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None
        if len(blocks) > 1:
            watch(f"{model}: block {number} of {len(blocks)}, {parts[-1].notes['seconds']:.0f} s")
    notes = parts[0].notes | {key: sum(part.notes[key] for part in parts) for key in ("seconds", "cpu_s")}
    forecasts = tuple(each for part in parts for each in part.forecasts)
    return Answers(forecasts if isinstance(problem, Suite) else (combined(forecasts, np.concatenate),), notes)


def takes_part(problem: Protocol | Suite, model: str) -> bool:
    """Statistical models forecast where a few origins are set apart for them; networks learn from many series."""
    return bool(isinstance(problem, Suite) or problem.sparse) if statistical(model) else isinstance(problem, Protocol)


def statistical(model: str) -> bool:
    return model.startswith("Auto")


def batches(problem: Protocol | Suite, model: str) -> Iterator[list[Protocol]]:
    """The members of a suite, or the series of a protocol, in blocks; networks learn from all series at once."""
    if isinstance(problem, Protocol) and not statistical(model):
        yield [problem]
    elif isinstance(problem, Protocol):
        size = max(BLOCK * len(problem.series) // len(problem.sparse_rows), 1)
        for first in range(0, len(problem.series), size):
            yield [replace(problem, series=problem.series[first : first + size])]
    else:
        size = max(BLOCK // len(problem.members[0].sparse_rows), 1)
        for first in range(0, len(problem.members), size):
            yield list(problem.members[first : first + size])


def answers_of(protocols: Sequence[Protocol], model: str, python: str, seconds: float) -> Answers:
    """The answers to some problems by one process, with its seconds for all of them."""
    with tempfile.TemporaryDirectory(prefix="statecast-accuracy-") as name:
        folder = Path(name)
        for number, protocol in enumerate(protocols):
            write_problem(protocol, folder / f"problem-{number:04d}.npz")
        call = [python, str(HERE / "peers.py"), model, name]
        done = subprocess.run(call, timeout=max(seconds, 1), stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"{model} on {protocols[0].name} ended with {done.returncode}")
        answers = [read_answer(folder / f"answer-{number:04d}.npz") for number in range(len(protocols))]
    notes = answers[0].notes | {key: sum(each.notes[key] for each in answers) for key in ("seconds", "cpu_s")}
    return Answers(tuple(each.forecasts[0] for each in answers), notes)


def write_problem(protocol: Protocol, path: Path) -> None:
    """What a peer is told: series on a regular grid, and which rows to forecast."""
    lengths = [len(series.y) for series in protocol.series]
    np.savez(
        path,
        y=np.concatenate([series.y for series in protocol.series]),
        known=np.concatenate([series.known for series in protocol.series]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        begin=np.array([series.begin.astype("datetime64[us]") for series in protocol.series]),
        freq=protocol.freq,
        horizon=protocol.horizon,
        season=protocol.season,
        test=protocol.test,
        step=protocol.step,
        windows=protocol.windows,
        sparse=protocol.sparse_rows if protocol.sparse else np.zeros(0, np.int64),
    )


def read_answer(path: Path) -> Answers:
    with np.load(path) as arrays:
        lower, upper = ({int(k[3:]): arrays[k] for k in arrays if k.startswith(side)} for side in ("lo-", "hi-"))
        return Answers((Forecasts(arrays["point"], lower, upper),), json.loads(str(arrays["notes"])))


def mean(answers: Sequence[Answers]) -> Answers:
    """The mean of the forecasts of several peers, and of their bounds."""
    forecasts = [combined(parts, average) for parts in zip(*(each.forecasts for each in answers), strict=True)]
    notes = answers[0].notes | {key: sum(each.notes[key] for each in answers) for key in ("seconds", "cpu_s")}
    return Answers(tuple(forecasts), notes)


def average(arrays: list[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(arrays, axis=0))


def entry(problem: Protocol | Suite, answers: Answers) -> dict[str, Any]:
    """What is recorded of a peer: its scores, and the notes on its forecasts."""
    notes = {key: value for key, value in answers.notes.items() if key not in ("sparse", "packages")}
    if isinstance(problem, Suite):
        fits = sum(member.windows for member in problem.members)
        scores = problem.scores(answers.forecasts) | {"fit_s": notes["seconds"] / fits}
        return notes | {"scores": scores, "ratios": problem.ratios(answers.forecasts)}
    few = answers.notes["sparse"]
    part = "sparse" if few and problem.windows > 1 else "scores"
    return notes | {part: scored(problem, answers.forecasts[0], problem.sparse_rows if few else None)}
