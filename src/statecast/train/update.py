"""Weights that learn from later rows: training goes on from where it ended, and what it finds is judged as after a fit.

Nothing is chosen anew, and nothing is solved again. Of the rows that the weights have not learned from, the later half
of each series is held out: training takes all rows before it, early stopping follows it, and the judge holds what was
found against chance on it. What passes is then trained a little further on every row, as after a fit; what does not
leaves the weights as they were.

Layers that listen already are no part of a straight way from the old forecast to the new, so a share of what training
found is a share of the way of all weights (an average in the space of weights: Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022); the judge looks at the loss there, whatever the way. Where the layers are silent, since
the fit kept its start alone, nothing but the skip is trained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.segments import Split
from statecast.errors import DataError, SettingError, shortened
from statecast.model.inputs import rows_of
from statecast.model.members import cast
from statecast.model.trained import Model, TrainingRows
from statecast.train import judge, loop, refit
from statecast.train.checkpoint import NAME, REFIT_NAME, Checkpoint, fingerprint
from statecast.train.fit import fold, precision, resumable
from statecast.train.prepare import Prepared, device_rows
from statecast.train.progress import Training, Watch
from statecast.train.segment_trainer import SegmentTrainer
from statecast.train.working import loss_scales, statistics

if TYPE_CHECKING:
    from jaxtyping import Int64

STEPS, LOOKS = 300, 12  # most steps where the caller says nothing, and looks at the held-out rows in them
LEAST = 3  # rows that a series must have before those that are held out
STAYED = "the weights stay as they were"


@dataclass(frozen=True, eq=False)
class Lesson:
    """What weights have learned from later rows.

    Attributes:
        weights: those of the model where nothing was kept.
        learned: whether anything was.
        verdict: why, in words.
        rows: which rows the weights have learned from by now; None where the model does not say.
    """

    weights: Any
    learned: bool
    verdict: str
    rows: TrainingRows | None


def learn(
    model: Model,
    panel: Panel,
    steps: int | None = None,
    learning_rate: float | None = None,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Lesson:
    """Weights after the rows of a table, as far as rows that did not teach them support it.

    Args:
        model: whose weights learn.
        panel: the table; it should begin with rows before the new ones, at least as many as the network looks back.
        steps: training steps at most; `STEPS` if None. Early stopping follows the settings.
        learning_rate: the first one; half of that of the fit if None.
        watch: told of the progress.
        folder: where checkpoints go; none are written if None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        SettingError: steps or learning rate are out of range.
        DataError: each series has a network of its own, and the table has other series.
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a folder; the checkpoint is written first.
        ModelFileError: the checkpoint is of another update.
    """
    config = _config(model.config, steps, learning_rate)
    parts = _held_out(model, panel)
    if (parts.train < LEAST).all() or (parts.train == parts.val).all():
        few = f"too few rows are new to learn from some and to be judged by others: {STAYED}"
        return Lesson(model.weights, False, few, model.training)
    with precision(config):
        prepared = _prepared(config, model, panel, parts)
        arrays = [np.asarray(leaf) for leaf in jax.tree.leaves([prepared.data, prepared.weights, prepared.constants])]
        mark = fingerprint(config.to_dict(), [*arrays, parts.train]) if folder else ""

        def checkpoint(name: str) -> Checkpoint | None:
            return Checkpoint(folder / name, mark, resume) if folder else None

        with resumable(folder):
            training = _trained(config, model, prepared, watch, checkpoint(NAME))
            verdict = training.verdict or _plain_verdict(training)
            if not training.share:
                return Lesson(model.weights, False, verdict, model.training)
            if not config.refit:
                return Lesson(training.weights, True, verdict, learned_rows(model, panel, parts))
            every = replace(prepared, parts=Split(prepared.parts.val, prepared.parts.val))
            again = refit.refit(config, model.network, prepared, every, training, watch, checkpoint(REFIT_NAME))
    return Lesson(again.weights, True, verdict, learned_rows(model, panel, Split(parts.val, parts.val)))


def _config(config: Config, steps: int | None, learning_rate: float | None) -> Config:
    """The settings of an update; what is asked for is checked as the settings are."""
    assert config.learning_rate is not None
    rate = refit.RATE * config.learning_rate if learning_rate is None else learning_rate
    most = STEPS if steps is None else steps
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise SettingError(f"steps = {most!r}: expected a whole number of at least 1")
    # A fit may be shown as trained, whether it gained or not; an update is to be no worse in any case.
    judged = config.significance if config.significance < 1 else Config().significance
    training = {"max_steps": most, "max_epochs": None, "learning_rate": rate, "eval_every": max(most // LOOKS, 1)}
    return config.with_(**training, significance=judged, tensorboard=None)


def _held_out(model: Model, panel: Panel) -> Split:
    """Each series up to the later half of those of its rows that the weights have not learned from."""
    learned = np.array([_upto(model, name) for name in panel.ids], np.int64)
    new = np.add.reduceat(np.append(panel.time > np.repeat(learned, panel.lengths), False), panel.offsets[:-1])
    return Split(panel.lengths - (new + 1) // 2, panel.lengths)


def _upto(model: Model, name: str | int) -> int:
    """The time of the last row of a series that the weights have learned from."""
    training = model.training
    if training is None or name not in training.index or model.schema.time_kind == "row":
        return int(np.iinfo(np.int64).min)
    return int(training.train[training.index[name]])


def _prepared(config: Config, model: Model, panel: Panel, parts: Split) -> Prepared:
    """The table as training takes it, in the units that the weights were trained in."""
    network, c, dtype = model.network, model.constants, model.dtype
    folded, folded_parts = fold(config, model.schema, panel, parts)
    if network.members.local and folded.ids != model.schema.series:
        raise DataError(
            "with local = true each series has a network of its own, and these learn together: expected a table of all "
            f"series of the fit and no others ({shortened(list(model.schema.series))})"
        )
    exact = rows_of(network, c, model.schema, folded, np.float64)
    rows = rows_of(network, c, model.schema, folded, dtype)
    level = cast(statistics(network.front, c, exact), dtype)
    data = device_rows(network, rows, level, loss_scales(exact, folded_parts, config))
    return Prepared(rows, data, c, model.weights, folded.offsets, folded_parts)


def _trained(
    config: Config, model: Model, prepared: Prepared, watch: Watch | None, checkpoint: Checkpoint | None
) -> Training:
    """What training finds beyond chance; the skip's part alone where the layers are silent."""
    network, start = model.network, prepared
    silent = bool(network.front.skip) and not np.any(model.weights["head"]["out"]["W"])
    if silent:
        trainer, start = judge.alone(config, network, prepared)
    else:
        trainer = SegmentTrainer(config, network, prepared)
    trained = loop.train(trainer, start.weights, watch, checkpoint)
    kept = judge.kept(trainer, start, trained, judge.between if silent else along, STAYED)
    if not silent:
        return kept
    weights = judge.into(prepared.weights, kept.weights) if kept.share else prepared.weights
    return replace(kept, weights=weights, skip_alone=True)


