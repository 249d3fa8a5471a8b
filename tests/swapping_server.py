"""An engine that takes batches and changes its model all the time, until it is killed: `swapping_server.py FOLDER`.

It says which number of batches it has acknowledged; of each batch every series has one row.
"""

import itertools
import sys
import threading
from pathlib import Path

import server_cases as server

from statecast.errors import StatecastError
from statecast.model import archive
from statecast.server.engine.engine import Engine


def swap(engine: Engine, folder: Path) -> None:
    """Challenge, take over and go back, over and over."""
    engine.models.challenge(archive.load(folder / "new.safetensors"), "new")
    while True:
        try:
            engine.models.promote()
        except StatecastError:
            continue  # it is not ready yet


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    engine = server.started(folder / "old.safetensors", folder / "state", checkpoint=0.1)
    for number in itertools.count(1):
        assert set(engine.submit(server.batch(number - 1, server.SERIES)).result().statuses) == {"accepted"}
        if number == 5:
            threading.Thread(target=swap, args=(engine, folder), daemon=True).start()
            sys.stdout.write("ready\n")
        elif number > 5:
            sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
