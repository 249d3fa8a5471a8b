"""Which series there are: their names, their numbers in the store, and where a stream keeps them.

Numbers are given in the order in which series come, and never twice: a series that was removed and comes again has a
new one. Where a store has shards, each block of numbers belongs to one, and a new series takes the next number of its
shard's last block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from statecast.server.batch import Id
from statecast.server.store.protocol import BLOCK

if TYPE_CHECKING:
    from jaxtyping import Int64


class Directory:
    """The series of an engine.

    Attributes:
        names: by number; None where there is none, or no longer.
        former: names of series that were removed, by number.
        index: the number of each name.
        places: the stream's number of each number; −1 where there is none. There may be room for more.
        version: grows whenever a name comes or goes.
    """

    def __init__(self) -> None:
        self.names: list[Id | None] = []
        self.former: dict[int, Id] = {}
        self.index: dict[Id, int] = {}
        self.places: Int64[np.ndarray, " n"] = np.full(1, -1)
        self.version = 0
        self._next: dict[int, int] = {}  # of each shard; at a multiple of BLOCK a new block begins

    def __len__(self) -> int:
        return len(self.index)

    def numbers(self, ids: Sequence[Id]) -> Int64[np.ndarray, " S"]:
        """The number of each series; −1 for those that are not here."""
        index = self.index
        try:
            return np.fromiter((index.get(name, -1) for name in ids), np.int64, len(ids))
        except TypeError:  # a list among them, which is no name
            return np.array([index.get(name, -1) if isinstance(name, (str, int)) else -1 for name in ids], np.int64)

    def enter(self, number: int, name: Id) -> None:
        """Take up a series with the number that it has."""
        self._extend(number + 1)
        self.names[number], self.index[name] = name, number
        self.version += 1

    def bury(self, number: int, name: Id) -> None:
        """Take up a series that was removed."""
        self._extend(number + 1)
        self.former[number] = name

    def allocate(self, names: Iterable[Id], shard: int = 0) -> Int64[np.ndarray, " S"]:
        """Take up new series, and give them numbers."""
        numbers = []
        for name in names:
            number = self._next.get(shard, 0)
            if number % BLOCK == 0:
                number = -(-len(self.names) // BLOCK) * BLOCK
            self.enter(number, name)
            self._next[shard] = number + 1
            numbers.append(number)
        return np.array(numbers, np.int64)

    def go_on(self, shard: int, number: int) -> None:
        """Say where a shard's numbers go on, after a restart."""
        self._extend(number)
        self._next[shard] = number

    def remove(self, number: int) -> None:
        """Forget a series; its number stays taken."""
        name = self.names[number]
        if name is not None:
            del self.index[name]
            self.former[number] = name
            self.version += 1
        self.names[number], self.places[number] = None, -1

    def name(self, number: int) -> Id:
        """The name that a number has or had."""
        name = self.names[number]
        return self.former[number] if name is None else name

    def of_block(self, block: int) -> Int64[np.ndarray, " n"]:
        """The numbers of a block whose series are here."""
        span = range(block * BLOCK, min((block + 1) * BLOCK, len(self.names)))
        return np.array([number for number in span if self.names[number] is not None], np.int64)

    def _extend(self, count: int) -> None:
        if count > len(self.names):
            self.names.extend([None] * (count - len(self.names)))
        if count > len(self.places):
            places = np.full(max(count, 2 * len(self.places), 1024), -1)
            places[: len(self.places)] = self.places
            self.places = places
