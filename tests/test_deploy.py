"""The unit of systemd and the image in `deploy/` call the server as it is."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from statecast.server.options import Options

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
OPTIONS = {f"--{item.name.replace('_', '-')}" for item in fields(Options)} | {"--state"}


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "statecast.service")
    return parser


def image() -> dict[str, list[str]]:
    """The last ENTRYPOINT and CMD of the image."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    return {name: json.loads(words) for name, words in re.findall(r"^(ENTRYPOINT|CMD) (\[.*\])$", text, re.MULTILINE)}


@pytest.mark.parametrize("what", ["unit", "image"])
def test_the_server_is_called_with_options_that_it_has(what: str) -> None:
    if what == "unit":
        program, command, *words = shlex.split(unit()["Service"]["ExecStart"])
    else:
        program, command, *words = image()["ENTRYPOINT"] + image()["CMD"]
    assert (Path(program).name, command) == ("statecast", "serve")
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options and options <= OPTIONS
    host = words[words.index("--host") + 1]
    assert Options(host=host).local or "--tokens" in options  # the server refuses anything else


def test_the_unit_may_write_nothing_but_its_states_and_has_time_to_stop() -> None:
    service = unit()["Service"]
    state = f"/var/lib/{service['StateDirectory']}"
    assert state in service["ExecStart"]
    assert (service["ProtectSystem"], service["Restart"], service["DynamicUser"]) == ("strict", "always", "yes")
    assert int(service["TimeoutStopSec"]) >= 60


def test_systemd_understands_the_unit() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run([analyze, "verify", DEPLOY / "statecast.service"], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "statecast.service" in line]
    assert [line for line in complaints if "is not executable" not in line] == []
