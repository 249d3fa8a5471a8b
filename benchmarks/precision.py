"""A recurrent layer forward and backward in the native kernel: float32, and bf16 in each instruction set that has it.

    python benchmarks/precision.py --threads 1,2

The precisions take turns in one process on arrays that are there beforehand; medians. `--jax` times a training step
under JAX instead. Needs NumPy and the kernel alone, and JAX for `--jax`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from ctypes import byref, c_int64
from typing import Any

import numpy as np

from statecast.model.kernel import interface, library

SHAPES = [(450, 100, 2, 300), (10, 20, 1, 120), (32, 336, 7, 128), (256, 96, 1, 64), (64, 256, 64, 512)]
Call = Callable[[], Any]


def arrays(cell: str, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The input and the weights of a layer, by the names of the kernel's `LayerInputs`."""
    batch, steps, inputs, hidden = shape
    sizes = {"x": (steps, batch, inputs)} | interface.weight_shapes(cell, inputs, hidden)
    scale = {"x": 1.0, "U": hidden**-0.5}
    return {name: (scale.get(name, 0.3) * rng.normal(size=n)).astype(np.float32) for name, n in sizes.items()}


def calls(cell: str, shape: tuple[int, ...], threads: int, name: str) -> tuple[Call, Call]:
    """Forward and backward in an instruction set, on arrays of their own."""
    rng, (batch, steps, inputs, hidden) = np.random.default_rng(0), shape
    layer, size, handle = arrays(cell, shape, rng), (c_int64 * 2)(), library.handle()
    number = interface.BF16 if name in interface.BF16_SETS else 0
    numbers = interface.CELLS.index(cell), number, threads, interface.INSTRUCTION_SETS.index(name), 1
    sizes = interface.LayerSizes(*numbers, steps, batch, inputs, hidden)
    library.check(handle.statecast_tape_sizes(byref(sizes), size))
    out = {"y": np.zeros((steps, batch, hidden), np.float32)}
    out |= {part: np.zeros(n, np.float32) for part, n in zip(("gates", "aux"), size, strict=True)}
    tape = out | {"dy": rng.normal(size=out["y"].shape).astype(np.float32)}
    results = {f"d{part}": np.zeros_like(array) for part, array in layer.items()}
    arguments = [interface.fill(interface.LayerInputs(), layer), interface.fill(interface.LayerOutputs(), out)]
    arguments += [interface.fill(interface.LayerTape(), tape), interface.fill(interface.LayerGradients(), results)]
    of_inputs, of_outputs, of_tape, of_results = map(byref, arguments)
    owners = layer, tape, results  # the structs are but addresses

    def forward() -> Any:
        library.check(handle.statecast_forward(byref(sizes), of_inputs, of_outputs))
        return owners

    def backward() -> Any:
        library.check(handle.statecast_backward(byref(sizes), of_inputs, of_tape, of_results))
        return owners

    return forward, backward


def jax_step(cell: str, shape: tuple[int, ...], threads: int, name: str) -> tuple[Call, ...]:
    """A gradient step on the squared outputs."""
    import jax

    from statecast.model.kernel import layer

    weights = {part: jax.numpy.asarray(array) for part, array in arrays(cell, shape, np.random.default_rng(0)).items()}
    x, bf16 = weights.pop("x"), name in interface.BF16_SETS

    def step(w: Any) -> Any:
        slope = jax.grad(lambda w: (layer.forward(cell, w, x, threads=threads, bf16=bf16)[0] ** 2).mean())(w)
        return jax.tree.map(lambda a, b: a - 0.1 * b, w, slope)

    compiled = jax.jit(step)
    return (lambda: jax.block_until_ready(compiled(weights)),)


def medians(runs: list[Call], seconds: float) -> list[float]:
    """Median milliseconds of each, by turns."""
    for run in runs:
        run()
    times: list[list[float]] = [[] for _ in runs]
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or (time.perf_counter() < end and len(times[0]) < 300):
        for run, samples in zip(runs, times, strict=True):
            begin = time.perf_counter()
            run()
            samples.append(1e3 * (time.perf_counter() - begin))
    return [statistics.median(samples) for samples in times]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="lstm,gru")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each row of the table")
    parser.add_argument("--jax", action="store_true")
    options = parser.parse_args()
    # JAX runs the best alone.
    bf16 = (library.instruction_set(bf16=True),) if options.jax else library.runs(bf16=True)
    names = (library.instruction_set(), *bf16)
    print("cell, shape (B, T, I, H), threads: ms of forward + backward, and float32's time over it")
    for cell in options.cells.split(","):
        for shape in SHAPES:
            for threads in map(int, options.threads.split(",")):
                runs = [(jax_step if options.jax else calls)(cell, shape, threads, name) for name in names]
                medians_in_turn = iter(medians([run for part in runs for run in part], options.seconds))
                parts = [[next(medians_in_turn) for _ in part] for part in runs]
                columns = [
                    f"{name} {' + '.join(f'{ms:.3g}' for ms in part)}, {sum(parts[0]) / sum(part):.2f}"
                    for name, part in zip(names, parts, strict=True)
                ]
                print(f"{cell} {shape} {threads}: {' | '.join(columns)}", flush=True)


if __name__ == "__main__":
    main()
