"""How far back the linear skip looks: as far as least squares on the last values goes on getting better.

A few sizes, from one season to many, are fitted on training rows and compared on validation rows, which takes a moment:
the best is a day for one table and a month for another, and too long a skip learns chance where rows are few. Of sizes
that differ by less than validation rows can tell, the longest: it held better on the rows after them.
"""

from __future__ import annotations

import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.model.network import Network
from statecast.train.prepare import Seen, gains
from statecast.train.ridge import errors

SEASONS = (1, 2, 3, 7, 14, 28)
LEAST, MOST = 8, 1344
SAMPLE = 8192  # rows to look at, unless the longest size needs more
CLOSE = 1.005  # a size whose error is within this factor of the least is as good


def best(config: Config, schema: Schema, panel: Panel, parts: Split) -> tuple[int, str]:
    """The size of the skip, and why.

    Args:
        config: settings with all but `skip` and `level_input` chosen.
        schema: what the columns are.
        panel: the table, with channels folded where they are independent.
        parts: its split.
    """
    season, top, size = config.season or 1, _most(config, parts), usual(config, parts)
    told = f"14 seasons or twice the horizon, at most 336, at most a third of {_rows(parts)} rows"
    sizes = tuple(sorted({min(max(n, LEAST), top) for n in (*(k * season for k in SEASONS), 2 * config.horizon)}))
    if config.skip_init != "ridge" or top < LEAST or not (parts.val > parts.train).any():
        return size, told
    network = Network.of(config.with_(skip=top, lags=1, level_input=False, hidden=(), ensemble=1), panel.targets)
    seen, most = Seen.of(config, network, schema, panel, parts, np.float64), max(SAMPLE, 4 * (top + 1))
    train = seen.train(parts, most)
    found = errors(network, gains(train), train, seen.validation(parts, SAMPLE), sizes)
    if not found:
        return size, told
    size = max(n for n, error in found.items() if error <= CLOSE * min(found.values()))
    tried = ", ".join(str(n) for n in found)
    return (
        size,
        f"least squares on the last {tried} values compared on validation rows: {size} are as good as any",
    )


def usual(config: Config, parts: Split) -> int:
    """A size that suits most tables: 14 seasons or twice the horizon, at most 336 and a third of the rows."""
    return max(0, min(max(14 * (config.season or 1), 2 * config.horizon, 2 * LEAST), 336, _most(config, parts)))


def _rows(parts: Split) -> int:
    return int(np.median(parts.train)) if len(parts.train) else 0


def _most(config: Config, parts: Split) -> int:
    """The largest size that is tried."""
    return min(max(28 * (config.season or 1), 2 * config.horizon, 2 * LEAST), MOST, _rows(parts) // 3)
