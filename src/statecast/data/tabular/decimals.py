"""Numbers written with a decimal comma, as in much of Europe: "1,5" and "1.234,5".

A comma between digits is a decimal comma only where it cannot separate fields, so in files whose fields are separated
by something else. Where semicolons separate them, that is why; elsewhere "1,234" may as well be a thousand, and counts
as a decimal comma only beside a number that cannot be read otherwise. Points group thousands where commas are decimal.

Commas group thousands in a quoted "1,234.5" or "1,234,567" of a file whose fields are separated by commas, and then in
a "1,234" of the same column, as they do beside a whole number of three digits such as 968.
"""

from __future__ import annotations

import re
from typing import Any

from statecast.data.values import number_of

# For regular expressions of any library.
DECIMAL_COMMA = r"^\s*[+-]?(?:[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+),[0-9]+(?:[eE][+-]?[0-9]+)?\s*$"
THOUSANDS_COMMA = r"^\s*[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+\s*$"
THOUSANDS_POINT = r"^\s*[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+\s*$"
GROUPED = r"^\s*[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?\s*$"
CLEARLY_GROUPED = r",[0-9]{3}[.,]|^\s*[+-]?[1-9][0-9]{2}\s*$"
PLAIN = r"^\s*[+-]?[0-9]+(?:\.[0-9]+)?\s*$"
WHOLE = r"^\s*[+-]?[0-9]+\s*$"

_DECIMAL_COMMA, _THOUSANDS_COMMA, _THOUSANDS_POINT = map(re.compile, (DECIMAL_COMMA, THOUSANDS_COMMA, THOUSANDS_POINT))
_GROUPED = re.compile(rf"(?=.*,[0-9]{{3}}[.,]){GROUPED}")


def ungrouped(series: Any, separator: str) -> Any:
    """A column of polars as numbers if it is of strings, all of them numbers, whose thousands commas group.

    Args:
        series: a column of a CSV file.
        separator: of the file's fields.
    """
    if separator != "," or str(series.dtype) != "String":
        return series
    texts = series.drop_nulls()
    grouped = texts.str.contains(GROUPED)
    clear = texts.str.contains(CLEARLY_GROUPED).any()
    if not (clear and grouped.any() and (grouped | texts.str.contains(PLAIN)).all()):
        return series
    return series.str.strip_chars().str.replace_all(",", "", literal=True).cast(float)


class DecimalComma:
    """Reads the numbers of rows that arrive one at a time.

    Args:
        separator: what stands between the fields of a row.

    Attributes:
        certain: whether commas are known to be decimal: from then on points group thousands.
    """

    def __init__(self, separator: str) -> None:
        self._possible = separator != ","
        self.certain = False
        self._clear = separator == ";"

    def number_of(self, text: str) -> float | str:
        """A field as a number, or the text unchanged."""
        if self._possible and "," in text and _DECIMAL_COMMA.match(text):
            if self._clear or self.certain or not _THOUSANDS_COMMA.match(text):
                self.certain = True
                return float(text.replace(".", "").replace(",", "."))
        elif self.certain and _THOUSANDS_POINT.match(text):
            return float(text.replace(".", ""))
        elif not self._possible and "," in text and _GROUPED.match(text):
            return float(text.replace(",", ""))
        number = number_of(text)
        return text if number is None else number
