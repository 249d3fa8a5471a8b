"""Functions of the array API standard that make arrays of a graph, or work element by element.

Each adds the operators of ONNX that it takes. Where the standard has a function that ONNX has not, or that runtimes
work out with too few digits, it is put together from others: log1p and expm1 as Kahan wrote them, tanh from expm1,
logaddexp from log1p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from statecast.errors import SettingError, nearest
from statecast.export.arrays import GraphArray, broadcast
from statecast.export.graph import Graph, Shape, is_of_rows
from statecast.model.cells import Array

ONNX_TYPES = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float64": 11}
"""Formats of arrays, and their numbers in ONNX (TensorProto.DataType)."""

# Functions of one array that are operators of ONNX; they return the format that comes in.
SAME = {
    "negative": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
}
REAL = {
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
}
TESTS = {"isnan": "IsNaN", "isinf": "IsInf", "logical_not": "Not"}
ARITHMETIC = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "maximum": "Max", "minimum": "Min"}
COMPARISONS = {
    "equal": "Equal",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
}
LOGIC = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}
REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd"}
TABLES: tuple[tuple[dict[str, str], str], ...] = (
    (SAME, "_same"),
    (REAL, "_real"),
    (TESTS, "_test"),
    (ARITHMETIC, "_arithmetic"),
    (COMPARISONS, "_compared"),
    (LOGIC, "_logic"),
    (REDUCTIONS, "_reduced"),
)
"""Functions by name, and the method that adds their operator."""


class Elementwise:
    """A part of the array library of one graph; see the array API standard for its functions.

    Args:
        graph: the graph.

    Attributes:
        graph: the same.
    """

    inf, nan, pi, e, newaxis = math.inf, math.nan, math.pi, math.e, None

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getattr__(self, name: str) -> Any:
        if name in ONNX_TYPES:
            return np.dtype(name)
        for table, kind in TABLES:
            if name in table:
                return partial(getattr(self, kind), table[name])
        if name.startswith("__"):
            raise AttributeError(name)
        functions = [*(item for table, _ in TABLES for item in table), *dir(self)]
        public = [item for item in functions if not item.startswith("_")]
        raise SettingError(f"xp.{name} cannot be exported to ONNX; {nearest(name, public)}")

    # --- arrays

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """A constant, or the array itself, in a format."""
        if isinstance(value, GraphArray):
            return value if dtype is None else self.astype(value, dtype)
        array = np.asarray(value, dtype)
        if array.dtype.name not in ONNX_TYPES:
            raise SettingError(f"arrays of {array.dtype} cannot be exported: expected {', '.join(ONNX_TYPES)}")
        return GraphArray(self, self.graph.constant(array), array.shape, array.dtype)

    def astype(self, x: Any, dtype: Any) -> Array:
        """In another format."""
        x, dtype = self.asarray(x), np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if x.fill is not None:
            return GraphArray(self, None, x.shape, dtype, dtype.type(x.fill))
        return self.new("Cast", [x], x.shape, dtype, to=ONNX_TYPES[dtype.name])

    def full(self, shape: Any, fill_value: Any, dtype: Any = None) -> Array:
        """Filled with one number."""
        shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        dtype = np.asarray(fill_value).dtype if dtype is None else np.dtype(dtype)
        return GraphArray(self, None, shape, dtype, dtype.type(fill_value))

    def zeros(self, shape: Any, dtype: Any = None) -> Array:
        """Filled with 0."""
        return self.full(shape, 0, self.float64 if dtype is None else dtype)

    def ones(self, shape: Any, dtype: Any = None) -> Array:
        """Filled with 1."""
        return self.full(shape, 1, self.float64 if dtype is None else dtype)

    def full_like(self, x: GraphArray, fill_value: Any, dtype: Any = None) -> Array:
        """Filled with one number, of the shape of another array."""
        return self.full(x.shape, fill_value, x.dtype if dtype is None else dtype)

    def zeros_like(self, x: GraphArray, dtype: Any = None) -> Array:
        """0 in the shape of another array."""
        return self.full_like(x, 0, dtype)

    def ones_like(self, x: GraphArray, dtype: Any = None) -> Array:
        """1 in the shape of another array."""
        return self.full_like(x, 1, dtype)

    def arange(self, start: int, stop: int | None = None, step: int = 1, dtype: Any = None) -> Array:
        """Whole numbers in steps; as many as the batch has rows, where that is asked."""
        start, stop = (0, start) if stop is None else (start, stop)
        dtype = self.int64 if dtype is None else np.dtype(dtype)
        if not is_of_rows(stop):
            return self.asarray(np.arange(start, stop, step).astype(dtype))
        if (start, step) != (0, 1):
            raise SettingError("rows of the batch are counted from 0 on, one by one")
        end = self.graph.add("Squeeze", [self.graph.sizes((stop,)), self.graph.constant([0], np.int64)])
        bounds = [self.graph.constant(0, np.int64), end, self.graph.constant(1, np.int64)]
        return self.astype(GraphArray(self, self.graph.add("Range", bounds), (stop,), self.int64), dtype)

    # --- element by element

    def tanh(self, x: Any) -> Array:
        """As −expm1(−2|x|) / (2 + expm1(−2|x|)), with the sign of x."""
        x = self._as_real(x)
        shrunk = self.expm1(-2 * self.abs(x))
        return self.sign(x) * (-shrunk / (2 + shrunk))

    def log1p(self, x: Any) -> Array:
        """log(1 + x) to full precision: x·log(u)/(u − 1) for u = 1 + x as it is rounded."""
        x = self._as_real(x)
        u = 1 + x
        rounded = u - 1
        plain = (rounded == 0) | self.isinf(u)
        return self.where(plain, x, self.log(u) * (x / self.where(plain, 1.0, rounded)))

    def expm1(self, x: Any) -> Array:
        """exp(x) − 1 to full precision: (u − 1)·x/log(u) for u = exp(x) as it is rounded."""
        x = self._as_real(x)
        u = self.exp(x)
        far = (self.abs(x) > 1) | (u == 1)
        inner = self.where(far, 2.0, u)
        return self.where(u == 1, x, self.where(far, u - 1, (inner - 1) * (x / self.log(inner))))

    def logaddexp(self, x: Any, y: Any) -> Array:
        """log(exp(x) + exp(y)) without overflow."""
        x, y = self._pair(x, y)
        most = self.maximum(x, y)
        apart = self.where(x == y, 0.0, self.abs(x - y))
        return most + self.log1p(self.exp(-apart))

    def sinh(self, x: Any) -> Array:
        """(u + u/(u + 1))/2 for u = expm1(|x|), with the sign of x."""
        x = self._as_real(x)
        u = self.expm1(self.abs(x))
        return self.sign(x) * (0.5 * (u + u / (u + 1)))

    def cosh(self, x: Any) -> Array:
        """(exp(x) + exp(−x))/2."""
        x = self._as_real(x)
        return 0.5 * (self.exp(x) + self.exp(-x))

    def tan(self, x: Any) -> Array:
        """sin(x)/cos(x)."""
        return self.sin(x) / self.cos(x)

    def log2(self, x: Any) -> Array:
        """Logarithm to base 2."""
        return self.log(x) / math.log(2)

    def log10(self, x: Any) -> Array:
        """Logarithm to base 10."""
        return self.log(x) / math.log(10)

    def square(self, x: Any) -> Array:
        """x·x."""
        return self.multiply(x, x)

    def reciprocal(self, x: Any) -> Array:
        """1/x."""
        return self.divide(1, x)

    def isfinite(self, x: Any) -> Array:
        """Neither infinite nor NaN."""
        return self.logical_not(self.logical_or(self.isnan(x), self.isinf(x)))

    def divide(self, x: Any, y: Any) -> Array:
        """x/y in floating point."""
        x, y = self._pair(x, y)
        return self._joined("Div", self._as_real(x), self._as_real(y))

    def remainder(self, x: Any, y: Any) -> Array:
        """What is left of x, with the sign of y."""
        x, y = self._pair(x, y)
        if x.dtype.kind == "f":
            return x - y * self.floor(x / y)
        return self._joined("Mod", x, y)

    def floor_divide(self, x: Any, y: Any) -> Array:
        """x/y rounded down."""
        x, y = self._pair(x, y)
        if x.dtype.kind == "f":
            return self.floor(x / y)
        return self._joined("Div", x - self.remainder(x, y), y)

    def pow(self, x: Any, y: Any) -> Array:
        """x to the power of y; whole powers up to 4 by products."""
        if isinstance(y, int) and 1 <= y <= 4:
            base = self.asarray(x)
            result = base
            for _ in range(y - 1):
                result = result * base
            return result
        return self._joined("Pow", *self._pair(x, y))

    power = pow

    def not_equal(self, x: Any, y: Any) -> Array:
        """Whether elements differ."""
        return self.logical_not(self.equal(x, y))

    def where(self, condition: Any, x: Any, y: Any) -> Array:
        """x where the condition holds, elsewhere y."""
        condition = self.asarray(condition)
        x, y = self._pair(x, y)
        shape = broadcast(condition.shape, x.shape, y.shape)
        names = [condition.operand(shape), x.operand(shape), y.operand(shape)]
        return self._whole(GraphArray(self, self.graph.add("Where", names), shape, x.dtype), condition, x, y)

    def clip(self, x: Any, min: Any = None, max: Any = None) -> Array:
        """No smaller than `min` and no larger than `max`."""
        x = self.asarray(x)
        x = x if min is None else self.maximum(x, min)
        return x if max is None else self.minimum(x, max)

    def _same(self, operator: str, x: Any) -> Array:
        x = self.asarray(x)
        return self.new(operator, [x], x.shape, x.dtype)

    def _real(self, operator: str, x: Any) -> Array:
        x = self._as_real(x)
        return self.new(operator, [x], x.shape, x.dtype)

    def _test(self, operator: str, x: Any) -> Array:
        x = self.asarray(x)
        return self.new(operator, [x], x.shape, self.bool)

    def _arithmetic(self, operator: str, x: Any, y: Any) -> Array:
        x, y = self._pair(x, y)
        if x.dtype == self.bool:
            x, y = self.astype(x, self.int64), self.astype(y, self.int64)
        return self._joined(operator, x, y)

    def _compared(self, operator: str, x: Any, y: Any) -> Array:
        return self._joined(operator, *self._pair(x, y), self.bool)

    def _logic(self, operator: str, x: Any, y: Any) -> Array:
        return self._joined(operator, self.asarray(x), self.asarray(y), self.bool)

    def _as_real(self, x: Any) -> Array:
        x = self.asarray(x)
        return x if x.dtype.kind == "f" else self.astype(x, self.float64)

    def _pair(self, x: Any, y: Any) -> tuple[Array, Array]:
        """Two operands in the format that NumPy would join them in."""
        weak = [isinstance(item, (int, float)) and not isinstance(item, np.generic) for item in (x, y)]
        items = [item if plain else self.asarray(item) for item, plain in zip((x, y), weak, strict=True)]
        kinds = [item if plain else item.dtype for item, plain in zip(items, weak, strict=True)]
        dtype = np.result_type(*kinds)
        x, y = (self.full((), item, dtype) if plain else item for item, plain in zip(items, weak, strict=True))
        return self.astype(x, dtype), self.astype(y, dtype)

    def _joined(self, operator: str, x: GraphArray, y: GraphArray, dtype: Any = None) -> Array:
        shape = broadcast(x.shape, y.shape)
        name = self.graph.add(operator, [x.operand(shape), y.operand(shape)])
        return self._whole(GraphArray(self, name, shape, x.dtype if dtype is None else dtype), x, y)

    def _whole(self, result: GraphArray, *operands: GraphArray) -> Array:
        """A result in its full shape, where none of the operands has brought it."""
        fills = [item for item in operands if item.fill is not None]
        kept = broadcast(*(item.shape for item in operands if item.fill is None), ())
        if not fills or kept == result.shape:
            return result
        spread = self.graph.add("Expand", [result.name, self.graph.sizes(result.shape)])
        return GraphArray(self, spread, result.shape, result.dtype)

    def new(self, operator: str, inputs: Sequence[GraphArray], shape: Shape, dtype: Any, **more: Any) -> Array:
        """What an operator of ONNX makes of arrays; `more` are its attributes."""
        return GraphArray(self, self.graph.add(operator, [x.name for x in inputs], **more), shape, dtype)
