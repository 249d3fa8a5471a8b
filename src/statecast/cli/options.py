"""What is typed, as settings and roles of columns: a TOML file, then `--set`, then options of their own, the last wins.

A TOML file holds settings at its top and may say in `[data]` which columns play which role, so that a whole fit is one
file. Every name is checked where it is read, so that an error can say which file it is in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from statecast.config import Config, read_toml
from statecast.errors import SettingError, nearest

STDIN = "\0"  # stands for "-" while options are told from arguments, for which it looks like an option


def _names(_: Any, tokens: tuple[Token, ...]) -> tuple[str, ...]:
    """`a b`, `a,b` and `--past a --past b` alike."""
    return tuple(name.strip() for token in tokens for name in token.value.split(",") if name.strip())


def _numbers(_: Any, tokens: tuple[Token, ...]) -> tuple[float, ...]:
    return tuple(_number(name) for name in _names(_, tokens))


def _share(_: Any, tokens: tuple[Token, ...]) -> float:
    return _number(tokens[0].value)


def _number(text: str) -> float:
    try:
        return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _path(_: Any, tokens: tuple[Token, ...]) -> str:
    return tokens[0].value.replace(STDIN, "-")


def _many(convert: Any) -> Parameter:
    return Parameter(converter=convert, consume_multiple=True, n_tokens=-1, negative=())


Names = Annotated[tuple[str, ...], _many(_names)]
Numbers = Annotated[tuple[float, ...] | None, _many(_numbers)]
Share = Annotated[float | None, Parameter(converter=_share, n_tokens=1)]
File = Annotated[str, Parameter(converter=_path, n_tokens=1)]
MaybeFile = Annotated[str | None, Parameter(converter=_path, n_tokens=1)]
Assignments = Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=True, negative=())]
ROLES = ("target", "id", "time", "past", "known", "static", "freq")
SOURCES = ("path", "example", "folder")
LISTS = ("target", "past", "known", "static")


@Parameter(name="*")
@dataclass(frozen=True)
class Columns:
    """Which columns of the table play which role."""

    target: Names = ()
    "columns to forecast; may be left out where only one can be meant"
    id: str | None = None
    "column that names the series"
    time: str | None = None
    "column of times; without one, rows are steps"
    past: Names = ()
    "covariates known up to now"
    known: Names = ()
    "covariates known ahead"
    static: Names = ()
    "covariates of a series"
    freq: str | None = None
    "what one step is, such as 1h or 1d; inferred from the times where left out"


@dataclass(frozen=True)
class FitRequest:
    """A fit as it was asked for: settings, arguments of `Forecaster.fit`, and the table where the file names one."""

    settings: dict[str, Any]
    roles: dict[str, Any]
    table: Any = None


def fit_request(
    columns: Columns | None,
    config: str | None,
    assignments: tuple[str, ...],
    horizon: int | None = None,
    test_size: float | None = None,
) -> FitRequest:
    """Settings and roles, each from where it is said last: file, `--set`, option.

    Raises:
        SettingError: a name that is unknown, or a value out of range.
    """
    settings, roles, table = _from_file(config) if config else ({}, {}, None)
    settings |= parse_assignments(assignments)
    settings |= {k: v for k, v in (("horizon", horizon), ("test_size", test_size)) if v is not None}
    roles |= {name: value for name, value in asdict(columns or Columns()).items() if value}
    Config.of(settings)
    return FitRequest(settings, roles, table)


def _from_file(path: str) -> tuple[dict[str, Any], dict[str, Any], Any]:
    values = read_toml(path)
    data = values.pop("data", {})
    if "case" in values:  # a case of the gallery, whose other sections say how it is measured
        values = {name: value for name, value in values.items() if name not in ("case", "tutorial")}
    if not isinstance(data, Mapping):
        raise SettingError(f"{path}: data = {data!r}: wanted a section [data] with {', '.join(ROLES)}")
    strange = next((name for name in data if name not in (*ROLES, *SOURCES)), None)
    if strange is not None:
        raise SettingError(f"{path}: [data] has no {strange!r}; {nearest(strange, (*ROLES, *SOURCES))}")
    try:
        Config.of(values)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error
    roles = {name: _role(path, name, value) for name, value in data.items() if name not in SOURCES}
    return values, roles, _table(path, {name: data[name] for name in SOURCES if name in data})


def _table(path: str, source: Mapping[str, Any]) -> Any:
    """The table that `[data]` names: a file, beside the TOML file, or one of the gallery's by `example`."""
    bad = next((name for name, value in source.items() if not isinstance(value, str)), None)
    if bad is not None or {"path", "example"} <= source.keys():
        raise SettingError(f"{path}: [data] wanted path or example, as text; got {dict(source)!r}")
    if "path" in source:
        return str(Path(path).parent / source["path"])
    if "example" in source:
        from statecast.gallery import series  # its tables are made with NumPy, which help and settings do without

        return series.make(source["example"], Path(path).parent / source.get("folder", "."))
    return None


def _role(path: str, name: str, value: Any) -> Any:
    if name in LISTS:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(items)
    elif isinstance(value, str):
        return value
    wanted = "a column or a list of columns" if name in LISTS else "a text"
    raise SettingError(f"{path}: [data] {name} = {value!r}: wanted {wanted}")


def parse_assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts of the command line as settings; a value is TOML, or plain text where that fails."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise SettingError(f"--set {pair!r}: wanted KEY=VALUE, for example --set hidden=[64,32]")
        values[key.strip()] = _toml_value(text.strip())
    return values


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
