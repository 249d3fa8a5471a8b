"""Past rows of all series, for looking back: what was observed, and what had been forecast of it one step before.

Rows gather in memory in the order in which they come. When a block of series is written down, its rows since the last
time are written beside it as a piece of history, and so memory and the log need not keep them. A piece holds columns,
sorted by series and time, so that what is regular about them takes next to no room: a row of one target is some 25
bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import ModelFileError
from statecast.server.store.protocol import BLOCK, Piece

if TYPE_CHECKING:
    from jaxtyping import Int64, Shaped

MARK = b"scP1"
_HEAD = struct.Struct("<4sIII")  # mark, rows, targets, bytes when inflated
MOST = 1 << 30  # bytes of a piece when inflated
RUN = 65_536  # rows that are laid out by block together
SMALL = 8192  # bytes of a piece that the next one of its block takes in, so that few rows at a time make no small ones


def past_row(targets: int) -> np.dtype[Any]:
    """A past row: its series' number, its sequence number, and what was forecast of it, NaN where nothing was."""
    kinds = {"values": np.float64, "predicted": np.float32, "lower": np.float32, "upper": np.float32}
    keys = [("number", np.int64), ("seq", np.int64), ("time", np.int64), ("score", np.float32)]
    return np.dtype([*keys, *((name, kind, (targets,)) for name, kind in kinds.items())])


class Past:
    """The past rows that no piece holds yet.

    Args:
        targets: D, of each row.
    """

    def __init__(self, targets: int) -> None:
        self.kind = past_row(targets)
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
        for block in blocks:
            rows = self._of_block(block, fresh)
            self._kept[block] = seq
            if len(rows):
                pieces.append(self._piece(block, rows))
        return pieces

    def of(self, number: int) -> Shaped[np.ndarray, " n"]:
        """The rows of one series that no piece holds."""
        rows = self._of_block(number // BLOCK, self._fresh)
        return np.asarray(rows[rows["number"] == number])

    def _lay_out(self, rows: Shaped[np.ndarray, " n"]) -> None:
        """Keep rows by block, so that those of one are at hand."""
        blocks = rows["number"] // BLOCK
        order = np.argsort(blocks, kind="stable")
        self._runs.append((blocks[order], rows[order]))

    def _of_block(self, block: int, fresh: Sequence[Shaped[np.ndarray, " n"]]) -> Shaped[np.ndarray, " n"]:
        """The rows of a block that no piece holds."""
        parts = [rows[rows["number"] // BLOCK == block] for rows in fresh]
        for blocks, rows in self._runs:
            ends = np.searchsorted(blocks, [block, block + 1])
            parts.append(rows[ends[0] : ends[1]])
        rows = np.concatenate([np.zeros(0, self.kind), *parts])
        return rows[rows["seq"] > self._kept.get(block, -1)]

    def _piece(self, block: int, rows: Shaped[np.ndarray, " n"]) -> Piece:
        small = self._small.pop(block, None)
        if small is not None:
            rows = np.concatenate([decoded(small, rows["values"].shape[1]), rows])
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


def decoded(piece: Piece, targets: int) -> Shaped[np.ndarray, " n"]:
    """The rows of a piece.

    Raises:
        ModelFileError: it is damaged.
    """
    what, kind = f"the history of block {piece.block}, {piece.first} to {piece.last}, is damaged", past_row(targets)
    if len(piece.content) < _HEAD.size:
        raise ModelFileError(f"{what}: it has {len(piece.content)} bytes")
    mark, count, width, size = _HEAD.unpack_from(piece.content)
    each = 1 + kind.itemsize - 8  # the number takes a byte
    if mark != MARK or width != targets or size != count * each or size > MOST:
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
    for name in _rest(kind):
        base, shape = kind[name].base, kind[name].shape
        numbers = np.frombuffer(plain, base, count * int(np.prod(shape, dtype=int)), begin)
        rows[name] = numbers.reshape(count, *shape)
        begin += numbers.nbytes
    return rows


def _steps(column: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """A column of whole numbers as differences, which are mostly alike."""
    return np.diff(column, prepend=0)


def _rest(kind: np.dtype[Any]) -> tuple[str, ...]:
    """The columns that are written as they are."""
    return () if kind.names is None else kind.names[3:]
