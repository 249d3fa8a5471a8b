"""What a forecast of a live series costs in each place where a model may live: one LSTM of 64 units, 24 steps ahead.

    peers/bin/python benchmarks/interop.py

statecast's stream; the graph that it exports, in ONNX Runtime; darts' two recurrent models, exported, in ONNX Runtime,
and by its own `predict`; PyTorch's and Keras' layers on one step with their state. All are untrained or nearly: their
weights cost what any weights do. darts' graphs take one series, so many are as many calls.

Times are of the process on one thread, so that other work on the machine counts little: medians of many calls, and of
five imports. Megabytes are those of a package and of all that it needs, but for NumPy.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ["STATECAST_THREADS"] = "1"

import numpy as np

SOURCES = Path(__file__).parents[1] / "src" / "statecast"
UNITS, LAGS, HORIZON, MANY = 64, 24, 24, 1000
SECONDS, FEWEST = 1.0, 5  # of calls that are timed, and how many they are at least
SERIES = np.sin(np.arange(1000) / 4) + 0.1 * np.random.default_rng(0).normal(size=1000)
Call = Callable[[], Any]


def statecast_calls(folder: Path) -> dict[str, tuple[Call, Call, Path]]:
    """The stream, without and with its intervals, and the graph: for one series, for many, and the file."""
    import statecast as sc

    settings: dict[str, Any] = {"lags": LAGS, "skip": LAGS, "calendar": False, "threads": 1}
    model = sc.Forecaster(horizon=HORIZON, hidden=(UNITS,), max_steps=1, ensemble=1, **settings).fit(SERIES)
    file = model.save(folder / "model.safetensors")
    names, values = [f"s{n}" for n in range(MANY)], np.random.default_rng(1).normal(size=MANY)
    stream = model.stream(empty=True)
    stream.observe_many(names, values)

    def with_bounds(forecast: Any) -> Any:
        return forecast.values, forecast.lower, forecast.upper

    graph = folder / "step.onnx"
    model.export(graph)
    return {
        "statecast's stream": (
            lambda: stream.observe("s0", 0.5).values,
            lambda: stream.observe_many(names, values).values,
            file,
        ),
        "… with intervals": (
            lambda: with_bounds(stream.observe("s0", 0.5)),
            lambda: with_bounds(stream.observe_many(names, values)),
            file,
        ),
        "statecast's graph in ONNX Runtime, with intervals": (graph_call(graph, 1), graph_call(graph, MANY), graph),
    }


def session_of(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def graph_call(path: Path, rows: int) -> Call:
    """A step of statecast's graph, from the state of the step before."""
    import json

    session = session_of(path)
    start = json.loads(session.get_modelmeta().custom_metadata_map["start"])
    types = {item.name: item.type for item in session.get_inputs()}
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    state = {name: np.repeat(np.array([part], kinds[types[name]]), rows, axis=0) for name, part in start.items()}
    values = {"values": np.random.default_rng(1).normal(size=(rows, 1))}
    values |= {name: np.zeros(rows, np.int64) for name in types if name in ("series", "phase")}
    names = [item.name for item in session.get_outputs()]

    def call() -> Any:
        results = dict(zip(names, session.run(None, values | state), strict=True))
        state.update({name.replace("next.", "state."): part for name, part in results.items() if name[:5] == "next."})
        return results["forecast"]

    return call


def darts_calls(folder: Path) -> dict[str, tuple[Call, Call, Path]]:
    """darts' recurrent models: exported, and by themselves."""
    from darts import TimeSeries
    from darts.models import BlockRNNModel, RNNModel

    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    more: dict[str, Any] = {"model": "LSTM", "hidden_dim": UNITS, "n_epochs": 1, "pl_trainer_kwargs": quiet}
    models = {
        "BlockRNNModel": BlockRNNModel(LAGS, HORIZON, **more),
        "RNNModel": RNNModel(LAGS, training_length=LAGS + HORIZON, **more),
    }
    series = TimeSeries.from_values(SERIES.astype(np.float32))
    calls: dict[str, tuple[Call, Call, Path]] = {}
    for name, model in models.items():
        model.fit(series)
        graph = folder / f"{name}.onnx"
        model.to_onnx(str(graph))
        session = session_of(graph)
        (entry,) = session.get_inputs()
        x = np.zeros(entry.shape, np.float32)
        one = lambda session=session, entry=entry, x=x: session.run(None, {entry.name: x})  # noqa: E731
        calls[f"darts' {name}, exported, in ONNX Runtime"] = (one, lambda one=one: [one() for _ in range(MANY)], graph)
        file = folder / f"{name}.pt"
        model.save(str(file))
        size = file.with_name(f"{name}.pt.ckpt")
        one = lambda model=model: model.predict(HORIZON, show_warnings=False)  # noqa: E731
        many = lambda model=model: model.predict(HORIZON, series=[series] * MANY, show_warnings=False)  # noqa: E731
        calls[f"darts' {name}, predict"] = (one, many, size)
    return calls


