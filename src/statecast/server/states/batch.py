"""A batch: the rows of one step of the engine, in columns, and the bytes that the log keeps of them.

Rows are accepted in an order, and each has a sequence number: the first one's, and so on. The bytes are the columns one
after another, so that writing and reading a batch costs a copy and no work for each row. Times that are alike, and
covariates that no row has, take no room: a row of one target is 12 to 20 bytes. Alarms, which few rows raise, are kept
beside them, so that those who read on from the log have them as well.
"""

from __future__ import annotations

import heapq
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from statecast.errors import ModelFileError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int32, Int64

Id = str | int
MARK = b"scB1"
_HEAD = struct.Struct(
    "<4sqdIIBIIIII"
)  # mark, first, received, rows, targets, flags, past, known, stated, static, names
_COUNT = struct.Struct("<I")  # of alarms, after the head where there are some
LARGEST = 1 << 30  # bytes of a batch
KINDS: tuple[Literal["unusual", "drift", "missing"], ...] = ("unusual", "drift", "missing")  # of alarms
UNUSUAL, DRIFT, MISSING = range(3)
ALL = -1  # the number of all series together
RAISED = np.dtype(
    [
        ("seq", "<i8"),  # of the row that raised the alarm
        ("number", "<i4"),  # of the series, or ALL
        ("kind", "u1"),  # one of KINDS, by its place
        ("time", "<i8"),  # of the series' last row
        ("score", "<f8"),
        ("since", "<i8"),  # when it began
    ]
)


@dataclass(frozen=True)
class StoredAlarm:
    """An alarm as a store keeps it, beside the row that raised it.

    Attributes:
        seq: of that row, or of the last one before.
        number: of the series, or `ALL`.
        kind: one of `KINDS`, by its place.
        time: of the series' last row.
        score: how strongly.
        since: when it began.
        received: when the row came, in seconds since 1970.
        value: [D] the row's; empty where no row raised the alarm.
    """

    seq: int
    number: int
    kind: int
    time: int
    score: float
    since: int
    received: float
    value: tuple[float, ...] = ()


def checksum(content: bytes) -> int:
    """The checksum of bytes of the store."""
    return zlib.crc32(content)


