"""One step of an LSTM-64 with a head for 24 steps, for one series and for many, beside PyTorch and ONNX Runtime.

statecast, stream: `Stream.observe` and `observe_many` of a fitted model, whole: names, times, checks, front, LSTM,
head, skip, and the states' rows replaced in a table of twice as many series. statecast, network: the call of the native
kernel within them. torch: `LSTMCell` and `Linear` without gradients, on states already gathered, and nothing of the
rest. ONNX Runtime: an LSTM node of one step and a MatMul, likewise.

They take turns. Threads of PyTorch and ONNX Runtime go on spinning when a call is over, which would take a processor
from whoever comes next: so there is a pause before each turn, and the calls of its first 10 ms are not counted.

    peers/bin/python benchmarks/step.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

HIDDEN, INPUTS, OUTPUTS = 64, 8, 24
PAUSE_S, WARM_S = 0.05, 0.01  # before a turn, and of calls that wake the processor up again


def arrays() -> dict[str, np.ndarray]:
    r = np.random.default_rng(0)
    sizes = {"W": (INPUTS, 4 * HIDDEN), "U": (HIDDEN, 4 * HIDDEN), "b": (4 * HIDDEN,), "V": (HIDDEN, OUTPUTS)}
    return {name: r.uniform(-0.1, 0.1, size).astype(np.float32) for name, size in sizes.items()}


@cache
def fitted() -> Any:
    """A model of a long hourly series, with as many inputs and outputs as its peers."""
    import statecast as sc

    settings = {"lags": INPUTS, "skip": 48, "calendar": False, "missing": False, "level_input": False}
    model = sc.Forecaster(horizon=OUTPUTS, hidden=(HIDDEN,), max_steps=1, random_state=0, **settings)
    return model.fit(np.sin(np.arange(1000) / 24) + np.random.default_rng(0).normal(size=1000)).stream(empty=True)


def stream_step(rows: int, threads: int) -> Callable[[], Any]:
    stream = fitted().take([])
    names = [f"series {n}" for n in range(2 * rows)]
    values = np.random.default_rng(1).normal(size=2 * rows)
    stream.observe_many(names, values)
    chosen, values = names[::2], values[::2]
    if rows == 1:
        return lambda: stream.observe(chosen[0], 0.5)
    return lambda: stream.observe_many(chosen, values)


def network_step(rows: int, threads: int) -> Callable[[], Any]:
    from statecast.model.kernel.network import NetworkStep

    model = fitted().model
    native = NetworkStep(model.network, model.p)
    states = np.zeros((2 * rows, model.layout.size), np.float32)
    index, values = (
        np.random.default_rng(1).permutation(2 * rows)[:rows],
        np.random.default_rng(2).normal(size=(rows, 1)),
    )
    return lambda: native.step(states, values, index=index)


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
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine, one thread")
    options = parser.parse_args()
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    os.environ["STATECAST_THREADS"] = str(options.threads)
    kinds = {"stream": stream_step, "network": network_step, "torch": torch_step, "onnxruntime": onnx_step}
    print(f"| series | {' | '.join(f'{name}, µs' for name in kinds)} | stream, observations/s |")
    print("|--:|" + "--:|" * (len(kinds) + 1))
    for rows in (1, 10, 1000, 10_000):
        steps = {name: make(rows, options.threads) for name, make in kinds.items()}
        samples: dict[str, list[float]] = {name: [] for name in kinds}
        calls = 50 if rows < 100 else 3  # in a row, as a stream makes them
        for _ in range(max(options.rounds // (1 + rows // 1000), 30)):
            for name, step in steps.items():
                time.sleep(PAUSE_S)
                awake = time.perf_counter() + WARM_S
                while time.perf_counter() < awake:
                    step()
                start = clock()
                for _ in range(calls):
                    step()
                samples[name].append(1e6 * (clock() - start) / calls)
        us = {name: statistics.median(times) for name, times in samples.items()}
        print(f"| {rows} | {' | '.join(f'{us[name]:.1f}' for name in kinds)} | {rows / us['stream'] * 1e6:.3g} |")


if __name__ == "__main__":
    main()
