"""Checkpoints: everything that the next training step depends on, in one file, written atomically.

The order of batches and the dropout are functions of the seed and the step number, so weights, optimizer, carried
states, best weights and history are all there is; a fit that goes on from here ends in the bits of one that was never
stopped. A fit of several trainings has a checkpoint of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jax
import numpy as np

from statecast.errors import ModelFileError, shortened
from statecast.model.container import parse_json, read_tensors, write_tensors
from statecast.train.progress import LoopState

KIND = "checkpoint"
NAME = "checkpoint.safetensors"
SKIP_NAME, REFIT_NAME = "checkpoint-skip.safetensors", "checkpoint-refit.safetensors"  # of later trainings
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
        branch = tree.get("leaves")
        leaves = [branch[name] for name in sorted(branch)] if isinstance(branch, dict) else []
        expected, structure = jax.tree.flatten(like)
        if [(a.shape, a.dtype) for a in expected] != [(np.shape(b), getattr(b, "dtype", None)) for b in leaves]:
            raise ModelFileError(f"{self.path} holds other arrays than this fit trains: start over with --force")
        try:
            state = _loop_state(parse_json(texts.get("progress", ""), infinite=True))
        except ValueError as error:
            message = f"{self.path} does not say how far the fit is ({error}): start over with --force"
            raise ModelFileError(message) from error
        return state, jax.tree.unflatten(structure, leaves)


def _loop_state(values: Any) -> LoopState:
    """What `Checkpoint.save` wrote of it.

    Raises:
        ValueError: it is something else.
    """
    names = {field.name for field in fields(LoopState)}
    if not isinstance(values, dict) or values.keys() != names:
        raise ValueError(f"expected {', '.join(sorted(names))}")
    counts = all(type(values[name]) is int and values[name] >= 0 for name in ("step", "waited"))
    numbers = all(type(values[name]) in (int, float) for name in ("best", "factor", "seconds"))
    history = isinstance(values["history"], dict) and all(map(_are_numbers, values["history"].values()))
    tables = all(
        isinstance(values[name], list) and all(map(_are_numbers, values[name])) for name in ("least", "best_steps")
    )
    if not (counts and numbers and history and tables):
        raise ValueError("a number is none")
    if type(values["done"]) is not bool:
        raise ValueError(f"done is {shortened(values['done'])}")
    return LoopState(**values)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) in (int, float) for value in values)


def fingerprint(settings: dict[str, Any], arrays: Iterable[np.ndarray]) -> str:
    """Of the settings and the values that a fit depends on."""
    plain = {name: value for name, value in settings.items() if name not in QUIET}
    digest = hashlib.sha256(repr(sorted(plain.items(), key=lambda item: item[0])).encode())
    for values in arrays:
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
