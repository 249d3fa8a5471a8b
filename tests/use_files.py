"""What comes of using lying model files: `python tests/use_files.py 100000` uses as many, in two processes.

A file is loaded, written again, stepped, forecast and sampled. All of it must end in finite forecasts or in a
`StatecastError`, within seconds and a little memory; nothing else, and never in a fault of memory: a process that dies
is noticed, and the number of its file told. `python tests/use_files.py --one 4711` uses one, with a traceback.
"""

from __future__ import annotations

import argparse
import json
import mmap
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from lying_files import lie

from statecast.data.panel import Panel
from statecast.errors import ModelFileError, StatecastError
from statecast.forecast.predict import forecast, from_table
from statecast.forecast.sample import sample
from statecast.forecast.stream import Stream
from statecast.model import archive
from statecast.model.trained import Model

SECONDS, GIGABYTES = 10, 3  # that one file may take
PIECE = 5000  # files that a process uses


def use(content: bytes) -> str:
    """Load a file, step and forecast: what came of it.

    Raises:
        AssertionError: a forecast is not finite, or the model is not written as it was read.
        Exception: whatever else is not a `StatecastError`.
    """
    try:
        of = archive.from_bytes(content)
    except ModelFileError as error:
        text = str(error)
        assert len(text) < 1000 and text.isprintable(), f"an error of {len(text)} characters"
        return "refused"
    again = archive.from_bytes(archive.to_bytes(of))
    assert again.shares_states(of) and again.state.data.tobytes() == of.state.data.tobytes()
    outcomes = [tried(deed, of) for deed in (observed, observed_many, continued, drawn, rolled)]
    return "used" if all(outcomes) else "used in part" if any(outcomes) else "of no use"


def tried(deed: Any, of: Model) -> bool:
    """Whether a deed came to its end; `StatecastError` is the other end that it may come to."""
    try:
        deed(of)
    except StatecastError as error:
        assert str(error)
        return False
    return True


def finite(forecasts: Any) -> None:
    """A forecast's numbers are all there and finite."""
    for values in (forecasts.values, *forecasts.lower.values(), *forecasts.upper.values()):
        assert np.isfinite(values).all(), "a forecast that is not finite"
    assert forecasts.columns()


def arguments(of: Model, steps: int) -> dict[str, Any]:
    """Covariates of one row."""
    schema = of.schema
    known = [[item.categories[0] if item.categories else 0.5 for item in schema.known]] * (steps + 1)
    row: dict[str, Any] = {"past": [item.categories[0] if item.categories else 0.5 for item in schema.past]}
    row |= {"known": known, "static": [item.categories[0] if item.categories else 1.0 for item in schema.static]}
    return {name: value for name, value in row.items() if getattr(schema, name)}


def observed(of: Model) -> None:
    """Rows of series that are known, and of a new one, one at a time."""
    stream, row = Stream(of), arguments(of, of.config.horizon)
    for id in stream.ids[:2]:
        finite(stream.observe(id, [6.5] * len(of.schema.target), **row))
        finite(stream.observe(id, [float("nan")] * len(of.schema.target), **row))
    finite(stream.observe(99, [6.0] * len(of.schema.target), 10**15, **row))


def observed_many(of: Model) -> None:
    """A row of every series at once."""
    stream, row = Stream(of), arguments(of, of.config.horizon)
    ids = stream.ids
    each = {name: [value] * len(ids) for name, value in row.items()}
    finite(stream.observe_many(ids, np.full((len(ids), len(of.schema.target)), 7.0), **each))


def continued(of: Model) -> None:
    """Forecasts from the state, beyond the network's horizon."""
    horizon = min(2 * of.config.horizon + 1, 50)
    known = [np.zeros((horizon, len(of.schema.known_features)))] * len(of.state.ids)
    finite(forecast(of, horizon=horizon, future=known if of.schema.known else None))


def drawn(of: Model) -> None:
    """Sample paths."""
    if not of.schema.known:
        assert np.isfinite(sample(of, 3, horizon=of.config.horizon + 1).values).all(), "a path that is not finite"


