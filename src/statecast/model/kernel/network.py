"""A whole network in the native kernel, over rows of a table of states: a step with its forecasts, or many without.

A step takes a few microseconds, less than NumPy's calls for it would, so front, stack, head and skip are one call. For
a network that the kernel does not know, `refuses` says why, and the network's own lines run instead, with the same
results: one conformance table tests both.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.errors import DataError
from statecast.model import shapes
from statecast.model.blocks import Blocks
from statecast.model.front import FLOOR, STATISTICS, Front
from statecast.model.heads.head import FUTURE_UNITS, Head
from statecast.model.kernel import library
from statecast.model.kernel.adaptive import Follower
from statecast.model.kernel.interface import (
    ACTIVATIONS,
    CELLS,
    FLOAT64,
    FORMATS,
    INSTRUCTION_SETS,
    INT64,
    NORMALIZERS,
    ArrayArgument,
    NetworkSizes,
    Observations,
    address,
    argument,
    checked,
    packer,
    span,
)
from statecast.model.network import Network
from statecast.model.stack import Stack
from statecast.model.state import Layout

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

_observations = packer(Observations)

# A network with a further attribute is another network, even if it has all that this file reads.
_KNOWN = {
    Network: "front stack head members series",
    Front: "targets lags skip normalize decay past known calendar static calendar_ahead missing level_input embedding "
    "local_skip",
    Stack: "cell inputs hidden dense activation residual threads bf16",
    Head: "inputs horizon targets levels future family decoder",
}


def refuses(network: Network, p: Any) -> str | None:
    """Why the kernel does not run this network's steps, or None where it does."""
    for part in (network, network.front, network.stack, network.head):
        if tuple(f.name for f in fields(part)) != tuple(_KNOWN.get(type(part), "").split()):
            return f"{type(part).__name__} has attributes that the native kernel does not know"
    front, stack = network.front, network.stack
    if network.members.local or front.embedding:
        return "the native kernel steps no networks or embeddings of single series"
    if network.head.decoder:
        return "the native kernel steps a network with a direct head, not a decoder"
    if network.head.family:
        return f"the native kernel has no head that forecasts {network.head.family!r}"
    if stack.hidden and stack.cell not in CELLS:
        return f"the native kernel has no cell {stack.cell!r}"
    if front.normalize not in NORMALIZERS or stack.activation not in ACTIVATIONS:
        return f"the native kernel has no {front.normalize!r} or {stack.activation!r}"
    return _refuses_arrays(network, p) or library.refuses()


def _refuses_arrays(network: Network, p: Any) -> str | None:
    """Arrays of other names, shapes or precisions than the network's own: several networks in one, for instance."""
    known, constants = shapes.constants(network), p["constants"]
    for name in sorted(known.keys() | constants.keys()):
        if name not in known or np.shape(constants.get(name)) != known[name]:
            return f"the native kernel and the model do not share the constant {name!r}"
    dtype = constants["level"].dtype
    if dtype not in FORMATS:
        return f"the native kernel does not calculate in {dtype}"
    known_weights, weights = shapes.leaves(shapes.weights(network)), shapes.leaves(p["weights"])
    for name in sorted(known_weights.keys() | weights.keys()):
        array = weights.get(name)
        form = (array.shape, array.dtype) if isinstance(array, np.ndarray) else array
        shape = known_weights.get(name)
        if form != (shape if shape in (None, {}) else (shape, dtype)):
            return f"the weights {name} are none that the native kernel knows"
    return None


class NetworkCall(NamedTuple):
    """A step that is checked and ready; no state has changed yet.

    Attributes:
        call: makes the step, without arguments, and keeps alive what it needs; its result is for `library.check`.
        forecast, scale, report: the results, filled by the call; see `NetworkStep.step`.
    """

    call: Callable[[], int]
    forecast: Float[np.ndarray, "S H D O"]
    scale: Float[np.ndarray, "S D"]
    report: Float[np.ndarray, "S R"] | None


