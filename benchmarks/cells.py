"""A training step of one recurrent layer, beside PyTorch, Keras and plain JAX.

The step: forward over the whole sequence from a zero state, squared loss of a linear head on every step's output,
backward, momentum update. (A loss on the last step alone lets gradients fall into denormals, which slows the others
unfairly.) Every library runs in a process of its own, so that no thread pool disturbs another; they take turns, and
medians are compared, and the fastest rounds beside them. The matrix peak is a large float32 product in the same run, by
the peer whose product is fastest.

    python -m venv peers && peers/bin/pip install -r benchmarks/requirements-peers.txt '.[train]'
    peers/bin/python benchmarks/cells.py --cells lstm,gru,rnn_tanh
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SHAPES = [
    (450, 100, 2, 300),
    (50, 10, 2, 100),
    (100, 5, 1, 5),
    (10, 20, 1, 120),
    (1, 628, 10, 10),
    (32, 336, 7, 128),
    (256, 96, 1, 64),
    (64, 256, 64, 512),
]
PEERS = ("torch", "keras", "jax")
GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1}
RATE, MOMENTUM = 0.01, 0.9


def problem(cell: str, shape: tuple[int, int, int, int]) -> dict[str, np.ndarray]:
    """The arrays that every library trains on."""
    b, t, i, h = shape
    r = np.random.default_rng(0)
    scale, gates = 1 / math.sqrt(h), GATES[cell]
    sizes = {"W": (i, gates * h), "U": (h, gates * h), "b": (gates * h,), "V": (h, 1)}
    arrays = {name: r.uniform(-scale, scale, size) for name, size in sizes.items()}
    if cell == "gru":
        arrays["bn"] = r.uniform(-scale, scale, h)
    arrays |= {"x": r.normal(size=(t, b, i)), "target": r.normal(size=(t, b, 1))}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def operations(cell: str, shape: tuple[int, int, int, int]) -> float:
    """Additions and multiplications that a step cannot do without; the first layer's input needs no gradient."""
    b, t, i, h = shape
    return 2 * b * t * GATES[cell] * h * (3 * h + 2 * i) + 6 * b * t * h


def jax_steps(cell: str, arrays: dict[str, np.ndarray], layer: Callable[..., Any], calls: int) -> Callable[[], None]:
    """`calls` training steps in one compiled call, for any layer (weights, x) → outputs."""
    import jax
    import jax.numpy as jnp

    weights = {name: jnp.asarray(a) for name, a in arrays.items() if name not in ("x", "target")}
    x, target = jnp.asarray(arrays["x"]), jnp.asarray(arrays["target"])

    def loss(w: Any) -> Any:
        return jnp.mean((layer(w, x) @ w["V"] - target) ** 2)

    def step(carry: Any, _: Any) -> Any:
        w, momentum = carry
        value, gradient = jax.value_and_grad(loss)(w)
        momentum = jax.tree.map(lambda m, g: MOMENTUM * m + g, momentum, gradient)
        return (jax.tree.map(lambda p, m: p - RATE * m, w, momentum), momentum), value

    run = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=calls), donate_argnums=0)
    carry = [(weights, jax.tree.map(jnp.zeros_like, weights))]

    def many() -> None:
        carry[0], losses = run(carry[0])
        losses.block_until_ready()

    return many


def statecast_layer(cell: str) -> Callable[..., Any]:
    from statecast.model.kernel import layer

    return lambda w, x: layer.forward(cell, w, x)[0]


