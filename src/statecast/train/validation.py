"""Which forecasts of validation rows a look makes, and by which of them a choice is judged that the others made.

A look takes all segments that cover the validation rows, or evenly spaced ones where there are very many. For the test
of what training gained its forecasts are dealt to two halves, so that neither half judges what it chose: to an earlier
and a later one where the rows span some horizons, otherwise to every other series. Within a half the units of evidence
are blocks of time as long as the horizon, because forecasts of the same time err alike; where there are too few of
these, they are the series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.segments import NOWHERE, Sampler, Split, Tape, validation_tape
from statecast.model.inputs import Rows
from statecast.train import local
from statecast.train.loss import Segments

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

PLACES = 65_536  # most places of the tape that a look takes
LEAST_UNITS = 6  # units of evidence that a test needs: with five, all of them better is chance in one case of 32


@dataclass(frozen=True, eq=False)
class ValidationRows:
    """The forecasts of a look, [calls, N, B] each, or [calls, networks, N, B] of local networks.

    Attributes:
        segments: length and burn-in of their segments.
        tape: the validation rows, each series after some rows of its training part.
        span: "begin" and "end" of each series on the tape, of local networks.
        starts: of the segments on the tape, [calls, B], or [calls, networks, B] of local networks.
        rows: the row of the panel that each forecast is made at.
        units: which unit of evidence each belongs to, from 0 on.
        halves: whether each is of the first and of the second half, [2, …]; empty where they cannot be told apart.
    """

    segments: Segments
    tape: Tape
    span: dict[str, np.ndarray]
    starts: Int64[np.ndarray, "..."]
    rows: Int64[np.ndarray, "..."]
    units: Int64[np.ndarray, "..."]
    halves: Bool[np.ndarray, "..."]

    @classmethod
    def of(
        cls, segments: Segments, rows: Rows, parts: Split, horizon: int, batch: int, by_series: bool
    ) -> ValidationRows:
        """The forecasts of a look.

        Args:
            segments: those of training.
            rows: the panel.
            parts: its split.
            horizon: steps of a forecast.
            batch: segments in a training batch; a call takes four times as many.
            by_series: whether every series has a network of its own.
        """
        length = segments.length
        # Validation starts from no stored state, so half a segment at least goes to reach one.
        burn_in = max(segments.burn_in, length // 2) if length > 1 else 0
        segments = Segments(length, burn_in, segments.every)
        tape = validation_tape(rows.offsets, parts, burn_in)
        at_once = min(max(1, PLACES // length), 4 * batch)
        span = local.bounds(tape, rows.offsets) if by_series else {}
        starts = local.spaced(span, segments, PLACES, at_once) if by_series else _spaced(tape, segments, at_once)
        at = starts[..., None, :] + segments.outputs[:, None]
        inside = (at >= 0) & (at < len(tape.rows))
        at = np.clip(at, 0, max(len(tape.rows) - 1, 0))
        origins = tape.rows[at] if len(tape.rows) else np.zeros(at.shape, np.int64)
        scored = inside & tape.scored[at] if len(tape.rows) else np.zeros(at.shape, bool)
        units, halves = dealt(rows, parts, origins, scored, horizon, by_series)
        return cls(segments, tape, span, starts, origins, units, halves)


def dealt(
    rows: Rows,
    parts: Split,
    origins: Int64[np.ndarray, "..."],
    scored: Bool[np.ndarray, "..."],
    horizon: int,
    by_series: bool = False,
) -> tuple[Int64[np.ndarray, "..."], Bool[np.ndarray, "2 ..."]]:
    """Units of evidence, and the two halves of the forecasts that are made at `origins`; see the top of this file.

    Halves in time are a horizon apart: no forecast of the first reaches into the second. Where one is empty, or there
    are fewer than `LEAST_UNITS`, there are no halves.

    Args:
        rows: the panel.
        parts: its split.
        origins: rows that forecasts are made at.
        scored: which of them are of validation rows.
        horizon: steps of a forecast.
        by_series: whether every series has a network of its own, which the rows of another tell nothing of.
    """
    series = rows.series[origins]
    place = rows.age[origins] + 1 - parts.train[series]  # of the first value that is forecast, among validation rows
    block = np.where(scored, place // horizon, 0)
    count = int(block.max(initial=-1)) + 1
    each = len(np.unique(series[scored]))
    if count >= LEAST_UNITS:
        units = block
    elif each >= LEAST_UNITS:
        units = series
    else:
        units = series * max(count, 1) + block
    if count < LEAST_UNITS <= each and not by_series:
        order = np.unique(series[scored], return_inverse=True)[1]
        second = np.zeros(scored.shape, bool)
        second[scored] = order % 2 == 1
        halves = np.stack([scored & ~second, second])
    else:
        middle = (parts.val - parts.train)[series] // 2
        halves = np.stack([scored & (place + horizon <= middle), scored & (place >= middle)])
    enough = halves.any(axis=tuple(range(1, halves.ndim))).all()
    if not enough or len(np.unique(units[halves.any(axis=0)])) < LEAST_UNITS:
        halves = halves[:0]
    return units, halves


def _spaced(tape: Tape, segments: Segments, at_once: int) -> Int64[np.ndarray, "calls B"]:
    """Starts of the segments of a look at a validation tape; all of them, or evenly spaced ones."""
    places = len(tape.rows)
    if not places:
        return np.zeros((0, 1), np.int64)
    starts = Sampler(places, segments.length, segments.burn_in, 1, False, False, 0).epoch(0).ravel()
    most = max(1, PLACES // segments.length)
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).astype(np.int64)]
    calls = -(-len(starts) // at_once)
    padded = np.full(-(-len(starts) // calls) * calls, NOWHERE, np.int64)
    padded[: len(starts)] = starts
    return padded.reshape(calls, -1)
