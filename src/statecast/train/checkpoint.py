"""Checkpoints: everything that the next training step depends on, in one file, written atomically.

The order of batches and the dropout are functions of the seed and the step number, so weights, optimizer, carried
states, best weights and history are all there is; a fit that goes on from here ends in the bits of one that was never
stopped. A fit of two trainings has a checkpoint of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from statecast.errors import ModelFileError
from statecast.model.container import read_tensors, write_tensors
from statecast.train.progress import LoopState

KIND = "checkpoint"
NAME, SKIP_NAME = "checkpoint.safetensors", "checkpoint-skip.safetensors"  # of a fit, and of its skip alone
QUIET = frozenset({"tensorboard"})  # settings that change nothing of the result


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training.

    Attributes:
        path: where it is.
        fingerprint: of the settings and the table, see `fingerprint`.
        resume: whether to go on from what the file holds.
    """

    path: Path
    fingerprint: str
    resume: bool = False

    def save(self, state: LoopState, arrays: Any) -> None:
        """Write where a training stands, with its arrays, a tree."""
        leaves = {f"{n:04d}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(arrays))}
        texts = {"kind": KIND, "progress": json.dumps(vars(state)), "fingerprint": self.fingerprint}
        write_tensors(self.path, {"leaves": leaves}, texts)

    def load(self, like: Any) -> tuple[LoopState, Any] | None:
        """Where the same training stood; None where there is nothing to go on from.

        Args:
            like: a tree of arrays of the same shapes.

        Raises:
            ModelFileError: the file is damaged, or of other settings or another table.
        """
        if not self.resume or not self.path.exists():
            return None
        tree, texts = read_tensors(self.path, KIND)
        if texts.get("fingerprint") != self.fingerprint:
            raise ModelFileError(
                f"{self.path} is of a fit with other settings or another table: resume with the same ones, or start "
                "over with --force"
            )
        leaves = [tree["leaves"][name] for name in sorted(tree["leaves"])]
        expected, structure = jax.tree.flatten(like)
        if [(a.shape, a.dtype) for a in expected] != [(b.shape, b.dtype) for b in leaves]:
            raise ModelFileError(f"{self.path} holds other arrays than this fit trains: start over with --force")
        return LoopState(**json.loads(texts["progress"])), jax.tree.unflatten(structure, leaves)


def fingerprint(settings: dict[str, Any], arrays: Iterable[np.ndarray]) -> str:
    """Of the settings and the values that a fit depends on."""
    plain = {name: value for name, value in settings.items() if name not in QUIET}
    digest = hashlib.sha256(repr(sorted(plain.items(), key=lambda item: item[0])).encode())
    for values in arrays:
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
