"""Whether logarithms of the values are easier to forecast than the values: least squares on the last values tells.

Where swings grow with the level, or a day's least is a small share of its most, logarithms make alike what a linear
forecast would take for different things. The losses that are considered here count an error by its size, so sizes come
first: where they do not fall, values stay as they are. What falls little by size must fall by its share of the value as
well, which small values tell that add little to a mean of sizes. A forecast's median is the same in both, its mean is
not, so losses that aim at a mean leave values as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from statecast.config import Config
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.model.inputs import from_working
from statecast.train import ridge
from statecast.train.loss import MEDIANS
from statecast.train.prepare import gains
from statecast.train.working import WorkingTable, linear, training_rows

if TYPE_CHECKING:
    from jaxtyping import Float

SAMPLE = 4096  # rows to look at, unless the skip needs more
LEAST = 50  # validation forecasts that such a judgement needs
ZEROS = 0.01  # zeros for each positive value, at most: each counts as half the smallest
LOSS = 0.995  # what the loss counts must fall to this
GAIN = 0.98  # and both errors together to this: less is chance on most tables


def best(config: Config, schema: Schema, panel: Panel, table: WorkingTable, size: int) -> tuple[WorkingTable, str, str]:
    """The table in the transform that is easier to forecast, the name of the transform, and why it is.

    Args:
        config: settings with all but `transform`, `skip`, `lags` and `level_input` chosen.
        schema: what the columns are.
        panel: the table, with channels folded where they are independent.
        table: its targets in working units, as they are.
        size: last values that least squares may use.
    """
    if config.loss not in MEDIANS or config.normalize in ("none", "global"):
        reason = f"values are not transformed with loss = {config.loss!r} and normalize = {config.normalize!r}"
        return table, "none", reason
    values = panel.y[training_rows(panel.offsets, table.parts.train)]
    limits = Limits.of(config, schema.target).of_channel(panel.targets)
    candidate = "logit" if limits.any else "log"
    at = (values == limits.lower) | (values == limits.upper) if limits.any else values == 0
    if at.sum() > ZEROS * (np.isfinite(values) & ~at).sum():
        return table, "none", f"many training values are {'at a limit' if limits.any else 'zero'}"
    if not limits.any and (values < 0).any():
        return table, "none", "some training values are negative"
    deviations = table.scales * table.constants["unit"]
    plain = _errors(config, table, size, deviations)
    if plain is None:
        return table, "none", "too few rows to tell whether logarithms are easier to forecast"
    if not min(plain) > 0:
        return table, "none", "least squares on the last values forecasts the validation rows without error"
    logarithms = WorkingTable.of(config.with_(transform=candidate), schema, panel, table.parts)
    log = _errors(config, logarithms, size, deviations)
    if log is None or not np.isfinite(log).all():
        return table, "none", "least squares cannot forecast the logarithms of the values"
    absolute, relative = log[0] / plain[0], log[1] / plain[1]
    kind = "logits" if limits.any else "logarithms"
    reason = (
        f"with {kind} the validation error of least squares changes by {absolute - 1:+.1%} as loss = {config.loss!r} "
        f"counts it, and by {relative - 1:+.1%} as a share of the values"
    )
    helps = absolute < LOSS and math.sqrt(absolute * relative) < GAIN
    return (logarithms, candidate, reason) if helps else (table, "none", reason)


def _errors(
    config: Config, table: WorkingTable, size: int, deviations: Float[np.ndarray, "S D"]
) -> tuple[float, float] | None:
    """Mean error of least squares on validation rows, in deviations of the series and as a share of forecast and value.

    None where there are too few rows.
    """
    network = linear(config, table.rows.y.shape[1], size)
    most = max(SAMPLE, 4 * (network.front.ring + 1))
    train, val = table.train(network, most), table.validation(network, most)
    if len(val["target"]) < LEAST:
        return None
    typical = gains(train)
    w, b = ridge.fit(network, typical, train, val)
    output = typical["output_gain"] * (b + np.einsum("nrd,drh->nhd", val["ring"] / typical["ring_gain"], w))
    base, scale = val["base"][:, None, :], val["scale"][:, None, :]
    forecast, actual = (
        from_working(table.constants, (base + scale * part)[..., None])[..., 0] for part in (output, val["target"])
    )
    error, sizes = np.abs(forecast - actual), np.abs(forecast) + np.abs(actual)
    if np.isnan(error).all():
        return None
    absolute = np.nanmean(error / deviations[val["series"]][:, None, :])
    return float(absolute), float(np.nanmean(error / np.where(sizes > 0, sizes, 1)))
