"""Matrix products in one thread, and work side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from threadpoolctl import ThreadpoolController

import statecast as sc
from statecast.model.blas import one_thread, side_by_side


def threads_of_blas() -> set[int]:
    """Of NumPy's BLAS; that of SciPy may have been loaded since, and is not ours."""
    libraries = ThreadpoolController().select(user_api="blas").info()
    return {library["num_threads"] for library in libraries if "numpy" in library["filepath"]}


def test_the_limit_is_taken_back_by_whoever_asked_first_whatever_other_threads_do() -> None:
    before, inside, done = threads_of_blas(), threading.Event(), threading.Event()

    def longer() -> None:
        with one_thread():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=longer)
    with one_thread(), one_thread():
        thread.start()
        assert inside.wait(10)
        assert threads_of_blas() == {1}
    assert threads_of_blas() == before
    done.set()
    thread.join()
    assert threads_of_blas() == before
    with one_thread():
        assert threads_of_blas() == {1}


def test_the_limit_is_taken_back_after_an_error() -> None:
    before = threads_of_blas()
    with pytest.raises(ZeroDivisionError), one_thread():
        1 / 0  # noqa: B018
    assert threads_of_blas() == before


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_results_come_in_order_and_items_are_taken_as_they_are_needed(limit: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = side_by_side(lambda item: item**2, items(), limit)
    assert next(results) == 0
    assert len(taken) <= limit + 1
    assert list(results) == [item**2 for item in range(1, 100)]


@pytest.mark.parametrize("limit", [1, 4])
def test_an_error_of_one_item_is_raised(limit: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda item: 1 / item, [1, 2, 0, 3], limit))


def test_a_fit_has_the_same_bits_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    y = [np.cumsum(rng.normal(size=300)) + 5 * np.sin(np.arange(300) / 12 * 2 * np.pi + n) for n in range(40)]
    frame = pl.DataFrame({"id": np.arange(40).repeat(300), "t": np.tile(np.arange(300), 40), "y": np.concatenate(y)})
    forecasts = [
        sc.Forecaster(horizon=6, season=12, max_steps=0, threads=threads)
        .fit(frame, target="y", id="id", time="t")
        .forecast()
        .values
        for threads in (1, 3)
    ]
    np.testing.assert_array_equal(*forecasts)
