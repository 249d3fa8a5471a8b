"""`statecast export`: a saved model for runtimes of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from statecast.cli import output
from statecast.estimators import Forecaster
from statecast.export.onnx_file import levels_of


def run(path: str, out: str | None, web: str | None, modules: str | None, as_json: bool) -> int:
    """Write the files of a model and say what they are; see the command.

    Args:
        path: the folder of a fit, or a model file.
        out: the file for the graph that takes a row; None for no such file.
        web: the folder for a page; None for none.
        modules: the folder node_modules that holds the page's runtime; None to look for it.
        as_json: print JSON.
    """
    forecaster = Forecaster.load(path)
    levels, intervals = levels_of(forecaster.model_)
    document: dict[str, Any] = {"model": path, "levels": list(levels), "intervals": intervals}
    rows: list[list[str]] = []
    if out is not None:
        files = forecaster.export(out)
        document["files"] = dict(zip(("step", "forecast", "states"), map(str, files), strict=True))
        meanings = (
            "takes a row and a state, and returns the forecast and the next state",
            "forecasts from a state, which stays as it is",
            "what the model remembers of the series of its table",
        )
        rows += map(_row, files, meanings)
    if web is not None:
        pages = forecaster.export_page(web, modules)
        document["page"] = str(Path(web) / "index.html")
        size = sum(page.stat().st_size for page in pages)
        rows.append([document["page"], _megabytes(size), f"a page, with {len(pages) - 1} files beside it: open it"])
    if as_json:
        output.document(document)
        return 0
    output.table([["file", "MB", "what it is"], *rows])
    output.say()
    output.prose(f"Intervals: {intervals}.")
    return 0


def _row(file: Path, meaning: str) -> list[str]:
    return [str(file), _megabytes(file.stat().st_size), meaning]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f}"
