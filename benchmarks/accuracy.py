"""How accurate statecast is with its defaults, beside naive forecasts and other libraries, on real tables.

Every fit is a process of its own and is given a table, its columns, a horizon and a seed, and nothing else; the test
rows are not in that table. Its seconds are everything after the table is read: importing JAX, fitting, forecasting.
Peers run in an environment of their own (`requirements-accuracy.txt`) and are scored by the same lines.

    python benchmarks/accuracy.py                               all tables, three seeds, the recorded peers beside
    python benchmarks/accuracy.py etth1-96 pjm --seeds 1        some of them
    python benchmarks/accuracy.py m4-hourly --ensemble 1        a table once more, with one setting beside the defaults
    python benchmarks/accuracy.py --peers run --peers-python peers/bin/python      the peers as well, and record them
    python benchmarks/accuracy.py --markdown                    docs/accuracy.md, from what was recorded
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from protocols import PROTOCOLS, Protocol
from protocols.competitions import owa
from protocols.protocol import LEVELS, NAIVE, Forecasts, arrange
from record import Record, machine

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
RESULTS = HERE / "results" / "accuracy.json"
PEERS = HERE / "results" / "accuracy_peers.json"
MODELS = ("AutoETS", "AutoTheta", "LSTM", "DeepAR")
NUMBERS = 12_000_000  # forecast values that one backtest gives; more are asked for in several, to bound memory

Scores = dict[str, float]


# --- statecast


def measure(protocol: Protocol, seed: int, ensemble: int = 0) -> dict[str, Any]:
    """Fit with the defaults, but for the size of an ensemble where that is given; forecast all origins, score."""
    import statecast as sc

    start, cpu = time.perf_counter(), time.process_time()
    fixed: dict[str, Any] = {} if protocol.val is None else {"val_size": protocol.val}
    fixed |= {"ensemble": ensemble} if ensemble else {}
    model = sc.Forecaster(horizon=protocol.horizon, random_state=seed, test_size=0, **fixed)
    model.fit(protocol.seen, **protocol.roles)
    fitted = time.perf_counter()
    made = predicted(protocol, model) if protocol.windows == 1 else backtested(protocol, model)
    done = time.perf_counter()
    return {
        "seed": seed,
        "seconds": done - start,
        "fit_s": fitted - start,
        "forecast_s": done - fitted,
        "cpu_s": time.process_time() - cpu,
        "scores": scored(protocol, made),
        "sparse": scored(protocol, made.at(protocol.sparse_rows), protocol.sparse_rows) if protocol.sparse else None,
        "chosen": {name: plain(model.model_.config.to_dict()[name]) for name in sorted(model.reasons_)},
    }


def predicted(protocol: Protocol, model: Any) -> Forecasts:
    """One forecast of each series, from where the table of the fit ended."""
    return arrange(protocol, *columns(model.predict(), protocol), windows=1)


def backtested(protocol: Protocol, model: Any) -> Forecasts:
    """Forecasts of all origins without refit: one run over the table, or a few where all of them fill the memory."""
    most = max(NUMBERS // (len(protocol.series) * protocol.horizon), 1)
    parts = []
    for left in range(protocol.windows, 0, -most):
        windows = min(most, left)
        drop = (left - windows) * protocol.step
        part = model.backtest(without_last(protocol, drop), windows=windows, step=protocol.step)
        parts.append(arrange(protocol, *columns(part, protocol), windows=windows))
    return together(protocol, parts)


def without_last(protocol: Protocol, rows: int) -> Any:
    """The table without the last rows; only wide tables of one series have so many origins that this is asked for."""
    if rows and protocol.roles.get("id"):
        raise ValueError(f"{protocol.name}: too many forecasts for one backtest")
    return protocol.table.head(len(protocol.table) - rows)


def columns(frame: Any, protocol: Protocol) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The ids of a frame of forecasts, and its points and bounds."""
    names = {"point": "statecast"}
    names |= {f"{side}-{level}": f"statecast-{side}-{level}" for side in ("lo", "hi") for level in LEVELS}
    ids = frame[protocol.roles.get("id", "unique_id")] if len(protocol.series) > 1 else [protocol.series[0].name]
    repeated = np.asarray(ids) if len(protocol.series) > 1 else np.repeat(ids, len(frame))
    return repeated, {short: frame[name].to_numpy() for short, name in names.items()}


