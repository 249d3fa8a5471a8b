"""What requests hold → `LiveRows`: one row object, a list of them, an object of columns, or JSON lines.

There are two ways with one result. Sound requests are decoded into typed records and checked by the column. Where
anything about a request is odd it is read again, row by row, by what reads the rows of `statecast stream`: so an odd
row costs more, is refused with the same words, and never takes others with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from statecast.data import values
from statecast.data.timetext import NULLS
from statecast.data.values import LARGEST, LATEST
from statecast.errors import DataError, StatecastError, TooLarge
from statecast.forecast import features, observation
from statecast.forecast.rowtext import LineSplitter, not_an_object, parsed
from statecast.forecast.wire import LiveRow, live_row, required
from statecast.model.trained import Model
from statecast.server.options import Options
from statecast.server.rows import LiveRows

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

TIMES = 8192  # strings of times that are remembered, since most rows share theirs


class BodyReader:
    """Reads requests for one model; may be used by several threads.

    Args:
        model: whose columns the rows have.
        options: the limits.
    """

    def __init__(self, model: Model, options: Options) -> None:
        self.model, self.schema, self.options = model, model.schema, options
        self._near = min(features.farthest(model), LARGEST)
        self._time = lru_cache(TIMES)(lambda text: values.time(text, model.schema))
        self._plain = _PlainDecoder(model)

    def read(self, body: bytes, lines: bool = False) -> LiveRows:
        """The rows of a request.

        Args:
            body: its bytes.
            lines: whether they are JSON lines.

        Raises:
            DataError: it is neither JSON nor rows.
            TooLarge: it has more rows than a request may have.
        """
        try:
            columns = self._plain.decode(body, lines)
            return self._by_column(self._counted(columns), len(next(iter(columns.values()))))
        except (_Odd, StatecastError, msgspec.MsgspecError, RecursionError, OverflowError, UnicodeError) as odd:
            if isinstance(odd, TooLarge):
                raise
        return self.records(_of_lines(body) if lines else self._listed(_text(body)))

    def records(self, records: Sequence[Any]) -> LiveRows:
        """The rows of records, each a mapping from column to value; covariates are left to the engine to read.

        Raises:
            TooLarge: there are more than a request may have.
        """
        self._require_count(len(records))
        count, errors = len(records), dict[int, str]()
        ids: list[str | int] = [""] * count
        times, y = np.zeros(count, np.int64), np.full((count, len(self.schema.target)), np.nan)
        groups: dict[str, list[Any]] = {name: [None] * count for name in ("past", "known", "static")}
        for n, record in enumerate(records):
            try:
                row = self._row(record)
                ids[n], y[n] = row.id, self._values(row)
                times[n] = 0 if self.schema.time is None else values.time(row.time, self.schema)
            except StatecastError as error:
                errors[n] = str(error)
                continue
            for name, column in groups.items():
                column[n] = getattr(row, name)
        shown = {name: column for name, column in groups.items() if any(row is not None for row in column)}
        return LiveRows(ids, None if self.schema.time is None else times, y, **shown, errors=errors)

    # --- row by row

    def _row(self, record: Any) -> LiveRow:
        if isinstance(record, DataError):
            raise record
        if not isinstance(record, Mapping):
            raise not_an_object(values.described(record))
        row = live_row(record, self.schema)
        self._require_short(row.id)
        return row

    def _values(self, row: LiveRow) -> list[float]:
        y = observation.numbers(row.value, self.schema, row.id)
        features.require_near(self.model, self._split(y), f"series {row.id!r}")
        return y

    def _split(self, y: Sequence[float]) -> Float64[np.ndarray, "rows Dn"]:
        return np.array(y).reshape(-1, len(self.model.constants["origin"]))

    # --- by column

    def _by_column(self, columns: Mapping[str, Sequence[Any]], count: int) -> LiveRows:
        schema = self.schema
        ids = self._ids(columns[schema.id]) if schema.id else [values.lone_series(schema.target)] * count
        times = self._times(columns[schema.time]) if schema.time else None
        y = np.array([columns[name] for name in schema.target], np.float64).T
        if not (np.abs(y) <= self._near)[~np.isnan(y)].all():
            raise _Odd
        numeric: Any = np.array([columns[item.name] for item in schema.past], np.float64).T if schema.past else None
        if numeric is not None and not (np.abs(numeric) <= LARGEST)[~np.isnan(numeric)].all():
            raise _Odd
        return LiveRows(ids, times, np.ascontiguousarray(y), numeric)

    def _ids(self, names: Sequence[Any]) -> list[Any]:
        """Names of series as they are, where `series_id` changes none of them."""
        if self.schema.id_kind == "integer":
            np.array(names, np.int64)  # overflows where one is not an id
            return list(names)
        joined = "\0".join(names)
        blank = not joined.isascii() or len(joined.split()) > 1 or joined[:1].isspace() or joined[-1:].isspace()
        if blank or not NULLS.isdisjoint(names) or max(map(len, names), default=0) > self.options.id_limit:
            raise _Odd
        return list(names)

    def _times(self, times: Sequence[Any]) -> Int64[np.ndarray, " N"]:
        if self.schema.time_kind == "integer":
            steps = np.array(times, np.int64)
            if not ((-LATEST < steps) & (steps < LATEST)).all():
                raise _Odd
            return steps
        if "" in times:
            raise _Odd
        moments = {text: self._time(text) for text in set(times)}
        return np.array([moments[text] for text in times], np.int64)

    # --- limits

    def _counted(self, columns: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        self._require_count(len(next(iter(columns.values()))))
        return columns

    def _require_count(self, count: int) -> None:
        if count > self.options.row_limit:
            raise TooLarge(
                f"{count:,} rows in one request, and it may have {self.options.row_limit:,}: send several requests"
            )

    def _require_short(self, name: str | int) -> None:
        if len(str(name)) > self.options.id_limit:
            raise DataError(
                f"the id {values.described(name)} has more than {self.options.id_limit} characters: give a shorter one"
            )

    def _listed(self, text: str) -> list[Any]:
        """The records of a document: a list of them, one, or an object of columns, taken apart.

        Raises:
            DataError: it is none of these.
        """
        document = parsed(text)
        if isinstance(document, DataError):
            return [document]
        if isinstance(document, list):
            return document
        if not isinstance(document, dict):
            raise DataError(f"{values.described(document)} is not a row: give an object, a list of them, or columns")
        keys = {self.schema.id, self.schema.time, *self.schema.target}
        if not any(isinstance(document.get(name), list) for name in keys if name):
            return [document]
        return self._taken_apart(document)

    def _taken_apart(self, document: Mapping[str, Any]) -> list[Any]:
        """Columns as records; a single value stands for all rows."""
        names = [*required(self.schema), *(item.name for item in self.schema.static), self.schema.id_column]
        columns = {name: document[name] for name in names if name in document}
        counts = {name: len(column) for name, column in columns.items() if isinstance(column, list)}
        count = max(counts.values())
        self._require_count(count)
        if len(set(counts.values())) > 1:
            sizes = ", ".join(f"{name!r} {size}" for name, size in counts.items())
            raise DataError(f"the columns have different numbers of values ({sizes}): give each as many")
        whole = {name: column if isinstance(column, list) else [column] * count for name, column in columns.items()}
        return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]


class _Odd(Exception):
    """A request that is not read by the column."""


class _PlainDecoder:
    """Decodes sound requests into columns: every value of its column's kind, no key twice, no covariates but numbers.

    A key comes twice where its name is in the text more often than there are rows; an escape could hide one.
    """

    def __init__(self, model: Model) -> None:
        schema = model.schema
        kinds: dict[str, Any] = {} if schema.id is None else {schema.id: {"text": str, "integer": int}[schema.id_kind]}
        if schema.time is not None:
            kinds[schema.time] = int if schema.time_kind == "integer" else str
        kinds |= {name: float | None for name in (*schema.target, *(item.name for item in schema.past))}
        self._able = not schema.known and all(item.kind == "numeric" for item in schema.past)
        self._names = list(kinds)
        self._quoted = [msgspec.json.encode(name) for name in kinds]
        # Columns that few requests have: static ones, and the series' names where the table had none.
        seldom = [item.name for item in schema.static] + ([schema.id_column] if schema.id is None else [])
        self._seldom = [msgspec.json.encode(name) for name in seldom]
        row = self._record(kinds)
        self._row, self._rows = msgspec.json.Decoder(row), msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        several = {name: list[kind] | kind for name, kind in kinds.items()}  # type: ignore[valid-type]
        self._table = msgspec.json.Decoder(self._record(several))

    def _record(self, kinds: Mapping[str, Any]) -> Any:
        fields = {f"f{n}": name for n, name in enumerate(kinds)}
        return msgspec.defstruct("Record", list(zip(fields, kinds.values(), strict=True)), rename=fields, gc=False)

    def decode(self, body: bytes, lines: bool) -> dict[str, Sequence[Any]]:
        """The columns of a request.

        Raises:
            _Odd, msgspec.MsgspecError, RecursionError: it is not sound in this sense.
        """
        if not self._able or b"\\" in body or any(name in body for name in self._seldom):
            raise _Odd
        if lines:
            return self._of_rows(self._row.decode_lines(body), body)
        if body[:1] == b"[":
            return self._of_rows(self._rows.decode(body), body)
        try:
            return self._of_rows([self._row.decode(body)], body)
        except msgspec.ValidationError:
            return self._of_table(msgspec.structs.astuple(self._table.decode(body)), body)

    def _of_rows(self, rows: Sequence[Any], body: bytes) -> dict[str, Sequence[Any]]:
        self._require_single(body, len(rows))
        columns = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else [()] * len(self._names)
        return dict(zip(self._names, columns, strict=True))

    def _of_table(self, columns: Sequence[Any], body: bytes) -> dict[str, Sequence[Any]]:
        self._require_single(body, 1)
        counts = {len(column) for column in columns if isinstance(column, list)}
        if len(counts) != 1:
            raise _Odd
        whole = (column if isinstance(column, list) else [column] * max(counts) for column in columns)
        return dict(zip(self._names, whole, strict=True))

    def _require_single(self, body: bytes, rows: int) -> None:
        if any(body.count(name) > rows for name in self._quoted):
            raise _Odd


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text (byte {error.start + 1}): send the rows as UTF-8") from error


def _of_lines(body: bytes) -> list[Any]:
    """The records of JSON lines; in place of a line that is none stands the error that says so."""
    splitter = LineSplitter()
    return [_of_line(line) for line in (*splitter.feed(body), *splitter.end()) if line.strip()]


def _of_line(line: bytes) -> Any:
    try:
        return parsed(_text(line))
    except DataError as error:
        return error
