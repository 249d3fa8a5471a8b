"""Writes src/statecast/estimators/keywords.py, the settings as arguments that editors and type checkers can read.

The settings are those of `statecast.config`; `make settings` runs this file, and a test compares what it would write
with what is there.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from statecast.allowed import PATH
from statecast.config import Config
from statecast.sequence_config import ClassifierConfig, RegressorConfig

PLACE = Path(__file__).resolve().parents[1] / "src" / "statecast" / "estimators" / "keywords.py"
FACES = {"Forecaster": Config, "Classifier": ClassifierConfig, "Regressor": RegressorConfig}
HEAD = '''"""The settings as arguments of the estimators, written out so that editors and type checkers can read them.

`make settings` writes this file from `statecast.config`, where a setting exists once; do not edit it by hand.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Never


class _Signature:
    """What `inspect.signature` tells of an estimator: its settings, without the place for names that are none."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        initialise: Any = owner.__init__  # type: ignore[misc]  # the class is a value here
        _, *parameters, _ = inspect.signature(initialise).parameters.values()
        return inspect.Signature(parameters)


class SettingsKeywords:
    """An estimator whose arguments are settings; abstract."""

    __signature__: _Signature = _Signature()

    def _accept(self, settings: dict[str, Any]) -> None:
        """Take the settings as they were given, and refuse names that are none.

        Raises:
            SettingError: there is no such setting.
        """
        raise NotImplementedError
'''
CLASS = '''

class {face}Keywords(SettingsKeywords):
    """The arguments of a {face}; `statecast settings` says what each means."""

    def __init__(
        self,
        *,
{arguments}
        **unknown: Never,
    ) -> None:
        settings = {{name: value for name, value in locals().items() if name not in ("self", "unknown")}}
        self._accept(settings | unknown)
'''


def annotation(spec: dataclasses.Field[object]) -> str:
    """The type of the values that a setting takes: an item alone stands for a list of one, and a path for its text."""
    text = re.sub(r"tuple\[([^\[\]]*), \.\.\.\]", r"\1 | Sequence[\1]", str(spec.type))
    if spec.metadata["check"] is PATH:
        text = text.replace("str", "str | PathLike[str]")
    return text.replace("float | float |", "float |")


def argument(spec: dataclasses.Field[object]) -> str:
    """One line of the signature."""
    return f"        {spec.name}: {annotation(spec)} = {spec.default!r},"


def source() -> str:
    """The whole file, in the house's format."""
    classes = (
        CLASS.format(face=face, arguments="\n".join(map(argument, dataclasses.fields(of))))
        for face, of in FACES.items()
    )
    text = HEAD + "".join(classes)
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(PLACE), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    PLACE.write_text(source(), encoding="utf-8")