def together(protocol: Protocol, parts: Sequence[Forecasts]) -> Forecasts:
    """Blocks of origins, one after another in time, as the forecasts of all."""

    def joined(arrays: list[np.ndarray]) -> np.ndarray:
        blocks = [array.reshape(len(protocol.series), -1, protocol.horizon) for array in arrays]
        return np.concatenate(blocks, axis=1).reshape(-1, protocol.horizon)

    lower, upper = (
        {level: joined([getattr(part, side)[level] for part in parts]) for level in LEVELS}
        for side in ("lower", "upper")
    )
    return Forecasts(joined([part.point for part in parts]), lower, upper)


# --- scores


def scored(protocol: Protocol, made: Forecasts, rows: np.ndarray | None = None) -> Scores:
    """The protocol's scores, and OWA where the competition has it."""
    found = protocol.scores(made, rows)
    return found | ({"owa": owa(found["smape"], found["mase"])} if "owa" in protocol.shown else {})


def naive(protocol: Protocol) -> dict[str, dict[str, Any]]:
    """The scores of the naive forecasts at all origins, and at the sparse ones."""
    found = {}
    for name in NAIVE:
        start = time.perf_counter()
        made = protocol.naive(name)
        took = time.perf_counter() - start
        rows = protocol.sparse_rows if protocol.sparse else None
        sparse = None if rows is None else scored(protocol, made.at(rows), rows)
        found[name] = {"seconds": took, "scores": scored(protocol, made), "sparse": sparse}
    return found


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# --- processes


