"""The protocols by which forecasts are compared, by name; each is loaded from the folder of shared tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from protocols.competitions import m4_hourly, tourism_monthly
from protocols.loads import pjm, victoria
from protocols.long_horizon import ett, exchange
from protocols.protocol import Protocol

PROTOCOLS: Mapping[str, Callable[[Path], Protocol]] = {
    "etth1-96": partial(ett, name="ETTh1", horizon=96),
    "ettm1-96": partial(ett, name="ETTm1", horizon=96),
    "etth1-720": partial(ett, name="ETTh1", horizon=720),
    "ettm1-720": partial(ett, name="ETTm1", horizon=720),
    "m4-hourly": m4_hourly,
    "tourism-monthly": tourism_monthly,
    "pjm": pjm,
    "victoria": victoria,
    "exchange-96": exchange,
}
