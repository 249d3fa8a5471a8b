"""Several networks of one shape as one tree of weights: the networks, or members, are the first axis of every array.

Training runs all of them at once along that axis; elsewhere they are taken out one by one, as the network's equations
are those of a single one. The recurrent states of an ensemble's members lie side by side along the axis before the
last; local networks each have some of the rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from statecast.model.cells import Array, StateParts

Run = Callable[
    [Any, StateParts, Any], tuple[Array, StateParts]
]  # (weights, recurrent state, rows) → outputs, next state
ALL = slice(None)


def seeds(random_state: int, count: int) -> list[int]:
    """A seed for each member; the first is the seed of a network that is alone."""
    more = np.random.SeedSequence(random_state).generate_state(count - 1) >> 1  # as `random_state` may be
    return [random_state, *more.tolist()]


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of arrays of the same shapes as one tree, whose arrays have one more axis in front."""
    if isinstance(trees[0], dict):
        return {name: stacked([tree[name] for tree in trees]) for name in trees[0]}
    return np.stack(trees)


def member(tree: Any, number: Any) -> Any:
    """One member's part of a tree that `stacked` made: views, not copies."""
    return {name: member(value, number) for name, value in tree.items()} if isinstance(tree, dict) else tree[number]


def count(tree: Any) -> int:
    """Numbers in a tree of arrays."""
    return sum(count(value) for value in tree.values()) if isinstance(tree, dict) else int(np.size(tree))


def cast(tree: Any, dtype: Any) -> Any:
    """A tree of arrays in another floating-point format."""
    return {name: cast(value, dtype) for name, value in tree.items()} if isinstance(tree, dict) else tree.astype(dtype)


@dataclass(frozen=True)
class Members:
    """How many networks there are, and which rows of a batch each of them runs over.

    Attributes:
        count: networks.
        local: each runs over the rows of one series, by its number; otherwise all run over all rows.
    """

    count: int = 1
    local: bool = False

    @property
    def axis(self) -> int:
        """Networks along the first axis of the weights; 0 where a single one has no such axis."""
        return self.count if self.local or self.count > 1 else 0

    @property
    def of_row(self) -> int:
        """Networks that run over the same row."""
        return 1 if self.local else self.count

    def shapes(self, parts: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Shapes, per row, of those parts of the state that each network has for itself."""
        several = (self.of_row,) if self.of_row > 1 else ()
        return {name: (*several, *shape) for name, shape in parts.items()}

    def each(self, weights: Any, series: Array | None) -> list[tuple[Any, Any]]:
        """The weights of each network, and the rows of the batch that it runs over.

        Args:
            weights: of all.
            series: [..., B, 1] the number of each row's series, from 1 on; only local networks need it. The values
                decide, so JAX cannot trace this: training maps over the networks instead.
        """
        if not self.local:
            return [(member(weights, n), ALL) for n in range(self.count)] if self.axis else [(weights, ALL)]
        number = np.asarray(series)[..., 0].astype(np.int64)
        number = number if number.ndim == 1 else number[-1]  # a sequence is of one series all along
        # Without rows one network tells what the parts of their state would be.
        numbers = np.unique(number) if number.size else [1]
        return [(member(weights, n - 1), np.flatnonzero(number == n)) for n in numbers]

    def recur(
        self, each: list[tuple[Any, Any]], state: StateParts, names: Iterable[str], run: Run
    ) -> tuple[Array, StateParts]:
        """Run every network on its share of the recurrent state: the outputs and the next state of all rows.

        Args:
            each: see `each`.
            state: parts [B, units], or [B, members, units] of an ensemble; none where there is no state yet.
            names: of its parts.
            run: one network over some of the rows.
        """
        results = []
        for n, (weights, rows) in enumerate(each):
            results.append(run(weights, {name: self.share(value, n, rows) for name, value in state.items()}, rows))
        after = {name: self._joined([last[name] for _, last in results], each) for name in names}
        return self._joined([out for out, _ in results], each), after

    def share(self, value: Array, n: int, rows: Any) -> Array:
        """The n-th network's share of the outputs or of a part of the state; see `recur`."""
        return value[..., rows, :] if self.local or self.count == 1 else value[..., n, :]

    def _joined(self, parts: list[Array], each: list[tuple[Any, Any]]) -> Array:
        """The inverse of `share`."""
        if self.local:
            return _scattered(parts, each, -2)
        return parts[0].__array_namespace__().stack(parts, axis=-2) if self.count > 1 else parts[0]

    def averaged(self, parts: list[Array], each: list[tuple[Any, Any]]) -> Array:
        """The forecasts [..., B, H, D, O] of all rows; for an ensemble, the mean of its members'."""
        if self.local:
            return _scattered(parts, each, -4)
        return sum(parts[1:], parts[0]) / self.count if self.count > 1 else parts[0]


ALONE = Members()


def _scattered(parts: list[Array], each: list[tuple[Any, Any]], axis: int) -> Array:
    """The results of several networks for their own rows, in the order of the batch along this axis."""
    xp = parts[0].__array_namespace__()
    return xp.take(xp.concat(parts, axis=axis), np.argsort(np.concatenate([rows for _, rows in each])), axis=axis)