def child(name: str, *arguments: str) -> dict[str, Any]:
    """One job on a protocol in a process of its own."""
    call = [sys.executable, __file__, name, "--job", *arguments]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name}: {' '.join(arguments)} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peer(protocol: Protocol, model: str, python: str, minutes: float) -> dict[str, Any]:
    """A peer's forecasts of a protocol's table, made by its own Python and scored here."""
    with tempfile.TemporaryDirectory(prefix="statecast-accuracy-") as folder:
        problem, answer = Path(folder) / "problem.npz", Path(folder) / "answer.npz"
        write_problem(protocol, problem)
        call = [python, str(HERE / "peers.py"), model, str(problem), str(answer)]
        try:
            done = subprocess.run(call, timeout=60 * minutes, stdout=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return {"left_out": f"not done after {minutes:g} minutes"}
        if done.returncode:
            sys.exit(f"{model} on {protocol.name} ended with {done.returncode}")
        with np.load(answer) as found:
            told = json.loads(str(found["told"]))
            if "left_out" in told:
                return told
            lower, upper = ({int(k[3:]): found[k] for k in found if k.startswith(side)} for side in ("lo-", "hi-"))
            made = Forecasts(found["point"], lower, upper)
    rows = protocol.sparse_rows if told.pop("sparse") else None
    return told | {"sparse" if rows is not None and protocol.windows > 1 else "scores": scored(protocol, made, rows)}


def write_problem(protocol: Protocol, path: Path) -> None:
    """What a peer is told: series on a regular grid, and which rows to forecast."""
    lengths = [len(series.y) for series in protocol.series]
    np.savez(
        path,
        y=np.concatenate([series.y for series in protocol.series]),
        known=np.concatenate([series.known for series in protocol.series]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        begin=np.array([series.begin.astype("datetime64[us]") for series in protocol.series]),
        freq=protocol.freq,
        horizon=protocol.horizon,
        season=protocol.season,
        test=protocol.test,
        step=protocol.step,
        windows=protocol.windows,
        sparse=protocol.sparse_rows if protocol.sparse else np.zeros(0, np.int64),
    )


# --- the command line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocols", nargs="*", metavar="PROTOCOL", help=f"of {', '.join(PROTOCOLS)}; all by default")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each table, with seeds 0, 1, …")
    parser.add_argument("--ensemble", type=int, default=0, help="so many networks: recorded beside the defaults' runs")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of tables")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file that the results go to")
    parser.add_argument("--peers", choices=("recorded", "run", "none"), default="recorded")
    parser.add_argument("--peers-python", default="", help="the Python of the peers' environment")
    parser.add_argument("--models", default=",".join(MODELS), help="which peers run")
    parser.add_argument(
        "--peers-minutes", type=float, default=30, help="a peer that takes longer on a table is left out"
    )
    parser.add_argument("--markdown", action="store_true", help="print docs/accuracy.md from the recorded results")
    parser.add_argument("--job", nargs=1, metavar="SEED", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.protocols or list(PROTOCOLS)
    if unknown := set(names) - set(PROTOCOLS):
        parser.error(f"no protocol {', '.join(sorted(unknown))}; there are {', '.join(PROTOCOLS)}")
    if options.ensemble and not options.job and (bare := set(names) - set(Record.read(options.out).tables)):
        parser.error(f"--ensemble stands beside the defaults, which were not run yet on {', '.join(sorted(bare))}")
    if not options.markdown and not options.data.is_dir():
        parser.error(f"there is no folder {options.data}: say with --data where the tables lie")
    if options.peers == "run" and not options.peers_python:
        parser.error("--peers run needs --peers-python, the Python of their environment: see benchmarks/README.md")
    if options.markdown:
        from accuracy_page import page

        print(page(Record.read(options.out), Record.read(PEERS)), end="")
    elif options.job:
        print(json.dumps(measure(PROTOCOLS[names[0]](options.data), int(options.job[0]), options.ensemble)))
    else:
        for name in names:
            run(name, options)


def run(name: str, options: argparse.Namespace) -> None:
    """Measure one protocol, print its lines and record them."""
    protocol = PROTOCOLS[name](options.data)
    about = {"title": protocol.title, "split": protocol.split, "shown": list(protocol.shown)}
    found: dict[str, Any] = {"naive": naive(protocol)}
    print(f"{protocol.title} ({protocol.split})", flush=True)
    for item, entry in found["naive"].items():
        say(item, protocol, entry["scores"], entry["seconds"])
    if options.seeds:
        runs = []
        for seed in range(options.seeds):
            runs.append(child(name, str(seed), "--data", str(options.data), "--ensemble", str(options.ensemble)))
            say(f"statecast, seed {seed}", protocol, runs[-1]["scores"], runs[-1]["seconds"])
        record = Record.read(options.out)
        if options.ensemble:
            entry = dict(record.tables[name]) | {"ensemble": {"networks": options.ensemble, "runs": runs}}
        else:
            entry = about | found | {"runs": runs}
        record.with_(name, entry, machine()).write(options.out)
    if options.peers == "run":
        for model in options.models.split(","):
            entry = peer(protocol, model, options.peers_python, options.peers_minutes)
            before = Record.read(PEERS)
            there = machine(()) | {"packages": entry.pop("packages", {})}
            before.with_(name, before.tables.get(name, {}) | {model: entry}, there).write(PEERS)
    if options.peers != "none":
        recorded = Record.read(PEERS).tables.get(name, {})
        for model, entry in ((model, recorded[model]) for model in MODELS if model in recorded):
            say(model, protocol, entry.get("scores") or entry.get("sparse") or {}, entry.get("seconds"), entry)


def say(
    who: str, protocol: Protocol, scores: Scores, seconds: float | None, entry: dict[str, Any] | None = None
) -> None:
    wanted = (*protocol.shown, *(f"coverage/{level}" for level in LEVELS))
    numbers = "  ".join(f"{key} {scores[key]:.4g}" for key in wanted if key in scores)
    few = " (few origins)" if entry and "sparse" in entry else ""
    note = entry.get("left_out", "") if entry else ""
    print(f"  {who:22} {numbers}  {'' if seconds is None else f'{seconds:.1f} s'}{few}{note}", flush=True)


if __name__ == "__main__":
    main()
