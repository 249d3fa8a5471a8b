"""The story of a fit, top to bottom: split, fold, choose, prepare, train, judge, learn from every row.

This is the door of the room: nothing outside `train` needs to know of JAX. What comes before a fit is a panel; what
comes after it, intervals and scores, is made of its result by `forecast.assemble`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np

from statecast.config import Config, Settings
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split, split
from statecast.errors import DataError, Interrupted, SettingError
from statecast.model.blas import one_thread
from statecast.model.history import EVERY_ROW, SKIP_ALONE, TRAINING, joined
from statecast.model.inputs import Rows
from statecast.model.kernel import library as kernel_library
from statecast.model.kernel.interface import CELLS
from statecast.model.network import Network
from statecast.model.stack import Stack
from statecast.train import judge, levenberg, loop, refit
from statecast.train.checkpoint import NAME, REFIT_NAME, SKIP_NAME, Checkpoint, fingerprint
from statecast.train.choose import settings
from statecast.train.prepare import Prepared, prepare
from statecast.train.progress import PREPARING, Progress, Training, Watch
from statecast.train.recall import Recall
from statecast.train.refit import Refit
from statecast.train.segment_trainer import SegmentTrainer, plan
from statecast.train.working import WorkingTable

ROWS_OF_STEP = 0.25  # rows that are calibrated and scored in the time in which a training step takes one


@dataclass(frozen=True, eq=False)
class Beginning:
    """All that is settled before the first step.

    Attributes:
        config, reasons, schema, network, panel, base_parts, prepared: see `Fit`.
        parts: the split of `panel`.
        table: its targets in working units.
    """

    config: Config
    reasons: dict[str, str]
    schema: Schema
    network: Network
    panel: Panel
    base_parts: Split
    parts: Split
    table: WorkingTable
    prepared: Prepared


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained network and what it was trained on.

    Attributes:
        config: all settings.
        reasons: why, for each setting that was chosen here.
        schema: what the panel's columns are, and which series the network tells apart.
        network: the network.
        panel: the table as the network takes it, with channels folded where they are independent.
        base_parts: the split of the table as it came.
        prepared: the rows in working units, constants, first weights, and the split of `panel`.
        training: the best weights and the history.
        refit: the network after it has learned from every row; None where none were left, or it was not asked for.
    """

    config: Config
    reasons: dict[str, str]
    schema: Schema
    network: Network
    panel: Panel
    base_parts: Split
    prepared: Prepared
    training: Training
    refit: Refit | None = None

    @property
    def rows(self) -> Rows:
        """The panel in working units."""
        return self.prepared.rows

    @property
    def history(self) -> dict[str, list[float]]:
        """Of all trainings, see `progress.joined`."""
        again = self.refit.history if self.refit else {}
        return joined({TRAINING: self.training.history, SKIP_ALONE: self.training.skip_history, EVERY_ROW: again})


