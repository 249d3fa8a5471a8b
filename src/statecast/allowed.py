"""What a setting may be: checks that say what is required, whether a value meets it, and how it may also be spelled.

A check is a sentence for people and functions for programs, so that an error and the reference page say the same. What
people write for a value, such as `hidden=32` or `cell="LSTM"`, is an accepted spelling: `canonical` gives the one form
that is stored and that everything else reads. A value that no spelling covers is refused, never repaired.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field
from datetime import date, datetime
from typing import Any

from statecast.errors import SettingError, nearest


def _same(value: Any) -> Any:
    return value


def _silent(value: Any) -> str:
    return ""


@dataclass(frozen=True)
class Check:
    """What the value of a setting must be.

    Attributes:
        sentence: for people; a function where it can change, as the list of cells does.
        holds: whether a canonical value is allowed.
        canonical: an accepted spelling → the value that is stored; anything else as it came.
        hint: what to say of a value that is refused, beyond the sentence; empty where there is nothing.
    """

    sentence: str | Callable[[], str]
    holds: Callable[[Any], bool]
    canonical: Callable[[Any], Any] = _same
    hint: Callable[[Any], str] = _silent

    @property
    def requirement(self) -> str:
        """The sentence."""
        return self.sentence if isinstance(self.sentence, str) else self.sentence()


def setting(default: Any, help: str, check: Check) -> Any:
    """A field of a class of settings. A default of None means that the value is chosen from the data."""
    return field(default=default, metadata={"help": help, "check": check})


def canonical_value(spec: Field[Any], value: Any, label: str = "") -> Any:
    """The value of a setting from any accepted spelling of it.

    Args:
        spec: the setting's field.
        value: as it came.
        label: what the user knows the setting by; `name =` if empty.

    Raises:
        SettingError: the value is not allowed; says what is.
    """
    if value is None and spec.default is None:  # it is chosen from the data
        return None
    check: Check = spec.metadata["check"]
    form = check.canonical(_frozen(value))
    if not check.holds(form):
        parts = [f"{label or f'{spec.name} ='} {plain_value(form)!r}: expected {check.requirement}", check.hint(form)]
        raise SettingError("; ".join(filter(None, parts)))
    return form


def _frozen(value: Any) -> Any:
    """Lists as tuples, and numbers of array libraries as Python's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def plain_value(value: Any) -> Any:
    """A value as TOML and people write it: lists rather than tuples."""
    return list(value) if isinstance(value, tuple) else value


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_real(value: object) -> bool:
    """Whether a value is a number, and neither NaN nor true nor false."""
    return (_is_int(value) or isinstance(value, float)) and value == value


def whole(low: int, high: int = 2**31 - 1) -> Check:
    """A whole number in [low, high]."""
    top = "" if high == 2**31 - 1 else f" and at most {high}"
    return Check(f"a whole number of at least {low}{top}", lambda v: _is_int(v) and low <= v <= high)


def real(low: float, high: float = float("inf"), *, open_low: bool = False, open_high: bool = False) -> Check:
    """A number between low and high."""
    text = f"a number {'above' if open_low else 'of at least'} {low:g}"
    text += "" if high == float("inf") else f" and {'below' if open_high else 'at most'} {high:g}"
    return Check(
        text,
        lambda v: is_real(v) and (v > low if open_low else v >= low) and (v < high if open_high else v <= high),
    )


def one_of(names: Sequence[str], aliases: Mapping[str, str] | None = None, other: str = "") -> Check:
    """One of the names; capitals, and - in place of _, make no difference.

    Args:
        names: may grow later.
        aliases: other names that people use → the names they stand for.
        other: what to say of a name that is like none of them.
    """
    also = aliases or {}

    def canonical(value: Any) -> Any:
        if not isinstance(value, str) or value in names:
            return value
        folded = {_folded(name): name for name in (*also, *names)}
        name = folded.get(_folded(value), value)
        return also.get(name, name)

    def sentence() -> str:
        text = f"one of {', '.join(names)}"
        return text + "".join(f"; {alias} is {name}" for alias, name in also.items())

    return Check(
        sentence,
        lambda v: isinstance(v, str) and v in names,
        canonical,
        lambda v: _nearest(v, names) or other,
    )


def _nearest(value: Any, names: Sequence[str]) -> str:
    """The names that are like the value; the sentence lists all of them."""
    hint = nearest(value, names) if isinstance(value, str) else ""
    return hint if hint.startswith("did you mean") else ""


