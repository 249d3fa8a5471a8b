"""Keras' weights: the same outputs as Keras' own, the way back, and files that are refused."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from interop_cases import (
    COLUMNS,
    KERAS,
    LAST,
    RECORDED,
    archive,
    configuration,
    hdf5,
    keras_layers,
    keras_weights,
    recorded,
    streamed,
    values,
)

import statecast as sc
from statecast.errors import MissingDependency, ModelFileError, SettingError


def saved(folder: Path, name: str = "lstm") -> Path:
    layers = keras_layers(name)
    return archive(folder / "model.keras", configuration(layers), hdf5(layers, keras_weights(name)))


@pytest.mark.parametrize("name", KERAS)
def test_a_thousand_steps_are_those_of_keras(name: str, tmp_path: Path) -> None:
    outputs = streamed(sc.interop.from_keras(saved(tmp_path, name), **COLUMNS), values())[-LAST:]
    np.testing.assert_allclose(outputs, recorded()[f"keras/{name}/outputs"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", KERAS)
def test_weights_alone_make_the_same_network(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    path.write_bytes(hdf5(keras_layers(name), keras_weights(name)))
    alone = sc.interop.from_keras(path, cell=KERAS[name][2], activation="tanh", **COLUMNS)
    whole = sc.interop.from_keras(saved(tmp_path, name), **COLUMNS)
    np.testing.assert_array_equal(streamed(alone, values(50)), streamed(whole, values(50)))


@pytest.mark.parametrize("name", KERAS)
def test_the_way_back_gives_the_same_arrays(name: str, tmp_path: Path) -> None:
    weights = keras_weights(name)
    back = sc.interop.to_keras_weights(sc.interop.from_keras(saved(tmp_path, name), **COLUMNS))
    assert [array.shape for array in back] == [array.shape for array in weights]
    for array, before in zip(back, weights, strict=True):
        twice = array.ndim == 2 and array.shape == (2, 9)  # the two biases of a GRU, which add but for those of h
        np.testing.assert_allclose(array.sum(0) if twice else array, before.sum(0) if twice else before, rtol=1e-6)
        if twice:
            np.testing.assert_array_equal(array[:, 6:], before[:, 6:])


def test_files_that_keras_wrote_are_read() -> None:
    functional = sc.interop.from_keras(RECORDED / "functional.keras", **COLUMNS)
    assert (functional.model_.config.cell, functional.model_.config.hidden) == ("lstm", (3,))
    alone = sc.interop.from_keras(RECORDED / "gru.weights.h5", activation="tanh", **COLUMNS)
    np.testing.assert_allclose(streamed(alone, values())[-LAST:], recorded()["keras/gru/outputs"], atol=1e-5, rtol=0)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises((ModelFileError, SettingError)) as caught:
        sc.interop.from_keras(path, **COLUMNS, **options)
    return str(caught.value)


def test_what_no_layer_here_can_be_is_refused_by_name(tmp_path: Path) -> None:
    layers, content = keras_layers("lstm"), hdf5(keras_layers("lstm"), keras_weights("lstm"))

    def changed(number: int, **options: Any) -> str:
        other = [(kind, config | options if n == number else config) for n, (kind, config) in enumerate(layers)]
        return refusal(archive(tmp_path / "other.keras", configuration(other), content))

    assert "'relu'" in changed(0, activation="relu")
    assert "'hard_sigmoid'" in changed(1, recurrent_activation="hard_sigmoid")
    assert "go_backwards" in changed(0, go_backwards=True)
    assert "return_state" in changed(1, return_state=True)
    assert "'softmax'" in changed(2, activation="softmax")
    assert "'gelu'" in changed(2, activation="gelu")  # Keras' own is the exact one, this house's the tanh form
    assert "the last Dense layer has the activation 'relu'" in changed(3, activation="relu")
    assert "has no counterpart" in changed(2, activation={"class_name": "Lambda"})
    for kind in ("Bidirectional", "Lambda", "BatchNormalization", "Masking", "RNN", "ConvLSTM1D", "Mine>Layer"):
        path = archive(tmp_path / "other.keras", configuration([(kind, {}), *layers]), content)
        assert kind in refusal(path)


def test_a_gru_whose_biases_are_not_those_of_its_reset_is_refused(tmp_path: Path) -> None:
    layers = keras_layers("gru_reset_before")
    content = hdf5(layers, keras_weights("gru"))
    assert "reset_after = False" in refusal(archive(tmp_path / "other.keras", configuration(layers), content))


def test_networks_that_are_no_chain_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(RECORDED / "functional.keras") as file:
        document, content = json.loads(file.read("config.json")), file.read("model.weights.h5")
    items = document["config"]["layers"]
    items[-1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = "input_layer"
    assert "one chain" in refusal(archive(tmp_path / "a.keras", json.dumps(document), content))
    items[-1]["inbound_nodes"] = [*items[1]["inbound_nodes"], *items[2]["inbound_nodes"]]
    assert "one chain" in refusal(archive(tmp_path / "a.keras", json.dumps(document), content))
    document["class_name"] = "Mine"
    assert "Mine" in refusal(archive(tmp_path / "a.keras", json.dumps(document), content))
    head, *others = reversed(keras_layers("lstm"))
    order = [head, *reversed(others)]
    backwards = archive(
        tmp_path / "a.keras",
        configuration(order),
        hdf5(order, [*keras_weights("lstm")[8:], *keras_weights("lstm")[:8]]),
    )
    assert "after a dense one" in refusal(backwards)


@pytest.mark.parametrize(
    "config", ["", "[", "[]", "{}", "null", '{"class_name": "Sequential"}', '{"a": 1, "a": 2}', "[" * 100_000]
)
def test_configurations_that_are_none_are_refused(config: str, tmp_path: Path) -> None:
    layers = keras_layers("lstm")
    refusal(archive(tmp_path / "a.keras", config, hdf5(layers, keras_weights("lstm"))))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole, path = saved(tmp_path).read_bytes(), tmp_path / "a.keras"
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "damaged" in refusal(path)
    content = hdf5(keras_layers("lstm"), keras_weights("lstm"))
    for size in (8, 100, len(content) // 2):
        archive(path, configuration(keras_layers("lstm")), content[:size])
        assert "damaged" in refusal(path)
        (tmp_path / "a.weights.h5").write_bytes(content[:size])
        assert "damaged" in refusal(tmp_path / "a.weights.h5")
    assert "there is no file" in refusal(tmp_path / "nowhere.keras")
    (tmp_path / "endless.keras").symlink_to("/dev/zero")
    assert "a device, a pipe" in refusal(tmp_path / "endless.keras")
    assert "there is no file" in refusal(tmp_path / "nowhere.weights.h5")


def test_archives_that_hold_more_than_they_are_or_other_archives_are_refused(tmp_path: Path) -> None:
    config, path = configuration(keras_layers("lstm")), tmp_path / "a.keras"
    bomb = archive(path, config, bytes(50 << 20), zipfile.ZIP_DEFLATED)
    assert "is not unpacked" in refusal(bomb)
    archive(path, " " * (20 << 20), b"", zipfile.ZIP_DEFLATED)
    assert "is not unpacked" in refusal(path)
    nested = saved(tmp_path).read_bytes()
    assert "not an HDF5 file" in refusal(archive(path, config, nested))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", config)
    assert "0 members 'model.weights.h5'" in refusal(path)
    archive(path, config, hdf5(keras_layers("lstm"), keras_weights("lstm")))
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("config.json", config)
    assert "2 members 'config.json'" in refusal(path)


def test_arrays_that_do_not_lie_in_the_file_are_refused(tmp_path: Path) -> None:
    path, name = tmp_path / "a.weights.h5", "layers/lstm/cell/vars/0"
    content = hdf5(keras_layers("lstm"), keras_weights("lstm"))
    (tmp_path / "other.h5").write_bytes(content)

    def changed(change: Any) -> str:
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            del file[name]
            change(file)
        return refusal(path, activation="tanh")

    def linked(link: Any) -> Any:
        return lambda file: file.__setitem__(name, link)

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((3, 12), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), name, (3, 12))
        file.create_virtual_dataset(name, layout)

    assert "not followed" in changed(linked(h5py.ExternalLink(str(tmp_path / "other.h5"), name)))
    assert "not followed" in changed(linked(h5py.SoftLink("/layers/lstm_1/cell/vars/0")))
    assert "lies in another file" in changed(virtual)
    outside = [(str(tmp_path / "other.h5"), 0, 144)]
    assert "lies in another file" in changed(lambda file: file.create_dataset(name, (3, 12), "f4", external=outside))
    huge = {"shape": (1 << 40, 1 << 20), "dtype": "f4", "chunks": (1024, 1024)}
    assert "0 are stored" in changed(lambda file: file.create_dataset(name, **huge))
    packed = {"data": np.zeros((2000, 2000), "f4"), "compression": "gzip"}
    assert "not compressed" in changed(lambda file: file.create_dataset(name, **packed))
    for wrong in (np.zeros((3, 12), "i4"), np.zeros((3, 12), "c8"), np.zeros((3, 12, 1), "f4"), np.array(b"text")):
        assert "expected one or two axes of floats" in changed(lambda file, wrong=wrong: file.__setitem__(name, wrong))
    assert "NaN" in changed(lambda file: file.__setitem__(name, np.full((3, 12), np.nan, "f4")))
    assert "not those of LSTM" in changed(lambda file: file.__setitem__(name, np.zeros((3, 11), "f4")))
    assert "expected 0, 1" in changed(lambda file: None)
    assert "is not an array" in changed(lambda file: file.create_group(name))
    assert "is not a group" in changed(lambda file: (file.pop("layers/lstm"), file.__setitem__("layers/lstm", 1.0)))
    assert "no counterpart" in changed(lambda file: file.create_group("layers/conv1d"))
    assert "does not say in which order" in changed(lambda file: file.create_group("layers/time_distributed/layer"))


def test_groups_that_hold_themselves_end(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    path.write_bytes(hdf5(keras_layers("lstm"), keras_weights("lstm")))
    with h5py.File(path, "r+") as file:
        file["layers/lstm/cell/vars/3"] = file["layers"]
    assert "is not an array" in refusal(path, activation="tanh")


def test_what_a_file_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    path.write_bytes(hdf5(keras_layers("lstm"), keras_weights("lstm")))
    assert "give activation" in refusal(path)
    assert "weights are of lstm" in refusal(path, activation="tanh", cell="gru")
    assert "leave cell and activation out" in refusal(saved(tmp_path), activation="tanh")


def test_without_h5py_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependency, match=r"pip install 'statecast\[keras\]'"):
        sc.interop.from_keras(path, **COLUMNS)
