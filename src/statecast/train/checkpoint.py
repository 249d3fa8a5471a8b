"""Checkpoints: everything that the next training step depends on, in one file, written atomically.

The order of batches and the dropout are functions of the seed and the step number, so weights, optimizer, carried
states, best weights and history are all there is; a fit that goes on from here ends in the bits of one that was never
stopped.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from statecast.errors import ModelFileError
from statecast.model.container import read_tensors, write_tensors

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
        least: as `best`, of each member of an ensemble.
    """

    step: int
    best: float
    waited: int
    factor: float
    seconds: float
    history: dict[str, list[float]]
    done: bool
    least: float | list[float] = math.inf


def save(folder: Path, progress: Progress, arrays: Any, fingerprint: str) -> None:
    """Write the checkpoint of a fit; `fingerprint` tells of which settings and table."""
    leaves = {f"{n:04d}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(arrays))}
    texts = {"kind": KIND, "progress": json.dumps(vars(progress)), "fingerprint": fingerprint}
    write_tensors(folder / NAME, {"leaves": leaves}, texts)


def load(folder: Path, like: Any, fingerprint: str) -> tuple[Progress, Any]:
    """Read the checkpoint of the same fit; `like` is a tree of arrays of its shapes.

    Raises:
        ModelFileError: the file is damaged, or of other settings or another table.
    """
    path = folder / NAME
    tree, texts = read_tensors(path, KIND)
    if texts.get("fingerprint") != fingerprint:
        raise ModelFileError(
            f"{path} is of a fit with other settings or another table: resume with the same ones, or start over with "
            "--force"
        )
    leaves = [tree["leaves"][name] for name in sorted(tree["leaves"])]
    wanted, structure = jax.tree.flatten(like)
    if [(a.shape, a.dtype) for a in wanted] != [(b.shape, b.dtype) for b in leaves]:
        raise ModelFileError(f"{path} holds other arrays than this fit trains: start over with --force")
    arrays = jax.tree.unflatten(structure, [jax.numpy.asarray(leaf) for leaf in leaves])
    return Progress(**json.loads(texts["progress"])), arrays
