"""Which forecasts of validation rows a look makes, and by which of them a choice is judged that the others made.

A look takes all segments that cover the validation rows, or evenly spaced ones where there are very many. For the test
of what training gained its forecasts are dealt to folds, each of which judges what the others chose: to stretches of
time where the rows span some horizons, otherwise to groups of series. The units of evidence are blocks of time as long
as the horizon, because forecasts of the same time err alike; where there are too few of these, they are the series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from statecast.data.segments import NOWHERE, Sampler, Split, Tape, validation_tape
from statecast.model.inputs import Rows
from statecast.train import local
from statecast.train.loss import Segments
from statecast.train.trainer import roomy

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

PLACES = 65_536  # most places of the tape that a look takes
FOLDS = 4  # more of them keep more weights, and change little of what is chosen
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
        folds: which fold each is judged in, from 0 on; −1 for none.
        choosers: whether each has a say in what a fold judges, [folds, …]; empty where nothing can be judged.
    """

    segments: Segments
    tape: Tape
    span: dict[str, np.ndarray]
    starts: Int64[np.ndarray, "..."]
    rows: Int64[np.ndarray, "..."]
    units: Int64[np.ndarray, "..."]
    folds: Int64[np.ndarray, "..."]
    choosers: Bool[np.ndarray, "..."]

    @property
    def starts_with_room(self) -> Int64[np.ndarray, "..."]:
        """The starts with empty segments behind them, of which there is one of few numbers; see `trainer.roomy`."""
        room = roomy(self.starts.shape[-1], 1) - self.starts.shape[-1]
        return np.pad(self.starts, [(0, 0)] * (self.starts.ndim - 1) + [(0, room)], constant_values=NOWHERE)

    def undecided(self, share: float) -> bool:
        """Whether validation rows are wanted, by the setting `val_size`, but are too few to judge a choice."""
        return bool(self.tape.scored.any() or share) and not len(self.choosers)

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
        deal = dealt(rows, parts, origins, scored, horizon, by_series)
        return cls(segments, tape, span, starts, origins, *deal)


def dealt(
    rows: Rows,
    parts: Split,
    origins: Int64[np.ndarray, "..."],
    scored: Bool[np.ndarray, "..."],
    horizon: int,
    by_series: bool = False,
) -> tuple[Int64[np.ndarray, "..."], Int64[np.ndarray, "..."], Bool[np.ndarray, "K ..."]]:
    """Units of evidence, folds, and choosers of the forecasts that are made at `origins`; see `ValidationRows`.

    Where folds are stretches of time, no forecast that has a say in a fold shares a forecast row with one of the fold.

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
    blocks, count = int(block.max(initial=-1)) + 1, len(np.unique(series[scored]))
    units = block if blocks >= LEAST_UNITS else series if count >= LEAST_UNITS else series * max(blocks, 1) + block
    number = np.arange(FOLDS).reshape(-1, *[1] * scored.ndim)
    if blocks < LEAST_UNITS <= count and not by_series:
        folds = np.zeros(scored.shape, np.int64)
        folds[scored] = np.unique(series[scored], return_inverse=True)[1] % FOLDS
        choosers = scored & (folds != number)
    else:
        length = (parts.val - parts.train)[series]
        folds = np.clip(place * FOLDS // np.maximum(length, 1), 0, FOLDS - 1)
        begin, end = (-(-(number + more) * length // FOLDS) for more in (0, 1))
        choosers = scored & ((place + horizon <= begin) | (place >= end + horizon - 1))
    chosen = choosers.any(axis=tuple(range(1, choosers.ndim)))  # whether there are rows to choose by
    folds = np.where(scored & chosen[folds], folds, -1)
    if len(np.unique(units[folds >= 0])) < LEAST_UNITS:
        return units, np.full_like(folds, -1), choosers[:0]
    return units, folds, choosers


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
