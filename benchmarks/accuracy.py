"""How accurate statecast is with its defaults, beside naive forecasts and other libraries, on real tables.

Every fit of a table is a process of its own and is given a table, its columns, a horizon and a seed, and nothing else;
the test rows are not in that table. Its seconds are everything after the table is read: importing JAX, fitting,
forecasting. Short series alone are fitted one after another in one process for each seed. Peers run in an environment
of their own (`requirements-accuracy.txt`) and are scored by the same lines.

    python benchmarks/accuracy.py                               all tables, three seeds, the recorded peers beside
    python benchmarks/accuracy.py etth1-96 pjm --seeds 1        some of them
    python benchmarks/accuracy.py m1-monthly short --validation --seeds 1          on rows cut off: nothing is recorded
    python benchmarks/accuracy.py m4-hourly --set ensemble=1    a table once more, with a setting beside the defaults
    python benchmarks/accuracy.py m4-hourly --start             and with what is known before the first training step
    python benchmarks/accuracy.py --peers run --peers-python peers/bin/python      the peers as well, and record them
    python benchmarks/accuracy.py --markdown                    docs/accuracy.md, from what was recorded
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fits import START, measure, measure_alone, naive
from others import MEAN, MODELS, PAIR, Answers, entry, mean, peer, takes_part
from protocols import NAMES, Protocol, Suite, load
from protocols.protocol import LEVELS, Scores
from record import Record, machine

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
RESULTS = HERE / "results" / "accuracy.json"
PEERS = HERE / "results" / "accuracy_peers.json"
NAB = HERE / "results" / "nab.json"

note = partial(print, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocols", nargs="*", metavar="PROTOCOL", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each table, with seeds 0, 1, …")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; recorded beside the defaults' runs"
    )
    parser.add_argument(
        "--start", action="store_true", help="keep no training step; recorded beside the defaults' runs"
    )
    parser.add_argument("--validation", action="store_true", help="on rows cut off, to choose by; nothing is recorded")
    parser.add_argument("--busy", action="store_true", help="the machine has other work: the page says so of seconds")
    parser.add_argument("--every", type=int, default=1, help="of the short series only each so many-th; not recorded")
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
    names = options.protocols or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"no protocol {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    variant = bool(options.set or options.start)
    if variant and recorded(options) and (bare := set(names) - set(Record.read(options.out).tables)):
        parser.error(f"a setting stands beside the defaults, which were not run yet on {', '.join(sorted(bare))}")
    if not options.markdown and not options.data.is_dir():
        parser.error(f"there is no folder {options.data}: say with --data where the tables lie")
    if options.peers == "run" and not options.peers_python:
        parser.error("--peers run needs --peers-python, the Python of their environment: see benchmarks/README.md")
    if options.markdown:
        from accuracy_page import page

        print(page(Record.read(options.out), Record.read(PEERS), Record.read(NAB)), end="")
    elif options.job:
        print(json.dumps(job(names[0], options)))
    else:
        for name in names:
            run(name, options)


def recorded(options: argparse.Namespace) -> bool:
    """Whether results are kept: not those on rows cut off, of some series only, or of one job."""
    return not options.validation and options.every == 1 and not options.job


def problem_of(name: str, options: argparse.Namespace) -> Protocol | Suite:
    problem = load(name, options.data, options.validation)
    return replace(problem, members=problem.members[:: options.every]) if isinstance(problem, Suite) else problem


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What is given beside the defaults."""
    return dict(map(setting, options.set)) | (dict(START) if options.start else {})


def setting(text: str) -> tuple[str, Any]:
    """A name and a value, in the notation of TOML."""
    name, _, value = text.partition("=")
    return name.strip(), tomllib.loads(f"value = {value}")["value"]


