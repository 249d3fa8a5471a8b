"""Files of classifiers and regressors: what they say is checked before it is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statecast import config as settings
from statecast.config import ClassifierConfig, RegressorConfig
from statecast.data.encoding import Encoding
from statecast.data.sequences import Sequences, of_sequences, of_table
from statecast.errors import ModelFileError, UnknownCell
from statecast.model import answers
from statecast.model.answers import Answers
from statecast.model.cells import CELLS, cell
from statecast.model.container import pack, read_tensors
from statecast.model.members import cast, stacked
from statecast.model.reader import SequenceReader

STEPS = {"step": [1.0, 2.0]}


def sequences() -> Sequences:
    rng = np.random.default_rng(0)
    return of_sequences([rng.normal(size=(n, 2)) for n in (3, 5, 4)])


def model(kind: str, **options: Any) -> Answers:
    """Untrained; a classifier of sequences with two labels, or a regressor of two values from rows of a table."""
    of, source = (ClassifierConfig, sequences()) if kind == "classifier" else (RegressorConfig, table())
    config = of.of({"hidden": (3,), "ensemble": 2, "precision": "float32", **options})
    encoding = Encoding.fit(source, config.differences)
    reader = SequenceReader.of(config, encoding.width * (config.patch or 1), 2, source.recurrent)
    weights = cast(stacked([reader.init(seed) for seed in range(2)]), np.float32)
    moments = (np.zeros(0), np.zeros(0)) if kind == "classifier" else (np.zeros(2), np.ones(2))
    classes = np.array(["no", "yes"]) if kind == "classifier" else None
    return Answers(kind, config, encoding, source.recurrent, reader, weights, classes, *moments, False, None, STEPS)


def table() -> Sequences:
    return of_table(np.random.default_rng(0).normal(size=(6, 4)))


@pytest.fixture
def registry() -> Iterator[None]:
    cells, names = dict(CELLS), list(settings.CELLS)
    yield
    CELLS.clear()
    CELLS.update(cells)
    settings.CELLS[:] = names


def rewritten(path: Path, kind: str, texts: dict[str, Any], arrays: dict[str, Any]) -> Path:
    """A file with other texts and arrays, and the checksum that goes with them; None leaves one out."""
    tree, header = read_tensors(path, kind)
    header = {name: text for name, text in header.items() if not name.startswith("statecast")}
    changes = {name: None if value is None else json.dumps(value) for name, value in texts.items()}
    header = {name: text for name, text in {**header, **changes}.items() if text is not None}
    tree = {name: value for name, value in {**tree, **arrays}.items() if value is not None}
    path.write_bytes(pack(tree, header))
    return path


@pytest.mark.parametrize(("kind", "options"), [("classifier", {"patch": 2}), ("classifier", {}), ("regressor", {})])
def test_a_file_gives_the_same_model(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    written, source = model(kind, **options), sequences() if kind == "classifier" else table()
    path = answers.save(written, tmp_path / "m", {"hidden": (3,), "class_weight": {"no": 2.0}} if not options else {})
    read, own = answers.load(path, kind) if kind == "classifier" else (answers.load(
        answers.save(written, tmp_path / "r", {"hidden": (3,)}), kind))  # fmt: skip
    np.testing.assert_array_equal(read.numbers(source), written.numbers(source))
    assert read.reader == written.reader
    assert "class_weight" not in own or own["class_weight"] == {"no": 2.0}


LIES: list[tuple[str, Any]] = [
    *((name, value) for name in ("config", "settings", "encoding", "history", "answers", "recurrent", "single")
      for value in (None, 3.5, "x", [], [1], {"a": 1}, {"a": {"pairs": 3}})),
    ("encoding", [{"mean": 0, "scale": 0, "change": 0, "categories": None, "marked": False}] * 2),
    ("encoding", [{"mean": "0", "scale": 1, "change": 0, "categories": None, "marked": False}] * 2),
    ("encoding", [{"mean": 0, "scale": 1, "change": 0, "categories": [[1]], "marked": False}] * 2),
    ("encoding", [{"mean": 0, "scale": 1, "change": 0, "categories": ["a"] * 10**5, "marked": True}]),
    ("answers", 0), ("answers", 3), ("answers", 10**12), ("answers", True), ("answers", -1),
    ("names", 3), ("names", ["a"]), ("names", [1, 2]), ("names", "ab"),
    ("history", {}), ("history", {"step": []}), ("history", {"step": ["x"]}), ("history", {"step": [float("nan")]}),
    ("config", {"ensemble": None}), ("config", {"ensemble": 10**9}), ("config", {"hidden": [10**9]}),
    ("config", {"hidden": None}), ("config", {"patch": 7}), ("config", {"no such": 1}), ("config", {"cell": ["lstm"]}),
    ("config", {"class_weight": {"pairs": [[[1], 2]]}}), ("config", {"bidirectional": False}),
    ("settings", {"no such": 1}),
    ("classes", None), ("classes", 3), ("classes", {"type": "<U3"}), ("classes", {"type": "<U3", "values": ["a"]}),
    ("classes", {"type": "<U3", "values": ["a", "a"]}), ("classes", {"type": "<U3", "values": [["a"], "b"]}),
    ("classes", {"type": "V8", "values": [1, 2]}), ("classes", {"type": "i1", "values": [1, 300]}),
    ("classes", {"type": "<U99999999", "values": ["a", "b"]}), ("classes", {"type": [1], "values": ["a", "b"]}),
    ("classes", {"type": "f8", "values": ["a", "b"]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), LIES, ids=str)
def test_a_header_that_lies_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    path = answers.save(model("classifier"), tmp_path / "m", {})
    with pytest.raises(ModelFileError):
        answers.load(rewritten(path, "classifier", {name: value}, {}), "classifier")


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    path = answers.save(model("classifier"), tmp_path / "m", {})
    tree, header = read_tensors(path, "classifier")
    header = {name: text for name, text in header.items() if not name.startswith("statecast")}
    path.write_bytes(pack(tree, {**header, "encoding": "[" * 100_000}))
    with pytest.raises(ModelFileError, match="nested too deeply"):
        answers.load(path, "classifier")


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_arrays_of_other_forms_and_numbers_are_refused(kind: str, tmp_path: Path) -> None:
    path = answers.save(model(kind), tmp_path / "m", {})
    weights = read_tensors(path, kind)[0]["weights"]
    out, short = weights["out"], {"W": weights["out"]["W"][..., :1], "b": weights["out"]["b"]}
    nan = {"W": np.full_like(out["W"], np.nan), "b": out["b"]}
    for changes in (
        {"weights": {**weights, "out": short}},
        {"weights": {**weights, "out": nan}},
        {"weights": {**weights, "out": {name: array.astype(np.float64) for name, array in out.items()}}},
        {"weights": {name: part for name, part in weights.items() if name != "forwards"}},
        {"weights": {**weights, "more": out}},
        {"mean": np.zeros(3)},
        {"mean": None},
        {"scale": np.zeros(2)},
        {"extra": np.zeros(2)},
    ):
        with pytest.raises(ModelFileError, match=r"wanted|lacks|does not have"):
            answers.load(rewritten(answers.save(model(kind), path, {}), kind, {}, changes), kind)


@pytest.mark.usefixtures("registry")
def test_a_cell_that_is_not_registered_is_named(tmp_path: Path) -> None:
    cell("mine", gates=1, recurrent=1)(lambda w, z, s: ({"h": z + s["h"] @ w["U"]}, {}))
    path = answers.save(model("classifier", cell="mine"), tmp_path / "m", {"cell": "mine"})
    assert answers.load(path, "classifier")[0].config.cell == "mine"
    del CELLS["mine"]
    settings.CELLS.remove("mine")
    with pytest.raises(
        UnknownCell, match=r"its cell is 'mine'.*import the one that does, by @.*cell\('mine', …\)"
    ) as e:
        answers.load(path, "classifier")
    assert str(path) in str(e.value)
    assert "upgrade" not in str(e.value)
