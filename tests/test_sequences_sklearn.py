"""scikit-learn's own checks of an estimator, on tables."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("jax")

from sklearn.utils.estimator_checks import parametrize_with_checks

import statecast as sc

# One network of few units: the checks look at manners, and a fit is asked for hundreds of times.
SMALL = {"ensemble": 1, "hidden": (8,), "dropout": 0.0, "max_steps": 150, "eval_every": 50}


@parametrize_with_checks([sc.Classifier(**SMALL), sc.Regressor(**SMALL)])
def test_manners(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]
