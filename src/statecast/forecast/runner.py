"""A model at work on rows of states: the one place that knows how its steps are executed.

A series has one row, or one for each target where the network takes targets one at a time (`channels`). A row holds
what the network remembers, and behind it what its intervals remember. The native kernel steps both in one call where
it knows the network (`kernel.network.refuses`); else the network's own lines run under NumPy, on a copy of the rows.

A step has two halves. `prepare` reads, checks and calculates; it may raise whatever it likes, since nothing has moved.
`Step.commit` then moves the rows, all or none. A gap in a stream, and the recursion beyond the horizon, are stretches
of steps with made-up rows: missing values in the one, the network's own forecasts in the other.

A `Runner` keeps nothing between calls, so any number of threads may share it. Two of them must not step the same row
at once; whoever owns the table sees to that (`Stream` holds a lock).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import call, setitem
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.forecast import channels, features
from statecast.model.blocks import Blocks
from statecast.model.cells import StateParts
from statecast.model.inputs import numbers_of, transformed
from statecast.model.kernel import adaptive as kernel_adaptive
from statecast.model.kernel import network as kernel_network
from statecast.model.kernel.adaptive import Follower
from statecast.model.kernel.library import check
from statecast.model.kernel.network import NetworkStep
from statecast.model.state import Layout, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

BLOCK = 256  # series of a block of a table
NUMBERS = 2_000_000  # numbers of the widest array that is made at once
LONGEST = 512  # steps that are passed at once


@dataclass(frozen=True, eq=False)
class Step:
    """A step of N rows that is ready to happen.

    Attributes:
        forecasts: [N, H, Dn, O] in working units, from after the step.
        scales: [N, Dn] the front's.
        report: what intervals tell, by name, see `Adaptive.report`; empty where they do not move.
        moves: what makes it happen, in order; functions of C that take nothing and keep alive what they need.
        successes: what they return.
    """

    forecasts: Float[np.ndarray, "N H Dn O"]
    scales: Float[np.ndarray, "N Dn"]
    report: dict[str, Any]
    moves: tuple[Callable[[], Any], ...]
    successes: list[Any]

    def commit(self) -> None:
        """Move the rows. The arrays of a step in the native kernel hold nothing before.

        No signal's exception, such as Ctrl-C's, can come between the moves or after the last: CPython handles signals
        when a function is called, when a call returns and at the end of a loop's body, and a list that unpacks a `map`
        over functions of C is none of these. So a caller that only stores and returns afterwards commits with the rows.
        """
        results = [*map(call, self.moves)]
        if results != self.successes:
            check(results[0])


class Runner:
    """Steps one model over rows of states.

    Args:
        model: the model.

    Attributes:
        model: the same.
        layout: what the numbers of a row are.
        width: rows of each series.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.layout = model, model.layout
        self._network_layout = Layout.of(model.network.parts())
        self.width = channels.rows_each(model)
        self._native = _native(model)
        self._follower = _follower(model)
        # Otherwise rows are copied, so that an error on the way moves none.
        self._in_place = self._native is not None and (model.adaptive is None or self._follower is not None)

    @property
    def native(self) -> bool:
        """Whether the native kernel steps the network, or NumPy."""
        return self._native is not None

    # --- tables of states

    def table(self) -> Blocks:
        """A table of no rows yet, in blocks of `BLOCK` series."""
        return Blocks(self.layout.size, self.model.dtype, BLOCK * self.width)

    def rows(self, series: Sequence[int] | Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " N"]:
        """The numbers of the rows of these series in a table."""
        first = np.asarray(series, np.int64)
        if self.width == 1:
            return first
        return (first[:, None] * self.width + np.arange(self.width)).reshape(-1)

    def per_row(self, values: Any) -> Any:
        """An array with a row for each series as one with a row for each of their rows."""
        return channels.repeat(self.model, values)

    def per_series(self, values: Any) -> Any:
        """The inverse of `per_row`: what all rows of a series have in common."""
        return values[:: self.width]

    def span(self, series: slice) -> slice:
        """The rows of neighbouring series."""
        return slice(series.start * self.width, series.stop * self.width)

    def state(self, ids: Sequence[str | int], data: Float[np.ndarray, "N size"], last: Any) -> State:
        """Rows of series as a value; `last` [S] are their times."""
        return State(self.layout, data, channels.row_ids(self.model, ids), self.per_row(last))

    def batches(self, count: int, copies: int = 1) -> Iterator[slice]:
        """Cuts `count` series so that no array is much larger than `NUMBERS`, at least one cut; `copies` rows each."""
        size = max(self.batch // (self.width * copies), 1)
        for begin in range(0, max(count, 1), size):
            yield slice(begin, min(begin + size, count))

    @property
    def batch(self) -> int:
        """Rows that are worked on at once, so that no array is larger than `NUMBERS`."""
        front, head = self.model.network.front, self.model.network.head
        ahead = head.horizon * max(head.targets * head.width, front.future, front.inputs)
        return max(NUMBERS // max(front.ring * front.targets, ahead, 1), 16)

    def start(self, ids: Sequence[str | int]) -> Float[np.ndarray, "N size"]:
        """The rows of series that have observed nothing.

        Raises:
            UnknownSeries: the model has a network for each training series, and one of these is none of them.
        """
        model = self.model
        return self.initial(numbers_of(model.network, model.schema, channels.row_ids(model, ids)))

    def initial(self, numbers: Float[np.ndarray, "N 1"]) -> Float[np.ndarray, "N size"]:
        """The rows of series that have observed nothing, by their numbers, see `inputs.numbers_of`."""
        alike = len(numbers) > 1 and bool((numbers == numbers[0]).all())
        rows = np.zeros((1 if alike else len(numbers), self.layout.size), self.model.dtype)
        parts = self.model.network.start(self.model.p, len(rows), rows, numbers[: len(rows)])
        self._network_layout.pack(parts, rows)
        return np.repeat(rows, len(numbers), axis=0) if alike else rows

    # --- a step with an observation

    def step(
        self,
        states: Blocks | Float[np.ndarray, "rows size"],
        y: Float64[np.ndarray, "N Dn"],
        time: Int64[np.ndarray, " N"],
        covariates: Mapping[str, Any],
        index: Int64[np.ndarray, " N"] | None = None,
    ) -> tuple[Float[np.ndarray, "N H Dn O"], Float[np.ndarray, "N Dn"], dict[str, Any]]:
        """One step for rows of a table of states, which are replaced in place; after an error nothing has moved.

        Args:
            states: the table.
            y: targets in the units of the table, NaN where missing.
            time: of the step.
            covariates: as `incoming.covariates` makes them.
            index: which rows, all different; the first N if None.

        Returns:
            Forecasts in working units, scales and the report, see `Step`.
        """
        table = states if isinstance(states, Blocks) else Blocks.of(states)
        step = self.prepare(table, y, time, covariates, index)
        step.commit()
        return step.forecasts, step.scales, step.report

    def prepare(
        self,
        states: Blocks,
        y: Float64[np.ndarray, "N Dn"],
        time: Int64[np.ndarray, " N"],
        covariates: Mapping[str, Any],
        index: Int64[np.ndarray, " N"] | None = None,
    ) -> Step:
        """`step` up to the moment at which rows move."""
        groups = covariates.get("past"), covariates.get("known"), covariates.get("static")
        columns, ahead = features.covariates(self.model, time, *groups), covariates.get("ahead")
        if self._in_place:
            assert self._native is not None
            values = transformed(self.model.constants, y)
            step = self._native.prepare(states, values, _joined(columns), ahead, index, self._follower)
            return Step(step.forecast, step.scale, self._parts(step.report), (step.call,), [0])
        index = np.arange(len(y)) if index is None else index
        rows = states.take(index)
        raw, scales = self._stepped(rows, y, columns, ahead)
        report = None
        if self.model.adaptive is not None:
            measures = rows[:, self.layout.slices["count"][0]] >= self.model.measured_from
            report = self.adapted(rows, y, raw, scales * measures)
        moves = tuple(partial(setitem, block, inside, rows[at]) for block, inside, at in states.places(index))
        return Step(raw, scales, self._parts(report), moves, [None] * len(moves))

    def _parts(self, report: Float[np.ndarray, "N R"] | None) -> dict[str, Any]:
        """A report by its names."""
        return {} if report is None or self.model.adaptive is None else self.model.adaptive.report.unpack(report)

    def _stepped(
        self, rows: Float[np.ndarray, "N size"], y: Float64[np.ndarray, "N Dn"], columns: Mapping[str, Any], ahead: Any
    ) -> tuple[Float[np.ndarray, "N H Dn O"], Float[np.ndarray, "N Dn"]]:
        """The network's step on rows of their own, in place."""
        model = self.model
        if self._native is not None:
            return self._native.step(rows, transformed(model.constants, y), _joined(columns), ahead)
        values, mask = features.working(model, y)
        results = []
        for begin in range(0, max(len(rows), 1), self.batch):
            part = slice(begin, begin + self.batch)
            inputs = {name: value[part] for name, value in ({**columns, "y": values, "m": mask}).items()}
            parts = model.network.advance(model.p, self._network_layout.unpack(rows[part]), inputs)
            results.append(model.network.emit(model.p, parts, None if ahead is None else ahead[part]))
            self._network_layout.pack(parts, rows[part])
        raw, scales = (np.concatenate(parts) for parts in zip(*results, strict=True))
        return raw, scales

    def adapted(
        self,
        rows: Float[np.ndarray, "N size"],
        y: Float64[np.ndarray, "N Dn"],
        raw: Float[np.ndarray, "N H Dn O"],
        scales: Float[np.ndarray, "N Dn"],
    ) -> Float[np.ndarray, "N R"]:
        """Move the intervals of rows by the values of a step, and keep its forecasts until their values come.

        Args:
            rows: of a model whose intervals move; replaced in place.
            y: values in the units of the table, NaN where missing.
            raw: forecasts from this step, of all steps ahead or of the watched ones alone, in working units.
            scales: the front's; 0 where a forecast is not a measure.

        Returns:
            What the intervals tell now, see `Adaptive.report`.
        """
        model, adaptive = self.model, self.model.adaptive
        assert adaptive is not None
        parts = model.adaptive_layout.unpack(np.array(rows[:, model.adaptive_span]))
        values, mask = features.working(model, y)
        watched = raw if raw.shape[1] == len(adaptive.leads) else raw[:, adaptive.leads - 1]
        adaptive.observe(parts, model.bounds, values, mask)
        adaptive.remember(parts, watched, scales, mask)
        model.adaptive_layout.pack(parts, rows[:, model.adaptive_span])
        return rows[:, model.adaptive_span][:, adaptive.reported].copy()

    def through(
        self,
        rows: Float[np.ndarray, "S size"],
        row: int,
        values: Float64[np.ndarray, "T Dn"],
        places: Int64[np.ndarray, " T"],
        raw: Float[np.ndarray, "N K Dn O"],
        scales: Float[np.ndarray, "N Dn"],
        kept: Int64[np.ndarray, " T"],
        report: Float[np.ndarray, "n R"],
    ) -> bool:
        """`adapted` for one row through all its values at once, if the native kernel does that; see `Follower`."""
        if self._follower is None:
            return False
        self._follower.through(rows, row, values, places, raw, scales, kept, report)
        return True

    # --- forecasts, and steps without an observation

    def emit(
        self, rows: Float[np.ndarray, "N size"], ahead: Float[np.ndarray, "N H F"] | None
    ) -> tuple[Float[np.ndarray, "N H Dn O"], Float[np.ndarray, "N Dn"]]:
        """The forecasts that rows of states hold, in working units, and their scales; nothing moves.

        Args:
            rows: of the model's whole layout, or of the network's alone.
            ahead: what is known of the steps ahead, see `features.ahead`; None where the model knows nothing ahead.
        """
        if self._native is not None:
            return self._native.emit(Blocks.of(np.ascontiguousarray(rows)), ahead)
        return self.model.network.emit(self.model.p, self._network_layout.unpack(rows), ahead)

    def report(self, rows: Float[np.ndarray, "N size"]) -> dict[str, Any]:
        """What the intervals of rows tell, by name, see `Adaptive.report`; empty where they do not move."""
        adaptive = self.model.adaptive
        return {} if adaptive is None else self._parts(rows[:, self.model.adaptive_span][:, adaptive.reported])

    def pass_gap(
        self,
        rows: Float[np.ndarray, "N size"],
        last: Int64[np.ndarray, " N"],
        steps: int,
        static: Float[np.ndarray, "N Q"] | None = None,
    ) -> None:
        """Move rows through `steps` missing steps: targets and covariates are missing, the calendar goes on.

        Args:
            rows: replaced in place.
            last: times of the last steps that were observed.
            steps: how many are missing.
            static: what replaces the static covariates that are remembered; those if None.
        """
        model, front = self.model, self.model.network.front
        parts = self._network_layout.unpack(rows) | ({} if static is None else {"static": static})
        longest = int(np.clip(NUMBERS // max(len(last) * front.inputs, 1), 1, LONGEST))
        for begin in range(0, steps, longest):
            count = min(longest, steps - begin)
            blank = np.zeros((count, len(last), front.targets), model.dtype)
            time = features.after(model, last, begin + 1, count).T
            constant = np.broadcast_to(parts["static"], (count, *parts["static"].shape)) if front.static else None
            columns = features.covariates(model, time, None, None, constant)
            if self._native is not None:
                joined = _joined(columns)
                self._native.advance(
                    rows, np.full(blank.shape, np.nan), None if joined is None else np.ascontiguousarray(joined)
                )
            else:
                parts = self._passed(parts, {"y": blank, "m": blank, **columns})
        if self._native is None:
            self._network_layout.pack(parts, rows)
        if model.adaptive is not None:
            model.adaptive.skip(self.layout.unpack(rows), steps)

    def fed(
        self,
        rows: Float[np.ndarray, "N size"],
        values: Float[np.ndarray, "N n Dn"],
        time: Int64[np.ndarray, "N n"],
        known: Float64[np.ndarray, "N n K"] | None,
    ) -> Float[np.ndarray, "N size"]:
        """Rows after n steps whose values, in working units, are taken as if they had been observed."""
        parts, y = self._network_layout.unpack(rows), np.moveaxis(values, 1, 0)
        static = np.broadcast_to(parts["static"], (len(y), *parts["static"].shape)) if "static" in parts else None
        known = None if known is None else np.moveaxis(known, 1, 0)
        columns = features.covariates(self.model, time.T, None, known, static)
        after = np.empty_like(rows)
        self._network_layout.pack(self._passed(parts, {"y": y, "m": np.ones_like(y), **columns}), after)
        return after

    def _passed(self, parts: StateParts, inputs: Mapping[str, Any]) -> StateParts:
        """The network's state after steps whose forecasts nobody asks for; inputs are time-major, [T, N, …]."""
        network = self.model.network
        steps, rows = inputs["y"].shape[:2]
        inputs = dict(inputs)
        if network.front.future:
            blank = np.zeros((), self.model.dtype)
            inputs["future"] = np.broadcast_to(blank, (steps, rows, network.head.horizon, network.front.future))
        nothing = np.zeros(0, np.int64)
        return network.scan(self.model.p, parts, inputs, np.zeros((steps, rows), bool), nothing)[0]


def _native(model: Model) -> NetworkStep | None:
    """The network's step in the native kernel; None where NumPy runs it."""
    if kernel_network.refuses(model.network, model.p) is not None:
        return None
    return NetworkStep(model.network, model.p)


def _follower(model: Model) -> Follower | None:
    """Adaptation in the native kernel; None where intervals do not move, or NumPy moves them."""
    if model.adaptive is None or kernel_adaptive.refuses(model.adaptive) is not None:
        return None
    counts, least = model.layout.slices["count"][0].start, model.measured_from
    return Follower(
        model.adaptive, model.bounds, model.constants, model.adaptive_span.start, counts, least, model.dtype
    )


def _joined(columns: Mapping[str, Any]) -> Any:
    """Covariates side by side; None where there are none."""
    if len(columns) < 2:
        return next(iter(columns.values()), None)
    return np.concatenate([*columns.values()], axis=-1)
