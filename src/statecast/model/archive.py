"""A trained model on disk.

Models, streams and checkpoints share one container: a safetensors file whose tensors are the leaves of a tree of
arrays, named by their path, and whose header holds everything else as text (settings in TOML, the rest in JSON). The
header also tells what the file is, which statecast wrote it, and a checksum over all of it, so that a damaged file is
refused rather than believed. Reading one can run no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from statecast.config import Config
from statecast.data.schema import Schema
from statecast.errors import ModelFileError, NewerFormat, StatecastError
from statecast.files import write_bytes
from statecast.model.network import Network
from statecast.model.state import Layout, State
from statecast.model.trained import Model

Tree = dict[str, Any]  # a tree of arrays: dicts of dicts of arrays; names hold no "/"

FORMAT = 1  # of the container and of what lies in it; a higher number is a later statecast's
FILE = "model.safetensors"  # the name inside a model's folder
_LONGEST_HEADER = 100_000_000  # safetensors' own limit
_OWN = ("statecast_format", "statecast", "sha256", "empty")


def save(model: Model, path: str | Path, kind: str = "model") -> Path:
    """Write a model to a file, whole or not at all.

    Args:
        model: the model.
        path: the file; it is replaced if it exists.
        kind: what the file says it is: "model", or "stream" for the snapshot of a stream.

    Raises:
        OutputError: the file cannot be written; what was there before is unchanged.
    """
    front = model.network.front
    sizes = {name: getattr(front, name) for name in ("targets", "past", "known", "calendar", "static")}
    sizes["series"] = model.network.series
    tree: Tree = {"weights": model.weights, "constants": model.constants}
    tree["state"] = {"data": model.state.data, "time": model.state.time}
    if model.residuals is not None:
        tree["residuals"] = model.residuals
    if model.paths is not None:
        tree["paths"] = model.paths
    values = {"schema": model.schema.to_json(), "network": sizes, "ids": list(model.state.ids)}
    values |= {"scores": model.scores, "history": model.history}
    texts = {name: json.dumps(value, ensure_ascii=False, default=_plain) for name, value in values.items()}
    return write_tensors(path, tree, {"kind": kind, "config": model.config.to_toml(), **texts})


def load(path: str | Path) -> Model:
    """The model of a file, of a folder that holds `model.safetensors`, or of a saved stream (with the stream's state).

    Raises:
        ModelFileError: there is none, or it is damaged or foreign; `NewerFormat` if a later statecast wrote it.
    """
    import tomllib

    tree, texts = read_tensors(path, "model", "stream")
    try:
        values = {name: json.loads(texts[name]) for name in ("schema", "network", "ids", "scores", "history")}
        config = Config.of(tomllib.loads(texts["config"]))
        network = Network.of(config, **values["network"])
        model = Model(
            config=config,
            schema=Schema.from_json(values["schema"]),
            network=network,
            weights=tree["weights"],
            constants=tree["constants"],
            state=State.empty(Layout(()), config.dtype),
            residuals=tree.get("residuals"),
            scores=values["scores"],
            history=values["history"],
            paths=tree.get("paths"),
        )
        state = State(model.layout, tree["state"]["data"], tuple(values["ids"]), tree["state"]["time"])
        if state.data.shape != (len(state.ids), model.layout.size):
            raise ModelFileError(
                f"its state has the shape {state.data.shape}, not {(len(state.ids), model.layout.size)}"
            )
        return replace(model, state=state)
    except (StatecastError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path}: written by statecast {texts['statecast']}, but not as this statecast {version()} reads it "
            f"({error}): upgrade statecast, or save the model anew"
        ) from error


def same(one: Model, other: Model) -> bool:
    """Whether two models are the same network with the same numbers: the states of one mean the same to the other."""
    if one is other:
        return True
    first, second = flatten(one.p)[0], flatten(other.p)[0]
    return (
        (one.network, one.schema) == (other.network, other.schema)
        and first.keys() == second.keys()
        and all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)
    )


def write_tensors(path: str | Path, tree: Tree, metadata: Mapping[str, str]) -> Path:
    """Write a tree of arrays and texts to one file, whole or not at all.

    Args:
        path: the file; it is replaced if it exists.
        tree: dicts of dicts of arrays.
        metadata: texts, among them "kind": what the file is.

    Raises:
        OutputError: the file cannot be written; what was there before is unchanged.
    """
    import safetensors.numpy

    if "kind" not in metadata:
        raise ValueError("metadata must tell the kind of the file")
    flat, empty = flatten(tree)
    header = {**metadata, "statecast_format": str(FORMAT), "statecast": version(), "empty": json.dumps(empty)}
    header["sha256"] = _checksum(flat, header)
    return write_bytes(path, _ordered(safetensors.numpy.save(flat, header)))


def read_tensors(path: str | Path, *kinds: str) -> tuple[Tree, dict[str, str]]:
    """The tree and the texts that `write_tensors` wrote; the arrays are writable.

    Args:
        path: the file, or a folder that holds `model.safetensors`.
        kinds: the kinds of file that will do.

    Raises:
        ModelFileError: no such file, truncated, damaged, foreign, or of another kind.
        NewerFormat: a later statecast wrote it.
    """
    import safetensors.numpy

    path = _file(Path(path))
    content = _content(path)
    header = _header(path, content)
    if header["kind"] not in kinds:
        raise ModelFileError(f"{path} is a statecast {header['kind']}: wanted a {' or a '.join(kinds)}")
    try:
        flat = {name: np.array(value) for name, value in safetensors.numpy.load(content).items()}
    except Exception as error:  # safetensors raises its own type, and others for some damage
        raise ModelFileError(f"{path} is damaged ({error}): copy or save it anew") from error
    if _checksum(flat, header) != header["sha256"]:
        raise ModelFileError(f"{path} is damaged: its checksum does not agree; copy or save it anew")
    empty = json.loads(header["empty"])
    return unflatten(flat, empty), {name: text for name, text in header.items() if name not in ("sha256", "empty")}


def _ordered(content: bytes) -> bytes:
    """The same file with its texts in order: safetensors shuffles them, and the same model is to make the same bits."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def flatten(tree: Tree) -> tuple[dict[str, np.ndarray], list[str]]:
    """A tree as arrays by their paths, such as "weights/head/out/W", and the paths of its dicts that hold nothing."""
    flat: dict[str, np.ndarray] = {}
    empty: list[str] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            below, bare = flatten(dict(value))
            flat |= {f"{name}/{key}": item for key, item in below.items()}
            empty += [f"{name}/{key}" for key in bare] if value else [name]
        else:
            flat[name] = np.asarray(value, order="C")
    return flat, empty


def unflatten(flat: Mapping[str, np.ndarray], empty: list[str]) -> Tree:
    """The tree that `flatten` took apart."""
    tree: Tree = {}
    for path, value in [*flat.items(), *((path, None) for path in empty)]:
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = {} if value is None else value
    return tree


def version() -> str:
    """The version of this statecast."""
    from importlib import metadata  # slow to import, and only writing and complaining need it

    try:
        return metadata.version("statecast")
    except metadata.PackageNotFoundError:  # run from its sources
        return "0"


def _file(path: Path) -> Path:
    if path.is_dir():
        if not (path / FILE).is_file():
            raise ModelFileError(f"{path} is a folder without {FILE}: give the folder that `fit` wrote, or a file")
        return path / FILE
    return path


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"there is no file {path}: give a model that was saved, or its folder") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error


