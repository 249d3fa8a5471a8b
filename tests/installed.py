"""Whether an installed statecast forecasts: from a recorded model, in the native kernel, without JAX or pandas.

    python tests/installed.py

It is run with the Python of an environment in which nothing but a wheel of statecast and what it needs is installed, on
every platform for which wheels are built. It ends with an error where the kernel is missing, where a forecast is not
the recorded one, or where the environment holds more than it should.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import statecast
from statecast.forecast.runner import Runner
from statecast.model.kernel import library

RECORDED = Path(__file__).resolve().parent / "recorded"
MODEL, FORECASTS = RECORDED / "forecaster.safetensors", RECORDED / "forecaster.json"
# Not even installed, so that nothing can fall back on them.
ABSENT = ("jax", "jaxlib", "optax", "torch", "pandas", "polars", "pyarrow", "scipy", "sklearn", "matplotlib")
# Instruction sets add up in another order.
TOLERANCE = 1e-4


def main() -> None:
    installed = [name for name in ABSENT if find_spec(name) is not None]
    require(not installed, f"{', '.join(installed)} can be imported: the environment is not an empty one")
    require(library.refuses() is None, library.description())
    require(Runner(statecast.Stream.load(MODEL).model).native, "the recorded model does not run in the native kernel")
    recorded, here = (np.array(values) for values in (json.loads(FORECASTS.read_text(encoding="utf-8")), forecasts()))
    require(recorded.shape == here.shape, f"forecasts have shape {here.shape}, expected {recorded.shape}")
    error = np.abs(here - recorded).max() / np.abs(recorded).max()
    require(error <= TOLERANCE, f"forecasts differ from the recorded ones by {error:.1e} of the largest")
    print(f"statecast {statecast.__version__} forecasts in {Path(statecast.__file__).parent}: {library.description()}")


def forecasts() -> list[list[list[float]]]:
    """Forecasts of a stream with their intervals [rows, bounds, H]: it is saved and restored halfway."""
    stream, rows = statecast.Stream.load(MODEL), []
    start = np.datetime64("2026-01-26T00", "h")
    with tempfile.TemporaryDirectory() as folder:
        for n in range(40):
            if n == 20:
                stream = statecast.Stream.load(stream.save(Path(folder) / "stream.safetensors"))
            value = None if n == 7 else 50 + 10 * np.sin(n * np.pi / 12)
            forecast = stream.observe("north" if n % 2 else "new", value, start + np.timedelta64(n, "h"))
            sides = (forecast.lower, forecast.upper)
            bounds = [forecast.values, *(side[level] for side in sides for level in (80, 95))]
            rows.append([np.ravel(bound).round(6).tolist() for bound in bounds])
    return rows


def require(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(f"the installed statecast does not work: {message}")


if __name__ == "__main__":
    main()
