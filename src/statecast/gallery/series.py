"""The tables of the gallery: made by the tutorials' own formulas, or read from files that may not be shipped.

Each maker gives a mapping of columns, ready for `Forecaster.fit`. A file that a maker needs is looked for in the folder
given (and in the folders inside it); where it is not, the error says what file is wanted and in what form.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from statecast.errors import DataError, SettingError, nearest

Columns = dict[str, np.ndarray]
Maker = Callable[[Path | None], Columns]

MAKERS: dict[str, Maker] = {}
FILES: dict[str, str] = {}
"""For each maker that reads a file: what is wanted, in what form."""


def maker(name: str, form: str = "") -> Callable[[Maker], Maker]:
    """Enter a maker into the table; `form` describes the file that it reads, if it reads one."""

    def enter(function: Maker) -> Maker:
        MAKERS[name] = function
        if form:
            FILES[name] = form
        return function

    return enter


def make(name: str, folder: Path | None = None) -> Columns:
    """The table of that name.

    Raises:
        SettingError: there is no such table.
        DataError: the file that it needs is not in the folder, or not in the form that is wanted.
    """
    if name not in MAKERS:
        raise SettingError(f"there is no example {name!r}: {nearest(name, MAKERS)}")
    return MAKERS[name](folder)


def find(name: str, file: str, folder: Path | None) -> Path:
    """The path of a file in a folder or in a folder inside it.

    Raises:
        DataError: it is not there; says what is need.
    """
    need = f"the case needs {file}: {FILES.get(name, '')}".rstrip(": ")
    if folder is None:
        raise DataError(f"{need}; it may not be shipped with statecast: say where it lies with --data DIR")
    if not folder.is_dir():
        raise DataError(f"--data {folder} is not a folder; {need}")
    for path in (folder / file, *sorted(folder.glob(f"*/{file}")), *sorted(folder.glob(f"*/*/{file}"))):
        if path.is_file():
            return path
    raise DataError(f"{file} is not in {folder} nor in a folder inside it; {need}")


def grid() -> np.ndarray:
    """Where the first tutorial's functions are looked at: 10,000 points over 0…100."""
    return np.linspace(0, 100, 10_000)


@maker("sin")
def sin(folder: Path | None = None) -> Columns:
    """sin x."""
    return {"a": np.sin(grid())}


@maker("sin-cos")
def sin_cos(folder: Path | None = None) -> Columns:
    """sin x and cos x."""
    return {"a": np.sin(grid()), "b": np.cos(grid())}


@maker("x-sin")
def x_sin(folder: Path | None = None) -> Columns:
    """x · sin x: its swings grow without end."""
    return {"a": grid() * np.sin(grid())}


def teeth(cycles: int) -> np.ndarray:
    """The saw: 1 … 9, 10 … 2, over and over."""
    return np.tile(np.concatenate([np.arange(1, 10), np.arange(10, 1, -1)]), cycles).astype(float)


@maker("saw")
def saw(folder: Path | None = None) -> Columns:
    """Two saws, 9 rows apart, times 0.5 (the tutorial draws that factor at random, once for the whole table)."""
    flow = teeth(1000)
    return {"a": 0.5 * flow[10:], "b": 0.5 * flow[1:-9]}


@maker("saw-deep")
def saw_deep(folder: Path | None = None) -> Columns:
    """Five saws, each 3 rows after the one before, times 0.5."""
    flow = teeth(200)
    return {name: 0.5 * flow[12 - 3 * n : len(flow) - 3 * n] for n, name in enumerate("abcde")}


@maker("bell")
def bell(folder: Path | None = None) -> Columns:
    """The wave 100 · sin(8x) under a bell, at x = 0, 0.03, … below 12π: 1,257 rows."""
    x = np.arange(0.0, np.pi * 12, 0.03)
    swell = np.exp(-((np.sin(x - np.pi / 2) - 2 * np.pi) ** 2) / 9.0)
    return {"y": 100 * np.sin(8 * x) * swell}


@maker("walk")
def walk(folder: Path | None = None) -> Columns:
    """A random walk of 222 months from January 2001 on, its steps uniform between -18 and 18."""
    steps = np.random.default_rng(0).uniform(-18, 18, 222)
    return {
        "month": (np.datetime64("2001-01", "M") + np.arange(222, dtype="m8[M]")).astype("M8[D]"),
        "value": np.cumsum(steps),
    }


@maker(
    "weather",
    "hourly and special observations of one airport as NOAA's QCLCD gives them, CSV with a header, of which Date "
    "(20150901), Time (0053) and WetBulbCelsius are read",
)
def weather(folder: Path | None = None) -> Columns:
    """Wet-bulb temperature at Portland airport in September 2015, the regular observation of every hour."""
    read = columns_of(find("weather", "QCLCD_PDX_20150901.csv", folder), "Date", "Time", "WetBulbCelsius")
    clock, wet = numbers(read["Time"]).astype(np.int64), numbers(read["WetBulbCelsius"])
    # Minute 53 is the regular observation; the others were made when the weather changed.
    regular = clock % 100 == 53
    date = np.array([f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in read["Date"]], "M8[D]")[regular]
    return {"hour": date + (clock[regular] // 100).astype("m8[h]"), "wet_bulb": wet[regular]}


@maker(
    "ibex",
    "daily prices of the index IBEX 35 as Yahoo gives them, CSV with the columns Date (2002-04-02), Close and Volume",
)
def ibex(folder: Path | None = None) -> Columns:
    """Closing price, traded volume (millions of shares) and weekday of the last 3,000 complete days.

    Rows are trading days, without weekends. The third Friday of a month, when options expire, is a weekday of its own.
    """
    read = columns_of(find("ibex", "ibex35_2002_2017_yahoo.csv", folder), "Date", "Close", "Volume")
    day = np.array(read["Date"], "M8[D]")
    price, volume = numbers(read["Close"]), numbers(read["Volume"])
    # The unit changes from thousands of shares to shares on that day.
    volume = np.where(day < np.datetime64("2010-08-23"), 1000 * volume, volume) / 1e6
    complete = np.flatnonzero(np.isfinite(price) & (volume > 0))[-3000:]
    weekday = (day.astype(np.int64) + 3) % 7
    third = (day - day.astype("M8[M]").astype("M8[D]")).astype(np.int64) // 7 == 2
    names = np.array(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], object)[weekday]
    names[(weekday == 4) & third] = "expiry"
    return {"price": price[complete], "volume": volume[complete], "weekday": names[complete]}


def columns_of(path: Path, *names: str) -> dict[str, list[str]]:
    """Named columns of a CSV file with a header, as texts.

    Raises:
        DataError: it has no such column, or a line with another number of cells.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    header = [name.strip() for name in rows[0]] if rows else []
    for name in names:
        if name not in header:
            raise DataError(f"{path} has no column {name!r}: {nearest(name, header)}")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DataError(f"{path}, row {number}: {len(row)} cells, where the header has {len(header)}")
    return {name: [row[header.index(name)].strip() for row in rows[1:]] for name in names}


def numbers(texts: list[str]) -> np.ndarray:
    """Texts as numbers, NaN where one is none ("null", "-", "M")."""
    return np.array([_number(text) for text in texts])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
