"""The story of a fit that reads a sequence, or a row, to one answer: choose, hold out, train.

An ensemble is trained as one: its members are an axis of every weight, and each keeps another share of the rows for
validation, so that together they have learned from every row and the validation loss is that of a cross-validation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from statecast.config import SequenceConfig
from statecast.data.sequences import patched
from statecast.model.initial import Start
from statecast.model.kernel import library as kernel_library
from statecast.model.members import cast, stacked
from statecast.model.reader import SequenceReader
from statecast.train import loop
from statecast.train.checkpoint import NAME, Checkpoint, fingerprint
from statecast.train.fit import precision, require_bf16
from statecast.train.optimizer import LEARNING_RATES
from statecast.train.progress import PREPARING, SCORING, Progress, Training, Watch
from statecast.train.reader_trainer import ReaderTrainer, Task

PATCHES = 40  # most steps of the recurrence of a typical sequence
RATE, BATCH, STEPS_OF_ROW, LEAST_STEPS, MOST_STEPS = 1e-2, 64, 30, 200, 2000


@dataclass(frozen=True, eq=False)
class ReaderFit:
    """A trained ensemble.

    Attributes:
        config: all settings.
        reasons: why, for each setting that was chosen here.
        reader: the network.
        training: its weights, members first, and the history.
    """

    config: SequenceConfig
    reasons: dict[str, str]
    reader: SequenceReader
    training: Training


def fit(
    config: SequenceConfig, task: Task, watch: Watch | None = None, folder: Path | None = None, resume: bool = False
) -> ReaderFit:
    """Train an ensemble.

    Args:
        config: settings; those left out are chosen from the task.
        task: inputs and targets; validation rows are split off here.
        watch: told of the progress.
        folder: where checkpoints go; none are written where None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a folder; the checkpoint is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    tell = watch or (lambda report: None)
    with precision(config):
        tell(Progress.of_phase(PREPARING))
        config, reasons = choose(config, task)
        inputs, offsets = patched(task.inputs, task.offsets, config.patch or 1)
        task = replace(task, inputs=inputs, offsets=offsets)
        reader = SequenceReader.of(config, task.inputs.shape[1], task.answers, task.recurrent)
        kernel_library.warn_where_slow(reader.recurrent.cell, reader.recurrent.hidden)
        require_bf16(reader.recurrent)
        checkpoint = Checkpoint(folder / NAME, _fingerprint(config, task), resume) if folder else None
        trainer = ReaderTrainer(config, reader, task)
        training = loop.train(trainer, initial(config, reader), watch, checkpoint)
        tell(Progress.of_phase(SCORING))
    return ReaderFit(config, reasons, reader, training)


def choose(config: SequenceConfig, task: Task) -> tuple[SequenceConfig, dict[str, str]]:
    """All settings, and the reason for each that was chosen here."""
    chosen: dict[str, tuple[Any, str]] = {}
    rate = LEARNING_RATES[config.optimizer]
    if config.patch is None:
        length = float(np.median(np.diff(task.offsets)))
        chosen["patch"] = (max(1, math.ceil(length / PATCHES)), f"so that {length:g} steps become {PATCHES} at most")
    if config.learning_rate is None:
        faster = config.optimizer in ("adam", "adamw")
        value = RATE if faster else rate
        chosen["learning_rate"] = (value, f"suits {config.optimizer}")
    batch = config.batch_size or BATCH
    if config.batch_size is None:
        chosen["batch_size"] = (batch, "suits most tables")
    if config.max_steps is None and config.max_epochs is None:
        epoch = -(-task.count // batch)
        steps = int(np.clip(STEPS_OF_ROW * epoch, LEAST_STEPS, MOST_STEPS))
        chosen["max_steps"] = (steps, f"{STEPS_OF_ROW} passes, between {LEAST_STEPS} and {MOST_STEPS} steps")
    if config.eval_every is None:
        chosen["eval_every"] = (10, "steps between two looks at the validation rows")
    values = {name: value for name, (value, _) in chosen.items()}
    return config.with_(**values), {name: reason for name, (_, reason) in chosen.items()}


def initial(config: SequenceConfig, reader: SequenceReader) -> Any:
    """First weights of all members, stacked on a first axis."""
    seeds = np.random.SeedSequence(config.random_state).generate_state(config.ensemble)
    trees = [reader.init(int(seed), Start.of(config)) for seed in seeds]
    return cast(stacked(trees), config.dtype)


def _fingerprint(config: SequenceConfig, task: Task) -> str:
    return fingerprint(config.to_dict(), (task.inputs, task.offsets, task.target, task.weight))
