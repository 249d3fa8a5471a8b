"""`statecast export`: a saved model for runtimes of others."""

from __future__ import annotations

from pathlib import Path

from statecast.cli import output
from statecast.estimators import Forecaster
from statecast.export.onnx_file import levels_of


def to_onnx(path: str, out: str, as_json: bool) -> int:
    """Write the ONNX files of a model and say what they are; see the command.

    Args:
        path: the folder of a fit, or a model file.
        out: the file for the graph that takes a row.
        as_json: print JSON.
    """
    forecaster = Forecaster.load(path)
    files = forecaster.export(out)
    levels, intervals = levels_of(forecaster.model_)
    if as_json:
        names = dict(zip(("step", "forecast", "states"), map(str, files), strict=True))
        output.document({"model": path, "files": names, "levels": list(levels), "intervals": intervals})
        return 0
    series = len(forecaster.model_.state.ids)
    meanings = (
        "takes a row and a state, and returns the forecast and the next state",
        "forecasts from a state, which stays as it is",
        f"the states that {series:,} rows of the training table ended in",
    )
    output.table([["file", "MB", "what it is"], *map(_row, files, meanings)])
    output.say()
    output.prose(f"Intervals: {intervals}.")
    return 0


def _row(file: Path, meaning: str) -> list[str]:
    return [str(file), f"{file.stat().st_size / 1e6:.2f}", meaning]
