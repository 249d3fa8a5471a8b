"""What counts as a number, a flag, a category, the name of a series or a time: one grammar for every reader.

Tables are read by the column and streams by the value; both ask here what a single text, number or date means. Common
values are handled first in each function, since a stream reads a row in a few microseconds.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.data import calendar, timetext, zones
from statecast.data.schema import Covariate, IdKind, Schema
from statecast.data.timetext import NULLS
from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Int64

LARGEST = 1e18  # the square of a larger number leaves float32
INT64 = 1 << 63
LATEST = 1 << 62  # two whole-number times below it differ by no more than int64 holds
FIRST_DAY, LAST_DAY = -719_162 * zones.DAY, 2_932_897 * zones.DAY  # the years 1 to 9999, as Python's dates have them
FLAG = ("false", "true")
NUMBERS = (int, float, np.floating, np.integer)
RAW = (bytes, bytearray, memoryview)  # strings that nobody has decoded
_SHOWN = 80
_WHOLE = re.compile(r"[+-]?[0-9]+")
# What `datetime.fromisoformat` reads as `timetext` does; it reads more, such as weeks, which tables do not.
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_WALL_EPOCH = datetime(1970, 1, 1)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, or a data frame's sign for a missing value, which does not equal itself."""
    if value is None:
        return True
    if type(value) is float:
        return value != value
    try:
        equal = value == value
    except ArithmeticError:  # a signaling NaN of decimal
        return True
    return not equal if isinstance(equal, bool | np.bool_) else getattr(equal, "ndim", 0) == 0


def described(value: Any) -> str:
    """A value for messages, cut short; the `repr` of some values is very long or fails."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of too many digits, lists nested too deeply
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _decoded(value: bytes | bytearray | memoryview) -> str:
    """Bytes as text."""
    return bytes(value).decode("utf-8", "replace")


def is_collection(value: Any) -> bool:
    """Whether a value is several, such as a list or a set, and so is neither a number, a string nor a time."""
    return isinstance(value, Collection) and not isinstance(value, (str, *RAW))


def lone_series(target: Sequence[str]) -> str:
    """The name of the only series in a table without ids."""
    return target[0] if len(target) == 1 else "series"


# --- numbers -----------------------------------------------------------------------------------------------------


def number_of(text: str) -> float | None:
    """The number that a string represents, or None."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _number_or_flag(text: str) -> float | None:
    """The number that a string represents, or None: "true" and "false" are 1 and 0, and signs for "missing" are NaN."""
    result = number_of(text)
    if result is not None:
        return result
    text = text.strip()
    if text in NULLS:
        return np.nan
    return float(FLAG.index(text.lower())) if text.lower() in FLAG else None


def real(value: Any) -> float | None:
    """Any value as a number: NaN if it is missing, infinite if a float cannot hold it, None if it is not a number."""
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return None
        value = value.reshape(-1)[0]
    if isinstance(value, RAW):
        value = _decoded(value)
    if isinstance(value, str):
        return _number_or_flag(value)
    if isinstance(value, (date, np.datetime64, np.timedelta64, np.complexfloating)):  # NumPy would cut a part off
        return np.nan if is_missing(value) else None
    if is_missing(value):
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def reals(items: Sequence[Any], kinds: Collection[type]) -> list[float] | None:
    """Objects of these types as numbers, those that are None as NaN; None where one of them is not a number.

    A string or a flag is none here: a column of them holds categories, even where all of them read as numbers.
    """
    if any(issubclass(kind, (str, *RAW, bool, np.bool_)) or is_moment(kind) for kind in kinds):
        return None
    if set(kinds) <= {int, float} and not any(type(item) is int and abs(item) > INT64 for item in items):
        return [np.nan if item is None else item for item in items]
    numbers = [np.nan if item is None else real(item) for item in items]
    return [item for item in numbers if item is not None] if None not in numbers else None


def number(value: Any, name: str) -> float:
    """A number that a network can take; NaN where it is missing.

    Args:
        value: a number, a flag, a string that states one, or None.
        name: what it is, for messages.

    Raises:
        DataError: no number, ±inf, or more than 1e18.
    """
    if type(value) is float and -LARGEST <= value <= LARGEST:
        return value
    result = real(value)
    if result is None:
        raise DataError(f"{name}: {described(value)} is not a number: correct it, or leave it empty if it is missing")
    if -LARGEST <= result <= LARGEST or result != result:
        return result
    if isinstance(value, int):
        raise DataError(f"{name}: {described(value)} cannot be used: values beyond {LARGEST:g} need rescaling")
    raise too_large(name, result)


def too_large(name: str, value: float) -> DataError:
    """The error for a number beyond the limits."""
    remedy = "leave it empty if it is missing" if np.isinf(value) else f"values beyond {LARGEST:g} need rescaling"
    return DataError(f"{name}: {value:g} cannot be used: {remedy}")


