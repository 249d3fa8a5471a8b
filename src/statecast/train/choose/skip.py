"""The linear map that forecasts start from, and how many last values the skip takes for it.

Look-backs from one season to many are tried, which takes a moment: the best is a day for one table and a month for
another, and too long a skip learns chance where rows are few.
"""

from __future__ import annotations

import numpy as np

from statecast.config import Config
from statecast.data.segments import Split
from statecast.train import local
from statecast.train.loss import MEDIANS
from statecast.train.start import linear
from statecast.train.start.design import Design
from statecast.train.start.extrapolation import reach
from statecast.train.start.linear import Blend
from statecast.train.working import WorkingTable
from statecast.train.working import linear as linear_network

SEASONS = (1, 2, 3, 7, 14, 28)
LEAST, MOST = 8, 1344
FOLLOWING = ("last", "ewma")  # normalisers whose level follows the series


def best(config: Config, table: WorkingTable) -> tuple[int, str, tuple[Blend | None, ...]]:
    """The size of the skip, why, and what the map of each target is made of; None for one that starts from zero.

    Args:
        config: settings with all but `skip`, `lags` and `level_input` chosen; a skip that is chosen stays as it is.
        table: the targets in working units.
    """
    targets, limit = table.rows.y.shape[1], config.skip
    if config.skip_init != "ridge" or limit == 0:
        return _without(config, table)
    top = _most(config, table.parts) if limit is None else limit
    season, horizon = config.season or 1, config.horizon
    sizes = sorted({min(max(n, LEAST), top) for n in (*(k * season for k in SEASONS), 2 * horizon)})
    series = len(table.parts.train)
    longest = max(top, reach(season)) if limit is None else limit
    fits = local.maps_suit(local.map_size(targets, longest, horizon), table.parts.train)
    several = series > 1 and config.local_skip is not False and not config.local and fits
    front = linear_network(config, targets, top).front
    # A second training sees every row, and its map takes as many as there are.
    rows = np.diff(table.rows.offsets) if config.refit else table.parts.train
    blends = tuple(
        linear.choose(
            Design.empty(table, front, target, horizon, top),
            [size for size in sizes if size <= top] if limit is None else [limit],
            season,
            config.loss in MEDIANS,
            several,
            config.normalize in FOLLOWING,
            int(rows.max(initial=0)) if limit is None else limit,
        )
        for target in range(targets)
    )
    if not any(blends):
        return _without(config, table)
    size = max(blend.size for blend in blends if blend) if limit is None else limit
    return size, linear.composition(blends), blends


def _without(config: Config, table: WorkingTable) -> tuple[int, str, tuple[Blend | None, ...]]:
    size = usual(config, table.parts) if config.skip is None else config.skip
    most = f"at most 336 and a third of {_rows(table.parts)} training rows"
    rule = f"14 seasons or twice the horizon, whichever is more; {most}"
    return size, rule, (None,) * table.rows.y.shape[1]


def usual(config: Config, parts: Split) -> int:
    """A size that suits most tables: 14 seasons or twice the horizon, at most 336 and a third of the rows."""
    return max(0, min(max(14 * (config.season or 1), 2 * config.horizon, 2 * LEAST), 336, _most(config, parts)))


def _rows(parts: Split) -> int:
    return int(np.median(parts.train)) if len(parts.train) else 0


def _most(config: Config, parts: Split) -> int:
    """The longest look-back that is tried."""
    return min(max(28 * (config.season or 1), 2 * config.horizon, 2 * LEAST), MOST, _rows(parts) // 3)
