"""What `fit --out DIR` leaves behind: the model, its settings and scores, the tested rows, pictures and one page.

Every file appears whole or not at all. `model.safetensors` alone is enough to forecast and to stream; the rest is for
people and for other programs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from statecast.data import results
from statecast.files import write_text
from statecast.model import archive, container
from statecast.model.history import phases_of
from statecast.model.trained import Model
from statecast.report import recipe
from statecast.report.summary import Report

MODEL, CONFIG, SCHEMA, METRICS = container.FILE, "config.toml", "schema.json", "metrics.json"
HISTORY, PREDICTED, TEST, PAGE = "history.csv", "predicted.csv", "test_data.csv", "report.html"
CARD = "README.md"  # where hubs look for it
TRIALS = "trials.csv"  # of tuning
PLOTS = "plots"  # a folder of pictures
FILES = (MODEL, CONFIG, SCHEMA, METRICS, HISTORY, PREDICTED, TEST, PAGE, CARD, TRIALS)


def write(
    folder: Path, model: Model, report: Report, predicted: Mapping[str, np.ndarray], test: Mapping[str, np.ndarray]
) -> list[Path]:
    """Write everything; returns the paths in the order of writing.

    Args:
        folder: created if it does not exist.
        model: the model.
        report: what to report about it.
        predicted: columns of the test rows, as forecast.
        test: the same columns, as they were.

    Raises:
        OutputError: a file cannot be written.
    """
    # Here and not at the top, so that the names of the files are known without matplotlib.
    from statecast.report import card, page, plot

    tz = model.schema.tz
    paths = write_model(folder, model)
    for name, columns in ((HISTORY, history_columns(model.history)), (PREDICTED, predicted), (TEST, test)):
        results.write(columns, folder / name, tz)
        paths.append(folder / name)
    images = plot.images(report)
    paths += plot.save_all(report, folder, images)
    paths.append(page.write_page(report, folder / PAGE, images))
    paths.append(write_text(folder / CARD, card.card(model, report)))
    return paths


def write_model(folder: Path, model: Model) -> list[Path]:
    """Write the model, and beside it what it says of itself: settings, schema and scores.

    Raises:
        OutputError: a file cannot be written.
    """
    return [
        archive.save(model, folder / MODEL),
        write_text(folder / CONFIG, recipe.toml(model)),
        write_text(folder / SCHEMA, _json(model.schema.to_json())),
        write_text(folder / METRICS, _json(model.scores)),
    ]


def history_columns(history: Mapping[str, list[float]]) -> dict[str, np.ndarray]:
    """The history of a model as a table: the phase of each row by its name, and numbers."""
    phases = np.array([*phases_of(history), None], object)[:-1]
    values = {name: np.array(column, float) for name, column in history.items() if name != "phase"}
    return {"phase": phases} | {name: v.astype(np.int64) if name == "step" else v for name, v in values.items()}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
