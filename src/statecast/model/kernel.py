"""The native kernel's face for NumPy arrays, and the choice of its settings.

The kernel is one shared library with a plain C interface (native/statecast.h), so ctypes is enough: importing this
module loads nothing, and the first use looks for the library beside this file. Where it could not be built, `available`
is false and `reason` says why; the callers then go through NumPy or JAX. `kernel_jax` is the same kernel for JAX.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from ctypes import POINTER, Structure, byref, c_char_p, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import DataError, SettingError, nearest

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CELLS = {"lstm": 0, "gru": 1, "gru_reset_before": 2, "rnn_tanh": 3, "rnn_relu": 4}
GATES = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "rnn_tanh": 1, "rnn_relu": 1}
STATES = {name: ("h", "c") if name == "lstm" else ("h",) for name in CELLS}
DTYPES = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}
INSTRUCTION_SETS = ("plain", "neon", "avx2", "avx512")
VERSION = 1
_CHOICE = "STATECAST_KERNEL"
_THREADS = "STATECAST_THREADS"


def _struct(name: str, fields: list[tuple[str, Any]]) -> type[Structure]:
    return type(name, (Structure,), {"_fields_": fields})


def _pointers(name: str, fields: str) -> type[Structure]:
    return _struct(name, [(field, c_void_p) for field in fields.split()])


_Shape = _struct(
    "_Shape",
    [(name, c_int32) for name in ("cell", "dtype", "threads", "isa")]
    + [(name, c_int64) for name in ("networks", "steps", "batch", "inputs", "hidden")],
)
_Inputs = _pointers("_Inputs", "x W U b bn h c h_reset c_reset mask reset")
_Outputs = _pointers("_Outputs", "y h c gates aux")
_Saved = _pointers("_Saved", "y gates aux dy dh dc")
_Gradients = _pointers("_Gradients", "dx dW dU db dbn dh dc dh_reset dc_reset")
_Rows = _struct(
    "_Rows",
    [(name, c_void_p) for name in ("packed", "x", "states", "y", "index")]
    + [(name, c_int64) for name in ("rows", "stride", "h_at", "c_at")],
)


@cache
def _load() -> tuple[Any, str]:
    """The library or None, and why."""
    import statecast.model

    # An editable install keeps what was compiled in another folder than the sources; the package's path names both.
    files = (file for folder in statecast.model.__path__ for file in Path(folder).glob("statecast_kernel.*"))
    found = [file for file in files if file.suffix in (".so", ".dll", ".dylib")]
    if not found:
        return None, "the native kernel was not built; install a C++17 compiler and reinstall statecast"
    try:
        library = ctypes.CDLL(str(found[0]))
        version = library.statecast_version()
    except (OSError, AttributeError) as error:
        return None, f"the native kernel could not be loaded: {error}"
    if version != VERSION:
        return None, f"the native kernel has version {version}, wanted {VERSION}; reinstall statecast"
    for name, fields in {"message": [c_int32], "isa_name": [c_int32]}.items():
        _declare(library, name, c_char_p, fields)
    shape = POINTER(_Shape)
    _declare(library, "saved_sizes", c_int32, [shape, POINTER(c_int64)])
    _declare(library, "forward", c_int32, [shape, POINTER(_Inputs), POINTER(_Outputs)])
    _declare(library, "backward", c_int32, [shape, POINTER(_Inputs), POINTER(_Saved), POINTER(_Gradients)])
    _declare(library, "packed_bytes", c_int64, [shape])
    _declare(library, "pack", c_int32, [shape, POINTER(_Inputs), c_void_p])
    _declare(library, "step", c_int32, [shape, POINTER(_Rows)])
    return library, f"native kernel ({found[0].name})"


def _declare(library: Any, name: str, result: Any, arguments: list[Any]) -> None:
    function = getattr(library, f"statecast_{name}")
    function.restype, function.argtypes = result, arguments


def _choice() -> str:
    return os.environ.get(_CHOICE, "auto").lower()


def available() -> bool:
    """Whether calls go to the native kernel: it is built, loads, and the environment does not turn it off."""
    return _choice() != "off" and _load()[0] is not None


def reason() -> str:
    """One line for people: which path runs the recurrences, and why."""
    if _choice() == "off":
        return f"NumPy or JAX: {_CHOICE}=off"
    library, why = _load()
    if library is None:
        return f"NumPy or JAX, more slowly: {why}"
    return f"{why}, instruction set {instruction_set()}, up to {threads()} threads"


def instruction_set() -> str:
    """The instruction set in use: the best that this machine runs, or the one that STATECAST_KERNEL names."""
    number = isa()
    return INSTRUCTION_SETS[library().statecast_best_isa() if number == -1 else number]


def runs() -> tuple[str, ...]:
    """The instruction sets that this machine and build can run."""
    return tuple(name for k, name in enumerate(INSTRUCTION_SETS) if library().statecast_runs_isa(k))


def library() -> Any:
    """The loaded library.

    Raises:
        SettingError: where it could not be built or loaded.
    """
    found, why = _load()
    if found is None:
        raise SettingError(why)
    return found


def isa() -> int:
    """The number of the instruction set that the environment asks for; −1 for the best.

    Raises:
        SettingError: for a name that is unknown, or that this machine does not run.
    """
    name = _choice()
    if name in ("auto", "off", ""):
        return -1
    if name not in INSTRUCTION_SETS:
        raise SettingError(f"{_CHOICE}={name}: {nearest(name, ('auto', 'off', *INSTRUCTION_SETS))}")
    if name not in runs():
        raise SettingError(f"{_CHOICE}={name}: this machine or build runs {', '.join(runs())}")
    return INSTRUCTION_SETS.index(name)


def threads(wanted: int | None = None) -> int:
    """How many threads a call may use: `wanted`, else STATECAST_THREADS, else the processors this process may use."""
    text = os.environ.get(_THREADS, "")
    count = wanted if wanted is not None else int(text) if text.isdecimal() else 0
    if wanted is None and text and not text.isdecimal():
        raise SettingError(f"{_THREADS}={text}: wanted a whole number of threads, 0 for all")
    if count < 0:
        raise SettingError(f"threads = {count}: wanted a whole number of threads, 0 for all")
    if count:
        return count
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def takes(cell: str, dtype: Any) -> bool:
    """Whether `layer` runs this cell in this dtype here."""
    return cell in CELLS and np.dtype(dtype) in DTYPES and available()


def _array(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise DataError(f"{name} has shape {array.shape}, wanted {shape}")
    if array.dtype != dtype:
        raise DataError(f"{name} has dtype {array.dtype}, wanted {np.dtype(dtype)}; convert it with .astype")
    return np.ascontiguousarray(array)


def _flags(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise DataError(f"{name} has shape {array.shape}, wanted {shape}")
    return np.ascontiguousarray(array != 0 if array.dtype != np.bool_ else array).view(np.uint8)


@dataclass
class _Call:
    """A checked call: its sizes, and its arrays by the names of `_Inputs`; they live as long as this does."""

    cell: str
    shape: Any
    dtype: Any
    arrays: dict[str, np.ndarray]

    def inputs(self) -> Any:
        return _fill(_Inputs, self.arrays)

    @property
    def weights(self) -> tuple[str, ...]:
        return tuple(name for name in ("W", "U", "b", "bn") if name in self.arrays)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.shape.steps, self.shape.batch, self.shape.inputs, self.shape.hidden


def _fill(kind: type[Structure], arrays: Mapping[str, np.ndarray | None]) -> Any:
    return kind(**{name: _address(array) for name, array in arrays.items() if array is not None})


def _address(array: np.ndarray) -> int:
    # Twice as quick as array.ctypes.data, which counts where a call takes microseconds.
    address: int = array.__array_interface__["data"][0]
    return address


def _weights(cell: str, weights: Mapping[str, Any], dtype: Any) -> tuple[dict[str, np.ndarray], int, int]:
    if cell not in CELLS:
        raise SettingError(f"cell {cell!r} is none of the native kernel's; {nearest(cell, CELLS)}")
    if dtype not in DTYPES:
        raise DataError(f"arrays have dtype {dtype}, wanted float32 or float64")
    hidden = np.shape(weights["U"])[0]
    inputs, columns = np.shape(weights["W"])[0], GATES[cell] * hidden
    shapes = {"W": (inputs, columns), "U": (hidden, columns), "b": (columns,)}
    shapes |= {"bn": (hidden,)} if cell == "gru" else {}
    return {name: _array(name, weights[name], shape, dtype) for name, shape in shapes.items()}, inputs, hidden


def _call(
    cell: str,
    weights: Mapping[str, Any],
    x: Any,
    state: Mapping[str, Any] | None,
    mask: Any,
    reset: Any,
    init: Mapping[str, Any] | None,
    count: int | None,
) -> _Call:
    x = np.asarray(x)
    if x.ndim != 3:
        raise DataError(f"x has shape {x.shape}, wanted [T, B, I]")
    arrays, inputs, hidden = _weights(cell, weights, x.dtype)
    steps, batch = x.shape[:2]
    arrays["x"] = _array("x", x, (steps, batch, inputs), x.dtype)
    for name in STATES[cell]:
        if state is not None:
            arrays[name] = _array(f"state {name}", state[name], (batch, hidden), x.dtype)
        if init is not None and name in init:
            arrays[f"{name}_reset"] = _array(f"init {name}", init[name], (hidden,), x.dtype)
    flags = {name: value for name, value in (("mask", mask), ("reset", reset)) if value is not None}
    arrays |= {name: _flags(name, value, (steps, batch)) for name, value in flags.items()}
    shape = _Shape(CELLS[cell], DTYPES[x.dtype], threads(count), isa(), 1, steps, batch, inputs, hidden)
    return _Call(cell, shape, x.dtype, arrays)


def _check(status: int) -> None:
    if status == 6:
        raise MemoryError("the native kernel could not allocate its scratch memory")
    if status:
        raise DataError(f"the native kernel refused the call: {library().statecast_message(status).decode()}")


def _forward(call: _Call, keep: bool) -> dict[str, np.ndarray]:
    steps, batch, _, hidden = call.sizes
    out = {"y": np.empty((steps, batch, hidden), call.dtype)}
    out |= {name: np.empty((batch, hidden), call.dtype) for name in STATES[call.cell]}
    if keep:
        sizes = (c_int64 * 2)()
        _check(library().statecast_saved_sizes(byref(call.shape), sizes))
        out |= {name: np.empty(size, call.dtype) for name, size in zip(("gates", "aux"), sizes, strict=True)}
    _check(library().statecast_forward(byref(call.shape), byref(call.inputs()), byref(_fill(_Outputs, out))))
    return out


def layer(
    cell: str,
    weights: Mapping[str, Any],
    x: Any,
    state: Mapping[str, Any] | None = None,
    mask: Any = None,
    reset: Any = None,
    init: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
) -> tuple[Any, dict[str, Any]]:
    """A recurrent layer over a segment, for NumPy or JAX arrays; the equations are those of `cells.py`.

    Args:
        cell: a name in `CELLS`.
        weights: W [I, G·H], U [H, G·H], b [G·H], and bn [H] for the cell "gru"; further entries are not read.
        x: input [T, B, I], float32 or float64; every other array has the same dtype.
        state: each part of the state before the first step [B, H]; None for zeros.
        mask: [T, B]; where 0 the state passes the step unchanged.
        reset: [T, B]; where not 0 the state before the step is replaced by `init`.
        init: the row [H] that a reset puts in, for each part of the state; None for zeros.
        threads: at most so many; None for `threads()`.

    Returns:
        The outputs [T, B, H] and the state after the last step.

    Raises:
        DataError: for an array of the wrong shape or dtype.
        SettingError: for a cell that the kernel lacks, or where the kernel is not there.
    """
    if type(x).__module__.startswith("jax"):
        from statecast.model import kernel_jax

        return kernel_jax.layer(cell, weights, x, state, mask, reset, init, threads=threads)
    call = _call(cell, weights, x, state, mask, reset, init, threads)
    out = _forward(call, keep=False)
    return out["y"], {name: out[name] for name in STATES[cell]}


def gradients(
    cell: str,
    weights: Mapping[str, Any],
    x: Any,
    state: Mapping[str, Any] | None,
    dy: Any,
    dstate: Mapping[str, Any] | None = None,
    mask: Any = None,
    reset: Any = None,
    init: Mapping[str, Any] | None = None,
    *,
    threads: int | None = None,
) -> tuple[Any, dict[str, Any], dict[str, np.ndarray]]:
    """`layer`, and its backward pass, for NumPy arrays.

    The arguments are those of `layer`, with `dy`, the gradient of the outputs [T, B, H], and `dstate`, that of each part
    of the state after the last step [B, H]; None for zero.

    Returns:
        Outputs and state as from `layer`, and the gradients of x, W, U, b, bn, the state's parts ("h", "c") and their
        resets ("h_reset", "c_reset").
    """
    call = _call(cell, weights, x, state, mask, reset, init, threads)
    steps, batch, _, hidden = call.sizes
    out = _forward(call, keep=True)
    saved = {name: out[name] for name in ("y", "gates", "aux")}
    saved["dy"] = _array("dy", dy, (steps, batch, hidden), call.dtype)
    for name, value in (dstate or {}).items():
        saved[f"d{name}"] = _array(f"dstate {name}", value, (batch, hidden), call.dtype)
    grads = {name: np.zeros_like(call.arrays[name]) for name in ("x", *call.weights)}
    for name in STATES[cell]:
        grads[name] = np.zeros((batch, hidden), call.dtype)
        grads[f"{name}_reset"] = np.zeros(hidden, call.dtype)
    into = _fill(_Gradients, {f"d{name}": array for name, array in grads.items()})
    kept = _fill(_Saved, saved)
    _check(library().statecast_backward(byref(call.shape), byref(call.inputs()), byref(kept), byref(into)))
    return out["y"], {name: out[name] for name in STATES[cell]}, grads


class Stepper:
    """A layer's weights, packed once, for one step at a time over rows of a table of states.

    The table is the streams' own: one row of numbers per series, in which this layer's h and c stand at fixed columns.
    A step gathers the rows that got an observation, computes, and puts them back in place.
    """

    def __init__(self, cell: str, weights: Mapping[str, Any], *, threads: int | None = None) -> None:
        """Pack the weights, as for `layer`; they are copied, later changes to them have no effect."""
        dtype = np.asarray(weights["W"]).dtype
        arrays, self._inputs, self.hidden = _weights(cell, weights, dtype)
        self.cell, self.dtype = cell, dtype
        self._shape = _Shape(
            CELLS[cell], DTYPES[dtype], _limit(threads), _resolved(), 1, 1, 0, self._inputs, self.hidden
        )
        size = library().statecast_packed_bytes(byref(self._shape))
        block = np.zeros(size + 64, np.uint8)
        self._packed = block[-_address(block) % 64 :][:size]
        self._at = _address(self._packed)
        self._run = library().statecast_step
        _check(library().statecast_pack(byref(self._shape), byref(_fill(_Inputs, arrays)), self._at))

    def step(
        self,
        x: Float[np.ndarray, "S I"],
        states: Float[np.ndarray, "rows stride"],
        at: Mapping[str, int],
        index: Int[np.ndarray, " S"] | None = None,
    ) -> Float[np.ndarray, "S H"]:
        """One step for S rows.

        Args:
            x: their inputs.
            states: the table; its rows are changed in place.
            at: the first column of each part of this layer's state in the table.
            index: which rows, all different; None for the first S.

        Returns:
            The outputs, which are also the new h.

        Raises:
            DataError: for a wrong shape, dtype or layout, or a row that the table does not hold.
        """
        x = _array("x", x, (x.shape[0] if x.ndim else -1, self._inputs), self.dtype)
        flags = states.flags
        if states.ndim != 2 or states.dtype != self.dtype or not (flags.c_contiguous and flags.writeable):
            raise DataError(f"states must be a writeable C-ordered {self.dtype} table [rows, numbers]")
        rows = len(x) if index is None else len(index)
        if rows != len(x):
            raise DataError(f"x has {len(x)} rows, index names {rows}; wanted one row of x for each")
        index = None if index is None else np.ascontiguousarray(index, np.int64)
        y = np.empty((rows, self.hidden), self.dtype)
        places = None if index is None else _address(index)
        at_c = at["c"] if self.cell == "lstm" else 0
        call = _Rows(self._at, _address(x), _address(states), _address(y), places, *states.shape, at["h"], at_c)
        shape = _Shape.from_buffer_copy(self._shape)
        shape.batch = rows
        _check(self._run(byref(shape), byref(call)))
        return y


def _limit(wanted: int | None) -> int:
    return threads(wanted)


def _resolved() -> int:
    return INSTRUCTION_SETS.index(instruction_set())
