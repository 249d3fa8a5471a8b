"""Settings and the roles of columns, from a TOML file, `--set` and options; a later one of these overrides an earlier.

A TOML file holds settings at its top and may say in `[data]` which columns play which role, so that a whole fit can be
one file. Every name is checked where it is read, so that an error can name the file.
"""

from __future__ import annotations

import glob
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from statecast.cli.cell_modules import cell_named
from statecast.config import Config, canonical, read_toml
from statecast.errors import SettingError, nearest

STDIN = "\0"  # stands for "-", which would look like an option, while the command line is parsed


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


def _count(_: Any, tokens: tuple[Token, ...]) -> int:
    text = tokens[0].value.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,4000}", text):  # cyclopts would round 1.5
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _path(_: Any, tokens: tuple[Token, ...]) -> str:
    return _named(tokens[0].value.replace(STDIN, "-"), "file")


def _paths(_: Any, tokens: tuple[Token, ...]) -> tuple[str, ...]:
    return tuple(_named(token.value.replace(STDIN, "-"), "file") for token in tokens)


def _folder(_: Any, tokens: tuple[Token, ...]) -> str:
    if tokens[0].value == STDIN:
        raise ValueError("'-' is standard input, which cannot be a folder")
    return _named(tokens[0].value, "folder")


def _named(path: str, kind: str) -> str:
    """A path; an empty one, such as a shell makes of a variable that is not set, would be the current folder."""
    if not path.strip():
        raise ValueError(f"{path!r} is not the name of a {kind}")
    return path


def _several(convert: Any, metavar: str) -> Parameter:
    return Parameter(converter=convert, consume_multiple=True, n_tokens=-1, negative=(), metavar=metavar)


Files = Annotated[tuple[str, ...], Parameter(converter=_paths, n_tokens=1, negative=(), metavar="FILE")]
Names = Annotated[tuple[str, ...], _several(_names, "COL…")]
Name = Annotated[str | None, Parameter(metavar="COL")]
Text = Annotated[str | None, Parameter(metavar="TEXT")]
Numbers = Annotated[tuple[float, ...] | None, _several(_numbers, "PERCENT…")]
Count = Annotated[int, Parameter(converter=_count, n_tokens=1, metavar="N")]
MaybeCount = Annotated[int | None, Parameter(converter=_count, n_tokens=1, metavar="N")]
Preset = Annotated[str | None, Parameter(metavar="fast|best")]
Share = Annotated[float | None, Parameter(converter=_share, n_tokens=1, metavar="N|SHARE")]
Rate = Annotated[float | None, Parameter(converter=_share, n_tokens=1, metavar="RATE")]
Minutes = Annotated[float | None, Parameter(converter=_share, n_tokens=1, metavar="MINUTES")]
Seconds = Annotated[float, Parameter(converter=_share, n_tokens=1, metavar="SECONDS")]
Folder = Annotated[str, Parameter(converter=_folder, n_tokens=1, metavar="DIR")]
MaybeFolder = Annotated[str | None, Parameter(converter=_folder, n_tokens=1, metavar="DIR")]
File = Annotated[str, Parameter(converter=_path, n_tokens=1, metavar="FILE")]
MaybeFile = Annotated[str | None, Parameter(converter=_path, n_tokens=1, metavar="FILE")]
Assignments = Annotated[
    tuple[str, ...], Parameter(name="--set", consume_multiple=True, negative=(), metavar="KEY=VALUE…")
]
ROLES = ("target", "id", "time", "past", "known", "static", "freq", "weight")
SOURCES = ("path", "example", "folder")
LISTS = ("target", "past", "known", "static")


@Parameter(name="*")
@dataclass(frozen=True)
class Columns:
    """Which columns of the table play which role."""

    target: Names = ()
    "columns to forecast; may be left out if there is only one possibility."
    id: Name = None
    "column that names the series."
    time: Name = None
    "column of times; if left out, the only column of dates; '' if every row is one step."
    past: Names = ()
    "covariates that are known up to the present."
    known: Names = ()
    "covariates that are known ahead, such as prices."
    static: Names = ()
    "covariates that stay the same for a series."
    freq: Text = None
    "length of a step, such as 1h, 1d or B (business days); inferred from the times if left out."
    weight: Name = None
    "column that says how much each row counts in training; if left out, all count alike."


@Parameter(name="*")
@dataclass(frozen=True)
class Spreading:
    """How the work is spread over workers, where it is."""

    engine: Annotated[str | None, Parameter(metavar="ray|local|spark")] = None
    "spread the series over workers: a Ray cluster, processes of this machine, or Spark."
    workers: MaybeCount = None
    "number of workers; all processors if left out."
    buckets: MaybeCount = None
    "how many parts to divide the series into; chosen from the rows if left out."
    on_error: Annotated[str | None, Parameter(metavar="raise|skip")] = None
    "skip: carry on without series that cannot be used, and list them."

    def apply_to(self, table: str | None) -> bool:
        """Whether a table is worked on by many: one of the options was given, or the table is many files."""
        many = table is not None and (glob.has_magic(table) or Path(table).is_dir() or "://" in table)
        return many or any(value is not None for value in (self.engine, self.workers, self.buckets, self.on_error))

    @property
    def arguments(self) -> dict[str, Any]:
        """The options as arguments of the calls of `statecast.cluster`; those that were left out have their defaults.

        Raises:
            SettingError: one is out of range.
        """
        require_count("--workers", self.workers)
        require_count("--buckets", self.buckets)
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class FitRequest:
    """What to fit: settings, arguments of `Forecaster.fit`, and the table and the space if the TOML file has them."""

    settings: dict[str, Any]
    roles: dict[str, Any]
    table: Any = None
    space: dict[str, Any] | None = None


