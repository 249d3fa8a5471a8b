"""Every row learned from: once a network is chosen and scored, validation and test rows teach it, too.

Nothing is chosen here any more. The start is solved again on all rows, and what training found is put on top of it: the
difference of its weights from the first ones. From there training goes on over all rows, for half of the steps after
which validation rows were forecast best and at half of the learning rate: on tables whose last rows were kept from both
this errs less than a fit from nothing, and takes a third of its time. Where training found no more than chance, the new
start is all there is.

Units, typical sizes and the level of the working values stay those of the training rows, so that the errors of the
network before, in units of the scale at their origin, are in the units of this one's, too: its intervals keep the
widths that were calibrated on rows which the network before had not learned from. They are a little too wide rather
than too narrow, since this network has seen more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.model.history import EVERY_ROW
from statecast.model.network import Network
from statecast.train import judge, loop
from statecast.train.checkpoint import Checkpoint
from statecast.train.prepare import Prepared, prepare
from statecast.train.progress import Training, Watch
from statecast.train.segment_trainer import SegmentTrainer, plan
from statecast.train.start import linear
from statecast.train.start.design import Design
from statecast.train.working import WorkingTable

if TYPE_CHECKING:
    from jaxtyping import Int64

STEPS = 0.5  # of those after which the network was the best: all of them gain little more, in twice the time
RATE = 0.5  # of the learning rate: the weights are near where they should be


@dataclass(frozen=True, eq=False)
class Refit:
    """A network that has learned from every row.

    Attributes:
        weights, constants: its arrays.
        steps: training steps from the new start; 0 where that is all.
        rows: that it learned from and the network before had not.
        history: of its training; empty where there was none.
    """

    weights: Any
    constants: dict[str, np.ndarray]
    steps: int
    rows: int
    history: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """What was done, in words."""
        how = f"in {self.steps:,} steps" if self.steps else "by its start, which is all that is kept"
        return (
            f"the network that forecasts has learned from {self.rows:,} validation and test rows as well, {how}; "
            "the scores are those of the network before"
        )


def applies(config: Config, parts: Split, lengths: Int64[np.ndarray, " S"]) -> bool:
    """Whether rows are left to learn from, and it is asked for."""
    return config.refit and bool((parts.train < lengths).any())


def start_again(
    config: Config, network: Network, schema: Schema, panel: Panel, table: WorkingTable, prepared: Prepared
) -> Prepared:
    """The start solved on every row, in the sizes of `prepared`, with every row to train on."""
    lengths = np.diff(prepared.offsets)
    every = replace(table, parts=Split(lengths, lengths))
    empty = (Design.empty(every, network.front, d, network.head.horizon, 0) for d in range(len(prepared.blends)))
    pairs = zip(prepared.blends, empty, strict=True)
    blends = [blend and linear.with_rows(design, blend, prepared.parts.train) for blend, design in pairs]
    return prepare(config, network, schema, panel, every, blends, prepared.constants)


def refit(
    config: Config,
    network: Network,
    prepared: Prepared,
    later: Prepared,
    training: Training,
    watch: Watch | None = None,
    checkpoint: Checkpoint | None = None,
) -> Refit:
    """Learn from every row what training supports.

    Args:
        config: settings, all chosen.
        network: the network.
        prepared: what the first training began with.
        later: see `start_again`.
        training: what it ended in.
        watch: told of the progress.
        checkpoint: where to write where training stands, and whether to go on from there; none is written if None.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a checkpoint; it is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    weights = jax.tree.map(put_on, training.weights, prepared.weights, later.weights)
    count = round(STEPS * training.best_step) if training.share else 0
    rows = int((np.diff(later.offsets) - prepared.parts.train).sum())
    if not count:
        return Refit(weights, later.constants, 0, rows)
    begin = replace(later, weights=weights)
    trainer, begin = trainer_of(config, network, begin, count, RATE, training.skip_alone, prepared.parts)
    again = loop.train(trainer, begin.weights, watch, checkpoint, EVERY_ROW)
    trained = again.weights
    if training.skip_alone:
        trained = judge.into(weights, trained)
    else:
        trained = _where_better(network, training, trained, weights)
    return Refit(trained, later.constants, count, rows, again.history)


def trainer_of(
    config: Config,
    network: Network,
    begin: Prepared,
    steps: int,
    rate: float,
    skip_alone: bool,
    parts: Split,
) -> tuple[SegmentTrainer, Prepared]:
    """A trainer that takes so many steps at a share of the learning rate, and the weights that it begins with.

    Its batches are as large as those of a training on `parts`, so that it shares what was compiled for that.
    """
    curves = str(Path(config.tensorboard) / "every_row") if config.tensorboard else None
    config = config.with_(burn_in=0) if skip_alone else config
    if not network.members.local:
        config = config.with_(batch_size=plan(config, int(parts.train.sum()))[1].rows)
    assert config.learning_rate is not None
    # No rows are held out any more, and none are missed.
    few = {"max_steps": steps, "max_epochs": None, "learning_rate": rate * config.learning_rate, "val_size": 0}
    config = config.with_(**few, tensorboard=curves)
    if skip_alone:
        return judge.alone(config, network, begin)
    return SegmentTrainer(config, network, begin), begin


def put_on(weights: Any, first: Any, start: Any) -> np.ndarray:
    """What training found, put on another start; the start itself where it found nothing."""
    return np.asarray(np.where(start == first, weights, start + (weights - first)), np.asarray(weights).dtype)


def _where_better(network: Network, training: Training, trained: Any, weights: Any) -> Any:
    """Of several networks those that training made better, and of the others the weights that they had."""
    if not network.members.axis:
        return trained
    better = np.array(training.best_steps[0]) > 0
    return jax.tree.map(
        lambda after, before: np.where(better.reshape(-1, *[1] * (after.ndim - 1)), after, before), trained, weights
    )