def plain_jax_layer(cell: str) -> Callable[..., Any]:
    """What one would write by hand: the input product outside, the rest in lax.scan."""
    import jax
    import jax.numpy as jnp

    def layer(w: Any, x: Any) -> Any:
        def lstm(state: Any, z: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(z + h @ w["U"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def gru(h: Any, z: Any) -> Any:
            (r, u, n), (hr, hu, hn) = jnp.split(z, 3, axis=-1), jnp.split(h @ w["U"], 3, axis=-1)
            u = jax.nn.sigmoid(u + hu)
            n = jnp.tanh(n + jax.nn.sigmoid(r + hr) * (hn + w["bn"]))
            h = n + u * (h - n)
            return h, h

        def rnn_tanh(h: Any, z: Any) -> Any:
            h = jnp.tanh(z + h @ w["U"])
            return h, h

        zero = jnp.zeros((x.shape[1], w["U"].shape[0]), x.dtype)
        step = {"lstm": lstm, "gru": gru, "rnn_tanh": rnn_tanh}[cell]
        return jax.lax.scan(step, (zero, zero) if cell == "lstm" else zero, x @ w["W"] + w["b"])[1]

    return layer


def torch_steps(cell: str, arrays: dict[str, np.ndarray], calls: int) -> Callable[[], None]:
    import torch

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    x, target = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["target"])
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN}[cell]
    layer, head = kind(x.shape[2], len(arrays["U"])), torch.nn.Linear(len(arrays["U"]), 1, bias=False)
    optimizer = torch.optim.SGD([*layer.parameters(), *head.parameters()], lr=RATE, momentum=MOMENTUM)

    def many() -> None:
        for _ in range(calls):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(head(layer(x)[0]), target).backward()
            optimizer.step()

    return many


def keras_steps(cell: str, arrays: dict[str, np.ndarray], calls: int) -> Callable[[], None]:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(int(os.environ["BENCHMARK_THREADS"]))
    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn_tanh": keras.layers.SimpleRNN}[cell]
    x, target = (tf.constant(np.swapaxes(arrays[name], 0, 1)) for name in ("x", "target"))
    model = keras.Sequential(
        [
            keras.layers.Input(x.shape[1:], batch_size=x.shape[0]),
            kind(len(arrays["U"]), return_sequences=True),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    optimizer = keras.optimizers.SGD(RATE, momentum=MOMENTUM)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - target) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    def many() -> None:
        for _ in range(calls):
            loss = step()
        loss.numpy()

    return many


def peak(arrays: None = None) -> float:
    """GFLOP/s of a large float32 matrix product with torch, which calls the processor vendor's own library."""
    import torch

    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    clock = time.process_time if os.environ["BENCHMARK_CLOCK"] == "cpu" else time.perf_counter
    best = math.inf
    for _ in range(8):
        start = clock()
        torch.mm(a, b)
        best = min(best, clock() - start)
    return 2 * 2048**3 / best / 1e9


def steps_of(library: str, cell: str, arrays: dict[str, np.ndarray], calls: int) -> Callable[[], None]:
    if library == "torch":
        return torch_steps(cell, arrays, calls)
    if library == "keras":
        return keras_steps(cell, arrays, calls)
    layer = statecast_layer(cell) if library == "statecast" else plain_jax_layer(cell)
    return jax_steps(cell, arrays, layer, calls)


def work(library: str) -> None:
    """A worker: reads requests as JSON lines, answers each with one line."""
    many: Callable[[], None] = lambda: None  # noqa: E731
    calls = 1
    for line in sys.stdin:
        request = json.loads(line)
        answer = 0.0
        if request["do"] == "set up":
            calls = request["calls"]
            many = steps_of(library, request["cell"], problem(request["cell"], tuple(request["shape"])), calls)
            many()
            many()
        elif request["do"] == "time":
            clock = time.process_time if os.environ["BENCHMARK_CLOCK"] == "cpu" else time.perf_counter
            start = clock()
            many()
            answer = (clock() - start) / calls * 1e3
        elif request["do"] == "peak":
            answer = peak()
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """A library in a process of its own."""

    def __init__(self, library: str, threads: int, clock: str) -> None:
        """Start the process."""
        environment = os.environ | {
            "BENCHMARK_THREADS": str(threads),
            "BENCHMARK_CLOCK": clock,
            "OMP_NUM_THREADS": str(threads),
            "STATECAST_THREADS": str(threads),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "JAX_PLATFORMS": "cpu",
        }
        command = [sys.executable, __file__, "--worker", library]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)  # type: ignore[call-overload]

    def ask(self, **request: Any) -> float:
        """One request, one answer."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline()))


Times = dict[str, list[float]]


def measure(
    workers: dict[str, Worker], cell: str, shape: tuple[int, int, int, int], rounds: int
) -> tuple[Times, float]:
    """Each library's ms a step, round by round, and the matrix peak."""
    # As in training, several steps a call; the memory of a large step is then fetched from the system once.
    long = operations(cell, shape) > 2e8
    for worker in workers.values():
        worker.ask(do="set up", cell=cell, shape=shape, calls=4 if long else 20)
    samples: Times = {name: [] for name in workers}
    peaks = []
    for k in range(rounds):
        for name, worker in workers.items():
            samples[name].append(worker.ask(do="time"))
        if k % 4 == 0 and "torch" in workers:
            peaks.append(workers["torch"].ask(do="peak"))
    return samples, max(peaks, default=math.nan)


def ratio(samples: Times, of: Callable[[list[float]], float]) -> float:
    """How many times statecast's time the best peer takes."""
    return min((of(times) for name, times in samples.items() if name != "statecast"), default=math.nan) / of(
        samples["statecast"]
    )


def table(workers: dict[str, Worker], cell: str, shapes: list[tuple[int, int, int, int]], rounds: int) -> None:
    names = " | ".join(workers)
    print(f"\n{cell}, ms a training step (median of {rounds}), by (batch, steps, inputs, hidden)\n")
    print(f"| shape | {names} | best peer / statecast | by the fastest rounds | of the matrix peak |")
    print("|---|" + "--:|" * (len(workers) + 3), flush=True)
    ratios = []
    for shape in shapes:
        samples, top = measure(workers, cell, shape, rounds)
        ratios.append((ratio(samples, statistics.median), ratio(samples, min)))
        share = operations(cell, shape) / (min(samples["statecast"]) * 1e6) / top
        ms = " | ".join(f"{statistics.median(times):.3g}" for times in samples.values())
        print(f"| {shape} | {ms} | {ratios[-1][0]:.2f} | {ratios[-1][1]:.2f} | {share:.2f} of {top:.0f} |", flush=True)
    means = [math.exp(statistics.fmean(map(math.log, column))) for column in zip(*ratios, strict=True)]
    print(f"\ngeometric mean of the ratios: {means[0]:.2f}, by the fastest rounds {means[1]:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="lstm,gru,rnn_tanh")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--shapes", default="", help="numbers of the shapes, e.g. 0,3; all by default")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine, one thread")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    chosen = [SHAPES[int(k)] for k in options.shapes.split(",")] if options.shapes else SHAPES
    names = ("statecast", *(name for name in options.peers.split(",") if name))
    workers = {name: Worker(name, options.threads, options.clock) for name in names}
    for cell in options.cells.split(","):
        table(workers, cell, chosen, options.rounds)
    for worker in workers.values():
        worker.process.stdin.close()
        worker.process.wait()


if __name__ == "__main__":
    # Libraries print to standard output as they like; a worker's answers go to the pipe that was there before.
    answers = os.fdopen(os.dup(1), "w")
    if "--worker" in sys.argv:
        os.dup2(2, 1)
    main()
