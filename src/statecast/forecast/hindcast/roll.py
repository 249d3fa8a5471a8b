"""One run of a network over a whole panel: every origin's forecast, and the state that each series ends in.

Series run side by side, aligned at their ends, in batches of similar length; time is cut into chunks whose state is
carried, so memory is bounded whatever the length. A series begins where its reset stands: rows before it are padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.forecast.hindcast.origins import Origins
from statecast.model.blas import one_thread
from statecast.model.inputs import Rows
from statecast.model.network import Network
from statecast.model.state import Layout

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int64

CHUNK_NUMBERS = 4_000_000  # numbers of the widest array of a chunk
LONGEST_CHUNK = 512
BATCH = 256


@one_thread()
def forecasts_at(
    network: Network,
    p: Any,
    rows: Rows,
    mask: Bool[np.ndarray, " R"],
    ends: Float[np.ndarray, "S size"] | None = None,
    ahead: Int64[np.ndarray, " H"] | None = None,
) -> Origins:
    """All forecasts at the rows of a mask, in order of the rows, in one run; see `roll` for the arguments."""
    if ends is None:  # layers that no forecast hears count for the states alone
        network, p = network.without_silent_layers(p)
    parts = list(roll(network, p, rows, mask, ends=ends, ahead=ahead))
    if not parts:
        return Origins.none(network.head)
    at = np.concatenate([part.rows for part in parts])
    order = np.argsort(at, kind="stable")
    values, scale = (np.concatenate([getattr(part, name) for part in parts])[order] for name in ("values", "scale"))
    return Origins(at[order], values, scale)


def roll(
    network: Network,
    p: Any,
    rows: Rows,
    mask: Bool[np.ndarray, " R"],
    ends: Float[np.ndarray, "S size"] | None = None,
    ahead: Int64[np.ndarray, " H"] | None = None,
) -> Iterator[Origins]:
    """Run over the panel and yield the forecasts made at the rows of a mask, chunk by chunk.

    Args:
        network: the network.
        p: weights and constants, in the precision of `rows`.
        rows: the panel, prepared.
        mask: which rows are origins.
        ends: filled with the state after each series' last row.
        ahead: steps ahead that are kept, all if None; the network may be one that forecasts these alone.
    """
    layout = Layout.of(network.parts())
    known = np.arange(1, network.head.horizon + 1)  # steps ahead that the network forecasts
    if ahead is not None and len(ahead) == len(known):
        known, ahead = ahead, None
    lengths = np.diff(rows.offsets)
    for members in _batches(lengths):
        chunks = _chunks(network, rows, members, known)
        state = network.start(p, len(members), rows.y, rows.numbers[members])
        for index, reset, inputs in chunks:
            origins = mask[np.maximum(index, 0)] & (index >= 0)
            steps = np.flatnonzero(origins.any(axis=1))
            state, values, scale = network.scan(p, state, inputs, reset, steps)
            values = np.asarray(values) if ahead is None else np.asarray(values)[:, :, ahead - 1]
            pick = origins[steps]
            if pick.any():
                yield Origins(index[steps][pick], values[pick], np.asarray(scale)[pick])
        if ends is not None:
            packed = np.zeros((len(members), layout.size), ends.dtype)
            layout.pack(state, packed)
            ends[members] = packed


def _batches(lengths: Int64[np.ndarray, " S"]) -> Iterator[Int64[np.ndarray, " B"]]:
    """Series of similar length together: none more than twice as long as another, none of no rows."""
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    while len(order):
        last = int(np.searchsorted(lengths[order], 2 * lengths[order[0]], side="right"))
        yield order[: min(last, BATCH)]
        order = order[min(last, BATCH) :]


def _chunks(
    network: Network, rows: Rows, members: Int64[np.ndarray, " B"], known: Int64[np.ndarray, " H"]
) -> Iterator[tuple[Int64[np.ndarray, "T B"], Bool[np.ndarray, "T B"], dict[str, np.ndarray]]]:
    """What the network is fed of each stretch of time, aligned at the end.

    Row numbers (negative before a series begins), resets, and the inputs, with nothing observed before a series begins.
    """
    lengths = np.diff(rows.offsets)[members]
    longest = int(lengths.max())
    head = network.head
    widest = len(members) * max(network.front.inputs, head.horizon * head.targets * head.width)
    chunk = int(np.clip(CHUNK_NUMBERS // widest, 16, LONGEST_CHUNK))
    steps = -(-longest // chunk) * chunk
    for begin in range(0, steps, chunk):
        back = steps - np.arange(begin, min(begin + chunk, steps))  # distance to the end, 1 at the last row
        index = rows.offsets[members + 1] - back[:, None]
        index = np.where(back[:, None] <= lengths, index, -1)
        inputs = rows.at(np.maximum(index, 0), known)
        inputs["m"] = inputs["m"] * (index >= 0)[..., None]
        yield index, back[:, None] == lengths, inputs
