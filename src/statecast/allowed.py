"""What a setting may be: checks that say what is wanted, and whether a value is.

A check is a sentence for people and a function for programs, so that an error and the reference page say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """What a setting's value must be: a sentence for people, and a function that says whether it is."""

    told: str | Callable[[], str]
    holds: Callable[[Any], bool]

    @property
    def wanted(self) -> str:
        """The sentence."""
        return self.told if isinstance(self.told, str) else self.told()


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


def one_of(names: Sequence[str]) -> Check:
    """One of the given names."""
    return Check(lambda: f"one of {', '.join(names)}", lambda v: isinstance(v, str) and v in names)


def many(item: Check, least: int = 0, most: int = 64) -> Check:
    """A list whose every item passes `item`."""
    return Check(
        f"a list of {least} to {most} items, each {item.wanted}",
        lambda v: isinstance(v, tuple) and least <= len(v) <= most and all(item.holds(part) for part in v),
    )


def either(*checks: Check) -> Check:
    """A value that passes one of the checks."""
    return Check(", or ".join(c.wanted for c in checks), lambda v: any(c.holds(v) for c in checks))


BOOLEAN = Check("true or false", lambda v: isinstance(v, bool))
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
DROPPED = real(0, 1, open_high=True)
PATH = Check("a folder's path, as text", lambda v: isinstance(v, str) and v != "")
