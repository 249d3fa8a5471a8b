"""A live stream: one step for each observation, and the next forecast at once.

A `Stream` is a model and the rows of a `State`, one group for each series. Every observation is checked whole before
anything moves, so after an error the stream is what it was. The equations are the network's own: a stream that has
seen the rows of a table forecasts what the table would. It needs NumPy and the native kernel: no JAX, no data frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import DataError, SettingError, UnknownSeries, nearest
from statecast.forecast import arrivals, calibrate, channels, follow, intake, predict, steps
from statecast.forecast.predict import Forecast
from statecast.model import archive
from statecast.model.inputs import numbers_of
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

Id = str | int


class Stream:
    """Series that are observed one step at a time.

    Args:
        model: the model.
        state: what is remembered of each series; `model.state` where None.
    """

    def __init__(self, model: Model, state: State | None = None) -> None:
        state = model.state if state is None else state
        self.model = model
        self._layout = model.layout
        if state.layout != self._layout:
            raise DataError("the state comes from another network than this model's: give a state of the same model")
        ids = channels.series_ids(model, state.ids)
        self._width = channels.rows_each(model)
        self._data = state.data.astype(model.dtype, order="C")  # rows are replaced in place; there may be room for more
        self._last = state.time[:: self._width].copy()  # likewise
        self._index: dict[Id, int] = {name: s for s, name in enumerate(ids)}
        self._lately: tuple[tuple[Id, ...], Int64[np.ndarray, " S"]] = (), np.zeros(0, np.int64)
        self._levels = calibrate.checked_levels(model, None)
        self._covariates = bool(model.schema.past or model.schema.known or model.schema.static)
        origin, unit = model.constants["origin"], model.constants["unit"]
        near = float((steps.FARTHEST * np.abs(unit) - np.abs(origin)).min())
        self._near = math.inf if model.constants["least"].any() else near  # no logarithm is far

    @classmethod
    def load(cls, path: str | Path, empty: bool = False) -> Stream:
        """The stream of a saved model (a file or its folder), or a saved stream.

        Args:
            path: the file or folder.
            empty: start with no series, not with those that the file remembers.

        Raises:
            ModelFileError: the file cannot be used.
        """
        model = archive.load(path)
        return cls(model, State.empty(model.state.layout, model.dtype) if empty else None)

    def save(self, path: str | Path) -> Path:
        """Write model and state to a file, from which `load` goes on with the same bits.

        Raises:
            OutputError: the file cannot be written; what was there before is unchanged.
        """
        return archive.save(replace(self.model, state=self.state), path, kind="stream")

    @property
    def ids(self) -> tuple[Id, ...]:
        """The series, in the order in which they came."""
        return tuple(self._index)

    @property
    def state(self) -> State:
        """What is remembered, as a value: it does not change when the stream goes on."""
        count = len(self._index)
        time = np.repeat(self._last[:count], self._width)
        data = self._data[: count * self._width].copy()
        return State(self._layout, data, channels.row_ids(self.model, self.ids), time)

    def take(self, ids: Sequence[Id]) -> Stream:
        """A stream of some of the series; this one keeps them.

        Raises:
            UnknownSeries: one of them is not here.
        """
        return Stream(self.model, self._gathered([self._name(name) for name in ids]))

    def merge(self, other: Stream) -> Stream:
        """A stream of the series of both; they go on apart from it.

        Raises:
            DataError: a series is in both, or the streams have different models.
        """
        if not self.model.shares_states(other.model):
            raise DataError("these streams have different models, so their states mean different things")
        both = next((name for name in other.ids if name in self._index), None)
        if both is not None:
            raise DataError(f"series {both!r} is in both streams: take the series of one of them first")
        return Stream(self.model, self.state.join(other.state))

    def observe(
        self, id: Id, value: Any, time: Any = None, past: Any = None, known: Any = None, static: Any = None
    ) -> Forecast:
        """Take one row of one series, and forecast from it.

        Steps that were skipped since the series' last row are passed through as missing. A series that is not here
        yet starts from the initial state.

        Args:
            id: the series.
            value: the target, or one for each of several (a sequence, or a mapping by name); None or NaN: missing.
            time: a datetime, a datetime64, ISO text or a whole number; the next step where None. A new series needs
                one, unless rows are counted.
            past: covariates known up to now, in their order or by name; all are missing where None.
            known: covariates known ahead: a row for this step and one for each of the next H.
            static: covariates of the series; a new series needs them, and they are remembered.

        Returns:
            The forecast of the next H steps: values [H, D].

        Raises:
            TimeOrderError: the time is not after the series' last.
            DataError: a value, time or covariate that cannot be used. Nothing has changed then.
        """
        model, width = self.model, self._width
        name = self._name(id)
        series = self._index.get(name)
        last = UNSEEN if series is None else self._last.item(series)
        values = intake.numbers(value, model.schema, name)
        now, gap = arrivals.when(model.schema, name, last, time)
        y = np.array(values).reshape(width, -1)
        if any(abs(number) > self._near for number in values):
            steps.require_near(model, y, f"series {name!r}")
        given: Mapping[str, Any] = {}
        if self._covariates or past is not None or known is not None or static is not None:
            one = [None if row is None else [row] for row in (past, known, static)]
            remembered = self._static(np.array([-1 if series is None else series]), np.array([last]))
            given = arrivals.given(model, [name], [now], one[0], one[1], one[2], remembered)
        stamps = np.array([now] * width)
        if series is None or last == UNSEEN or gap:
            place = np.array([-1 if series is None else series])
            raw, scale, moved = self._moved([name], place, np.array([last]), y, stamps, np.array([gap]), given)
        else:
            raw, scale, moved = steps.observed(
                model, self._data[series * width : (series + 1) * width], y, stamps, given
            )
            self._last[series] = now
        return Forecast(model, (name,), stamps[:1], raw, None, scale, raw.shape[1], self._levels, True, moved)

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
            static: [S, Q] or S rows; those of series that are here already replace what is remembered.

        Returns:
            The forecast of the next H steps: values [S, H, D].

        Raises:
            DataError: as in `observe`, or a series comes twice. Nothing has changed then.
        """
        names, series = self._found(ids)
        y = arrivals.values(self.model, names, values)
        last = np.where(series < 0, UNSEEN, self._last[series] if len(self._last) else UNSEEN)
        now, gaps = arrivals.when_many(self.model.schema, names, last, times)
        given = arrivals.given(self.model, names, now, past, known, static, self._static(series, last))
        stamps = np.repeat(now, self._width)
        if gaps.any() or (last == UNSEEN).any():
            raw, scale, moved = self._moved(names, series, last, y, stamps, gaps, given)
        else:
            raw, scale, moved = steps.observed(self.model, self._data, y, stamps, given, _rows(series, self._width))
            self._last[series] = now
        return Forecast(self.model, names, now, raw, None, scale, raw.shape[1], self._levels, moved=moved)

    def forecast(
        self,
        ids: Sequence[Id] | None = None,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        known: Any = None,
    ) -> Forecast:
        """Forecast from what has been seen so far; nothing moves.

        Args:
            ids: the series; all where None.
            horizon: steps; the network's where None.
            levels: of the intervals, in percent; those of the settings where None.
            known: covariates known ahead, for each series (a sequence in the order of `ids`, or a mapping by id) a row
                for each step.

        Returns:
            values [S, horizon, D].

        Raises:
            UnknownSeries: a series that is not here.
            DataError, SettingError: as in `predict.forecast`.
        """
        if isinstance(ids, (str, int)):
            raise SettingError(f"ids: got {ids!r}, wanted a list of series, such as [{ids!r}]")
        names = list(self.ids) if ids is None else [self._name(name) for name in ids]
        state = self._gathered(names)
        future = None
        if known is not None:
            blocks = [known[name] for name in names] if isinstance(known, Mapping) else list(known)
            arrivals.require_each("known", blocks, names)
            future = [intake.rows(self.model.schema.known, block, "known") for block in blocks]
        return predict.forecast(self.model, state, horizon, levels, future)

    def _name(self, name: Any) -> Id:
        """An id in the kind that the model was fitted with."""
        if type(name) is str and self.model.schema.id_kind == "text":
            return name
        if self.model.schema.id_kind == "text":
            return str(name)
        try:
            return int(name)
        except (TypeError, ValueError):
            raise DataError(f"the id {name!r} is not a whole number, as the ids of this model are") from None

    def _found(self, ids: Sequence[Id]) -> tuple[tuple[Id, ...], Int64[np.ndarray, " S"]]:
        """The names of series, each once, and their numbers; −1 for those that are new."""
        names = tuple(ids)
        if names == self._lately[0]:  # who observes the same series at every step pays for the look-up once
            return self._lately
        if set(map(type, names)) - {str if self.model.schema.id_kind == "text" else int}:
            names = tuple(self._name(name) for name in names)
        if len(set(names)) < len(names):
            twice = next(name for n, name in enumerate(names) if name in names[:n])
            raise DataError(f"series {twice!r} comes twice: give each series once, one step at a time")
        series = np.fromiter((self._index.get(name, -1) for name in names), np.int64, len(names))
        if not (series < 0).any():
            self._lately = names, series
        return names, series

    def _static(
        self, series: Int64[np.ndarray, " S"], last: Int64[np.ndarray, " S"]
    ) -> Float[np.ndarray, "S Q"] | None:
        """The static covariates that are remembered, NaN for series that are new; None where the model has none."""
        if not self.model.network.front.static:
            return None
        where, _ = self._layout.slices["static"]
        seen = last != UNSEEN
        found = np.full((len(series), where.stop - where.start), np.nan, self.model.dtype)
        found[seen] = self._data[series[seen] * self._width, where]
        return found

    def _begun(self, names: Sequence[Id]) -> Float[np.ndarray, "N size"]:
        """The initial rows of series that have seen nothing."""
        model = self.model
        numbers = numbers_of(model.network, model.schema, channels.row_ids(model, names))
        return follow.start(model, numbers)

    def _moved(
        self,
        names: Sequence[Id],
        series: Int64[np.ndarray, " S"],
        last: Int64[np.ndarray, " S"],
        y: Float[np.ndarray, "N Dn"],
        stamps: Int64[np.ndarray, " N"],
        gaps: Int64[np.ndarray, " S"],
        given: Mapping[str, Any],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """A step of series that are new or skipped steps, on a copy of their rows, so that an error moves nothing.

        Returns:
            What `steps.observed` does.
        """
        width = self._width
        rows, fresh = _rows(series, width), np.repeat(last == UNSEEN, width)
        block = np.empty((len(rows), self._layout.size), self.model.dtype)
        block[~fresh] = self._data[rows[~fresh]]
        if fresh.any():
            block[fresh] = self._begun([name for name, time in zip(names, last, strict=True) if time == UNSEEN])
        size = max(steps.batch(self.model) // width, 1)
        for gap in set(gaps.tolist()) - {0}:
            alike = np.flatnonzero(gaps == gap)
            for begin in range(0, len(alike), size):
                at = _rows(alike[begin : begin + size], width)
                before, static = block[at], given.get("static")
                times = np.repeat(last[alike[begin : begin + size]], width)
                steps.through_gap(self.model, before, times, gap, None if static is None else static[at])
                block[at] = before
        raw, scale, moved = steps.observed(self.model, block, y, stamps, given)
        numbers = self._numbered(names, series)
        self._data[_rows(numbers, width)] = block
        self._last[numbers] = stamps[::width]
        return raw, scale, moved

    def _numbered(self, names: Sequence[Id], series: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
        """The numbers of series, with room for those that are new."""
        count, new = len(self._index), np.flatnonzero(series < 0)
        need = count + len(new)
        if need > len(self._last):
            room = max(need, 2 * len(self._last))
            data, last = np.empty((room * self._width, self._layout.size), self.model.dtype), np.full(room, UNSEEN)
            data[: len(self._data)], last[: len(self._last)] = self._data, self._last
            self._data, self._last = data, last
        numbers = series.copy()
        numbers[new] = np.arange(count, need)
        self._index |= {names[n]: int(numbers[n]) for n in new.tolist()}
        return numbers

    def _gathered(self, names: list[Id]) -> State:
        for name in names:
            if name not in self._index:
                raise UnknownSeries(f"there is no series {name!r} in this stream; {nearest(name, self.ids)}")
        series = [self._index[name] for name in names]
        time = self._last[np.array(series, np.int64)]
        rows = self._data[_rows(series, self._width)]
        return State(self._layout, rows, channels.row_ids(self.model, names), np.repeat(time, self._width))


def _rows(series: Sequence[int] | Int64[np.ndarray, " S"], width: int) -> Int64[np.ndarray, " N"]:
    """The rows of the state of these series."""
    return (np.asarray(series, np.int64)[:, None] * width + np.arange(width)).reshape(-1)
