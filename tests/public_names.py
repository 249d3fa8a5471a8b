"""What of the package is promised to programs outside, and whether it is typed and still what it was.

    python tests/public_names.py types           every promised name has a type that pyright knows
    python tests/public_names.py breaks v0.1.0   calls that fitted at that commit and fit no longer

Promised is what `statecast` and the rooms below export, with the members of its classes; all other modules are the
house's own and may change at any time. A class that stands on one of scikit-learn, sktime, River or aeon, which publish
no types, has a base that no type checker knows; its own members have theirs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import statecast

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "statecast",
    "statecast.aeon",
    "statecast.cluster",
    "statecast.config",
    "statecast.data.examples",
    "statecast.errors",
    "statecast.interop",
    "statecast.mlflow",
    "statecast.model.cells",
    "statecast.river",
    "statecast.sktime",
)
FOREIGN = {"Type of metaclass unknown", "Type of base class unknown"}
CAUGHT = 'Inferred type is "ImportError"'  # a name that ends with its `except`, where a missing extra is told
CONFIG = "statecast.config."
# Settings are given by name, and stand in the order of their help; what a default is says the changelog.
OF_SETTINGS = ("Positional parameter was moved", "Parameter default was changed", "Parameter kind was changed")
COLOURS = re.compile(r"\x1b\[\d+m")


def types() -> int:
    """Have pyright look at the package as others see it."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--verifytypes", "statecast"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run(
        [*command, "--ignoreexternal", "--outputjson"], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    completeness = json.loads(result.stdout)["typeCompleteness"]
    modules = {module["name"] for module in completeness["modules"]}
    missing = set(ROOMS) - modules
    promised = [s for s in completeness["symbols"] if s["isExported"] and room_of(s["name"], modules) in ROOMS]
    gaps = [text for symbol in promised for text in unknown(symbol)]
    print(f"pyright looked at {len(promised)} promised names: {len(gaps)} have no type")
    print(f"of all names of the package it knows the types of {completeness['completenessScore']:.1%}")
    return report(
        gaps + [f"there is no {name}" for name in sorted(missing)] + ["nothing was looked at"][: not promised]
    )


def room_of(name: str, modules: set[str]) -> str:
    return max((module for module in modules if name.startswith(f"{module}.")), key=len)


def unknown(symbol: dict[str, Any]) -> Iterator[str]:
    """What is unknown of a name; nothing where all that is unknown of it is another library's."""
    if symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]:
        return
    for diagnostic in symbol["diagnostics"]:
        message = diagnostic["message"].replace("\n", " ")
        if message not in FOREIGN and CAUGHT not in message:
            yield f"{symbol['name']}: {message}"
    if not symbol["diagnostics"] and symbol["isTypeAmbiguous"]:
        yield f"{symbol['name']}: a member's type is ambiguous"


def breaks(ref: str) -> int:
    """Compare the promised names with those of another commit."""
    import griffe

    options: dict[str, Any] = {"search_paths": ["src"], "resolve_aliases": False}
    before = griffe.load_git("statecast", ref=ref, repo=ROOT, **options)
    after = griffe.load("statecast", search_paths=[str(ROOT / "src")])
    found = [item for item in griffe.find_breaking_changes(before, after) if is_promised(item)]
    print(f"since {ref} {len(found)} promised names changed so that a call may no longer fit")
    return report([COLOURS.sub("", item.explain(griffe.ExplanationStyle.ONE_LINE)) for item in found])


def is_promised(breakage: Any) -> bool:
    path, kind = breakage.obj.canonical_path, breakage.kind.value
    homes = {f"{home}.{name}" for name, home in statecast._HOMES.items()} | {f"{room}." for room in ROOMS[1:]}
    named = path.rpartition(".")[0] in ROOMS or any(f"{path}.".startswith(home) for home in homes)
    private = any(part.startswith("_") and part != "__init__" for part in path.split("."))
    settings = path.startswith(CONFIG) and kind in OF_SETTINGS
    return named and not private and not settings


def report(lines: list[str]) -> int:
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(types() if sys.argv[1] == "types" else breaks(sys.argv[2]))