def torch_calls(folder: Path) -> dict[str, tuple[Call, Call, Path]]:
    """PyTorch's layers on one step, with their state."""
    import torch

    torch.set_num_threads(1)
    rnn, head = torch.nn.LSTM(LAGS, UNITS), torch.nn.Linear(UNITS, HORIZON)
    torch.save(torch.nn.ModuleDict({"rnn": rnn, "head": head}).state_dict(), folder / "torch.pt")

    def of(rows: int) -> Call:
        x, state = torch.randn(1, rows, LAGS), [(torch.zeros(1, rows, UNITS), torch.zeros(1, rows, UNITS))]

        def call() -> Any:
            with torch.inference_mode():
                out, state[0] = rnn(x, state[0])
                return head(out).numpy()

        return call

    return {"PyTorch: nn.LSTM and nn.Linear, state carried": (of(1), of(MANY), folder / "torch.pt")}


def keras_calls(folder: Path) -> dict[str, tuple[Call, Call, Path]]:
    """Keras' stateful layer, called on one step."""
    import keras

    def of(rows: int) -> Any:
        layers = [keras.layers.LSTM(UNITS, stateful=True), keras.layers.Dense(HORIZON)]
        return keras.Sequential([keras.Input(batch_shape=(rows, 1, LAGS)), *layers])

    one, many, file = of(1), of(MANY), folder / "model.keras"
    one.save(file)
    x = np.zeros((MANY, 1, LAGS), np.float32)
    calls = (lambda: one(x[:1]).detach().numpy(), lambda: many(x).detach().numpy())
    return {"Keras on PyTorch: a stateful LSTM and Dense": (*calls, file)}


PLACES: tuple[tuple[Callable[[Path], dict[str, tuple[Call, Call, Path]]], str, str], ...] = (
    (statecast_calls, "statecast", "from statecast import Stream"),
    (darts_calls, "u8darts", "import darts.models"),
    (torch_calls, "torch", "import torch"),
    (keras_calls, "keras torch", "import keras"),
)


def milliseconds(call: Call) -> float:
    """The median time of the process for a call."""
    call()
    times: list[int] = []
    while sum(times) < SECONDS * 1e9 or len(times) < FEWEST:
        begin = time.process_time_ns()
        call()
        times.append(time.process_time_ns() - begin)
    return float(np.median(times)) / 1e6


def import_milliseconds(statement: str) -> float:
    """The median time of the process for an import in a new one."""
    code = f"import time; b = time.process_time(); {statement}; print(time.process_time() - b)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return 1e3 * float(np.median([float(run.stdout.split()[-1]) for run in runs]))


def closure(names: list[str]) -> set[str]:
    """These packages and all that they need, but for NumPy."""
    from packaging.requirements import Requirement

    packages: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in packages or name == "numpy":
            continue
        packages.add(name)
        for item in map(Requirement, metadata.requires(name) or [] if name != "statecast" else STATECAST):
            if item.marker is None or item.marker.evaluate({"extra": ""}):
                waiting.append(item.name)
    return packages


STATECAST = ["safetensors", "narwhals", "tomli-w"]  # what statecast itself needs beside NumPy


def megabytes(names: list[str]) -> float:
    """What the files of packages, and of all that they need, take on the disk."""
    # The sources of statecast itself, which is installed from where they are.
    total = sum(
        path.stat().st_size for path in SOURCES.rglob("*.*") if "__pycache__" not in path.parts and path.is_file()
    )
    total *= "statecast" in names
    for name in closure(names) - {"statecast"}:
        for path in metadata.files(name) or []:
            place = path.locate()
            total += os.path.getsize(place) if os.path.isfile(place) else 0
    return total / 1e6


def figures(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print(f"| | MB installed | import, ms | model file, MB | one series, ms | {MANY:,} series, ms |")
    print("| --- |" + " --: |" * 5)
    with tempfile.TemporaryDirectory() as place:
        for make, packages, statement in PLACES:
            for name, (one, many, file) in make(Path(place)).items():
                runtime = "ONNX Runtime" in name
                sizes = megabytes(["onnxruntime"] if runtime else packages.split())
                seconds = import_milliseconds("import onnxruntime" if runtime else statement)
                cells = [sizes, seconds, file.stat().st_size / 1e6, milliseconds(one), milliseconds(many)]
                print(f"| {name} | {' | '.join(map(figures, cells))} |", flush=True)


if __name__ == "__main__":
    main()
