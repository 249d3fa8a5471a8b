"""`statecast gallery`: the tutorials' experiments, run and measured, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from statecast.cli import output
from statecast.errors import DataError, SettingError, nearest
from statecast.gallery import cases, page
from statecast.gallery import run as running
from statecast.gallery.result import RecipeResult
from statecast.gallery.run import Attempt, Skipped


def listed(as_json: bool) -> int:
    """All cases, and what each needs."""
    found = [cases.load(name) for name in cases.NAMES]
    if as_json:
        output.document([{"case": c.name, "title": c.title, "source": c.source, "needs": c.needs} for c in found])
    else:
        output.table([["case", "title", "needs"], *([c.name, c.title, "--data" if c.needs else ""] for c in found)])
    return 0


def run(names: Sequence[str], out: str | None, data: str | None, recipe: str | None, as_json: bool) -> int:
    """Run the named cases, or all that there is data for, and print the table.

    Raises:
        SettingError: there is no such case or recipe.
        DataError: the file that a named case needs is missing.
    """
    folder = Path(data) if data is not None else None
    if recipe is not None and recipe not in cases.RECIPES:
        raise SettingError(f"--recipe {recipe}: {nearest(recipe, cases.RECIPES)}")
    recipes = cases.RECIPES if recipe is None else (recipe,)
    for case in (cases.load(name) for name in names):
        if not set(recipes) & set(case.recipes):
            raise SettingError(f"--recipe {recipe}: {case.name} is no tutorial's experiment, so it has no such recipe")
        missing = running.without_data(case, folder)
        if missing:
            raise DataError(missing)
    found: list[Attempt] = []
    for item in running.run(names or cases.NAMES, folder, recipes, tell=_tell):
        if isinstance(item, Skipped):
            output.note(f"{item.case}: {'failed' if item.failed else 'left out'}: {item.reason}")
        found.append(item)
    rows = [row for item in found if isinstance(item, RecipeResult) for row in item.rows]
    if out is not None:
        output.note(f"look at {page.write(Path(out), found)[-1]}")
    if as_json:
        output.document([row.plain() for row in rows])
    else:
        output.table(page.table(rows))
    return int(any(isinstance(item, Skipped) and item.failed for item in found))


def _tell(case: str, recipe: str) -> None:
    output.note(f"{case}, {recipe}'s recipe …")
