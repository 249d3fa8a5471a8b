"""Model files that are whole, carry the right checksum, and lie.

Each number makes one file: a small model of `bases`, changed in one to three places, a setting, a column, a string,
a tensor's name, shape, format or numbers, or bytes anywhere. `use_files` uses them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import tomllib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tomli_w
from forecast_cases import model, panel, remembering

from statecast import config
from statecast.model import archive
from statecast.model.state import UNSEEN
from statecast.model.trained import Model

DTYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "|b1": "BOOL", "|u1": "U8", "|i1": "I8", "<i8": "I64"}
DTYPES |= {"<i4": "I32", "<u4": "U32", "<i2": "I16", "<u2": "U16", "<u8": "U64"}
NUMBERS: list[Any] = [
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    401,
    65_536,
    10**5,
    3 * 10**7,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63),
    10**20,
    0.5,
]
NUMBERS += [-0.5, 80, 1e-9, 1e18, 1e300, float("nan"), float("inf"), True, False]
TEXTS = ["", "y", "load", "lstm", "gru", "none", "row", "integer", "datetime", "date", "text", "1h", "1mo", "1", "1us"]
TEXTS += [
    "0h",
    "9" * 30 + "h",
    "Europe/Berlin",
    "../../etc/passwd",
    "+99:00",
    "\ud800",
    "\0",
    "x" * 200_000,
    "s0",
    "s0/y1",
]
TEXTS += ["²", "-0", "01", "NaN", "numeric", "categorical", "América", "9999999999999999us", "5000y", "a/b", "\x1b[2J"]
FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-45,
    1e-300,
    1e30,
    3e38,
    -3e38,
    1e300,
    np.inf,
    -np.inf,
    np.nan,
    20.0,
    1e8,
    0.999,
    2.0**24,
]


@functools.cache
def bases() -> tuple[Model, ...]:
    """Every cell, head and way of several networks, in both precisions, with and without covariates and intervals."""
    made = [model(cell, precision=precision) for precision in ("float32", "float64") for cell in config.CELLS]
    heads = ("pinball", "normal", "student_t", "negative_binomial", "decoder", "log")
    made += [model(head=head, targets=2, covariates=head in ("pinball", "decoder")) for head in heads]
    made += [model(covariates=True, targets=2), model("gru", covariates=True, precision="float64", tz="Europe/Berlin")]
    made += [model(targets=2, independent=True), model(targets=3, independent=True, id_kind="integer", id="site")]
    made += [model(targets=2, independent=True, id=None), model(time_kind="integer", freq="1", id_kind="integer")]
    made += [model("gru", ensemble=3), model("slstm", ensemble=2, covariates=True, cell_heads=2)]
    made += [model(series=("s0", "s1"), embedding=2), model("lru", series=("s0", "s1"), local=True)]
    made += [model("gru", series=("s0", "other"), local_skip=True, ensemble=2)]
    made += [model(levels=()), model(adaptive=False), model(normalize="window"), model(normalize="ewma", skip=0)]
    made += [model(normalize="global", horizon=1), model(normalize="none", hidden=(), dense=(4, 4), activation="gelu")]
    made += [model(freq="1mo", time_kind="date"), model(hidden=(4, 4), residual=True, missing=False, horizon=9)]
    return tuple(remembering(of, panel(of, (9, 5) if of.schema.id else (9,))) for of in made)


class File:
    """The parts of a file, open to change: strings, tensors, and what the header says of both."""

    def __init__(self, content: bytes) -> None:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        self.texts: dict[str, str] = header.pop("__metadata__")
        kinds = {name: np.dtype(text) for text, name in DTYPES.items()}
        self.arrays = {
            name: np.frombuffer(
                content, kinds[entry["dtype"]], int(np.prod(entry["shape"])), 8 + size + entry["data_offsets"][0]
            )
            .reshape(entry["shape"])
            .copy()
            for name, entry in header.items()
        }
        self.entries: dict[str, Any] = {}  # what the header says instead of the truth

    def bytes(self) -> bytes:
        """The file, with the checksum that it should have."""
        header, data, total = {}, [], hashlib.sha256()
        texts = {name: text for name, text in self.texts.items() if name != "sha256"}
        begin = 0
        for name, array in self.arrays.items():
            raw = array.tobytes()
            offsets = [begin, begin + len(raw)]
            header[name] = {"dtype": DTYPES[array.dtype.str], "shape": list(array.shape), "data_offsets": offsets}
            begin += len(raw)
            data.append(raw)
        for name in sorted(texts):
            total.update(f"{name}\0{texts[name]}\0".encode("utf-8", "surrogatepass"))
        for name in sorted(self.arrays):
            array = self.arrays[name]
            total.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode("utf-8", "surrogatepass"))
            total.update(array.tobytes())
        header |= self.entries
        text = json.dumps({"__metadata__": texts | {"sha256": total.hexdigest()}, **header}).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + b"".join(data)


@functools.cache
def contents() -> tuple[bytes, ...]:
    """The bases as files, every other one a stream's."""
    return tuple(archive.to_bytes(of, archive.KINDS[n % 2]) for n, of in enumerate(bases()))


