"""How far back the linear skip looks: as far as least squares on the last values goes on getting better.

A few sizes, from one season to many, are fitted on training rows and compared on validation rows, which takes a moment:
the best is a day for one table and a month for another, and too long a skip learns chance where rows are few. Of sizes
that differ by less than validation rows can tell, the longest: it held better on the rows after them.
"""

from __future__ import annotations

import numpy as np

from statecast.config import Config
from statecast.data.segments import Split
from statecast.train.prepare import gains
from statecast.train.ridge import errors
from statecast.train.working import WorkingTable, linear

SEASONS = (1, 2, 3, 7, 14, 28)
LEAST, MOST = 8, 1344
SAMPLE = 8192  # rows to look at, unless the longest size needs more
CLOSE = 1.005  # a size whose error is within this factor of the least is as good


def best(config: Config, table: WorkingTable) -> tuple[int, str]:
    """The size of the skip, and why.

    Args:
        config: settings with all but `skip` and `level_input` chosen.
        table: the targets in working units.
    """
    parts, season = table.parts, config.season or 1
    top, size = _most(config, parts), usual(config, parts)
    rule = f"14 seasons or twice the horizon, at most 336, at most a third of {_rows(parts)} rows"
    sizes = tuple(sorted({min(max(n, LEAST), top) for n in (*(k * season for k in SEASONS), 2 * config.horizon)}))
    if config.skip_init != "ridge" or top < LEAST or not (parts.val > parts.train).any():
        return size, rule
    network = linear(config, table.rows.y.shape[1], top)
    train = table.train(network, max(SAMPLE, 4 * (top + 1)))
    error_of = errors(network, gains(train), train, table.validation(network, SAMPLE), sizes)
    if not error_of:
        return size, rule
    size = max(n for n, error in error_of.items() if error <= CLOSE * min(error_of.values()))
    candidates = ", ".join(map(str, error_of))
    return size, f"least squares on the last {candidates} values compared on validation rows: {size} are as good as any"


def usual(config: Config, parts: Split) -> int:
    """A size that suits most tables: 14 seasons or twice the horizon, at most 336 and a third of the rows."""
    return max(0, min(max(14 * (config.season or 1), 2 * config.horizon, 2 * LEAST), 336, _most(config, parts)))


def _rows(parts: Split) -> int:
    return int(np.median(parts.train)) if len(parts.train) else 0


def _most(config: Config, parts: Split) -> int:
    """The largest size that is tried."""
    return min(max(28 * (config.season or 1), 2 * config.horizon, 2 * LEAST), MOST, _rows(parts) // 3)
