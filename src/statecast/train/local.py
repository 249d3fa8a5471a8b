"""What a series has of its own, a network or a linear map, and whether that fits in memory; how networks are trained.

Series are of unequal length, and an epoch of a short one is over in a step; so segments are drawn at every step anew,
as a function of the seed and the step's number, rather than dealt out over an epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from statecast.data.segments import NOWHERE, Tape
from statecast.errors import SettingError
from statecast.model.members import count
from statecast.model.network import Network
from statecast.train.loss import Segments

if TYPE_CHECKING:
    from jaxtyping import Int64

ROOM = 2_000_000_000  # most bytes of the networks while they are trained, and of the maps
COPIES = 9  # numbers for each weight: itself, its gradient, two moments, the best so far, and those of four folds
COPIES_OF_MAPS = 4  # numbers for each of a map: as solved for in float64, in the model, and as training reads it
LITTLE = 16_000_000  # numbers of all maps that any machine has room for
EACH_ROW = 32  # most numbers of all maps for each training row: some three times what a row takes itself


def require_room(network: Network, dtype: Any) -> None:
    """Refuse local networks that are too many or too large to be trained at once, and maps that are.

    Raises:
        SettingError: they take more than `ROOM` bytes.
    """
    _require_room_for_maps(network, dtype)
    if not network.members.local:
        return
    each = count(network.single.init(0))
    size = each * network.members.count * COPIES * np.dtype(dtype).itemsize
    if size > ROOM:
        raise SettingError(
            f"local = true: {network.members.count:,} networks of {each:,} weights take {size / 1e9:.1f} GB while they "
            f"are trained, more than {ROOM / 1e9:g} GB: choose a smaller hidden, skip or horizon, fit fewer series at "
            "a time, or choose local = false"
        )


def _require_room_for_maps(network: Network, dtype: Any) -> None:
    each = map_size(network.front.targets, network.front.skip, network.head.horizon)
    size = each * network.series * COPIES_OF_MAPS * np.dtype(dtype).itemsize
    if network.front.local_skip and size > ROOM:
        raise SettingError(
            f"local_skip = true: {network.series:,} maps of {each:,} numbers take {size / 1e9:.1f} GB, more than "
            f"{ROOM / 1e9:g} GB: choose a smaller skip or horizon, fit fewer series at a time, or choose "
            "local_skip = false"
        )


def map_size(targets: int, skip: int, horizon: int) -> int:
    """Numbers of the linear map of one series."""
    return targets * skip * horizon


def maps_suit(each: int, train: Int64[np.ndarray, " S"]) -> bool:
    """Whether maps of `each` numbers take little room, or little more than the training rows of their series do."""
    return each * len(train) <= max(LITTLE, EACH_ROW * int(train.sum()))


def bounds(tape: Tape, offsets: Int64[np.ndarray, " S+1"]) -> dict[str, np.ndarray]:
    """Where each series begins and ends on a tape, [S] each."""
    ends = np.searchsorted(tape.rows, offsets)
    return {"begin": ends[:-1], "end": ends[1:]}


def drawn(key: Array, span: dict[str, Array], segments: Segments, rows: int) -> Array:
    """Starts of random segments of one series, [rows]: evenly spaced over it on a grid that lies at random.

    Every place is as likely as any other to carry a loss.
    """
    stride, length = segments.length - segments.burn_in, span["end"] - span["begin"]
    phase = jax.random.randint(jax.random.fold_in(key, 0), (), 0, stride)
    phase = jnp.where(length <= stride, 0, phase)
    shares = (jnp.arange(rows) + jax.random.uniform(jax.random.fold_in(key, 1))) / rows
    number = jnp.floor(shares * -(-(length + phase) // stride)).astype(length.dtype)
    return span["begin"] + number * stride - phase - segments.burn_in


def spaced(span: dict[str, np.ndarray], segments: Segments, most: int, at_once: int) -> np.ndarray:
    """Starts of the segments of a look at the validation rows, [calls, S, rows]: all of every series, or evenly spaced.

    Args:
        span: where the series lie on the validation tape.
        segments: their length and burn-in.
        most: places of the tape that a look takes; a segment of each series at least.
        at_once: segments that a call takes; one of each series at least.
    """
    begin, end = span["begin"], span["end"]
    stride = segments.length - segments.burn_in
    counts = -(-(end - begin) // stride)
    width = int(np.clip(most // (segments.length * max(len(begin), 1)), 1, max(counts.max(initial=0), 1)))
    place = np.arange(width)
    number = np.where(counts[:, None] <= width, place, place * counts[:, None] // width)
    starts = begin[:, None] + number * stride - segments.burn_in
    starts = np.where(number < counts[:, None], starts, NOWHERE)
    calls = -(-width // max(1, at_once // max(len(begin), 1)))
    wide = np.full((len(begin), calls * -(-width // calls)), NOWHERE, np.int64)
    wide[:, :width] = starts
    return np.moveaxis(wide.reshape(len(begin), calls, -1), 1, 0)
