"""Record what PyTorch and Keras make of small networks, for the tests of interop: run where both are installed.

    python tests/record_interop.py

It writes tests/recorded/: weights and the last outputs of a thousand steps, and two files as Keras writes them.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from interop_cases import INPUTS, KERAS, LAST, OUTPUTS, RECORDED, TORCH, UNITS, keras_layers, values
from safetensors.numpy import save_file


def main() -> None:
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    x = torch.from_numpy(values()[None])
    arrays: dict[str, np.ndarray] = {}
    for name in TORCH:
        state, outputs = of_torch(name, x)
        arrays |= {f"torch/{name}/weights/{key}": array for key, array in state.items()}
        arrays[f"torch/{name}/outputs"] = outputs[-LAST:]
    for name in KERAS:
        model = of_keras(name)
        arrays |= {f"keras/{name}/weights/{n}": array for n, array in enumerate(model.get_weights())}
        arrays[f"keras/{name}/outputs"] = np.asarray(model.predict(x, verbose=0))[0, -LAST:]
    RECORDED.mkdir(exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, RECORDED / "frameworks.safetensors"
    )
    functional().save(RECORDED / "functional.keras")
    of_keras("gru").save_weights(RECORDED / "gru.weights.h5")


def of_torch(name: str, x: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The state dict of two recurrent layers and a linear one, and their outputs [T, OUTPUTS]."""
    kind, options, _ = TORCH[name]
    rnn = getattr(torch.nn, kind)(INPUTS, UNITS, num_layers=2, batch_first=True, **options)
    head = torch.nn.Linear(UNITS, OUTPUTS)
    with torch.no_grad():
        outputs = head(rnn(x)[0])[0].numpy()
    state = torch.nn.ModuleDict({"rnn": rnn, "head": head}).state_dict()
    return {key: tensor.numpy() for key, tensor in state.items()}, outputs


def of_keras(name: str) -> Any:
    """A network of Keras whose biases are not zero, as those of a trained one."""
    layers = [getattr(keras.layers, kind)(**options) for kind, options in keras_layers(name)]
    model = keras.Sequential([keras.Input((None, INPUTS)), *layers])
    rng = np.random.default_rng(0)
    model.set_weights([(0.5 * rng.standard_normal(array.shape)).astype(np.float32) for array in model.get_weights()])
    return model


def functional() -> Any:
    """A network of the functional interface, with layers that do nothing when it forecasts."""
    begin = keras.Input((None, INPUTS))
    x = keras.layers.LSTM(UNITS, return_sequences=True, dropout=0.1)(begin)
    x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.TimeDistributed(keras.layers.Dense(OUTPUTS))(x)
    return keras.Model(begin, x)


if __name__ == "__main__":
    main()
