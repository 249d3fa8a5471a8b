"""Numbers written with a decimal comma, as in much of Europe: "1,5" and "1.234,5".

A comma between digits is a decimal comma only where it cannot separate fields, so in files whose fields are separated
by something else. Where semicolons separate them, that is why; elsewhere "1,234" may as well be a thousand, and counts
as a decimal comma only beside a number that cannot be read otherwise. Points group thousands where commas are decimal.
"""

from __future__ import annotations

import re

from statecast.data.values import number_of

# For regular expressions of any library.
DECIMAL_COMMA = r"^\s*[+-]?(?:[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+),[0-9]+(?:[eE][+-]?[0-9]+)?\s*$"
THOUSANDS_COMMA = r"^\s*[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+\s*$"
THOUSANDS_POINT = r"^\s*[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+\s*$"
WHOLE = r"^\s*[+-]?[0-9]+\s*$"

_DECIMAL_COMMA, _THOUSANDS_COMMA, _THOUSANDS_POINT = map(re.compile, (DECIMAL_COMMA, THOUSANDS_COMMA, THOUSANDS_POINT))


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
        number = number_of(text)
        return text if number is None else number
