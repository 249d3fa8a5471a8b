"""Every exception that statecast raises on purpose.

    StatecastError
    ├── DataError              a table that cannot be used: names file, column and row
    │   ├── TooFewRows         a table in which no series has enough rows
    │   ├── UnknownSeries      a series that this panel, model or stream does not hold
    │   ├── RowsRejected       rows of a request that the server refused; the others count
    │   └── WrongType          a value that is neither a number, a string nor a time
    ├── SettingError           a setting, option or argument that is unknown or out of range
    ├── NotFitted              a result was asked of an estimator before `fit`
    ├── ModelFileError         a model, stream or checkpoint file that cannot be read or written
    │   ├── NewerFormat        written by a later statecast than this one
    │   └── UnknownCell        needs a custom cell that no imported module registers
    ├── OutputError            an output folder or file that exists, or cannot be written
    ├── TimeOrderError         an observation that is not after its series' last one
    ├── NotOwner               a series, or shards of a store, that another server holds; names its address
    ├── StreamBusy             a stream was called by a signal handler in the middle of a change
    ├── TooLarge               a request with more bytes, rows or series than one may have
    ├── Overloaded             a server that has as much work waiting as it may hold: says when to try again
    │   └── NotReady           a server that is still reading its store, or has stopped
    ├── Unreachable            a server that does not answer, however often it is asked
    ├── AccessDenied           a token that the server does not accept, or not for this
    ├── ServerError            an answer of a server that cannot be used
    ├── TrainingError          the fit could not go on, e.g. the loss is not finite
    ├── Interrupted            Ctrl-C during `fit`; the checkpoint is kept
    └── MissingDependency      an extra that is not installed; names the install command

Each message says what came, what was expected and what to do. The built-in exception that a Python user
would expect (ValueError, KeyError, TypeError, ImportError) is a base as well, so that generic handlers work.
This module imports nothing of statecast.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any


class StatecastError(Exception):
    """Base of all exceptions that statecast raises on purpose.

    Example:
        >>> try:
        ...     sc.Forecaster(horizon=0)
        ... except sc.StatecastError as error:
        ...     print(error)
        horizon = 0: expected a whole number of at least 1 and at most 10000
    """

    def __str__(self) -> str:
        # KeyError would print the repr of its argument; a message is for people.
        return " ".join(str(part) for part in self.args)


class DataError(StatecastError, ValueError):
    """A table or array that cannot be used."""


class TooFewRows(DataError):
    """A table in which no series has enough rows."""


class UnknownSeries(DataError, KeyError):
    """A series id that is not known here."""


class RowsRejected(DataError):
    """Rows of a request that the server refused; all others count.

    Attributes:
        errors: why, by the number of the row; the first thousand of them where there are many.
        forecast: the forecasts of the other rows, where they were asked for.
    """

    errors: Mapping[int, str] = {}
    forecast: Any = None

    @classmethod
    def of(cls, errors: Mapping[int, str], rows: int, forecast: Any = None, count: int | None = None) -> RowsRejected:
        """The error for `count` of `rows` rows."""
        number, reason = next(iter(errors.items()))
        more = len(errors) if count is None else count
        error = cls(f"{more:,} of {rows:,} rows were rejected, the first of them row {number}: {reason}")
        error.errors, error.forecast = errors, forecast
        return error


class WrongType(DataError, TypeError):
    """A value of a type that no column can hold."""


class SettingError(StatecastError, ValueError):
    """A setting, option or argument that is unknown or out of range."""


class NotFitted(StatecastError, ValueError, AttributeError):
    """A result was asked of an estimator before `fit`."""


class ModelFileError(StatecastError, ValueError):
    """A model, stream or checkpoint file that cannot be used."""


class NewerFormat(ModelFileError):
    """A file that a later version of statecast wrote."""


class UnknownCell(ModelFileError):
    """A file that needs a custom cell, which no imported module registers."""


class OutputError(StatecastError, OSError):
    """An output folder or file that exists already or cannot be written."""


class TimeOrderError(StatecastError, ValueError):
    """An observation whose time is not after its series' last."""


class NotOwner(StatecastError, LookupError):
    """A series, or shards of a store, that another server holds.

    Attributes:
        address: of that server; None where it is not known.
        shards: which shards of the store.
    """

    def __init__(self, message: str, address: str | None = None, shards: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.address: str | None = address
        self.shards: frozenset[int] = shards


class StreamBusy(StatecastError, RuntimeError):
    """A stream that was called while the same thread was changing it."""


class TooLarge(StatecastError, ValueError):
    """A request with more bytes, rows or series than one may have."""


class Overloaded(StatecastError, RuntimeError):
    """A server that already has as much work waiting as it may hold.

    Attributes:
        retry_after: seconds after which it is worth trying again.
    """

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(Overloaded):
    """A server that is still reading its store, or has stopped."""


class Unreachable(StatecastError, ConnectionError):
    """A server that did not answer a request."""


class AccessDenied(StatecastError, PermissionError):
    """A token that a server does not accept."""


class ServerError(StatecastError, RuntimeError):
    """An answer of a server that cannot be used."""


class TrainingError(StatecastError, RuntimeError):
    """A fit that could not go on."""


class Interrupted(StatecastError):
    """A fit that the user interrupted; its checkpoint is kept."""


class MissingDependency(StatecastError, ImportError):
    """A package that is not installed, and the extra that brings it."""

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> MissingDependency:
        """The error for `package`, which `pip install 'statecast[extra]'` brings."""
        return cls(f"{purpose} needs {package}, which is not installed: pip install 'statecast[{extra}]'")


def nearest(name: object, known: Iterable[object], label: str = "did you mean") -> str:
    """A hint with the known names nearest to `name`, or else the first of them."""
    names = [str(item) for item in known]
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    if close:
        return f"{label} {' or '.join(repr(item) for item in close)}?"
    return f"known: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "there are none"


def shortened(value: object) -> str:
    """A value for an error message: its repr, or the beginning of a long or deep one."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 3
