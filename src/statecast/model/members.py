"""Several networks of one shape as one tree of weights: the networks, or members, are the first axis of every array.

An ensemble trains its members at once along that axis, and whoever runs them takes them out one by one: the equations
of the network know of a single one. What each of them remembers lies side by side before the last axis of its part of
the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from statecast.model.cells import State


def seeds(random_state: int, count: int) -> list[int]:
    """A seed for each member; the first is that of a network without company."""
    more = np.random.SeedSequence(random_state).generate_state(count - 1) >> 1  # as `random_state` may be
    return [random_state, *more.tolist()]


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of arrays of the same shapes as one tree, its arrays with an axis more in front."""
    if isinstance(trees[0], dict):
        return {name: stacked([tree[name] for tree in trees]) for name in trees[0]}
    return np.stack(trees)


def member(tree: Any, number: Any) -> Any:
    """One member's part of a tree that `stacked` made: views, not copies."""
    return {name: member(value, number) for name, value in tree.items()} if isinstance(tree, dict) else tree[number]


def cast(tree: Any, dtype: Any) -> Any:
    """A tree of arrays in another floating-point format."""
    return {name: cast(value, dtype) for name, value in tree.items()} if isinstance(tree, dict) else tree.astype(dtype)


def apart(state: State, number: int) -> State:
    """One member's part of a state whose parts are [B, members, …]."""
    return {name: value[:, number] for name, value in state.items()}


def beside(states: Sequence[State]) -> State:
    """The states [B, n] of all members as [B, members, n], and outputs [..., B, n] likewise."""
    return {name: states[0][name].__array_namespace__().stack([s[name] for s in states], axis=-2) for name in states[0]}
