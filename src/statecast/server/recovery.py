"""From a store to what the engine was when it last committed: blocks of states, then the log's rows beyond them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from statecast.forecast import channels
from statecast.model.state import State
from statecast.server import checkpoints
from statecast.server.batch import Batch
from statecast.server.stepper import Stepper
from statecast.server.store.protocol import BLOCK, Store, Transaction

WIDE = 1_000_000  # rows of the log that are replayed together: the more, the wider the steps


def recover(stepper: Stepper, store: Store, start: State) -> int:
    """Make a stepper what it was when the store was last committed to.

    Args:
        stepper: of no series yet.
        store: of the same model.
        start: what an empty store begins with.

    Returns:
        How many rows of the log were stepped.

    Raises:
        ModelFileError, OutputError: the store cannot be read.
    """
    directory = stepper.directory
    count = 0
    for number, name, removed in store.names():
        count = number + 1
        (directory.bury if removed else directory.enter)(number, name)
    directory.go_on(0, count)
    if not count:
        _begin(stepper, store, start)
        return 0
    stepper.ledger.reserve(count)
    contained = np.full(-(-count // BLOCK), -1)
    for block in store.blocks():
        checkpoints.restore(stepper, block)
        contained[block.number] = block.seq
    stepper.seq = max(int(contained.max()), 0, store.earliest())
    return sum(stepper.replay(batches, contained) for batches in _wide(store.batches(store.earliest())))


def _begin(stepper: Stepper, store: Store, start: State) -> None:
    """Take up the series that the model itself remembers, and write them down."""
    names = channels.series_ids(stepper.model, start.ids)
    if not names:
        return
    width = len(start.ids) // len(names)
    for begin in range(0, len(names), BLOCK):
        part, rows = names[begin : begin + BLOCK], slice(begin * width, (begin + BLOCK) * width)
        numbers = stepper.directory.allocate(part)
        stepper.ledger.reserve(len(stepper.directory.names))
        stepper.stream.put(State(start.layout, start.data[rows], start.ids[rows], start.time[rows]))
        stepper.directory.places[numbers] = stepper.stream.numbers(part)
        stepper.ledger.records["time"][numbers] = start.time[rows][::width]
    none, values = np.zeros(0, np.int32), np.zeros((0, len(stepper.model.schema.target)))
    batch = Batch(1, 0.0, none, none.astype(np.int64), values, names=dict(enumerate(names)))
    blocks = [checkpoints.block(stepper, number) for number in range(-(-len(names) // BLOCK))]
    store.commit(Transaction((batch,), blocks=blocks))


def _wide(batches: Iterator[Batch]) -> Iterator[list[Batch]]:
    """Batches of the log, many at a time."""
    group: list[Batch] = []
    rows = 0
    for batch in batches:
        group.append(batch)
        rows += len(batch.numbers)
        if rows >= WIDE:
            yield group
            group, rows = [], 0
    if group:
        yield group
