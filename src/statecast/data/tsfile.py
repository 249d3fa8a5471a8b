"""Files of the UCR and UEA archives of time series (`.ts`): sequences with a label, or a value, each.

The form is that of sktime and aeon: comment lines with "#", header lines with "@", and after "@data" one line for each
case, its channels separated by ":", the label last, "?" where a value is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from statecast.errors import DataError

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


@dataclass(frozen=True, eq=False)
class Labelled:
    """Sequences, and what is to be counts from each.

    Attributes:
        sequences: arrays [T_i, channels], NaN where missing.
        labels: strings of classes, or numbers where the file has targets, or None where it has neither.
        name: the problem's name.
    """

    sequences: list[Float[np.ndarray, "T F"]]
    labels: Shaped[np.ndarray, " n"] | None
    name: str


def read_ts(path: str | Path) -> Labelled:
    """Read a `.ts` file.

    Raises:
        DataError: it cannot be read, or a line is not of the form that its header tells; names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error.reason}): expected a .ts file of the UCR and UEA archives"
        ) from error
    header, first = _header(path, lines)
    if header.get("timestamps", ["false"])[0].lower() == "true":
        raise DataError(f"{path} has times with its values (@timeStamps true): expected values alone")
    classes = header.get("classlabel", ["false"])
    valued = header.get("targetlabel", ["false"])[0].lower() == "true"
    labelled = classes[0].lower() == "true" or valued
    sequences, labels = [], []
    for number, line in _cases(lines, first):
        *channels, label = line.split(":") if labelled else [*line.split(":"), ""]
        sequences.append(_sequence(path, number, channels))
        labels.append(label.strip())
        if classes[0].lower() == "true" and classes[1:] and labels[-1] not in classes[1:]:
            raise DataError(f"{path}, line {number}: label {labels[-1]!r} is none of {', '.join(classes[1:][:20])}")
    if not sequences:
        raise DataError(f"{path} has no case after @data")
    name = " ".join(header.get("problemname", [path.stem]))
    return Labelled(sequences, _values(path, labels, valued) if labelled else None, name)


def _header(path: Path, lines: list[str]) -> tuple[dict[str, list[str]], int]:
    """The words after each "@name", and the number of the first line of data."""
    header: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if line.lower().startswith("@data"):
            return header, number + 1
        if line.startswith("@"):
            name, *words = line[1:].split()
            header[name.lower()] = words or [""]
        elif line.strip() and not line.startswith("#"):
            raise DataError(f"{path}, line {number}: {line[:40]!r} before @data: expected a line with # or @")
    raise DataError(f"{path} has no line @data: expected a .ts file of the UCR and UEA archives")


def _cases(lines: list[str], first: int) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines[first - 1 :], first):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def _sequence(path: Path, number: int, channels: list[str]) -> Float[np.ndarray, "T F"]:
    parts = [_channel(path, number, text) for text in channels]
    if not parts or len({len(part) for part in parts}) > 1:
        counts = ", ".join(str(len(part)) for part in parts) or "none"
        raise DataError(f"{path}, line {number}: its channels have {counts} values: expected as many in each")
    return np.stack(parts, axis=1)


def _channel(path: Path, number: int, text: str) -> Float[np.ndarray, " T"]:
    try:
        return np.array([np.nan if item.strip() == "?" else float(item) for item in text.split(",")])
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}: expected numbers, or ? for a missing one") from None


def _values(path: Path, labels: list[str], valued: bool) -> Shaped[np.ndarray, " n"]:
    if not valued:
        return np.array(labels)
    try:
        return np.array([float(label) for label in labels])
    except ValueError as error:
        raise DataError(f"{path}: {error}: expected a number as each case's target") from None
