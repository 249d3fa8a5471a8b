"""Networks of other frameworks for the tests of interop: what is recorded of them, and files like theirs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from statecast import Forecaster

RECORDED = Path(__file__).parent / "recorded"
STEPS, LAST = 1000, 20  # steps that are run, and how many of the last outputs are recorded
INPUTS, UNITS, OUTPUTS = 3, 3, 4
COLUMNS: dict[str, Any] = {"target": ["a", "b"], "past": "c"}

# Class of torch.nn, its options, and what a state dict does not tell.
TORCH: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "lstm": ("LSTM", {}, None),
    "gru": ("GRU", {}, None),
    "rnn": ("RNN", {}, None),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}, "rnn_relu"),
}
# Likewise of keras.layers.
KERAS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "lstm": ("LSTM", {}, None),
    "gru": ("GRU", {}, None),
    "gru_reset_before": ("GRU", {"reset_after": False}, None),
    "rnn": ("SimpleRNN", {}, None),
    "rnn_relu": ("SimpleRNN", {"activation": "relu"}, "rnn_relu"),
}
FOLDERS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn", "Dense": "dense"}


def values(steps: int = STEPS) -> np.ndarray:
    """Inputs [T, 3], of which some are far out: a network without a normaliser takes them as they are."""
    t = np.arange(steps)
    x = np.stack([3 * np.sin(0.1 * t), np.cos(0.37 * t), (7 * t % 11) / 5 - 1], axis=1)
    x[steps // 2] *= 15
    return x.astype(np.float32)


def streamed(forecaster: Forecaster, x: np.ndarray) -> np.ndarray:
    """What a stream forecasts after each row, [T, H·D]."""
    stream = forecaster.stream(empty=True)
    return np.stack([stream.observe("s", row[:2], past=row[2:]).values.reshape(-1) for row in x])


def keras_layers(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The layers of a recorded network of Keras: two recurrent ones, a dense one, and the head."""
    kind, options, _ = KERAS[name]
    recurrent = {"units": UNITS, "return_sequences": True, **options}
    return [(kind, recurrent)] * 2 + [("Dense", {"units": 5, "activation": "tanh"}), ("Dense", {"units": OUTPUTS})]


def recorded() -> dict[str, np.ndarray]:
    """What `record_interop.py` has written."""
    return dict(load_file(RECORDED / "frameworks.safetensors"))


def torch_weights(name: str) -> dict[str, np.ndarray]:
    """The state dict of a recorded network of PyTorch."""
    begin = f"torch/{name}/weights/"
    return {key.removeprefix(begin): array for key, array in recorded().items() if key.startswith(begin)}


def keras_weights(name: str) -> list[np.ndarray]:
    """What `get_weights` gave of a recorded network of Keras."""
    arrays = recorded()
    return [arrays[f"keras/{name}/weights/{n}"] for n in range(10)]


def hdf5(layers: Sequence[tuple[str, Any]], arrays: Sequence[np.ndarray]) -> bytes:
    """A .weights.h5 file of these layers, laid out as Keras does."""
    import h5py

    buffer, left, counts = io.BytesIO(), list(arrays), dict.fromkeys(FOLDERS.values(), 0)
    with h5py.File(buffer, "w") as file:
        for kind, _ in layers:
            stem = FOLDERS[kind]
            folder = stem if not counts[stem] else f"{stem}_{counts[stem]}"
            counts[stem] += 1
            group = file.create_group(f"layers/{folder}/{'vars' if kind == 'Dense' else 'cell/vars'}")
            for n in range(2 if kind == "Dense" else 3):
                group[str(n)] = left.pop(0)
    return buffer.getvalue()


def configuration(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """What config.json says of a chain of layers."""
    items = [{"class_name": kind, "config": dict(config)} for kind, config in layers]
    return json.dumps({"class_name": "Sequential", "config": {"layers": items}})


def archive(path: Path, config: str, weights: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """A .keras file with these members."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        file.writestr("config.json", config)
        file.writestr("model.weights.h5", weights)
    return path
