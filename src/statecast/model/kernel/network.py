"""A whole network in the native kernel, for one time step over rows of a table of states.

At a few microseconds a step NumPy's calls would be most of the time, so front, stack, head and skip are one call. What
the kernel does not know, it refuses: `unknown` tells why, and the network's own lines run instead. They say the same
numbers; the conformance table holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref, c_void_p
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.errors import DataError
from statecast.model.blocks import Blocks
from statecast.model.front import STATISTICS, Front
from statecast.model.head import FUTURE_UNITS, Head
from statecast.model.kernel import library as kernel
from statecast.model.kernel.adaptive import Follower
from statecast.model.kernel.library import (
    CELLS,
    DTYPES,
    GATES,
    INSTRUCTION_SETS,
    NORMALIZERS,
    STATES,
    Observations,
    Sizes,
    address,
    check,
    library,
)
from statecast.model.network import Network
from statecast.model.stack import Stack
from statecast.model.state import Layout

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid", "gelu", "silu")  # in the order of the C interface

_FLOAT64 = np.dtype(np.float64)

# A network with another attribute is another network, even where this file would find all that it looks for.
_KNOWN = {
    Network: "front stack head members series",
    Front: "targets lags skip normalize decay past known calendar static missing level_input embedding",
    Stack: "cell inputs hidden dense activation residual threads bf16",
    Head: "inputs horizon targets levels future family decoder",
}
_CONSTANTS = {"least", "origin", "floor", "level", "unit", "spread", "deviation", "ring_gain", "output_gain"}
_CONSTANTS |= {f"{name}_{what}" for name in ("past", "known", "static") for what in ("mean", "scale")}


def unknown(network: Network, p: Any) -> str | None:
    """Why the kernel does not run this network's steps, or None where it does."""
    if not kernel.available():
        return kernel.reason()
    for part in (network, network.front, network.stack, network.head):
        if tuple(f.name for f in fields(part)) != tuple(_KNOWN.get(type(part), "").split()):
            return f"{type(part).__name__} has attributes that the native kernel does not know"
    front, stack = network.front, network.stack
    if network.members.local or network.series:
        return "the native kernel steps networks that tell no series apart"
    if network.head.decoder:
        return "the native kernel steps a network with a direct head, not a decoder"
    if network.head.family:
        return f"the native kernel has no head that forecasts {network.head.family!r}"
    if stack.hidden and stack.cell not in CELLS:
        return f"the native kernel has no cell {stack.cell!r}"
    if front.normalize not in NORMALIZERS or stack.activation not in ACTIVATIONS:
        return f"the native kernel has no {front.normalize!r} or {stack.activation!r}"
    return _other_weights(network, p)


def _other_weights(network: Network, p: Any) -> str | None:
    """Arrays of other names, shapes or precisions than the network's own: several networks in one, for instance."""
    if strange := p["constants"].keys() ^ _CONSTANTS:
        return f"the native kernel and the model do not share the constant {min(strange)!r}"
    dtype = p["constants"]["level"].dtype
    if dtype not in DTYPES:
        return f"the native kernel does not calculate in {dtype}"
    several = (network.members.count,) if network.members.axis else ()
    wanted = {name: (*several, *shape) for name, shape in _shapes(network).items()}
    found = _flat(p["weights"])
    for name in sorted(wanted.keys() | found.keys()):
        came = (found[name].shape, found[name].dtype) if name in found else None
        if came != (wanted.get(name), dtype):
            return f"the weights {name} are none that the native kernel knows"
    return None


