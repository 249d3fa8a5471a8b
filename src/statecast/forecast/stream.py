"""A live stream: one step for each observation, and the next forecast at once.

A `Stream` is a model and rows of states, one group for each series, in blocks: what is done to some series costs no
more than these series. The equations are the network's own: a stream that observed the rows of a table forecasts what
the table would. It needs NumPy and the native kernel: no JAX, no data frames.

After any exception, Ctrl-C's too, a stream is bit for bit what it was (see `change`). It may be used from several
threads: changes wait for one another, and what reads a stream sees it between two of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import setitem
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import described
from statecast.errors import DataError, SettingError
from statecast.files import write_pieces
from statecast.forecast import calibrate, channels, charts, features, incoming, observation, predict, watch
from statecast.forecast.answer import Forecast
from statecast.forecast.change import Change, Turns
from statecast.forecast.roster import Id, Roster
from statecast.forecast.runner import BLOCK, Runner
from statecast.model import archive
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Int64

    from statecast.forecast.breakdown import Breakdown


class Stream:
    """Series that are observed one step at a time.

    Any method may be called from any thread. A process may fork while others are at work, and a stream can be copied
    and pickled: the copy is independent.

    Args:
        model: the model.
        state: what is remembered of each series; `model.state` if None.

    Attributes:
        model: the model. It remembers nothing of any series; the stream does.

    Raises:
        DataError: the state belongs to another network.

    Example:
        >>> stream = model.stream()
        >>> stream.observe("passengers", 450.0)
        <Forecast: passengers of 'passengers', 12 steps from 1961-02-01 to 1962-01-01; levels 80, 95>
    """

    def __init__(self, model: Model, state: State | None = None) -> None:
        state = model.state if state is None else state
        self.model: Model = replace(model, state=State.empty(model.layout, model.dtype))
        self._runner = Runner(self.model)
        self._roster, self._turns = Roster(self._runner), Turns()
        self._levels = calibrate.checked_levels(model, None)
        schema, front = model.schema, model.network.front
        self._covariates = bool(schema.past or schema.known or schema.static or front.future)
        self._near, self._latest = features.farthest(model), features.latest(model)
        rows = BLOCK * self._runner.width
        for begin in range(0, max(len(state.ids), 1), rows):
            part = slice(begin, begin + rows)
            self.put(State(state.layout, state.data[part], state.ids[part], state.time[part]))

    @classmethod
    def load(cls, path: str | Path, empty: bool = False) -> Stream:
        """The stream of a saved model (a file or its folder), or a saved stream.

        Args:
            path: the file or folder.
            empty: start without series instead of with those that the file remembers.

        Raises:
            ModelFileError: the file cannot be used.

        Example:
            >>> sc.Stream.load(model.save("air.safetensors")).ids
            ('passengers',)
        """
        model = archive.load(path)
        return cls(model, State.empty(model.state.layout, model.dtype) if empty else None)

    def save(self, path: str | Path) -> Path:
        """Write model and state to a file, from which `load` continues with the same bits.

        Rows are written block by block and never copied as a whole. Changes from other threads wait for a block, but
        not for the disk.

        Raises:
            OutputError: the file cannot be written; what was there before is unchanged.

        Example:
            >>> stream = model.stream()
            >>> forecast = stream.observe("passengers", 450.0)
            >>> again = sc.Stream.load(stream.save("later.safetensors"))
            >>> bool(np.all(again.forecast().values == stream.forecast().values))
            True
        """
        return write_pieces(path, self._pieces())

    def _pieces(self) -> Iterator[bytes | memoryview]:
        with self._turns.lock:
            state, rows = self._roster.outline()
            yield from archive.pieces(replace(self.model, state=state), "stream", rows)

    def __repr__(self) -> str:
        ids = self.ids
        names = f": {', '.join(described(name) for name in ids[:3])}{', …' if len(ids) > 3 else ''}" if ids else ""
        count = "1 series" if len(ids) == 1 else f"{len(ids):,} series"
        horizon = self.model.network.head.horizon
        steps = "1 step" if horizon == 1 else f"{horizon} steps"
        return f"<Stream: {', '.join(self.model.schema.target)} of {count}{names}; {steps} ahead>"

    def _repr_html_(self) -> str:
        return charts.remembered_card(self.model, self.state_of(self.ids[: charts.LISTED]), len(self.ids), repr(self))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return type(self), (replace(self.model, state=self.state),)

    # --- which series, and what is remembered of them

    @property
    def ids(self) -> tuple[Id, ...]:
        """The series, in order of arrival."""
        with self._turns.lock:
            return tuple(self._roster.index)

    @property
    def state(self) -> State:
        """What is remembered, as a value that does not change as the stream goes on."""
        with self._turns.lock:
            return self._roster.state(self._roster.index)

    def state_of(self, ids: Sequence[Id]) -> State:
        """What is remembered of those of these series that are in the stream: a part of `state`, which `put` accepts.

        Example:
            >>> model.stream().state_of(["passengers", "nobody"]).ids
            ('passengers',)
        """
        with self._turns.lock:
            names = [self._roster.name(name) for name in ids]
            return self._roster.state(name for name in names if name in self._roster.index)

    @property
    def blocks(self) -> int:
        """The number of blocks of series, some of which may be empty; see `block`."""
        with self._turns.lock:
            return self._roster.blocks

    def block(self, number: int) -> State:
        """What is remembered of the series of one block (256 at most): a part of `state`.

        A series stays in its block as long as it is in the stream. So a copy of a large stream is kept up to date
        by `put` with the blocks of those series that were observed in the meantime.

        Args:
            number: from 0 on.

        Raises:
            SettingError: there is no such block.

        Example:
            >>> stream = model.stream()
            >>> stream.blocks, stream.block(0).ids
            (1, ('passengers',))
        """
        with self._turns.lock:
            if not 0 <= number < self.blocks:
                raise SettingError(f"block {number!r}: this stream has the blocks 0 to {self.blocks - 1}")
            return self._roster.state(self._roster.of_block(number))

    def block_of(self, id: Id) -> int:
        """The number of the block that a series is in.

        Raises:
            UnknownSeries: the stream does not have it.

        Example:
            >>> model.stream().block_of("passengers")
            0
        """
        with self._turns.lock:
            return self._roster.number(self._roster.name(id)) // BLOCK

    def put(self, state: State) -> None:
        """Take over what a state remembers; it replaces what is remembered of series in the stream, and adds others.

        Args:
            state: of the same model, such as `state` or `block` of another stream.

        Raises:
            DataError: it belongs to another network, or names a series twice. Then nothing has changed.

        Example:
            >>> stream = model.stream()
            >>> before = stream.state                           # a value: what comes later does not change it
            >>> forecast = stream.observe("passengers", 4500.0)  # a slip of the keyboard
            >>> stream.put(before)                              # and back
            >>> bool(np.all(stream.forecast().values == model.forecast().values))
            True
        """
        self._turns.change(self._roster.putting, state)

    def remove(self, ids: Sequence[Id]) -> None:
        """Forget series, all of which must be in the stream; one that appears again starts from the beginning.

        Raises:
            UnknownSeries: the stream does not have one of them. Then nothing has changed.
            DataError: a series is named twice.

        Example:
            >>> stream = model.stream()
            >>> stream.remove(["passengers"])
            >>> stream.ids
            ()
        """
        self._turns.change(self._roster.removing, ids)

    def take(self, ids: Sequence[Id]) -> Stream:
        """A stream of some of the series; this one keeps them.

        Raises:
            UnknownSeries: the stream does not have one of them.

        Example:
            >>> stream = model.stream()
            >>> forecast = stream.observe("trains", 80.0, "1961-01-01")
            >>> stream.take(["trains"]).ids
            ('trains',)
        """
        taken = Stream(self.model, State.empty(self.model.layout, self.model.dtype))
        with self._turns.lock:
            for part in self._roster.parts([self._roster.name(name) for name in ids]):
                taken.put(part)
        return taken

    def merge(self, other: Stream) -> Stream:
        """A stream with the series of both; these two stay independent of it.

        Raises:
            DataError: a series is in both, or the streams have different models.

        Example:
            >>> here, elsewhere = model.stream(), model.stream(empty=True)
            >>> forecast = elsewhere.observe("trains", 80.0, "1961-01-01")
            >>> here.merge(elsewhere).ids
            ('passengers', 'trains')
        """
        if not self.model.shares_states(other.model):
            raise DataError("these streams have different models, so their states mean different things")
        merged = self.take(self.ids)
        with other._turns.lock:
            for part in other._roster.parts(other._roster.index):
                names = channels.series_ids(self.model, part.ids)
                double = next((name for name in names if name in merged._roster.index), None)
                if double is not None:
                    raise DataError(f"series {double!r} is in both streams: take the series of one of them first")
                merged.put(part)
        return merged

    def observe(
        self, id: Id, value: Any, time: Any = None, past: Any = None, known: Any = None, static: Any = None
    ) -> Forecast:
        """Take one row of one series, and forecast from it.

        Steps skipped since the series' last row count as missing. A series that is new to the stream starts from the
        initial state.

        Args:
            id: the series.
            value: the target, or one for each of several (a sequence, or a mapping by name); None or NaN: missing.
            time: a datetime, a datetime64, ISO text or a whole number; the next step if None. A new series needs
                one, unless rows are counted.
            past: covariates known up to now, in order or by name; all are missing if None.
            known: covariates known ahead: a row for this step and one for each of the next H.
            static: covariates of the series; a new series needs them, and they are remembered.

        Returns:
            The forecast of the next H steps: values [H, D].

        Raises:
            TimeOrderError: the time is not after the series' last.
            DataError: a value, time or covariate cannot be used. Then nothing has changed.

        Example:
            >>> forecast = model.stream().observe("passengers", 450.0, "1961-01-01")
            >>> forecast.values.shape, bool((forecast.lower[80] <= forecast.upper[80]).all())
            ((12, 1), True)
        """
        forecast: Forecast = self._turns.change(self._observing, id, value, time, past, known, static)
        return forecast

    def observe_many(
        self,
        ids: Sequence[Id],
        values: Any,
        times: Any = None,
        past: Any = None,
        known: Any = None,
        static: Any = None,
    ) -> Forecast:
        """Take one row of each of S series, and forecast from them; see `observe`.

        Args:
            ids: the series, each once.
            values: [S, D], or [S] for a single target.
            times: one for all, or one for each.
            past: [S, P] or S rows.
            known: [S, H + 1, K], or for each series what `observe` takes.
            static: [S, Q] or S rows; for series already in the stream they replace what is remembered.

        Returns:
            The forecast of the next H steps: values [S, H, D].

        Raises:
            DataError: as in `observe`, or a series is named twice. Then nothing has changed.

        Example:
            >>> stream = model.stream(empty=True)
            >>> stream.observe_many(["planes", "trains"], [450.0, 80.0], "1961-01-01").values.shape
            (2, 12, 1)
        """
        forecast: Forecast = self._turns.change(self._observing_many, ids, values, times, past, known, static)
        return forecast

    def numbers(self, ids: Sequence[Id]) -> Int64[np.ndarray, " S"]:
        """The number that each series has while it is in the stream, for `observe_numbered`; −1 for one that is not.

        Example:
            >>> model.stream().numbers(["passengers", "nobody"])
            array([ 0, -1])
        """
        with self._turns.lock:
            return self._roster.numbers(ids)[1].copy()

    def observe_numbered(
        self,
        numbers: Int64[np.ndarray, " S"],
        values: Any,
        times: Any = None,
        past: Any = None,
        known: Any = None,
        static: Any = None,
    ) -> Forecast:
        """`observe_many` for series given by number, which saves looking up names.

        Raises:
            UnknownSeries: no series has one of the numbers. Then nothing has changed.
            DataError: as in `observe_many`.

        Example:
            >>> stream = model.stream()
            >>> numbers = stream.numbers(stream.ids)
            >>> stream.observe_numbered(numbers, [450.0]).values.shape
            (1, 12, 1)
        """
        forecast: Forecast = self._turns.change(self._observing_numbered, numbers, values, times, past, known, static)
        return forecast

    def forecast(
        self,
        ids: Sequence[Id] | None = None,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        known: Any = None,
    ) -> Forecast:
        """Forecast from what has been observed so far, values [S, horizon, D]; the state does not change.

        Args:
            ids: the series; all if None.
            horizon: steps; the network's if None.
            levels: of the intervals, in percent; those of the settings if None.
            known: covariates known ahead, for each series (a sequence in the order of `ids`, or a mapping by id) a row
                for each step.

        Raises:
            UnknownSeries: the stream does not have one of them.
            DataError, SettingError: as in `predict.forecast`.

        Example:
            >>> model.stream().forecast(["passengers"], horizon=24, levels=[90]).upper[90].shape
            (1, 24, 1)
        """
        state, future = self._origin(ids, known)
        return predict.forecast(self.model, state, horizon, levels, future, self._runner, predict.GIVE)

    def breakdown(self, ids: Sequence[Id] | None = None, known: Any = None) -> Breakdown:
        """What the forecasts come from; arguments and errors are those of `forecast`. See `breakdown.of_state`.

        Example:
            >>> model.stream().breakdown().parts[0].name
            'level'
        """
        from statecast.forecast.breakdown import of_state

        return of_state(self.model, *self._origin(ids, known), self._runner)

    def _origin(self, ids: Sequence[Id] | None, known: Any) -> tuple[State, predict.Future | None]:
        """The state of some series, and what is known ahead of each."""
        if isinstance(ids, (str, int)):
            raise SettingError(f"ids: got {ids!r}, expected a list of series, such as [{ids!r}]")
        with self._turns.lock:
            names = list(self._roster.index) if ids is None else [self._roster.name(name) for name in ids]
            state = self._roster.state(names)
        return state, None if known is None else incoming.future(self.model, names, known)

    def overdue(self, steps: int = 3, now: Any = None) -> list[watch.Notice]:
        """Alarms for series that have fallen silent: for each target without a value in more than `steps` up to `now`.

        `now` is the time of the latest row of all series if None. See `watch.overdue` for the errors.

        Example:
            >>> [notice.kind for notice in model.stream().overdue(now="1962-01-01")]
            ['missing']
        """
        return watch.overdue(self.model, self.state, steps, now)

    def _observing(self, id: Any, value: Any, time: Any, past: Any, known: Any, static: Any) -> Change:
        model, roster, width = self.model, self._roster, self._runner.width
        name = roster.name(id)
        series = roster.index.get(name, -1)
        last = UNSEEN if series < 0 else roster.last.item(series)
        values = observation.numbers(value, model.schema, name)
        now, gap = incoming.when(model.schema, name, last, time)
        if now > self._latest:
            features.require_future(model, [name], np.array([now]), model.network.head.horizon)
        y = np.array(values).reshape(width, -1)
        if any(abs(number) > self._near for number in values):
            features.require_near(model, y, f"series {name!r}")
        covariates: Mapping[str, Any] = {}
        if self._covariates or past is not None or known is not None or static is not None:
            one = [None if row is None else [row] for row in (past, known, static)]
            remembered = roster.static(np.array([series]), np.array([last]))
            covariates = incoming.covariates(model, [name], [now], one[0], one[1], one[2], remembered)
        stamps, number = np.array([now] * width), np.array([series])
        if last == UNSEEN or gap:
            step, entries = roster.restarted([name], number, np.array([last]), y, stamps, np.array([gap]), covariates)
        else:
            step = self._runner.prepare(roster.rows, y, stamps, covariates, self._runner.rows(number))
            entries = (partial(setitem, roster.last, series, now),)
        raw, horizon = step.forecasts, model.network.head.horizon
        forecast = Forecast(
            model, (name,), stamps[:1], raw, None, step.scales, horizon, self._levels, True, **step.report
        )
        return Change(forecast, step.moves, step.successes, entries)

    def _observing_many(self, ids: Any, *columns: Any) -> Change:
        return self._observing_series(*self._roster.numbers(ids), *columns)

    def _observing_numbered(self, numbers: Int64[np.ndarray, " S"], *columns: Any) -> Change:
        return self._observing_series(self._roster.names(numbers), numbers, *columns)

    def _observing_series(
        self,
        names: tuple[Id, ...],
        series: Int64[np.ndarray, " S"],
        values: Any,
        times: Any,
        past: Any,
        known: Any,
        static: Any,
    ) -> Change:
        model, roster, runner = self.model, self._roster, self._runner
        y = incoming.targets(model, names, values)
        last = roster.times(series)
        now, gaps = incoming.when_many(model.schema, names, last, times)
        if now.max(initial=UNSEEN) > self._latest:
            features.require_future(model, names, now, model.network.head.horizon)
        covariates = incoming.covariates(model, names, now, past, known, static, roster.static(series, last))
        stamps = runner.per_row(now)
        if gaps.any() or (last == UNSEEN).any():
            step, entries = roster.restarted(names, series, last, y, stamps, gaps, covariates)
        else:
            step = runner.prepare(roster.rows, y, stamps, covariates, runner.rows(series))
            entries = (partial(setitem, roster.last, series, now),)
        horizon = model.network.head.horizon
        forecast = Forecast(model, names, now, step.forecasts, None, step.scales, horizon, self._levels, **step.report)
        return Change(forecast, step.moves, step.successes, entries)
