"""Rows and sequences as one value, their encoding, and files of the archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecast.data.encoding import Encoding
from statecast.data.sequences import is_sequences, of_sequences, of_table, patched
from statecast.data.tsfile import read_ts
from statecast.errors import DataError, WrongType

MIXED = np.array([[1.0, "a"], [3.0, "b"], [None, "a"], [5.0, None]], object)


def test_sequences_lie_flat() -> None:
    result = of_sequences([np.ones((2, 3)), np.zeros((4, 3))])
    assert (result.count, result.channels, result.recurrent) == (2, 3, True)
    assert result.offsets.tolist() == [0, 2, 6]
    assert result.where(3) == "sequence 1, step 1"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (np.zeros((2, 3, 1)), True),
        (np.zeros((2, 3)), False),
        ([np.zeros((2, 3)), np.zeros((1, 3))], True),
        ([[[1.0], [2.0]], [[3.0]]], True),
        ([[1.0, 2.0], [3.0, 4.0]], False),
        ([], False),
    ],
)
def test_what_holds_sequences(source: object, expected: bool) -> None:
    assert is_sequences(source) is expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([np.zeros((2, 3)), np.zeros((2, 2))], "sequence 1 has 2 channels"),
        ([np.zeros((2, 3)), np.zeros((0, 3))], "sequence 1 has no steps"),
        ([np.zeros((2, 3)), np.zeros(3)], "sequence 1 has the shape"),
    ],
)
def test_what_is_no_sequence_is_named(source: list[np.ndarray], words: str) -> None:
    with pytest.raises(DataError, match=words):
        of_sequences(source)


def test_columns_become_inputs() -> None:
    source = of_table(MIXED)
    encoding = Encoding.fit(source, differences=True)
    result = encoding.apply(source)
    known = np.array([1.0, 3.0, 5.0])
    number = (np.array([1.0, 3.0, 3.0, 5.0]) - known.mean()) / known.std()
    np.testing.assert_allclose(result[:, 0], number)  # what is missing is the mean
    assert result[:, 1].tolist() == [0, 0, 1, 0]  # and marked
    assert result[:, 2:].tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]  # a, b, missing
    assert Encoding.from_json(encoding.to_json()) == encoding


def test_a_category_that_training_has_not_seen_is_all_zeros() -> None:
    encoding = Encoding.fit(of_table(MIXED), differences=True)
    assert encoding.apply(of_table(np.array([[1.0, "new"]], object)))[0, 2:].tolist() == [0, 0, 0]


def test_changes_stay_within_a_sequence() -> None:
    source = of_sequences([np.array([[1.0], [3.0]]), np.array([[100.0], [101.0]])])
    result = Encoding.fit(source, differences=True).apply(source)
    size = np.sqrt((0 + 4 + 0 + 1) / 4)
    np.testing.assert_allclose(result[:, 1], np.array([0, 2, 0, 1]) / size)
    assert Encoding.fit(source, differences=False).width == 1


def test_infinity_is_named() -> None:
    with pytest.raises(DataError, match=r"sequence 0, step 1, column 0 holds infinity"):
        Encoding.fit(of_sequences([np.array([[0.0], [np.inf]])]), True)


def test_what_is_neither_number_nor_text_is_named() -> None:
    with pytest.raises(WrongType, match=r"row 1, column 0 holds \{\}"):
        Encoding.fit(of_table(np.array([[0.0], [{}]], object)), True)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 4))
def test_patches_hold_every_step_once(lengths: list[int], size: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    inputs = np.arange(1.0, offsets[-1] * 2 + 1).reshape(-1, 2)
    result, begins = patched(inputs, offsets, size)
    for n, length in enumerate(lengths):
        steps = result[begins[n] : begins[n + 1]].reshape(-1, 2)
        np.testing.assert_array_equal(steps[:length], inputs[offsets[n] : offsets[n + 1]])
        assert not steps[length:].any()
        assert len(steps) - length < size


TS = "# a comment\n@problemName Toy\n@timeStamps false\n@classLabel true up down\n@data\n"


def test_a_ts_file(tmp_path: Path) -> None:
    path = tmp_path / "toy.ts"
    path.write_text(TS + "1,2,?:4,5,6:up\n7:8:down\n", encoding="utf-8")
    result = read_ts(path)
    assert (result.name, list(result.labels if result.labels is not None else [])) == ("Toy", ["up", "down"])
    np.testing.assert_array_equal(result.sequences[0], [[1, 4], [2, 5], [np.nan, 6]])
    assert result.sequences[1].shape == (1, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TS + "1,2:3:up\n", "line 6: its channels have 2, 1 values"),
        (TS + "1,x:up\n", "line 6: could not convert"),
        (TS + "1,2:left\n", "line 6: label 'left' is none of up, down"),
        (TS, "no case"),
        ("1,2,3\n", "line 1"),
        ("# nothing\n", "no line @data"),
        (TS.replace("timeStamps false", "timeStamps true") + "1:up\n", "times with its values"),
    ],
)
def test_a_bad_ts_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.ts"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_ts(path)


def test_targets_of_a_ts_file_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "values.ts"
    path.write_text("@targetLabel true\n@data\n1,2:0.5\n3,4:1.5\n", encoding="utf-8")
    labels = read_ts(path).labels
    assert labels is not None and labels.tolist() == [0.5, 1.5]
