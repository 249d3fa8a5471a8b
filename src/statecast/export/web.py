"""A model as a folder that a browser opens by itself: one page, the graphs, and onnxruntime-web to run them.

A page that is opened from a disk may load scripts and nothing else, so graphs and runtime are scripts that hold their
bytes. They are compressed, and the browser unpacks them. The runtime comes from the npm package where the user has it,
chart and colours from the server's page.
"""

from __future__ import annotations

import base64
import gzip
import json
from importlib import resources
from pathlib import Path
from typing import Any

from statecast.errors import MissingDependency
from statecast.export.onnx_file import Package
from statecast.files import write_bytes
from statecast.model.trained import Model

PAGE = ("index.html", "page.css", "times.js", "rows.js", "network.js", "chart.js", "page.js")
SHARED = ("colours.css", "vendor/uplot.js", "vendor/uplot-licence.txt")  # with the server's page
SOURCES = {"module": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}  # of the runtime
NPM = "onnxruntime-web"
LICENCE = """onnxruntime-web, in runtime.js
Copyright (c) Microsoft Corporation. All rights reserved. Licensed under the MIT License:
https://github.com/microsoft/onnxruntime/blob/main/LICENSE
"""
MOST_NUMBERS = 1_000_000  # of the states that a page holds


def export(model: Model, folder: str | Path, modules: str | Path | None = None) -> list[Path]:
    """Write a model as a folder whose `index.html` forecasts in a browser, opened from the disk or from any server.

    Args:
        model: the model.
        folder: it is made where it is missing; files of these names are replaced.
        modules: the folder node_modules that holds onnxruntime-web; the nearest one from the current folder upwards
            if None.

    Returns:
        The files.

    Raises:
        MissingDependency: onnxruntime-web is not there, or the package onnx.
        SettingError: the model cannot be exported, see `onnx_file.export`.
        OutputError: a file cannot be written.
    """
    runtime = runtime_folder(modules)
    contents = {"model.js": _script("Model", described(model)), "runtime.js": _script("Runtime", _runtime(runtime))}
    page, shared = (resources.files("statecast").joinpath(room, "page") for room in ("export", "server"))
    contents |= {name: page.joinpath(name).read_bytes() for name in PAGE}
    contents |= {Path(name).name: shared.joinpath(name).read_bytes() for name in SHARED}
    contents["onnxruntime-licence.txt"] = LICENCE.encode()
    return [write_bytes(Path(folder) / name, content) for name, content in contents.items()]


def described(model: Model) -> dict[str, Any]:
    """What the page knows of a model."""
    package = Package(model)
    series = len(model.state.ids) // package.width
    count = min(series, MOST_NUMBERS // max(model.layout.size * package.width, 1))
    states = {name: part[:count].tolist() for name, part in package.remembered().items()}
    return package.metadata | {
        "time": times_of(model),
        "season": 1 if model.phases is None else len(model.phases),
        "states": {"ids": package.ids[:count], "times": [str(time) for time in package.times[:count]], **states},
        "leftOut": series - count,
        "newNumbers": [0] * package.width,
        "step": packed(package.step),
        "forecast": packed(package.forecast),
    }


def runtime_folder(modules: str | Path | None) -> Path:
    """Where the files of onnxruntime-web lie.

    Raises:
        MissingDependency: there is none, or an older one whose files have other names.
    """
    start = Path.cwd() if modules is None else Path(modules)
    places = [start / NPM, start] if modules is not None else []
    places += [parent / "node_modules" / NPM for parent in (start, *start.resolve().parents)]
    place = next((place for place in places if (place / "dist").is_dir()), None)
    if place is None:
        where = "here or further up" if modules is None else f"in {modules}"
        raise MissingDependency(
            f"a page needs {NPM}, and no folder node_modules {where} holds it: npm install {NPM}, or name the folder "
            "node_modules that has it with --modules"
        )
    lacking = [name for name in SOURCES.values() if not (place / "dist" / name).is_file()]
    if lacking:
        raise MissingDependency(f"{place} has no dist/{lacking[0]}: npm install {NPM}@latest")
    return place / "dist"


def packed(content: bytes) -> str:
    """Bytes as text, which the page unpacks; the same bytes make the same text."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def _runtime(folder: Path) -> dict[str, str]:
    return {name: packed((folder / file).read_bytes()) for name, file in SOURCES.items()}


def _script(name: str, value: Any) -> bytes:
    """A script that gives the page a value; NaN is a name in JavaScript as well."""
    return f"globalThis.statecast{name} = {json.dumps(value)};\n".encode()


def times_of(model: Model) -> dict[str, Any]:
    """What the page needs to count times as the model does."""
    schema, frequency = model.schema, model.schema.frequency
    days = frequency.days
    return {
        "kind": schema.time_kind,
        "unit": frequency.unit,
        "count": frequency.count,
        "end": frequency.month_end,
        "week": "1111111" if days is None else days.week,
        "dates": [] if days is None else list(days.dates),
        "zone": schema.tz,
        "daily": frequency.daily,
    }
