"""A linear recurrence over time, forward and backward under JAX: as a loop and as an associative scan.

    python benchmarks/linear.py

`statecast.model.scan.in_parallel` decides by what this prints.
"""

from __future__ import annotations

import functools
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from statecast.model import scan
from statecast.model.cells import CELLS
from statecast.model.initial import Start, init_cell

SHAPES = [(96, 64, 64), (256, 64, 16), (256, 64, 64), (256, 1, 64), (1024, 1, 8), (2048, 1, 64), (2048, 64, 64)]
SECONDS = 0.5  # of each measurement


def seconds(cell: str, shape: tuple[int, int, int], parallel: bool) -> float:
    """The median time of the gradient of a layer's squared outputs."""
    steps, batch, units = shape
    rng = np.random.default_rng(0)
    drawn = init_cell(CELLS[cell], rng, units, units, Start())
    w = {name: jnp.asarray(value, jnp.float32) for name, value in drawn.items()}
    x = jnp.asarray(rng.normal(size=(*shape[:2], units)), jnp.float32)
    state = {part: jnp.zeros((batch, units), jnp.float32) for part in CELLS[cell].states}
    reset = jnp.zeros((steps, batch), bool)

    def loss(w: Any, x: Any) -> Any:
        return jnp.mean(scan.layer(CELLS[cell], w, x, state, reset)[0] ** 2)

    scan.in_parallel = lambda _: parallel
    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    call = functools.partial(lambda: jax.block_until_ready(run(w, x)))
    call()
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    """Print one line for each cell and shape."""
    print(f"milliseconds on {jax.devices()[0].device_kind}, float32, forward and backward")
    print(f"{'cell':10}{'T':>6}{'B':>6}{'H':>6}{'loop':>10}{'scan':>10}")
    for cell in (name for name, entry in CELLS.items() if entry.linear):
        for shape in SHAPES:
            loop, parallel = (1e3 * seconds(cell, shape, way) for way in (False, True))
            print(f"{cell:10}" + "".join(f"{n:6}" for n in shape) + f"{loop:10.2f}{parallel:10.2f}", flush=True)


if __name__ == "__main__":
    main()
