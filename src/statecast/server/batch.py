"""A batch: the rows of one step of the engine, in columns, and the bytes that the log keeps of them.

Rows are accepted in an order, and each has a sequence number: the first one's, and so on. The bytes are the columns one
after another, so that writing and reading a batch costs a copy and no work for each row. Times that are alike, and
covariates that no row has, take no room: a row of one target is 12 to 20 bytes.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import ModelFileError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int32, Int64

Id = str | int
MARK = b"scB1"
_HEAD = struct.Struct(
    "<4sqdIIBIIIII"
)  # mark, first, received, rows, targets, alike, past, known, stated, static, names
LARGEST = 1 << 30  # bytes of a batch


def checksum(content: bytes) -> int:
    """The checksum of bytes of the store."""
    return zlib.crc32(content)


@dataclass(frozen=True, eq=False)
class Batch:
    """N rows that were accepted together, and series that were removed after them.

    Attributes:
        first: the sequence number of the first row; row n has first + n, and the m-th removal first + N + m.
        received: when they came, in seconds since 1970.
        numbers: [N] the series' numbers in the store.
        times: [N], as `Panel.time` has them.
        values: [N, D], NaN where missing.
        past: [N, P] features of covariates known up to now; None where there are none.
        known: [N, (H + 1) · K] features of covariates known ahead, likewise.
        static: features of series' covariates, [M, Q]; those of the rows `restated`.
        restated: [M] which rows.
        names: the names of new series, by their numbers.
        removed: numbers of series that were removed.
    """

    first: int
    received: float
    numbers: Int32[np.ndarray, " N"]
    times: Int64[np.ndarray, " N"]
    values: Float64[np.ndarray, "N D"]
    past: Float64[np.ndarray, "N P"] | None = None
    known: Float64[np.ndarray, "N K"] | None = None
    static: Float64[np.ndarray, "M Q"] | None = None
    restated: Int32[np.ndarray, " M"] | None = None
    names: dict[int, Id] = field(default_factory=dict)
    removed: Sequence[int] = ()

    @property
    def last(self) -> int:
        """The sequence number of the last row or removal."""
        return self.first + len(self.numbers) + len(self.removed) - 1

    def to_bytes(self) -> bytes:
        """The batch as the log keeps it."""
        alike = bool(len(self.times)) and bool((self.times == self.times[0]).all())
        times = self.times[:1] if alike else self.times
        groups = (self.past, self.known, self.static)
        widths = [0 if group is None else group.shape[1] for group in groups]
        stated = 0 if self.restated is None else len(self.restated)
        names = [[*self.names], [*self.names.values()], [*self.removed]] if self.names or len(self.removed) else []
        text = json.dumps(names, ensure_ascii=False).encode() if names else b""
        rows, targets = self.values.shape
        sizes = rows, targets, alike, widths[0], widths[1], stated, widths[2], len(text)
        head = _HEAD.pack(MARK, self.first, self.received, *sizes)
        arrays = [self.numbers, times, self.values, self.past, self.known, self.restated, self.static]
        return b"".join([head, *(array.tobytes() for array in arrays if array is not None), text])

    @classmethod
    def from_bytes(cls, content: bytes) -> Batch:
        """The batch that `to_bytes` wrote.

        Raises:
            ModelFileError: the bytes are none.
        """
        if len(content) < _HEAD.size:
            raise _damaged(f"{len(content)} bytes are too few")
        mark, first, received, rows, targets, alike, past, known, stated, static, names = _HEAD.unpack_from(content)
        if mark != MARK:
            raise _damaged(f"it begins with {mark!r}, not {MARK!r}")
        shapes: list[tuple[Any, tuple[int, ...]]] = [
            (np.int32, (rows,)),
            (np.int64, (min(rows, 1) if alike else rows,)),
            (np.float64, (rows, targets)),
            (np.float64, (rows, past)),
            (np.float64, (rows, known)),
            (np.int32, (stated,)),
            (np.float64, (stated, static)),
        ]
        sizes = [int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize for kind, shape in shapes]
        if len(content) != _HEAD.size + sum(sizes) + names:
            raise _damaged(f"it has {len(content)} bytes where its head speaks of others")
        arrays, begin = [], _HEAD.size
        for (kind, shape), size in zip(shapes, sizes, strict=True):
            arrays.append(np.frombuffer(content, kind, size // np.dtype(kind).itemsize, begin).reshape(shape))
            begin += size
        times = np.broadcast_to(arrays[1], rows) if alike else arrays[1]
        new, removed = _names(content[begin:]) if names else ({}, ())
        return cls(
            first,
            received,
            arrays[0],
            times,
            arrays[2],
            arrays[3] if past else None,
            arrays[4] if known else None,
            arrays[6] if stated else None,
            arrays[5] if stated else None,
            new,
            removed,
        )


def _names(text: bytes) -> tuple[dict[int, Id], tuple[int, ...]]:
    try:
        numbers, names, removed = json.loads(text)
        return dict(zip(numbers, names, strict=True)), tuple(removed)
    except (ValueError, TypeError) as error:
        raise _damaged(f"its names cannot be read ({error})") from error


def _damaged(reason: str) -> ModelFileError:
    return ModelFileError(f"a batch of the log is damaged: {reason}")
