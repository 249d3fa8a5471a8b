"""Run recipes, each in a process of its own, so that its peak of memory is its own and nothing warms up for the next.

Seconds are of the work alone: reading or making the table, training, and forecasting the test rows. Starting Python and
importing JAX come before the clock starts. The peak is that of the whole process, Python and JAX included.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from statecast.errors import DataError, StatecastError
from statecast.gallery import cases, datasets, series
from statecast.gallery.cases import Case
from statecast.gallery.result import RecipeResult


@dataclass(frozen=True)
class Skipped:
    """A case or recipe that was not run, and why; `failed` where it was tried."""

    case: str
    recipe: str
    reason: str
    failed: bool


Attempt = RecipeResult | Skipped


def run(
    names: Iterable[str],
    folder: Path | None = None,
    recipes: Iterable[str] = cases.RECIPES,
    apart: bool = True,
    announce: Callable[[str, str], None] = lambda case, recipe: None,
) -> Iterator[Attempt]:
    """Run cases, one recipe after the other, and yield what each gave.

    Args:
        names: of the cases.
        folder: where files lie that are not shipped.
        recipes: which.
        apart: each in a process of its own; else in this one, where the peak of memory is that of all so far.
        announce: called with the case and the recipe before each starts.

    Raises:
        SettingError: there is no such case.
    """
    for case in [cases.load(name) for name in names]:
        missing = without_data(case, folder)
        if missing:
            yield Skipped(case.name, "", missing, False)
            continue
        for recipe in case.recipes:
            if recipe in recipes:
                announce(case.name, recipe)
                yield _run(case.name, recipe, folder, apart)


def without_data(case: Case, folder: Path | None) -> str:
    """Why the table of a case cannot be had; empty where it can."""
    try:
        if case.needs:
            (datasets.MAKERS if case.kind == "classify" else series.MAKERS)[case.example](folder)
    except DataError as error:
        return str(error)
    return ""


def _run(case: str, recipe: str, folder: Path | None, apart: bool) -> Attempt:
    try:
        if not apart:
            return measured(case, recipe, folder)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            return process.submit(measured, case, recipe, folder).result()
    except StatecastError as error:
        return Skipped(case, recipe, str(error), True)


def measured(name: str, recipe: str, folder: Path | None) -> RecipeResult:
    """Run one recipe of a case here, and write its seconds and its peak of memory into its rows."""
    from statecast.gallery import classifying, forecasting
    from statecast.train.fit import awake

    awake()  # what it takes to start is not part of a recipe's time
    case = cases.load(name)
    room = classifying if case.kind == "classify" else forecasting
    began = time.perf_counter()
    result: RecipeResult = room.run(case, recipe, folder)
    seconds, peak = round(time.perf_counter() - began, 2), peak_mb()
    rows = tuple(replace(r, seconds=seconds, peak_mb=peak) if r.recipe == recipe else r for r in result.rows)
    return replace(result, rows=rows)


def peak_mb() -> float | None:
    """The most memory that this process has held, in MB; None where the system does not say, as on Windows."""
    try:  # the peak of this program alone; what getrusage tells can be that of the process that started it
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        try:
            import resource
        except ImportError:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = peak // 1024 if sys.platform == "darwin" else peak
    return round(kilobytes * 1024 / 1e6, 1)
