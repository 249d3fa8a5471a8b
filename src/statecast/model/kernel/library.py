"""The native kernel's library: its C structs, where it is found, and what the environment says of it.

The kernel is one shared library with a plain C interface (native/statecast.h), so ctypes is enough: importing this
module loads nothing, and the first use looks for the library in the package. Where it could not be built, `available`
is false and `reason` says why; the callers then go through NumPy or JAX.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Mapping
from ctypes import POINTER, Structure, addressof, c_char, c_char_p, c_double, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from statecast.errors import DataError, SettingError, nearest

CELLS = {"lstm": 0, "gru": 1, "gru_reset_before": 2, "rnn_tanh": 3, "rnn_relu": 4}
GATES = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "rnn_tanh": 1, "rnn_relu": 1}
STATES = {name: ("h", "c") if name == "lstm" else ("h",) for name in CELLS}
DTYPES = {np.dtype(np.float32): 0, np.dtype(np.float64): 1}
BF16 = 2  # float32 arrays whose products take bfloat16
INSTRUCTION_SETS = ("plain", "neon", "avx2", "avx512", "avx512_bf16", "amx")
BF16_SETS = INSTRUCTION_SETS[4:]  # those whose products take bfloat16; float32 and float64 run in the others
NORMALIZERS = ("none", "global", "last", "ewma", "window")  # in the order of the C interface, as is what is above
VERSION = 6
_CHOICE = "STATECAST_KERNEL"
_FILE = "STATECAST_KERNEL_FILE"  # another build of the library, such as one with sanitizers
_THREADS = "STATECAST_THREADS"
_first_of: Any = c_char.from_buffer


def _struct(name: str, fields: list[tuple[str, Any]]) -> type[Structure]:
    return type(name, (Structure,), {"_fields_": fields})


def _pointers(name: str, fields: str) -> type[Structure]:
    return _struct(name, [(field, c_void_p) for field in fields.split()])


Shape = _struct(
    "Shape",
    [(name, c_int32) for name in ("cell", "dtype", "threads", "isa")]
    + [(name, c_int64) for name in ("networks", "steps", "batch", "inputs", "hidden")]
    + [("pool", c_void_p)],  # none: a call from here starts threads of its own
)
Inputs = _pointers("Inputs", "x W U b bn h c h_reset c_reset mask reset")
Outputs = _pointers("Outputs", "y h c gates aux")
Saved = _pointers("Saved", "y gates aux dy dh dc")
Gradients = _pointers("Gradients", "dx dW dU db dbn dh dc dh_reset dc_reset")
_FLAGS = ("cell", "dtype", "isa", "normalize", "activation", "missing", "level_input", "residual")
_COUNTS = (
    "targets",
    "lags",
    "skip",
    "covariates",
    "statics",
    "layers",
    "dense",
    "horizon",
    "levels",
    "future",
    "mixed",
    "members",
)
Sizes = _struct(
    "Sizes", [*((name, c_int32) for name in _FLAGS), ("decay", c_double), *((name, c_int64) for name in _COUNTS)]
)
Following = _struct(
    "Following",
    [("dtype", c_int32)]
    + [(name, c_int64) for name in ("leads", "levels", "targets", "horizon", "begin", "counts", "least")]
    + [(name, c_void_p) for name in ("steps", "ahead", "origin", "unit", "low", "high", "size", "rate", "share")],
)
Observations = _struct(
    "Observations",
    [(name, c_void_p) for name in ("blocks", "index")]
    + [(name, c_int64) for name in ("block", "rows", "stride", "count")]
    + [(name, c_void_p) for name in ("values", "covariates", "future", "forecast", "scale", "moved")],
)
Statistics = _struct(
    "Statistics",
    [("dtype", c_int32), ("normalize", c_int32), ("decay", c_double)]
    + [(name, c_int64) for name in ("steps", "rows", "targets")]
    + [(name, c_void_p) for name in ("y", "m", "reset", "level_first", "spread_first")]
    + [(f"{name}_before", c_void_p) for name in ("level", "spread", "count", "since")]
    + [(name, c_void_p) for name in ("level", "spread", "count", "since")],
)


@cache
def load() -> tuple[Any, str]:
    """The library or None, and why."""
    import statecast.model.kernel

    # An editable install keeps what was compiled in another folder than the sources; the package's path names both.
    files = (file for folder in statecast.model.kernel.__path__ for file in Path(folder).glob("statecast_kernel.*"))
    given = os.environ.get(_FILE)
    found = [Path(given)] if given else [file for file in files if file.suffix in (".so", ".dll", ".dylib")]
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
    shape = POINTER(Shape)
    _declare(library, "best_isa", c_int32, [c_int32])
    _declare(library, "saved_sizes", c_int32, [shape, POINTER(c_int64)])
    _declare(library, "forward", c_int32, [shape, POINTER(Inputs), POINTER(Outputs)])
    _declare(library, "backward", c_int32, [shape, POINTER(Inputs), POINTER(Saved), POINTER(Gradients)])
    _declare(library, "network_bytes", c_int64, [POINTER(Sizes), c_void_p])
    _declare(library, "network_pack", c_int32, [POINTER(Sizes)] + [c_void_p] * 4)
    _declare(library, "network_observe", c_int32, [c_void_p, c_int32, POINTER(Observations), POINTER(Following)])
    follow = [POINTER(Following), POINTER(Observations)]
    _declare(library, "follow", c_int32, follow)
    _declare(library, "follow_through", c_int32, [*follow, c_int64, c_void_p, c_void_p, c_int64])
    _declare(library, "statistics", c_int32, [POINTER(Statistics)])
    return library, f"native kernel ({found[0].name})"


def _declare(library: Any, name: str, result: Any, arguments: list[Any]) -> None:
    function = getattr(library, f"statecast_{name}")
    function.restype, function.argtypes = result, arguments


def _choice() -> str:
    return os.environ.get(_CHOICE, "auto").lower()


def available() -> bool:
    """Whether calls go to the native kernel: it is built, loads, and the environment does not turn it off."""
    return _choice() != "off" and load()[0] is not None


def reason() -> str:
    """One line for people: which path runs the recurrences, and why."""
    if _choice() == "off":
        return f"NumPy or JAX: {_CHOICE}=off"
    library, why = load()
    if library is None:
        return f"NumPy or JAX, more slowly: {why}"
    return f"{why}, instruction set {instruction_set()}, up to {threads()} threads"


def warn_where_slow(cell: str, hidden: tuple[int, ...]) -> None:
    """Tell who trains such layers that it could be faster: the kernel was not built, and nobody turned it off."""
    if hidden and cell in CELLS and _choice() != "off" and load()[0] is None:
        warnings.warn(f"recurrent layers run in {reason()}", UserWarning, stacklevel=2)


def instruction_set(bf16: bool = False) -> str:
    """The instruction set in use: the best that this machine runs, or the one that STATECAST_KERNEL names.

    Raises:
        SettingError: for a name that is unknown or does not run here, and for bf16 where there is no set for it.
    """
    number = isa(bf16)
    return INSTRUCTION_SETS[library().statecast_best_isa(BF16 if bf16 else 0) if number == -1 else number]


def runs(bf16: bool = False) -> tuple[str, ...]:
    """The instruction sets that this machine and build can run, for float32 or for bf16."""
    names = BF16_SETS if bf16 else tuple(name for name in INSTRUCTION_SETS if name not in BF16_SETS)
    return tuple(name for name in names if library().statecast_runs_isa(INSTRUCTION_SETS.index(name)))


def bf16_reason() -> str:
    """One line for people: whether products of bfloat16 are possible here, and in what, or why not."""
    try:
        return f"possible: native kernel, instruction set {instruction_set(bf16=True)}"
    except SettingError as error:
        return f"not possible: {error}"


def library() -> Any:
    """The loaded library.

    Raises:
        SettingError: where it could not be built or loaded.
    """
    found, why = load()
    if found is None:
        raise SettingError(why)
    return found


def isa(bf16: bool = False) -> int:
    """The number of the instruction set that the environment asks for; −1 for the best.

    Raises:
        SettingError: for a name that is unknown, or that this machine does not run; for bf16 where nothing runs it.
    """
    name = _choice()
    if name not in ("auto", "off", "", *INSTRUCTION_SETS):
        raise SettingError(f"{_CHOICE}={name}: {nearest(name, ('auto', 'off', *INSTRUCTION_SETS))}")
    here = runs() + runs(bf16=True)
    if name in INSTRUCTION_SETS and name not in here:
        raise SettingError(f"{_CHOICE}={name}: this machine or build runs {', '.join(here)}")
    if bf16:
        return _bf16_isa(name)
    return INSTRUCTION_SETS.index(name) if name in runs() else -1  # float32 beside products of bfloat16: the best


def _bf16_isa(name: str) -> int:
    wrong, remedy = 'precision = "bf16"', 'choose precision = "float32"'
    if name == "off" or name in runs():
        raise SettingError(f"{wrong} with {_CHOICE}={name}, which has no bf16: {remedy}, or leave {_CHOICE} out")
    if name in BF16_SETS:
        return INSTRUCTION_SETS.index(name)
    if library().statecast_best_isa(BF16) < 0:
        wanted = "wanted AMX, or AVX512-BF16 on a processor that is not Intel's, and a compiler that knew it"
        why = "has no bf16 that is quicker than float32"
        raise SettingError(f"{wrong}: this machine or build of the native kernel {why}; {wanted}, or {remedy}")
    return -1


def number_of(dtype: Any, bf16: bool) -> int:
    """The number of a dtype, or of float32 with products of bfloat16."""
    if bf16 and dtype != np.float32:
        raise DataError(f"arrays have dtype {dtype}, wanted float32 for bf16")
    return BF16 if bf16 else DTYPES[np.dtype(dtype)]


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


def fill(kind: type[Structure], arrays: Mapping[str, np.ndarray | None]) -> Any:
    """A struct of pointers to arrays, which must outlive it; what is not named is null."""
    return kind(**{name: address(array) for name, array in arrays.items() if array is not None})


def address(array: np.ndarray) -> int:
    """Where the array's first element lies."""
    # The quick way, which counts where a call takes microseconds, wants something to write to.
    try:
        return addressof(_first_of(array))
    except (TypeError, ValueError):
        address: int = array.__array_interface__["data"][0]
        return address


def check(status: int) -> None:
    """Raise what a status other than 0 means."""
    if status == 6:
        raise MemoryError("the native kernel could not allocate its scratch memory")
    if status:
        raise DataError(f"the native kernel refused the call: {library().statecast_message(status).decode()}")
