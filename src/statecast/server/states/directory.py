"""Which series there are: their names, their numbers in the store, and where a stream keeps them.

Numbers are given in the order in which series come, and never twice: a series that was removed and comes again has a
new one. Where a store has shards, each block of numbers belongs to one of them, by its own number, so that servers give
numbers without asking one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.server.states.batch import Id
from statecast.server.store.protocol import BLOCK

if TYPE_CHECKING:
    from jaxtyping import Int64


class Directory:
    """The series of an engine.

    Args:
        shards: that the store has; block b belongs to shard b modulo their number.

    Attributes:
        names: by number; None where there is none, or no longer.
        former: names of series that were removed, by number.
        index: the number of each name.
        places: the stream's number of each number; −1 where there is none. There may be room for more.
        version: grows whenever a name comes or goes.
    """

    def __init__(self, shards: int = 1) -> None:
        self._shards = shards
        self.names: list[Id | None] = []
        self.former: dict[int, Id] = {}
        self.index: dict[Id, int] = {}
        self.places: Int64[np.ndarray, " n"] = np.full(1, -1)
        self.version = 0
        self._next: dict[int, int] = {}  # number of each shard

    def __len__(self) -> int:
        return len(self.index)

    def numbers(self, ids: Sequence[Id]) -> Int64[np.ndarray, " S"]:
        """The number of each series; −1 for those that are not here."""
        index = self.index
        try:
            return np.fromiter((index.get(name, -1) for name in ids), np.int64, len(ids))
        except TypeError:  # a list among them, which is not a name
            return np.array([index.get(name, -1) if isinstance(name, (str, int)) else -1 for name in ids], np.int64)

    def enter(self, numbers: Sequence[int], names: Sequence[Id]) -> None:
        """Take up series with the numbers that they have."""
        self._extend(max(numbers, default=-1) + 1)
        for number, name in zip(numbers, names, strict=True):
            self.names[number] = name
        self.index.update(zip(names, numbers, strict=True))
        self.version += 1

    def bury(self, number: int, name: Id) -> None:
        """Take up a series that was removed."""
        self._extend(number + 1)
        self.former[number] = name

    def allocate(self, names: Sequence[Id], shards: Sequence[int] | None = None) -> Int64[np.ndarray, " S"]:
        """Take up new series, and give them numbers.

        Args:
            names: of the series.
            shards: of each; 0 if None.
        """
        numbers = []
        for shard in [0] * len(names) if shards is None else shards:
            numbers.append(number := self._next.get(shard, shard * BLOCK))
            self.go_on(shard, number + 1)
        self.enter(numbers, names)
        return np.array(numbers, np.int64)

    def go_on(self, shard: int, number: int) -> None:
        """Say with which number a shard goes on: with the first one of its next block, where a block is full."""
        self._next[shard] = number if number % BLOCK else number + (self._shards - 1) * BLOCK

    def shard(self, number: Any) -> Any:
        """The shard that a number belongs to; of an array, an array."""
        return number // BLOCK % self._shards

    def of_shard(self, shard: int) -> Int64[np.ndarray, " S"]:
        """The numbers of a shard's series that are here."""
        numbers = np.fromiter(self.index.values(), np.int64, len(self.index))
        return np.asarray(numbers[self.shard(numbers) == shard])

    def adopt(self, other: Directory, shard: int) -> Int64[np.ndarray, " S"]:
        """Take over what another directory knows of a shard; the numbers of its series are returned."""
        numbers = other.of_shard(shard)
        self.enter(numbers.tolist(), [other.name(number) for number in numbers.tolist()])
        for number, name in other.former.items():
            if self.shard(number) == shard:
                self.bury(number, name)
        if shard in other._next:
            self._next[shard] = other._next[shard]
        return numbers

    def forget(self, shard: int) -> None:
        """Forget all that is known of a shard."""
        for number in self.of_shard(shard).tolist():
            self.remove(number)
        self.former = {number: name for number, name in self.former.items() if self.shard(number) != shard}
        self._next.pop(shard, None)

    def remove(self, number: int) -> None:
        """Forget a series; its number stays taken."""
        name = self.names[number]
        if name is not None:
            del self.index[name]
            self.former[number] = name
            self.version += 1
        self.names[number], self.places[number] = None, -1

    def knows(self, number: int) -> bool:
        """Whether a number has or had a name here."""
        return number in self.former or (number < len(self.names) and self.names[number] is not None)

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
