"""Write docs/licences.md: the licence of every package that statecast needs, and of those that these need in turn.

    python tests/licences.py FOLDER … > docs/licences.md

Read is what installed packages say of themselves, in the folders of environments that together have all extras. Where a
package does not state its licence in the form of SPDX, its classifiers are taken, or else the first words about it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[\w.-]+")
HOMES = ("homepage", "home", "repository", "source", "source code", "github", "code", "documentation")
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

Of all extras but `dev`, on Linux, with the extras of theirs that are asked for; NVIDIA's libraries are left out.

| package | needed by | licence |
| --- | --- | --- |"""


def main(folders: list[str]) -> None:
    installed: dict[str, Distribution] = {}
    for item in distributions(path=folders):
        installed.setdefault(normal(item.metadata["Name"]), item)
    direct = dependencies()
    missing = sorted(set(direct) - set(installed) - {"tzdata"})
    if missing:
        sys.exit(f"not installed in {', '.join(folders)}: {', '.join(missing)}")
    print(HEAD)
    for name, places in direct.items():
        named = ", ".join(f"`{place}`" for place in places if place)
        print(f"| {linked(installed[name])} | {named} | {licence(installed[name])} |")
    needed = parents(installed, [name for name, places in direct.items() if places != ["dev"]])
    print(TURN)
    for name in sorted(set(needed) - set(direct)):
        print(f"| {linked(installed[name])} | {', '.join(sorted(needed[name]))} | {licence(installed[name])} |")


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


def normal(requirement: str) -> str:
    """The name of a package as the index writes it."""
    match = NAME.match(requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def parents(installed: Mapping[str, Distribution], roots: list[str]) -> dict[str, set[str]]:
    """For every package that some root needs, directly or in turn, the packages that name it."""
    needed: dict[str, set[str]] = {}
    asked = {normal(line): set(Requirement(line).extras) for lines in extras().values() for line in lines}
    waiting = [(name, asked.get(name, set()) & {"binary"}) for name in roots]
    while waiting:
        name, parts = waiting.pop()
        for requirement in requirements(installed[name], parts):
            child = normal(requirement.name)
            if child in installed:
                if name not in needed.setdefault(child, set()):
                    waiting.append((child, requirement.extras))
                needed[child].add(name)
    return needed


def requirements(of: Distribution, parts: set[str]) -> Iterator[Requirement]:
    """What a package needs on this system, with these extras of its own."""
    for line in of.requires or ():
        requirement = Requirement(line)
        chosen = ({"extra": part} for part in ("", *parts))
        if requirement.marker is None or any(requirement.marker.evaluate(extra) for extra in chosen):
            yield requirement


def licence(of: Distribution) -> str:
    """What a package says of its licence, as shortly as it can be said."""
    if expression := of.metadata.get("License-Expression"):
        return str(expression)
    classifiers = of.metadata.get_all("Classifier") or []
    classified = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    text = next(iter(str(of.metadata.get("License") or "").strip().splitlines()), "")
    classified = [c for c in classified if c != "OSI Approved"] or ([text] if text else [])
    names = [SPDX.get(name, name) for name in classified]
    if names == ["BSD"] and text.startswith("BSD-"):
        names = [text]
    return " or ".join(name[:LONGEST] for name in names) or "not stated"


def _pair(item: str) -> tuple[str, str]:
    label, _, url = item.partition(", ")
    return label, url


def linked(of: Distribution) -> str:
    """A package's name, as a link to where it is at home."""
    urls = {label.lower(): url for label, url in map(_pair, of.metadata.get_all("Project-URL") or [])}
    home = of.metadata.get("Home-page") or next((urls[label] for label in HOMES if label in urls), "")
    return f"[{of.metadata['Name']}]({home})" if home.startswith("http") else str(of.metadata["Name"])


if __name__ == "__main__":
    main(sys.argv[1:])
