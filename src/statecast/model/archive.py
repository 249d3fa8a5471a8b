"""A trained model on disk, and the one place that distrusts what a file says of it.

A file may be whole, carry the right checksum, and lie. So its claims are read in an order in which each can be held
against those before it, and before anything of the size that they state is made: the settings, the columns, the network
that follows from both, the form of every array of that network, and at last the numbers themselves. Whatever does not
agree is a `ModelFileError`; what comes out can be stepped without looking again.

`copy` and `pickle` of a model carry the bytes of its file (joblib, Ray and Spark need them), and take the same road.
"""

from __future__ import annotations

import copyreg
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from statecast.config import Config
from statecast.data.schema import Schema, names
from statecast.errors import StatecastError, shortened
from statecast.files import write_pieces
from statecast.model import checked, container
from statecast.model.cells import require_registered
from statecast.model.container import Portions, Tree, disagreement, parse_json, read_content, unpack
from statecast.model.network import Network
from statecast.model.shapes import LIMITS, leaves
from statecast.model.state import Layout, State
from statecast.model.trained import Model, TrainingRows

LONGEST_CONFIG = 200_000  # characters, most of them of a list of holidays
MOST_DOTS = 256  # of a line of settings: reading a key takes the square of the dots in it
SIZES = ("targets", "past", "known", "calendar", "static")
KINDS = ("model", "stream")


def save(model: Model, path: str | Path, kind: str = "model") -> Path:
    """Write a model to a file, whole or not at all.

    Args:
        model: the model.
        path: the file; it is replaced if it exists.
        kind: what the file says it is: "model", or "stream" for the snapshot of a stream.

    Raises:
        OutputError: the file cannot be written; what was there before is unchanged.
    """
    return write_pieces(path, pieces(model, kind))


def load(path: str | Path) -> Model:
    """The model of a file, of a folder that holds `model.safetensors`, or of a saved stream (with the stream's state).

    Raises:
        ModelFileError: there is none, or it is damaged or foreign, or what it says cannot be; `NewerFormat` if a later
            statecast wrote it.
    """
    return from_bytes(read_content(path), str(path))


def to_bytes(model: Model, kind: str = "model") -> bytes:
    """What `save` writes."""
    return b"".join(pieces(model, kind))


def pieces(model: Model, kind: str = "model", rows: Portions | None = None) -> Iterator[bytes | memoryview]:
    """What `save` writes, one piece after another.

    Args:
        model: the model.
        kind: see `save`.
        rows: the rows of the state, where they come in pieces; `model.state` then tells their names and times alone.
    """
    front = model.network.front
    sizes = {name: getattr(front, name) for name in SIZES} | {"series": model.network.series}
    tree: Tree = {"weights": model.weights, "constants": model.constants}
    tree["state"] = {"data": model.state.data if rows is None else rows, "time": model.state.time}
    optional = {name: getattr(model, name) for name in ("residuals", "paths", "typical", "phases", "tails")}
    tree |= {name: array for name, array in optional.items() if array is not None}
    values: dict[str, Any] = {"schema": model.schema.to_json(), "network": sizes, "ids": list(model.state.ids)}
    values |= {"scores": model.scores, "history": model.history}
    if model.reasons is not None:
        values["reasons"] = model.reasons
    if (training := model.training) is not None:
        tree["training"] = {"first": training.first, "train": training.train, "val": training.val}
        # A model remembers the series of its table, so they need not be told twice.
        values["training"] = None if training.ids == model.state.ids else list(training.ids)
    texts = {name: json.dumps(value, ensure_ascii=False, default=_plain) for name, value in values.items()}
    yield from container.pieces(tree, {"kind": kind, "config": model.config.to_toml(), **texts})


def from_bytes(content: bytes, name: str = "a copied model") -> Model:
    """The model that `to_bytes` wrote; `name` tells errors where the bytes come from. See `load` for the errors."""
    tree, texts = unpack(content, name, *KINDS)
    try:
        return _model(tree, texts)
    except (StatecastError, ValueError) as error:
        raise disagreement(name, texts, error) from error


