"""Presets: a word for how much time a fit takes, in place of several settings.

A preset speaks where a setting was left out, before the data are asked; what the user gives stays. So a preset names
only settings that would be chosen from the data. Which ones was measured on rows before the test rows: `fast` leaves
out what takes time and seldom decides, such as trials of logarithms; `best` averages more networks. It leaves the steps
as they are: training ends where the validation rows no longer gain, and with more steps the rate only falls later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"hidden": (32,), "ensemble": 1, "max_steps": 100, "transform": "none", "level_input": False},
    "balanced": {},
    "best": {"ensemble": 5},
}
"""What each preset puts in place of what the data would choose."""
NAMES = tuple(PRESETS)


def listed(preset: str) -> str:
    """What a preset sets, as it is typed."""
    return ", ".join(f"{name} = {_typed(value)}" for name, value in PRESETS[preset].items())


def _typed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(list(value) if isinstance(value, tuple) else value)


def chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the preset among some settings says of those that were left out.

    Levenberg–Marquardt trains other networks than a preset has in mind, so with it a preset says nothing; a limit of
    epochs takes the place of one of steps.
    """
    values = {} if settings["optimizer"] == "lm" else dict(PRESETS[settings["preset"]])
    if settings["max_epochs"] is not None:
        values.pop("max_steps", None)
    return {name: value for name, value in values.items() if settings[name] is None}


HELP = (
    "how much time a fit takes; a setting that you give takes precedence. "
    f"fast: {listed('fast')}; best: {listed('best')}"
)
