"""What a model remembers of the series of a bucket, as a value of Spark's state store.

The value says which model and which number of buckets it is of: with another model its numbers would mean something
else, and with another number of buckets its series would be looked for elsewhere. Numbers are written in base64: Spark
hands bytes to Python as a string of all their values, which takes ten times as long as one in ASCII.
"""

from __future__ import annotations

import hashlib
import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from statecast.data.buckets import buckets
from statecast.errors import ModelFileError
from statecast.forecast import channels
from statecast.model.shapes import leaves
from statecast.model.state import State
from statecast.model.trained import Model

VALUE = "model STRING, buckets INT, ids STRING, times STRING, data STRING"

Value = tuple[str, int, str, str, str]


@dataclass(frozen=True, eq=False)
class BucketStates:
    """How states of a model are kept, in so many buckets.

    Attributes:
        model: the model.
        count: number of buckets.
    """

    model: Model
    count: int

    @cached_property
    def fingerprint(self) -> str:
        """What tells this model from others: one whose states mean the same has the same."""
        model = self.model
        sums = hashlib.blake2b(json.dumps(model.schema.to_json()).encode(), digest_size=16)
        sums.update(repr(model.layout.parts).encode())
        for path, leaf in sorted(leaves(model.p).items()):
            array = np.asarray(leaf if isinstance(leaf, np.ndarray) else ())  # a tree that holds nothing
            sums.update(f"{path} {array.dtype} {array.shape} ".encode())
            sums.update(array.tobytes())
        return sums.hexdigest()

    def value(self, state: State) -> Value:
        """A state as it is kept."""
        ids = channels.series_ids(self.model, state.ids)
        times = channels.last_times(self.model, state)
        data = np.ascontiguousarray(state.data, self.model.dtype)
        return self.fingerprint, self.count, json.dumps(ids), _text(times), _text(data)

    def state(self, value: Any) -> State:
        """The state that was kept; that of no series where it is None.

        Raises:
            ModelFileError: it is another model's, or was kept in another number of buckets; or it is damaged.
        """
        model = self.model
        if value is None:
            return State.empty(model.layout, model.dtype)
        fingerprint, count, names, times, data = value
        if fingerprint != self.fingerprint:
            raise ModelFileError(
                "the checkpoint was written with another model: go on with that one, or begin a new checkpoint"
            )
        if count != self.count:
            raise ModelFileError(f"the checkpoint has {count:,} buckets, not {self.count:,}: say buckets={count}")
        ids, last, rows = json.loads(names), _array(times, np.int64), _array(data, model.dtype)
        width = channels.rows_each(model)
        if len(last) != len(ids) or rows.size != len(ids) * width * model.layout.size:
            raise ModelFileError("the states in the checkpoint are damaged")
        return State(
            model.layout,
            rows.reshape(-1, model.layout.size),
            channels.row_ids(model, ids),
            channels.repeat(model, last),
        )

    def initial(self) -> Iterator[tuple[int, *Value]]:
        """What the model remembers from its fit: the number of each bucket with series, and its value."""
        state, width = self.model.state, channels.rows_each(self.model)
        ids = channels.series_ids(self.model, state.ids)
        numbers = buckets(ids, self.count)
        rows = np.arange(len(ids) * width).reshape(-1, width)
        order = np.argsort(numbers, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if not len(places):
                continue
            at = rows[places].reshape(-1)
            part = State(state.layout, state.data[at], tuple(state.ids[row] for row in at.tolist()), state.time[at])
            yield int(numbers[places[0]]), *self.value(part)


def _text(array: np.ndarray) -> str:
    return b2a_base64(array.tobytes(), newline=False).decode("ascii")


def _array(text: str, kind: Any) -> np.ndarray:
    return np.frombuffer(a2b_base64(text), kind)
