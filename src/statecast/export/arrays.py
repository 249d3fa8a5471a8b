"""Arrays without numbers: what is done to them becomes operations of a graph.

A `GraphArray` answers `__array_namespace__()` as NumPy's and JAX's arrays do, so the network's own lines, and those of
a cell that a user wrote, run on it and leave the graph behind. Numbers of Python take the format of the array that they
meet, and two formats are joined as NumPy joins them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from statecast.errors import SettingError
from statecast.export.graph import ROWS, Graph, Shape, is_of_rows
from statecast.model.cells import Array

NOT_KNOWN = "its numbers are not known while a graph is written: use where(condition, …, …) in place of if"
UFUNCS = {"true_divide": "divide", "conjugate": "real"}  # names of NumPy that are others in the array API standard


class GraphArray:
    """An array in a graph.

    Args:
        xp: the array library of a graph.
        name: of the value; None for an array that is `fill` throughout and not a value of the graph yet.
        shape: sizes; the batch counts as `ROWS`.
        dtype: format.
        fill: the number that it is filled with, if it is one.

    Attributes:
        graph: the graph.
        shape, dtype, fill: as above.
    """

    def __init__(self, xp: Any, name: str | None, shape: Shape, dtype: Any, fill: Any = None) -> None:
        self.graph: Graph = xp.graph
        self.shape, self.dtype, self.fill = tuple(shape), np.dtype(dtype), fill
        self._xp, self._name = xp, name

    @property
    def name(self) -> str:
        """The name of its value in the graph."""
        if self._name is None:
            number = self.graph.constant(self.fill, self.dtype)
            self._name = self.graph.add("Expand", [number, self.graph.sizes(self.shape)]) if self.shape else number
        return self._name

    def operand(self, shape: Shape) -> str:
        """The name of a value that is as good as this array beside one of this shape: itself, or its only number."""
        if self._name is None and shape == broadcast(self.shape, shape) and self.fill is not None:
            return self.graph.constant(self.fill, self.dtype)
        return self.name

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def mT(self) -> Array:
        """The last two axes exchanged."""
        return self._xp.matrix_transpose(self)

    @property
    def T(self) -> Array:
        """A matrix transposed."""
        return self._xp.matrix_transpose(self)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return self._xp

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's functions, and its arrays on the left of an operator, go on in the graph."""
        name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
        if method != "__call__" or options:
            raise SettingError(f"numpy.{ufunc.__name__}.{method} cannot be exported: write it with the array's own xp")
        return getattr(self._xp, name)(*inputs)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise SettingError(f"an array of a graph cannot become one of NumPy: {NOT_KNOWN}")

    def __bool__(self) -> bool:
        raise SettingError(f"an array of a graph is neither true nor false: {NOT_KNOWN}")

    def __float__(self) -> float:
        raise SettingError(f"an array of a graph is not a number: {NOT_KNOWN}")

    __int__ = __index__ = __float__

    def __len__(self) -> int:
        if not self.shape or is_of_rows(self.shape[0]):
            raise SettingError("the size of the batch is not known while a graph is written")
        return self.shape[0]

    def __iter__(self) -> Iterator[GraphArray]:
        return (self[n] for n in range(len(self)))

    def __repr__(self) -> str:
        sizes = ", ".join("batch" if size == ROWS else str(size) for size in self.shape)
        return f"<GraphArray: {self.dtype} [{sizes}]>"

    # --- indexing

    def __getitem__(self, key: Any) -> Array:
        keys = _expanded(key if isinstance(key, tuple) else (key,), self.ndim)
        result, axis = self, 0
        for item in keys:
            if item is None:
                result = result._xp.expand_dims(result, axis=axis)
                axis += 1
            elif isinstance(item, slice):
                result, axis = result._cut(item, axis), axis + 1
            elif isinstance(item, (int, np.integer)):
                result = result._picked(int(item), axis)
            else:
                index = result._xp.asarray(item)
                if index.dtype.kind != "i":
                    raise SettingError("a mask may pick any number of elements: use where(mask, …, …) instead")
                result, axis = result._xp.gather(result, index, axis), axis + index.ndim
        return result

    def _cut(self, part: slice, axis: int) -> Array:
        size = self.shape[axis]
        if part == slice(None):
            return self
        if is_of_rows(size):
            raise SettingError("rows of the batch cannot be told apart while a graph is written")
        begin, end, step = part.indices(size)
        count = len(range(begin, end, step))
        shape = (*self.shape[:axis], count, *self.shape[axis + 1 :])
        if count == size and step == 1:
            return self
        if self.fill is not None or not count:
            return GraphArray(self._xp, None, shape, self.dtype, 0 if self.fill is None else self.fill)
        end = end if end >= 0 else np.iinfo(np.int64).min
        bounds = [self.graph.constant([number], np.int64) for number in (begin, end, axis, step)]
        return GraphArray(self._xp, self.graph.add("Slice", [self.name, *bounds]), shape, self.dtype)

    def _picked(self, place: int, axis: int) -> Array:
        size = self.shape[axis]
        if is_of_rows(size):
            raise SettingError("rows of the batch cannot be told apart while a graph is written")
        if not -size <= place < size:
            raise SettingError(f"index {place} of an axis of {size}: out of range")
        return self._xp.gather(self, self._xp.asarray(np.int64(place % size)), axis)

    # --- operators

    def __neg__(self) -> Array:
        return self._xp.negative(self)

    def __pos__(self) -> Array:
        return self

    def __abs__(self) -> Array:
        return self._xp.abs(self)

    def __invert__(self) -> Array:
        return self._xp.logical_not(self)

    def __eq__(self, other: Any) -> Array:
        return self._xp.equal(self, other)

    def __ne__(self, other: Any) -> Array:
        return self._xp.not_equal(self, other)

    __hash__ = object.__hash__


def _expanded(keys: tuple[Any, ...], ndim: int) -> list[Any]:
    """Keys of an index with one for each axis: … is replaced by slices."""
    keys = keys if any(item is Ellipsis for item in keys) else (*keys, Ellipsis)
    count = sum(1 for item in keys if item is not None and item is not Ellipsis)
    if count > ndim:
        raise SettingError(f"{count} indices of an array with {ndim} axes")
    full: list[Any] = []
    for item in keys:
        full += [slice(None)] * (ndim - count) if item is Ellipsis else [item]
    return full


def broadcast(*shapes: Shape) -> Shape:
    """The shape that arrays of these shapes have together.

    Raises:
        SettingError: they do not fit.
    """
    ndim = max(map(len, shapes))
    padded = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            raise SettingError(f"arrays of shapes {' and '.join(map(str, shapes))} do not fit together")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def _operator(function: str, swapped: bool) -> Any:
    def run(self: GraphArray, other: Any) -> Array:
        operation = getattr(self._xp, function)
        return operation(other, self) if swapped else operation(self, other)

    return run


_ARITHMETIC = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "logical_and",
    "or": "logical_or",
    "xor": "logical_xor",
}
_COMPARISONS = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
for _sign, _function in (_ARITHMETIC | _COMPARISONS).items():
    setattr(GraphArray, f"__{_sign}__", _operator(_function, False))
for _sign, _function in _ARITHMETIC.items():
    setattr(GraphArray, f"__r{_sign}__", _operator(_function, True))
