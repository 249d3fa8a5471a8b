"""Series to try things on: three real tables that ship with the package, and seeded generators.

The tables are ordinary Parquet files (their sources and licences are in `tables/ATTRIBUTION.md`), read in the same way
as anyone's. The generators give NumPy arrays, or mappings of columns for whole panels, and the same seed gives the
same numbers.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.tabular import table
from statecast.errors import SettingError, nearest

if TYPE_CHECKING:
    from jaxtyping import Float64

NAMES = ("interstate_traffic", "beijing_pm25", "air_passengers")


def path(name: str) -> Path:
    """The Parquet file of a table that ships with the package.

    Raises:
        SettingError: there is no such table.

    Example:
        >>> examples.path("air_passengers").name
        'air_passengers.parquet'
    """
    if name not in NAMES:
        raise SettingError(f"there is no example {name!r}: {nearest(name, NAMES)}")
    return Path(str(files("statecast.data") / "tables" / f"{name}.parquet"))


def load(name: str) -> Any:
    """A table that ships with the package, as a polars frame.

    "interstate_traffic" has the columns time, traffic, holiday, temperature, rain, snow, clouds and weather, with the
    gaps of its source and with several rows of one hour. "beijing_pm25" has time, pm25, dew_point, temperature,
    pressure, wind_direction, wind_speed, snow_hours and rain_hours; "air_passengers" has month and passengers.

    Raises:
        SettingError: there is no such table.
        MissingDependency: polars is not installed.

    Example:
        >>> examples.load("air_passengers").shape
        (144, 2)
    """
    return table.read(path(name)).frame()


def sine(rows: int, period: float = 50.0, noise: float = 0.0, seed: int = 0) -> Float64[np.ndarray, " rows"]:
    """A sine wave [rows], with Gaussian noise on request.

    Example:
        >>> examples.sine(100, period=25).shape
        (100,)
    """
    wave = np.sin(2 * np.pi * np.arange(rows) / period)
    return np.asarray(wave + noise * np.random.default_rng(seed).standard_normal(rows))


def sin_cos(rows: int, period: float = 50.0) -> Float64[np.ndarray, "rows 2"]:
    """A sine and a cosine side by side [rows, 2].

    Example:
        >>> examples.sin_cos(100).shape
        (100, 2)
    """
    angle = 2 * np.pi * np.arange(rows) / period
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def x_sin(rows: int, step: float = 0.1) -> Float64[np.ndarray, " rows"]:
    """x · sin x at x = 0, step, 2 · step, … [rows]: its swings grow without bound.

    Example:
        >>> examples.x_sin(3).round(3)
        array([0.  , 0.01, 0.04])
    """
    x = step * np.arange(rows)
    return np.asarray(x * np.sin(x))


def random_walk(rows: int, seed: int = 0) -> Float64[np.ndarray, " rows"]:
    """A Gaussian random walk [rows]: its best forecast is its last value.

    Example:
        >>> examples.random_walk(100, seed=1).shape
        (100,)
    """
    return np.cumsum(np.random.default_rng(seed).standard_normal(rows))


def saw(rows: int, period: int = 25, noise: float = 0.0, seed: int = 0) -> Float64[np.ndarray, " rows"]:
    """A saw-tooth [rows] that climbs from 0 towards 1 and falls back, with Gaussian noise on request.

    Example:
        >>> examples.saw(6, period=4)
        array([0.  , 0.25, 0.5 , 0.75, 0.  , 0.25])
    """
    teeth = (np.arange(rows) % period) / period
    return np.asarray(teeth + noise * np.random.default_rng(seed).standard_normal(rows))


def panel(
    lengths: tuple[int, ...] = (60, 35, 90), missing: float = 0.05, season: int = 24, seed: int = 0
) -> dict[str, np.ndarray]:
    """Hourly series of unequal length with missing values, as columns.

    The columns are site (text), hour (datetime64), load (with NaN), temperature (known up to now), holiday (known
    ahead, text) and area (static). The load follows the season, the temperature and the holidays.

    Args:
        lengths: rows of each series.
        missing: the share of loads that are missing.
        season: steps of the season.
        seed: the seed of the random numbers.

    Example:
        >>> rows = examples.panel((60, 35))
        >>> list(rows), len(rows["load"])
        (['site', 'hour', 'load', 'temperature', 'holiday', 'area'], 95)
    """
    random = np.random.default_rng(seed)
    parts = [_series(index, length, missing, season, random) for index, length in enumerate(lengths)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _series(index: int, rows: int, missing: float, season: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    step = np.arange(rows)
    temperature = 10 + 5 * np.sin(2 * np.pi * step / season + index) + random.standard_normal(rows)
    holiday = (step // season) % 3 == 1
    load = 100 * (index + 1) + 2 * temperature - 20 * holiday + random.standard_normal(rows)
    hours = np.datetime64("2024-01-01T00", "h") + (step + 3 * index).astype("m8[h]")
    return {
        "site": np.full(rows, f"site-{index}", dtype=object),
        "hour": hours.astype("M8[us]"),
        "load": np.where(random.random(rows) < missing, np.nan, load),
        "temperature": temperature,
        "holiday": np.where(holiday, "yes", "no").astype(object),
        "area": np.full(rows, 10.0 * (index + 1)),
    }
