"""What the first step starts from: the rows on the device, typical sizes, and first weights with the linear start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.model.front import CEILING
from statecast.model.initial import Start
from statecast.model.inputs import Rows, rows_of
from statecast.model.members import cast
from statecast.model.network import Network
from statecast.model.shapes import TABLE_UNITS
from statecast.train.local import require_room
from statecast.train.recall import Recall, bare_of
from statecast.train.start import linear
from statecast.train.start.design import Design
from statecast.train.start.linear import Blend
from statecast.train.trainer import on_device, roomy, with_room
from statecast.train.working import WorkingTable

if TYPE_CHECKING:
    from jaxtyping import Int64

SMALLEST = 1e-30  # size that is as good as 0, and would be it in float32
GAINS = ("ring_gain", "output_gain")
SAMPLE, FEWEST = 16_384, 1024  # rows from which typical sizes are taken, at most, and at least where there are so many
NUMBERS = 4_000_000  # last values of all of them, at most: neighbouring rows share nearly all of theirs


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the loop starts from.

    Attributes:
        rows: the panel in the network's terms.
        data: its flat arrays on the device.
        constants: of the training rows.
        weights: the first ones, in the precision of the settings.
        offsets: [S + 1].
        parts: the split.
        blends: what the linear map of each target is made of; None for one that starts from zero.
    """

    rows: Rows
    data: dict[str, Any]
    constants: dict[str, np.ndarray]
    weights: Any
    offsets: Int64[np.ndarray, " S+1"]
    parts: Split
    blends: tuple[Blend | None, ...] = ()

    @property
    def composition(self) -> str:
        """What the linear maps are made of, in words; empty where all start from zero."""
        return linear.composition(self.blends)


def prepare(
    config: Config,
    network: Network,
    schema: Schema,
    panel: Panel,
    table: WorkingTable,
    blends: Sequence[Blend | None],
    sizes: dict[str, np.ndarray] | None = None,
    recall: Recall | None = None,
) -> Prepared:
    """Everything before the first step.

    Args:
        config: settings, all chosen.
        network: what is to be trained.
        schema: what the columns are.
        panel: the table, with channels folded where they are independent.
        table: its targets in working units.
        blends: what the linear map of each target is made of; None for one that starts from zero.
        sizes: constants that hold typical sizes, which weights were trained in; those of the training rows if None.
        recall: of earlier fits of these rows; it knows the maps of blends that were chosen for them.

    Raises:
        SettingError: local networks are too many or too large.
    """
    dtype = np.dtype(config.dtype)
    require_room(network, dtype)
    most = sample_size(network)
    train = table.train(network, most)
    c = table.constants | (gains(train) if sizes is None else {name: sizes[name] for name in GAINS}) | network.maps()
    weights = network.init(config.random_state, Start.of(config))
    if any(blends):
        known = partial(_maps, recall or Recall(), bare_of(config, "lags", "skip"))
        _start(network, c, weights, train, table, blends, known)
    constants = {name: value if name in TABLE_UNITS else value.astype(dtype) for name, value in c.items()}
    rows = rows_of(network, c, schema, panel, dtype)
    data = device_rows(network, rows, cast(table.statistics, dtype), table.scales)
    return Prepared(rows, data, constants, cast(weights, dtype), panel.offsets, table.parts, tuple(blends))


