"""A trained ensemble of readers as a value: sequences in, numbers out, and on disk; NumPy alone.

It lies in the container of `archive` under a kind of its own, and running it is the reader's own lines under NumPy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import ClassifierConfig, RegressorConfig, SequenceConfig
from statecast.data.encoding import Encoding
from statecast.data.sequences import Sequences, patched
from statecast.errors import DataError, ModelFileError, StatecastError
from statecast.model.container import read_tensors, version, write_tensors
from statecast.model.members import cast, member
from statecast.model.reader import SequenceReader

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

PLACES = 262_144  # most steps that run at once
CONFIGS: dict[str, type[SequenceConfig]] = {"classifier": ClassifierConfig, "regressor": RegressorConfig}


@dataclass(frozen=True, eq=False)
class Answers:
    """A trained network, or several, from sequences to one answer each.

    Attributes:
        kind: "classifier" or "regressor".
        config: the settings, all chosen.
        encoding: from columns to inputs.
        recurrent: whether it reads sequences; rows of a table otherwise.
        reader: the network.
        weights: its arrays, in the precision of `config`; the members of the ensemble are the first axis of each.
        classes: labels of the classes, for a classifier.
        mean, scale: of the values of the target [K], for a regressor.
        single: a regressor whose target was one column without an axis of its own.
        names: names of the columns, where they had names.
        history: columns of the training history.
    """

    kind: str
    config: SequenceConfig
    encoding: Encoding
    recurrent: bool
    reader: SequenceReader
    weights: dict[str, Any]
    classes: Shaped[np.ndarray, " K"] | None
    mean: Float[np.ndarray, " K"]
    scale: Float[np.ndarray, " K"]
    single: bool
    names: tuple[str, ...] | None
    history: dict[str, list[float]]

    def numbers(self, source: Sequences) -> Float[np.ndarray, "members n K"]:
        """What each member reads out.

        The numbers run in float64 whatever the precision of the weights, so that the answer to a sequence is the same,
        but for the last bits of that, whichever others are asked for beside it.

        Raises:
            DataError: sequences where rows were trained on or the other way round, or other columns than then.
        """
        self._require(source)
        inputs, offsets = patched(self.encoding.apply(source), source.offsets, self.config.patch or 1)
        exact = cast(self.weights, np.float64)
        each = [member(exact, n) for n in range(self.config.ensemble)]
        found = np.zeros((len(each), source.count, self.reader.answers))
        for rows, x, there in batches(inputs, offsets):
            for n, w in enumerate(each):
                found[n, rows] = self.reader.read(w, x, there)
        return found

    def probabilities(self, source: Sequences) -> Float[np.ndarray, "n K"]:
        """Mean over the members of the softmax of their scores."""
        scores = self.numbers(source)
        shown = np.exp(scores - scores.max(axis=-1, keepdims=True))
        found = (shown / shown.sum(axis=-1, keepdims=True)).mean(axis=0)
        return np.asarray(found / found.sum(axis=-1, keepdims=True))

    def values(self, source: Sequences) -> Float[np.ndarray, "n K"]:
        """Mean over the members of their values, in the units of the target."""
        return np.asarray(self.numbers(source).mean(axis=0) * self.scale + self.mean)

    def _require(self, source: Sequences) -> None:
        if source.recurrent != self.recurrent:
            wanted = "sequences: an array [n, T, channels] or a list of arrays [T, channels]"
            wanted = wanted if self.recurrent else "a table [n, columns]"
            raise DataError(f"X holds {'sequences' if source.recurrent else 'a table'}; it was fitted on {wanted}")
        if source.channels != len(self.encoding.columns):
            raise DataError(
                f"X has {source.channels} {'channels' if self.recurrent else 'columns'}, and it was fitted on "
                f"{len(self.encoding.columns)}: wanted as many, in the same order"
            )


def batches(
    inputs: Float[np.ndarray, "steps I"], offsets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sequences of similar lengths together: their numbers [B], padded steps [T, B, I], and which are there [T, B]."""
    lengths = np.diff(offsets)
    order = np.argsort(lengths, kind="stable")
    while len(order):
        # The longest of the first m sequences is the m-th, as they are in order.
        fits = np.flatnonzero(lengths[order] * np.arange(1, len(order) + 1) <= PLACES)
        rows, order = np.split(order, [max(1, len(fits))])
        place = np.arange(lengths[rows].max())[:, None]
        there = place < lengths[rows]
        x = inputs[np.where(there, offsets[rows] + place, offsets[rows])]
        yield rows, x, there


def save(model: Answers, path: str | Path, settings: dict[str, Any]) -> Path:
    """Write a model to a file, whole or not at all.

    Args:
        model: the model.
        path: the file; it is replaced if it exists.
        settings: those that were given, beside the chosen ones.

    Raises:
        OutputError: the file cannot be written; what was there before is unchanged.
    """
    tree = {"weights": model.weights, "mean": model.mean, "scale": model.scale}
    values: dict[str, Any] = {"encoding": model.encoding.to_json(), "history": model.history, "names": model.names}
    values |= {"recurrent": model.recurrent, "single": model.single, "answers": model.reader.answers}
    values |= {"config": _told(model.config.to_dict()), "settings": _told(settings)}
    if model.classes is not None:
        values["classes"] = {"type": model.classes.dtype.str, "values": model.classes.tolist()}
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    return write_tensors(path, tree, {"kind": model.kind, **texts})


def load(path: str | Path, kind: str) -> tuple[Answers, dict[str, Any]]:
    """The model of a file, and the settings that were given.

    Raises:
        ModelFileError: there is none, or it is damaged or of another kind; `NewerFormat` if a later statecast wrote it.
    """
    tree, texts = read_tensors(path, kind)
    try:
        told = {name: json.loads(text) for name, text in texts.items() if name not in ("kind", "statecast")}
        config = CONFIGS[kind].of(_untold(told["config"]))
        encoding = Encoding.from_json(told["encoding"])
        reader = SequenceReader.of(config, encoding.width, told["answers"], told["recurrent"])
        classes = np.array(told["classes"]["values"], told["classes"]["type"]) if "classes" in told else None
        names = None if told["names"] is None else tuple(told["names"])
        found = Answers(
            kind, config, encoding, told["recurrent"], reader, tree["weights"], classes, tree["mean"], tree["scale"],
            told["single"], names, told["history"],
        )  # fmt: skip
        return found, _untold(told["settings"])
    except (StatecastError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: written by statecast {texts['statecast']}, but not as this statecast {version()} reads it "
            f"({error}): upgrade statecast, or save the model anew"
        ) from error


def _told(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON holds them: a mapping with keys of any type becomes pairs."""
    return {
        name: {"pairs": _pairs(value)} if hasattr(value, "items") else _item(value) for name, value in settings.items()
    }


def _untold(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: dict(map(tuple, v["pairs"])) if isinstance(v, dict) else v for name, v in settings.items()}


def _pairs(mapping: Any) -> list[list[Any]]:
    return [[_item(key), _item(value)] for key, value in mapping.items()]


def _item(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