def whole(value: Any) -> int | None:
    """Any value as a whole number, or None if it is not one."""
    if type(value) is int:
        return value
    if isinstance(value, RAW):
        value = _decoded(value)
    if isinstance(value, str):
        return int(value) if len(value) < 400 and _WHOLE.fullmatch(value := value.strip()) else None
    if isinstance(value, (bool, np.bool_, date, np.datetime64, np.timedelta64)):
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    result = real(value)
    return int(result) if result is not None and np.isfinite(result) and result % 1 == 0 else None


# --- names of series, categories ---------------------------------------------------------------------------------


def label(value: Any) -> str:
    """A value as the text of a category or a name: whole numbers without a fraction, flags as "true" and "false"."""
    if isinstance(value, RAW):
        value = _decoded(value)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (bool, np.bool_)):
        return FLAG[bool(value)]
    if isinstance(value, (float, np.floating)) and np.isfinite(value) and value % 1 == 0:
        return str(int(value))
    return str(value)


def labels(items: Sequence[Any]) -> tuple[Int64[np.ndarray, " rows"], list[str]]:
    """Objects as codes, -1 for None, and the strings that they stand for, in the order in which they come."""
    index: dict[str, int] = {}
    texts = (item if item is None or type(item) is str else label(item) for item in items)
    codes = [-1 if text is None else index.setdefault(text, len(index)) for text in texts]
    return np.array(codes, np.int64), list(index)


