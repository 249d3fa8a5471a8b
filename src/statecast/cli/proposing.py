"""The call of `statecast fit` that suits a table, for a person to read, correct and type.

It is printed where the call says too little, and nothing is fitted: what each column was taken for goes to standard
error, the command alone to standard output.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from statecast.cli import output
from statecast.cli.options import LISTS, FitRequest
from statecast.data.grid.guess import Guess, guess
from statecast.data.grid.roles import Roles, resolved
from statecast.data.tabular import table as tables
from statecast.data.tabular.table import Table
from statecast.errors import DataError, SettingError


def require_enough(source: Any, out: str | None, request: FitRequest, words: Sequence[str]) -> Any:
    """The table to fit, if the call says what is needed; a table that was read from standard input as it was read.

    Args:
        source: path of the table, or its columns.
        out: folder for the results.
        request: settings and roles.
        words: the command line as typed, without the program's name.

    Raises:
        SettingError: the folder is missing, or the roles do not follow from the table; a proposal has been printed.
    """
    if out is not None and "target" in request.roles:
        return source
    rows = tables.read(source)
    missing, faults = [] if out else ["--out DIR is missing"], _faults(rows, request)
    if not missing + faults:
        return rows if source == "-" else source
    proposal = guess(rows, Roles.of(**request.roles))
    if faults and "target" not in request.roles and not proposal.fault:  # what was guessed is said line by line
        faults = ["--target COL is missing"]
    _explain(proposal)
    output.say(command(proposal, source, out, request, words))
    raise SettingError(f"{'; '.join(missing + faults)}. Nothing was fitted: check the command above, then run it")


def _faults(rows: Table, request: FitRequest) -> list[str]:
    """Why the roles of the columns do not follow from what was typed; nothing where they do."""
    try:
        resolved(rows, Roles.of(**request.roles))
    except DataError as error:
        return [str(error)]
    return []


def _explain(proposal: Guess) -> None:
    """What each column was taken for, on standard error."""
    width = max(map(len, proposal.reasons), default=0)
    for name, reason in proposal.reasons.items():
        output.note(f"  {name:{width}}  {reason}")
    if proposal.fault:
        output.note(f"  but: {output.in_options(proposal.fault)}")


def command(proposal: Guess, source: Any, out: str | None, request: FitRequest, words: Sequence[str]) -> str:
    """The call that a guess leads to: what was typed, and what is added to it."""
    added = []
    for role, value in asdict(proposal.roles).items():
        before = request.roles.get(role, ())
        names = [name for name in (value if role in LISTS else [value]) or () if name and name not in before]
        if names and (role in LISTS or not before):
            added += [f"--{role}", ",".join(names)]
    if "horizon" not in request.settings:
        added += ["--horizon", str(proposal.horizon)]
    if settings := [f"{name}={value}" for name, value in proposal.settings.items() if name not in request.settings]:
        added += ["--set", *settings]
    if out is None:
        added += ["--out", _folder(source)]
    return f"statecast {shlex.join([*words, *added])}"


def _folder(source: Any) -> str:
    """A folder for the results that is not there yet, called like the table."""
    stem = Path(source).name.split(".")[0] if isinstance(source, str) and source != "-" else ""
    names = (f"{stem}-{n}" if n > 1 else stem for n in range(1, 1000))
    return next((name for name in names if stem and not Path(name).exists()), "fit")