def along(start: Any, trained: Any, share: float) -> Any:
    """Weights a share of the way from the one to the other."""
    return jax.tree.map(lambda a, b: np.asarray(a + share * (b - a), np.asarray(b).dtype), start, trained)


def _plain_verdict(training: Training) -> str:
    """What validation rows alone say, where no judge holds it against chance."""
    if not training.share:
        return f"training did not lower the loss of the rows that were held out: {STAYED}"
    looks = training.history["val_loss"]
    return f"training moved the loss of the rows that were held out from {looks[0]:.4g} to {np.nanmin(looks):.4g}"


def learned_rows(model: Model, panel: Panel, parts: Split) -> TrainingRows:
    """Which rows a model has learned from that has learned from those of a table as well."""
    every = TrainingRows.of(panel, parts)
    before = model.training
    if before is None:
        return every
    others = [s for s, name in enumerate(before.ids) if name not in every.index]
    first = [
        min(int(before.first[before.index[name]]), int(time)) if name in before.index else int(time)
        for name, time in zip(every.ids, every.first, strict=True)
    ]

    def joined(old: Int64[np.ndarray, " S"], new: Any) -> Int64[np.ndarray, " S"]:
        return np.concatenate([np.asarray(new, np.int64), old[others]])

    ids = (*every.ids, *(before.ids[s] for s in others))
    return TrainingRows(
        ids, joined(before.first, first), joined(before.train, every.train), joined(before.val, every.val)
    )
