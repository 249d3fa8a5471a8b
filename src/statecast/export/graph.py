"""A graph of ONNX operators while it grows: operations and constants, each kept once.

An operation that is already there, with the same inputs and attributes, is not added again; so two lines that work out
the same number cost one. Names are numbers, in the order in which values came to be. Nothing here needs the package
`onnx`: `proto` writes a graph with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ROWS = 2**31 - 1
"""Stands for the size of the batch, which a graph does not know: no other size is a multiple of this prime."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class GraphNode:
    """One node: an operator of ONNX, what goes in, and the name of what comes out."""

    operator: str
    inputs: tuple[str, ...]
    attributes: tuple[tuple[str, Any], ...]
    output: str


@dataclass(eq=False)
class Graph:
    """Operations in an order in which each comes after what it needs.

    Attributes:
        operations: by the name of their output.
        constants: by name.
        rows: the name of a value of one number, the size of the batch; empty until an input has told it.
    """

    operations: dict[str, GraphNode] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    rows: str = ""
    _names: dict[Any, str] = field(default_factory=dict)

    def add(self, operator: str, inputs: Iterable[str], **attributes: Any) -> str:
        """The name of the output of an operation, which is added unless it is there."""
        key = operator, tuple(inputs), tuple(sorted(attributes.items()))
        if key not in self._names:
            name = self._names[key] = f"v{len(self.operations)}"
            self.operations[name] = GraphNode(*key, name)
        return self._names[key]

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of a constant array."""
        array = np.ascontiguousarray(np.asarray(value, dtype))
        array = array.reshape(np.shape(value))  # a single number has no axes
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._names:
            name = self._names[key] = f"c{len(self.constants)}"
            self.constants[name] = array
        return self._names[key]

    def count_rows(self, name: str) -> None:
        """Take the size of the batch from a value whose first axis is the batch."""
        self.rows = self.add("Shape", [name], start=0, end=1)

    def sizes(self, shape: Shape) -> str:
        """The name of a shape [axes], whose sizes are multiples of `ROWS` where they are of the batch."""
        if not any(is_of_rows(size) for size in shape):
            return self.constant(np.array(shape, np.int64))
        parts = [
            self.add("Mul", [self.rows, self.constant([size // ROWS], np.int64)])
            if is_of_rows(size)
            else self.constant([size], np.int64)
            for size in shape
        ]
        return parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)

    def needed(self, outputs: Iterable[str]) -> tuple[list[GraphNode], dict[str, np.ndarray]]:
        """The operations and constants that these outputs rest on."""
        names, waiting = set[str](), list(outputs)
        while waiting:
            name = waiting.pop()
            if name not in names:
                names.add(name)
                waiting += self.operations[name].inputs if name in self.operations else ()
        operations = [item for name, item in self.operations.items() if name in names]
        return operations, {name: array for name, array in self.constants.items() if name in names}


def is_of_rows(size: int) -> bool:
    """Whether a size is one of the batch."""
    return size > 0 and size % ROWS == 0
