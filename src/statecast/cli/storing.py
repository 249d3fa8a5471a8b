"""`statecast store`: see `server.upkeep`."""

from __future__ import annotations

from pathlib import Path

from statecast.cli import output
from statecast.errors import SettingError
from statecast.server.store.protocol import StoreCheck

TASKS = ("check", "compact", "backup", "restore")


def run(task: str, folder: str, file: str | None, json: bool) -> int:
    """Do a task on the store of a folder; see the command.

    Returns:
        0; 1 if something is wrong with the store.
    """
    from statecast.server.engine import upkeep

    if task not in TASKS:
        raise SettingError(f"got {task!r}, expected {', '.join(TASKS[:-1])} or {TASKS[-1]}")
    if (file is None) == (task in ("backup", "restore")):
        raise SettingError(f"{task}: {'name the file of the backup' if file is None else 'it takes no file'}")
    if task == "check":
        return _report(upkeep.check(folder), json)
    if task == "compact":
        before, after = upkeep.compact(folder)
        if json:
            output.line({"before": before, "after": after})
        else:
            output.say(f"{folder}: {before:,} bytes before, {after:,} bytes now")
        return 0
    if task == "restore":
        return _report(upkeep.restore(folder, str(file)), json)
    path = upkeep.backup(folder, str(file))
    if json:
        output.line({"file": str(path), "bytes": Path(path).stat().st_size})
    else:
        output.say(f"{path}: {Path(path).stat().st_size:,} bytes")
    return 0


def _report(result: StoreCheck, json: bool) -> int:
    """Print what a check says."""
    if json:
        output.line({"faults": result.faults, **result.counts})
    else:
        names = {"series": "series", "blocks": "blocks of states", "batches": "batches in the log", "pieces": "pieces"}
        counts = ", ".join(f"{result.counts.get(name, 0):,} {text}" for name, text in names.items())
        output.say("\n".join([*result.faults, f"{counts} of history{'' if result.faults else ': all sound'}"]))
    return 1 if result.faults else 0
