"""The State value: a layout by hand, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from statecast.errors import DataError, UnknownSeries
from statecast.model.state import UNSEEN, Layout, State

LAYOUT = Layout((("level", (2,)), ("ring", (2, 2)), ("0.h", (1,))))


def state(*names: str | int, first: float = 0) -> State:
    data = first + np.arange(len(names) * LAYOUT.size, dtype=np.float32).reshape(len(names), -1)
    return State(LAYOUT, data, names, np.full(len(names), UNSEEN))


def test_the_layout_by_hand() -> None:
    assert LAYOUT.size == 7
    assert LAYOUT.slices == {
        "level": (slice(0, 2), (2,)),
        "ring": (slice(2, 6), (2, 2)),
        "0.h": (slice(6, 7), (1,)),
    }
    parts = LAYOUT.unpack(state("a", "b").data)
    assert parts["level"].tolist() == [[0, 1], [7, 8]]
    assert parts["ring"].tolist() == [[[2, 3], [4, 5]], [[9, 10], [11, 12]]]
    assert parts["0.h"].tolist() == [[6], [13]]


def test_series_by_name_in_any_order() -> None:
    result = state("a", "b", 3).gather([3, "a"])
    assert result.ids == (3, "a")
    assert result.data[:, 0].tolist() == [14, 0]
    assert result.time.tolist() == [UNSEEN, UNSEEN]


def test_a_gathered_state_is_a_copy() -> None:
    whole = state("a", "b")
    whole.gather(["a"]).data[:] = -1
    assert whole.data[0, 1] == 1


def test_joined_states() -> None:
    both = state("a").join(state("b", first=100))
    assert both.ids == ("a", "b")
    assert both.data[:, 0].tolist() == [0, 100]
    assert both.index == {"a": 0, "b": 1}


def test_no_series_joined_to_some() -> None:
    empty = State.empty(LAYOUT, np.float32)
    assert (len(empty.ids), empty.data.shape) == (0, (0, 7))
    both = empty.join(state("a"))
    assert both.ids == ("a",)
    assert both.data.dtype == np.float32


def test_an_unknown_series_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownSeries, match=r"no series 'site-8'.*did you mean 'site-7'"):
        state("site-7", "other").gather(["site-8"])


def test_a_series_in_both_states_is_refused() -> None:
    with pytest.raises(DataError, match="series 'b' is in both states"):
        state("a", "b").join(state("c", "b"))


def test_states_of_different_networks_are_not_joined() -> None:
    other = State(Layout((("level", (7,)),)), np.zeros((1, 7), np.float32), ("z",), np.zeros(1, np.int64))
    with pytest.raises(DataError, match="different networks"):
        state("a").join(other)