def rolled(of: Model) -> None:
    """A table from its first row on."""
    if len(of.schema.past_features) + len(of.schema.known_features) + len(of.schema.static_features) > 1000:
        return  # the table would be large, not the model
    rng, schema, rows = np.random.default_rng(0), of.schema, 12
    counts = [len(getattr(schema, f"{name}_features")) for name in ("past", "known", "static")]
    times = schema.frequency.advance(0, np.arange(rows))
    ids = schema.series[:1] or ("s0" if schema.id_kind == "text" else 0,)
    ids = ids if schema.id else ("series" if len(schema.target) > 1 else schema.target[0],)
    values = [rng.random((size, count)) for size, count in zip((rows, rows, 1), counts, strict=True)]
    table = Panel(
        6 + rng.random((rows, len(schema.target))),
        np.asarray(times, np.int64),
        np.array([0, rows]),
        ids,
        *values,
        rng.random((50, counts[1])),
        np.array([0, 50]),
    )
    finite(from_table(of, table, min(of.config.horizon, 50)))


# --- many of them


@contextmanager
def quiet() -> Iterator[None]:
    """Numbers that overflow are no fault as long as nobody is told them."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def run(numbers: range, place: mmap.mmap | None = None) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Use these files: how often what came of it, and the faults; `place` tells others which file is in use."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    outcomes: Counter[str] = Counter()
    faults: list[tuple[int, str]] = []
    signal.signal(signal.SIGALRM, late)
    for number in numbers:
        if place is not None:
            place[:8] = number.to_bytes(8, "little")
        signal.alarm(SECONDS)
        try:
            with quiet():
                outcomes[use(lie(number))] += 1
        except Exception as error:  # whatever is not a StatecastError is what is looked for
            frame = traceback.extract_tb(error.__traceback__)[-1]
            faults.append(
                (number, f"{type(error).__name__}: {str(error)[:150]} ({Path(frame.filename).name}:{frame.lineno})")
            )
        finally:
            signal.alarm(0)
    return outcomes, faults


def _worker(begin: int, end: int, where: str) -> None:
    limit = GIGABYTES << 30
    if "libasan" not in Path("/proc/self/maps").read_text():  # which reserves terabytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with open(where, "r+b") as file, mmap.mmap(file.fileno(), 8) as place:
        outcomes, faults = run(range(begin, end), place)
    print(json.dumps([outcomes, faults]))


def _run_in_pieces(begin: int, end: int, processes: int) -> int:
    """Run the files in processes, `PIECE` in each; a process that dies is a fault of the file that it was at."""
    outcomes: Counter[str] = Counter()
    faults: list[tuple[int, str]] = []
    started = time.monotonic()
    pieces = [(first, min(first + PIECE, end)) for first in range(begin, end, PIECE)]
    running: dict[subprocess.Popen[bytes], tuple[int, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        while pieces or running:
            while pieces and len(running) < processes:
                first, last = pieces.pop(0)
                place = Path(folder, str(first))
                place.write_bytes(first.to_bytes(8, "little"))
                command = [sys.executable, __file__, "--worker", str(first), str(last), str(place)]
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                running[process] = last, place
            time.sleep(0.05)
            for process in [process for process in running if process.poll() is not None]:
                last, place = running.pop(process)
                out, err = process.communicate()
                print(
                    f"up to {last:,}: {process.returncode or out.decode().strip()[:200]}", file=sys.stderr, flush=True
                )
                if process.returncode == 0:
                    counts, more = json.loads(out)
                    outcomes.update(counts)
                    faults += [(number, text) for number, text in more]
                    continue
                number = int.from_bytes(place.read_bytes(), "little")
                faults.append((number, f"the process died ({process.returncode}): {err.decode()[-1500:]}"))
                pieces.append((number + 1, last))
    _tell(outcomes, faults, time.monotonic() - started)
    return 1 if faults else 0


def _tell(outcomes: Counter[str], faults: list[tuple[int, str]], seconds: float) -> None:
    print(f"{sum(outcomes.values()) + len(faults):,} files in {seconds:.0f} s: {dict(outcomes)}")
    for text, count in Counter(text for _, text in faults).most_common(40):
        print(f"  {count:6,} × {text}   first: {next(number for number, other in faults if other == text)}")
    print(f"{len(faults):,} faults")


def main() -> int:
    """Run as a program; see the top of the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=int, nargs="?", default=100_000)
    parser.add_argument("--begin", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--one", type=int)
    parser.add_argument("--worker", nargs=3)
    options = parser.parse_args()
    if options.worker:
        _worker(int(options.worker[0]), int(options.worker[1]), options.worker[2])
        return 0
    if options.one is not None:
        with quiet():
            print(use(lie(options.one)))
        return 0
    return _run_in_pieces(options.begin, options.begin + options.files, options.processes)


if __name__ == "__main__":
    sys.exit(main())