def _folded(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def many(item: Check, least: int = 0, most: int = 64) -> Check:
    """A list whose every item passes `item`; an item alone is a list of one."""

    def canonical(value: Any) -> Any:
        parts = value if isinstance(value, tuple) else (value,)
        parts = tuple(item.canonical(part) for part in parts)
        return parts if isinstance(value, tuple) or all(map(item.holds, parts)) else value

    return Check(
        f"a list of {least} to {most} items, each {item.requirement}, or one such item",
        lambda v: isinstance(v, tuple) and least <= len(v) <= most and all(item.holds(part) for part in v),
        canonical,
        lambda v: next(filter(None, map(item.hint, v if isinstance(v, tuple) else (v,))), ""),
    )


def either(*checks: Check) -> Check:
    """A value that passes one of the checks."""

    def canonical(value: Any) -> Any:
        forms = (check.canonical(value) for check in checks if check.holds(check.canonical(value)))
        return next(forms, value)

    return Check(
        lambda: ", or ".join(check.requirement for check in checks),
        lambda v: any(check.holds(v) for check in checks),
        canonical,
        lambda v: next(filter(None, (check.hint(v) for check in checks)), ""),
    )


def _share(value: Any) -> str:
    if is_real(value) and 0 < value < 1:
        return f"{value:g} looks like a share: write {100 * value:g} for {100 * value:g} %"
    return ""


_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\s+(\S.*?))?\s*", re.DOTALL)
_REGION = re.compile(r"[A-Za-z0-9]{2,8}(?:-[A-Za-z0-9 ]{1,32})?")
LARGEST_LIMIT = 1e100
LONGEST_NAME, MOST_DATES = 60, 1000  # characters of a holiday's name, and dates of a list


def date_and_name(text: str) -> tuple[str, str]:
    """The two parts of a date in text with a name behind it, such as "2024-12-25 Christmas Day".

    Raises:
        ValueError: it does not begin with a date.
    """
    match = _DATED.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} does not begin with a date")
    return date.fromisoformat(match[1]).isoformat(), match[2] or ""


def _is_dated(value: object) -> bool:
    try:
        name = date_and_name(value)[1] if isinstance(value, str) else None
        return name is not None and len(name) <= LONGEST_NAME and name.isprintable()
    except ValueError:
        return False


def _dated(value: Any, name: Any = "") -> Any:
    """A date and its name as one text; as it came where it is something else."""
    if isinstance(value, datetime):
        value = value.date() if value.time() == datetime.min.time() else value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, tuple) and len(value) == 2 and not name:
        return _dated(*value)
    if not isinstance(value, str) or not isinstance(name, str) or not _is_dated(f"{value} {name}".strip()):
        return (value, name) if name != "" else value
    return " ".join(filter(None, date_and_name(f"{value} {name}".strip())))


def _holidays(value: Any) -> Any:
    if isinstance(value, str):
        region, dash, part = value.strip().partition("-")
        return f"{region.upper()}{dash}{part}"
    if isinstance(value, Mapping):
        value = tuple(_dated(key, name) for key, name in value.items())
    return tuple(map(_dated, value)) if isinstance(value, tuple) else value


def _are_holidays(value: Any) -> bool:
    if isinstance(value, str):
        return _REGION.fullmatch(value) is not None
    items = value if isinstance(value, tuple) and all(map(_is_dated, value)) else ()
    dates = [date_and_name(item)[0] for item in items]
    return 0 < len(dates) <= MOST_DATES and len(set(dates)) == len(dates)


def _is_limit(value: object) -> bool:
    return is_real(value) and abs(float(value)) <= LARGEST_LIMIT  # type: ignore[arg-type]  # a number, as is_real says


BOOLEAN = Check("true or false", lambda v: isinstance(v, bool))
PERCENT = Check(
    "a number of at least 1 and below 100", lambda v: is_real(v) and 1 <= v < 100, hint=_share
)  # a share such as 0.9 is meant as 90, and nobody wants an interval that holds in less than 1 % of all cases
SHARE = Check(
    "a count of rows (0 or more) or a share above 0 and below 1",
    lambda v: whole(0).holds(v) or (isinstance(v, float) and 0 < v < 1),
)
RING = Check(
    "two numbers of at least 0 and below 1 in ascending order, the second above 0",
    lambda v: isinstance(v, tuple) and len(v) == 2 and all(map(is_real, v)) and 0 <= v[0] <= v[1] < 1 and v[1] > 0,
)
WEIGHTS = Check(
    "a mapping from classes to weights of at least 0",
    lambda v: isinstance(v, Mapping) and all(is_real(weight) and weight >= 0 for weight in v.values()),
)
HOLIDAYS = Check(
    'the code of a country, a part of it or an exchange, such as "DE", "DE-BY" or "NYSE", or a list of 1 to '
    f'{MOST_DATES} different dates, such as "2024-12-25 Christmas Day", or a table of dates and names',
    _are_holidays,
    _holidays,
)
LIMIT = Check(
    "a finite number, or a table of such numbers by target",
    lambda v: all(map(_is_limit, v.values())) and len(v) > 0 if isinstance(v, dict) else _is_limit(v),
    lambda v: {str(name): _frozen(limit) for name, limit in v.items()} if isinstance(v, Mapping) else v,
)
DROPPED = real(0, 1, open_high=True)
PATH = Check(
    "a folder's path",
    lambda v: isinstance(v, str) and v != "",
    lambda v: os.fspath(v) if isinstance(v, os.PathLike) else v,
)
