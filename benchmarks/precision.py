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

from statecast.model.kernel import library as kernel

SHAPES = [(450, 100, 2, 300), (10, 20, 1, 120), (32, 336, 7, 128), (256, 96, 1, 64), (64, 256, 64, 512)]
Call = Callable[[], Any]


def arrays(cell: str, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What a layer is given, by the names of the kernel's `Inputs`."""
    batch, steps, inputs, hidden = shape
    columns = kernel.GATES[cell] * hidden
    sizes = {"x": (steps, batch, inputs), "W": (inputs, columns), "U": (hidden, columns), "b": (columns,)}
    sizes |= {"bn": (hidden,)} if cell == "gru" else {}
    scale = {"x": 1.0, "U": hidden**-0.5}
    return {name: (scale.get(name, 0.3) * rng.normal(size=n)).astype(np.float32) for name, n in sizes.items()}


def calls(cell: str, shape: tuple[int, ...], threads: int, name: str) -> tuple[Call, Call]:
    """Forward and backward in an instruction set, on arrays of their own."""
    rng, (batch, steps, inputs, hidden) = np.random.default_rng(0), shape
    given, size = arrays(cell, shape, rng), (c_int64 * 2)()
    number = kernel.BF16 if name in kernel.BF16_SETS else 0
    sizes = kernel.Shape(kernel.CELLS[cell], number, threads, kernel.INSTRUCTION_SETS.index(name), 1)
    sizes.steps, sizes.batch, sizes.inputs, sizes.hidden = steps, batch, inputs, hidden
    kernel.check(kernel.library().statecast_saved_sizes(byref(sizes), size))
    out = {"y": np.zeros((steps, batch, hidden), np.float32)}
    out |= {part: np.zeros(n, np.float32) for part, n in zip(("gates", "aux"), size, strict=True)}
    saved = out | {"dy": rng.normal(size=out["y"].shape).astype(np.float32)}
    into = {f"d{part}": np.zeros_like(array) for part, array in given.items()}
    structs = [
        kernel.fill(kind, held)
        for kind, held in (
            (kernel.Inputs, given),
            (kernel.Outputs, out),
            (kernel.Saved, saved),
            (kernel.Gradients, into),
        )
    ]
    held = (given, saved, into)  # the structs are but addresses

    def forward() -> Any:
        kernel.check(kernel.library().statecast_forward(byref(sizes), byref(structs[0]), byref(structs[1])))
        return held

    def backward() -> Any:
        pointers = byref(structs[0]), byref(structs[2]), byref(structs[3])
        kernel.check(kernel.library().statecast_backward(byref(sizes), *pointers))
        return held

    return forward, backward


def jax_step(cell: str, shape: tuple[int, ...], threads: int, name: str) -> tuple[Call, ...]:
    """A gradient step on the squared outputs."""
    import jax

    from statecast.model.kernel import layer as face

    given = {part: jax.numpy.asarray(array) for part, array in arrays(cell, shape, np.random.default_rng(0)).items()}
    x, bf16 = given.pop("x"), name in kernel.BF16_SETS

    def step(w: Any) -> Any:
        slope = jax.grad(lambda w: (face.layer(cell, w, x, threads=threads, bf16=bf16)[0] ** 2).mean())(w)
        return jax.tree.map(lambda a, b: a - 0.1 * b, w, slope)

    compiled = jax.jit(step)
    return (lambda: jax.block_until_ready(compiled(given)),)


def medians(runs: list[Call], seconds: float) -> list[float]:
    """Median milliseconds of each, by turns."""
    for run in runs:
        run()
    times: list[list[float]] = [[] for _ in runs]
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or (time.perf_counter() < end and len(times[0]) < 300):
        for run, taken in zip(runs, times, strict=True):
            begin = time.perf_counter()
            run()
            taken.append(1e3 * (time.perf_counter() - begin))
    return [statistics.median(taken) for taken in times]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="lstm,gru")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each row of the table")
    parser.add_argument("--jax", action="store_true")
    given = parser.parse_args()
    bf16 = (kernel.instruction_set(bf16=True),) if given.jax else kernel.runs(bf16=True)  # JAX is given the best alone
    names = (kernel.instruction_set(), *bf16)
    print("cell, shape (B, T, I, H), threads: ms of forward + backward, and float32's time over it")
    for cell in given.cells.split(","):
        for shape in SHAPES:
            for threads in map(int, given.threads.split(",")):
                runs = [(jax_step if given.jax else calls)(cell, shape, threads, name) for name in names]
                found = iter(medians([run for part in runs for run in part], given.seconds))
                parts = [[next(found) for _ in part] for part in runs]
                told = [
                    f"{name} {' + '.join(f'{ms:.3g}' for ms in part)}, {sum(parts[0]) / sum(part):.2f}"
                    for name, part in zip(names, parts, strict=True)
                ]
                print(f"{cell} {shape} {threads}: {' | '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
