"""What can be typed to look something up or to try statecast out; see `commands` for what a command is."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from statecast.cli.app import command
from statecast.cli.options import MaybeFile, MaybeFolder
from statecast.errors import SettingError


@command("statecast describe loads")
def describe(model: MaybeFolder = None, /, *, system: bool = False, json: bool = False) -> int:
    """Show a model: its layers, columns, settings and scores.

    Args:
        model: folder that fit wrote, a model file, or the snapshot of a stream.
        system: show versions, and what networks run on here, instead of a model.
        json: print one JSON document.
    """
    from statecast.cli import about

    if system == (model is not None):
        raise SettingError("give either the folder of a model, or --system")
    return about.system(json) if model is None else about.model(model, json)


@command("statecast settings hidden cell")
def settings(*names: str, markdown: bool = False, json: bool = False) -> int:
    """List the settings, or those that are named, with their defaults and what is allowed.

    Args:
        names: settings to show; all if left out.
        markdown: print the reference page of the documentation.
        json: print one JSON document.
    """
    from statecast.cli import about

    return about.settings(names, markdown, json)


@command("statecast example interstate_traffic --out traffic.csv")
def example(name: Annotated[str | None, Parameter()] = None, /, *, out: MaybeFile = None, json: bool = False) -> int:
    """Print the path of a table that comes with statecast, or copy the table; without a name, list them.

    Args:
        name: the table.
        out: file to copy it to, CSV or Parquet by its suffix.
        json: print one JSON document.
    """
    from statecast.cli import about

    return about.example(name, out, json)


@command("statecast gallery sin walk --out gallery")
def gallery(
    *names: str,
    list_: Annotated[bool, Parameter(name="--list")] = False,
    out: MaybeFolder = None,
    data: MaybeFolder = None,
    recipe: Annotated[str | None, Parameter(metavar="NAME")] = None,
    json: bool = False,
) -> int:
    """Run the experiments of five tutorials, each by the tutorial's recipe and by statecast's, and compare the results.

    Where a series follows a rule without noise, a recurrence without a skip is a third recipe.

    Args:
        names: cases to run; if left out, all whose data are at hand.
        list_: list the cases instead of running them.
        out: folder for pictures, CSV files and one report page.
        data: folder with the tables that may not be shipped.
        recipe: run this recipe alone, tutorial, statecast or recurrence.
        json: print one JSON document.
    """
    from statecast.cli import gallery as room

    return room.listed(json) if list_ else room.run(names, out, data, recipe, json)