class NetworkStep:
    """A network's weights, packed once, for one step at a time over rows of a table of states.

    The table has one row for each series, with the layout `Layout.of(network.parts())`. A call replaces the states of
    the rows that have an observation. The bits of a row depend neither on the rows beside it nor on the number of
    threads. Calls from several threads at once are safe as long as no two of them step the same row.
    """

    def __init__(self, network: Network, p: Any) -> None:
        """Pack a network that the kernel does not refuse; the arrays are copied, later changes have no effect."""
        front, head, layout = network.front, network.head, Layout.of(network.parts())
        self._size, self._targets = layout.size, front.targets
        self._forecast = (head.horizon, head.targets, head.width)
        self._future = (head.horizon, head.future)
        self._dtype = p["constants"]["level"].dtype
        self._threads = library.threads(network.stack.threads or None)
        self._covariates = front.inputs - _target_inputs(front)
        handle = library.handle()
        self._call, self._through = handle.statecast_network_observe, handle.statecast_network_advance
        self._block = _block(network, layout, _sizes(network, self._dtype, self._covariates), _arrays(network, p))
        self._packed = byref(argument(self._block))

    def step(
        self,
        states: Blocks | Float[np.ndarray, "rows size"],
        values: Float64[np.ndarray, "S D"],
        covariates: Float[np.ndarray, "S n"] | None = None,
        future: Float[np.ndarray, "S H F"] | None = None,
        index: Int64[np.ndarray, " S"] | None = None,
    ) -> tuple[Float[np.ndarray, "S H D O"], Float[np.ndarray, "S D"]]:
        """One time step for S rows: they are changed in place.

        Args:
            states: the table.
            values: the targets in their own units, NaN where missing.
            covariates: past, known, calendar and static side by side, as `Network.step` takes each.
            future: what is known of the steps ahead.
            index: which rows, all different; None for the first S.

        Returns:
            What `Network.emit` returns after the step.

        Raises:
            DataError: a wrong shape, dtype or layout, or a row that the table does not hold. No state changes then.
        """
        call = self.prepare(_table(states), values, covariates, future, index)
        library.check(call.call())
        return call.forecast, call.scale

    def prepare(
        self,
        states: Blocks,
        values: Float64[np.ndarray, "S D"],
        covariates: Float[np.ndarray, "S n"] | None = None,
        future: Float[np.ndarray, "S H F"] | None = None,
        index: Int64[np.ndarray, " S"] | None = None,
        follower: Follower | None = None,
    ) -> NetworkCall:
        """`step` up to the moment at which rows change; with `follower` their intervals adapt in the same call."""
        values = checked("values", values, (len(values), self._targets), FLOAT64)
        if covariates is not None or self._covariates:
            covariates = checked("covariates", covariates, (len(values), self._covariates), self._dtype)
        return self._prepare(states, values, covariates, future, index, len(values), follower)

    def advance(
        self,
        states: Float[np.ndarray, "S size"],
        values: Float64[np.ndarray, "T S D"],
        covariates: Float[np.ndarray, "T S n"] | None = None,
    ) -> None:
        """T steps for every row of a table, of whose forecasts nobody asks: the bits of as many calls of `step`.

        Args:
            states: the table, changed in place.
            values: as `step` takes them, time-major.
            covariates: likewise.

        Raises:
            DataError: a wrong shape, dtype or layout. No state changes then.
        """
        table, steps = _table(states), len(values)
        self._check_table(table)
        values = checked("values", values, (steps, table.rows, self._targets), FLOAT64)
        if covariates is not None or self._covariates:
            covariates = checked("covariates", covariates, (steps, table.rows, self._covariates), self._dtype)
        arrays = (*span(None), *span(values), *span(covariates), *span(None) * 4)
        observations = _observations(table.block, table.rows, table.size, table.rows, *table.span, *arrays)
        library.check(self._through(self._packed, self._threads, observations, steps))

    def emit(
        self,
        states: Blocks | Float[np.ndarray, "rows size"],
        future: Float[np.ndarray, "S H F"] | None = None,
        index: Int64[np.ndarray, " S"] | None = None,
    ) -> tuple[Float[np.ndarray, "S H D O"], Float[np.ndarray, "S D"]]:
        """`Network.emit` of rows of the table, which stays as it is. The arguments are those of `step`."""
        table = _table(states)
        call = self._prepare(table, None, None, future, index, table.rows if index is None else len(index), None)
        library.check(call.call())
        return call.forecast, call.scale

    def _prepare(
        self,
        table: Blocks,
        values: Any,
        covariates: Any,
        future: Any,
        index: Any,
        count: int,
        follower: Follower | None,
    ) -> NetworkCall:
        self._check_table(table)
        if index is not None and (index.dtype != INT64 or index.shape != (count,) or not index.flags.c_contiguous):
            raise DataError(f"index must name a row for each of the {count} rows of values, as int64")
        if self._future[1]:
            future = checked("future", future, (count, *self._future), self._dtype)
        forecast = np.empty((count, *self._forecast), self._dtype)
        scale = np.empty((count, self._targets), self._dtype)
        report = None if follower is None else np.empty((count, follower.size), self._dtype)
        observations = _observations(
            table.block,
            table.rows,
            table.size,
            count,
            *table.span,
            *span(index),
            *span(values),
            *span(covariates),
            *span(future),
            *span(forecast),
            *span(scale),
            *span(report),
        )
        adaptation = None if follower is None else byref(follower.whole)
        call = partial(self._call, self._packed, self._threads, observations, adaptation)
        # Addresses keep nothing alive, so whoever holds the call, and be it that alone, holds what it reads and writes.
        vars(call)["arguments"] = (
            table,
            table.spans,
            values,
            covariates,
            future,
            index,
            follower,
            forecast,
            scale,
            report,
        )
        return NetworkCall(call, forecast, scale, report)

    def _check_table(self, table: Blocks) -> None:
        if table.dtype != self._dtype:
            raise DataError(f"states must be a C-ordered {self._dtype} table [rows, numbers], not of {table.dtype}")
        if table.size < self._size:  # further numbers are not the network's, and stay
            raise DataError(f"states have {table.size} numbers a row, expected at least {self._size}")


