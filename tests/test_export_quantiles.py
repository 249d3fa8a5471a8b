"""The polynomials that stand for Student's quantiles in a graph, against SciPy and against the stream's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import export_cases
import forecast_cases
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecast.export import quantiles
from statecast.model.heads import special

FREEDOM = np.concatenate([2 + np.random.default_rng(0).exponential(3, 2000), [2.0, 2.0001, 5, 30, 1e3, 1e6, 1e12]])
Z = np.resize(np.linspace(-8, 8, 401), len(FREEDOM))


def test_quantiles_and_scores_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    tails = stats.norm.sf(np.abs(Z))
    exact = np.sign(Z) * stats.t.isf(tails, FREEDOM)
    np.testing.assert_allclose(quantiles.student_t(FREEDOM, Z), exact, rtol=3e-9, atol=1e-12)
    np.testing.assert_allclose(quantiles.student_t_score(FREEDOM, exact), Z, rtol=3e-9, atol=1e-12)


@given(st.floats(2, 1e4), st.floats(-12, 12))
def test_far_out_they_stay_close_to_what_they_stand_for(freedom: float, z: float) -> None:
    """Of many more degrees of freedom the functions that they stand for are the less exact ones."""
    n, score = np.array([freedom]), np.array([z])
    t = special.student_t_quantile(n, score)
    if abs(z) <= quantiles.FARTHEST:
        np.testing.assert_allclose(quantiles.student_t(n, score), t, rtol=2e-8, atol=1e-8)
    np.testing.assert_allclose(quantiles.student_t_score(n, t), score, rtol=1e-2, atol=1e-8)


def test_what_is_missing_stays_missing_and_nothing_is_infinite() -> None:
    t = np.array([np.nan, 0.0, 1e150, -1e150])
    scores = quantiles.student_t_score(np.full(4, 3.0), t)
    assert np.isnan(scores[0]) and scores[1] == 0
    assert np.isfinite(scores[2]) and scores[3] == -scores[2]
    assert quantiles.student_t(np.array([2.5]), np.array([0.0])) == 0


def test_a_graph_follows_a_stream_through_outliers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What intervals remember are scores, so an error of theirs would show in later bounds."""
    ordinary = export_cases.rows

    def wild(*arguments: Any) -> np.ndarray:
        y = ordinary(*arguments)
        y[20::17] *= 40
        return y

    monkeypatch.setattr(export_cases, "rows", wild)
    model = forecast_cases.model(head="student_t", precision="float64")
    assert export_cases.side_by_side(model, tmp_path, 120) <= export_cases.POLYNOMIAL["student_t"]
