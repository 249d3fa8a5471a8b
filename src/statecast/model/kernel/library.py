"""The native kernel's library: where it is found, what it can run here, and what the environment says of it.

The kernel is one shared library with a plain C interface (native/statecast.h), so ctypes is enough: importing this
module loads nothing, and the first use looks for the library in the package. Where it could not be built, `refuses`
says so; the callers then go through NumPy or JAX.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from statecast.errors import DataError, SettingError, nearest
from statecast.model.kernel import interface
from statecast.model.kernel.interface import BF16, BF16_SETS, CELLS, FORMATS, INSTRUCTION_SETS, STATUSES, VERSION

_CHOICE = "STATECAST_KERNEL"
_FILE = "STATECAST_KERNEL_FILE"  # another build of the library, such as one with sanitizers
_THREADS = "STATECAST_THREADS"
_NO_MEMORY = STATUSES.index("no_memory")


def refuses(precision: str = "float32") -> str | None:
    """Why nothing runs in the native kernel here in this precision, or None where it does.

    Args:
        precision: "float32", "float64" or "bf16".
    """
    if precision == "bf16":
        try:
            isa(bf16=True)
        except SettingError as error:
            return str(error)
        return None
    if _choice() == "off":
        return f"{_CHOICE}=off"
    return None if load()[0] is not None else load()[1]


def description() -> str:
    """One line for people: which path runs the recurrences, and why."""
    reason = refuses()
    if reason is not None:
        return f"NumPy or JAX{'' if _choice() == 'off' else ', more slowly'}: {reason}"
    return f"{load()[1]}, instruction set {instruction_set()}, up to {threads()} threads"


def bf16_description() -> str:
    """One line for people: whether products of bfloat16 are possible here, and in what, or why not."""
    reason = refuses("bf16")
    if reason is not None:
        return f"not possible: {reason}"
    return f"possible: native kernel, instruction set {instruction_set(bf16=True)}"


def warn_where_slow(cell: str, hidden: tuple[int, ...]) -> None:
    """Tell who trains such layers that it could be faster: the kernel was not built, and nobody turned it off."""
    if hidden and cell in CELLS and _choice() != "off" and load()[0] is None:
        warnings.warn(f"recurrent layers run in {description()}", UserWarning, stacklevel=2)


@cache
def load() -> tuple[Any, str]:
    """The library or None, and why."""
    import statecast.model.kernel

    # An editable install keeps what was compiled in another folder than the sources; the package's path names both.
    files = (file for folder in statecast.model.kernel.__path__ for file in Path(folder).glob("statecast_kernel.*"))
    choice = os.environ.get(_FILE)
    libraries = [Path(choice)] if choice else [file for file in files if file.suffix in (".so", ".dll", ".dylib")]
    if not libraries:
        return None, "the native kernel was not built; install a C++17 compiler and reinstall statecast"
    try:
        library = ctypes.CDLL(str(libraries[0]))
        version = library.statecast_version()
    except (OSError, AttributeError) as error:
        return None, f"the native kernel could not be loaded: {error}"
    if version != VERSION:
        return None, f"the native kernel has version {version}, expected {VERSION}; reinstall statecast"
    _declare(library)
    return library, f"native kernel ({libraries[0].name})"


def _declare(library: Any) -> None:
    """Tell ctypes what each function of the library takes and returns."""
    i, array = interface, POINTER(interface.ArrayArgument)
    layer, network = POINTER(i.LayerSizes), POINTER(i.NetworkSizes)
    adaptation, observations = POINTER(i.Adaptation), c_void_p  # a struct, or its bytes
    functions: dict[str, tuple[Any, list[Any]]] = {
        "message": (c_char_p, [c_int32]),
        "best_isa": (c_int32, [c_int32]),
        "runs_isa": (c_int32, [c_int32]),
        "gates": (c_int32, [c_int32]),
        "tape_sizes": (c_int32, [layer, POINTER(c_int64)]),
        "forward": (c_int32, [layer, POINTER(i.LayerInputs), POINTER(i.LayerOutputs)]),
        "backward": (c_int32, [layer, POINTER(i.LayerInputs), POINTER(i.LayerTape), POINTER(i.LayerGradients)]),
        "network_bytes": (c_int64, [network, array]),
        "network_pack": (c_int32, [network, array, array, array, c_int64, array]),
        "network_observe": (c_int32, [array, c_int32, observations, adaptation]),
        "network_advance": (c_int32, [array, c_int32, observations, c_int64]),
        "adapt": (c_int32, [adaptation, observations]),
        "adapt_along": (c_int32, [adaptation, observations, POINTER(i.AdaptationPath)]),
        "statistics": (c_int32, [POINTER(i.StatisticsCall)]),
        "skip_forward": (c_int32, [POINTER(i.SkipSizes), POINTER(i.SkipArrays)]),
        "skip_backward": (c_int32, [POINTER(i.SkipSizes), POINTER(i.SkipArrays)]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, f"statecast_{name}")
        function.restype, function.argtypes = result, arguments


def _choice() -> str:
    return os.environ.get(_CHOICE, "auto").lower()


def handle() -> Any:
    """The loaded library.

    Raises:
        SettingError: where it could not be built or loaded.
    """
    library, reason = load()
    if library is None:
        raise SettingError(reason)
    return library


def check(status: int) -> None:
    """Raise what a status other than 0 means."""
    if status == _NO_MEMORY:
        raise MemoryError("the native kernel could not allocate its scratch memory")
    if status:
        raise DataError(f"the native kernel refused the call: {handle().statecast_message(status).decode()}")


def instruction_set(bf16: bool = False) -> str:
    """The instruction set in use: the best that this machine runs, or the one that STATECAST_KERNEL names.

    Raises:
        SettingError: for a name that is unknown or does not run here, and for bf16 where there is no set for it.
    """
    number = isa(bf16)
    return INSTRUCTION_SETS[handle().statecast_best_isa(BF16 if bf16 else 0) if number == -1 else number]


def runs(bf16: bool = False) -> tuple[str, ...]:
    """The instruction sets that this machine and build can run, for float32 or for bf16."""
    names = BF16_SETS if bf16 else tuple(name for name in INSTRUCTION_SETS if name not in BF16_SETS)
    return tuple(name for name in names if handle().statecast_runs_isa(INSTRUCTION_SETS.index(name)))


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
    if handle().statecast_best_isa(BF16) < 0:
        needs = "expected AMX, or AVX512-BF16 on a processor that is not Intel's, and a compiler that knew it"
        why = "has no bf16 that is quicker than float32"
        raise SettingError(f"{wrong}: this machine or build of the native kernel {why}; {needs}, or {remedy}")
    return -1


def number_of(dtype: Any, bf16: bool) -> int:
    """The number of a dtype, or of float32 with products of bfloat16."""
    if bf16 and dtype != np.float32:
        raise DataError(f"arrays have dtype {dtype}, expected float32 for bf16")
    return BF16 if bf16 else FORMATS[np.dtype(dtype)]


def threads(limit: int | None = None) -> int:
    """How many threads a call may use: `limit`, else STATECAST_THREADS, else the processors this process may use."""
    text = os.environ.get(_THREADS, "")
    count = limit if limit is not None else int(text) if text.isdecimal() else 0
    if limit is None and text and not text.isdecimal():
        raise SettingError(f"{_THREADS}={text}: expected a whole number of threads, 0 for all")
    if count < 0:
        raise SettingError(f"threads = {count}: expected a whole number of threads, 0 for all")
    if count:
        return count
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
