"""The State value: what a network remembers of each series, as one flat row of numbers.

A layout names the parts of a row, so that a state can be gathered into the dict of arrays that `Network.step` takes,
and scattered back; rows of different series can be joined, taken apart and moved in any order without changing a bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import DataError, UnknownSeries, nearest

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

UNSEEN = np.iinfo(np.int64).min  # the time of a series that has seen nothing


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the parts of a row, in order."""

    parts: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, parts: dict[str, tuple[int, ...]]) -> Layout:
        """The layout of the parts that a network names."""
        return cls(tuple(parts.items()))

    @cached_property
    def slices(self) -> dict[str, tuple[slice, tuple[int, ...]]]:
        """Where in a row each part lies, and its shape."""
        slices, begin = {}, 0
        for name, shape in self.parts:
            slices[name] = (slice(begin, begin + math.prod(shape)), shape)
            begin += math.prod(shape)
        return slices

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return sum(math.prod(shape) for _, shape in self.parts)

    def unpack(self, rows: Float[np.ndarray, "B size"]) -> dict[str, np.ndarray]:
        """The parts of rows, each [B, …]; views, not copies."""
        return {name: rows[:, where].reshape(len(rows), *shape) for name, (where, shape) in self.slices.items()}

    def pack(self, parts: dict[str, Any], out: Float[np.ndarray, "B size"]) -> None:
        """Write the parts into the rows `out`."""
        for name, (where, _) in self.slices.items():
            out[:, where] = np.asarray(parts[name]).reshape(len(out), where.stop - where.start)


@dataclass(frozen=True, eq=False)
class State:
    """The state of S series.

    Attributes:
        layout: what the numbers of a row are.
        data: [S, size].
        ids: S names.
        time: [S] time of the last step of each series, `UNSEEN` if there is none; see `Frequency`.

    Example:
        >>> state = model.stream().state
        >>> state.ids, state.data.shape[0]
        (('passengers',), 1)
    """

    layout: Layout
    data: Float[np.ndarray, "S size"]
    ids: tuple[str | int, ...]
    time: Int64[np.ndarray, " S"]

    @classmethod
    def empty(cls, layout: Layout, dtype: Any) -> State:
        """The state of no series.

        Example:
            >>> state = model.stream().state
            >>> type(state).empty(state.layout, state.data.dtype).ids
            ()
        """
        return cls(layout, np.zeros((0, layout.size), dtype), (), np.zeros(0, np.int64))

    @cached_property
    def index(self) -> dict[str | int, int]:
        """The row of each series."""
        return {name: row for row, name in enumerate(self.ids)}

    def rows(self, ids: Sequence[str | int]) -> Int64[np.ndarray, " n"]:
        """The rows of the named series; an unknown one raises `UnknownSeries`.

        Example:
            >>> model.stream().state.rows(["passengers"])
            array([0])
        """
        for name in ids:
            if name not in self.index:
                raise UnknownSeries(f"there is no series {name!r} in this state; {nearest(name, self.ids)}")
        return np.array([self.index[name] for name in ids], np.int64)

    def gather(self, ids: Sequence[str | int]) -> State:
        """The state of the named series, in that order.

        Example:
            >>> model.stream().state.gather(["passengers"]).ids
            ('passengers',)
        """
        rows = self.rows(ids)
        return State(self.layout, self.data[rows], tuple(ids), self.time[rows])

    def join(self, other: State) -> State:
        """The state of these series and of another state's; a series in both is refused.

        Example:
            >>> stream = model.stream()
            >>> forecast = stream.observe("trains", 80.0, "1961-01-01")
            >>> both = stream.state
            >>> both.gather(["trains"]).join(both.gather(["passengers"])).ids
            ('trains', 'passengers')
        """
        both = [name for name in other.ids if name in self.index]
        if both:
            raise DataError(f"series {both[0]!r} is in both states: expected each series once")
        if other.layout != self.layout:
            raise DataError("the states come from different networks: their layouts differ")
        return State(
            self.layout,
            np.concatenate([self.data, other.data]),
            self.ids + other.ids,
            np.concatenate([self.time, other.time]),
        )
