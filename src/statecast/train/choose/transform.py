"""Whether logarithms of the values are easier to forecast than the values: least squares on the last values tells.

Where swings grow with the level, or a day's least is a small share of its most, logarithms make alike what a linear
forecast would take for different things. An error counts by its size and by its share of the value: the one alone would
never look at small values, the other at nothing else. A forecast's median is the same in both, its mean is not, so
losses that aim at a mean leave values as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.data.segments import Split
from statecast.model.inputs import from_working
from statecast.model.network import Network
from statecast.train import ridge
from statecast.train.loss import MEDIANS
from statecast.train.prepare import Seen, gains, training_rows

if TYPE_CHECKING:
    from jaxtyping import Float

SAMPLE = 4096  # rows to look at, unless the skip needs more
LEAST = 50  # validation forecasts that such a judgement needs
ZEROS = 0.01  # zeros for each positive value, at most: each counts as half the smallest
GAIN = 0.98  # both errors together must fall to this: less is chance on most tables


def helps(config: Config, schema: Schema, panel: Panel, parts: Split, size: int) -> tuple[bool, str]:
    """Whether to forecast logarithms, and why.

    Args:
        config: settings with all but `transform`, `skip`, `lags` and `level_input` chosen.
        schema: what the columns are.
        panel: the table, with channels folded where they are independent.
        parts: its split.
        size: last values that least squares may use.
    """
    if config.loss not in MEDIANS or config.normalize in ("none", "global"):
        return False, f"with loss = {config.loss!r} and normalize = {config.normalize!r} values stay as they are"
    trained = panel.y[training_rows(panel.offsets, parts.train)]
    if (trained < 0).any() or (trained == 0).sum() > ZEROS * (trained > 0).sum():
        return False, "training values are negative, or often zero"
    network = Network.of(config.with_(skip=size, lags=1, level_input=False, hidden=(), ensemble=1), panel.targets)
    seen = Seen.of(config.with_(transform="none"), network, schema, panel, parts, np.float64)
    deviations = seen.scales * seen.constants["unit"]
    plain = _errors(seen, parts, deviations)
    del seen  # as large as the table, like the next
    log = _errors(Seen.of(config.with_(transform="log"), network, schema, panel, parts, np.float64), parts, deviations)
    if plain is None or log is None:
        return False, "too few rows to tell whether logarithms are easier to forecast"
    absolute, relative = log[0] / plain[0], log[1] / plain[1]
    return math.sqrt(absolute * relative) < GAIN, (
        f"for logarithms the validation error of least squares changes by {absolute - 1:+.1%}, "
        f"as a share of the values by {relative - 1:+.1%}"
    )


def _errors(seen: Seen, parts: Split, deviations: Float[np.ndarray, "S D"]) -> tuple[float, float] | None:
    """Mean error of least squares on validation rows, in deviations of the series and as a share of forecast and value.

    None where there are too few rows.
    """
    network, most = seen.network, max(SAMPLE, 4 * (seen.network.front.ring + 1))
    train, val = seen.train(parts, most), seen.validation(parts, most)
    typical = gains(train)
    w, b = ridge.fit(network, typical, train, val)
    if len(val["target"]) < LEAST:
        return None
    said = typical["output_gain"] * (b + np.einsum("nrd,drh->nhd", val["ring"] / typical["ring_gain"], w))
    base, scale = val["base"][:, None, :], val["scale"][:, None, :]
    found, actual = (
        from_working(seen.constants, (base + scale * part)[..., None])[..., 0] for part in (said, val["target"])
    )
    error, sizes = np.abs(found - actual), np.abs(found) + np.abs(actual)
    absolute = np.nanmean(error / deviations[val["series"]][:, None, :])
    return float(absolute), float(np.nanmean(error / np.where(sizes > 0, sizes, 1)))
