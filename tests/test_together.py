"""Drift of all series together: told soon, dated rightly, and not by chance."""

from __future__ import annotations

import numpy as np
import pytest

from statecast.errors import ModelFileError
from statecast.forecast.together import CommonChange, Together, observe

RATE = 1e-3
SERIES = 50


def changes(
    rng: np.random.Generator, rounds: int, shift: float = 0.0, scale: float = 1.0, begin: int = 500, shared: float = 0.0
) -> list[tuple[int, CommonChange]]:
    """What is told of rounds of normal scores that change from one on; some of their variance may be shared by all."""
    value, told = Together(), []
    for n in range(rounds):
        scores = np.sqrt(1 - shared) * rng.standard_normal(SERIES) + np.sqrt(shared) * rng.standard_normal()
        value, change = observe(value, scale * scores + shift if n >= begin else scores, n, RATE)
        if change is not None:
            told.append((n, change))
    return told


@pytest.mark.parametrize(
    ("what", "name"),
    [({"shift": 0.3}, "higher"), ({"shift": -0.3}, "lower"), ({"scale": 1.3}, "louder"), ({"scale": 0.7}, "calmer")],
)
def test_a_change_that_all_share_is_told_with_its_beginning(what: dict[str, float], name: str) -> None:
    (first, *_) = changes(np.random.default_rng(0), 600, **what)
    moment, change = first
    assert change.change == name
    assert 500 <= moment < 560 and abs(change.since - 500) <= 10


@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_false_alarms_are_no_more_than_the_rate_allows(shared: float) -> None:
    assert len(changes(np.random.default_rng(1), 10_000, begin=10**9, shared=shared)) <= 10_000 * RATE


def test_after_a_change_what_is_usual_begins_anew() -> None:
    assert len(changes(np.random.default_rng(2), 3000, shift=1.0)) == 1


def test_rounds_of_few_scores_tell_nothing() -> None:
    value = Together()
    for n in range(300):
        value, change = observe(value, np.array([9.0] * 19 + [np.nan]), n, RATE)
        assert change is None and value == Together()


def test_what_is_remembered_survives_as_text() -> None:
    value, rng = Together(), np.random.default_rng(0)
    for n in range(300):
        value, _ = observe(value, rng.standard_normal(30), n, RATE)
    assert Together.from_text(value.to_text()) == value
    for text in (
        "",
        "[]",
        "[1]",
        "7",
        value.to_text().replace("[", "[null, ", 2),
        "[NaN, [0,0], [0,0], [0,0,0,0], [0,0,0,0]]",
    ):
        with pytest.raises(ModelFileError):
            Together.from_text(text)
