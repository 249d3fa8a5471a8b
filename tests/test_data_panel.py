"""Flat arrays of series: offsets and the rows of spans, beside loops over the series; and the pieces of a panel."""

from __future__ import annotations

import numpy as np
from forecast_cases import model, panel
from hypothesis import given
from hypothesis import strategies as st

from statecast.data.panel import offsets_of, places_in_spans, rows_of_spans

COUNTS = st.lists(st.integers(0, 5), max_size=8)


@given(COUNTS, st.data())
def test_spans_are_what_a_loop_makes_of_them(counts: list[int], data: st.DataObject) -> None:
    begins = data.draw(st.lists(st.integers(0, 90), min_size=len(counts), max_size=len(counts)))
    begin, count = np.array(begins, np.int64), np.array(counts, np.int64)
    assert offsets_of(count).tolist() == [sum(counts[:n]) for n in range(len(counts) + 1)]
    assert places_in_spans(count).tolist() == [place for n in counts for place in range(n)]
    expected = [row for first, n in zip(begins, counts, strict=True) for row in range(first, first + n)]
    assert rows_of_spans(begin, count).tolist() == expected


@given(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_a_piece_of_a_series_holds_its_rows_and_knows_the_later_ones_ahead(start: int, size: int, seed: int) -> None:
    of = model(covariates=True)
    table = panel(of, (9, 5), seed=seed)
    series, stop = np.array([1, 0, 0]), start + size
    pieces = table.pieces(series, np.array([0, start, 0]), np.array([5, stop, 9]))
    assert pieces.ids == ("s1", "s0", "s0")
    for n, (s, first, last) in enumerate(((1, 0, 5), (0, start, stop), (0, 0, 9))):
        rows, ahead = table.span(s), slice(*table.ahead_offsets[s : s + 2])
        for name in ("y", "time", "past", "known"):
            values = getattr(table, name)[rows]
            np.testing.assert_array_equal(getattr(pieces, name)[pieces.span(n)], values[first:last])
        later = np.concatenate([table.known[rows][last:], table.ahead[ahead]])
        np.testing.assert_array_equal(pieces.ahead[slice(*pieces.ahead_offsets[n : n + 2])], later)
    np.testing.assert_array_equal(pieces.static, table.static[series])


def test_rows_after_the_last_value_are_known_ahead() -> None:
    table = panel(model(covariates=True), (6, 4), gaps=False)
    table.y[:] = 1.0
    table.y[4:6] = table.y[9] = np.nan
    cut = table.with_ahead()
    assert cut.lengths.tolist() == [4, 3]
    assert np.diff(cut.ahead_offsets).tolist() == [2 + 12, 1 + 12]
    np.testing.assert_array_equal(cut.ahead[:2], table.known[4:6])
    table.y[:6] = np.nan
    assert table.with_ahead().lengths.tolist() == [6, 3]  # a series without any value keeps its rows
