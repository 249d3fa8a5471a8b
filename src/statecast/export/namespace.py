"""The array library of a graph: what its arrays call `xp`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from statecast.errors import SettingError
from statecast.export.arrays import GraphArray, broadcast
from statecast.export.elementwise import Elementwise
from statecast.export.graph import is_of_rows
from statecast.model.cells import Array


class Namespace(Elementwise):
    """The functions of the array API standard over the arrays of one graph: sums, products and shapes, and the rest."""

    # --- sums

    def _reduced(self, operator: str, x: Any, *, axis: Any = None, keepdims: bool = False) -> Array:
        x = self.asarray(x)
        numbers = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = sorted(number % x.ndim for number in numbers)
        if x.dtype == self.bool:
            x = self.astype(x, self.int64)
        shape = tuple(1 if n in axes else size for n, size in enumerate(x.shape))
        name = self.graph.add(operator, [x.name, self.graph.constant(axes, np.int64)], keepdims=1)
        result = GraphArray(self, name, shape, x.dtype)
        return result if keepdims else self.squeeze(result, axis=tuple(axes))

    def any(self, x: Any, *, axis: Any = None, keepdims: bool = False) -> Array:
        """Whether some elements are true."""
        return self.max(self.astype(x, self.int32), axis=axis, keepdims=keepdims) > 0

    def all(self, x: Any, *, axis: Any = None, keepdims: bool = False) -> Array:
        """Whether all elements are true."""
        return self.min(self.astype(x, self.int32), axis=axis, keepdims=keepdims) > 0

    def cumulative_sum(self, x: GraphArray, *, axis: int = -1) -> Array:
        """Sums of the elements so far."""
        return self._with_axis("CumSum", x, axis)

    def _with_axis(self, operator: str, x: GraphArray, axis: int) -> Array:
        place = self.graph.constant(axis % x.ndim, np.int64)
        return GraphArray(self, self.graph.add(operator, [x.name, place]), x.shape, x.dtype)

    def searchsorted(self, x1: Any, x2: Any, *, side: str = "left") -> Array:
        """How many numbers of an ascending list lie below each other number, or with "right" not above it."""
        places = self.asarray(x2)[..., None]
        below = self.less(x1, places) if side == "left" else self.less_equal(x1, places)
        return self.sum(self.astype(below, self.int64), axis=-1)

    # --- products

    def matmul(self, x: Any, y: Any) -> Array:
        """The matrix product, over any leading axes."""
        x, y = self._pair(x, y)
        if x.ndim < 2 or y.ndim < 2:
            raise SettingError("a product takes matrices: add an axis to a vector with x[..., None]")
        if x.shape[-1] != y.shape[-2]:
            raise SettingError(f"the product of {x.shape} and {y.shape}: inner sizes differ")
        shape = (*broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
        if not x.shape[-1]:
            return self.zeros(shape, x.dtype)
        return self.new("MatMul", [x, y], shape, x.dtype)

    # --- shapes

    def reshape(self, x: Any, shape: Any) -> Array:
        """The same elements in another shape."""
        x, shape = self.asarray(x), tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        if -1 in shape:
            rest = math.prod(size for size in shape if size != -1)
            shape = tuple(x.size // rest if size == -1 else size for size in shape)
        if math.prod(shape) != x.size:
            raise SettingError(f"an array of shape {x.shape} does not have as many elements as one of shape {shape}")
        if shape == x.shape:
            return x
        if not x.size:
            return self.zeros(shape, x.dtype)
        if x.fill is not None:
            return self.full(shape, x.fill, x.dtype)
        # At most one size is of the batch, since no array has two axes of it.
        sizes = self.graph.constant([-1 if is_of_rows(size) else size for size in shape], np.int64)
        return GraphArray(self, self.graph.add("Reshape", [x.name, sizes]), shape, x.dtype)

    def expand_dims(self, x: Any, *, axis: int = 0) -> Array:
        """One axis of size 1 more."""
        x = self.asarray(x)
        place = axis % (x.ndim + 1)
        shape = (*x.shape[:place], 1, *x.shape[place:])
        if x.fill is not None:
            return self.full(shape, x.fill, x.dtype)
        axes = self.graph.constant([place], np.int64)
        return GraphArray(self, self.graph.add("Unsqueeze", [x.name, axes]), shape, x.dtype)

    def squeeze(self, x: Any, *, axis: Any) -> Array:
        """Without axes of size 1."""
        x = self.asarray(x)
        axes = sorted(number % x.ndim for number in (axis if isinstance(axis, tuple) else (axis,)))
        shape = tuple(size for n, size in enumerate(x.shape) if n not in axes)
        places = self.graph.constant(axes, np.int64)
        return GraphArray(self, self.graph.add("Squeeze", [x.name, places]), shape, x.dtype)

    def permute_dims(self, x: Any, axes: Sequence[int]) -> Array:
        """Axes in another order."""
        x = self.asarray(x)
        order = tuple(number % x.ndim for number in axes)
        if order == tuple(range(x.ndim)):
            return x
        return self.new("Transpose", [x], tuple(x.shape[n] for n in order), x.dtype, perm=order)

    def moveaxis(self, x: Any, source: int, destination: int) -> Array:
        """One axis moved elsewhere."""
        x = self.asarray(x)
        order = [n for n in range(x.ndim) if n != source % x.ndim]
        order.insert(destination % x.ndim, source % x.ndim)
        return self.permute_dims(x, order)

    def matrix_transpose(self, x: Any) -> Array:
        """The last two axes exchanged."""
        return self.moveaxis(x, -1, -2)

    def flip(self, x: GraphArray, *, axis: int) -> Array:
        """In reverse order along an axis."""
        keys = [slice(None)] * x.ndim
        keys[axis] = slice(None, None, -1)
        return x[tuple(keys)]

    def broadcast_to(self, x: Any, shape: Any) -> Array:
        """Spread to a shape."""
        x, shape = self.asarray(x), tuple(shape)
        if broadcast(x.shape, shape) != shape:
            raise SettingError(f"an array of shape {x.shape} cannot be spread to {shape}")
        if x.shape == shape:
            return x
        if x.fill is not None:
            return self.full(shape, x.fill, x.dtype)
        return GraphArray(self, self.graph.add("Expand", [x.name, self.graph.sizes(shape)]), shape, x.dtype)

    def concat(self, arrays: Sequence[Any], *, axis: int = 0) -> Array:
        """Arrays one after another along an axis."""
        items = [self.asarray(item) for item in arrays]
        dtype = np.result_type(*(item.dtype for item in items))
        place = axis % items[0].ndim
        size = sum(item.shape[place] for item in items)
        shape = (*items[0].shape[:place], size, *items[0].shape[place + 1 :])
        filled = [self.astype(item, dtype) for item in items if item.shape[place]]
        if len(filled) == 1:
            return filled[0]
        if not filled:
            return self.zeros(shape, dtype)
        return self.new("Concat", filled, shape, dtype, axis=place)

    def stack(self, arrays: Sequence[Any], *, axis: int = 0) -> Array:
        """Arrays of one shape side by side, along a new axis."""
        items = [self.asarray(item) for item in arrays]
        place = axis % (items[0].ndim + 1)
        return self.concat([self.expand_dims(item, axis=place) for item in items], axis=place)

    def take(self, x: Any, indices: Any, *, axis: int = 0) -> Array:
        """Elements by their places along an axis."""
        return self.gather(self.asarray(x), self.asarray(indices), axis)

    def gather(self, x: GraphArray, indices: GraphArray, axis: int) -> Array:
        """`take`, with places in any shape."""
        place = axis % x.ndim
        shape = (*x.shape[:place], *indices.shape, *x.shape[place + 1 :])
        return self.new("Gather", [x, indices], shape, x.dtype, axis=place)

    def take_along_axis(self, x: GraphArray, indices: GraphArray, *, axis: int = -1) -> Array:
        """For each place elsewhere, the element at one place along an axis."""
        place = axis % x.ndim
        outer = [1 if n == place else size for n, size in enumerate(x.shape)]
        shape = broadcast(indices.shape, tuple(outer))
        return self.new("GatherElements", [x, self.broadcast_to(indices, shape)], shape, x.dtype, axis=place)
