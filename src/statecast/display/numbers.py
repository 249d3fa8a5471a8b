"""Numbers as people write them: 1.5 M and 250 k beside an axis, 1,234,567 in a table, and never 1e6.

No drawing library is imported here; the formatter of matplotlib's axes that says these words is in `axes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

UNITS = ((1e12, " tn"), (1e9, " bn"), (1e6, " M"), (1e3, " k"))
PLAIN = 1e4  # numbers below it are written out
LEAST, MOST = 1e-4, 1e15  # what is smaller or larger is written as a power of ten
DECIMALS = 12
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """A number to five digits, and all those before the decimal point: `1,234,567`, `0.012346`, `1.2×10⁻⁹`."""
    size = abs(value)
    if not math.isfinite(value) or size == 0:
        return f"{value:g}"
    if not LEAST <= size < MOST:
        return _power(value, 4)
    return _trimmed(f"{value:,.{max(4 - math.floor(math.log10(size)), 0)}f}")


def amount(value: float) -> str:
    """A number beside a small picture, to four digits: `1.235 M`, `41.5`."""
    size = abs(value)
    if not math.isfinite(value) or size == 0:
        return f"{value:g}"
    if not LEAST <= size < MOST:
        return _power(value, 2)
    unit, name = _unit(size)
    return _signed(_trimmed(f"{value / unit:,.{max(3 - math.floor(math.log10(size / unit)), 0)}f}") + name)


def tick_texts(values: Sequence[float]) -> list[str]:
    """The numbers beside an axis: all in one unit, and with as many decimals as tell one from the next.

    Args:
        values: of the ticks, in any order.
    """
    known = sorted({value for value in values if math.isfinite(value)})
    largest = max((abs(value) for value in known), default=0.0)
    if largest == 0:
        return [f"{value:g}" for value in values]
    step = min((b - a for a, b in pairwise(known)), default=largest)
    if not LEAST <= largest < MOST:
        digits = _decimals(known, step, 10.0 ** math.floor(math.log10(largest)))
        return [_signed(_power(value, min(digits, 4))) if value else "0" for value in values]
    unit, name = _unit(largest)
    digits = _decimals(known, step, unit)
    if digits > 3:  # no unit makes such numbers shorter
        unit, name, digits = 1.0, "", _decimals(known, step, 1.0)
    return [_signed(f"{value / unit:,.{digits}f}{name}") if value else "0" for value in values]


def _unit(size: float) -> tuple[float, str]:
    if size < PLAIN:
        return 1.0, ""
    return next((unit, name) for unit, name in UNITS if size >= unit)


def _decimals(values: Sequence[float], step: float, unit: float) -> int:
    """The fewest decimals that write all values in a unit without an error that a step would show."""
    near = 1e-3 * step / unit
    return next(
        (n for n in range(DECIMALS) if all(abs(round(v / unit, n) - v / unit) <= near for v in values)), DECIMALS
    )


def _power(value: float, digits: int) -> str:
    """`1.5×10⁻⁷`, without a mantissa that is one."""
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    mantissa, power = _trimmed(mantissa), f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return {"1": power, "-1": f"-{power}"}.get(mantissa, f"{mantissa}×{power}")


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(text: str) -> str:
    """With the sign that is as wide as a plus, as axes have it."""
    return text.replace("-", "−", 1) if text.startswith("-") else text
