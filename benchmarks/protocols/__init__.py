"""The protocols by which forecasts are compared, by name; each is loaded from the folder of shared tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from protocols.competitions import m4_hourly, tourism_monthly
from protocols.loads import pjm, victoria
from protocols.long_horizon import ett, exchange
from protocols.m1 import PERIODS, m1
from protocols.protocol import Protocol
from protocols.short import Suite, short_series

PROTOCOLS: Mapping[str, Callable[[Path], Protocol]] = {
    "etth1-96": partial(ett, name="ETTh1", horizon=96),
    "ettm1-96": partial(ett, name="ETTm1", horizon=96),
    "etth1-720": partial(ett, name="ETTh1", horizon=720),
    "ettm1-720": partial(ett, name="ETTm1", horizon=720),
    "m4-hourly": m4_hourly,
    "tourism-monthly": tourism_monthly,
    **{f"m1-{period}": partial(m1, period=period) for period in PERIODS},
    "pjm": pjm,
    "victoria": victoria,
    "exchange-96": exchange,
}
SHORT = "short"
NAMES = (*PROTOCOLS, SHORT)


def load(name: str, data: Path, cut: bool = False) -> Protocol | Suite:
    """A protocol, or the suite of short series; with `cut` on rows cut off, where choices may be made."""
    if name == SHORT:
        return short_series(data, cut)
    protocol = PROTOCOLS[name](data)
    return protocol.before_test() if cut else protocol
