"""Record a small model and what it forecasts, for the tests of an installed wheel: run where JAX is installed.

    python tests/record_model.py

It writes tests/recorded/: the model of a fit, and the forecasts of a stream that `installed.py` must give as well.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from installed import FORECASTS, MODEL, forecasts

import statecast as sc


def main() -> None:
    rng = np.random.default_rng(1)
    hours = np.arange(600)
    table = {
        "site": np.repeat(["north", "south"], 600),
        "hour": np.tile(np.datetime64("2026-01-01T00", "h") + hours, 2),
        "load": np.concatenate([50 + k * 20 + 10 * np.sin(hours * np.pi / 12 + k) for k in (0, 1)]),
    }
    table["load"] += rng.normal(0, 1, 1200)
    model = sc.Forecaster(horizon=6, cell="lstm", hidden=(8,), max_steps=60, random_state=1)
    model.fit(table, target="load", id="site", time="hour").save(MODEL)
    FORECASTS.write_text(json.dumps(forecasts()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
