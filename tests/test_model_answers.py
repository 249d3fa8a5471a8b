"""Files of classifiers and regressors: what they say is checked before it is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statecast import config as settings
from statecast.data.encoding import Encoding
from statecast.data.sequences import Sequences, of_sequences, of_table
from statecast.errors import ModelFileError, UnknownCell
from statecast.model.cells import CELLS, cell
from statecast.model.container import pieces, read_tensors
from statecast.model.members import cast, stacked
from statecast.model.sequences import answers
from statecast.model.sequences.answers import Answers
from statecast.model.sequences.convolutions import Convolutions
from statecast.model.sequences.reader import SequenceReader
from statecast.model.sequences.readings import ConvolutionReading, NetworkReading, Reading
from statecast.sequence_config import ClassifierConfig, RegressorConfig

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
    steps = 0 if source.recurrent else 1
    readings: dict[str, Reading] = {
        "table" if steps else "recurrence": NetworkReading(encoding, reader, weights, config.patch or 1, steps)
    }
    if source.recurrent:
        readings["convolutions"] = convolutions(source)
    config, shares = config.with_(readings=tuple(readings)), np.array([0.25, 0.75] if source.recurrent else [1.0])
    moments = (np.zeros(0), np.zeros(0)) if kind == "classifier" else (np.zeros(2), np.array([1.0, 0.0]))
    classes = np.array(["no", "yes"]) if kind == "classifier" else None
    return Answers(
        kind, config, source.channels, source.recurrent, readings, shares, classes, *moments, False, None, STEPS
    )


def convolutions(source: Sequences) -> ConvolutionReading:
    encoding, rng = Encoding.fit(source, False), np.random.default_rng(0)
    layer = Convolutions(np.array([1, 1, 2]), np.eye(3, 2, dtype=bool) | [True, False], np.zeros((3, 2), np.float32))
    weights = {"W": rng.normal(size=(layer.features, 2)), "b": np.zeros(2)}
    return ConvolutionReading(encoding, layer, weights)


def outcome(model: Answers, source: Sequences) -> np.ndarray:
    return model.values(source) if model.classes is None else model.probabilities(source)


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
    """A file with other strings and arrays, and the checksum that goes with them; None leaves one out."""
    tree, header = read_tensors(path, kind)
    header = {name: text for name, text in header.items() if not name.startswith("statecast")}
    changes = {name: None if value is None else json.dumps(value) for name, value in texts.items()}
    header = {name: text for name, text in {**header, **changes}.items() if text is not None}
    tree = {name: value for name, value in {**tree, **arrays}.items() if value is not None}
    path.write_bytes(b"".join(pieces(tree, header)))
    return path


@pytest.mark.parametrize(("kind", "options"), [("classifier", {"patch": 2}), ("classifier", {}), ("regressor", {})])
def test_a_file_gives_the_same_model(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    written, source = model(kind, **options), sequences() if kind == "classifier" else table()
    path = answers.save(written, tmp_path / "m", {"hidden": (3,), "class_weight": {"no": 2.0}} if not options else {})
    read, restored_scaler = answers.load(path, kind) if kind == "classifier" else (answers.load(
        answers.save(written, tmp_path / "r", {"hidden": (3,)}), kind))  # fmt: skip
    np.testing.assert_array_equal(outcome(read, source), outcome(written, source))
    assert {name: of.reader for name, of in read.networks.items()} == {
        name: of.reader for name, of in written.networks.items()
    }
    assert "class_weight" not in restored_scaler or restored_scaler["class_weight"] == {"no": 2.0}


COLUMN = {"mean": 0, "scale": 1, "change": 0, "categories": None, "marked": False}


def described(*columns: Any, steps: Any = 0) -> dict[str, Any]:
    """What a file says of its readings, the recurrence's columns being these."""
    return {
        "recurrence": {"encoding": list(columns), "steps": steps},
        "convolutions": {"encoding": [COLUMN] * 2, "steps": 0},
    }


