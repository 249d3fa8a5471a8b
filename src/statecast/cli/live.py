"""`statecast stream`: a row in, a forecast out, from standard input to standard output.

A row counts once its forecast is delivered: a row that cannot be used changes nothing, one whose forecast nobody reads
is taken back, and a signal is acted upon between two rows only. So a snapshot holds exactly the rows whose forecasts
were printed, and whoever feeds the stream knows from the output alone where to continue.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np

from statecast.cli import output
from statecast.cli.options import require_count
from statecast.errors import DataError, ModelFileError, SettingError, StatecastError
from statecast.forecast import wire
from statecast.forecast.answer import Forecast
from statecast.forecast.rowtext import LineSplitter, RowReader
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.state import State

CHUNK = 1 << 16
WAITS = sys.platform != "win32"  # Windows cannot wait for standard input and a signal at once


def run(path: str, snapshot: str | None, every: int, empty: bool, csv: bool) -> int:
    """Serve standard input until it ends; see the command.

    Returns:
        0; 1 if a row was refused; 130 or 143 if a signal ended it.
    """
    require_count("--every", every)
    stream = _open(path, snapshot, empty)
    with _InputLines() as lines, _saved(stream, snapshot):
        refused = _serve(stream, lines, snapshot, every, _print_csv if csv else _print_json)
    if lines.signal:
        return 128 + lines.signal
    return 1 if refused else 0


def _open(path: str, snapshot: str | None, empty: bool) -> Stream:
    """The stream of a snapshot if there is one, else of the model."""
    if snapshot is None or not Path(snapshot).exists():
        return Stream.load(path, empty=empty)
    if empty:
        raise SettingError(f"--empty starts with no series, but {snapshot} holds some: remove it, or leave --empty out")
    stream = Stream.load(snapshot)
    if not stream.model.shares_states(archive.load(path)):
        raise ModelFileError(
            f"{snapshot} is a snapshot of another model than {path}: give its own model, or another name"
        )
    return stream


@contextlib.contextmanager
def _saved(stream: Stream, snapshot: str | None) -> Iterator[None]:
    """Write the snapshot, however the stream ends."""
    try:
        yield
    finally:
        if snapshot is not None:
            stream.save(snapshot)


def _serve(
    stream: Stream, lines: _InputLines, snapshot: str | None, every: int, deliver: Callable[[Forecast, bool], None]
) -> int:
    """Take row after row; returns how many were refused."""
    reader, refused, count = RowReader(stream.model.schema), 0, 0
    for number, line in enumerate(lines.each(), 1):
        try:
            row = reader.read(line)
            if row is None:
                continue
            before = stream.state_of([row.id]) if snapshot is not None else None
            forecast = stream.observe(row.id, row.value, row.time, row.past, row.known, row.static)
        except StatecastError as error:
            if not reader.started:
                raise DataError(f"standard input, line {number}: {error}") from error
            refused += 1
            output.error(f"line {number}: {error}")
            continue
        try:
            deliver(forecast, count == 0)
        except BaseException:
            if before is not None:  # else nobody will ask what the stream remembers
                _restore(stream, forecast, before)
            raise
        count += 1
        if snapshot is not None and count % every == 0:
            stream.save(snapshot)
    return refused


def _restore(stream: Stream, forecast: Forecast, before: State) -> None:
    """Take the row of a forecast back."""
    if before.ids:
        stream.put(before)
    else:
        stream.remove(forecast.ids)


def _print_json(forecast: Forecast, first: bool) -> None:
    output.line(wire.document(forecast))


def _print_csv(forecast: Forecast, first: bool) -> None:
    import csv

    columns, schema = forecast.columns(), forecast.model.schema
    names = (schema.id_column, schema.time_column)
    ids, size = columns.pop(names[0]).tolist(), len(forecast.targets)
    del columns[names[1]]
    times, cutoff = wire.times(np.atleast_1d(forecast.times), schema) * size, wire.times(forecast.last, schema)
    rows = {names[0]: ids, names[1]: times, "cutoff": cutoff * len(ids)}
    rows |= {name: values.tolist() for name, values in columns.items()}
    for name, items in zip(("score", "unusual"), wire.scores(forecast), strict=True):
        rows[name] = [item for item in items for _ in range(forecast.horizon)]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if first:
        writer.writerow(rows)
    writer.writerows(zip(*rows.values(), strict=True))
    sys.stdout.flush()


class _InputLines:
    """Lines of standard input until it ends, or until SIGINT or SIGTERM comes; neither cuts a row in two.

    The handlers only take note. A signal that comes while nothing is read must still wake the reader, so Python writes
    a byte to a pipe that is waited for together with standard input. Where that is not possible a signal is noticed
    with the next row, or when Ctrl-C ends a read at the terminal.

    Attributes:
        signal: the number of the signal that came; 0 for none.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._undo = contextlib.ExitStack()
        self._wake = -1

    def __enter__(self) -> _InputLines:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._undo.callback(signal.signal, number, signal.signal(number, self._note))
        if WAITS:
            self._wake, bell = os.pipe()
            os.set_blocking(bell, False)
            for end in (self._wake, bell):
                self._undo.callback(os.close, end)
            self._undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(bell, warn_on_full_buffer=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number

    def each(self) -> Iterator[bytes]:
        """The lines, without their ends; the last one needs none."""
        source, splitter = sys.stdin.fileno(), LineSplitter()
        while not self.signal:
            if WAITS:
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
