"""The rows of a live stream as text: JSON objects, one on a line, or lines of CSV after a header.

The first line tells which. Keys are the columns of the training table; other keys are passed over, as columns without a
role are in a table. A column that the model needs must be there: null, or an empty field, is how a value is missing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statecast.data.schema import Covariate, Schema
from statecast.data.timetext import NULLS
from statecast.data.values import number_of
from statecast.errors import DataError, nearest

SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True)
class LiveRow:
    """One row, as `Stream.observe` takes it."""

    id: str | int
    value: dict[str, Any]
    time: Any
    past: dict[str, Any] | None
    known: dict[str, Any] | None
    static: dict[str, Any] | None


class RowReader:
    """Reads row after row.

    Attributes:
        begun: whether it is known how rows are written.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema, self.begun = schema, False
        self._header: list[str] | None = None
        self._separator = ","

    def read(self, line: bytes) -> LiveRow | None:
        """The row of a line; None for a blank line and for the header.

        Raises:
            DataError: it is no row, or a column is missing.
        """
        try:
            text = line.decode("utf-8-sig" if not self.begun else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError(f"not UTF-8 text (byte {error.start + 1}): convert the rows to UTF-8") from error
        if not text:
            return None
        if not self.begun and not text.startswith("{"):
            self._begin(text)
            return None
        self.begun = True
        return self._row(_object(text) if self._header is None else self._fields(text, self._header))

    def _begin(self, text: str) -> None:
        """Take the header of CSV rows."""
        for separator in SEPARATORS:
            names = [name.strip() for name in next(csv.reader([text], delimiter=separator))]
            if self.schema.target[0] in names:
                twice = next((name for name in names if names.count(name) > 1), None)
                if twice is not None:
                    raise DataError(f"the header names the column {twice!r} twice: give each a name of its own")
                self._require(names)
                self._header, self._separator, self.begun = names, separator, True
                return
        wanted = ", ".join(self.schema.columns)
        raise DataError(f"{text[:60]!r} is neither JSON nor a CSV header with the columns {wanted}: begin with either")

    def _require(self, names: Sequence[str]) -> None:
        needed = [name for name in (self.schema.id, self.schema.time) if name]
        needed += [*self.schema.target, *(item.name for item in (*self.schema.past, *self.schema.known))]
        for name in needed:
            if name not in names:
                raise DataError(f"there is no column {name!r}; {nearest(name, names)}")

    def _fields(self, text: str, header: list[str]) -> dict[str, Any]:
        fields = next(csv.reader([text], delimiter=self._separator))
        if len(fields) != len(header):
            raise DataError(f"{len(fields)} fields where the header has {len(header)}: correct the line")
        kinds = {item.name: item for item in (*self.schema.past, *self.schema.known, *self.schema.static)}
        return {name: self._value(name, text.strip(), kinds) for name, text in zip(header, fields, strict=True)}

    def _value(self, name: str, text: str, kinds: Mapping[str, Covariate]) -> Any:
        """A field as what its column holds."""
        if text in NULLS and name not in (self.schema.id, self.schema.time):
            return None
        numeric = name in self.schema.target or (name in kinds and kinds[name].kind == "numeric")
        found = number_of(text) if numeric else None
        return text if found is None else found

    def _row(self, row: dict[str, Any]) -> LiveRow:
        schema = self.schema
        self._require(list(row))
        alone = schema.target[0] if len(schema.target) == 1 else "series"
        name = row.get(schema.id_column, alone)
        if name is None or isinstance(name, bool | float | list | dict) or name == "":
            raise DataError(f"the id {name!r} names no series: give a text or a whole number")
        return LiveRow(
            name,
            {target: row[target] for target in schema.target},
            self._time(row),
            {item.name: row[item.name] for item in schema.past} if schema.past else None,
            {item.name: _listed(row[item.name]) for item in schema.known} if schema.known else None,
            self._static(row),
        )

    def _static(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Needed by a new series alone; a row either has all of them or none."""
        names = [item.name for item in self.schema.static]
        return {name: row[name] for name in names if name in row} if any(name in row for name in names) else None

    def _time(self, row: Mapping[str, Any]) -> Any:
        if self.schema.time is None:
            return None
        time = row[self.schema.time]
        whole = isinstance(time, str) and time.strip().removeprefix("-").isdecimal()
        if time is None or time == "":
            raise DataError(f"{self.schema.time}: a time is missing")
        return int(time) if whole and self.schema.time_kind == "integer" else time


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"not JSON ({error}): give one object on a line") from error
    if not isinstance(found, dict):
        raise DataError(f'{text[:40]!r} is no JSON object: give one on each line, such as {{"column": 1.5}}')
    return found


def _listed(value: Any) -> list[Any]:
    """Columns known ahead hold a list: this step's value and those of the next ones."""
    return value if isinstance(value, list) else [value]
