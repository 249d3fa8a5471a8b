"""The front's statistics in the native kernel beside the front's own lines, and what is refused."""

from __future__ import annotations

from ctypes import byref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from statecast.errors import DataError
from statecast.model.front import Front
from statecast.model.kernel import library as kernel_library
from statecast.model.kernel import statistics as kernel_statistics
from statecast.model.kernel.interface import NORMALIZERS, StatisticsCall, fill

pytestmark = pytest.mark.skipif(kernel_library.refuses() is not None, reason="the native kernel was not built")
NAMES = ("level", "spread", "count", "since")


def front_of(normalize: str, targets: int, decay: float = 0.1) -> Front:
    return Front(targets=targets, lags=2, skip=0, normalize=normalize, decay=decay)


def constants(targets: int, dtype: Any) -> dict[str, np.ndarray]:
    return {"level": np.arange(1, targets + 1, dtype=dtype), "spread": np.full(targets, 0.5, dtype)}


@given(
    data=st.data(),
    normalize=st.sampled_from(NORMALIZERS),
    dtype=st.sampled_from([np.float32, np.float64]),
    steps=st.integers(1, 40),
    rows=st.integers(0, 4),
    targets=st.integers(1, 3),
    decay=st.sampled_from([0.0, 0.05, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_the_kernel_says_what_the_front_says(
    data: st.DataObject, normalize: str, dtype: Any, steps: int, rows: int, targets: int, decay: float
) -> None:
    front, c = front_of(normalize, targets, decay), constants(targets, dtype)
    shape = (steps, rows, targets)
    m = data.draw(arrays(np.bool_, shape)).astype(dtype)
    reset = data.draw(arrays(np.bool_, shape[:2]))
    y = (np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal(shape) * m).astype(dtype)
    before = front.start(c, y, (rows,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel_statistics, "refuses", lambda *_: "turned off")
        expected, wanted_last = front.scan(c, y, m, reset, before)
    result, last = front.scan(c, y, m, reset, before)
    for name in NAMES:
        assert result[name].dtype == last[name].dtype == dtype
        np.testing.assert_allclose(result[name], expected[name], rtol=3e-6 if dtype is np.float32 else 1e-12)
        np.testing.assert_array_equal(last[name], result[name][-1])
        np.testing.assert_allclose(last[name], wanted_last[name], rtol=3e-6 if dtype is np.float32 else 1e-12)


def test_it_is_the_kernel_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(kernel_statistics, "scan", lambda *arguments: called.append(arguments) or ({}, {}))
    y = np.zeros((3, 2, 1), np.float32)
    front, c = front_of("last", 1), constants(1, np.float32)
    front.scan(c, y, y, np.zeros((3, 2), bool), front.start(c, y, (2,)))
    assert len(called) == 1


def test_a_state_that_is_handed_on_gives_the_same_rows() -> None:
    front, c = front_of("ewma", 2), constants(2, np.float64)
    y = np.random.default_rng(0).standard_normal((30, 3, 2))
    m, reset = np.ones_like(y), np.zeros((30, 3), bool)
    start = front.start(c, y, (3,))
    whole, _ = front.scan(c, y, m, reset, start)
    _, state = front.scan(c, y[:11], m[:11], reset[:11], start)
    rest, _ = front.scan(c, y[11:], m[11:], reset[11:], state)
    for name in NAMES:
        np.testing.assert_array_equal(rest[name], whole[name][11:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": 7}, "dtype"),
        ({"steps": -1}, "negative"),
        ({"normalize": 9}, "size"),
        ({"normalize": -1}, "size"),
        ({"y": None}, "null"),
        ({"reset": None}, "null"),
        ({"since": None}, "null"),
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, Any], message: str) -> None:
    arrays = {name: np.zeros((2, 1, 1), np.float32) for name in (*NAMES, "y", "m")}
    arrays |= {name: np.zeros(1, np.float32) for name in ("level_first", "spread_first")}
    arrays |= {f"{name}_before": np.zeros((1, 1), np.float32) for name in NAMES} | {"reset": np.zeros((2, 1), bool)}
    call = fill(StatisticsCall(0, 2, 0.1, steps=2, rows=1, targets=1), arrays)
    statistics = kernel_library.handle().statecast_statistics
    kernel_library.check(statistics(byref(call)))
    for name, value in change.items():
        setattr(call, name, value)
    with pytest.raises(DataError, match=message):
        kernel_library.check(statistics(byref(call)))


def test_arrays_of_other_shapes_are_named() -> None:
    front, c = front_of("last", 2), constants(2, np.float32)
    y = np.zeros((3, 4, 2), np.float32)
    with pytest.raises(DataError, match=r"m is float32\[3, 4, 1\], expected float32\[3, 4, 2\]"):
        front.scan(c, y, y[..., :1], np.zeros((3, 4), bool), front.start(c, y, (4,)))