def sample_size(network: Network) -> int:
    """Rows to look at: fewer of them where each has many last values."""
    return min(SAMPLE, max(NUMBERS // (network.front.ring * network.front.targets), FEWEST))


def _start(
    network: Network,
    c: dict[str, np.ndarray],
    weights: Any,
    train: dict[str, Any],
    table: WorkingTable,
    blends: Sequence[Blend | None],
    maps: Callable[[Design, Blend], np.ndarray],
) -> None:
    """Weights from which the network forecasts what the linear maps do, and a spread like that of their errors."""
    skip, horizon, targets = network.front.skip, network.head.horizon, network.front.targets
    w, b = np.zeros((targets, skip, horizon)), np.zeros((horizon, targets))
    for target, blend in enumerate(blends):
        if blend is not None:
            design = Design.empty(table, network.front, target, horizon, blend.size)
            made = maps(design, blend) / c["output_gain"][:, target]
            common, back = made.mean(axis=0), slice(skip - blend.size, skip)
            w[target, back], b[:, target] = common[:-1] * c["ring_gain"][target], common[-1]
            if len(made) > 1 and "maps" in c:
                single = (made - common)[:, :-1] * c["ring_gain"][target]
                c["maps"][:, target, :, back] = np.swapaxes(single, 1, 2)
    weights["skip"]["W"][...] = w  # of every member
    error = train["target"] / c["output_gain"] - b - _skipped(network, c, w, train)
    count = np.maximum((~np.isnan(error)).sum(axis=0), 1)
    spread = 1.25 * np.nansum(np.abs(error), axis=0) / count
    weights["head"]["out"]["b"][...] = network.head.started(b, np.where(spread > 0, spread, 1.0)).reshape(-1)


def _maps(recall: Recall, bare: Config, design: Design, blend: Blend) -> np.ndarray:
    """The maps of a target; levels and scales do not depend on the lags, unless a window of values gives them."""
    front = design.front if design.front.normalize == "window" else replace(design.front, lags=1)
    design = replace(design, front=front)
    return recall.once(("maps", bare, front, design.target, blend), partial(linear.maps, design, blend))


def _skipped(network: Network, c: dict[str, np.ndarray], w: np.ndarray, train: dict[str, Any]) -> np.ndarray:
    """What the skip makes of rows, [n, H, D]."""
    ring, series = train["ring"][:, network.front.ring - network.front.skip :] / c["ring_gain"], train["series"]
    outputs = np.einsum("nrd,drh->nhd", ring, w)
    for number in np.unique(series) if "maps" in c else ():
        rows = series == number
        outputs[rows] += np.einsum("nrd,dhr->nhd", ring[rows], c["maps"][number])
    return np.asarray(outputs)


def gains(parts: dict[str, Any]) -> dict[str, np.ndarray]:
    """Typical sizes of the relative ring [D] and of the relative targets [H, D], robust against a few large ones.

    Values that stood still before a row make its scale as small as scales get, and what follows as large in its units:
    a number counts as `CEILING` medians at most.
    """
    held, target = parts["held"] > 0, np.abs(parts["target"])
    ring = [_typical(np.abs(values[mask])) for values, mask in zip(parts["ring"].T, held.T, strict=True)]
    output = [[_typical(sizes[~np.isnan(sizes)]) for sizes in step.T] for step in np.moveaxis(target, 1, 0)]
    shape = target.shape[1:]
    return {"ring_gain": np.array(ring), "output_gain": np.array(output, np.float64).reshape(shape)}


def _typical(sizes: np.ndarray) -> float:
    """The deviation of normal numbers of these sizes; 1 where there are none, or all are as good as 0."""
    middle = float(np.median(sizes)) if len(sizes) else 0.0
    size = 1.25 * float(np.minimum(sizes, CEILING * middle if middle > 0 else np.inf).mean()) if len(sizes) else 0.0
    return size if size > SMALLEST else 1.0


def device_rows(network: Network, rows: Rows, statistics: dict[str, np.ndarray], scales: np.ndarray) -> dict[str, Any]:
    """The flat arrays that `loss.gather` reads, with room behind their rows; see `trainer.roomy`.

    Values carry blank rows before and after for slices to run into.
    """
    size, horizon = network.front.ring, network.head.horizon
    count, series = roomy(len(rows.y)), roomy(len(scales))
    level, scale = network.front.level_scale(statistics, rows.rings(np.arange(len(rows.y)), size))
    columns = {"age": rows.age, "series": rows.series, "since": statistics["since"], "level": level, "scale": scale}
    columns |= rows.covariates
    data = {name: with_room(values, series if name == "static" else count) for name, values in columns.items()}
    blank = ((size, horizon + count - len(rows.y)), (0, 0))
    data |= {"y": np.pad(rows.y, blank), "m": np.pad(rows.m, blank)}
    if rows.weight is not None:
        data["weight"] = np.pad(rows.weight, blank)
    data["loss_scale"] = with_room(scales.astype(rows.y.dtype), series)
    if network.series:
        data["numbers"] = with_room(rows.numbers, series)
    if rows.future is not None:
        data |= {"future": with_room(rows.future, roomy(len(rows.future))), "place": with_room(rows.place, count)}
    arrays: dict[str, Any] = on_device(data)
    return arrays
