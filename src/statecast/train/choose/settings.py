"""What is left out of the settings, chosen from the data: one rule for every table, each choice with its reason.

Only the training rows' shape decides: frequency, lengths, what is missing. Nothing looks at test rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from statecast import presets
from statecast.config import Config
from statecast.data import calendar
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.train.choose import level, season, skip, transform
from statecast.train.optimizer import LEARNING_RATES
from statecast.train.recall import Recall, bare_of
from statecast.train.segment_trainer import plan
from statecast.train.start.linear import Blend
from statecast.train.validation import PLACES
from statecast.train.working import WorkingTable, training_rows

FEW_LAGS, MOST_LAGS = 48, 168
MANY = 50  # series from which on one linear map fits few of them, so that the recurrence has more to learn
NETWORKS = 3  # of an ensemble: more gain little, and each takes its time
BATCH, STEPS = 64, 600
SMALL_BATCH, MORE_STEPS = 32, 900  # where there are many series: half the segments a step, but more steps
BATCHES = 4  # of an epoch, at least, before batches are as large as `BATCH`
ORIGINS = 12  # forecasts that carry a loss within a horizon: closer ones tell nearly the same
SOLVED_UNITS, SOLVED_STEPS, SOLVED_LOOKS = 8, 100, 5  # of `lm`, whose steps take long and come far
GRADIENT = 3.5  # time of a training step in units of its forward pass


def choose(
    config: Config, schema: Schema, panel: Panel, parts: Split, series: int, recall: Recall | None = None
) -> tuple[Config, dict[str, str], WorkingTable, tuple[Blend | None, ...]]:
    """All settings, the reason for each that was chosen here, the table in the units that were chosen, and the start.

    Args:
        config: the user's settings; `channels` is chosen, see `channels`.
        schema: frequency and kind of time.
        panel: the table, with channels folded where they are independent.
        parts: its split.
        series: of the table as it came.
        recall: of earlier fits of these rows.
    """
    recall = recall or Recall()
    config, reasons = _by_preset(config)
    config, by_shape = _by_shape(config, schema, panel, parts, series)
    reasons |= by_shape
    bare = bare_of(config, "lags", "skip")
    table, name, reason = recall.once(("table", bare), partial(_table, bare, schema, panel, parts))
    reasons |= {"transform": reason} if reason else {}
    config = config.with_(transform=name)
    bare = bare_of(config, "lags")
    size, reason, blends = recall.once(("start", bare), partial(skip.best, bare, table))
    reasons["start" if config.skip is not None else "skip"] = reason
    config = config.with_(skip=size)
    if config.local_skip is None:
        single = len(parts.train) > 1 and any(blend.single for blend in blends if blend)
        config = config.with_(local_skip=single)
        reasons["local_skip"] = "each series has its own linear map" if single else "all series share one linear map"
    if config.lags is None:
        size, reasons["lags"] = _lags(config, int(np.median(parts.train)) if len(parts.train) else 0)
        config = config.with_(lags=size)
    if config.level_input is None:
        bare = bare_of(config)
        helps = recall.once(("level", bare), partial(level.helps, bare, table))
        config = config.with_(level_input=helps)
        reasons["level_input"] = (
            "with the level as an input, least squares on the last values has a lower validation error"
            if helps
            else "the level adds nothing to the last values, and may grow beyond what training has seen"
        )
    if config.eval_every is None:
        config = config.with_(eval_every=_eval_every(config, parts))
        reasons["eval_every"] = "steps between validations, which take at most a tenth of the time"
    return config, reasons, table, blends


def _table(config: Config, schema: Schema, panel: Panel, parts: Split) -> tuple[WorkingTable, str, str]:
    """The table in working units, the name of the transform, and why it is if it was chosen here."""
    table = WorkingTable.of(config, schema, panel, parts)
    if config.transform is not None:
        return table, config.transform, ""
    return transform.best(config, schema, panel, table, skip.usual(config, parts))


def _by_preset(config: Config) -> tuple[Config, dict[str, str]]:
    """What the preset says of settings that were left out."""
    values = presets.chosen(config.to_dict())
    return config.with_(**values), dict.fromkeys(values, f"preset = {config.preset}")


def channels(config: Config, panel: Panel, limits: Limits) -> tuple[Config, dict[str, str]]:
    """The settings with `channels` chosen, and the reason if it was left out."""
    if config.channels is not None:
        return config, {}
    if panel.targets == 1:
        return config.with_(channels="joint"), {"channels": "one target"}
    if not limits.alike:
        return config.with_(channels="joint"), {"channels": "targets have different limits"}
    reason = "targets share one network, each with its own state"
    return config.with_(channels="independent"), {"channels": reason}


def _by_shape(config: Config, schema: Schema, panel: Panel, parts: Split, series: int) -> tuple[Config, dict[str, str]]:
    """What frequency, lengths and missing values tell; see `choose`."""
    rows = int(np.median(parts.train)) if len(parts.train) else 0
    chosen: dict[str, tuple[Any, str]] = {}

    def default(name: str, value: Any, reason: str) -> Any:
        if getattr(config, name) is not None:
            return getattr(config, name)
        chosen[name] = (value, reason)
        return value

    rhythm = _season(schema, panel, parts) if config.season is None else (config.season, "")
    cycle = default("season", *rhythm)
    default("normalize", "last", "forecasts start from the last value, which needs no later rows and lets series grow")
    names = schema.calendar_features
    default(
        "calendar",
        bool(names),
        f"the time column gives {', '.join(names)}" if names else "the time column gives no calendar features",
    )
    gaps = _missing(panel, parts)
    default("missing", gaps, "values are missing before the test rows" if gaps else "no value is missing")
    above = _never_negative(panel, parts)
    default("nonnegative", above, "no training value is negative" if above else "some training values are negative")
    stride = _segments(config, default, cycle, rows)
    every = 1 if config.carry == "stored" else min(max(config.horizon // ORIGINS, 1), 8)
    overlap = f"forecasts of {config.horizon} steps overlap, so the loss counts one in {every}"
    default("loss_every", every, overlap if every > 1 else "the loss counts every forecast")
    _training(config, default, series, -(-int(parts.train.sum()) // stride))
    values = {name: value for name, (value, _) in chosen.items()}
    return config.with_(**values), {name: reason for name, (_, reason) in chosen.items()}


def _missing(panel: Panel, parts: Split) -> bool:
    """Whether values are missing in the rows of training and validation."""
    rows = training_rows(panel.offsets, parts.val)
    columns = (panel.y[rows], panel.past[rows], panel.known[rows], panel.static)
    return any(bool(np.isnan(values).any()) for values in columns)


def _never_negative(panel: Panel, parts: Split) -> bool:
    return not bool((panel.y[training_rows(panel.offsets, parts.train)] < 0).any())


def _segments(config: Config, default: Any, season: int, rows: int) -> int:
    """Choose what segments are like; gives how many rows apart they begin."""
    if config.carry == "stored":
        burn_in = default("burn_in", 0, "a stored state needs no warm-up")
        segment = default(
            "segment",
            max(2, min(64, rows // 2)),
            'with carry = "stored", 64 rows at most, and half of the training rows',
        )
        default("shuffle", False, "each segment continues from the state of the one before")
        return _stride(segment, burn_in, rows)
    steps = int(np.clip(8 * max(season, 8), 32, 256))
    segment = default("segment", max(2, min(steps, rows)), f"8 seasons, but 32 to 256 rows, and at most {rows}")
    burn_in = default(
        "burn_in",
        0 if segment == "full" else segment // 4,
        "a quarter of each segment warms the state up"
        if segment != "full"
        else "no warm-up: segments begin with their series",
    )
    default("shuffle", True, "segments are drawn in random order")
    return _stride(segment, burn_in, rows)


def _stride(segment: int | str, burn_in: int, rows: int) -> int:
    return max((rows if segment == "full" else int(segment)) - burn_in, 1)


def _training(config: Config, default: Any, series: int, segments: int) -> None:
    many = series >= MANY
    size = f"{series:,} series" if many else f"fewer than {MANY} series"
    several = many and not config.local
    reason = "averaging several networks lowers the error" if several else "one network is enough"
    default("ensemble", NETWORKS if several else 1, f"{size}: {reason}")
    if several:
        default("batch_size", SMALL_BATCH, f"{size}: smaller batches allow more steps in the same time")
    elif segments < BATCHES * SMALL_BATCH:
        default("batch_size", SMALL_BATCH, f"only {segments:,} segments: larger batches would teach no more")
    else:
        default("batch_size", BATCH, f"{size}: smaller batches gain nothing")
    rate, limited = LEARNING_RATES[config.optimizer], config.max_steps is not None or config.max_epochs is not None
    if config.optimizer == "lm":
        default("hidden", (SOLVED_UNITS,), "lm solves for all weights at once, which calls for few units")
        default("learning_rate", rate, "lm takes full steps")
        if not limited:
            default("max_steps", SOLVED_STEPS, "lm needs few steps")
        return
    room = "a wide network, since one linear map cannot fit all" if many else "a narrow network beside the linear map"
    default("hidden", (128,) if many else (64,), f"{size}: {room}")
    default("learning_rate", 2 * rate if many else rate, f"suits {config.optimizer} with {size}")
    if not limited:
        default("max_steps", MORE_STEPS if several else STEPS, f"{size}: enough with early stopping")


def _lags(config: Config, rows: int) -> tuple[int, str]:
    """A season, or a week of seasons where the skip looks back as far as that."""
    cycle, back = config.season or 1, config.skip or 0
    if 7 * cycle <= min(back, MOST_LAGS, rows // 4):
        return max(7 * cycle, 8), f"seven seasons, since the skip looks back that far; at most {MOST_LAGS}"
    size = max(1, min(max(cycle, 8), FEW_LAGS, rows // 4))
    return size, f"a season, at least 8, at most {FEW_LAGS} and a quarter of {rows} training rows"


def _season(schema: Schema, panel: Panel, parts: Split) -> tuple[int, str]:
    """The calendar's season, or the one at which the training rows repeat where the calendar has none."""
    size = calendar.season(schema.frequency)
    if size > 1:
        return size, f"rows per season at frequency {schema.frequency.text}"
    size, correlation = season.rows_of_season(panel.y, panel.offsets, parts.train)
    if size == 1:
        return 1, "neither the calendar nor the training rows show a season"
    return size, f"changes in the training rows repeat every {size} rows: correlation {correlation:.2f}"


def _eval_every(config: Config, parts: Split) -> int:
    """Steps between two looks: 25, or as many as keep the looks, forward only, to a tenth of the time; 5 for lm."""
    if config.optimizer == "lm":
        return SOLVED_LOOKS
    segments, sampler = plan(config, max(int(parts.train.sum()), 1))
    fresh = segments.length - max(segments.burn_in, segments.length // 2)
    scored = int((parts.val - parts.train).sum())
    look = min(-(-scored // max(fresh, 1)) * segments.length, PLACES)
    step = GRADIENT * sampler.rows * segments.length
    return int(np.clip(np.ceil(10 * look / step), 25, 1000))