@dataclass(frozen=True, eq=False)
class Batch:
    """N rows that were accepted together, and series that were removed after them.

    Attributes:
        first: the sequence number of the first row or removal; see `seqs`.
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
        offsets: [N] of the rows' sequence numbers from `first`; None where they come one after another. So it is with a
            part of what one step brought.
        alarms: that the rows raised, as `RAISED`; None where they raised none.
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
    offsets: Int32[np.ndarray, " N"] | None = None
    alarms: Any = None

    @property
    def seqs(self) -> Int64[np.ndarray, " N"]:
        """The sequence numbers of the rows; those of removals come after them, one after another."""
        return self.first + (np.arange(len(self.numbers)) if self.offsets is None else self.offsets.astype(np.int64))

    @property
    def last(self) -> int:
        """The sequence number of the last row or removal."""
        rows = len(self.numbers) if self.offsets is None or not len(self.offsets) else int(self.offsets[-1]) + 1
        return self.first + rows + len(self.removed) - 1

    def stored_alarms(self) -> list[StoredAlarm]:
        """The alarms, each with the value of its row."""
        if self.alarms is None:
            return []
        places = np.searchsorted(self.seqs, self.alarms["seq"]).tolist()
        return [
            StoredAlarm(
                seq,
                number,
                kind,
                time,
                score,
                since,
                self.received,
                () if kind == MISSING or number == ALL else tuple(self.values[place].tolist()),
            )
            for place, (seq, number, kind, time, score, since) in zip(places, self.alarms.tolist(), strict=True)
        ]

    def split(self, part_of: Callable[[Any], Any]) -> dict[int, Batch]:
        """The batch in parts.

        Args:
            part_of: the part that the number of a series is in; of an array, an array.
        """
        parts = part_of(self.numbers.astype(np.int64))
        labels = {*np.unique(parts).tolist(), *map(part_of, (*self.names, *self.removed))}
        if len(labels) == 1:
            return {labels.pop(): self}
        return {label: self._part(np.flatnonzero(parts == label), label, part_of) for label in sorted(labels)}

    def _part(self, rows: Int64[np.ndarray, " M"], label: int, part_of: Callable[[Any], Any]) -> Batch:
        names = {number: name for number, name in self.names.items() if part_of(number) == label}
        removed = [number for number in self.removed if part_of(number) == label]
        return replace(self.rows(rows), names=names, removed=removed)

    def rows(self, rows: Int64[np.ndarray, " M"]) -> Batch:
        """Some of the rows alone, in their order; they keep their sequence numbers."""
        seqs = self.seqs[rows]
        first = int(seqs[0]) if len(seqs) else self.first
        gaps = bool(len(seqs)) and int(seqs[-1]) - first >= len(seqs)
        static, restated = self.static, self.restated
        if static is not None and restated is not None:
            stated = np.isin(rows, restated)
            static, restated = static[np.searchsorted(restated, rows[stated])], np.flatnonzero(stated).astype(np.int32)
        return Batch(
            first,
            self.received,
            self.numbers[rows],
            self.times[rows],
            self.values[rows],
            None if self.past is None else self.past[rows],
            None if self.known is None else self.known[rows],
            static,
            restated,
            offsets=(seqs - first).astype(np.int32) if gaps else None,
            alarms=None if self.alarms is None else self.alarms[np.isin(self.alarms["seq"], seqs)],
        )

    @classmethod
    def bare(cls, first: int, targets: int, names: dict[int, Id], removed: Sequence[int] = ()) -> Batch:
        """A batch without rows, which names series or tells of their removal."""
        none = np.zeros(0, np.int32)
        return cls(first, 0.0, none, none.astype(np.int64), np.zeros((0, targets)), names=names, removed=removed)

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
        raised = 0 if self.alarms is None else len(self.alarms)
        flags = alike + 2 * (self.offsets is not None) + 4 * (raised > 0)
        sizes = rows, targets, flags, widths[0], widths[1], stated, widths[2], len(text)
        head = _HEAD.pack(MARK, self.first, self.received, *sizes) + (_COUNT.pack(raised) if raised else b"")
        arrays = [self.numbers, self.offsets, times, self.values, self.past, self.known, self.restated, self.static]
        arrays += [self.alarms] if raised else []
        return b"".join([head, *(array.tobytes() for array in arrays if array is not None), text])

    @classmethod
    def from_bytes(cls, content: bytes) -> Batch:
        """The batch that `to_bytes` wrote.

        Raises:
            ModelFileError: the bytes are none.
        """
        if len(content) < _HEAD.size:
            raise _damaged(f"{len(content)} bytes are too few")
        mark, first, received, rows, targets, flags, past, known, stated, static, names = _HEAD.unpack_from(content)
        if mark != MARK:
            raise _damaged(f"it begins with {mark!r}, not {MARK!r}")
        begin, raised = _HEAD.size, 0
        if flags & 4:
            if len(content) < begin + _COUNT.size:
                raise _damaged(f"{len(content)} bytes are too few")
            (raised,) = _COUNT.unpack_from(content, begin)
            begin += _COUNT.size
        shapes: list[tuple[Any, tuple[int, ...]]] = [
            (np.int32, (rows,)),
            (np.int32, (rows if flags & 2 else 0,)),
            (np.int64, (min(rows, 1) if flags & 1 else rows,)),
            (np.float64, (rows, targets)),
            (np.float64, (rows, past)),
            (np.float64, (rows, known)),
            (np.int32, (stated,)),
            (np.float64, (stated, static)),
            (RAISED, (raised,)),
        ]
        sizes = [int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize for kind, shape in shapes]
        if len(content) != begin + sum(sizes) + names:
            raise _damaged(f"it has {len(content)} bytes where its head speaks of others")
        arrays: list[Any] = []
        for (kind, shape), size in zip(shapes, sizes, strict=True):
            arrays.append(np.frombuffer(content, kind, size // np.dtype(kind).itemsize, begin).reshape(shape))
            begin += size
        times = np.broadcast_to(arrays[2], rows) if flags & 1 else arrays[2]
        new, removed = _names(content[begin:]) if names else ({}, ())
        batch = cls(
            first,
            received,
            arrays[0],
            times,
            arrays[3],
            arrays[4] if past else None,
            arrays[5] if known else None,
            arrays[7] if stated else None,
            arrays[6] if stated else None,
            new,
            removed,
            arrays[1] if flags & 2 else None,
            arrays[8] if raised else None,
        )
        batch._require_alarms()
        return batch

    def _require_alarms(self) -> None:
        """Refuse alarms of bytes that are of no kind, or of rows that are not here."""
        if self.alarms is None:
            return
        sound = (self.alarms["kind"] < len(KINDS)) & (self.alarms["number"] >= ALL)
        if not (sound & np.isin(self.alarms["seq"], self.seqs)).all():
            raise _damaged("it has alarms that none of its rows can have raised")


def woven(logs: Sequence[Iterator[Batch]]) -> Iterator[Batch]:
    """The batches of several logs as those of one, in order: parts of one batch come together again.

    Rows that none of the logs holds leave a gap, at which a batch ends.
    """
    group: list[Batch] = []
    for batch in heapq.merge(*logs, key=lambda batch: batch.first):
        if group and batch.first > max(part.last for part in group):
            yield from _joined(group)
            group = []
        group.append(batch)
    yield from _joined(group)


def _joined(group: Sequence[Batch]) -> Iterator[Batch]:
    """Batches whose sequence numbers lie between one another, as batches without gaps."""
    if all(batch.offsets is None for batch in group) and len(group) < 2:
        yield from group
        return
    whole, names = _concatenated(group), {number: name for batch in group for number, name in batch.names.items()}
    order = np.argsort(whole.seqs, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(whole.seqs[order]) != 1) + 1):
        part = whole.rows(rows)
        yield replace(part, names={number: names[number] for number in part.numbers.tolist() if number in names})


def _concatenated(group: Sequence[Batch]) -> Batch:
    """The rows of batches one after another, without what was named or removed."""

    def column(name: str) -> Any:
        parts = [part for batch in group if (part := getattr(batch, name)) is not None]
        return np.concatenate(parts) if parts else None

    begins = np.cumsum([0, *(len(batch.numbers) for batch in group)]).tolist()
    restated = [
        begin + batch.restated for begin, batch in zip(begins, group, strict=False) if batch.restated is not None
    ]
    seqs, first = np.concatenate([batch.seqs for batch in group]), min(batch.first for batch in group)
    return Batch(
        first,
        group[0].received,
        column("numbers"),
        column("times"),
        column("values"),
        column("past"),
        column("known"),
        column("static"),
        np.concatenate(restated).astype(np.int32) if restated else None,
        offsets=(seqs - first).astype(np.int32),
        alarms=column("alarms"),
    )


def _names(text: bytes) -> tuple[dict[int, Id], tuple[int, ...]]:
    try:
        numbers, names, removed = json.loads(text)
        return dict(zip(numbers, names, strict=True)), tuple(removed)
    except (ValueError, TypeError) as error:
        raise _damaged(f"its names cannot be read ({error})") from error


def _damaged(reason: str) -> ModelFileError:
    return ModelFileError(f"a batch of the log is damaged: {reason}")
