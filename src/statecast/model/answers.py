"""A trained ensemble of readers as a value: sequences in, numbers out, and on disk; NumPy alone.

It lies in the same container as the models of `archive`, as a file of another kind, and is believed as little. Running
it is running the reader's own lines under NumPy.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import ClassifierConfig, RegressorConfig, SequenceConfig, require_names
from statecast.data.encoding import Encoding
from statecast.data.sequences import Sequences, patched
from statecast.errors import DataError, StatecastError, shortened
from statecast.model import checked
from statecast.model.cells import require_registered
from statecast.model.container import Tree, disagreement, parse_json, read_tensors, write_tensors
from statecast.model.members import cast, member
from statecast.model.reader import SequenceReader
from statecast.model.shapes import Form, answers, leaves

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
        numbers = np.zeros((len(each), source.count, self.reader.answers))
        for rows, x, mask in batches(inputs, offsets):
            for n, w in enumerate(each):
                numbers[n, rows] = self.reader.read(w, x, mask)
        return numbers

    def probabilities(self, source: Sequences) -> Float[np.ndarray, "n K"]:
        """Mean over the members of the softmax of their scores."""
        scores = self.numbers(source)
        odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mean = (odds / odds.sum(axis=-1, keepdims=True)).mean(axis=0)
        return np.asarray(mean / mean.sum(axis=-1, keepdims=True))

    def values(self, source: Sequences) -> Float[np.ndarray, "n K"]:
        """Mean over the members of their values, in the units of the target."""
        return np.asarray(self.numbers(source).mean(axis=0) * self.scale + self.mean)

    def _require(self, source: Sequences) -> None:
        if source.recurrent != self.recurrent:
            sequences = "sequences: an array [n, T, channels] or a list of arrays [T, channels]"
            form = sequences if self.recurrent else "a table [n, columns]"
            raise DataError(f"X holds {'sequences' if source.recurrent else 'a table'}; it was fitted on {form}")
        if source.channels != len(self.encoding.columns):
            raise DataError(
                f"X has {source.channels} {'channels' if self.recurrent else 'columns'}, and it was fitted on "
                f"{len(self.encoding.columns)}: wanted as many, in the same order"
            )


def batches(
    inputs: Float[np.ndarray, "steps I"], offsets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sequences of similar lengths together: their numbers [B], padded steps [T, B, I] and the mask of these [T, B]."""
    lengths = np.diff(offsets)
    order = np.argsort(lengths, kind="stable")
    while len(order):
        # The longest of the first m sequences is the m-th, as they are in order.
        fits = np.flatnonzero(lengths[order] * np.arange(1, len(order) + 1) <= PLACES)
        rows, order = np.split(order, [max(1, len(fits))])
        place = np.arange(lengths[rows].max())[:, None]
        mask = place < lengths[rows]
        x = inputs[np.where(mask, offsets[rows] + place, offsets[rows])]
        yield rows, x, mask


def save(model: Answers, path: str | Path, settings: dict[str, Any]) -> Path:
    """Write a model to a file, whole or not at all.

    Args:
        model: the model.
        path: the file; it is replaced if it exists.
        settings: the user's own, beside the chosen ones.

    Raises:
        OutputError: the file cannot be written; what was there before is unchanged.
    """
    tree = {"weights": model.weights, "mean": model.mean, "scale": model.scale}
    values: dict[str, Any] = {"encoding": model.encoding.to_json(), "history": model.history, "names": model.names}
    values |= {"recurrent": model.recurrent, "single": model.single, "answers": model.reader.answers}
    values |= {"config": _to_json(model.config.to_dict()), "settings": _to_json(settings)}
    if model.classes is not None:
        values["classes"] = {"type": model.classes.dtype.str, "values": model.classes.tolist()}
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    return write_tensors(path, tree, {"kind": model.kind, **texts})


def load(path: str | Path, kind: str) -> tuple[Answers, dict[str, Any]]:
    """The model of a file, and the user's own settings.

    Raises:
        ModelFileError: there is none, or it is damaged or of another kind, or what it says cannot be; `NewerFormat` if
            a later statecast wrote it, `UnknownCell` if its cell is not registered.
    """
    tree, texts = read_tensors(path, kind)
    try:
        return _model(tree, texts, kind)
    except (StatecastError, ValueError) as error:
        raise disagreement(str(path), texts, error) from error


