"""Panel → segments: every row carries a loss once an epoch, in its own part of the split, whatever the lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecast.data.segments import NOWHERE, Sampler, Split, split, training_tape, validation_tape

lengths = st.lists(st.integers(0, 40), min_size=1, max_size=6).map(lambda n: np.array(n, np.int64))
sizes = st.one_of(st.integers(0, 12), st.floats(0.01, 0.6))


def offsets_of(n: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(n)]).astype(np.int64)


def carried(sampler: Sampler, number: int) -> np.ndarray:
    """How often each place of the tape carries a loss in an epoch."""
    starts = sampler.epoch(number)
    assert starts.shape == (sampler.steps, sampler.rows)
    places = starts[..., None] + np.arange(sampler.burn_in, sampler.segment)
    inside = places[(places >= 0) & (places < sampler.length)]
    return np.bincount(inside, minlength=sampler.length)


# --- the split


def test_a_share_is_of_the_rows_and_a_count_is_a_count() -> None:
    parts = split(np.array([100, 200]), 1, 0.1, 0.2)
    assert (parts.train.tolist(), parts.val.tolist()) == ([72, 144], [80, 160])
    parts = split(np.array([100, 200]), 1, 5, 7)
    assert (parts.train.tolist(), parts.val.tolist()) == ([88, 188], [93, 193])


@given(lengths, st.integers(1, 10), sizes, sizes)
def test_a_split_is_in_the_order_of_time_and_leaves_training_rows(
    n: np.ndarray, horizon: int, val: float, test: float
) -> None:
    parts = split(n, horizon, val, test)
    assert ((0 <= parts.train) & (parts.train <= parts.val) & (parts.val <= n)).all()
    # What is cut off leaves enough to train on; a series too short for that is for training alone.
    assert ((parts.train == n) | (parts.train >= horizon + 2)).all()


def test_a_short_series_gives_up_validation_before_test() -> None:
    parts = split(np.array([9]), 2, 4, 4)
    assert (parts.train.tolist(), parts.val.tolist()) == ([5], [5])
    parts = split(np.array([7]), 2, 4, 4)
    assert (parts.train.tolist(), parts.val.tolist()) == ([7], [7])


# --- the tapes


@given(lengths, st.integers(1, 5), sizes, sizes)
def test_the_training_tape_packs_all_training_rows_without_padding(
    n: np.ndarray, horizon: int, val: float, test: float
) -> None:
    parts, offsets = split(n, horizon, val, test), offsets_of(n)
    tape = training_tape(offsets, parts)
    expected = [np.arange(o, o + t) for o, t in zip(offsets, parts.train, strict=False)]
    assert np.array_equal(tape.rows, np.concatenate(expected))
    assert np.array_equal(tape.rows[tape.reset], offsets[:-1][parts.train > 0])
    series = np.searchsorted(offsets, tape.rows, side="right") - 1
    assert np.array_equal(tape.limit, (offsets[:-1] + parts.train)[series])
    # The last row of a training part has no target inside it; every other row has.
    assert np.array_equal(tape.scored, tape.rows + 1 < tape.limit)


@given(lengths, st.integers(1, 5), sizes, sizes, st.integers(0, 50))
def test_the_validation_tape_scores_forecasts_of_validation_rows_alone(
    n: np.ndarray, horizon: int, val: float, test: float, context: int
) -> None:
    parts, offsets = split(n, horizon, val, test), offsets_of(n)
    tape = validation_tape(offsets, parts, context)
    scored = tape.rows[tape.scored]
    # Each forecast's first target is a validation row, and each validation row is the first target of one.
    expected = [np.arange(o + t, o + v) for o, t, v in zip(offsets, parts.train, parts.val, strict=False)]
    assert np.array_equal(scored + 1, np.concatenate(expected))
    series = np.searchsorted(offsets, tape.rows, side="right") - 1
    assert np.array_equal(tape.limit, (offsets[:-1] + parts.val)[series])
    age = tape.rows - offsets[series]
    assert (age >= np.maximum(parts.train[series] - 1 - context, 0)).all()


# --- the sampler


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 39), st.integers(1, 9), st.booleans(), st.integers(0, 3))
def test_every_place_carries_a_loss_once_an_epoch(
    length: int, segment: int, burn_in: int, batch: int, shuffle: bool, number: int
) -> None:
    segment = min(segment, length)
    sampler = Sampler(length, segment, min(burn_in, segment - 1), batch, shuffle, False, 5)
    assert (carried(sampler, number) == 1).all()


@pytest.mark.parametrize("shuffle", [False, True])
def test_so_it_does_for_every_small_tape(shuffle: bool) -> None:
    for length in range(1, 13):
        for segment in range(1, length + 1):
            for burn_in in range(segment):
                sampler = Sampler(length, segment, burn_in, 3, shuffle, False, 5)
                for number in range(3):
                    assert (carried(sampler, number) == 1).all(), sampler


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 9), st.booleans())
def test_segments_whose_state_is_stored_lie_on_one_grid(length: int, segment: int, batch: int, shuffle: bool) -> None:
    sampler = Sampler(length, min(segment, length), 0, batch, shuffle, True, 5)
    for number in range(3):
        starts = sampler.epoch(number)
        assert sorted(starts[starts != NOWHERE]) == list(range(0, length, sampler.stride))


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 9))
def test_in_order_each_row_of_the_batch_runs_through_its_own_stretch(length: int, segment: int, batch: int) -> None:
    sampler = Sampler(length, min(segment, length), 0, batch, False, True, 0)
    for row in sampler.epoch(0).T:
        used = row[row != NOWHERE]
        assert (np.diff(used) == sampler.stride).all()
        assert (row[len(used) :] == NOWHERE).all()


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 5), st.booleans(), st.integers(0, 30), st.integers(1, 40))
def test_batches_are_epochs_one_after_another(
    length: int, segment: int, batch: int, shuffle: bool, step: int, count: int
) -> None:
    sampler = Sampler(length, min(segment, length), 0, batch, shuffle, False, 7)
    epochs = np.concatenate([sampler.epoch(number) for number in range(step + count)])
    assert np.array_equal(sampler.batches(step, count), epochs[step : step + count])


def test_a_batch_is_no_wider_than_there_are_segments() -> None:
    assert Sampler(20, 10, 0, 64, False, False, 0).epoch(0).tolist() == [[0, 10]]


def test_the_order_is_a_function_of_the_seed_and_the_epoch() -> None:
    def order(seed: int, number: int) -> list[list[int]]:
        return Sampler(500, 5, 1, 4, True, False, seed).epoch(number).tolist()

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_a_whole_series_is_one_segment_from_its_beginning() -> None:
    """Full back-propagation: no random phase may cut the series."""
    assert Sampler(50, 50, 0, 4, True, False, 0).epoch(3).tolist() == [[0]]


@pytest.mark.parametrize("n", [3, 7])
def test_a_window_is_a_segment_with_one_loss(n: int) -> None:
    sampler = Sampler(20, n, n - 1, 4, False, False, 0)
    starts = np.sort(sampler.epoch(0).ravel())
    assert np.array_equal(starts[starts != NOWHERE], np.arange(20) - (n - 1))


def test_an_empty_split_makes_empty_tapes() -> None:
    parts = Split(np.array([0]), np.array([0]))
    assert len(training_tape(np.array([0, 0]), parts).rows) == 0
    assert len(validation_tape(np.array([0, 0]), parts, 4).rows) == 0
