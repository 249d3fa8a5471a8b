"""An ensemble of networks that reads sequences, or rows of a table, is trained; see `trial`.

It is trained as one: its members are an axis of every weight, and each keeps another share of the rows for validation,
so that together they have learned from every row and the validation loss is that of a cross-validation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from statecast.data.encoding import Encoding
from statecast.data.sequences import patched
from statecast.model.history import TRAINING
from statecast.model.initial import Start
from statecast.model.kernel import library as kernel_library
from statecast.model.members import cast, stacked
from statecast.model.sequences.reader import SequenceReader
from statecast.model.sequences.readings import NetworkReading, outcomes
from statecast.sequence_config import SequenceConfig
from statecast.train import loop
from statecast.train.checkpoint import NAME, Checkpoint, fingerprint
from statecast.train.fit import require_bf16
from statecast.train.progress import AS_TABLE, Watch
from statecast.train.sequences.reader_trainer import ReaderTrainer, Task
from statecast.train.sequences.trial import Problem, Trial, held_out_outcomes

TABLE_NAME = "checkpoint-table.safetensors"


def recurrence(
    config: SequenceConfig, problem: Problem, watch: Watch | None, folder: Path | None, resume: bool
) -> Trial:
    """Networks that read sequences step by step; see `fit_reader.fit`."""
    encoding = Encoding.fit(problem.source, config.differences)
    return _train(config, problem, encoding, 0, (watch, folder, resume))


def table(config: SequenceConfig, problem: Problem, watch: Watch | None, folder: Path | None, resume: bool) -> Trial:
    """Networks that read rows of a table, or sequences of one length as rows; see `fit_reader.fit`."""
    steps = int(problem.source.lengths[0])
    encoding = Encoding.fit(problem.source.as_table(), config.differences)
    return _train(config, problem, encoding, steps, (watch, folder, resume))


def _train(
    config: SequenceConfig, problem: Problem, encoding: Encoding, steps: int, manner: tuple[Any, Any, bool]
) -> Trial:
    classes = problem.classes
    source, (watch, folder, resume) = problem.source.as_table() if steps else problem.source, manner
    patch = 1 if steps else config.patch or 1
    inputs, offsets = patched(encoding.apply(source), source.offsets, patch)
    task = Task(inputs, offsets, source.recurrent, problem.target, problem.weight, problem.answers)
    reader = SequenceReader.of(config, inputs.shape[1], problem.answers, source.recurrent)
    kernel_library.warn_where_slow(reader.recurrent.cell, reader.recurrent.hidden)
    require_bf16(reader.recurrent)
    name, phase = (TABLE_NAME, AS_TABLE) if steps and problem.source.recurrent else (NAME, TRAINING)
    checkpoint = Checkpoint(folder / name, _fingerprint(config, task), resume) if folder else None
    trainer = ReaderTrainer(config, reader, task)
    training = loop.train(trainer, initial(config, reader), watch, checkpoint, phase)
    reading = NetworkReading(encoding, reader, training.weights, patch, steps)
    predictions = held_out_outcomes(
        config, problem, lambda member, rows: outcomes(reading.numbers_of([member], problem.source.take(rows)), classes)
    )
    return Trial(reading, predictions, training)


def initial(config: SequenceConfig, reader: SequenceReader) -> Any:
    """First weights of all members, stacked on a first axis."""
    seeds = np.random.SeedSequence(config.random_state).generate_state(config.ensemble)
    trees = [reader.init(int(seed), Start.of(config)) for seed in seeds]
    return cast(stacked(trees), config.dtype)


def _fingerprint(config: SequenceConfig, task: Task) -> str:
    return fingerprint(config.to_dict(), (task.inputs, task.offsets, task.target, task.weight))