def _table(states: Blocks | Float[np.ndarray, "rows size"]) -> Blocks:
    """A table of states as the kernel takes it."""
    if isinstance(states, Blocks):
        return states
    if states.ndim != 2 or not states.flags.c_contiguous:
        raise DataError("states must be a C-ordered table [rows, numbers]")
    if not states.flags.writeable:
        raise DataError("states cannot be written to, and a step replaces them in place")
    return Blocks.of(states)


def _block(network: Network, layout: Layout, sizes: Any, arrays: list[np.ndarray | None]) -> np.ndarray:
    """A network packed into one block of memory, on a cache line."""
    units, columns = np.array(_units(network), np.int64), np.array(_columns(network, layout), np.int64)
    size = library.handle().statecast_network_bytes(byref(sizes), byref(argument(units)))
    room = np.zeros(size + 64, np.uint8)
    begin = -address(room) % 64
    block = room[begin : begin + size]
    ordered = [None if array is None else np.require(array, requirements=("C", "A")) for array in arrays]
    arguments = (ArrayArgument * len(ordered))(*(ArrayArgument(*span(array)) for array in ordered))
    wheres = byref(argument(units)), byref(argument(columns))
    packed = library.handle().statecast_network_pack(
        byref(sizes), *wheres, arguments, len(ordered), byref(argument(block))
    )
    library.check(packed)
    return block


def _target_inputs(front: Front) -> int:
    """The stack's inputs that come from the targets."""
    return front.targets * (front.lags + 2 * front.missing + 2 * front.level_input)


def _units(network: Network) -> tuple[int, ...]:
    return (*network.stack.hidden, *network.stack.dense)


def _sizes(network: Network, dtype: Any, covariates: int) -> Any:
    front, stack, head = network.front, network.stack, network.head
    return NetworkSizes(
        cell=CELLS.index(stack.cell) if stack.hidden else 0,  # without recurrent layers any will do
        dtype=FORMATS[dtype],
        isa=INSTRUCTION_SETS.index(library.instruction_set()),
        normalize=NORMALIZERS.index(front.normalize),
        activation=ACTIVATIONS.index(stack.activation),
        missing=front.missing,
        level_input=front.level_input,
        residual=stack.residual,
        decay=front.decay,
        floor=FLOOR,
        ceiling=front.ceiling,
        targets=front.targets,
        lags=front.lags,
        skip=front.skip,
        covariates=covariates,
        statics=front.static * (2 if front.missing else 1),
        layers=len(stack.hidden),
        dense=len(stack.dense),
        horizon=head.horizon,
        levels=len(head.levels),
        future=head.future,
        mixed=FUTURE_UNITS if head.future else 0,
        members=network.members.count,
        series=network.series if front.local_skip else 0,
    )


def _columns(network: Network, layout: Layout) -> list[int]:
    begin = {name: place.start for name, (place, _) in layout.slices.items()}
    cells = [begin.get(f"{n}.{part}", -1) for n in range(len(network.stack.hidden)) for part in ("h", "c")]
    front = [begin[name] for name in (*STATISTICS, "ring", "held")]
    return [*front, *cells, begin["out"], begin.get("static", -1), begin.get("series", -1)]


def _arrays(network: Network, p: Any) -> list[np.ndarray | None]:
    """Every array in the order of the C interface; None where there is none."""
    c = p["constants"]
    arrays: list[np.ndarray | None] = [np.asarray(c[name], np.float64) for name in ("origin", "unit")]
    arrays += [
        c[name].astype(c["level"].dtype) for name in ("level", "spread", "deviation", "ring_gain", "output_gain")
    ]
    arrays += [c["maps"]] if network.front.local_skip else []
    for weights, _ in network.members.each(p["weights"], None):
        arrays += _member_arrays(network, weights)
    return arrays


def _member_arrays(network: Network, w: Any) -> list[np.ndarray | None]:
    """Those of one network's weights."""
    head = w["head"]
    cells = [w["stack"]["cells"][str(n)] for n in range(len(network.stack.hidden))]
    dense = [w["stack"]["dense"][str(n)] for n in range(len(network.stack.dense))]
    arrays = [cell.get(name) for cell in cells for name in ("W", "U", "b", "bn")]
    arrays += [layer[name] for layer in [*dense, head["out"]] for name in ("W", "b")]
    if network.head.future:
        arrays += [head["state"]["W"], head["state"]["b"], head["known"]["W"], head["step"]["e"], head["mix"]["W"]]
    return arrays + ([w["skip"]["W"]] if network.front.skip else [])
