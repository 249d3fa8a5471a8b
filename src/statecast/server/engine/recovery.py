"""From a store to what the engine was when it last committed: blocks of states, then the log's rows beyond them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from statecast.forecast import channels
from statecast.forecast.together import Together
from statecast.model.state import State
from statecast.server.states import checkpoints
from statecast.server.states.batch import Batch, Id
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import BLOCK, TOGETHER, Store, Transaction

WIDE = 1_000_000  # rows of the log that are replayed together: the more, the wider the steps


def recover(stepper: Stepper, store: Store, start: State, shard: int = 0) -> int:
    """Make a stepper what it was when the store was last committed to.

    Args:
        stepper: of no series yet.
        store: of the same model.
        start: what an empty store begins with.
        shard: of the store; of the others nothing is read.

    Returns:
        How many rows of the log were stepped.

    Raises:
        ModelFileError, OutputError: the store cannot be read.
    """
    directory = stepper.directory
    entries = list(store.names(shard))
    count = max((number for number, _, _ in entries), default=-1) + 1
    directory.enter(
        [number for number, _, gone in entries if not gone], [name for _, name, gone in entries if not gone]
    )
    for number, name, gone in entries:
        if gone:
            directory.bury(number, name)
    stepper.served.add(shard)
    stepper.number = store.champion()
    if not count:
        _begin(stepper, store, start, shard)
        return 0
    directory.go_on(shard, count)
    stepper.ledger.reserve(count)
    contained = np.full(-(-count // BLOCK), -1)
    for block in store.blocks(shard):
        checkpoints.restore(stepper, block)
        contained[block.number] = block.seq
    cut = store.earliest(shard)
    stepper.seq = max(int(contained.max()), 0, cut)
    return sum(stepper.replay(batches, contained) for batches in _wide(store.batches(cut, shard)))


def together(store: Store) -> Together:
    """What a store remembers of all series together."""
    note = store.note(TOGETHER)
    return Together() if note is None else Together.from_text(note)


def _begin(stepper: Stepper, store: Store, start: State, shard: int) -> None:
    """Take up the series of a shard that the model itself remembers, and write them down."""
    names: list[Id] = list(channels.series_ids(stepper.model, start.ids))
    width = len(start.ids) // max(len(names), 1)
    here = np.flatnonzero(np.array(store.shard_of(names), np.int64) == shard)
    for begin in range(0, len(here), BLOCK):
        part = here[begin : begin + BLOCK]
        rows, some = (part[:, None] * width + np.arange(width)).reshape(-1), [names[n] for n in part.tolist()]
        numbers = stepper.allocate(some)
        stepper.ledger.reserve(len(stepper.directory.names))
        row_ids = tuple(start.ids[row] for row in rows.tolist())
        state = State(start.layout, start.data[rows], row_ids, start.time[rows])
        stepper.stream.put(state)
        if stepper.behind is not None:
            stepper.behind.begin(numbers, state)
        stepper.directory.places[numbers] = stepper.stream.numbers(some)
        stepper.ledger.records["time"][numbers] = start.time[rows][::width]
    if not len(here):
        return
    entries = {number: name for name, number in stepper.directory.index.items()}
    blocks = [checkpoints.block(stepper, n) for n in sorted({number // BLOCK for number in entries})]
    batch = Batch.bare(1, len(stepper.model.schema.target), entries)
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
