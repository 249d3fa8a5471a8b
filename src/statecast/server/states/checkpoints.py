"""What the engine remembers of a block of series, as bytes: names' numbers, ledger records and rows of states.

A block is copied between two steps, and written later with the sequence number that it contains. Whoever reads it
checks every size before use: the store is a file like any other.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from statecast.errors import ModelFileError
from statecast.model.state import State
from statecast.server.states.ledger import record
from statecast.server.states.stepper import Stepper
from statecast.server.store.protocol import BLOCK, StoredBlock

MARK = b"scK1"
DEEPEST = 1 << 16  # rows in a record
# Mark, series, rows in a record, a record's checksum, rows of states, numbers, their bytes, bytes about late rows.
_HEAD = struct.Struct("<4sIIIIIII")


def block(stepper: Stepper, number: int) -> StoredBlock:
    """What is remembered of a block's series now, with all that was stepped."""
    directory, ledger = stepper.directory, stepper.ledger
    numbers = directory.of_block(number)
    numbers = numbers[directory.places[numbers] >= 0]
    state = stepper.stream.state_of([name for n in numbers.tolist() if (name := directory.names[n]) is not None])
    rows, data = ledger.records[numbers], np.ascontiguousarray(state.data)
    late = b"" if stepper.behind is None else stepper.behind.to_bytes(numbers)
    sizes = len(numbers), ledger.depth, _layout(ledger.kind), *data.shape, data.itemsize, len(late)
    parts = (_HEAD.pack(MARK, *sizes), numbers.tobytes(), rows.tobytes(), state.time.tobytes(), data.tobytes(), late)
    return StoredBlock(number, stepper.seq, b"".join(parts), stepper.number)


def restore(stepper: Stepper, stored: StoredBlock) -> None:
    """Take over what a block remembers of those of its series that are in the directory.

    Raises:
        ModelFileError: the bytes are no block of this model.
    """
    numbers, records, times, data, late = _parts(stepper, stored)
    directory, width = stepper.directory, len(times) // max(len(numbers), 1)
    here = np.array([directory.names[number] is not None for number in numbers.tolist()], bool)
    numbers, records = numbers[here], records[here]
    if not len(numbers):
        return
    names = [name for number in numbers.tolist() if (name := directory.names[number]) is not None]
    rows = np.repeat(here, width)
    row_names = stepper.row_ids(names)
    state = State(stepper.model.layout, data[rows], row_names, times[rows])
    stepper.stream.put(state)
    if stepper.behind is not None:
        stepper.behind.restore(late) if late else stepper.behind.begin(numbers, state)
    directory.places[numbers] = stepper.stream.numbers(names)
    stepper.ledger.restore(numbers, records)


def _parts(stepper: Stepper, stored: StoredBlock) -> tuple[Any, Any, Any, Any, bytes]:
    content, model = stored.content, stepper.model
    what = f"block {stored.number} of the store"
    if len(content) < _HEAD.size:
        raise ModelFileError(f"{what} is damaged: {len(content)} bytes are too few")
    mark, count, depth, layout, rows, size, item, late = _HEAD.unpack_from(content)
    kind = record(stepper.ledger.targets, min(depth, DEEPEST))
    if mark != MARK or layout != _layout(kind):
        raise ModelFileError(f"{what} was written by another version of statecast, or is damaged")
    width = len(stepper.row_ids(["a"]))
    if (size, item, rows) != (model.layout.size, model.dtype.itemsize, count * width):
        raise ModelFileError(f"{what} holds {rows} rows of {size} numbers: expected those of this model")
    lengths = count * 8, count * kind.itemsize, rows * 8, rows * size * item
    if count > BLOCK or len(content) != _HEAD.size + sum(lengths) + late:
        raise ModelFileError(f"{what} is damaged: it has {len(content):,} bytes where its head speaks of others")
    begins = np.cumsum([_HEAD.size, *lengths]).tolist()
    kinds: list[Any] = [np.int64, kind, np.int64, model.dtype]
    counts = count, count, rows, rows * size
    arrays = [np.frombuffer(content, *part) for part in zip(kinds, counts, begins, strict=False)]
    numbers = arrays[0]
    first = stored.number * BLOCK
    if len(numbers) and not (
        first <= numbers.min() and numbers.max() < min(first + BLOCK, len(stepper.directory.names))
    ):
        raise ModelFileError(f"{what} is damaged: it names series that are not of this block")
    return numbers, arrays[1], arrays[2], arrays[3].reshape(rows, size), content[len(content) - late :]


def _layout(kind: np.dtype[Any]) -> int:
    return zlib.crc32(repr(kind.descr).encode())
