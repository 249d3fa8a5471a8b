"""Whether the level that a series has reached tells something of where it goes next.

The network sees values relative to their level, so a growing series is no harder than a flat one; but then it cannot
know that a high level comes down again, as that of sunspots or of temperatures does. Least squares find out in a
moment: from the last values alone, and with the level beside them. Where the level lowers the error on the validation
rows, it becomes an input; unless it stood elsewhere in the first half of the training rows than in the second, as that
of a random walk does, whose past levels tell nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from statecast.config import Config
from statecast.data.segments import Split
from statecast.model.network import Network
from statecast.train.prepare import gains
from statecast.train.ridge import best, design
from statecast.train.working import WorkingTable, linear

GAIN = 0.02  # share of the error that the level must take away; less is chance on most tables
SAMPLE = 4096  # rows to look at: fewer than for the skip itself, since only two errors are compared
BACK = 336  # last values, at most, that the level is held against: for more of them so few rows would not do
LEAST = 50  # validation rows that such a judgement needs


def helps(config: Config, table: WorkingTable) -> bool:
    """Whether the level lowers the validation error of least squares on the last values.

    Args:
        config: settings with all but `level_input` chosen.
        table: the targets in working units.
    """
    if config.normalize in ("none", "global"):
        return False  # the level is a constant
    network = linear(config, table.rows.y.shape[1], min(config.skip or 0, BACK), config.lags or 1)
    size = max(SAMPLE // network.front.targets, 4 * (network.front.ring + 1))

    def lowers(parts: Split, gain: float) -> bool:
        return _lowers(network, table.train(network, size, parts), table.validation(network, size, parts), gain)

    train = table.parts.train
    return lowers(Split(train // 2, train), 0.0) and lowers(table.parts, GAIN)


def _lowers(network: Network, train: dict[str, Any], val: dict[str, Any], gain: float) -> bool:
    """Whether the level takes more than `gain` of the error on the rows `val`, over all targets."""
    typical, without, within = gains(train), 0.0, 0.0
    for target in range(network.front.targets):
        x, y, level = design(network, typical, train, target)
        x_val, y_val, level_val = design(network, typical, val, target)
        if len(x) < 2 * x.shape[1] or len(x_val) < LEAST:
            return False
        without += best(x, y, x_val, y_val)[1]
        within += best(np.hstack([x, level]), y, np.hstack([x_val, level_val]), y_val)[1]
    return within < (1 - gain) * without