@one_thread()
def fit(
    config: Config,
    schema: Schema,
    panel: Panel,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Fit:
    """Train a network on a panel.

    Args:
        config: settings; those left out are chosen from the panel.
        schema: what the panel's columns are.
        panel: the whole table; validation and test rows are split off here and never trained on.
        watch: told of the progress.
        folder: where checkpoints go; none are written if None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        DataError: there are too few rows.
        SettingError: a setting does not suit the table.
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C once training has beginning, while there is a folder; the checkpoint is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    tell = watch or (lambda report: None)
    with precision(config):
        tell(Progress.of_phase(PREPARING))
        base_parts = split(panel.lengths, config.horizon, config.val_size, config.test_size)
        beginning = begin(config, schema, panel, base_parts)
        again = refit.applies(beginning.config, beginning.parts, beginning.panel.lengths)
        watch = _with_later(watch, beginning.config, beginning.prepared, refit.STEPS if again else 0.0)
        training = train(beginning.config, beginning.network, beginning.prepared, watch, folder, resume)
        reasons = beginning.reasons | ({"significance": training.verdict} if training.verdict else {})
        folded = beginning.panel, base_parts, beginning.prepared
        fitted = Fit(beginning.config, reasons, beginning.schema, beginning.network, *folded, training)
        if again:
            fitted = learn_every_row(fitted, beginning.table, watch, folder, resume)
    return fitted


def begin(config: Config, schema: Schema, panel: Panel, base_parts: Split, recall: Recall | None = None) -> Beginning:
    """Everything before the first step: what is left out is chosen, and the rows are made ready.

    Args:
        config: settings; those left out are chosen from the panel.
        schema: what the panel's columns are.
        panel: the whole table.
        base_parts: its split.
        recall: of earlier fits of the same rows, by the same split.

    Raises:
        DataError: there are too few rows.
        SettingError: a setting does not suit the table.
    """
    recall = recall or Recall()
    _require_rows(panel, base_parts)
    limits = Limits.of(config, schema.target)
    limits.require_table(panel)
    config, channel_reasons = settings.channels(config, panel, limits)
    folded, parts = fold(config, schema, panel, base_parts)
    config, reasons, table, blends = settings.choose(config, schema, folded, parts, panel.series, recall)
    network = network_of(config, schema, folded)
    _require_trainable(config, network, folded)
    schema = replace(schema, series=folded.ids if network.series else ())
    prepared = prepare(config, network, schema, folded, table, blends, recall=recall)
    reasons |= channel_reasons
    return Beginning(config, reasons, schema, network, folded, base_parts, parts, table, prepared)


def _with_later(watch: Watch | None, config: Config, prepared: Prepared, again: float) -> Watch | None:
    """A watch that is also told how much is to be done after each training: the second one, calibrating and scoring.

    Args:
        watch: told of the progress.
        config: settings, all chosen.
        prepared: the table.
        again: steps of the second training, as a share of the best step of the first.
    """
    if watch is None:
        return None
    segments, sampler = plan(config, max(int(prepared.parts.train.sum()), 1))
    scoring = prepared.offsets[-1] / (ROWS_OF_STEP * sampler.rows * segments.length)

    def tell(report: Progress) -> None:
        trained = 0.0 if report.phase == EVERY_ROW else again * report.best_step
        watch(replace(report, later=trained + scoring))

    return tell


def fold(config: Config, schema: Schema, panel: Panel, parts: Split) -> tuple[Panel, Split]:
    """Every target as a series of its own where channels are independent, with the split of its series."""
    if config.channels != "independent" or panel.targets == 1:
        return panel, parts
    times = panel.targets
    return panel.fold(schema.output_ids(panel.ids)), Split(np.repeat(parts.train, times), np.repeat(parts.val, times))


def train(
    config: Config,
    network: Network,
    prepared: Prepared,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Training:
    """Train a network, and keep of it what validation rows support; where that is nothing, try the skip alone.

    Args:
        config: settings, all chosen.
        network: the network.
        prepared: rows, constants and first weights.
        watch: told of the progress, a few times a second at most.
        folder: where checkpoints go; none are written if None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a folder; the checkpoint is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    mark = _fingerprint(config, prepared) if folder else ""

    def checkpoint(name: str) -> Checkpoint | None:
        return Checkpoint(folder / name, mark, resume) if folder else None

    twice = judge.applies(config, network)
    with resumable(folder):
        trainer = SegmentTrainer(config, network, prepared)
        whole = loop.train(trainer, prepared.weights, watch, checkpoint(NAME))
        whole = judge.kept(trainer, prepared, whole)
        if whole.best_step > 0 or not twice or not judge.possible(trainer):
            return whole
        trainer, start = judge.alone(config, network, prepared)
        skip = loop.train(trainer, start.weights, watch, checkpoint(SKIP_NAME), SKIP_ALONE)
        skip = judge.kept(trainer, start, skip)
    if skip.best_step == 0:
        return replace(whole, skip_history=skip.history)
    weights, verdict = judge.into(prepared.weights, skip.weights), f"of the skip alone, {skip.verdict}"
    best_step, share = skip.best_step, skip.share
    kept = {"weights": weights, "best_step": best_step, "share": share, "verdict": verdict}
    return replace(whole, **kept, skip_alone=True, skip_history=skip.history)


def learn_every_row(
    fitted: Fit,
    table: WorkingTable,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Fit:
    """The fit with a network beside the one that is scored, which has learned from validation and test rows as well.

    Args:
        fitted: the fit so far.
        table: its targets in working units.
        watch: told of the progress.
        folder: where checkpoints go; none are written if None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        TrainingError, Interrupted, ModelFileError: as in `train`.
    """
    config, network, prepared = fitted.config, fitted.network, fitted.prepared
    later = refit.start_again(config, network, fitted.schema, fitted.panel, table, prepared)
    mark = _fingerprint(config, later) if folder else ""
    checkpoint = Checkpoint(folder / REFIT_NAME, mark, resume) if folder else None
    with resumable(folder):
        again = refit.refit(config, network, prepared, later, fitted.training, watch, checkpoint)
    return replace(fitted, reasons=fitted.reasons | {"refit": again.reason}, refit=again)


@contextmanager
def resumable(folder: Path | None) -> Iterator[None]:
    """Ctrl-C between two looks of a training, such as while it is judged, leaves its checkpoint, too."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is None or not any(folder.glob("*.safetensors")):
            raise
        raise Interrupted(f"interrupted: the checkpoint in {folder} is kept; continue with --resume") from None


def _fingerprint(config: Config, prepared: Prepared) -> str:
    arrays = [np.asarray(prepared.data[name]) for name in sorted(prepared.data)]
    counts = (prepared.offsets, prepared.parts.train, prepared.parts.val)
    return fingerprint(config.to_dict(), [*arrays, *(np.asarray(values, np.int64) for values in counts)])


def _require_trainable(config: Config, network: Network, panel: Panel) -> None:
    kernel_library.warn_where_slow(network.stack.cell, network.stack.hidden)
    require_bf16(network.stack)
    if config.optimizer == "lm":
        levenberg.require(config, network)
    _require_counts(network, panel)


def _require_rows(panel: Panel, parts: Split) -> None:
    least, longest, most = 3, int(panel.lengths.max(initial=0)), int(parts.train.max(initial=0))
    if most < least:
        raise DataError(
            f"the longest series has {longest} rows, {most} of them for training: "
            f"expected at least {least} training rows; give more rows, or smaller val_size and test_size"
        )


def _require_counts(network: Network, panel: Panel) -> None:
    distribution = network.head.distribution
    if distribution is None or not distribution.counts:
        return
    observed = ~np.isnan(panel.y)
    wrong = observed & ((panel.y < 0) | (panel.y != np.floor(np.where(observed, panel.y, 0))))
    if wrong.any():
        row, target = np.argwhere(wrong)[0]
        s = int(panel.series_of_row()[row])
        raise DataError(
            f"row {row - panel.offsets[s] + 1} of series {panel.ids[s]!r} holds {panel.y[row, target]:g}, and "
            f"loss = {network.head.family!r} forecasts counts: expected whole numbers of at least 0; "
            'choose another loss, such as "student_t"'
        )


def network_of(config: Config, schema: Schema, panel: Panel) -> Network:
    """The network that the settings describe for the columns of this panel."""
    names = schema.calendar_features if config.calendar else ()
    columns = panel.past.shape[1], panel.known.shape[1], len(names), panel.static.shape[1]
    return Network.of(config, panel.targets, *columns, panel.series)


def awake() -> None:
    """Start JAX's device, which takes a moment once in a process."""
    jax.numpy.zeros(1).block_until_ready()


@contextmanager
def precision(config: Settings) -> Iterator[None]:
    """JAX in the precision of the settings, for this block alone: a global switch would touch the user's own code."""
    with jax.enable_x64(config.precision == "float64"):
        yield


def require_bf16(stack: Stack) -> None:
    """Refuse to train in bf16 what only runs in float32 here."""
    if not stack.bf16 or not stack.hidden:
        return
    if stack.cell not in CELLS:
        kernel = f"expected one of {', '.join(CELLS)}, which the native kernel knows"
        raise SettingError(f'precision = "bf16" with cell = {stack.cell!r}: {kernel}, or precision = "float32"')
    if jax.default_backend() != "cpu":
        raise SettingError(
            f'precision = "bf16" on {jax.default_backend()}: it runs in the native kernel, which is for processors; '
            'choose precision = "float32"'
        )
    kernel_library.isa(bf16=True)
