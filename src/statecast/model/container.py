"""The file format that models, streams and checkpoints share: a tree of arrays and some strings.

It is a safetensors file. Its tensors are the leaves of the tree, named by their paths, and its header holds all else as
strings (settings in TOML, the rest in JSON): what the file is, which statecast wrote it, and a checksum over all of it,
so that a damaged file is refused rather than believed. Reading one can run no code.

A checksum proves that a file is whole, not that it is honest, so nothing in a header is believed either: the tensors
must fill the file from end to end, and nothing takes more memory than a small multiple of the bytes that are there.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from statecast.errors import ModelFileError, NewerFormat, UnknownCell, shortened
from statecast.files import write_pieces

Tree = dict[str, Any]  # a tree of arrays: dicts of dicts of arrays; names hold no "/"

FORMAT = 1  # of the container and of what lies in it; a higher number is a later statecast's
FILE = "model.safetensors"  # the name inside a model's folder
LONGEST_REASON = 400  # characters of an error that is quoted in another
LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
MOST_TENSORS = 100_000
DEEPEST = 16  # names in the path of a tensor, and axes of a tensor
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "|b1"}
_DTYPES |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
_KINDS = {code: kind for kind, code in _DTYPES.items()}
_VERSION = re.compile(r"[0-9A-Za-z.+!_-]{1,40}")
_REQUIRED = {"kind", "statecast_format", "statecast", "sha256", "empty"}


@dataclass(frozen=True, eq=False)
class Portions:
    """An array that comes in pieces, so that what is as large as all series is never copied as a whole.

    Attributes:
        shape: of the whole.
        dtype: of its numbers.
        pieces: gives its rows in order, in arrays [n, …], each time that it is called.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Callable[[], Iterator[np.ndarray]]


Leaf = np.ndarray | Portions


class _Place(NamedTuple):
    """Where the numbers of a tensor lie behind the header, and what they are."""

    begin: int
    end: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def write_tensors(path: str | Path, tree: Tree, metadata: Mapping[str, str]) -> Path:
    """Write a tree of arrays and strings to one file, whole or not at all.

    Args:
        path: the file; it is replaced if it exists.
        tree: dicts of dicts of arrays.
        metadata: strings, among them "kind": what the file is.

    Raises:
        OutputError: the file cannot be written; what was there before is unchanged.
    """
    return write_pieces(path, pieces(tree, metadata))


def read_tensors(path: str | Path, *kinds: str) -> tuple[Tree, dict[str, str]]:
    """The tree and the strings that `write_tensors` wrote; the arrays are writable.

    Args:
        path: the file, or a folder that holds `model.safetensors`.
        kinds: the kinds of file that will do.

    Raises:
        ModelFileError: no such file, truncated, damaged, foreign, or of another kind.
        NewerFormat: a later statecast wrote it.
    """
    return unpack(read_content(path), str(path), *kinds)


def read_content(path: str | Path) -> bytes:
    """The bytes of a file, or of the model in a folder.

    Raises:
        ModelFileError: there is none, or it cannot be read.
    """
    try:
        return _file(Path(path)).read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(f"there is no file {path}: give a model that was saved, or its folder") from error
    except OSError as error:
        raise ModelFileError(f"{shortened(str(path))} cannot be read: {error.strerror or error}") from error


def _file(path: Path) -> Path:
    """The file at a path, or that of the model in a folder."""
    if path.is_dir():
        if not (path / FILE).is_file():
            raise ModelFileError(f"{path} is a folder without {FILE}: give the folder that `fit` wrote, or a file")
        return path / FILE
    require_finite(path)
    return path


def require_finite(path: Path) -> None:
    """Refuse what could be read for ever; there may be nothing at the path.

    Raises:
        ModelFileError: it is a device or a pipe, or no name of a file at all.
    """
    if "\0" in str(path):
        raise ModelFileError(f"{shortened(str(path))} is the name of no file")
    if path.exists() and not path.is_file():
        raise ModelFileError(f"{path} is a device, a pipe or a folder: give a file")