LIES: list[tuple[str, Any]] = [
    *((name, value) for name in ("config", "settings", "readings", "history", "answers", "recurrent", "single")
      for value in (None, 3.5, "x", [], [1], {"a": 1}, {"a": {"pairs": 3}})),
    ("readings", {}), ("readings", {"recurrence": 1}), ("readings", described()), ("readings", described(COLUMN)),
    ("readings", described(COLUMN, COLUMN)), ("readings", described(COLUMN, COLUMN, steps=1)),
    ("readings", described(COLUMN, COLUMN, steps=True)), ("readings", {"table": described()["convolutions"]}),
    ("readings", {"convolutions": {"encoding": [COLUMN] * 2, "steps": 0}}),
    *(("readings", described(*[{**COLUMN, **part}] * 2)) for part in (
        {"scale": 0}, {"mean": "0"}, {"categories": [[1]]}, {"categories": ["a"] * 10**5, "marked": True})),
    ("columns", None), ("columns", 3), ("columns", 0), ("columns", True), ("columns", "2"), ("recurrent", False),
    ("answers", 0), ("answers", 3), ("answers", 10**12), ("answers", True), ("answers", -1),
    ("names", 3), ("names", ["a"]), ("names", [1, 2]), ("names", "ab"),
    ("history", {}), ("history", {"step": []}), ("history", {"step": ["x"]}), ("history", {"step": [float("nan")]}),
    ("config", {"ensemble": None}), ("config", {"ensemble": 10**9}), ("config", {"hidden": [10**9]}),
    ("config", {"hidden": None}), ("config", {"patch": 7}), ("config", {"no such": 1}), ("config", {"cell": ["lstm"]}),
    ("config", {"class_weight": {"pairs": [[[1], 2]]}}), ("config", {"bidirectional": False}),
    ("config", {"readings": ["recurrence"]}), ("settings", {"no such": 1}),
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
    path.write_bytes(b"".join(pieces(tree, {**header, "readings": "[" * 100_000})))
    with pytest.raises(ModelFileError, match="nested too deeply"):
        answers.load(path, "classifier")


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_arrays_of_other_forms_and_numbers_are_refused(kind: str, tmp_path: Path) -> None:
    path = answers.save(model(kind), tmp_path / "m", {})
    name = "recurrence" if kind == "classifier" else "table"
    branches = read_tensors(path, kind)[0]["weights"]
    weights = branches[name]
    out, short = weights["out"], {"W": weights["out"]["W"][..., :1], "b": weights["out"]["b"]}
    nan = {"W": np.full_like(out["W"], np.nan), "b": out["b"]}
    for network in (
        {**weights, "out": short},
        {**weights, "out": nan},
        {**weights, "out": {name: array.astype(np.float64) for name, array in out.items()}},
        {name: part for name, part in weights.items() if name != "forwards"},
        {**weights, "more": out},
    ):
        changed = rewritten(answers.save(model(kind), path, {}), kind, {}, {"weights": {**branches, name: network}})
        with pytest.raises(ModelFileError, match=r"expected|lacks|does not have"):
            answers.load(changed, kind)
    shares = read_tensors(path, kind)[0]["shares"]
    for changes in (
        {"weights": {}},
        {"mean": np.zeros(3)},
        {"mean": None},
        {"scale": np.zeros(3)},
        {"scale": np.full(0 if kind == "classifier" else 2, -1.0), "extra": np.zeros(2)},
        {"shares": None},
        {"shares": shares / 2},
        {"shares": np.append(shares[:-1], -shares[-1])},
        {"shares": np.append(shares, 0.5)},
    ):
        with pytest.raises(ModelFileError, match=r"expected|lacks|does not have|add up"):
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


@pytest.mark.parametrize(
    ("part", "array"),
    [
        ("spacing", np.array([1, 0, 2])),
        ("spacing", np.array([1, 2])),
        ("spacing", np.array([1.0, 1.0, 2.0])),
        ("channels", np.zeros((3, 2), bool)),
        ("channels", np.ones((3, 3), bool)),
        ("threshold", np.zeros((3, 1), np.float32)),
        ("threshold", np.full((3, 2), np.nan, np.float32)),
        ("W", np.zeros((8, 2))),
        ("b", np.zeros(3)),
        ("more", np.zeros(3)),
    ],
)
def test_convolutions_that_do_not_fit_together_are_refused(part: str, array: np.ndarray, tmp_path: Path) -> None:
    path = answers.save(model("classifier"), tmp_path / "m", {})
    branches = read_tensors(path, "classifier")[0]["weights"]
    changes = {"weights": {**branches, "convolutions": {**branches["convolutions"], part: array}}}
    with pytest.raises(ModelFileError):
        answers.load(rewritten(path, "classifier", {}, changes), "classifier")


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_a_file_of_before_readings_still_loads(kind: str, tmp_path: Path) -> None:
    """Its weights and columns were those of the only network, and nothing told how it read."""
    path, source = answers.save(model(kind), tmp_path / "m", {}), sequences() if kind == "classifier" else table()
    tree, header = read_tensors(path, kind)
    name, of = next(iter(answers.load(path, kind)[0].networks.items()))
    header = {key: text for key, text in header.items() if key not in ("readings", "columns", "statecast")}
    config, settings = (json.loads(header.pop(key)) for key in ("config", "settings"))
    config.pop("readings")
    header |= {"config": json.dumps(config), "settings": json.dumps(settings)}
    header |= {"encoding": json.dumps(of.encoding.to_json())}
    path.write_bytes(
        b"".join(pieces({"weights": tree["weights"][name], "mean": tree["mean"], "scale": tree["scale"]}, header))
    )
    old, _ = answers.load(path, kind)
    assert (tuple(old.readings), old.config.readings, old.shares.tolist()) == ((name,), (name,), [1.0])
    single = outcome(old, source)
    numbers = of.numbers(source)
    odds = np.exp(numbers) / np.exp(numbers).sum(axis=-1, keepdims=True) if kind == "classifier" else numbers
    np.testing.assert_allclose(single, odds.mean(axis=0) * (old.scale if kind == "regressor" else 1), rtol=1e-12)
