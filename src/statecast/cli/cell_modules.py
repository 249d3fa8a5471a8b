"""Cells of the user's own, from modules that are named on the command line.

Importing a module runs its code, so it must be the user who names it, here and now: no model file, TOML file or table
can. A module is looked for among those that are installed, then in the folder where the command is typed.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from statecast.config import Config
from statecast.errors import SettingError, nearest

OPTION = "--cells"
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
NAME = re.compile(rf"({MODULE.pattern}):(.+)")


def import_named(words: Sequence[str]) -> list[str]:
    """Import what `--cells MODULE` names, and give the words without it.

    Raises:
        SettingError: there is no such module, or it cannot be imported.
    """
    rest, names = [], iter(words)
    for word in names:
        option, equals, value = word.partition("=")
        if option != OPTION:
            rest.append(word)
            continue
        _import(value if equals else next(names, ""), OPTION)
    return rest


def cell_named(setting: str, text: str) -> str:
    """The name of a cell that is written as `module:name`, whose module is imported; any other text as it is.

    Args:
        setting: that it is the value of, for messages.
        text: as typed.

    Raises:
        SettingError: there is no such module, or it cannot be imported, or registers no such cell.
    """
    match = NAME.fullmatch(text)
    if match is None:
        return text
    module, name = match[1], match[3]
    _import(module, f"--set {setting}={text}")
    from statecast.model.cells import BUILT_IN, CELLS

    if name not in CELLS or name in BUILT_IN:
        hint = nearest(name, [cell for cell in CELLS if cell not in BUILT_IN])
        raise SettingError(
            f"--set {setting}={text}: {module} registers no cell {name!r} with @cell or @linear_cell; {hint}"
        )
    return name


def option_for(config: Config) -> str:
    """The option that another command needs to load a model with these settings; empty if its cells are built in."""
    from statecast.model.cells import BUILT_IN, CELLS

    cells = [CELLS[name] for name in (config.cell, config.decoder) if name in CELLS and name not in BUILT_IN]
    modules = dict.fromkeys((cell.linear or cell.equations).__module__ for cell in cells)
    return "".join(f" {OPTION} {module}" for module in modules)


def _import(module: str, option: str) -> None:
    if not MODULE.fullmatch(module):
        raise SettingError(
            f"{option} {module!r}: expected the name of a module, such as my_cells for the file my_cells.py"
        )
    with _here():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise _broken(option, module, error) from error
            raise SettingError(
                f"{option}: there is no module {module!r} in {Path.cwd()} or among the installed ones"
            ) from error
        except Exception as error:  # whatever the user's own code raises is told as such
            raise _broken(option, module, error) from error


def _broken(option: str, module: str, error: Exception) -> SettingError:
    return SettingError(f"{option}: the module {module!r} cannot be imported: {type(error).__name__}: {error}")


@contextlib.contextmanager
def _here() -> Iterator[None]:
    """Find modules of the current folder as well, behind all others."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
