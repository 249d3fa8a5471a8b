"""Rows of one request: how they go out, and what came of each of them when they are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statecast.errors import DataError, ServerError, TooLarge
from statecast.server.client import link
from statecast.server.client.remote import RowResult

TOO_LARGE = 413


@dataclass(frozen=True, eq=False)
class Parcel:
    """Rows of one request, as they go out each time that they are sent.

    Attributes:
        records: the rows.
        body: the request.
        key: under which they count once; None where series and time tell.
    """

    records: Sequence[Mapping[str, Any]]
    body: bytes
    key: str | None


def encoded(records: Sequence[Mapping[str, Any]]) -> bytes:
    """A lone row as an object, several as an object of columns, or as a list where they have different columns."""
    if len(records) == 1:
        return json_of(records[0])
    names = list(records[0]) if records else []
    if all(list(record) == names for record in records):
        return json_of({name: [record[name] for record in records] for name in names})
    return json_of(list(records))


def json_of(value: Any) -> bytes:
    """A value as JSON; what NumPy holds becomes numbers.

    Raises:
        DataError: JSON cannot hold it.
    """
    _, json = link.require_libraries()
    try:
        body: bytes = json.encode(value, enc_hook=_plain)
    except (TypeError, OverflowError) as error:
        raise DataError(f"a value that cannot be sent: {error}") from error
    return body


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is neither a number, a string nor a time")


def results_of(answer: Any, size: int) -> list[RowResult]:
    """What came of each row of a request."""
    value = link.document(answer) if answer.status_code < 500 else None
    items = value.get("results") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise (TooLarge if answer.status_code == TOO_LARGE else DataError)(link.complaint(answer))
    if len(items) != size:
        raise ServerError(f"the server answered {len(items)} rows where {size} were sent")
    return [RowResult.of(item) for item in items]
