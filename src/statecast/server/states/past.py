"""Past rows of all series, for looking back: what was observed, and what had been forecast of it one step before.

Rows gather in memory in the order in which they come. When a block of series is written down, its rows since the last
time are written beside it as a piece of history, and so memory and the log need not keep them. A piece holds columns,
sorted by series and time, so that what is regular about them takes next to no room: a row of one target is some 25
bytes. Where a model has covariates, those of each row lie beside it; pieces that an earlier version wrote have none.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import ModelFileError
from statecast.model.trained import Model
from statecast.server.states.batch import Batch
from statecast.server.store.protocol import BLOCK, Piece

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, Shaped

MARK = b"scP1"
_HEAD = struct.Struct("<4sIII")  # mark, rows, targets, bytes when inflated
MOST = 1 << 30  # bytes of a piece when inflated
RUN = 65_536  # rows that are laid out by block together
STATED = 1 << 24  # features known ahead that a batch of past rows holds at most, or those of one row of each series
SMALL = 8192  # bytes of a piece that the next one of its block takes in, so that few rows at a time make no small ones


def past_row(targets: int, covariates: int = 0) -> np.dtype[Any]:
    """A past row: its series' number, its sequence number, and what was forecast of it, NaN where nothing was.

    Args:
        targets: D, of each row.
        covariates: P + K, its features of covariates, first of those that were known up to now.
    """
    kinds = {"values": np.float64, "predicted": np.float32, "lower": np.float32, "upper": np.float32}
    keys = [("number", np.int64), ("seq", np.int64), ("time", np.int64), ("score", np.float32)]
    columns = [(name, kind, (targets,)) for name, kind in kinds.items()]
    return np.dtype([*keys, *columns, *([("covariates", np.float64, (covariates,))] if covariates else [])])


def past_row_of(model: Model) -> np.dtype[Any]:
    """The past rows of a model's series."""
    schema = model.schema
    return past_row(len(schema.target), len(schema.past_features) + len(schema.known_features))


