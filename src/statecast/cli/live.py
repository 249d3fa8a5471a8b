"""`statecast stream`: a row in, a forecast out, from standard input to standard output.

A row is either wholly taken or refused, and a signal is only acted upon between two rows: a snapshot always holds
exactly the rows whose forecasts were printed. So whoever feeds the stream knows, from the output alone, where to go on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np

from statecast.cli import output
from statecast.cli.rows import LineSplitter, RowReader
from statecast.errors import DataError, ModelFileError, SettingError, StatecastError
from statecast.forecast.predict import Forecast
from statecast.forecast.stream import Stream
from statecast.model import archive

CHUNK = 1 << 16


def run(path: str, snapshot: str | None, every: int, empty: bool, csv: bool) -> int:
    """Serve standard input until it ends; see the command.

    Returns:
        0; 1 where a row was refused; 130 or 143 where a signal ended it.
    """
    if every < 1:
        raise SettingError(f"--every {every}: wanted a whole number of at least 1")
    stream = _open(path, snapshot, empty)
    with _Ending() as ending, _saved(stream, snapshot):
        refused = _serve(stream, ending, snapshot, every, csv)
    if ending.signal:
        return 128 + ending.signal
    return 1 if refused else 0


def _open(path: str, snapshot: str | None, empty: bool) -> Stream:
    """The stream of a snapshot if there is one, else of the model."""
    if snapshot is None or not Path(snapshot).exists():
        return Stream.load(path, empty=empty)
    if empty:
        raise SettingError(f"--empty starts with no series, but {snapshot} holds some: remove it, or leave --empty out")
    found = Stream.load(snapshot)
    if not found.model.shares_states(archive.load(path)):
        raise ModelFileError(
            f"{snapshot} is a snapshot of another model than {path}: give its own model, or another name"
        )
    return found


@contextlib.contextmanager
def _saved(stream: Stream, snapshot: str | None) -> Iterator[None]:
    """However it ends, the snapshot is written."""
    try:
        yield
    finally:
        if snapshot is not None:
            stream.save(snapshot)


def _serve(stream: Stream, ending: _Ending, snapshot: str | None, every: int, csv: bool) -> int:
    """Take row after row; returns how many were refused."""
    reader, refused, taken = RowReader(stream.model.schema), 0, 0
    for number, line in enumerate(ending.lines(), 1):
        try:
            row = reader.read(line)
            if row is None:
                continue
            found = stream.observe(row.id, row.value, row.time, row.past, row.known, row.static)
        except StatecastError as error:
            if not reader.started:
                raise DataError(f"standard input, line {number}: {error}") from error
            refused += 1
            output.error(f"line {number}: {error}")
            continue
        taken += 1
        if csv:
            _print_csv(found, heading=taken == 1)
        else:
            output.line(_document(found))
        if snapshot is not None and taken % every == 0:
            stream.save(snapshot)
    return refused


def _document(found: Forecast) -> dict[str, object]:
    """One forecast; with several targets each number series is a mapping from target to numbers."""
    schema = found.model.schema
    values = {"statecast": found.values}
    for level, lower in found.lower.items():
        values |= {f"statecast-lo-{level:g}": lower, f"statecast-hi-{level:g}": found.upper[level]}
    alone = len(found.targets) == 1
    shown = {
        name: part[:, 0] if alone else {target: part[:, d] for d, target in enumerate(found.targets)}
        for name, part in values.items()
    }
    times = output.texts(np.atleast_1d(found.stamps), bool(schema.tz))
    return {"id": found.ids[0], "time": output.texts(_stamp(found), bool(schema.tz))[0], "times": times, **shown}


def _print_csv(found: Forecast, heading: bool) -> None:
    import csv

    columns, schema = found.columns(), found.model.schema
    cutoff = output.texts(_stamp(found), bool(schema.tz)) * len(columns["statecast"])
    names = [schema.id_column, schema.time_column]
    out = {names[0]: columns.pop(names[0]).tolist(), names[1]: output.texts(columns.pop(names[1]), bool(schema.tz))}
    out |= {"cutoff": cutoff, **{name: values.tolist() for name, values in columns.items()}}
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if heading:
        writer.writerow(out)
    writer.writerows(zip(*out.values(), strict=True))
    sys.stdout.flush()


def _stamp(found: Forecast) -> np.ndarray:
    from statecast.data import calendar

    schema = found.model.schema
    return np.asarray(calendar.to_datetime64(found.last, schema.time_kind, schema.frequency, schema.tz))


class _Ending:
    """Lines of standard input until it ends, or until SIGINT or SIGTERM comes; neither cuts a row in two.

    The handlers only take note. A signal that comes while nothing is read must still wake the reader, so Python writes
    a byte to a pipe that is waited for together with standard input.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._bell, False)

    def __enter__(self) -> _Ending:
        self._old = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        self._old_bell = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old_bell)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        os.close(self._wake)
        os.close(self._bell)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number

    def lines(self) -> Iterator[bytes]:
        """The lines, without their ends; the last one needs none."""
        source, splitter = sys.stdin.fileno(), LineSplitter()
        while not self.signal:
            select.select([source, self._wake], [], [])
            if self.signal:
                return
            chunk = os.read(source, CHUNK)
            for line in splitter.feed(chunk) if chunk else splitter.end():
                if self.signal:
                    return
                yield line
            if not chunk:
                return
