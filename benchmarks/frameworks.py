"""One step of a live series in each framework: an LSTM of 64 units whose state is carried, one value in, one out.

    python benchmarks/frameworks.py

Run it where PyTorch and Keras are installed as well (`make interop` sets that up). Times are of the process, so that
other work on the machine counts little: the median of some thousand steps, and the median of five imports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np

SOURCES = Path(__file__).parents[1] / "src" / "statecast"
UNITS, STEPS, WARM = 64, 2000, 100
PACKAGES = {
    "statecast": ("statecast", "numpy", "safetensors", "narwhals", "tomli-w"),
    "PyTorch": ("torch", "numpy", "sympy", "networkx", "jinja2", "fsspec", "mpmath"),
    "Keras": ("keras", "torch", "numpy", "h5py", "optree", "ml-dtypes", "rich", "sympy", "networkx", "mpmath"),
}
IMPORTS = {"statecast": "from statecast import Stream", "PyTorch": "import torch", "Keras": "import keras"}


def torch_network() -> tuple[Callable[[float], float], dict[str, np.ndarray]]:
    """A step of PyTorch that carries its state, and its state dict."""
    import torch

    torch.manual_seed(0)
    rnn, head = torch.nn.LSTM(1, UNITS), torch.nn.Linear(UNITS, 1)
    state: list[tuple[torch.Tensor, torch.Tensor] | None] = [None]

    def step(value: float) -> float:
        with torch.inference_mode():
            out, state[0] = rnn(torch.tensor([[[value]]]), state[0])
            return float(head(out))

    weights = torch.nn.ModuleDict({"rnn": rnn, "head": head}).state_dict()
    return step, {name: tensor.numpy() for name, tensor in weights.items()}


def keras_network() -> Callable[[float], float]:
    """A step of Keras that carries its state: a stateful layer, called on a batch of one step."""
    import keras

    layers = [keras.layers.LSTM(UNITS, stateful=True), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input(batch_shape=(1, 1, 1)), *layers])
    return lambda value: float(model(np.full((1, 1, 1), value, np.float32)).detach()[0, 0])


def stream_network(weights: dict[str, np.ndarray]) -> Callable[[float], float]:
    """The same network as PyTorch's, as a stream."""
    import statecast as sc

    stream = sc.interop.from_torch(weights).stream()
    return lambda value: float(stream.observe("s", value).values[0, 0])


def milliseconds(step: Callable[[float], float]) -> float:
    """The median time of the process for a step."""
    values = np.sin(0.1 * np.arange(WARM + STEPS)).tolist()
    times = []
    for value in values:
        begin = time.process_time_ns()
        step(value)
        times.append(time.process_time_ns() - begin)
    return float(np.median(times[WARM:])) / 1e6


def import_milliseconds(statement: str) -> float:
    """The median time of the process for an import in a new one."""
    code = f"import time; b = time.process_time(); {statement}; print(time.process_time() - b)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return 1e3 * float(np.median([float(run.stdout) for run in runs]))


def megabytes(packages: tuple[str, ...]) -> float:
    """What the files of packages take on the disk."""
    # The sources of statecast itself, which is installed from where they are.
    total = sum(path.stat().st_size for path in SOURCES.rglob("*") if path.is_file()) if "statecast" in packages else 0
    for name in packages:
        for path in metadata.files(name) or []:
            place = path.locate()
            total += os.path.getsize(place) if os.path.isfile(place) else 0
    return total / 1e6


def main() -> None:
    torch_step, weights = torch_network()
    stream_step = stream_network(weights)
    for value in np.sin(0.1 * np.arange(1000)).tolist():
        assert abs(torch_step(value) - stream_step(value)) < 1e-5
    steps = {"statecast": stream_step, "PyTorch": torch_step, "Keras": keras_network()}
    print("| | ms a step | ms to import | MB installed |\n| --- | --- | --- | --- |")
    for name, step in steps.items():
        size = megabytes(PACKAGES[name])
        print(f"| {name} | {milliseconds(step):.3f} | {import_milliseconds(IMPORTS[name]):.0f} | {size:.0f} |")


if __name__ == "__main__":
    main()