class Past:
    """The past rows that no piece holds yet.

    Args:
        kind: of the rows, see `past_row`.
    """

    def __init__(self, kind: np.dtype[Any]) -> None:
        self.kind = kind
        self._fresh: list[Shaped[np.ndarray, " n"]] = []
        self._runs: list[tuple[Int64[np.ndarray, " n"], Shaped[np.ndarray, " n"]]] = []  # blocks and rows, by block
        self._count = 0  # of fresh rows
        self._kept: dict[int, int] = {}  # for each block up to which sequence number pieces hold its rows
        self._small: dict[int, Piece] = {}  # the last pieces of blocks, as long as they are small
        self._flying: dict[int, Piece] = {}  # the last pieces of blocks, until they are on the disk

    def note(self, rows: Shaped[np.ndarray, " n"]) -> None:
        """Take in rows."""
        self._fresh.append(rows)
        self._count += len(rows)
        if self._count > RUN:
            self._lay_out(np.concatenate(self._fresh))
            self._fresh, self._count = [], 0

    def adopt(self, other: Past) -> None:
        """Take over the rows of another one, which holds other series."""
        self._runs += other._runs
        self._kept |= other._kept
        for rows in other._fresh:
            self.note(rows)

    def drop(self, some: Callable[[Any], Any]) -> None:
        """Forget the rows of those series for whose numbers `some` is true."""
        self._fresh = [rows[~some(rows["number"])] for rows in self._fresh]
        masks = [~some(rows["number"]) for _, rows in self._runs]
        self._runs = [(blocks[mask], rows[mask]) for mask, (blocks, rows) in zip(masks, self._runs, strict=True)]
        for known in (self._kept, self._small, self._flying):
            for block in [block for block in known if some(block * BLOCK)]:
                del known[block]

    def begin_round(self) -> None:
        """Lay out what there is, before blocks are written one after another."""
        self._lay_out(np.concatenate([np.zeros(0, self.kind), *self._fresh]))
        self._fresh, self._count = [], 0

    def end_round(self, seq: int) -> None:
        """Let go of what pieces hold: all blocks with rows up to `seq` were written since."""
        self._runs = [(blocks, rows) for blocks, rows in self._runs if len(rows) and rows["seq"].max() > seq]

    def pieces(self, blocks: Sequence[int], seq: int) -> list[Piece]:
        """What is to be written beside blocks that contain all up to `seq`; their rows are kept then."""
        numbers = np.array(blocks, np.int64)
        fresh = [rows[np.isin(rows["number"] // BLOCK, numbers)] for rows in self._fresh]
        pieces = []
        for block, rows in zip(blocks, self._of_blocks(numbers, fresh), strict=True):
            self._kept[block] = seq
            if len(rows):
                pieces.append(self._piece(block, rows))
        return pieces

    def of(self, number: int) -> Shaped[np.ndarray, " n"]:
        """The rows of one series that no piece holds."""
        (rows,) = self._of_blocks(np.array([number // BLOCK]), self._fresh)
        return np.asarray(rows[rows["number"] == number])

    def _lay_out(self, rows: Shaped[np.ndarray, " n"]) -> None:
        """Keep rows by block, so that those of one are at hand."""
        blocks = rows["number"] // BLOCK
        order = np.argsort(blocks, kind="stable")
        self._runs.append((blocks[order], rows[order]))

    def _of_blocks(
        self, blocks: Int64[np.ndarray, " b"], fresh: Sequence[Shaped[np.ndarray, " n"]]
    ) -> list[Shaped[np.ndarray, " n"]]:
        """The rows of some blocks that no piece holds."""
        parts = [[rows[rows["number"] // BLOCK == block] for rows in fresh] for block in blocks.tolist()]
        for known, rows in self._runs:  # of a million series there are hundreds, so each is asked once
            begins, ends = (np.searchsorted(known, blocks, side).tolist() for side in ("left", "right"))
            for part, begin, end in zip(parts, begins, ends, strict=True):
                if begin < end:
                    part.append(rows[begin:end])
        joined = [self._joined(part) for part in parts]
        kept = [self._kept.get(block, -1) for block in blocks.tolist()]
        return [rows[rows["seq"] > seq] for rows, seq in zip(joined, kept, strict=True)]

    def _joined(self, parts: Sequence[Shaped[np.ndarray, " m"]]) -> Shaped[np.ndarray, " n"]:
        """Rows one after another; quicker than NumPy, which compares the fields of all parts."""
        rows, begin = np.empty(sum(map(len, parts)), self.kind), 0
        for part in parts:
            rows[begin : begin + len(part)] = part
            begin += len(part)
        return rows

    def _piece(self, block: int, rows: Shaped[np.ndarray, " n"]) -> Piece:
        small = self._small.pop(block, None)
        if small is not None:
            rows = np.concatenate([decoded(small, self.kind), rows])
        piece = Piece(block, int(rows["seq"].min()), int(rows["seq"].max()), encoded(block, rows))
        if len(piece.content) < SMALL:
            self._small[block] = piece
        self._flying[block] = piece
        return piece

    def written(self, pieces: Sequence[Piece]) -> None:
        """These are on the disk now; may be called by another thread."""
        for piece in pieces:
            if self._flying.get(piece.block) is piece:
                self._flying.pop(piece.block, None)

    def flying(self, block: int) -> Piece | None:
        """The last piece of a block, where it may not be on the disk yet."""
        return self._flying.get(block)


def encoded(block: int, rows: Shaped[np.ndarray, " n"]) -> bytes:
    """Rows of one block as the content of a piece."""
    rows = rows[np.lexsort((rows["time"], rows["number"]))]
    columns = [(rows["number"] - block * BLOCK).astype(np.uint8), _steps(rows["time"]), _steps(rows["seq"])]
    columns += [np.ascontiguousarray(rows[name]) for name in _rest(rows.dtype)]
    plain = b"".join(column.tobytes() for column in columns)
    targets = rows["values"].shape[1]
    return _HEAD.pack(MARK, len(rows), targets, len(plain)) + zlib.compress(plain, 1)


def decoded(piece: Piece, kind: np.dtype[Any]) -> Shaped[np.ndarray, " n"]:
    """The rows of a piece.

    Args:
        piece: the piece.
        kind: of the rows; their covariates are NaN where the piece was written by a version that kept none.

    Raises:
        ModelFileError: it is damaged.
    """
    what = f"the history of block {piece.block}, {piece.first} to {piece.last}, is damaged"
    if len(piece.content) < _HEAD.size:
        raise ModelFileError(f"{what}: it has {len(piece.content)} bytes")
    mark, count, width, size = _HEAD.unpack_from(piece.content)
    bare = past_row(*kind["values"].shape)
    written = next((part for part in (kind, bare) if size == count * _inflated(part)), None)
    if mark != MARK or (width,) != kind["values"].shape or written is None or size > MOST:
        raise ModelFileError(f"{what}: its head does not fit it")
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(piece.content[_HEAD.size :], size)
    except zlib.error as error:
        raise ModelFileError(f"{what}: {error}") from error
    if len(plain) != size:
        raise ModelFileError(f"{what}: {len(plain):,} bytes where its head says {size:,}")
    rows = np.zeros(count, kind)
    rows["number"] = np.frombuffer(plain, np.uint8, count).astype(np.int64) + piece.block * BLOCK
    begin = count
    for name in ("time", "seq"):
        rows[name] = np.cumsum(np.frombuffer(plain, np.int64, count, begin))
        begin += 8 * count
    for name in _rest(kind)[len(_rest(written)) :]:
        rows[name] = np.nan
    for name in _rest(written):
        base, shape = kind[name].base, kind[name].shape
        numbers = np.frombuffer(plain, base, count * int(np.prod(shape, dtype=int)), begin)
        rows[name] = numbers.reshape(count, *shape)
        begin += numbers.nbytes
    return rows


def _steps(column: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """A column of whole numbers as differences, which are mostly alike."""
    return np.diff(column, prepend=0)


def complete(piece: Piece, kind: np.dtype[Any]) -> bool:
    """Whether a piece has all that rows of a kind hold: earlier versions kept no covariates."""
    _, count, _, size = _HEAD.unpack_from(piece.content.ljust(_HEAD.size, b"\0"))
    return bool(size == count * _inflated(kind))


def batches_of(model: Model, rows: Shaped[np.ndarray, " n"], static: Float64[np.ndarray, "S Q"]) -> Iterator[Batch]:
    """Past rows as batches, for another model to observe; of what was known ahead each has what came to be.

    The first rows of all series come first, then the next ones: so many at once that what is known ahead of them, H
    steps for each row, takes little memory.

    Args:
        model: whose they are.
        rows: sorted by series and time; at least one.
        static: covariates of the series, by number.
    """
    begins = np.flatnonzero(np.diff(rows["number"], prepend=-1))
    lengths = np.diff(begins, append=len(rows))
    places = np.arange(len(rows)) - np.repeat(begins, lengths)
    numbers = (model.network.head.horizon + 1) * len(model.schema.known_features)
    width = max(STATED // (len(begins) * numbers), 1) if numbers else len(rows)
    for begin in range(0, int(lengths.max()), width):
        chosen = np.flatnonzero((places >= begin) & (places < begin + width))
        yield _batch(model, rows, chosen, static if begin == 0 else None)


def _batch(
    model: Model,
    rows: Shaped[np.ndarray, " n"],
    chosen: Int64[np.ndarray, " m"],
    static: Float64[np.ndarray, "S Q"] | None,
) -> Batch:
    """Some of the rows; with the covariates of their series where these are given."""
    schema, some = model.schema, rows[chosen]
    split, first = len(schema.past_features), int(some["seq"].min())
    covariates: dict[str, Any] = {}
    if schema.past:
        covariates["past"] = some["covariates"][:, :split]
    if schema.known:
        covariates["known"] = _ahead(model, rows, chosen)
    if schema.static and static is not None:
        begins = np.flatnonzero(np.diff(some["number"], prepend=-1)).astype(np.int32)
        covariates |= {"static": static[some["number"][begins]], "restated": begins}
    offsets = (some["seq"] - first).astype(np.int32)
    numbers = some["number"].astype(np.int32)
    return Batch(first, 0.0, numbers, some["time"], some["values"], offsets=offsets, **covariates)


def _ahead(model: Model, rows: Shaped[np.ndarray, " n"], chosen: Int64[np.ndarray, " m"]) -> Any:
    """Features of some rows' steps and of the next H, NaN where no later row has them: [m, (H + 1) · K]."""
    steps, known = model.network.head.horizon + 1, rows["covariates"][:, len(model.schema.past_features) :]
    ahead = np.full((len(chosen), steps, known.shape[1]), np.nan)
    ahead[:, 0] = known[chosen]
    for later in range(1, steps):
        at = np.minimum(chosen + later, len(rows) - 1)
        distance = model.schema.frequency.steps_between(rows["time"][chosen], rows["time"][at])
        same = rows["number"][chosen] == rows["number"][at]
        some = np.flatnonzero(same & (distance > 0) & (distance < steps))
        ahead[some, distance[some]] = known[at[some]]
    return ahead.reshape(len(chosen), -1)


def _inflated(kind: np.dtype[Any]) -> int:
    """Bytes of a row in a piece; its series' number takes one."""
    return 1 + kind.itemsize - kind["number"].itemsize


def _rest(kind: np.dtype[Any]) -> tuple[str, ...]:
    """The columns that are written as they are."""
    return () if kind.names is None else kind.names[3:]