def job(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The fits of one seed."""
    problem, seed, settings = problem_of(name, options), int(options.job[0]), settings_of(options)
    if isinstance(problem, Suite):
        return measure_alone(problem, seed, settings, note)
    return measure(problem, seed, settings)


def child(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The fits of one seed, in a process of its own."""
    settings = [f"--set={text}" for text in options.set] + ["--start"] * options.start
    rows = ["--data", str(options.data), "--every", str(options.every), *(["--validation"] * options.validation)]
    call = [sys.executable, __file__, name, "--job", str(seed), *settings, *rows]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{name}, seed {seed}, ended with {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(name: str, options: argparse.Namespace) -> None:
    """Measure one protocol, print its lines and record them."""
    problem = problem_of(name, options)
    about = {"title": problem.title, "split": problem.split, "shown": list(problem.shown), "naive": naive(problem)}
    print(f"{problem.title} ({problem.split})", flush=True)
    for baseline, part in about["naive"].items():
        say(baseline, problem, part["scores"], part["seconds"])
    if options.seeds:
        runs = []
        for seed in range(options.seeds):
            runs.append(child(name, seed, options))
            say(f"statecast, seed {seed}", problem, runs[-1]["scores"], runs[-1]["seconds"])
        if recorded(options):
            keep(name, about, runs, options)
    if options.peers == "run":
        run_peers(name, problem, options)
    if options.peers != "none" and recorded(options):
        for model, result in Record.read(PEERS).tables.get(name, {}).items():
            if model != "machine":
                say(model, problem, result.get("scores") or result.get("sparse") or {}, result.get("seconds"), result)


def keep(name: str, about: Mapping[str, Any], runs: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Record the defaults' runs, or those of a variant beside them."""
    record = Record.read(options.out)
    before = dict(record.tables.get(name, {}))
    if options.set or options.start:
        label = ", ".join(["the start alone"] * options.start + [" = ".join(text.split("=")) for text in options.set])
        whole = before | {"variants": {**before.get("variants", {}), label: {"runs": runs}}}
    else:
        whole = {**about, "runs": runs}
    record.with_(name, whole, machine() | ({"busy": True} if options.busy else {})).write(options.out)


def run_peers(name: str, problem: Protocol | Suite, options: argparse.Namespace) -> None:
    """Run the peers that take part, say their scores and, of all test rows, record them; and the mean of a pair."""
    answers: dict[str, Answers] = {}
    for model in (model for model in options.models.split(",") if takes_part(problem, model)):
        answer = peer(problem, model, options.peers_python, options.peers_minutes, note)
        if answer is None:
            keep_peer(name, model, {"left_out": f"not done after {options.peers_minutes:g} minutes"}, {}, options)
            continue
        answers[model] = answer
        report_peer(name, model, problem, answer, options)
    if set(PAIR) <= set(answers):
        report_peer(name, MEAN, problem, mean([answers[model] for model in PAIR]), options)


def report_peer(name: str, model: str, problem: Protocol | Suite, answer: Answers, options: argparse.Namespace) -> None:
    result = entry(problem, answer)
    keep_peer(name, model, result, answer.notes["packages"], options)
    if not recorded(options):
        say(model, problem, result.get("scores") or result["sparse"], result["seconds"], result)


def keep_peer(
    name: str, model: str, result: Mapping[str, Any], packages: Mapping[str, str], options: argparse.Namespace
) -> None:
    if recorded(options):
        record = Record.read(PEERS)
        computer = machine(()) | {"packages": packages}
        record.with_(name, {**record.tables.get(name, {}), model: result}, computer).write(PEERS)


def say(
    who: str,
    problem: Protocol | Suite,
    scores: Scores,
    seconds: float | None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """A forecaster's line."""
    result = result or {}
    numbers = "  ".join(f"{key} {scores[key]:.4g}" for key in shown(problem) if key in scores)
    few = " (few origins)" if "sparse" in result else ""
    clock = "" if seconds is None else f"{seconds:.1f} s"
    print(f"  {who:30} {numbers}  {clock}{few}{result.get('left_out', '')}", flush=True)


def shown(problem: Protocol | Suite) -> Iterable[str]:
    """The scores that a line tells."""
    levels = [f"{what}/{level}" for what in ("coverage", "msis") for level in LEVELS]
    return (*problem.shown, *levels, "scaled_crps")


if __name__ == "__main__":
    main()