def fit_request(
    columns: Columns | None,
    config: str | None,
    assignments: tuple[str, ...],
    horizon: int | None = None,
    test_size: float | None = None,
    preset: str | None = None,
) -> FitRequest:
    """Settings and roles: an option overrides `--set`, which overrides the file.

    Raises:
        SettingError: a name that is unknown, or a value out of range.
    """
    request = _from_file(config) if config else FitRequest({}, {})
    settings, roles = request.settings, request.roles
    settings |= parse_assignments(assignments)
    options = {
        "horizon": ("--horizon", horizon),
        "test_size": ("--test-size", test_size),
        "preset": ("--preset", preset),
    }
    for name, (option, value) in options.items():
        if value is not None:
            settings[name] = canonical(name, value, option)
    roles |= {name: value for name, value in asdict(columns or Columns()).items() if value not in (None, ())}
    Config.of(settings)
    return replace(request, settings=settings, roles=roles)


def _from_file(path: str) -> FitRequest:
    values = read_toml(path)
    data, space = values.pop("data", {}), values.pop("space", None)
    if "case" in values:  # a case of the gallery, whose other sections say how it is measured
        values = {name: value for name, value in values.items() if name not in ("case", "tutorial", "recurrence")}
    if not isinstance(data, Mapping):
        raise SettingError(f"{path}: data = {data!r}: expected a section [data] with {', '.join(ROLES)}")
    unknown = next((name for name in data if name not in (*ROLES, *SOURCES)), None)
    if unknown is not None:
        raise SettingError(f"{path}: [data] has no key {unknown!r}; {nearest(unknown, (*ROLES, *SOURCES))}")
    try:
        Config.of(values)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error
    roles = {name: _role(path, name, value) for name, value in data.items() if name not in SOURCES}
    table = _table(path, {name: data[name] for name in SOURCES if name in data})
    return FitRequest(values, roles, table, None if space is None else _space(path, space))


def _space(path: str, space: Any) -> dict[str, Any]:
    """What tuning tries, by a section of the TOML file: a list of values, or a table of low, high and log."""
    if not isinstance(space, Mapping):
        raise SettingError(f"{path}: space = {space!r}: expected a section [space] with the values of each setting")
    return {
        name: _range(path, name, values) if isinstance(values, Mapping) else values for name, values in space.items()
    }


def _range(path: str, name: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    log = values.get("log", False)
    if not {"low", "high"} <= values.keys() <= {"low", "high", "log"} or not isinstance(log, bool):
        raise SettingError(
            f"{path}: [space] {name} = {dict(values)!r}: expected {{low = …, high = …}}, with log = true or not"
        )
    return (values["low"], values["high"], *(["log"] if log else []))


def _table(path: str, source: Mapping[str, Any]) -> Any:
    """The table that `[data]` names: by `path`, relative to the TOML file, or by `example`, one of the gallery's."""
    if not all(isinstance(value, str) for value in source.values()) or {"path", "example"} <= source.keys():
        raise SettingError(f"{path}: [data] has {dict(source)!r}: expected either path or example, as text")
    if "path" in source:
        return str(Path(path).parent / source["path"])
    if "example" in source:
        from statecast.gallery import series  # brings NumPy, which help and settings do without

        return series.make(source["example"], Path(path).parent / source.get("folder", "."))
    return None


def _role(path: str, name: str, value: Any) -> Any:
    if name in LISTS:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(items)
    elif isinstance(value, str):
        return value
    requirement = "a column or a list of columns" if name in LISTS else "a string"
    raise SettingError(f"{path}: [data] {name} = {value!r}: expected {requirement}")


def require_count(option: str, value: int | None, least: int = 1) -> None:
    """Check an option that counts something; None is an option that was left out.

    Raises:
        SettingError: it is below the least count.
    """
    if value is not None and value < least:
        raise SettingError(f"{option} {value}: expected a whole number of at least {least}")


def parse_assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """Settings from `KEY=VALUE` strings; a value is TOML, or plain text if it is not valid TOML."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise SettingError(f"--set {pair!r}: expected KEY=VALUE, for example --set hidden=[64,32]")
        values[key.strip()] = _value(key.strip(), text.strip())
    return values


def _value(key: str, text: str) -> Any:
    """The value of a setting; a cell's may name the module that registers it."""
    value = _toml_value(text)
    return cell_named(key, value) if key in ("cell", "decoder") and isinstance(value, str) else value


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
