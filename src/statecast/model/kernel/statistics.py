"""The front's statistics in the native kernel: `Front.scan` over NumPy arrays in one call.

The recurrence is a few operations a step, and NumPy's calls for it took a third of a fit of a long series.
"""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref
from typing import Any

import numpy as np

from statecast.model.kernel import library
from statecast.model.kernel.interface import FORMATS, NORMALIZERS, StatisticsCall, checked, fill

FIRST = ("level", "spread")  # statistics that do not begin at zero


def refuses(normalize: str, y: Any) -> str | None:
    """Why the kernel does not run this normaliser over y, or None where it does."""
    if not isinstance(y, np.ndarray) or y.dtype not in FORMATS:
        return "the native kernel takes NumPy arrays of float32 or float64"
    if normalize not in NORMALIZERS:
        return f"the native kernel has no normaliser {normalize!r}"
    return library.refuses()


def scan(
    normalize: str,
    decay: float,
    begin: Mapping[str, np.ndarray],
    y: np.ndarray,
    m: np.ndarray,
    reset: np.ndarray,
    state: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The statistics after every step, and the last ones; the arguments are those of `Front.scan`.

    Args:
        normalize: the normaliser.
        decay: rate at which the statistics forget.
        begin: "level" and "spread" [D] before the first value.
        y: values in working units [T, B, D].
        m: 1 where there is one, else 0.
        reset: [T, B].
        state: the statistics before the first step, [B, D] each.

    Raises:
        DataError: an array of another shape or dtype.
    """
    steps, rows, targets = y.shape

    def take(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
        return checked(name, np.asarray(values, y.dtype), shape, y.dtype)

    arrays = {"y": take("y", y, y.shape), "m": take("m", m, y.shape)}
    arrays |= {f"{name}_first": take(name, values, (targets,)) for name, values in begin.items() if name in FIRST}
    before = {name: np.broadcast_to(values, (rows, targets)) for name, values in state.items()}
    arrays |= {f"{name}_before": take(name, values, (rows, targets)) for name, values in before.items()}
    arrays["reset"] = np.ascontiguousarray(np.broadcast_to(reset, (steps, rows)), np.bool_)
    statistics = {name: np.empty(y.shape, y.dtype) for name in state}
    sizes = {"steps": steps, "rows": rows, "targets": targets}
    call = StatisticsCall(FORMATS[y.dtype], NORMALIZERS.index(normalize), decay, **sizes)
    library.check(library.handle().statecast_statistics(byref(fill(call, arrays | statistics))))
    return statistics, {name: statistics[name][-1].copy() if steps else state[name] for name in state}