def _header(path: Path, content: bytes) -> dict[str, str]:
    """The texts of a file of statecast that is complete and not newer than this program."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 9 or size > _LONGEST_HEADER or content[8:9] != b"{":
        what = "is empty" if not content else "is not a file of statecast"
        raise ModelFileError(f"{path} {what}: give a model that statecast saved")
    cut = ModelFileError(f"{path} is truncated: only {len(content):,} bytes are there; copy or save it anew")
    if len(content) < 8 + size:
        raise cut
    try:
        header = json.loads(content[8 : 8 + size])
        texts = header.pop("__metadata__", {})
        end = max((item["data_offsets"][1] for item in header.values()), default=0)
        format_of = int(texts["statecast_format"]) if "statecast_format" in texts else None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ModelFileError(f"{path} is damaged: its header cannot be read; copy or save it anew") from error
    if format_of is None:
        raise ModelFileError(f"{path} holds the tensors of another program: give a model that statecast saved")
    if format_of > FORMAT:
        raise NewerFormat(
            f"{path} was written by statecast {texts.get('statecast', '?')} in format {format_of}, and this statecast "
            f"{version()} reads formats up to {FORMAT}: pip install --upgrade statecast"
        )
    if len(content) < 8 + size + end:
        raise cut
    if not {"kind", *_OWN} <= texts.keys():
        raise ModelFileError(f"{path} is damaged: its header is not complete; copy or save it anew")
    return dict(texts)


def _checksum(flat: Mapping[str, np.ndarray], header: Mapping[str, str]) -> str:
    """SHA-256 over the names, types, shapes and numbers of the tensors, and over the texts."""
    told = hashlib.sha256()
    for name in sorted(header.keys() - {"sha256"}):
        told.update(f"{name}\0{header[name]}\0".encode())
    for name in sorted(flat):
        told.update(f"{name}\0{flat[name].dtype.str}\0{flat[name].shape}\0".encode())
        told.update(flat[name].tobytes())
    return told.hexdigest()


def _plain(value: Any) -> Any:
    """Numbers and arrays of NumPy as JSON can hold them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be saved: wanted numbers, texts, lists and mappings")
