"""From a panel to trained weights: choose what is left open, prepare, train.

This is the door of the room: nothing outside `train` needs to know of JAX.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np

from statecast.config import Config, Settings
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split, split
from statecast.errors import DataError, SettingError
from statecast.model.inputs import Rows
from statecast.model.kernel import library as kernel_library
from statecast.model.kernel.interface import CELLS
from statecast.model.network import Network
from statecast.model.stack import Stack
from statecast.train import judge
from statecast.train.choose import settings
from statecast.train.loop import QUIET, follow
from statecast.train.prepare import Prepared, prepare
from statecast.train.progress import Fitted, Watch
from statecast.train.trainer import Trainer


@dataclass(frozen=True, eq=False)
class Outcome:
    """A trained network and what it was trained on.

    Attributes:
        config: all settings.
        reasons: why, for each setting that was chosen here.
        schema: what the panel's columns are, and which series the network tells apart.
        network: the network.
        panel: the table as the network takes it, with channels folded where they are independent.
        base_parts: the split of the table as it came.
        parts: the split of `panel`.
        rows: the same in working units.
        prepared: constants and first weights.
        fitted: the best weights and the history.
    """

    config: Config
    reasons: dict[str, str]
    schema: Schema
    network: Network
    panel: Panel
    base_parts: Split
    parts: Split
    rows: Rows
    prepared: Prepared
    fitted: Fitted


def fit(
    config: Config,
    schema: Schema,
    panel: Panel,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Outcome:
    """Train a network on a panel.

    Args:
        config: settings; those left out are chosen from the panel.
        schema: what the panel's columns are.
        panel: the whole table; validation and test rows are split off here and never trained on.
        watch: told of the progress.
        folder: where checkpoints go; none are written where None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        DataError: there are too few rows.
    """
    with precision(config):
        parts = base = split(panel.lengths, config.horizon, config.val_size, config.test_size)
        _require_rows(config, panel, parts)
        config, reasons = settings.choose(config, schema, panel, parts)
        if config.channels == "independent" and panel.targets > 1:
            panel = panel.fold(schema.output_ids(panel.ids))
            parts = split(panel.lengths, config.horizon, config.val_size, config.test_size)
        network = network_of(config, schema, panel)
        kernel_library.warn_where_slow(network.stack.cell, network.stack.hidden)
        require_bf16(network.stack)
        _require_counts(network, panel)
        schema = replace(schema, series=panel.ids if network.series else ())
        prepared = prepare(config, network, schema, panel, parts)
        fitted = train(config, network, prepared, watch, folder, resume)
        reasons |= {"significance": fitted.worth} if fitted.worth else {}
    return Outcome(config, reasons, schema, network, panel, base, parts, prepared.rows, prepared, fitted)


def train(
    config: Config,
    network: Network,
    prepared: Prepared,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Fitted:
    """Train a network.

    Args:
        config: settings, all chosen.
        network: the network.
        prepared: rows, constants and first weights, from `prepare.prepare`.
        watch: told of the progress, a few times a second at most.
        folder: where checkpoints go; none are written where None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a folder; the checkpoint is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    mark = fingerprint(config, prepared) if folder is not None else ""
    trainer = Trainer(config, network, prepared)
    whole = judge.kept(trainer, prepared, follow(trainer, prepared.weights, mark, watch, folder, resume))
    if whole.best_step > 0 or not judge.applies(config, network):
        return whole
    trainer, start = judge.alone(config, network, prepared)
    found = judge.kept(trainer, start, follow(trainer, start.weights, "", watch))
    if found.best_step == 0:
        return whole
    return replace(
        whole, weights=judge.into(prepared.weights, found.weights), worth=f"of the skip alone, {found.worth}"
    )


def fingerprint(config: Config, prepared: Prepared) -> str:
    """Of the settings and the values that a fit depends on."""
    digest = hashlib.sha256(config.with_(**dict.fromkeys(QUIET)).to_toml().encode())
    for name in sorted(prepared.data):
        digest.update(np.ascontiguousarray(np.asarray(prepared.data[name])).tobytes())
    for values in (prepared.offsets, prepared.parts.train, prepared.parts.val):
        digest.update(np.asarray(values, np.int64).tobytes())
    return digest.hexdigest()


def _require_counts(network: Network, panel: Panel) -> None:
    distribution = network.head.distribution
    if distribution is None or not distribution.counts:
        return
    seen = ~np.isnan(panel.y)
    wrong = seen & ((panel.y < 0) | (panel.y != np.floor(np.where(seen, panel.y, 0))))
    if wrong.any():
        row, target = np.argwhere(wrong)[0]
        s = int(panel.series_of_row()[row])
        raise DataError(
            f"row {row - panel.offsets[s] + 1} of series {panel.ids[s]!r} holds {panel.y[row, target]:g}, and "
            f"loss = {network.head.family!r} forecasts counts: wanted whole numbers of at least 0; "
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
        wanted = f"wanted one of {', '.join(CELLS)}, which the native kernel knows"
        raise SettingError(f'precision = "bf16" with cell = {stack.cell!r}: {wanted}, or precision = "float32"')
    if jax.default_backend() != "cpu":
        told = 'which is for processors; choose precision = "float32"'
        raise SettingError(f'precision = "bf16" on {jax.default_backend()}: it runs in the native kernel, {told}')
    kernel_library.isa(bf16=True)


def _require_rows(config: Config, panel: Panel, parts: Split) -> None:
    least, longest, most = 3, int(panel.lengths.max(initial=0)), int(parts.train.max(initial=0))
    if most < least:
        raise DataError(
            f"the longest series has {longest} rows, {most} of them for training: "
            f"wanted at least {least} training rows; give more rows, or smaller val_size and test_size"
        )
