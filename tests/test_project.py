"""The files that stand around the code agree with it and with one another."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import licences

import statecast

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_a_version_is_written_once_and_cited() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert re.findall(r"^version: (.+)$", text("CITATION.cff"), re.MULTILINE) == [statecast.__version__]


def test_pythons_are_those_that_are_tried() -> None:
    classified = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["project"]["classifiers"]))
    oldest, newest = classified[0], classified[-1]
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert re.findall(r'python: \["(.+)", "(.+)"\]', text(".github/workflows/ci.yml")) == [(oldest, newest)] * 2
    tried = [f"cp{version.replace('.', '')}-*" for version in (oldest, newest)]
    assert PROJECT["tool"]["cibuildwheel"]["build"] == tried
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in classified


def test_no_workflow_holds_a_secret_or_trusts_what_can_move() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = path.read_text(encoding="utf-8")
        assert "secrets." not in workflow
        actions = re.findall(r"uses: *(\S+)", workflow)
        assert actions and all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in actions)


def test_a_wheel_for_others_must_have_the_kernel() -> None:
    assert PROJECT["tool"]["cibuildwheel"]["environment"]["STATECAST_REQUIRE_KERNEL"] == "1"
    (override,) = PROJECT["tool"]["scikit-build"]["overrides"]
    assert override["if"] == {"failed": True, "env": {"STATECAST_REQUIRE_KERNEL": False}}


def test_the_page_of_licences_names_every_dependency() -> None:
    """`make licences` writes it."""
    page = text("docs/licences.md").partition("## What these need")[0]
    rows = re.findall(r"^\| \[?([\w.-]+)[^|]* \| ([^|]*) \| ([^|]+) \|$", page, re.MULTILINE)[1:]
    listed = {licences.normal(name): re.findall(r"`(.+?)`", extras) for name, extras, _ in rows if name != "---"}
    assert listed == {name: [e for e in extras if e] for name, extras in licences.dependencies().items()}
    assert not [name for name, _, licence in rows if not licence or licence == "not stated"]
