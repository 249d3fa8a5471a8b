"""PyTorch and Keras themselves beside what is read of their weights: files that they write, arrays that they take.

These run in an environment that holds both; see `make interop`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interop_cases import COLUMNS, INPUTS, KERAS, OUTPUTS, TORCH, keras_layers, streamed, values

import statecast as sc
from statecast.errors import ModelFileError

os.environ.setdefault("KERAS_BACKEND", "torch")
torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed here: make interop")
keras: Any = pytest.importorskip("keras", reason="Keras is not installed here: make interop")

from record_interop import functional, of_keras  # noqa: E402  # it imports both

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("default")]
UNITS = 16


def network(name: str, layers: int = 2, **more: Any) -> Any:
    kind, options, _ = TORCH[name]
    torch.manual_seed(1)
    rnn = getattr(torch.nn, kind)(INPUTS, UNITS, num_layers=layers, batch_first=True, **options, **more)
    return torch.nn.ModuleDict({"rnn": rnn, "head": torch.nn.Linear(UNITS, OUTPUTS)}).eval()


def outputs(of: Any, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(of["head"](of["rnn"](torch.from_numpy(x[None]))[0])[0])


@pytest.mark.parametrize("name", TORCH)
def test_every_step_is_that_of_torch(name: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    reference, x, cell = network(name), values(), TORCH[name][2]
    save_file(reference.state_dict(), tmp_path / "weights.safetensors")
    for weights in (tmp_path / "weights.safetensors", reference.state_dict()):
        forecaster = sc.interop.from_torch(weights, cell=cell, **COLUMNS)
        np.testing.assert_allclose(streamed(forecaster, x), outputs(reference, x), atol=1e-5, rtol=0)


def test_torch_without_biases_and_in_double_precision() -> None:
    x = values(200)
    plain = network("gru", bias=False)
    forecaster = sc.interop.from_torch(plain.state_dict(), **COLUMNS)
    np.testing.assert_allclose(streamed(forecaster, x), outputs(plain, x), atol=1e-5, rtol=0)
    double = network("lstm").double()
    forecaster = sc.interop.from_torch(double.state_dict(), **COLUMNS)
    np.testing.assert_allclose(streamed(forecaster, x), outputs(double, x.astype(float)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", TORCH)
def test_torch_takes_the_arrays_back(name: str) -> None:
    reference, x = network(name), values(100)
    forecaster = sc.interop.from_torch(reference.state_dict(), cell=TORCH[name][2], **COLUMNS)
    other = network(name)
    state = {key: torch.from_numpy(array) for key, array in sc.interop.to_torch(forecaster).items()}
    other.load_state_dict(state, strict=True)
    np.testing.assert_allclose(outputs(other, x), outputs(reference, x), atol=1e-5, rtol=0)


def test_torch_files_that_are_pickles_are_not_opened(tmp_path: Path) -> None:
    for name in ("model.pt", "model.safetensors"):
        torch.save(network("lstm").state_dict(), tmp_path / name)
        with pytest.raises(ModelFileError, match="save_file"):
            sc.interop.from_torch(tmp_path / name, **COLUMNS)


def test_torch_layers_without_a_counterpart_are_refused() -> None:
    for more, reason in (({"bidirectional": True}, "bidirectional"), ({"proj_size": 4}, "proj_size")):
        with pytest.raises(ModelFileError, match=reason):
            sc.interop.from_torch(network("lstm", **more).state_dict(), **COLUMNS)
    state = network("lstm").state_dict() | {f"norm.{k}": v for k, v in torch.nn.BatchNorm1d(3).state_dict().items()}
    with pytest.raises(ModelFileError, match="norm"):
        sc.interop.from_torch(state, **COLUMNS)
    half = {name: tensor.bfloat16() for name, tensor in network("lstm").state_dict().items()}
    with pytest.raises(ModelFileError, match="not an array"):
        sc.interop.from_torch(half, **COLUMNS)


@pytest.mark.parametrize("name", KERAS)
def test_every_step_is_that_of_keras(name: str, tmp_path: Path) -> None:
    reference, x = of_keras(name), values()
    reference.compile("adam", "mse")
    reference.save(tmp_path / "model.keras")
    reference.save_weights(tmp_path / "model.weights.h5")
    expected = np.asarray(reference.predict(x[None], verbose=0))[0]
    whole = sc.interop.from_keras(tmp_path / "model.keras", **COLUMNS)
    np.testing.assert_allclose(streamed(whole, x), expected, atol=1e-5, rtol=0)
    cell = KERAS[name][2]
    alone = sc.interop.from_keras(tmp_path / "model.weights.h5", cell=cell, activation="tanh", **COLUMNS)
    np.testing.assert_array_equal(streamed(alone, x[:50]), streamed(whole, x[:50]))


def test_a_functional_network_of_keras(tmp_path: Path) -> None:
    reference, x = functional(), values(300)
    reference.save(tmp_path / "model.keras")
    expected = np.asarray(reference.predict(x[None], verbose=0))[0]
    forecaster = sc.interop.from_keras(tmp_path / "model.keras", **COLUMNS)
    np.testing.assert_allclose(streamed(forecaster, x), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", KERAS)
def test_keras_takes_the_arrays_back(name: str, tmp_path: Path) -> None:
    reference, x = of_keras(name), values(100)[None]
    reference.save(tmp_path / "model.keras")
    forecaster = sc.interop.from_keras(tmp_path / "model.keras", **COLUMNS)
    layers = [getattr(keras.layers, kind)(**options) for kind, options in keras_layers(name)]
    other = keras.Sequential([keras.Input((None, INPUTS)), *layers])
    other.set_weights(sc.interop.to_keras_weights(forecaster))
    np.testing.assert_allclose(other.predict(x, verbose=0), reference.predict(x, verbose=0), atol=1e-5)


def test_keras_layers_without_a_counterpart_are_refused(tmp_path: Path) -> None:
    layers = keras.layers
    cases = {
        "Bidirectional": [layers.Bidirectional(layers.LSTM(2)), layers.Dense(4)],
        "hard_sigmoid": [layers.LSTM(2, recurrent_activation="hard_sigmoid"), layers.Dense(4)],
        "LayerNormalization": [layers.LSTM(2), layers.LayerNormalization(), layers.Dense(4)],
        "Conv1D": [layers.Conv1D(2, 3), layers.GRU(2), layers.Dense(4)],
        "expected 'linear'": [layers.GRU(2), layers.Dense(4, activation="relu")],
        "RNN": [layers.RNN([layers.LSTMCell(2), layers.LSTMCell(2)]), layers.Dense(4)],
    }
    for reason, chain in cases.items():
        keras.Sequential([keras.Input((None, INPUTS)), *chain]).save(tmp_path / "model.keras")
        with pytest.raises(ModelFileError, match=reason):
            sc.interop.from_keras(tmp_path / "model.keras", **COLUMNS)
