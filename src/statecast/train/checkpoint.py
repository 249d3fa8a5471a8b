"""Checkpoints: everything that the next training step depends on, in one file, written atomically.

The order of batches and the dropout are functions of the seed and the step number, so weights, optimizer, carried states,
best weights and history are all there is; a fit that goes on from here ends in the bits of one that was never stopped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from statecast.errors import ModelFileError
from statecast.model.archive import read_tensors, write_tensors

KIND = "checkpoint"
NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Progress:
    """Where a fit stands, apart from its arrays.

    Attributes:
        step: steps done.
        best: least validation loss so far.
        waited: looks since then.
        factor: what `plateau` has made of the learning rate.
        seconds: time spent so far.
        history: columns of the training history.
        done: whether training has ended.
    """

    step: int
    best: float
    waited: int
    factor: float
    seconds: float
    history: dict[str, list[float]]
    done: bool


def save(folder: Path, progress: Progress, arrays: Any, fingerprint: str) -> None:
    """Write the checkpoint of a fit; `fingerprint` tells of which settings and table."""
    folder.mkdir(parents=True, exist_ok=True)
    leaves = {f"{n:04d}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(arrays))}
    write_tensors(folder / NAME, {"leaves": leaves}, {"kind": KIND, "progress": json.dumps(vars(progress)), "fingerprint": fingerprint})


def load(folder: Path, like: Any, fingerprint: str) -> tuple[Progress, Any]:
    """Read the checkpoint of the same fit; `like` is a tree of arrays of its shapes."""
    tree, metadata = read_tensors(folder / NAME, KIND)
    if metadata["fingerprint"] != fingerprint:
        raise ModelFileError(
            f"{folder / NAME}: is of a fit with other settings or another table: resume with the same ones, or start over with --force"
        )
    leaves = [tree["leaves"][name] for name in sorted(tree["leaves"])]
    treedef = jax.tree.structure(like)
    if treedef.num_leaves != len(leaves):
        raise ModelFileError(f"{folder / NAME}: holds {len(leaves)} arrays where this fit has {treedef.num_leaves}: start over with --force")
    return Progress(**json.loads(metadata["progress"])), jax.tree.unflatten(treedef, [jax.numpy.asarray(leaf) for leaf in leaves])
