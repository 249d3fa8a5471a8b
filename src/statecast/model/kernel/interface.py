"""The native kernel's C interface in Python: the names and structs of native/statecast.h, in the same order.

A struct and an order of names cannot be asked of a library, so they stand here a second time, and
tests/test_kernel_interface.py reads the header and compares. Every array goes to the library with its length in bytes,
which the library checks; `checked` is for people, who are told the name, shape and dtype.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from ctypes import Structure, addressof, c_char, c_double, c_int32, c_int64, c_void_p
from typing import Any

import numpy as np

from statecast.errors import DataError, SettingError, nearest
from statecast.model.cells import CELLS as EQUATIONS

VERSION = 14
CELLS = ("lstm", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu")
DTYPES = ("float32", "float64", "bf16")  # bf16: float32 arrays whose products take bfloat16
INSTRUCTION_SETS = ("plain", "neon", "avx2", "avx512", "avx512_bf16", "amx")
BF16_SETS = INSTRUCTION_SETS[4:]  # those whose products take bfloat16; float32 and float64 run in the others
NORMALIZERS = ("none", "global", "last", "ewma", "window")
ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid", "gelu", "silu")
STATUSES = (
    "ok",
    "bad_shape",
    "bad_cell",
    "bad_dtype",
    "bad_isa",
    "null",
    "no_memory",
    "bad_pack",
    "bad_row",
    "bad_length",
)

BF16 = DTYPES.index("bf16")
FORMATS = {np.dtype(name): DTYPES.index(name) for name in ("float32", "float64")}
"""The numbers of the dtypes that arrays have."""
FLOAT64, INT64 = np.dtype(np.float64), np.dtype(np.int64)
_ARRAY = object()
_first_of: Any = c_char.from_buffer


def _struct(name: str, *groups: tuple[Any, str]) -> type[Structure]:
    """A struct whose fields are groups of names of one type; an array is an address and a length in bytes."""
    fields: list[tuple[str, Any]] = []
    for kind, names in groups:
        for field in names.split():
            fields += [(field, c_void_p), (f"{field}_bytes", c_int64)] if kind is _ARRAY else [(field, kind)]
    return type(name, (Structure,), {"_fields_": fields})


ArrayArgument = _struct("ArrayArgument", (c_void_p, "data"), (c_int64, "bytes"))
LayerSizes = _struct(
    "LayerSizes",
    (c_int32, "cell dtype threads isa"),
    (c_int64, "networks steps batch inputs hidden"),
    (c_void_p, "pool"),  # null: a call from here starts threads of its own
)
LayerInputs = _struct("LayerInputs", (_ARRAY, "x W U b bn h c h_reset c_reset mask reset"))
LayerOutputs = _struct("LayerOutputs", (_ARRAY, "y h c gates aux"))
LayerTape = _struct("LayerTape", (_ARRAY, "y gates aux dy dh dc"))
LayerGradients = _struct("LayerGradients", (_ARRAY, "dx dW dU db dbn dh dc dh_reset dc_reset"))
NetworkSizes = _struct(
    "NetworkSizes",
    (c_int32, "cell dtype isa normalize activation missing level_input residual"),
    (c_double, "decay floor ceiling"),
    (c_int64, "targets lags skip covariates statics layers dense horizon levels future mixed members series"),
)
Adaptation = _struct(
    "Adaptation",
    (c_int32, "dtype"),
    (c_double, "forget prior most narrowest farthest"),
    (c_int64, "leads levels targets horizon begin counts least"),
    (_ARRAY, "steps ahead origin unit low high width rate share typical middle excess centre rules"),
)
Observations = _struct(
    "Observations",
    (c_int64, "block rows stride count"),
    (_ARRAY, "blocks index values covariates future forecast scale report"),
)
AdaptationPath = _struct("AdaptationPath", (c_int64, "steps slots"), (_ARRAY, "origins places"))
StatisticsCall = _struct(
    "StatisticsCall",
    (c_int32, "dtype normalize"),
    (c_double, "decay"),
    (c_int64, "steps rows targets"),
    (_ARRAY, "y m reset level_first spread_first level_before spread_before count_before since_before"),
    (_ARRAY, "level spread count since"),
)
SkipSizes = _struct(
    "SkipSizes",
    (c_int32, "dtype threads isa"),
    (c_int64, "networks places steps batch targets size horizon series"),
    (c_void_p, "pool"),
)
SkipArrays = _struct("SkipArrays", (_ARRAY, "y m last age level scale W numbers maps dout out dW"))


def weight_shapes(cell: str, inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """The weights that the kernel reads of a layer.

    Raises:
        SettingError: for a cell that it lacks.
    """
    if cell not in CELLS:
        raise SettingError(f"cell {cell!r} is none of the native kernel's; {nearest(cell, CELLS)}")
    columns = EQUATIONS[cell].gates * hidden
    shapes: dict[str, tuple[int, ...]] = {"W": (inputs, columns), "U": (hidden, columns), "b": (columns,)}
    return shapes | ({"bn": (hidden,)} if cell == "gru" else {})


def fill(target: Structure, arrays: Mapping[str, np.ndarray]) -> Any:
    """Point a struct's fields to arrays, which must outlive it; what is not named stays as it is."""
    for name, array in arrays.items():
        setattr(target, name, address(array))
        setattr(target, f"{name}_bytes", array.nbytes)
    return target


def argument(array: np.ndarray) -> Any:
    """An array as an argument of its own; it must outlive it."""
    return ArrayArgument(*span(array))


def packer(kind: type[Structure]) -> Callable[..., bytes]:
    """A function that puts all of a struct's fields, in order, into bytes, which a call takes as a pointer.

    Making the struct itself takes some microseconds, as long as a small network's step.
    """
    letters = {c_int32: "i", c_int64: "q", c_double: "d", c_void_p: "P"}
    return struct.Struct("@" + "".join(letters[field[1]] for field in kind._fields_)).pack


def span(array: np.ndarray | None) -> tuple[int, int]:
    """Where an array begins and how many bytes it has; null where there is none."""
    return (0, 0) if array is None else (address(array), array.nbytes)


def address(array: np.ndarray) -> int:
    """Where the array's first element lies."""
    # The quick way, which counts where a call takes microseconds, wants something to write to.
    try:
        return addressof(_first_of(array))
    except (TypeError, ValueError):
        address: int = array.__array_interface__["data"][0]
        return address


def checked(name: str, array: np.ndarray | None, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of exactly this shape and dtype, C-ordered; it is copied only where it lies otherwise in memory.

    Raises:
        DataError: it is another one, or none.
    """
    if array is None or array.shape != shape or array.dtype != dtype:
        what = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
        raise DataError(f"{name} is {what}, expected {np.dtype(dtype)}{list(shape)}")
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    return np.require(array, requirements=("C", "A"))
