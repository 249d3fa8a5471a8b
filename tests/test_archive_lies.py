"""Model files that carry the right checksum and lie are refused with one sentence, before they cost anything."""

from __future__ import annotations

import copy
import json
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_cases import model, panel, remembering, same_bits
from lying_files import File, bases, contents
from use_files import run

from statecast.cli import about
from statecast.errors import ModelFileError
from statecast.forecast.predict import forecast
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.cells import CELLS
from statecast.model.trained import TrainingRows

Change = Callable[[File], Any]


def content(of: int = 0) -> bytes:
    return contents()[of]


def text(name: str, value: Any) -> Change:
    """Another JSON document."""
    return lambda file: file.texts.update({name: json.dumps(value)})


def column(**values: Any) -> Change:
    """Another schema."""
    return lambda file: file.texts.update(schema=json.dumps(json.loads(file.texts["schema"]) | values))


def size(**values: Any) -> Change:
    return lambda file: file.texts.update(network=json.dumps(json.loads(file.texts["network"]) | values))


def settings(old: str, new: str) -> Change:
    def change(file: File) -> None:
        assert old in file.texts["config"]
        file.texts["config"] = file.texts["config"].replace(old, new)

    return change


def tensor(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda file: file.arrays.update({name: change(file.arrays[name])})


def holding(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """The tensor with its last number replaced."""

    def change(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[-1] = value
        return array

    return change


def entry(**values: Any) -> Change:
    """What the header says of the residuals."""

    def change(file: File) -> None:
        array = file.arrays["residuals"]
        fields = {"dtype": "F64", "shape": list(array.shape), "data_offsets": [0, array.nbytes]}
        file.entries["residuals"] = fields | values

    return change


def both(*changes: Change) -> Change:
    return lambda file: [change(file) for change in changes]


LIES: dict[str, tuple[str, Change]] = {
    "a gain of one step": ("'constants/output_gain' is", tensor("constants/output_gain", lambda a: a[:1])),
    "no level": (
        "'constants/level' is float32 \\[0\\], expected float32 \\[1\\]",
        tensor("constants/level", lambda a: a[:0]),
    ),
    "no spread": ("'constants/spread' is", tensor("constants/spread", lambda a: a[:0])),
    "a deviation of no series": ("'constants/deviation' is", tensor("constants/deviation", lambda a: a[:0])),
    "no ring gain": ("'constants/ring_gain' is", tensor("constants/ring_gain", lambda a: a[:0])),
    "residuals of bytes": ("'residuals' is int8", tensor("residuals", lambda a: a.astype(np.int8))),
    "residuals of float32": ("'residuals' is float32", tensor("residuals", lambda a: a.astype(np.float32))),
    "residuals that fall": ("'residuals' do not ascend", tensor("residuals", lambda a: a[::-1].copy())),
    "typical errors, and states without a series' own": (
        "'state/data' is",
        lambda file: file.arrays.update(typical=np.ones((3, 1))),
    ),
    "weights of another precision": ("expected float32", tensor("weights/head/out/W", lambda a: a.astype(np.float64))),
    "a weight that is none": ("'weights/head/out/W' holds nan", tensor("weights/head/out/W", holding(np.nan))),
    "an infinite weight": ("'weights/head/out/b' holds inf", tensor("weights/head/out/b", holding(np.inf))),
    "an infinite constant": ("'constants/origin' holds inf", tensor("constants/origin", holding(np.inf))),
    "a floor above everything": ("'constants/floor' holds inf", tensor("constants/floor", holding(np.inf))),
    "no unit": ("'constants/unit' holds 0.0, expected finite numbers above zero", tensor("constants/unit", holding(0))),
    "a state that is none": ("'state/.*' holds nan", tensor("state/data", holding(np.nan))),
    "a state of other series": ("holds 2 times for 1 series", text("ids", ["s0"])),
    "a time after all times": ("'state/time' holds", tensor("state/time", holding(2**62))),
    "times as numbers": ("'state/time' is float64", tensor("state/time", lambda a: a.astype(np.float64))),
    "no weights": ("it lacks 'weights/head/out/W'", lambda file: file.arrays.pop("weights/head/out/W")),
    "a weight too many": ("it holds 'weights/x'", lambda file: file.arrays.update({"weights/x": np.zeros(1)})),
    "a tensor named state": (
        "is there twice",
        lambda f: f.arrays.update(state=f.arrays.pop("residuals")),
    ),
    "a tensor named weights": (
        "is there twice|inside another",
        lambda f: f.arrays.update({"weights": np.zeros(1), **f.arrays}),
    ),
    "an empty branch that is a number": ("empty branches are 3", text("empty", 3)),
    "an empty branch of numbers": ("empty branches are \\[3\\]", text("empty", [3])),
    "an empty branch that is a tensor": ("is there twice", text("empty", ["weights/head/out/W"])),
    "deep JSON": ("nested too deeply", lambda file: file.texts.update(schema="[" * 100_000)),
    "deep TOML": ("settings are", lambda file: file.texts.update(config="a = " + "[" * 100_000)),
    "deep but short TOML": ("nested too deeply", lambda file: file.texts.update(config="a = " + "[" * 5000)),
    "many dots in TOML": (
        "a line of its settings has more than 256 dots",
        lambda file: file.texts.update(config="a" + ".a" * 20_000 + " = 1"),
    ),
    "no target": ("it has no target", column(target=[])),
    "a target twice": ("has two roles", column(target=["load", "load"])),
    "a series that is a list": ("series holds \\[\\], not an id of the kind text or integer", column(series=[[]])),
    "a series that is nothing": ("series holds None, not an id of the kind text or integer", column(series=[None])),
    "a target that is a list": ("target holds \\[\\]", column(target=[[]])),
    "a name twice": ("comes twice", lambda f: f.texts.update(schema='{"target": ["y"], "target": ["x"]}')),
    "a zone that is a path": ("no time zone", column(tz="../../etc/passwd")),
    "a step of nothing": ("is not a frequency", column(frequency="0h")),
    "a step beyond all times": ("out of all times", column(frequency="9" * 30 + "h")),
    "steps for dates": ("a step is 2", column(frequency="2")),
    "years of another kind": ("years is 1", column(years=1)),
    "a role too little": ("frequency is missing", lambda f: f.texts.update(schema='{"target": ["y"]}')),
    "ids that are lists": ("ids holds \\[\\]", text("ids", [[], []])),
    "series that are lists": ("series holds \\[\\]", column(series=[[]])),
    "ids twice": ("holds 's0' twice", text("ids", ["s0", "s0"])),
    "ids of another kind": ("not an id of the kind text", text("ids", ["s0", 1])),
    "ids that nobody can write": (
        "header cannot be read|surrogates",
        lambda f: f.texts.update(ids='["\\ud800", "s1"]'),
    ),
    "more columns than the schema has": ("sizes of its network", size(past=30_000_000)),
    "a negative size": ("sizes of its network", size(past=-1)),
    "true for one": ("sizes of its network", size(targets=True)),
    "a size that is not a number": ("sizes of its network", size(targets="1")),
    "a size of another name": ("sizes of its network", size(future=1)),
    "other lags": ("expected float32", settings("lags = 2", "lags = 3")),
    "no marks of what is missing": ("expected float32", settings("missing = true", "missing = false")),
    "a decoder": ("weights/head", settings('decoder = "none"', 'decoder = "gru"')),
    "another horizon": ("expected float32", settings("horizon = 3", "horizon = 4")),
    "a horizon of everything": ("horizon = 1000000000", settings("horizon = 3", "horizon = 1000000000")),
    "another cell": ("'state/data' is", settings('cell = "rnn_tanh"', 'cell = "lstm"')),
    "fewer levels": ("'state/data' is", settings("    95,\n", "")),
    "NaN among the columns": ("NaN is not a number here", column(years=float("nan"))),
    "scores that are none": ("scores are 'good'", text("scores", "good")),
    "a history of words": ("history is", text("history", {"loss": ["low"]})),
    "reasons that are none": ("reasons are", text("reasons", {"lags": 3})),
    "no settings": ("its header has no 'config'", lambda file: file.texts.pop("config")),
    "offsets that overlap": ("does not begin where", entry(data_offsets=[8, 8 + 401 * 3 * 8])),
    "offsets that run backwards": ("cannot be", entry(data_offsets=[401 * 3 * 8, 0])),
    "offsets of more than memory": ("cannot be", entry(data_offsets=[0, 10**30], shape=[10**30])),
    "offsets behind the end": ("truncated", entry(data_offsets=[10**6, 10**6 + 401 * 3 * 8])),
    "one offset": ("cannot be", entry(data_offsets=[0])),
    "a shape of fractions": ("cannot be", entry(shape=[401.0, 3, 1])),
    "a format that is none": ("cannot be", entry(dtype=["F64"])),
    "an entry with more to say": ("cannot be", entry(x=1)),
    "rows in part": ("in part", lambda f: f.arrays.update({"training/first": np.zeros(2, np.int64)})),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_in_one_sentence(lie: str) -> None:
    message, change = LIES[lie]
    file = File(content())
    change(file)
    with pytest.raises(ModelFileError, match=message) as caught:
        archive.from_bytes(file.bytes(), "m")
    assert len(str(caught.value)) < 800
    assert str(caught.value).isprintable()


LIES_OF_MAPS: dict[str, tuple[str, Change]] = {
    "no maps": ("it lacks 'constants/maps'", lambda file: file.arrays.pop("constants/maps")),
    "the maps of fewer series": (r"expected float32 \[2, 1, 3, 3\]", tensor("constants/maps", lambda a: a[:1])),
    "maps of another precision": ("is float64", tensor("constants/maps", lambda a: a.astype(np.float64))),
    "a map of no numbers": ("'constants/maps' holds nan", tensor("constants/maps", holding(np.nan))),
    "maps that no setting asks for": ("sizes of its network", settings("local_skip = true", "local_skip = false")),
    "maps of nothing": ("local_skip = true with skip = 0", settings("skip = 3", "skip = 0")),
    "more series than maps": ("sizes of its network", column(series=["s0", "s1", "s2"])),
    "the maps of other series": ("takes one series for another", column(series=["s1", "s0"])),
}


@pytest.mark.parametrize("lie", LIES_OF_MAPS)
def test_a_lie_about_maps_is_refused_in_one_sentence(lie: str) -> None:
    message, change = LIES_OF_MAPS[lie]
    of = model(series=("s0", "s1"), local_skip=True)
    file = File(archive.to_bytes(remembering(of, panel(of))))
    archive.from_bytes(file.bytes(), "m")
    change(file)
    with pytest.raises(ModelFileError, match=message):
        archive.from_bytes(file.bytes(), "m")


def test_what_a_file_asks_for_is_not_made() -> None:
    """124 kB that ask for 6 GB, by columns or by units, and settings that take the square of their length."""
    lies = [size(past=30_000_000), both(settings("    4,\n", "    65_536,\n"), settings("rnn_tanh", "lru"))]
    lies += [lambda file: file.texts.update(config="a" + ".a" * 20_000 + " = 1\n")]
    for change in lies:
        file = File(content())
        change(file)
        lying = file.bytes()
        tracemalloc.start()
        with pytest.raises(ModelFileError):
            archive.from_bytes(lying)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 * len(lying) + 10_000_000


def test_a_cell_of_the_user_s_own_is_named() -> None:
    file = File(content())
    settings('cell = "rnn_tanh"', 'cell = "mine"')(file)
    message = "its cell is 'mine', and no module that was imported registers such a cell; before loading, import"
    with pytest.raises(ModelFileError, match=message):
        archive.from_bytes(file.bytes())
    assert "mine" not in CELLS


def test_limits_alone_may_be_without_end() -> None:
    for of in (archive.from_bytes(content(n)) for n in range(len(contents()))):
        assert of.constants["floor"].tolist() == [-np.inf] * of.network.front.targets
        infinite = ("floor", "ceiling", "high")
        assert all(np.isfinite(array).all() for name, array in of.constants.items() if name not in infinite)


def test_many_lying_files() -> None:
    """The short form of `python tests/use_files.py`."""
    outcomes, faults = run(range(600))
    assert faults == []
    assert outcomes["refused"] > 300
    assert outcomes["used"] > 100


@pytest.mark.parametrize("scores", [{"mae": 0.1}, {"skill": 3}, {"metric": "x", "statecast": {}, "skill": {"y": 1}}])
def test_scores_that_say_nothing(tmp_path: Path, scores: dict[str, Any]) -> None:
    path = archive.save(replace(bases()[0], scores=scores), tmp_path / "m")
    for as_json in (False, True):
        with pytest.raises(ModelFileError, match="its scores are not as statecast writes them"):
            about.model(str(path), as_json)


# --- copies carry the bytes of the file


@pytest.mark.parametrize("number", range(0, len(bases()), 5))
def test_models_streams_and_forecasts_are_copied_and_pickled(number: int) -> None:
    of = bases()[number]
    copies: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]
    for copied in copies:
        again = copied(of)
        assert again.shares_states(of)
        same_bits(again.state.data, of.state.data)
        if not of.schema.known:
            duplicate, expected = copied(forecast(of)), forecast(of)
            same_bits(duplicate.values, expected.values)
            assert duplicate.ids == expected.ids
            same_bits(copied(Stream(of)).forecast().values, expected.values)


def test_a_pickled_model_that_was_damaged_is_refused() -> None:
    function, (written,) = archive.reduced(bases()[0])
    with pytest.raises(ModelFileError, match="a copied model is damaged"):
        function(written[:-1] + bytes([written[-1] ^ 1]))


def test_two_models_share_their_states_or_do_not() -> None:
    of, other = model(), model(seed=1)
    assert of.shares_states(of)
    assert of.shares_states(model())
    assert not of.shares_states(other)
    assert not of.shares_states(replace(of, schema=replace(of.schema, target=("y",))))
    assert not of.shares_states(replace(of, config=of.config.with_(levels=(50,))))


# --- what was learned from, and why


@pytest.mark.parametrize("of", [model(), model(targets=2, independent=True), model(id_kind="integer")])
def test_rows_and_reasons_are_kept(of: Any) -> None:
    of = remembering(of, panel(of))
    ids = ("s0", "s1") if of.schema.id_kind == "text" else (0, 1)
    rows = TrainingRows(ids, *(np.array([n, n + 1]) for n in (1, 4, 8)))
    back = archive.from_bytes(archive.to_bytes(replace(of, reasons={"lags": "a season"}, training=rows)))
    assert back.reasons == {"lags": "a season"}
    assert back.training is not None
    assert back.training.ids == ids
    assert [part.tolist() for part in (back.training.first, back.training.train, back.training.val)] == [
        [1, 2],
        [4, 5],
        [8, 9],
    ]
    stream = Stream(back).take([ids[1]])
    kept = archive.from_bytes(archive.to_bytes(replace(back, state=stream.state), "stream")).training
    assert kept is not None
    assert kept.ids == ids


def test_a_file_of_before_says_neither() -> None:
    of = archive.from_bytes(content())
    assert of.reasons is None
    assert of.training is None
