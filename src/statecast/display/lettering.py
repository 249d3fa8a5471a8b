"""Names of a table's columns and series as a picture can show them: short enough, and in letters that a font has.

matplotlib's own font has no Chinese, Japanese or Korean letters, and warns of each that it lacks. Where a font that has
them is installed, it is used; a letter that no font has is drawn as an empty box, as it would be anyhow.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

BASE = "DejaVu Sans"  # comes with matplotlib
FALLBACKS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "PingFang SC", "Hiragino Sans",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "WenQuanYi Micro Hei", "Droid Sans Fallback",
    "Noto Sans Devanagari", "Nirmala UI", "Noto Sans Thai", "Leelawadee UI", "Arial Unicode MS",
)  # fmt: skip
BOX = "□"
CHARACTERS = 15.0  # of a title in an inch of its panel


def letter(text: Any) -> None:
    """Give a text of matplotlib letters that can be drawn."""
    words = text.get_text()
    if not words.isascii():
        text.set(text=drawable(words), fontfamily=list(families()))


def drawable(words: str) -> str:
    """The words with a box for each letter that no font has."""
    if words.isascii():
        return words
    return "".join(letter if ord(letter) in _letters() or letter.isspace() else BOX for letter in words)


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """The fonts that there are here, matplotlib's own first."""
    from matplotlib.font_manager import fontManager

    return (BASE, *sorted(set(FALLBACKS) & set(fontManager.get_font_names()), key=FALLBACKS.index))


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    """The code points of all letters that these fonts have."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(code for name in families() for code in get_font(findfont(name)).get_charmap())


def fitting(words: str, inches: float) -> str:
    """A title as long as there is room for: of a longer one the beginning and the end, which tells names apart."""
    room = max(int(CHARACTERS * inches), 12)
    if _width(words) <= room:
        return words
    head, tail = words, words
    while _width(head) > 0.6 * room:
        head = head[:-1]
    while _width(tail) > 0.4 * room - 1:
        tail = tail[1:]
    return f"{head.rstrip()}…{tail.lstrip()}"


def _width(words: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in words)
