"""`statecast gallery`: the tutorials' experiments, run and measured, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from statecast.cli import output
from statecast.errors import SettingError, nearest
from statecast.gallery import cases, page
from statecast.gallery import run as running
from statecast.gallery.result import RecipeResult
from statecast.gallery.run import Attempt, Skipped


def listed(as_json: bool) -> int:
    """List the cases, and what each needs."""
    all_cases = [cases.load(name) for name in cases.NAMES]
    if as_json:
        output.document([{"case": c.name, "title": c.title, "source": c.source, "needs": c.needs} for c in all_cases])
    else:
        rows = [[c.name, c.title, "--data" if c.needs else ""] for c in all_cases]
        output.table([["case", "title", "needs"], *rows])
    return 0


def run(names: Sequence[str], out: str | None, data: str | None, recipe: str | None, as_json: bool) -> int:
    """Run the named cases, or all whose data are at hand, and print the table.

    Returns:
        0; 1 if a recipe failed, or if a case that was named could not run for want of its data.

    Raises:
        SettingError: there is no such case or recipe.
    """
    if recipe is not None and recipe not in cases.RECIPES:
        raise SettingError(f"--recipe {recipe}: {nearest(recipe, cases.RECIPES)}")
    recipes = cases.RECIPES if recipe is None else (recipe,)
    for case in (cases.load(name) for name in names):
        if not set(recipes) & set(case.recipes):
            raise SettingError(f"--recipe {recipe}: {case.name} has no such recipe, only {' and '.join(case.recipes)}")
    attempts: list[Attempt] = []
    for attempt in running.run(
        names or cases.NAMES, Path(data) if data is not None else None, recipes, announce=_announce
    ):
        if isinstance(attempt, Skipped):
            output.note(f"{attempt.case}: {'failed' if attempt.failed else 'left out'}: {attempt.reason}")
        attempts.append(attempt)
    rows = [row for attempt in attempts if isinstance(attempt, RecipeResult) for row in attempt.rows]
    if out is not None:
        output.note(f"look at {page.write(Path(out), attempts)[-1]}")
    if as_json:
        output.document([row.plain() for row in rows])
    elif rows:
        output.table(page.table(rows))
    return int(any(isinstance(attempt, Skipped) and (attempt.failed or names) for attempt in attempts))


def _announce(case: str, recipe: str) -> None:
    output.note(f"{case}, {page.TITLES[recipe][0].lower()}{page.TITLES[recipe][1:]} …")
