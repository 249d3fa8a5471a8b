"""What `statecast` alone says: what to type next, with the tables and models of the current folder by name.

Nothing is read but the folder's list of names, so it answers at once.
"""

from __future__ import annotations

import shlex
from itertools import islice
from pathlib import Path

from statecast.cli import output
from statecast.report.folder import MODEL

TABLES = (".csv", ".tsv", ".parquet", ".csv.gz")
FEW = 3


def run() -> int:
    """Say it."""
    here = sorted(Path.cwd().iterdir()) if Path.cwd().is_dir() else []
    tables = list(islice((path.name for path in here if path.name.lower().endswith(TABLES)), FEW))
    models = list(islice((path.name for path in here if (path / MODEL).is_file()), FEW))
    output.say("statecast trains a recurrent network on a table of your series, and carries its state everywhere.")
    output.say()
    _listed("Your own table, CSV or Parquet; this suggests the whole command:", "fit", tables or ["TABLE"])
    if models:
        _listed("A model that was fitted here:", "forecast", models)
    output.say("A table that comes with statecast:")
    output.say('  statecast fit "$(statecast example air_passengers)" --horizon 12 --out air')
    output.say("  statecast forecast air")
    output.say()
    output.say("Once there is a model, play back a table as if it were arriving live: statecast replay MODEL TABLE")
    output.say()
    output.say("statecast --help lists the commands, and statecast COMMAND --help explains one of them.")
    return 0


def _listed(title: str, command: str, names: list[str]) -> None:
    output.say(title)
    for name in names:
        output.say(f"  statecast {command} {shlex.quote(name)}")
    output.say()
