"""One step of an LSTM-64 with a linear head, for one series and for many, beside PyTorch and ONNX Runtime.

statecast: `kernel.Stepper`, which finds and replaces the rows' states in a table of all series, and a NumPy head.
torch: `LSTMCell` and `Linear` without gradients, on states already gathered. ONNX Runtime: an LSTM node of one step
and a MatMul, likewise; threads as given.

    peers/bin/python benchmarks/step.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

HIDDEN, INPUTS, OUTPUTS = 64, 8, 24


def arrays() -> dict[str, np.ndarray]:
    r = np.random.default_rng(0)
    sizes = {"W": (INPUTS, 4 * HIDDEN), "U": (HIDDEN, 4 * HIDDEN), "b": (4 * HIDDEN,), "V": (HIDDEN, OUTPUTS)}
    return {name: r.uniform(-0.1, 0.1, size).astype(np.float32) for name, size in sizes.items()}


def statecast_step(rows: int, threads: int) -> Callable[[], Any]:
    from statecast.model import kernel

    w, r = arrays(), np.random.default_rng(1)
    stepper = kernel.Stepper("lstm", w, threads=threads)
    table, index = np.zeros((2 * rows + 10, 160), np.float32), r.permutation(2 * rows + 10)[:rows]
    x = r.normal(size=(rows, INPUTS)).astype(np.float32)
    return lambda: stepper.step(x, table, {"h": 3, "c": 80}, index) @ w["V"]


def torch_step(rows: int, threads: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(threads)
    cell, head = torch.nn.LSTMCell(INPUTS, HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS, bias=False)
    x, state = torch.randn(rows, INPUTS), [(torch.zeros(rows, HIDDEN), torch.zeros(rows, HIDDEN))]

    def step() -> Any:
        with torch.inference_mode():
            state[0] = cell(x, state[0])
            return head(state[0][0])

    return step


def onnx_step(rows: int, threads: int) -> Callable[[], Any]:
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    w = arrays()
    shapes = {"x": [1, rows, INPUTS], "h": [1, rows, HIDDEN], "c": [1, rows, HIDDEN]}
    fixed = {
        "W": w["W"].T[None],
        "R": w["U"].T[None],
        "B": np.concatenate([w["b"], 0 * w["b"]])[None],
        "V": w["V"],
        "s": np.array([rows, HIDDEN], np.int64),
    }
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B", "", "h", "c"], ["", "h2", "c2"], hidden_size=HIDDEN),
        helper.make_node("Reshape", ["h2", "s"], ["flat"]),
        helper.make_node("MatMul", ["flat", "V"], ["y"]),
    ]
    kinds = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in shapes.items()}
    out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "h2", "c2")]
    constants = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in fixed.items()]
    graph = helper.make_graph(nodes, "step", list(kinds.values()), out, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    r = np.random.default_rng(1)
    held = {"h": np.zeros(shapes["h"], np.float32), "c": np.zeros(shapes["c"], np.float32)}
    x = r.normal(size=shapes["x"]).astype(np.float32)

    def step() -> Any:
        y, held["h"], held["c"] = session.run(["y", "h2", "c2"], {"x": x, **held})
        return y

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=300)
    given = parser.parse_args()
    kinds = {"statecast": statecast_step, "torch": torch_step, "onnxruntime": onnx_step}
    print(f"| series | {' | '.join(f'{name}, µs' for name in kinds)} | statecast, steps/s |")
    print("|--:|" + "--:|" * (len(kinds) + 1))
    for rows in (1, 10, 1000, 10_000):
        steps = {name: make(rows, given.threads) for name, make in kinds.items()}
        samples: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(max(given.rounds // (1 + rows // 1000), 30)):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                samples[name].append(1e6 * (time.perf_counter() - start))
        us = {name: statistics.median(times) for name, times in samples.items()}
        print(f"| {rows} | {' | '.join(f'{us[name]:.1f}' for name in kinds)} | {rows / us['statecast'] * 1e6:.3g} |")


if __name__ == "__main__":
    main()
