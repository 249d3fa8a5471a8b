"""The story of a fit that reads a sequence, or a row, to one answer: choose, try several readings, weigh them.

Sequences are read in several ways, because none is best for all: what comes in which order is for a recurrence, a form
that may be anywhere for convolutions, and what stands at one place for a table. Rows left out say how much each counts.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from statecast.errors import SettingError
from statecast.model.history import HISTORY
from statecast.model.sequences.readings import Reading
from statecast.sequence_config import READINGS, SequenceConfig
from statecast.train.fit import precision
from statecast.train.optimizer import LEARNING_RATES
from statecast.train.progress import PREPARING, WEIGHING, Progress, Watch
from statecast.train.sequences import convolution_trial, network_trial
from statecast.train.sequences.shares import weigh
from statecast.train.sequences.trial import Problem, Trial, losses

PATCHES = 40  # most steps of the recurrence of a typical sequence
RATE, BATCH, STEPS_OF_ROW, LEAST_STEPS, MOST_STEPS = 1e-2, 64, 30, 200, 2000
MOST_COLUMNS = 10_000  # of sequences that are tried as a table


@dataclass(frozen=True, eq=False)
class ReaderFit:
    """A trained reader.

    Attributes:
        config: all settings.
        reasons: why, for each setting that was chosen here.
        readings: the ways to read that count, by their names.
        shares: how much each counts.
        history: of the training of the recurrence, or else of the table.
    """

    config: SequenceConfig
    reasons: dict[str, str]
    readings: dict[str, Reading]
    shares: np.ndarray
    history: dict[str, list[float]]


def fit(
    config: SequenceConfig,
    problem: Problem,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> ReaderFit:
    """Train every reading that may serve, and weigh them by what they answer to rows left out.

    Args:
        config: settings; those left out are chosen from the problem.
        problem: sequences and targets; validation rows are split off here.
        watch: told of the progress.
        folder: where checkpoints go; none are written if None.
        resume: go on from the checkpoints in `folder` where there are some.

    Raises:
        DataError: a value is neither a number nor a string, or not finite.
        SettingError: a reading that was names for cannot read these sequences.
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a folder; the checkpoint is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    tell = watch or (lambda report: None)
    began = time.monotonic()
    with precision(config):
        tell(Progress.of_phase(PREPARING))
        config, reasons = choose(config, problem)
        trials = {name: _trial(name, config, problem, watch, folder, resume) for name in config.readings or ()}
        tell(Progress.of_phase(WEIGHING))
        shares, reason = weigh(config, problem, trials)
    names = [name for name, share in zip(trials, shares, strict=True) if share]
    if len(trials) > 1:
        reasons["readings"] = reason
    return ReaderFit(
        config.with_(readings=tuple(names)),
        reasons,
        {name: trials[name].reading for name in names},
        shares[shares > 0],
        _history(config, problem, trials, time.monotonic() - began),
    )


def _trial(
    name: str, config: SequenceConfig, problem: Problem, watch: Watch | None, folder: Path | None, resume: bool
) -> Trial:
    if name == "convolutions":
        return convolution_trial.convolutions(config, problem)
    train = network_trial.recurrence if name == "recurrence" else network_trial.table
    return train(config, problem, watch, folder, resume)


def _history(
    config: SequenceConfig, problem: Problem, trials: dict[str, Trial], seconds: float
) -> dict[str, list[float]]:
    """Of the first network that was trained; a single look, after no step, where there is none."""
    for trial in trials.values():
        if trial.training:
            return trial.training.history
    (trial,) = trials.values()
    rows = np.isfinite(trial.predictions).all(axis=1) & (problem.weight > 0)
    each = losses(config, trial.predictions[rows], problem.target[rows])
    loss = np.average(each, weights=problem.weight[rows]) if rows.any() else math.nan
    look = {
        "step": 0,
        "epoch": 0.0,
        "loss": math.nan,
        "val_loss": float(loss),
        "learning_rate": 0.0,
        "seconds": seconds,
    }
    return {name: [look[name]] for name in HISTORY}


def choose(config: SequenceConfig, problem: Problem) -> tuple[SequenceConfig, dict[str, str]]:
    """All settings, and the reason for each that was chosen here."""
    chosen: dict[str, tuple[Any, str]] = {}
    rate, count = LEARNING_RATES[config.optimizer], problem.source.count
    chosen["readings"] = _readings(config, problem)
    if config.patch is None:
        length = float(np.median(problem.source.lengths))
        chosen["patch"] = (max(1, math.ceil(length / PATCHES)), f"so that {length:g} steps become {PATCHES} at most")
    if config.learning_rate is None:
        faster = config.optimizer in ("adam", "adamw")
        value = RATE if faster else rate
        chosen["learning_rate"] = (value, f"suits {config.optimizer}")
    batch = config.batch_size or BATCH
    if config.batch_size is None:
        chosen["batch_size"] = (batch, "suits most tables")
    if config.max_steps is None and config.max_epochs is None:
        epoch = -(-count // batch)
        steps = int(np.clip(STEPS_OF_ROW * epoch, LEAST_STEPS, MOST_STEPS))
        chosen["max_steps"] = (steps, f"{STEPS_OF_ROW} passes, between {LEAST_STEPS} and {MOST_STEPS} steps")
    if config.eval_every is None:
        chosen["eval_every"] = (10, "steps between validations")
    values = {name: value for name, (value, _) in chosen.items()}
    return config.with_(**values), {name: reason for name, (_, reason) in chosen.items() if reason}


def _readings(config: SequenceConfig, problem: Problem) -> tuple[tuple[str, ...], str]:
    """The readings to try, and why no others; a reason that the trials will tell is left out."""
    source, names = problem.source, config.readings
    if not source.recurrent:
        if names and "table" not in names:
            raise SettingError(f"readings = {list(names)} for a table, whose rows are no sequences: leave readings out")
        return ("table",), "" if names else "X is a table"
    if names:
        if "table" in names and not problem.equal_lengths:
            raise SettingError("readings has 'table', and the sequences are of unequal lengths: leave it out")
        return tuple(name for name in READINGS if name in names), ""
    if not config.val_size or source.count < 5:
        return ("recurrence",), "there are no rows to leave out and to compare others by"
    wide = source.channels * int(source.lengths.max()) > MOST_COLUMNS
    return tuple(name for name in READINGS if name != "table" or (problem.equal_lengths and not wide)), ""