def pieces(tree: Tree, metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """The bytes of a file one after another: its header, then the numbers of each tensor; `Portions` are read twice.

    The same tree and strings make the same bytes. See `write_tensors`.
    """
    if "kind" not in metadata:
        raise ValueError("metadata must tell the kind of the file")
    flat, empty = flatten(tree)
    texts = {**metadata, "statecast_format": str(FORMAT), "statecast": version(), "empty": json.dumps(empty)}
    texts["sha256"] = _checksum(flat, texts)
    names = sorted(flat, key=lambda name: (-flat[name].dtype.itemsize, name))  # wide numbers first, so that all align
    header, end = {"__metadata__": dict(sorted(texts.items()))}, 0  # type: dict[str, Any], int
    for name in names:
        begin, end = end, end + math.prod(flat[name].shape) * flat[name].dtype.itemsize
        kind = _KINDS[flat[name].dtype.newbyteorder("<").str]
        header[name] = {"dtype": kind, "shape": list(flat[name].shape), "data_offsets": [begin, end]}
    yield framed(header)
    for name in names:
        yield from _buffers(flat[name])


def _buffers(leaf: Leaf) -> Iterator[memoryview]:
    """The bytes of a tensor's numbers, in order."""
    for piece in leaf.pieces() if isinstance(leaf, Portions) else (leaf,):
        yield np.ascontiguousarray(piece, leaf.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data


def unpack(content: bytes, name: str, *kinds: str) -> tuple[Tree, dict[str, str]]:
    """The tree and the strings of a file's bytes; `name` tells errors where they come from. See `read_tensors`."""
    entries, texts, begin = _header(name, content)
    if (kind := texts["kind"]) not in kinds:
        kind = kind if _VERSION.fullmatch(kind) else shortened(kind)
        raise ModelFileError(f"{name} is a statecast {kind}: expected a {' or a '.join(kinds)}")
    try:
        places = {path: _place(path, entry) for path, entry in entries.items()}
        if max((place.end for place in places.values()), default=0) > len(content) - begin:
            raise _truncated(name, content)
        flat = _tensors(content, places, begin)
        if _checksum(flat, texts) != texts["sha256"]:
            raise ValueError("its checksum does not agree")
        tree = unflatten(flat, parse_json(texts["empty"]))
    except ValueError as error:
        raise _damaged(name, error) from error
    return tree, {key: text for key, text in texts.items() if key not in ("sha256", "empty")}


def flatten(tree: Tree) -> tuple[dict[str, Leaf], list[str]]:
    """A tree as arrays by their paths, such as "weights/head/out/W", and the paths of its dicts that hold nothing."""
    flat: dict[str, Leaf] = {}
    empty: list[str] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            below, bare = flatten(dict(value))
            flat |= {f"{name}/{key}": item for key, item in below.items()}
            empty += [f"{name}/{key}" for key in bare] if value else [name]
        else:
            flat[name] = value if isinstance(value, Portions) else np.asarray(value, order="C")
    return flat, empty


def unflatten(flat: Mapping[str, Leaf], empty: Any) -> Tree:
    """The tree that `flatten` took apart.

    Raises:
        ValueError: `empty` is not a list of paths, or the paths are not those of a tree.
    """
    if not isinstance(empty, list) or not all(isinstance(path, str) for path in empty):
        raise ValueError(f"its empty branches are {shortened(empty)}, not a list of strings")
    tree: Tree = {}
    for path, value in [*flat.items(), *((path, None) for path in empty)]:
        *folders, name = path.split("/")
        if len(folders) >= DEEPEST or not all((name, *folders)):
            raise ValueError(f"{shortened(path)} is not the name of a tensor")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
            if not isinstance(branch, dict):
                raise ValueError(f"{shortened(path)} lies inside another tensor")
        if name in branch:
            raise ValueError(f"{shortened(path)} is there twice")
        branch[name] = {} if value is None else value
    return tree


def parse_json(text: str, infinite: bool = False) -> Any:
    """A JSON document, read strictly: no key twice, no text that cannot be written, no nesting without end.

    Args:
        text: the document.
        infinite: whether NaN and the infinities, which JSON lacks and Python writes, are numbers here.

    Raises:
        ValueError: it is none, or holds one of these.
    """

    def number(word: str) -> float:
        if not infinite:
            raise ValueError(f"{word} is not a number here")
        return float(word)

    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=number)
        text.encode()
        if "\\u" in text:  # an escaped half of a surrogate pair would make a string that no file can hold
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error
    return document


def disagreement(name: str, texts: Mapping[str, str], error: Exception) -> ModelFileError:
    """The error for a file that is whole, and says what cannot be."""
    if isinstance(error, UnknownCell):
        return UnknownCell(f"{name}: {error}")
    reason = str(error)
    reason = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"
    return ModelFileError(
        f"{name}: written by statecast {texts['statecast']}, but not as this statecast {version()} reads it "
        f"({reason}): upgrade statecast, or save the model again"
    )


def version() -> str:
    """The version of this statecast."""
    from importlib import metadata  # slow to import, and only writing and complaining need it

    try:
        return metadata.version("statecast")
    except metadata.PackageNotFoundError:  # run from its sources
        return "0"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a name comes twice in one mapping")
    return mapping


def framed(header: Mapping[str, Any]) -> bytes:
    """A header as it stands at the beginning of a file, before the numbers."""
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text


def _header(name: str, content: bytes) -> tuple[dict[str, Any], dict[str, str], int]:
    """The entries of the tensors, the strings, and where the numbers begin; of a file no newer than this program.

    Raises:
        ModelFileError: see `read_tensors`.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 9 or size > LONGEST_HEADER or content[8:9] != b"{":
        what = "is empty" if not content else "is not a file of statecast"
        raise ModelFileError(f"{name} {what}: give a model that statecast saved")
    if len(content) < 8 + size:
        raise _truncated(name, content)
    try:
        header = parse_json(content[8 : 8 + size].decode())
        texts = header.pop("__metadata__", {})
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("its metadata are not strings")
        number = int(texts["statecast_format"]) if "statecast_format" in texts else None
        if number is not None and number < 1:
            raise ValueError("there is no such format")
    except ValueError as error:
        raise _damaged(name, "its header cannot be read") from error
    _require_ours(name, texts, number)
    if len(header) > MOST_TENSORS:
        raise _damaged(name, f"it lists {len(header):,} tensors, more than {MOST_TENSORS:,}")
    return header, texts, 8 + size


def _require_ours(name: str, texts: Mapping[str, str], number: int | None) -> None:
    if number is None:
        raise ModelFileError(f"{name} holds the tensors of another program: give a model that statecast saved")
    if number > FORMAT:
        writer = texts.get("statecast", "?")
        writer = writer if _VERSION.fullmatch(writer) else "?"
        raise NewerFormat(
            f"{name} was written by statecast {writer} in format {number}, and this statecast "
            f"{version()} reads formats up to {FORMAT}: pip install --upgrade statecast"
        )
    if not texts.keys() >= _REQUIRED or not _VERSION.fullmatch(texts["statecast"]):
        raise _damaged(name, "its header is not complete")


def _damaged(name: str, reason: object) -> ModelFileError:
    return ModelFileError(f"{name} is damaged: {reason}; copy or save it again")


def _truncated(name: str, content: bytes) -> ModelFileError:
    return ModelFileError(f"{name} is truncated: only {len(content):,} bytes are there; copy or save it again")


def _tensors(content: bytes, places: Mapping[str, _Place], begin: int) -> dict[str, np.ndarray]:
    """The arrays, each in memory of its own.

    Raises:
        ValueError: they do not share out the bytes among them from the first to the last.
    """
    flat: dict[str, np.ndarray] = {}
    end = 0
    for name, place in sorted(places.items(), key=lambda item: (item[1].begin, item[1].end)):
        if place.begin != end:
            raise ValueError(f"tensor {shortened(name)} does not begin where the one before it ends")
        end = place.end
        array = np.frombuffer(content, place.dtype, math.prod(place.shape), begin + place.begin)
        if place.dtype == bool and array.view(np.uint8).max(initial=0) > 1:
            raise ValueError(f"tensor {shortened(name)} holds other bits than true and false")
        flat[name] = array.reshape(place.shape).astype(place.dtype.newbyteorder("="))
    if end != len(content) - begin:
        raise ValueError(f"{len(content) - begin - end:,} bytes belong to no tensor")
    return flat


def _place(name: str, entry: Any) -> _Place:
    """Where a tensor lies.

    Raises:
        ValueError: its entry in the header is not one, or says other sizes than the shape.
    """
    if isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if isinstance(dtype, str) and dtype in _DTYPES and _counts(shape) and _counts(offsets) and len(offsets) == 2:
            place = _Place(offsets[0], offsets[1], np.dtype(_DTYPES[dtype]), tuple(shape))
            if math.prod(place.shape) * place.dtype.itemsize == place.end - place.begin:
                return place
    raise ValueError(f"what it says of tensor {shortened(name)} cannot be")


def _counts(values: Any) -> bool:
    """Whether this is a short list of sizes that memory can have."""
    sizes = isinstance(values, list) and len(values) <= DEEPEST
    return sizes and all(type(value) is int and 0 <= value < 2**48 for value in values)


def _checksum(flat: Mapping[str, Leaf], texts: Mapping[str, str]) -> str:
    """SHA-256 over the names, types, shapes and numbers of the tensors, and over the strings."""
    total = hashlib.sha256()
    for name in sorted(texts.keys() - {"sha256"}):
        total.update(f"{name}\0{texts[name]}\0".encode())
    for name in sorted(flat):
        total.update(f"{name}\0{flat[name].dtype.str}\0{flat[name].shape}\0".encode())
        for buffer in _buffers(flat[name]):
            total.update(buffer)
    return total.hexdigest()