def _model(tree: Tree, texts: Mapping[str, str], kind: str) -> tuple[Answers, dict[str, Any]]:
    """The model of a file; each claim is held against those before it, as in `archive`.

    Raises:
        StatecastError, ValueError: what the file says cannot be.
    """
    if missing := _VALUES - texts.keys():
        raise ValueError(f"its header has no {min(missing)!r}")
    values = {name: parse_json(texts[name], infinite=True) for name in (_VALUES | {"classes"}) & texts.keys()}
    config, encoding, count = _config(values["config"], kind), _encoding(values["encoding"]), values["answers"]
    recurrent, single = values["recurrent"], values["single"]
    if type(recurrent) is not bool or type(single) is not bool or type(count) is not int or count < 1:
        raise ValueError("what it says of its answers cannot be")
    width = encoding.width * ((config.patch or 1) if recurrent else 1)
    reader = SequenceReader.of(config, width, count, recurrent)
    flat = leaves(tree)
    classes = _classes(values["classes"], count) if kind == "classifier" and "classes" in values else None
    if (classes is None) != (kind == "regressor"):
        raise ValueError("a classifier has classes, and a regressor has none")
    checked.require_alike(flat, _forms(config, reader, 0 if kind == "classifier" else count))
    for name, array in flat.items():
        if isinstance(array, np.ndarray):
            checked.require(array, *(checked.POSITIVE if name == "scale" else checked.FINITE), name)
    columns, history = len(encoding.columns), checked.history(values["history"])
    if not history.get("step") or not all(0 <= step < 2**53 for step in history["step"]):
        raise ValueError("its history has no steps")
    return Answers(
        kind, config, encoding, recurrent, reader, tree["weights"], classes, tree["mean"], tree["scale"], single,
        _names(values["names"], columns), history,
    ), _settings(values["settings"], kind)  # fmt: skip


_VALUES = {"encoding", "history", "names", "recurrent", "single", "answers", "config", "settings"}


def _forms(config: SequenceConfig, reader: SequenceReader, targets: int) -> dict[str, Any]:
    """What every array of a file must be; a classifier has no units of targets."""
    dtype, exact = np.dtype(config.dtype), np.dtype(np.float64)
    tree = leaves({"weights": answers(reader, config.cell_heads, config.ensemble or 0)})
    weights: dict[str, Any] = {path: {} if shape == {} else Form(shape, dtype) for path, shape in tree.items()}
    return weights | dict.fromkeys(("mean", "scale"), Form((targets,), exact))


def _config(values: Any, kind: str) -> SequenceConfig:
    settings = _settings(values, kind)
    require_registered(settings)
    config = CONFIGS[kind].of(settings)
    if config.hidden is None or config.ensemble is None:
        raise ValueError("hidden and ensemble are not among its settings")
    return config


def _settings(values: Any, kind: str) -> dict[str, Any]:
    """Settings from JSON: a mapping with keys of any type was written as pairs."""
    if not isinstance(values, dict):
        raise ValueError(f"its settings are {shortened(values)}, not a mapping")
    settings = dict(values)
    for name, value in values.items():
        if isinstance(value, dict):
            pairs: Any = value.get("pairs")
            plain = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
            if not plain or not all(isinstance(pair[0], str | int | float | None) for pair in pairs):
                raise ValueError(f"its setting {shortened(name)} is {shortened(value)}, not a mapping in pairs")
            settings[name] = dict(map(tuple, pairs))
    require_names(CONFIGS[kind], settings)
    return settings


def _encoding(columns: Any) -> Encoding:
    if not isinstance(columns, list) or not columns or not all(_is_column(column) for column in columns):
        raise ValueError(f"its columns are {shortened(columns)}, which no table has")
    return Encoding.from_json(columns)


def _is_column(column: Any) -> bool:
    if not isinstance(column, dict) or column.keys() != {"mean", "scale", "change", "categories", "marked"}:
        return False
    numbers, categories = [column[name] for name in ("mean", "scale", "change")], column["categories"]
    texts = categories is None or (isinstance(categories, list) and all(isinstance(text, str) for text in categories))
    real = all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
    return texts and real and numbers[1] > 0 and numbers[2] >= 0 and type(column["marked"]) is bool


def _classes(values: Any, count: int) -> Shaped[np.ndarray, " K"]:
    """Labels, all different, in the type that they had."""
    if isinstance(values, dict) and values.keys() == {"type", "values"}:
        labels, kind = values["values"], _LABELS.fullmatch(str(values["type"]))
        plain = isinstance(labels, list) and all(isinstance(label, str | int | float) for label in labels)
        if kind and plain and len({*labels}) == len(labels) == count and int(kind[1] or 0) * count <= MOST_LETTERS:
            try:
                return np.array(labels, kind[0])
            except OverflowError as error:
                raise ValueError(f"its classes are not of the type {kind[0]}") from error
    raise ValueError(f"its classes are {shortened(values)}, which are not {count:,} labels")


_LABELS = re.compile(r"[<>|=]?(?:[biuf][1248]|U([0-9]{1,8})|O)")  # types, and the letters of a text
MOST_LETTERS = 10_000_000  # of all labels


def _names(values: Any, columns: int) -> tuple[str, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != columns or not all(isinstance(name, str) for name in values):
        raise ValueError(f"the names of its columns are {shortened(values)}, not {columns:,} texts")
    return tuple(values)


def _to_json(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON holds them: a mapping with keys of any type becomes pairs."""
    return {name: _pairs(value) if hasattr(value, "items") else _item(value) for name, value in settings.items()}


def _pairs(mapping: Any) -> dict[str, Any]:
    return {"pairs": [[_item(key), _item(value)] for key, value in mapping.items()]}


def _item(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
