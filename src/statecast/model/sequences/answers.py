"""A trained reader of sequences as a value: sequences in, answers out, and on disk; NumPy alone.

It holds one way to read or several (`readings`), and how much each counts. It lies in the same container as the models
of `archive`, as a file of another kind, and is believed as little. Running it is running the readings' own lines.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.config import require_names
from statecast.data.encoding import Encoding
from statecast.data.sequences import Sequences
from statecast.errors import DataError, StatecastError, shortened
from statecast.model import checked
from statecast.model.cells import require_registered
from statecast.model.container import Tree, disagreement, parse_json, read_tensors, write_tensors
from statecast.model.sequences.convolutions import Convolutions
from statecast.model.sequences.reader import SequenceReader
from statecast.model.sequences.readings import ConvolutionReading, NetworkReading, Reading, outcomes
from statecast.model.shapes import Form, answers, convolutions, leaves
from statecast.sequence_config import READINGS, ClassifierConfig, RegressorConfig, SequenceConfig

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

CONFIGS: dict[str, type[SequenceConfig]] = {"classifier": ClassifierConfig, "regressor": RegressorConfig}


@dataclass(frozen=True, eq=False)
class Answers:
    """One trained way to read sequences to an answer each, or several.

    Attributes:
        kind: "classifier" or "regressor".
        config: the settings, all chosen.
        columns: of a table, or channels of sequences.
        recurrent: whether it reads sequences; rows of a table otherwise.
        readings: the ways to read, by their names.
        shares: how much each of them counts; they add up to 1.
        classes: labels of the classes, for a classifier.
        mean, scale: of the values of the target [K], for a regressor; a scale of 0 where it was constant.
        single: a regressor whose target was one column without an axis of its own.
        names: names of the columns, where they had names.
        history: columns of the training history.
        scores: of a classifier on rows that were kept for a test, see `classification.evaluation`; empty without any.
        learned: rows of each class that a classifier was trained on; empty in files of before.
    """

    kind: str
    config: SequenceConfig
    columns: int
    recurrent: bool
    readings: dict[str, Reading]
    shares: Float[np.ndarray, " R"]
    classes: Shaped[np.ndarray, " K"] | None
    mean: Float[np.ndarray, " K"]
    scale: Float[np.ndarray, " K"]
    single: bool
    names: tuple[str, ...] | None
    history: dict[str, list[float]]
    scores: dict[str, Any] = field(default_factory=dict)
    learned: tuple[int, ...] = ()

    @property
    def networks(self) -> dict[str, NetworkReading]:
        """The readings that are networks."""
        return {name: reading for name, reading in self.readings.items() if isinstance(reading, NetworkReading)}

    def probabilities(self, source: Sequences) -> Float[np.ndarray, "n K"]:
        """The probability of each class.

        Raises:
            DataError: sequences where rows were trained on or the other way round, other columns than then, or a
                length that no reading can read.
        """
        mean = self._mean(source)
        return np.asarray(mean / mean.sum(axis=-1, keepdims=True))

    def values(self, source: Sequences) -> Float[np.ndarray, "n K"]:
        """The values, in the units of the target.

        Raises:
            DataError: see `probabilities`.
        """
        return np.asarray(self._mean(source) * self.scale + self.mean)

    def _mean(self, source: Sequences) -> Float[np.ndarray, "n K"]:
        """The mean outcome of the readings that can read a sequence, by their shares."""
        self._require(source)
        total = np.zeros((source.count, len(self.mean) if self.classes is None else len(self.classes)))
        counted = np.zeros((source.count, 1))
        for share, reading in zip(self.shares, self.readings.values(), strict=True):
            rows = np.flatnonzero(reading.readable(source))
            if len(rows):
                part = source if len(rows) == source.count else source.take(rows)
                total[rows] += share * outcomes(reading.numbers(part), self.classes is not None)
                counted[rows] += share
        if not counted.all():
            row = int(np.flatnonzero(counted == 0)[0])
            raise DataError(
                f"sequence {row} has {source.lengths[row]} steps, and this {self.kind} reads sequences of one length "
                'alone: expected as many as it was trained on; or train with readings = "recurrence"'
            )
        return total / counted

    def _require(self, source: Sequences) -> None:
        if source.recurrent != self.recurrent:
            sequences = "sequences: an array [n, T, channels] or a list of arrays [T, channels]"
            form = sequences if self.recurrent else "a table [n, columns]"
            raise DataError(f"X holds {'sequences' if source.recurrent else 'a table'}; it was fitted on {form}")
        if source.channels != self.columns:
            raise DataError(
                f"X has {source.channels} {'channels' if self.recurrent else 'columns'}, and it was fitted on "
                f"{self.columns}: expected as many, in the same order"
            )


def save(model: Answers, path: str | Path, settings: dict[str, Any]) -> Path:
    """Write a model to a file, whole or not at all.

    Args:
        model: the model.
        path: the file; it is replaced if it exists.
        settings: the user's own, beside the chosen ones.

    Raises:
        OutputError: the file cannot be written; what was there before is unchanged.
    """
    arrays = {name: _arrays(reading) for name, reading in model.readings.items()}
    tree = {"weights": arrays, "shares": model.shares, "mean": model.mean, "scale": model.scale}
    readings = {name: _description(reading) for name, reading in model.readings.items()}
    values: dict[str, Any] = {"readings": readings, "columns": model.columns, "answers": _count(model)}
    values |= {"recurrent": model.recurrent, "single": model.single, "history": model.history, "names": model.names}
    values |= {"config": _to_json(model.config.to_dict()), "settings": _to_json(settings)}
    if model.scores:
        values["scores"] = model.scores
    if model.learned:
        values["learned"] = model.learned
    if model.classes is not None:
        values["classes"] = {"type": model.classes.dtype.str, "values": model.classes.tolist()}
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    return write_tensors(path, tree, {"kind": model.kind, **texts})


def _arrays(reading: Reading) -> dict[str, Any]:
    return (
        {**reading.weights, **vars(reading.convolutions)}
        if isinstance(reading, ConvolutionReading)
        else reading.weights
    )


def _description(reading: Reading) -> dict[str, Any]:
    steps = reading.steps if isinstance(reading, NetworkReading) else 0
    return {"encoding": reading.encoding.to_json(), "steps": steps}


def _count(model: Answers) -> int:
    return len(model.mean) if model.classes is None else len(model.classes)


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
    names = _VALUES | ({"readings", "columns"} if "readings" in texts else {"encoding"})
    if missing := names - texts.keys():
        raise ValueError(f"its header has no {min(missing)!r}")
    values = {
        name: parse_json(texts[name], infinite=True)
        for name in (names | {"classes", "scores", "learned"}) & texts.keys()
    }
    config, count = _config(values["config"], kind), values["answers"]
    recurrent, single = values["recurrent"], values["single"]
    if type(recurrent) is not bool or type(single) is not bool or type(count) is not int or count < 1:
        raise ValueError("what it says of its answers cannot be")
    if "readings" not in values:
        tree, values, config = _of_one_reading(tree, values, config)
    columns, readings = values["columns"], _readings(values["readings"], values["columns"], recurrent)
    if config.readings != tuple(readings):
        raise ValueError(f"its readings are {', '.join(readings)}, and its settings name others")
    classes = _classes(values["classes"], count) if kind == "classifier" and "classes" in values else None
    if (classes is None) != (kind == "regressor"):
        raise ValueError("a classifier has classes, and a regressor has none")
    readers = {name: _reader(config, name, of, count) for name, of in readings.items() if name != "convolutions"}
    flat = leaves(tree)
    checked.require_alike(flat, _forms(config, readings, readers, count, 0 if kind == "classifier" else count))
    for name, array in flat.items():
        if isinstance(array, np.ndarray):
            checked.require(array, *_RULES.get(name, checked.FINITE), name)
    if abs(tree["shares"].sum() - 1) > 1e-9:
        raise ValueError("its shares do not add up to 1")
    history = checked.history(values["history"])
    if not history.get("step") or not all(0 <= step < 2**53 for step in history["step"]):
        raise ValueError("its history has no steps")
    built = {name: _reading(tree["weights"][name], of, readers.get(name), config) for name, of in readings.items()}
    return Answers(
        kind, config, columns, recurrent, built, tree["shares"], classes, tree["mean"], tree["scale"], single,
        _names(values["names"], columns), history, _scores(values.get("scores", {}), kind, count),
        _learned(values.get("learned", []), count),
    ), _settings(values["settings"], kind)  # fmt: skip


_VALUES = {"history", "names", "recurrent", "single", "answers", "config", "settings"}
_OPTIONAL = {"classes", "scores", "learned"}
_SPACING, _CHANNELS = "weights/convolutions/spacing", "weights/convolutions/channels"
_RULES = {"scale": checked.AT_LEAST_ZERO, "shares": checked.POSITIVE, _SPACING: checked.POSITIVE}


class _Description(NamedTuple):
    """What a file says of a reading."""

    encoding: Encoding
    steps: int


def _of_one_reading(tree: Tree, values: dict[str, Any], config: SequenceConfig) -> tuple[Tree, dict[str, Any], Any]:
    """A file from before there were several readings, in the terms of today."""
    name, steps = ("recurrence", 0) if values["recurrent"] else ("table", 1)
    columns = len(values["encoding"]) if isinstance(values["encoding"], list) else 0
    values |= {"readings": {name: {"encoding": values["encoding"], "steps": steps}}, "columns": columns}
    tree = {**tree, "weights": {name: tree.get("weights", {})}, "shares": np.ones(1)}
    return tree, values, config.with_(readings=(name,))


def _readings(values: Any, columns: Any, recurrent: bool) -> dict[str, _Description]:
    """What a file says of its readings: their names, and encodings of as many columns as each reads."""
    allowed = READINGS if recurrent else ("table",)
    if type(columns) is not int or columns < 1:
        raise ValueError(f"its columns are {shortened(columns)}, which no table has")
    if not isinstance(values, dict) or not values or not values.keys() <= {*allowed}:
        raise ValueError(f"its readings are {shortened(values)}, expected some of {', '.join(allowed)}")
    readings = {}
    for name, value in values.items():
        if not isinstance(value, dict) or value.keys() != {"encoding", "steps"} or type(value["steps"]) is not int:
            raise ValueError(f"its reading {name!r} is {shortened(value)}, not an encoding and a number of steps")
        encoding, steps = _encoding(value["encoding"]), value["steps"]
        if (steps > 0) != (name == "table") or len(encoding.columns) != columns * max(steps, 1):
            raise ValueError(f"its reading {name!r} has {len(encoding.columns)} columns, which cannot be")
        readings[name] = _Description(encoding, steps)
    return readings


def _reader(config: SequenceConfig, name: str, of: _Description, count: int) -> SequenceReader:
    recurrent = name == "recurrence"
    return SequenceReader.of(config, of.encoding.width * ((config.patch or 1) if recurrent else 1), count, recurrent)


def _reading(arrays: Tree, of: _Description, reader: SequenceReader | None, config: SequenceConfig) -> Reading:
    """A reading of arrays that have the right forms, if these agree with one another."""
    if reader:
        return NetworkReading(of.encoding, reader, arrays, 1 if of.steps else config.patch or 1, of.steps)
    layer = Convolutions(*(arrays[name] for name in ("spacing", "channels", "threshold")))
    if not len(layer.spacing) == len(layer.channels) == len(layer.threshold) or len(arrays["W"]) != layer.features:
        raise ValueError("its convolutions are not as many everywhere")
    if not layer.channels.any(axis=1).all():
        raise ValueError("one of its convolutions reads nothing")
    return ConvolutionReading(of.encoding, layer, {name: arrays[name] for name in ("W", "b")})


def _forms(
    config: SequenceConfig,
    readings: Mapping[str, _Description],
    readers: Mapping[str, SequenceReader],
    count: int,
    targets: int,
) -> dict[str, Any]:
    """What every array of a file must be; a classifier has no units of targets."""
    dtype, exact = np.dtype(config.dtype), np.dtype(np.float64)
    forms: dict[str, Any] = dict.fromkeys(("mean", "scale"), Form((targets,), exact))
    forms["shares"] = Form((len(readings),), exact)
    for name, of in readings.items():
        if name in readers:
            shapes = leaves(answers(readers[name], config.cell_heads, config.ensemble or 0), f"weights/{name}/")
            forms |= {path: {} if shape == {} else Form(shape, dtype) for path, shape in shapes.items()}
        else:
            forms |= {f"weights/{name}/{part}": form for part, form in convolutions(of.encoding.width, count).items()}
    return forms


def _config(values: Any, kind: str) -> SequenceConfig:
    settings = _settings(values, kind)
    require_registered(settings)
    config = CONFIGS[kind].of(settings)
    if config.hidden is None or config.ensemble is None:
        raise ValueError("hidden and ensemble are not among its settings")
    return config


def _learned(value: Any, count: int) -> tuple[int, ...]:
    sound = isinstance(value, list) and all(type(rows) is int and 0 < rows < 2**53 for rows in value)
    if not sound or len(value) not in (0, count):
        raise ValueError(f"the rows that it learned from are {shortened(value)}, expected a number for each class")
    return tuple(value)


def _scores(value: Any, kind: str, count: int) -> dict[str, Any]:
    """Scores as plain values, which whoever shows them holds to what they must be."""
    if not isinstance(value, dict) or (value and (kind != "classifier" or len(value.get("classes", ())) != count)):
        raise ValueError(f"its scores are {shortened(value)}, which no {kind} has")
    return value


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


_LABELS = re.compile(r"[<>|=]?(?:[biuf][1248]|U([0-9]{1,8})|O)")  # types, and the letters of a string
MOST_LETTERS = 10_000_000  # of all labels


def _names(values: Any, columns: int) -> tuple[str, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != columns or not all(isinstance(name, str) for name in values):
        raise ValueError(f"the names of its columns are {shortened(values)}, not {columns:,} strings")
    return tuple(values)


def _to_json(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON holds them: a mapping with keys of any type becomes pairs."""
    return {name: _pairs(value) if hasattr(value, "items") else _item(value) for name, value in settings.items()}


def _pairs(mapping: Any) -> dict[str, Any]:
    return {"pairs": [[_item(key), _item(value)] for key, value in mapping.items()]}


def _item(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
