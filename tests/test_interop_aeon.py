"""statecast.aeon by aeon's own suite, and what that does not ask: the answers are those of the Classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("aeon", reason="aeon is in an environment of its own: make interop", exc_type=ImportError)

from aeon.testing.estimator_checking import check_estimator

import statecast as sc
from statecast.aeon import AeonClassifier
from statecast.errors import SettingError

CONVOLUTIONS: dict[str, Any] = {"readings": ("convolutions",)}


@pytest.mark.heavy
@pytest.mark.filterwarnings("default")  # those that the suite itself raises
def test_the_suite_of_aeon_passes_in_full() -> None:
    results = check_estimator(AeonClassifier, raise_exceptions=True, verbose=False)
    assert len(results) >= 35
    assert {*results.values()} == {"PASSED"}


def test_answers_are_those_of_the_classifier() -> None:
    random = np.random.default_rng(0)
    waves = [np.sin(np.arange(length) * speed) for length in (20, 30) for speed in (0.3, 1.1) for _ in range(4)]
    panel = [np.stack([wave, random.normal(size=len(wave))]) for wave in waves]
    y = np.array([("slow", "fast")[n // 4 % 2] for n in range(len(panel))])
    ours = sc.Classifier(**CONVOLUTIONS).fit([series.T.copy() for series in panel], y)
    theirs = AeonClassifier(**CONVOLUTIONS).fit(panel, y)
    np.testing.assert_array_equal(
        theirs.predict_proba(panel), ours.predict_proba([series.T.copy() for series in panel])
    )
    assert theirs.predict(panel).tolist() == ours.predict([series.T.copy() for series in panel]).tolist()


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="hidden"):
        AeonClassifier(hiden=4)