def lie(number: int) -> bytes:
    """The file of this number."""
    rng = random.Random(number)
    file = File(rng.choice(contents()))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choices(*CHANGES)[0](rng, file)
    content = file.bytes()
    if rng.random() < 0.02:
        content = damaged(rng, content)
    return content


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Bytes changed anywhere, so that the checksum is wrong as well."""
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.randrange(4)) + content[at + rng.randrange(4) :]


def odd(rng: random.Random) -> Any:
    """A value that is right somewhere, and mostly not here."""
    pick = rng.random()
    if pick < 0.5:
        return rng.choice(NUMBERS)
    if pick < 0.8:
        return rng.choice(TEXTS)
    return rng.choice([None, [], {}, [[]], ["y"], [1, 1], {"name": "y"}, [rng.choice(TEXTS), rng.choice(NUMBERS)]])


def nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON document, as a container and a key in it."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from nodes(value[key])


def change_json(rng: random.Random, file: File) -> None:
    """One value of one of the strings in JSON."""
    name = rng.choice(["schema", "schema", "network", "ids", "scores", "history", "empty", "training", "reasons"])
    if name not in file.texts:
        file.texts[name] = json.dumps(odd(rng))
        return
    try:
        value = json.loads(file.texts[name])
    except (ValueError, RecursionError):  # another change has been here
        return
    places = list(nodes(value))
    if places and rng.random() < 0.9:
        container, key = rng.choice(places)
        deed = rng.random()
        if deed < 0.6:
            container[key] = odd(rng)
        elif deed < 0.75:
            del container[key]
        elif deed < 0.9 and isinstance(container, list):
            container.append(container[key])
        else:
            other, its = rng.choice(places)
            container[key], other[its] = other[its], container[key]
    else:
        value = odd(rng)
    try:
        file.texts[name] = json.dumps(value)
    except ValueError:  # it holds itself
        file.texts[name] = "{}"


def change_setting(rng: random.Random, file: File) -> None:
    """One setting: another value that it may have, an odd one, none, or a new name."""
    try:
        values = tomllib.loads(file.texts["config"])
    except (KeyError, ValueError, RecursionError):  # another change has been here
        return
    name = rng.choice([*config.names(), *values])
    allowed = [*config.CELLS, *config.NORMALIZERS, *config.ACTIVATIONS, *config.LOSSES, *config.PRECISIONS]
    allowed += [True, False, 1, 2, 3, 4, 9, 0.2, [], [4], [4, 4], [3], [80], [50, 99.9], "joint", "independent", "log"]
    if rng.random() < 0.15:
        values.pop(name, None)
    else:
        values[name] = rng.choice(allowed) if rng.random() < 0.8 else odd(rng)
    try:
        file.texts["config"] = tomli_w.dumps(values)
    except (TypeError, ValueError, RecursionError):  # TOML has no null, and tomli_w no long keys
        file.texts["config"] += "\n" + name + " = " + repr(values[name])


def change_text(rng: random.Random, file: File) -> None:
    """A string as a whole: gone, cut, deep, long, with odd characters, or under another name."""
    name = rng.choice(list(file.texts))
    text = file.texts[name]
    at = rng.randrange(len(text) + 1)
    deep = ["[" * 5000, "[" * 90 + "]" * 90, '{"a":' * 3000, "a" + ".a" * 5000 + " = 1\n", "a = " + "[" * 2000]
    deep += ["a." * 20 + "b = 1\n", '\n[[x]]\n"y" = [1]\n', "\ud800", "\0", '"\\ud800"', "9" * 5000, "1e999", "NaN"]
    choice = rng.randrange(5)
    if choice == 0:
        del file.texts[name]
    elif choice == 1:
        file.texts[name] = text[:at]
    elif choice == 2:
        file.texts[name] = text[:at] + rng.choice(deep) + text[at:]
    elif choice == 3:
        file.texts[name] = rng.choice([*deep, rng.choice(list(file.texts.values()))])
    else:
        file.texts[rng.choice(["x", "kind", "config", "training", "reasons"])] = text


def change_numbers(rng: random.Random, file: File) -> None:
    """Some numbers of a tensor: special ones, others' bits, or all of them on another scale."""
    name = rng.choice(list(file.arrays))
    array = file.arrays[name]
    if not array.size:
        return
    flat, choice = array.reshape(-1), rng.randrange(4)
    at = [rng.randrange(flat.size) for _ in range(rng.choice((1, 1, 3, flat.size)))]
    if array.dtype.kind != "f":
        special = np.array([0, 1, -1, 2**62, 2**62 + 1, UNSEEN, 2**63 - 1, -(2**62), 10**17, 5])
        flat[at] = rng.choice(special.astype(array.dtype))
    elif choice == 0:
        flat[at] = rng.choice(FLOATS)
    elif choice == 1:
        flat *= rng.choice([0, -1, 10, 1e10, 1e30, 1e-30])
    elif choice == 2:
        flat[at] += rng.choice([1, -1, 100])
    else:
        raw = bytearray(array.tobytes())
        for _ in range(rng.choice((1, 8, 64))):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        file.arrays[name] = np.frombuffer(raw, array.dtype).reshape(array.shape)


