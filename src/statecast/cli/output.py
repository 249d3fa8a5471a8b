"""What is printed, and where: results on standard output, remarks about them on standard error.

On a terminal a table is drawn with rules and colours, elsewhere it is plain aligned text. JSON is one document, in
which unknown values are null. NumPy is not imported at the top: help and settings need none.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ARGUMENT = re.compile(r"\b(target|id|time|past|known|static|freq|horizon|levels|future)=(?:'([^'…]*)'|'?…'?)")
MOST = 60  # rows of a table that a terminal shows; files and pipes get all


def say(text: str = "") -> None:
    """A line of results."""
    sys.stdout.write(f"{text}\n")


def prose(text: str, indent: str = "") -> None:
    """A sentence of results, with its lines broken between words where a terminal would break them anywhere."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    say(text)


def styled(*parts: tuple[str, str]) -> None:
    """A line of results, of (text, style of rich). A terminal gets as much as it is wide, all else plain text."""
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console
            from rich.text import Text

            Console(highlight=False).print(Text.assemble(*parts, no_wrap=True, overflow="crop"))
            return
    say("".join(text for text, _ in parts))


def note(text: str) -> None:
    """A line about the work, on standard error."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def error(text: str) -> None:
    """An error as one line."""
    note(f"error: {one_line(text)}")


def warning(text: str) -> None:
    """A warning as one line."""
    note(f"warning: {one_line(text)}")


def one_line(text: str) -> str:
    """A message without line breaks."""
    return " ".join(part.strip() for part in text.splitlines() if part.strip())


def in_options(text: str) -> str:
    """A message of the library, in which `freq='1h'` and `time='…'` are arguments, with options in their place."""
    return ARGUMENT.sub(lambda m: f"--{m[1]} {m[2]}" if m[2] else f"--{m[1]}", text)


def document(value: Any) -> None:
    """One JSON document on standard output."""
    say(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def line(value: Any) -> None:
    """A JSON document on a line of its own, at once."""
    say(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """A value as JSON can hold it: arrays as lists, keys as strings, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def table(rows: Sequence[Sequence[str]]) -> None:
    """A table: headings, then rows. The first column stands left, the others right, as numbers do."""
    if not rows:
        return
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            return _drawn(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *rest = (
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join([first, *rest]).rstrip())


def _drawn(rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for n, heading in enumerate(rows[0]):
        drawn.add_column(heading, justify="left" if n == 0 else "right", no_wrap=True)
    for row in rows[1:]:
        drawn.add_row(*row, style="bold" if row[0] == "statecast" else None)
    plain = {"markup": False, "highlight": False, "emoji": False}
    # A table wider than the terminal is wrapped by it; numbers that are cut short would be worse.
    width = Console(width=10_000).measure(drawn).maximum
    Console(width=max(width, Console().width), **plain).print(drawn)  # type: ignore[arg-type]


def sources(evaluation: Mapping[str, Any]) -> None:
    """What the forecast comes from, before all else; nothing where that is not known."""
    from statecast.forecast import attribution

    sentences = attribution.sentences(evaluation)
    for sentence in sentences:
        prose(sentence)
    if sentences:
        say()


def scores(evaluation: Mapping[str, Any]) -> None:
    """The tables of an evaluation, and what they say in words."""
    from statecast.report import summary

    for rows in summary.score_tables(evaluation):
        table(rows)
        say()
    for sentence in summary.verdict(evaluation):
        prose(sentence)


def pairs(rows: Iterable[Sequence[str]]) -> None:
    """Names and what they are, aligned."""
    rows = list(rows)
    width = max((len(row[0]) for row in rows), default=0)
    for name, *rest in rows:
        prose(f"  {name.ljust(width)}  {'  '.join(rest)}".rstrip(), " " * (width + 4))


def records(columns: Mapping[str, np.ndarray], zoned: bool) -> Iterator[dict[str, Any]]:
    """The rows of columns as mappings; times are ISO text, with a Z where they are UTC instants."""
    lists = {name: texts(values, zoned) for name, values in columns.items()}
    return (dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True))


def texts(values: np.ndarray, zoned: bool) -> list[Any]:
    """A column as plain values; times as text."""
    if values.dtype.kind != "M":
        return list(values.tolist())
    import numpy as np

    day = np.datetime_data(values.dtype)[0] == "D" or bool((values == values.astype("M8[D]")).all() and not zoned)
    if day:
        return [str(text) for text in np.datetime_as_string(values, unit="D")]
    whole = bool((values == values.astype("M8[s]")).all())
    stamps = np.datetime_as_string(values, unit="s" if whole else "us")
    return [text.replace("T", " ") + ("Z" if zoned else "") for text in stamps.tolist()]


def frame(columns: Mapping[str, np.ndarray], zoned: bool) -> None:
    """Columns as a table on a terminal; a long one is cut short, with a note."""
    excerpt = {name: values[:MOST] for name, values in columns.items()}
    cells = [[_cell(value) for value in texts(values, zoned)] for values in excerpt.values()]
    table([list(columns), *(list(row) for row in zip(*cells, strict=True))])
    size = len(next(iter(columns.values()), ()))
    if size > MOST:
        note(f"{size - MOST:,} more rows: --out FILE writes all of them, and so does a pipe")


def _cell(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
