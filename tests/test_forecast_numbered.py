"""Series by their numbers and times as whole arrays: the same bits and the same errors as one at a time."""

from __future__ import annotations

import forecast_cases as cases
import numpy as np
import pytest

from statecast.errors import DataError, TimeOrderError, UnknownSeries
from statecast.forecast.observation import Features
from statecast.forecast.stream import Stream

IDS = ["a", "b", "c"]


def started(**settings: object) -> Stream:
    stream = Stream(cases.model(**settings))  # type: ignore[arg-type]
    stream.observe_many(IDS, [1.0, 2.0, 3.0], cases.START)
    return stream


def hours(*counts: int) -> np.ndarray:
    return cases.START + np.array(counts) * cases.HOUR


def test_series_by_number_are_the_series_by_name() -> None:
    named, numbered = started(), started()
    assert numbered.numbers(["c", "z", "a"]).tolist() == [2, -1, 0]
    values = np.array([[4.0], [np.nan], [6.0]])
    one = named.observe_many(["c", "a", "b"], values, hours(1, 3, 2))
    other = numbered.observe_numbered(numbered.numbers(["c", "a", "b"]), values, hours(1, 3, 2))
    assert other.ids == ("c", "a", "b")
    cases.same_bits(other.values, one.values)
    cases.same_bits(numbered.state.data, named.state.data)
    assert numbered.state.time.tolist() == named.state.time.tolist()


def test_numbers_that_no_series_has_are_refused() -> None:
    stream = started()
    stream.remove(["b"])
    for numbers, error, text in (
        ([0, 3], UnknownSeries, "numbers below 3"),
        ([-1], UnknownSeries, "numbers below 3"),
        ([0, 1], UnknownSeries, "no series has the number 1 any more"),
        ([2, 0, 2], DataError, "comes twice"),
    ):
        before = stream.state.data.tobytes()
        with pytest.raises(error, match=text):
            stream.observe_numbered(np.array(numbers), np.ones((len(numbers), 1)), hours(*range(1, len(numbers) + 1)))
        assert stream.state.data.tobytes() == before


@pytest.mark.parametrize(
    ("late", "error", "text"),
    [
        (0, TimeOrderError, "series 'b': .* is not after"),
        (cases.HOUR + 1, DataError, "series 'b': .* is not a whole number of steps"),
        ((1 << 62) - cases.START, DataError, "between the years 1 and 9999|cannot be used"),
        (2_000_000 * cases.HOUR, DataError, "series 'b': .* skips 1,999,999 steps"),
    ],
)
def test_times_in_an_array_have_the_errors_of_single_ones(late: int, error: type[Exception], text: str) -> None:
    stream = started()
    times = hours(1, 1, 1)
    times[1] = cases.START + late
    with pytest.raises(error, match=text):
        stream.observe_many(IDS, np.ones((3, 1)), times)
    assert stream.state.time.tolist() == hours(0, 0, 0).tolist()


def test_features_are_taken_as_they_are() -> None:
    of = cases.model(covariates=True)
    table = cases.panel(of, lengths=(4,), gaps=False)
    plain, encoded = Stream(of), Stream(of)
    horizon = of.config.horizon
    for row in range(2):
        plain.observe("s0", cases.value(table, row), int(table.time[row]), **cases.arguments(of, table, row))
        known = np.concatenate([table.known, table.ahead])[row : row + horizon + 1]
        encoded.observe_many(
            ["s0"],
            table.y[row : row + 1],
            table.time[row : row + 1],
            Features(table.past[row : row + 1]),
            Features(known[None]),
            Features(table.static) if row == 0 else None,
        )
    cases.same_bits(encoded.state.data, plain.state.data)


@pytest.mark.parametrize("gap", [2, 5])
def test_a_gap_leaves_the_same_bits_whatever_else_is_observed(gap: int) -> None:
    together, alone = started(hidden=(16,)), started(hidden=(16,))
    together.observe_many(IDS, np.ones((3, 1)), hours(gap, gap, gap))
    for name in IDS:
        alone.observe(name, 1.0, int(hours(gap)[0]))
    cases.same_bits(together.state.data, alone.state.data)
