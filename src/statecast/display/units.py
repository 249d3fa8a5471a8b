"""The unit of a column, where its name says it: `load [MW]`, `temperature (°C)`, `price_usd`.

A name is taken at its word alone. What stands in brackets at its end counts if it is made of units that are known
here, with the prefixes of the SI and with powers; an ending after an underscore counts if it can mean nothing else. So
`sales (total)`, `load (2)`, `team (A)` and `plan_c` have no unit, and their names are shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

PREFIXES = ("", "k", "M", "G", "T", "m", "µ", "μ", "u", "n", "c", "h", "d")
SCALED = ("m", "g", "s", "A", "K", "mol", "Hz", "N", "Pa", "J", "W", "Wh", "V", "VA", "var", "Ω", "F", "l", "L", "bar",
          "t", "B", "bit", "eV", "cal", "Sv", "Bq", "lx", "lm", "T")  # fmt: skip
WHOLE = ("%", "‰", "°C", "°F", "°", "min", "h", "d", "a", "ha", "ppm", "ppb", "dB", "psi", "mph", "kn", "mmHg", "kph",
         "€", "$", "£", "¥", "EUR", "USD", "GBP", "JPY", "CHF", "CNY", "INR", "AUD", "CAD", "SEK", "NOK",
         "DKK")  # fmt: skip
BRACKETS = re.compile(r"(?P<name>.*\S)\s*(?:\[(?P<square>[^\[\]]+)\]|\((?P<round>[^()]+)\))")
FACTOR = re.compile(r"(?P<unit>.*?)(?:\^?-?[1-4]|[⁻]?[¹²³⁴])?")
ENDINGS = {
    **{"kwh": "kWh", "mwh": "MWh", "gwh": "GWh", "kw": "kW", "mw": "MW", "gw": "GW", "kmh": "km/h", "mph": "mph"},
    **{"ppm": "ppm", "ppb": "ppb", "pct": "%", "percent": "%", "celsius": "°C", "fahrenheit": "°F", "degc": "°C"},
    **{"degf": "°F", "hpa": "hPa", "kpa": "kPa", "eur": "EUR", "usd": "USD", "gbp": "GBP", "chf": "CHF", "jpy": "JPY"},
    **{"ugm3": "µg/m³", "kg": "kg", "km": "km", "mm": "mm", "cm": "cm", "ms": "ms"},
}
"""What stands after the last underscore of a name, in small letters, and the unit that it means."""
DEGREES = {"c": "°C", "f": "°F"}
"""Endings of temperatures alone: of other names they may be anything."""
TEMPERATURE = re.compile(r"(?i)(.*[^a-z])?temp(erature)?\d*")


@lru_cache(maxsize=256)
def parted(column: str) -> tuple[str, str]:
    """The name of a column without its unit, and the unit; the whole name and "" where it says none."""
    match = BRACKETS.fullmatch(column.strip())
    if match:
        unit = (match["square"] or match["round"]).strip()
        letter = bool(match["round"]) and len(unit) == 1 and unit.isalpha()  # as often a name as a unit
        return (match["name"].rstrip(), unit) if _is_unit(unit) and not letter else (column, "")
    name, _, ending = column.rpartition("_")
    unit = "" if name.lower() in ENDINGS else ENDINGS.get(ending.lower(), "")  # eur_usd is a rate
    if not unit and TEMPERATURE.fullmatch(name):
        unit = DEGREES.get(ending.lower(), "")
    return (column, unit) if name else (column, "")


def with_unit(column: str) -> str:
    """The name of a column with its unit after a comma, such as `load, MW`; as it is where it says none.

    A name keeps an ending that says the unit, since it is by this name that the table knows the column.
    """
    return ", ".join(filter(None, parted(column)))


def common(columns: Iterable[str]) -> str:
    """The unit that all of these columns have; "" where they have none, or several."""
    units = {parted(column)[1] for column in columns}
    return units.pop() if len(units) == 1 else ""


def _is_unit(text: str) -> bool:
    """Whether a text is a product or quotient of known units, such as `kWh`, `m/s` and `µg/m³`."""
    factors = re.split(r"\s*[/·*]\s*|\s+", text)
    return all(_is_factor(factor) for factor in factors if factor != "1") and text != "1"


def _is_factor(text: str) -> bool:
    match = FACTOR.fullmatch(text)
    unit = match["unit"] if match else ""
    return unit in WHOLE or any(unit == prefix + scaled for scaled in SCALED for prefix in PREFIXES)
