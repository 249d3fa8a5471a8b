"""The front by hand: level and scale of short series, the ring, the inputs, covariates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference
from model_cases import build, close, parameters, same_bits, scanned, stepped

from statecast.model.front import FLOOR, Front
from statecast.model.rings import Rings

GONE = math.nan
NONE = {"past": 0, "known": 0, "calendar": 0, "static": 0}


def statistics_of(
    normalize: str, ys: list[float], *, lags: int = 3, decay: float = 0.1
) -> tuple[list[float], list[float]]:
    """Level and scale after each value of one series; they start at 7 and 3."""
    front = Front(targets=1, lags=lags, skip=0, normalize=normalize, decay=decay)
    c = {"level": np.array([7.0]), "spread": np.array([3.0])}
    y = np.nan_to_num(np.array(ys)).reshape(-1, 1, 1)
    m = (~np.isnan(np.array(ys))).astype(float).reshape(-1, 1, 1)
    reset = np.zeros((len(ys), 1), bool)
    rows, _ = front.scan(c, y, m, reset, front.start(c, y, (1,)))
    blank = np.zeros((1, lags, 1))
    level, scale = front.level_scale(rows, Rings.of(y, m, reset, blank, blank))
    return level.ravel().tolist(), scale.ravel().tolist()


BY_HAND: dict[str, tuple[list[float], list[float], list[float]]] = {
    # |differences| 3, 1, and 8 over two steps; their plain mean while there are fewer than ten.
    "last": (
        [GONE, 2.0, 5.0, 4.0, GONE, 12.0],
        [7, 2, 5, 4, 4, 12],
        [3, 3, 3, 2, 2, (4 + 8 / math.sqrt(2)) / 3],
    ),
    # Deviations from the mean before: |5 − 2| and |4 − 3.5|.
    "ewma": ([GONE, 2.0, 5.0, 4.0, GONE], [7, 2, 3.5, 11 / 3, 11 / 3], [3, 3, 3, 1.75, 1.75]),
    # Of the last three rows: (2), (2, 5), (2, 5), (5, 9), (9), nothing.
    "window": (
        [2.0, 5.0, GONE, 9.0, GONE, GONE, GONE],
        [2, 3.5, 3.5, 7, 9, 9, 7],
        [3, 1.5, 1.5, 2, 3, 3, 3],
    ),
    "global": ([2.0, 500.0], [7, 7], [3, 3]),
    "none": ([2.0, 500.0], [0, 0], [1, 1]),
}


@pytest.mark.parametrize("normalize", BY_HAND)
def test_level_and_scale_by_hand(normalize: str) -> None:
    ys, levels, scales = BY_HAND[normalize]
    level, scale = statistics_of(normalize, ys)
    close(level, levels, 1e-14)
    close(scale, scales, 1e-14)


def test_the_plain_mean_turns_exponential() -> None:
    """With decay 1/2 the rates are 1, 1/2, 1/2, …: differences 1, 2, 4, 8 give 1, 1.5, 2.75, 5.375."""
    _, scale = statistics_of("last", [0.0, 1.0, 3.0, 7.0, 15.0], decay=0.5)
    close(scale, [3, 1, 1.5, 2.75, 5.375], 1e-14)
    level, _ = statistics_of("ewma", [0.0, 1.0, 3.0], decay=0.5)
    close(level, [0, 0.5, 1.75], 1e-14)


@pytest.mark.parametrize("normalize", ["last", "ewma", "window"])
def test_a_constant_series_has_the_smallest_scale(normalize: str) -> None:
    level, scale = statistics_of(normalize, [5.0] * 4)
    assert level == [5.0] * 4
    assert scale[1:] == [FLOOR] * 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("normalize", ["last", "ewma"])
def test_the_first_value_is_the_level_to_the_last_bit(normalize: str, dtype: str) -> None:
    """Through level + (y − level) it would come out rounded, and a constant series would seem to move."""
    front = Front(targets=1, lags=1, skip=0, normalize=normalize, decay=0.1)
    c = {"level": np.array([0.3], dtype), "spread": np.array([1.0], dtype)}
    for y in np.array([5.1, 1e-12, -3e7], dtype):
        s = front.start(c, np.ones(1, dtype), ())
        s = front.update(s, np.full(1, y), np.ones(1, dtype))
        assert s["level"] == y
        s = front.update(s, np.full(1, y), np.ones(1, dtype))
        assert s["level"] == y
        assert s["spread"] == 0


def test_a_value_after_a_giant_is_the_level_to_the_last_bit() -> None:
    level, _ = statistics_of("last", [1e20, 1.0])
    assert level == [1e20, 1.0]


def test_what_is_under_the_mask_does_not_matter() -> None:
    """A value that the mask calls missing may be any finite number."""
    network = build("gru", "ewma")
    p = parameters(network)
    rng = np.random.default_rng(0)
    inputs = {"y": rng.normal(size=(6, 2, 2)), "m": (rng.random((6, 2, 2)) < 0.5) * 1.0}
    inputs |= {"past": rng.normal(size=(6, 2, 2)), "known": rng.normal(size=(6, 2, 2))}
    inputs |= {"calendar": rng.normal(size=(6, 2, 2)), "static": rng.normal(size=(6, 2, 2))}
    inputs |= {"future": rng.normal(size=(6, 2, 2, network.front.future))}
    clean = inputs | {"y": inputs["y"] * inputs["m"]}
    reset = np.zeros((6, 2), bool)
    for execution in (scanned, stepped):
        result, state = execution(network, p, inputs, reset)
        expected, last = execution(network, p, clean, reset)
        same_bits(result, expected)
        for name, part in last.items():
            np.testing.assert_array_equal(state[name], part)


def test_ring_and_mask_by_hand() -> None:
    """A ring of three, handed over with (8, 9) held; a value is missing at 1, a new series begins at 3."""
    y = np.array([1.0, 0.0, 3.0, 4.0, 5.0]).reshape(-1, 1, 1)
    m = np.array([1.0, 0.0, 1.0, 1.0, 1.0]).reshape(-1, 1, 1)
    reset = np.array([0, 0, 0, 1, 0], bool).reshape(-1, 1)
    before, held = np.array([7.0, 8.0, 9.0]).reshape(1, 3, 1), np.array([0.0, 1.0, 1.0]).reshape(1, 3, 1)
    ring, mask = Rings.of(y, m, reset, before, held).newest(3).values()
    expected = [[8, 9, 1], [9, 1, GONE], [1, GONE, 3], [GONE, GONE, 4], [GONE, 4, 5]]
    result = np.where(mask > 0, ring, GONE)[:, 0, :, 0]
    np.testing.assert_array_equal(result, expected)


def test_inputs_in_their_order() -> None:
    """Two lags of two targets, oldest first, clipped; marks, gaps, level, scale, then the covariates."""
    front = build(targets=2, lags=2, skip=0).front
    c: dict[str, Any] = parameters(build(targets=2))["constants"] | {"ring_gain": np.array([1.0, 2.0])}
    c |= {"level": np.array([1.0, 2.0]), "deviation": np.array([2.0, 4.0]), "spread": np.array([1.0, 3.0])}
    relative = np.array([[1.0, -3.0], [1e3, -1e3]])
    s = {"since": np.array([0.0, 2.0])}
    covariates = {"static": np.array([9.0, 10]), "past": np.array([5.0]), "known": np.array([6.0])}
    covariates |= {"calendar": np.array([7.0, 8.0])}
    x = front.features(c, relative, s, np.array([5.0, 10.0]), np.array([math.e, 3.0]), covariates)
    lags, marks, gaps = [1, -1.5, 20, -20], [1, 0], [0, math.log(3)]
    close(x, [*lags, *marks, *gaps, 2, 2, 1, 0, 5, 6, 7, 8, 9, 10], 1e-15)


@pytest.mark.parametrize("missing", [True, False])
def test_covariates_in_training_deviations(missing: bool) -> None:
    network = build(columns=NONE | {"past": 3}, missing=missing)
    c = parameters(network)["constants"]
    values = np.array([[1.0, GONE, -2.0], [GONE, GONE, 4.0]])
    result = network.front.standardise(c, "past", values)
    mean, scale = c["past_mean"].tolist(), c["past_scale"].tolist()
    close(result, [reference.standardised(row, mean, scale, missing) for row in values.tolist()], 1e-14)


@pytest.mark.parametrize(
    ("columns", "missing", "level_input"), [({"past": 2}, True, False), ({"known": 1, "calendar": 3}, False, True)]
)
def test_the_width_of_the_input_is_as_told(columns: dict[str, int], missing: bool, level_input: bool) -> None:
    network = build("rnn_tanh", columns=columns, missing=missing, level_input=level_input)
    assert network.init(0)["stack"]["cells"]["0"]["W"].shape == (network.front.inputs, 3)
    lagged, marks, levels = 4, 4 * missing, 4 * level_input
    covariates = sum(columns.values()) + missing * sum(n for name, n in columns.items() if name != "calendar")
    assert network.front.inputs == lagged + marks + levels + covariates


@pytest.mark.parametrize(("normalize", "largest"), [("none", 1e6), ("global", 20.0)])
def test_without_a_normaliser_values_enter_as_they_are(normalize: str, largest: float) -> None:
    front = Front(targets=1, lags=1, skip=0, normalize=normalize, decay=0.1)
    one = np.ones((1, 1))
    statistics = {"level": 0 * one, "spread": one, "count": one, "since": 0 * one}
    constants = {"ring_gain": np.ones(1)}
    entered = front.features(constants, np.full((1, 1, 1), 1e6), statistics, 0 * one, one, {})
    assert entered.item() == largest
