"""Which column plays which role: as the caller says, and otherwise where there is only one possible answer.

The target is the only number column without another role, the time the only column of dates. If several are possible,
nothing is guessed: the error names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from statecast.data.tabular.table import Table
from statecast.data.values import described
from statecast.errors import DataError, SettingError, nearest


@dataclass(frozen=True)
class Roles:
    """Which column is what.

    Attributes:
        target: the columns to forecast; None for the only numeric column that has no other role.
        id: the column that names the series.
        time: the column of times; None for the only column of dates that has no other role, if there is one; "" for
            none, so that rows are steps.
        past: covariates known up to now.
        known: covariates known ahead.
        static: covariates of a series.
        freq: what one step is; None to infer it.
        weight: the column that says how much each row counts in training; None where all count alike.
    """

    target: tuple[str, ...] | None = None
    id: str | None = None
    time: str | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    freq: str | None = None
    weight: str | None = None

    @classmethod
    def of(
        cls,
        target: str | Sequence[str] | None = None,
        id: str | None = None,
        time: str | None = None,
        past: str | Sequence[str] | None = None,
        known: str | Sequence[str] | None = None,
        static: str | Sequence[str] | None = None,
        freq: str | None = None,
        weight: str | None = None,
    ) -> Roles:
        """From single names or sequences of names.

        Raises:
            SettingError: what should be a name is none.
        """
        for role, name in (("id", id), ("time", time), ("weight", weight)):
            if name is not None:
                _require_text(role, name)
        return cls(
            _names("target", target) or None,
            id,
            time,
            _names("past", past),
            _names("known", known),
            _names("static", static),
            freq,
            weight,
        )


def _names(role: str, value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    names = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    for name in names:
        _require_text(role, name)
    return names


def _require_text(role: str, name: object) -> None:
    if not isinstance(name, str):
        label = f": a column that is labelled {name!r} is named '{name}'" if isinstance(name, (int, np.integer)) else ""
        raise SettingError(f"{role} = {described(name)}: expected a string{label}")


def resolved(table: Table, roles: Roles) -> Roles:
    """Roles of columns that are there, each in one role only, with a target, and with a time if there is any.

    What is chosen by looking is written down in `table.reasons`.

    Raises:
        DataError: a column is not there; no target was named, or no time, and several could be meant.
        SettingError: a column has two roles.
    """
    keyed = [name for name in (roles.id, roles.time, roles.weight) if name]
    others = [*keyed, *roles.past, *roles.known, *roles.static]
    require_columns(table, [*(roles.target or ()), *others])
    taken = {*(roles.target or ()), *others}
    default = table.default_target if not roles.target and not others else None
    looked_for = roles.time is None or not (roles.target or default)
    looks = {name: table.looks(name) for name in table.names if name not in taken} if looked_for else {}
    time = roles.time
    if time is None:
        time = _only_time(table, [name for name, look in looks.items() if look.dates])
        others = [time, *others] if time else others
    numeric = [name for name, look in looks.items() if look.numbers and name != time]
    target = roles.target or (default if not others else None) or _only_target(table, numeric)
    every = [*target, *others]
    twice = next((name for index, name in enumerate(every) if name in every[:index]), None)
    if twice is not None:
        known_roles = "target, id, time, past, known, static, weight"
        raise SettingError(f"the column {twice!r} has two roles: give it one of {known_roles}")
    return replace(roles, target=target, time=time or None)


def require_columns(table: Table, names: Sequence[str]) -> None:
    """Raise an error if the table lacks one of these columns."""
    for name in names:
        if not table.has(name):
            raise DataError(f"{table.origin} has no column {name!r}: {nearest(name, table.names)}")


def _only_time(table: Table, dates: Sequence[str]) -> str | None:
    """The only column of dates without a role, or None if there is none."""
    if not dates:
        return None
    if len(dates) > 1:
        raise DataError(
            f"{table.origin}: the columns {', '.join(map(repr, dates[:10]))} hold dates, and which of them is the time "
            "of a row was not said: pass time='…', or time='' to count rows as steps"
        )
    index = "the index of the frame" if dates[0] == table.index else f"the column {dates[0]!r}"
    table.reasons["time"] = f"{index} alone holds dates, so it is the time of the rows"
    return dates[0]


def _only_target(table: Table, free: Sequence[str]) -> tuple[str, ...]:
    """The only numeric column without a role."""
    if len(free) == 1:
        return (free[0],)
    state = f"its numeric columns without a role are {_listed(free)}" if free else "no numeric column is without a role"
    raise DataError(f"{table.origin}: no target was named, and {state} (all: {_listed(table.names)}): pass target='…'")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f", … ({len(names):,} in all)" if len(names) > 20 else "")