def change_form(rng: random.Random, file: File) -> None:
    """The shape or the format of a tensor, honestly told."""
    name = rng.choice(list(file.arrays))
    array, choice = file.arrays[name], rng.randrange(6)
    if choice == 0:
        file.arrays[name] = array.astype(np.dtype(rng.choice(list(DTYPES))))
    elif choice == 1:
        file.arrays[name] = array.reshape(-1)
    elif choice == 2:
        file.arrays[name] = array.reshape(1, *array.shape)
    elif choice == 3 and array.ndim:
        axis = rng.randrange(array.ndim)
        file.arrays[name] = np.take(array, range(rng.randrange(array.shape[axis] + 1)), axis)
    elif choice == 4 and array.ndim:
        file.arrays[name] = np.concatenate([array, array])
    else:
        shape = [rng.choice((0, 1, 2, 3, 2**15)) for _ in array.shape]
        file.arrays[name] = np.zeros([0, *shape] if rng.random() < 0.5 else [0], array.dtype)


def change_names(rng: random.Random, file: File) -> None:
    """Which tensors there are: one gone, renamed, there twice, in the place of another, or new."""
    name, choice = rng.choice(list(file.arrays)), rng.randrange(5)
    names = [
        "state",
        "weights",
        "weights/head/out/W/x",
        "",
        "/",
        "a//b",
        "paths",
        "residuals",
        "typical",
        "phases",
        "training/first",
        "x/" * 40,
    ]
    if choice == 0:
        del file.arrays[name]
    elif choice == 1:
        file.arrays[rng.choice(names)] = file.arrays.pop(name)
    elif choice == 2:
        file.arrays[rng.choice(names)] = file.arrays[name]
    elif choice == 3:
        other = rng.choice(list(file.arrays))
        file.arrays[name], file.arrays[other] = file.arrays[other], file.arrays[name]
    else:
        series, horizon = len(file.arrays.get("state/time", ())), 3
        file.arrays |= {f"training/{part}": np.full(series, n) for n, part in enumerate(("first", "train", "val"))}
        file.arrays["paths"] = np.zeros((rng.randrange(3), horizon, 1), np.float32)
        file.texts["training"] = rng.choice(["null", "[]", '["s0"]'])


def change_header(rng: random.Random, file: File) -> None:
    """What the header says of a tensor, against the truth."""
    name = rng.choice(list(file.arrays))
    array = file.arrays[name]
    entry: dict[str, Any] = {
        "dtype": DTYPES[array.dtype.str],
        "shape": list(array.shape),
        "data_offsets": [0, array.nbytes],
    }
    entry[rng.choice(list(entry))] = rng.choice([odd(rng), [rng.choice(NUMBERS), rng.choice(NUMBERS)], [0], [0, 8, 16]])
    file.entries[name] = rng.choice([entry, odd(rng)])


def exchange(rng: random.Random, file: File) -> None:
    """A string or some tensors of another model."""
    other = File(rng.choice(contents()))
    if rng.random() < 0.5:
        name = rng.choice(list(other.texts))
        file.texts[name] = other.texts[name]
    else:
        branch = rng.choice(["weights", "constants", "state", "residuals", "weights/head", "weights/stack"])
        file.arrays = {name: array for name, array in file.arrays.items() if not name.startswith(branch)}
        file.arrays |= {name: array for name, array in other.arrays.items() if name.startswith(branch)}


CHANGES = (
    [change_json, change_setting, change_text, change_numbers, change_form, change_names, change_header, exchange],
    [20, 25, 5, 30, 8, 5, 3, 4],
)
