"""Keeps a store in order over and over, until it is killed: `python keeping_server.py TASK STATE COPY FOLDER`.

COPY is a backup of the store, FOLDER is where copies and restored stores go, numbered.
"""

import itertools
import sys
from pathlib import Path

from statecast.server.engine import upkeep

if __name__ == "__main__":
    task, state, copy, folder = sys.argv[1], *map(Path, sys.argv[2:])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in itertools.count():
        if task == "compact":
            upkeep.compact(state)
        elif task == "backup":
            upkeep.backup(state, folder / f"{number}.db")
        else:
            upkeep.restore(folder / str(number), copy)