def is_unicode(text: str) -> bool:
    """Whether a string can be written to a file; half a character, which broken JSON can contain, cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def series_id(value: Any, kind: IdKind) -> str | int:
    """The name of a series, as a string or an integer like the ids that the model was fitted with.

    Raises:
        DataError: it is missing, neither a string nor a whole number, or of the other kind.
    """
    if isinstance(value, RAW):
        value = _decoded(value)
    if isinstance(value, str):
        name: str | int | None = value.strip()
        if name in NULLS:
            raise DataError(f"the id {described(value)} names no series: give a string or a whole number")
        if not is_unicode(value):
            raise DataError(f"the id {described(value)} is not sound Unicode text: correct it")
    else:
        name = whole(value)
        if name is None or not -INT64 <= name < INT64:
            raise DataError(f"the id {described(value)} names no series: give a string or a whole number")
    if kind == "text":
        return str(name)
    number = whole(name)
    if number is None or not -INT64 <= number < INT64:
        raise DataError(f"the id {described(value)} is not a whole number, as the ids of this model are")
    return number


def series_ids(values: Sequence[Any], kind: IdKind) -> tuple[Any, ...]:
    """`series_id` of each; strings that are names as they stand, as nearly all are, are looked at all at once."""
    if kind == "text" and set(map(type, values)) == {str} and all(map(str.isascii, values)):
        names = tuple(map(str.strip, values))
        if NULLS.isdisjoint(names):
            return names
    return tuple(series_id(value, kind) for value in values)


def category_of(text: str, categories: Sequence[str]) -> float:
    """The index of a label among categories; NaN if it is none of them."""
    if tuple(categories) == FLAG:
        text = {"0": "false", "1": "true"}.get(text, text.lower())
    if text not in categories and text in FLAG:  # a column that held other strings beside flags keeps their spelling
        text = next((item for item in categories if item.lower() == text), text)
    return float(categories.index(text)) if text in categories else np.nan


def features(covariate: Covariate, value: Any) -> list[float]:
    """The features of one value of a covariate: the number, or 1 for its category and 0 for others; NaN if missing.

    A category that the model has not seen is missing, with a warning.

    Raises:
        DataError: no number where one is wanted, or a date.
    """
    if covariate.kind == "numeric":
        return [number(value, covariate.name)]
    categories = covariate.categories
    if isinstance(value, (date, np.datetime64)) and not is_missing(value):
        raise DataError(f"{covariate.name}: {described(value)} is a date, but the model was fitted with strings")
    if is_collection(value):
        raise DataError(f"{covariate.name}: {described(value)} is not a category: give one value")
    if is_missing(value) or (text := label(value)) in NULLS:
        return [np.nan] * len(categories)
    index = category_of(text, categories)
    if index != index:
        warnings.warn(
            f"{covariate.name}: the model has not seen the category {described(text)}; it is treated as missing",
            UserWarning,
            stacklevel=2,
        )
        return [np.nan] * len(categories)
    return [float(index == n) for n in range(len(categories))]


# --- times -------------------------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """A date or time.

    Attributes:
        microseconds: since 1970, of the instant where there is a zone, of the clock's reading elsewhere.
        tz: the name of its zone, or None.
        is_date: whether it is a day without a time.
    """

    microseconds: int
    tz: str | None
    is_date: bool


def is_moment(kind: type) -> bool:
    """Whether `moment` reads values of this type."""
    return issubclass(kind, (date, np.datetime64)) or hasattr(kind, "to_timestamp")


def moment(value: Any) -> Moment | None:
    """A datetime, date, datetime64 or pandas Period as a moment; None for anything else."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return Moment((value - _WALL_EPOCH) // zones.MICROSECOND, None, False)
        return Moment((value.astimezone(UTC) - zones.EPOCH) // zones.MICROSECOND, _zone_name(value), False)
    if isinstance(value, date):
        return Moment((value.toordinal() - date(1970, 1, 1).toordinal()) * zones.DAY, None, True)
    if isinstance(value, np.datetime64):
        is_date = np.datetime_data(value.dtype)[0] in "YMWD"
        try:
            in_range = 1 <= int(value.astype("M8[Y]").astype(np.int64)) + 1970 <= 9999  # else microseconds may overflow
        except OverflowError:  # attoseconds, of which NumPy cannot say the year
            return None
        return Moment(int(value.astype("M8[us]").astype(np.int64)) if in_range else LAST_DAY, None, is_date)
    if hasattr(value, "to_timestamp"):  # a period of pandas begins at its first moment
        start = moment(value.to_timestamp())
        return start and Moment(start.microseconds, None, start.microseconds % zones.DAY == 0)
    return None


def _zone_name(value: datetime) -> str:
    """The name of a datetime's zone, or its offset if the zone has no name."""
    name = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
    return zones.canonical(str(name or value.strftime("%z")))


def time(value: Any, schema: Schema, last: int | None = None) -> int:
    """A time as a Panel holds it, from anything that a column of times may contain.

    Args:
        value: a datetime, a date, a datetime64, a string, or a whole number where the model's times are whole numbers.
            A datetime64 has no zone: where the model's times have one, it is UTC, as `Forecast.stamps` gives it.
        schema: what times are.
        last: the last time of the same series; it tells a day that begins at 01:00, because clocks jumped over
            midnight, from one that is an hour late.

    Raises:
        DataError: no time, one beyond all limits, or one with a zone where the model's have none, or the reverse.
    """
    if schema.time_kind in ("integer", "row"):
        step = whole(value)
        if step is None:
            raise _no_time(schema, value, "this model's times are whole numbers")
        if not -LATEST < step < LATEST:
            raise _no_time(schema, value, "whole-number times lie between -2^62 and 2^62")
        return step
    if isinstance(value, RAW):
        value = _decoded(value)
    stamp = _of_text(value, schema) if isinstance(value, str) else None if is_missing(value) else moment(value)
    if stamp is None and is_missing(value):
        raise _no_time(schema, value, "every row needs one")
    if stamp is None:
        raise _no_time(
            schema, value, "give a datetime, a datetime64 or a string such as 2024-01-31 or 2024-01-31 12:00:00"
        )
    micros, tz, _ = stamp
    if (tz is None) != (schema.tz is None) and not isinstance(value, np.datetime64):
        state, remedy = ("without", f"in {schema.tz}") if schema.tz else ("with", "without one")
        raise _no_time(schema, value, f"it comes {state} a time zone, and this model's times are {remedy}")
    if not FIRST_DAY <= micros < LAST_DAY:
        raise _no_time(schema, value, "dates lie between the years 1 and 9999")
    return calendar.from_instant(micros, schema.frequency, schema.tz, last) if schema.tz else micros


def _of_text(text: str, schema: Schema) -> Moment:
    """A string as a moment, by the grammar of whole columns; ISO strings take a short cut."""
    if _ISO.fullmatch(text):
        return _of_iso(text, schema)
    if text.strip() in NULLS:
        raise _no_time(schema, text, "every row needs one")
    if len(text) > _SHOWN:
        raise _no_time(schema, text, "a time is no longer than that")
    try:
        micros, zoned, is_date = timetext.single(text, schema.day_first)
    except timetext.Unreadable as error:
        raise _no_time(schema, text, error.reason) from None
    return Moment(micros, "UTC" if zoned else None, is_date)


def _of_iso(text: str, schema: Schema) -> Moment:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise _no_time(schema, text, "no such day or time: write it as YYYY-MM-DD HH:MM:SS") from None
    if value.tzinfo is None:
        return Moment((value - _WALL_EPOCH) // zones.MICROSECOND, None, len(text) == 10)
    return Moment((value - zones.EPOCH) // zones.MICROSECOND, "UTC", False)


def _no_time(schema: Schema, value: Any, remedy: str) -> DataError:
    return DataError(f"{schema.time or 'time'}: {described(value)} cannot be used: {remedy}")
