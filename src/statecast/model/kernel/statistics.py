"""The front's statistics in the native kernel: `Front.scan` over NumPy arrays in one call.

The recurrence is a few operations a step, and NumPy's calls for it took a third of a fit of a long series.
"""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref
from typing import Any

import numpy as np

from statecast.model.kernel import library as kernel
from statecast.model.kernel.library import DTYPES, NORMALIZERS, address, check, library


def takes(normalize: str, y: Any) -> bool:
    """Whether the kernel is built, knows the normaliser, and y is a NumPy array of its precisions."""
    return isinstance(y, np.ndarray) and normalize in NORMALIZERS and y.dtype in DTYPES and kernel.available()


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
    """
    steps, rows, targets = y.shape
    held = {"y": y, "m": m, "level_first": begin["level"], "spread_first": begin["spread"]}
    held |= {f"{name}_before": np.broadcast_to(state[name], (rows, targets)) for name in state}
    held = {name: np.ascontiguousarray(array, y.dtype) for name, array in held.items()}
    held["reset"] = np.ascontiguousarray(np.broadcast_to(reset, (steps, rows)), np.bool_)
    found = {name: np.empty(y.shape, y.dtype) for name in state}
    sizes = {"steps": steps, "rows": rows, "targets": targets}
    told = kernel.Statistics(DTYPES[y.dtype], NORMALIZERS.index(normalize), decay, **sizes)
    for name, array in (held | found).items():
        setattr(told, name, address(array))
    check(library().statecast_statistics(byref(told)))
    return found, {name: found[name][-1].copy() if steps else state[name] for name in state}
