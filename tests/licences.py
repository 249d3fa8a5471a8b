"""Write docs/licences.md: the licence of every package that statecast needs, and of those that these need in turn.

    python tests/licences.py > docs/licences.md

pip says what it would install for each extra, and what the packages say of themselves; nothing is installed. Where a
package does not state its licence in the form of SPDX, its classifiers are taken, or else the first words about it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[\w.-]+")
PARTS = ("", "train", "tables", "cli", "client", "server", "plot", "plotly")  # whose packages `all` has as well
LONGEST = 60  # characters of what a package says of its licence in words of its own
# What classifiers and old fields call a licence, in the names of SPDX.
SPDX = {
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
HEAD = """# Licences

statecast is under the Apache licence 2.0. The tables that ship with it have licences of their own: see
`src/statecast/data/tables/ATTRIBUTION.md`. It contains no code of the packages below. Whoever installs an extra gets
them from their authors, each under its own licence. `make licences` writes this page from what the packages say.

A package without an extra is what a saved model needs to forecast. `cuda` brings NVIDIA's libraries, which are not free
software; `dev` brings tools that take part in no forecast.

## Direct dependencies

| package | extras | licence |
| --- | --- | --- |"""
TURN = """
## What these need in turn

Of all extras but `dev`.

| package | needed by | licence |
| --- | --- | --- |"""


def main() -> None:
    direct = dependencies()
    reports = {extra: resolved(extra) for extra in extras() if extra not in PARTS}
    about = {name: item for report in reports.values() for name, item in report.items()}
    print(HEAD)
    for name, places in direct.items():
        named = ", ".join(f"`{place}`" for place in places if place)
        print(f"| {linked(about[name])} | {named} | {licence(about[name])} |")
    shipped = {name for extra, report in reports.items() if extra != "dev" for name in report}
    print(TURN)
    for name in sorted(shipped - set(direct)):
        print(f"| {linked(about[name])} | {', '.join(parents(name, about, shipped))} | {licence(about[name])} |")


def extras() -> dict[str, list[str]]:
    """The requirements of each extra as they are written; "" for what is always installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def dependencies() -> dict[str, list[str]]:
    """The extras that name each direct dependency."""
    places: dict[str, list[str]] = {}
    for extra, requirements in extras().items():
        for name in map(normal, requirements):
            if name != "statecast":
                places.setdefault(name, []).append(extra)
    return dict(sorted(places.items()))


def requirements(extra: str) -> set[str]:
    """All requirements of an extra, with those of the extras that it is made of."""
    lines = set(extras()[""])
    for line in extras()[extra]:
        if normal(line) == "statecast":
            lines |= {
                item for part in line[line.index("[") + 1 : line.index("]")].split(",") for item in requirements(part)
            }
        else:
            lines.add(line)
    return lines


def normal(requirement: str) -> str:
    """The name of a package as the index writes it."""
    match = NAME.match(requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


@cache
def resolver() -> list[str]:
    """The newest pip, which reads what packages say without downloading them."""
    folder = tempfile.mkdtemp(prefix="statecast-licences-")
    venv.create(folder, with_pip=True, upgrade_deps=True)
    return [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]


def resolved(extra: str) -> dict[str, dict[str, Any]]:
    """What the packages say of themselves that an extra brings, by name."""
    words = ["install", "--dry-run", "--ignore-installed", "--only-binary=:all:", "--quiet", "--report", "-"]
    command = [*resolver(), *words, *sorted(requirements(extra))]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    print(f"{extra or 'statecast'}: {len(report['install'])} packages", file=sys.stderr)
    return {normal(item["metadata"]["name"]): item["metadata"] for item in report["install"]}


def licence(about: Mapping[str, Any]) -> str:
    """What a package says of its licence, as shortly as it can be said."""
    if "license_expression" in about:
        return str(about["license_expression"])
    classified = [c.rpartition(" :: ")[2] for c in about.get("classifier", ()) if c.startswith("License ::")]
    text = next(iter(str(about.get("license", "")).strip().splitlines()), "")
    classified = [c for c in classified if c != "OSI Approved"] or ([text] if text else [])
    names = [SPDX.get(name, name) for name in classified]
    if names == ["BSD"] and text.startswith("BSD-"):
        names = [text]
    return " or ".join(name[:LONGEST] for name in names) or "not stated"


def linked(about: Mapping[str, Any]) -> str:
    """A package's name, as a link to where it is at home."""
    urls = dict(item.split(", ", 1) for item in about.get("project_url", ()))
    home = about.get("home_page") or next(iter(urls.values()), "")
    return f"[{about['name']}]({home})" if home.startswith("http") else str(about["name"])


def parents(name: str, about: Mapping[str, Mapping[str, Any]], among: Iterable[str]) -> list[str]:
    """The packages that need another."""
    return sorted(
        parent
        for parent in among
        if parent != "statecast"
        and any(normal(item) == name for item in about[parent].get("requires_dist", ()) if "extra ==" not in item)
    )


if __name__ == "__main__":
    main()