def _flat(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    if not isinstance(tree, dict):
        return {prefix[:-1]: np.asarray(tree)}
    return {name: value for key, part in tree.items() for name, value in _flat(part, f"{prefix}{key}/").items()}


def _shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """The weights that the kernel knows, by their paths."""
    front, stack, head = network.front, network.stack, network.head
    found: dict[str, tuple[int, ...]] = {}
    widths = (stack.inputs, *stack.hidden, *stack.dense)
    for n, units in enumerate(stack.hidden):
        gates = GATES[stack.cell] * units
        of = {"W": (widths[n], gates), "U": (units, gates), "b": (gates,)}
        of |= {"bn": (units,)} if stack.cell == "gru" else {}
        of |= {f"init_{part}": (units,) for part in STATES[stack.cell]}
        found |= {f"stack/cells/{n}/{name}": shape for name, shape in of.items()}
    dense = {f"stack/dense/{n}": (widths[len(stack.hidden) + n], units) for n, units in enumerate(stack.dense)}
    numbers = head.targets * head.width
    dense |= {"head/out": (head.inputs, head.horizon * numbers)}
    if head.future:
        dense |= {"head/state": (head.inputs, FUTURE_UNITS)}
        found |= {"head/known/W": (head.future, FUTURE_UNITS), "head/step/e": (head.horizon, FUTURE_UNITS)}
        found |= {"head/mix/W": (FUTURE_UNITS, numbers)}
    found |= {f"{name}/W": shape for name, shape in dense.items()}
    found |= {f"{name}/b": shape[1:] for name, shape in dense.items()}
    return found | ({"skip/W": (front.targets, front.skip, head.horizon)} if front.skip else {})


class Prepared(NamedTuple):
    """A step that is checked and ready, of which nothing has happened yet.

    Attributes:
        call: takes no arguments and does all of it at once; what it returns is for `check`.
        forecast, scale, moved: filled by it, see `NetworkStep.step`.
        kept: what must outlive the call.
    """

    call: Callable[[], int]
    forecast: Float[np.ndarray, "S H D O"]
    scale: Float[np.ndarray, "S D"]
    moved: Float[np.ndarray, "S K L D"] | None
    kept: tuple[Any, ...]


class NetworkStep:
    """A network's weights, packed once, for one step at a time over rows of a table of states.

    The table is the streams' own: one row for each series, laid out as `Layout.of(network.parts())` says. A call takes
    the rows that got an observation, and puts their next states back in place. Their bits depend on nothing but
    themselves: not on the rows beside them, nor on the number of threads. Calls from several threads at once are safe
    as long as no two of them step the same row.
    """

    def __init__(self, network: Network, p: Any) -> None:
        """Pack a network that is not `unknown`; the arrays are copied, later changes to them have no effect."""
        front, head, layout = network.front, network.head, Layout.of(network.parts())
        self._size, self._targets = layout.size, front.targets
        self._forecast = (head.horizon, head.targets, head.width)
        self._future = (head.horizon, head.future)
        self._dtype = p["constants"]["level"].dtype
        self._threads = kernel.threads(network.stack.threads or None)
        self._covariates = front.inputs - _own_inputs(front)
        self._call = library().statecast_network_observe
        sizes, units = _sizes(network, self._dtype, self._covariates), np.array(_units(network), np.int64)
        columns = np.array(_columns(network, layout), np.int64)
        arrays = [None if array is None else np.ascontiguousarray(array) for array in _arrays(network, p)]
        pointers = (c_void_p * len(arrays))(*(None if array is None else address(array) for array in arrays))
        size = library().statecast_network_bytes(byref(sizes), address(units))
        self._block = np.zeros(size + 64, np.uint8)  # kept here: `_packed` is an address in it
        self._packed = address(self._block) + -address(self._block) % 64
        check(library().statecast_network_pack(byref(sizes), address(units), address(columns), pointers, self._packed))

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
            DataError: a wrong shape, dtype or layout, or a row that the table does not hold. Nothing has moved then.
        """
        made = self.prepare(_table(states), values, covariates, future, index)
        check(made.call())
        return made.forecast, made.scale

    def prepare(
        self,
        states: Blocks,
        values: Float64[np.ndarray, "S D"],
        covariates: Float[np.ndarray, "S n"] | None = None,
        future: Float[np.ndarray, "S H F"] | None = None,
        index: Int64[np.ndarray, " S"] | None = None,
        follower: Follower | None = None,
    ) -> Prepared:
        """`step` up to the moment at which rows move; with `follower` their intervals will move in the same call."""
        values = self._checked("values", values, (len(values), self._targets), _FLOAT64)
        if covariates is not None or self._covariates:
            covariates = self._checked("covariates", covariates, (len(values), self._covariates), self._dtype)
        return self._prepared(states, values, covariates, future, index, len(values), follower)

    def emit(
        self,
        states: Blocks | Float[np.ndarray, "rows size"],
        future: Float[np.ndarray, "S H F"] | None = None,
        index: Int64[np.ndarray, " S"] | None = None,
    ) -> tuple[Float[np.ndarray, "S H D O"], Float[np.ndarray, "S D"]]:
        """`Network.emit` of rows of the table: nothing moves. The arguments are those of `step`."""
        table = _table(states)
        made = self._prepared(table, None, None, future, index, table.rows if index is None else len(index), None)
        check(made.call())
        return made.forecast, made.scale

    def _prepared(
        self,
        table: Blocks,
        values: Any,
        covariates: Any,
        future: Any,
        index: Any,
        count: int,
        follower: Follower | None,
    ) -> Prepared:
        if table.dtype != self._dtype:
            raise DataError(f"states must be a C-ordered {self._dtype} table [rows, numbers], not of {table.dtype}")
        if table.size < self._size:  # further numbers are not the network's, and stay
            raise DataError(f"states have {table.size} numbers a row, wanted at least {self._size}")
        if index is not None and (index.dtype != np.int64 or index.shape != (count,) or not index.flags.c_contiguous):
            raise DataError(f"index must name a row for each of the {count} rows of values, as int64")
        if self._future[1]:
            future = self._checked("future", future, (count, *self._future), self._dtype)
        forecast = np.empty((count, *self._forecast), self._dtype)
        scale = np.empty((count, self._targets), self._dtype)
        moved = None if follower is None else np.empty((count, *follower.shape), self._dtype)
        inputs = [None if array is None else address(array) for array in (values, covariates, future)]
        where = address(table.addresses), None if index is None else address(index), table.block, table.rows, table.size
        results = address(forecast), address(scale), None if moved is None else address(moved)
        of = byref(Observations(*where, count, *inputs, *results))
        following = None if follower is None else byref(follower.whole)
        call = partial(self._call, self._packed, self._threads, of, following)
        kept = table, table.addresses, values, covariates, future, index, follower
        return Prepared(call, forecast, scale, moved, kept)

    def _checked(self, name: str, array: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        if array is None or array.shape != shape or array.dtype != dtype:
            came = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
            raise DataError(f"{name} is {came}, wanted {dtype}{list(shape)}")
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _table(states: Blocks | Float[np.ndarray, "rows size"]) -> Blocks:
    """A table of states as the kernel takes it."""
    if isinstance(states, Blocks):
        return states
    if states.ndim != 2 or not states.flags.c_contiguous:
        raise DataError("states must be a C-ordered table [rows, numbers]")
    if not states.flags.writeable:
        raise DataError("states cannot be written to, and a step replaces them in place")
    return Blocks.of(states)


def _own_inputs(front: Front) -> int:
    """The stack's inputs that come from the targets."""
    return front.targets * (front.lags + 2 * front.missing + 2 * front.level_input)


def _units(network: Network) -> tuple[int, ...]:
    return (*network.stack.hidden, *network.stack.dense)


def _sizes(network: Network, dtype: Any, covariates: int) -> Any:
    front, stack, head = network.front, network.stack, network.head
    return Sizes(
        cell=CELLS.get(stack.cell, 0),  # of a network without recurrent layers any will do
        dtype=DTYPES[dtype],
        isa=INSTRUCTION_SETS.index(kernel.instruction_set()),
        normalize=NORMALIZERS.index(front.normalize),
        activation=ACTIVATIONS.index(stack.activation),
        missing=front.missing,
        level_input=front.level_input,
        residual=stack.residual,
        decay=front.decay,
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
    )


def _columns(network: Network, layout: Layout) -> list[int]:
    begin = {name: where.start for name, (where, _) in layout.slices.items()}
    cells = [begin.get(f"{n}.{part}", -1) for n in range(len(network.stack.hidden)) for part in ("h", "c")]
    front = [begin[name] for name in (*STATISTICS, "ring", "held")]
    return [*front, *cells, begin["out"], begin.get("static", -1)]


def _arrays(network: Network, p: Any) -> list[np.ndarray | None]:
    """Every array in the order of the C interface; None where there is none."""
    c = p["constants"]
    found: list[np.ndarray | None] = [np.asarray(c[name], np.float64) for name in ("origin", "unit")]
    found += [c[name].astype(c["level"].dtype) for name in ("level", "spread", "deviation", "ring_gain", "output_gain")]
    for weights, _ in network.members.each(p["weights"], None):
        found += _member_arrays(network, weights)
    return found


def _member_arrays(network: Network, w: Any) -> list[np.ndarray | None]:
    """Those of one network's weights."""
    head = w["head"]
    cells = [w["stack"]["cells"][str(n)] for n in range(len(network.stack.hidden))]
    dense = [w["stack"]["dense"][str(n)] for n in range(len(network.stack.dense))]
    found = [cell.get(name) for cell in cells for name in ("W", "U", "b", "bn")]
    found += [layer[name] for layer in [*dense, head["out"]] for name in ("W", "b")]
    if network.head.future:
        found += [head["state"]["W"], head["state"]["b"], head["known"]["W"], head["step"]["e"], head["mix"]["W"]]
    return found + ([w["skip"]["W"]] if network.front.skip else [])
