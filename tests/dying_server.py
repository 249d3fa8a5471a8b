"""An engine that takes the numbers of batches from standard input and says which of them it has acknowledged.

The parent kills it at any moment, so nothing here tidies up: `python dying_server.py MODEL STATE CHECKPOINT`.
"""

import sys
from concurrent.futures import Future
from functools import partial

import server_cases as server

from statecast.server.receipts import Receipt


def say(number: int, done: Future[Receipt]) -> None:
    statuses = set(done.result().statuses)
    sys.stdout.write(f"{number} {'+'.join(sorted(statuses))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    engine = server.started(sys.argv[1], sys.argv[2], checkpoint=float(sys.argv[3]))  # type: ignore[arg-type]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        engine.submit(server.batch(int(line))).add_done_callback(partial(say, int(line)))
    engine.close()