def _model(tree: Tree, texts: Mapping[str, str]) -> Model:
    """The model of a file.

    Raises:
        StatecastError, ValueError: what the file says cannot be.
    """
    config = _config(_text(texts, "config"))
    schema = Schema.from_json(parse_json(_text(texts, "schema")))
    network = _network(config, schema, parse_json(_text(texts, "network")))
    flat, nothing = leaves(tree), State.empty(Layout(()), config.dtype)
    # Whether intervals are sized, and values scored, decides on the layout of states, by which all else is checked.
    rows = {"typical": flat.get("typical"), "tails": flat.get("tails")}
    model = Model(config, schema, network, {}, {}, nothing, None, {}, {}, **rows)
    _add_limits(tree, flat, network)
    checked.require_forms(flat, model)
    checked.require_numbers(flat, model)
    state = State(model.layout, flat["state/data"], _row_ids(model, texts), flat["state/time"])
    checked.require_state(state, model)
    return replace(
        model,
        weights=tree["weights"],
        constants=tree["constants"],
        state=state,
        residuals=flat.get("residuals"),
        scores=_scores(parse_json(_text(texts, "scores"), infinite=True)),
        history=checked.history(parse_json(_text(texts, "history"), infinite=True)),
        paths=flat.get("paths"),
        phases=flat.get("phases"),
        reasons=_reasons(parse_json(texts["reasons"])) if "reasons" in texts else None,
        training=_training(flat, texts, model, state) if checked.TRAINING[0] in flat else None,
    )


def _add_limits(tree: Tree, flat: dict[str, Any], network: Network) -> None:
    """Give a file of before there were limits the constants of a network without any."""
    if not any(f"constants/{name}" in flat for name in LIMITS) and isinstance(tree.get("constants"), dict):
        constants = network.constants()
        tree["constants"] |= {name: constants[name] for name in LIMITS}
        flat |= {f"constants/{name}": constants[name] for name in LIMITS}


def _text(texts: Mapping[str, str], name: str) -> str:
    if name not in texts:
        raise ValueError(f"its header has no {name!r}")
    return texts[name]


def _config(text: str) -> Config:
    if len(text) > LONGEST_CONFIG:
        raise ValueError(f"its settings are {len(text):,} characters long, expected at most {LONGEST_CONFIG:,}")
    if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line of its settings has more than {MOST_DOTS} dots")
    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its settings are nested too deeply") from error
    require_registered(values)
    return Config.of(values)


def _network(config: Config, schema: Schema, sizes: Any) -> Network:
    """The network that settings and columns make; the sizes that the file states must be its own."""
    targets = 1 if config.channels == "independent" else len(schema.target)
    counts = {name: len(getattr(schema, f"{name}_features")) for name in ("past", "known", "static")}
    counts["calendar"] = len(schema.calendar_features) if config.calendar else 0
    network = Network.of(config, targets, **counts, series=len(schema.series))
    expected = {"targets": targets, **counts, "series": network.series}
    if not isinstance(sizes, dict) or sizes != expected or any(type(size) is not int for size in sizes.values()):
        raise ValueError(f"the sizes of its network are {shortened(sizes)}, and its columns make {expected}")
    if (config.holidays is None) != (not schema.holidays):
        raise ValueError("its settings and its columns disagree on whether there are holidays")
    if network.series != len(schema.series):
        raise ValueError("its columns tell training series apart, and its settings do not")
    return network


def _row_ids(model: Model, texts: Mapping[str, str]) -> tuple[str | int, ...]:
    """The names of the rows of the state."""
    independent = len(model.schema.target) > model.network.front.targets
    return names(parse_json(_text(texts, "ids")), "text" if independent else model.schema.id_kind, "ids")


def _scores(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ValueError(f"its scores are {shortened(values)}, not a mapping")
    return values


def _reasons(values: Any) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(reason, str) for reason in values.values()):
        raise ValueError(f"its reasons are {shortened(values)}, not a string for each setting")
    return values


def _training(flat: Mapping[str, Any], texts: Mapping[str, str], model: Model, state: State) -> TrainingRows:
    listed = parse_json(_text(texts, "training"))
    ids = state.ids if listed is None else names(listed, model.schema.id_kind, "training")
    for path in checked.TRAINING:
        checked.require_times(flat[path], len(ids), model, path)
    return TrainingRows(ids, *(flat[path] for path in checked.TRAINING))


def _plain(value: Any) -> Any:
    """Numbers and arrays of NumPy as JSON can hold them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved: expected numbers, strings, lists and mappings")


def reduced(model: Model) -> tuple[Any, tuple[bytes]]:
    """A model as `copy` and `pickle` carry it: the function that makes it, and the bytes of its file."""
    return from_bytes, (to_bytes(model),)


copyreg.pickle(Model, reduced)
