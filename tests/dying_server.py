"""An engine that takes the numbers of batches from standard input and says which of them it has acknowledged.

The parent kills it at any moment, so nothing here tidies up: `python dying_server.py MODEL STATE CHECKPOINT LATE`.
"""

import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import server_cases as server

from statecast.server.engine.receipts import Receipt


def say(number: int, done: Future[Receipt]) -> None:
    statuses = set(done.result().statuses)
    sys.stdout.write(f"{number} {'+'.join(sorted(statuses))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    model, state, checkpoint, late = sys.argv[1:]
    # History that is let go of soon has no part in what must be kept.
    engine = server.started(Path(model), Path(state), checkpoint=float(checkpoint), late=int(late), history=0.3)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        engine.submit(server.batch(int(line))).add_done_callback(partial(say, int(line)))
    engine.close()
