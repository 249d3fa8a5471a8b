"""What is left out of the settings, chosen from the data: one rule for every table, each choice with its reason.

Only the training rows' shape decides: frequency, lengths, what is missing. Nothing looks at test rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from statecast.config import Config
from statecast.data import calendar
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.train import level
from statecast.train.optimizer import LEARNING_RATES
from statecast.train.prepare import training_rows
from statecast.train.trainer import VALIDATION_PLACES, plan

MOST_LAGS, MOST_SKIP = 48, 336
GRADIENT = 3.5  # time of a training step in units of its forward pass


def choose(config: Config, schema: Schema, panel: Panel, parts: Split) -> tuple[Config, dict[str, str]]:
    """All settings, and the reason for each that was chosen here.

    Args:
        config: the user's settings.
        schema: frequency and kind of time.
        panel: the table.
        parts: its split.
    """
    rows = int(np.median(parts.train)) if len(parts.train) else 0
    chosen: dict[str, tuple[Any, str]] = {}

    def default(name: str, value: Any, reason: str) -> Any:
        if getattr(config, name) is not None:
            return getattr(config, name)
        chosen[name] = (value, reason)
        return value

    season = default(
        "season", calendar.season(schema.frequency), f"rows of a season at frequency {schema.frequency.text}"
    )
    joint = panel.targets == 1
    default(
        "channels",
        "joint" if joint else "independent",
        "one target" if joint else "targets share one network, each with its own state",
    )
    lags = default(
        "lags",
        max(1, min(max(season, 8), MOST_LAGS, rows // 4)),
        f"a season or 8, at most {MOST_LAGS}, at most a quarter of {rows} rows",
    )
    default(
        "skip",
        max(0, min(max(14 * season, 2 * config.horizon, 16), MOST_SKIP, rows // 3)),
        f"14 seasons or twice the horizon, at most {MOST_SKIP}, at most a third of {rows} rows",
    )
    default(
        "normalize", "last", "the level of a forecast is the last value: no look-ahead, and growing series stay easy"
    )
    names = schema.calendar_features
    default(
        "calendar",
        bool(names),
        f"the time column gives {', '.join(names)}" if names else "no calendar in the time column",
    )
    gaps = _missing(panel, parts)
    default("missing", gaps, "values are missing before the test rows" if gaps else "no value is missing")
    above = _never_negative(panel, parts)
    default("nonnegative", above, "no training value is negative" if above else "training values are negative too")
    _segments(config, default, lags, season, rows)
    _training(config, default, panel, parts)
    values = {name: value for name, (value, _) in chosen.items()}
    config, reasons = config.with_(**values), {name: reason for name, (_, reason) in chosen.items()}
    if config.level_input is None:
        config, reasons["level_input"] = _level(config, schema, panel, parts)
    if config.eval_every is None:
        config = config.with_(eval_every=_eval_every(config, panel, parts))
        reasons["eval_every"] = "steps between two looks at the validation rows: these take a tenth of the time at most"
    return config, reasons


def _missing(panel: Panel, parts: Split) -> bool:
    """Whether values are missing in the rows that training and validation see."""
    seen = training_rows(panel.offsets, parts.val)
    tables = (panel.y[seen], panel.past[seen], panel.known[seen], panel.static)
    return any(bool(np.isnan(values).any()) for values in tables)


def _never_negative(panel: Panel, parts: Split) -> bool:
    return not bool((panel.y[training_rows(panel.offsets, parts.train)] < 0).any())


def _segments(config: Config, default: Any, lags: int, season: int, rows: int) -> None:
    if config.carry == "stored":
        default("burn_in", 0, "a stored state needs none")
        default("segment", max(2, min(64, rows // 2)), "carry is stored")
        default("shuffle", False, "a state is handed on in the order of time")
        return
    steps = int(np.clip(8 * max(season, 8), 32, 256))
    segment = default("segment", max(2, min(steps, rows)), f"8 seasons between 32 and 256, at most {rows} rows")
    default("burn_in", 0 if segment == "full" else segment // 4, "a quarter of a segment to reach a state")
    default("shuffle", True, "segments are drawn in random order")


def _training(config: Config, default: Any, panel: Panel, parts: Split) -> None:
    default("learning_rate", LEARNING_RATES[config.optimizer], f"suits {config.optimizer}")
    if config.max_steps is None and config.max_epochs is None:
        default("max_steps", 600, "enough with early stopping")


def _level(config: Config, schema: Schema, panel: Panel, parts: Split) -> tuple[Config, str]:
    if config.channels == "independent" and panel.targets > 1:
        times, panel = panel.targets, panel.fold(schema.output_ids(panel.ids))
        parts = Split(np.repeat(parts.train, times), np.repeat(parts.val, times))
    if level.helps(config, schema, panel, parts):
        return config.with_(
            level_input=True
        ), "the level lowers the validation error of least squares on the last values"
    return config.with_(level_input=False), "the last values tell all that the level does, and a level may grow"


def _eval_every(config: Config, panel: Panel, parts: Split) -> int:
    """Steps between two looks: 25, or as many as keep the looks, forward only, to a tenth of the time."""
    copies = panel.targets if config.channels == "independent" else 1
    segments, sampler = plan(config, max(int(parts.train.sum()) * copies, 1))
    fresh = segments.length - max(segments.burn_in, segments.length // 2)
    scored = int((parts.val - parts.train).sum()) * copies
    look = min(-(-scored // max(fresh, 1)) * segments.length, VALIDATION_PLACES)
    step = GRADIENT * sampler.rows * segments.length
    return int(np.clip(np.ceil(10 * look / step), 25, 1000))
