"""Scores of a classifier: against scikit-learn's, on rows that neither training nor stopping used, and as a page."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, confusion_matrix, log_loss

import statecast as sc
from statecast.errors import DataError, NotFitted
from statecast.forecast.scores import classification
from statecast.report import classes

TABLE: dict[str, Any] = {"hidden": (4,), "max_steps": 6, "ensemble": 2}
NAMES = ["<b>", "北", "c"]


def outcomes(count: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of classes, and classes that come as often as these say."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(size), count)
    return probabilities, np.array([rng.choice(size, p=row) for row in probabilities])


def rows(count: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 3))
    return X, np.where(X[:, 0] + 0.5 * rng.normal(size=count) > 0, "up", "down")


@pytest.fixture(scope="module")
def tested() -> sc.Classifier:
    return sc.Classifier(**TABLE, test_size=0.25).fit(*rows())


@pytest.mark.parametrize("size", [2, 3])
def test_scores_are_those_of_scikit_learn(size: int) -> None:
    probabilities, codes = outcomes(400, size)
    result = classification.evaluation(codes, probabilities, NAMES[:size], np.full(size, 1 / size))
    network, predicted = result["statecast"], probabilities.argmax(axis=1)
    assert network["log_loss"] == pytest.approx(log_loss(codes, probabilities))
    assert network["brier"] == pytest.approx(brier_score_loss(codes, probabilities, labels=np.arange(size)))
    assert network["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(codes, predicted))
    assert result["confusion"] == confusion_matrix(codes, predicted).tolist()
    assert result["class_shares"]["log_loss"] == pytest.approx(np.log(size))
    assert result["skill"]["log_loss"] == pytest.approx(1 - network["log_loss"] / np.log(size))
    assert json.loads(json.dumps(result)) == classification.require(json.loads(json.dumps(result)))


def test_the_reliability_table_tells_true_probabilities_from_boasting() -> None:
    probabilities, codes = outcomes(4000, 3)
    right = classification.evaluation(codes, probabilities, NAMES, np.ones(3) / 3)
    assert right["statecast"]["calibration_error"] < 0.03
    assert sum(part["rows"] for part in right["reliability"]) == 4000
    inside = [part["low"] <= part["probability"] <= part["high"] for part in right["reliability"]]
    assert np.mean(inside) > 0.7
    sharp = probabilities**4
    boasting = classification.evaluation(codes, sharp / sharp.sum(axis=1, keepdims=True), NAMES, np.ones(3) / 3)
    assert boasting["statecast"]["calibration_error"] > 0.1
    assert "too sure of itself" in " ".join(classes.sentences(boasting))
    assert boasting["statecast"]["accuracy"] == right["statecast"]["accuracy"]


def test_test_rows_are_used_by_nothing_but_the_scores(tested: sc.Classifier) -> None:
    X, y = rows()
    mask = tested._test_rows(np.unique(y, return_inverse=True)[1])
    assert mask.sum() == 30 == tested.evaluation_["rows"]
    assert abs((y[mask] == "up").mean() - (y == "up").mean()) < 0.03  # the same share of each class
    disturbed, labels = X.copy(), y.copy()
    disturbed[mask] = 99.0
    labels[mask] = np.where(y[mask] == "up", "down", "up")
    kept = sc.Classifier(**TABLE).fit(X[~mask], y[~mask])
    np.testing.assert_array_equal(kept.predict_proba(X), tested.predict_proba(X))
    assert tested.evaluate(X[mask], y[mask]) == tested.evaluation_
    assert kept.evaluate(disturbed, labels)["rows"] == 120


def test_scores_are_saved_with_the_model(tested: sc.Classifier, tmp_path: Path) -> None:
    loaded = sc.Classifier.load(tested.save(tmp_path / "c"))
    assert loaded.evaluation_ == tested.evaluation_
    X, y = rows(40, 1)
    assert loaded.evaluate(X, y) == tested.evaluate(X, y)
    assert not hasattr(sc.Classifier(**TABLE).fit(*rows()), "evaluation_")  # what lists attributes leaves it out
    with pytest.raises(NotFitted, match="no rows were kept for a test: fit with test_size"):
        _ = sc.Classifier.load(sc.Classifier(**TABLE).fit(*rows()).save(tmp_path / "d")).evaluation_
    with pytest.raises(DataError, match="the class 'sideways', which it was not trained on"):
        tested.evaluate(X[:2], ["up", "sideways"])


@pytest.mark.parametrize("size", [21, 1000, 0.51])
def test_more_than_half_of_the_rows_is_no_test(size: float) -> None:
    """A test that leaves less to learn from is refused; it was made smaller without a word."""
    X, y = rows(40, 0)
    with pytest.raises(DataError, match=rf"test_size = {size} of 40 rows: at most half"):
        sc.Classifier(**TABLE, test_size=size).fit(X, y)


@pytest.mark.parametrize("lie", ["statecast", "rows", "confusion", "reliability", "by_class", "skill"])
def test_scores_of_a_file_are_strangers(tested: sc.Classifier, lie: str) -> None:
    for value in (None, {}, [[1]], {"a": 1}, "x", [1.5], [{"from": float("nan")}]):
        with pytest.raises(ValueError, match="not those of a classifier"):
            classification.require(tested.evaluation_ | {lie: value})


def test_a_page_of_a_classifier(tested: sc.Classifier, tmp_path: Path) -> None:
    report = tested.report(tmp_path / "page.html", title="<script>")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page and page.count("<img") == 3
    assert "Of 30 rows that neither training nor stopping used" in page
    assert re.search(r"<td>test_size</td><td>0.25</td><td>given</td>", page)
    assert "<td>learning_rate</td><td>0.01</td><td>default</td><td>suits adamw</td>" in page
    assert "shares of the classes" in report._repr_html_()
    untested = sc.Classifier(**TABLE).fit(*rows()).report()
    assert classes.UNTESTED in classes.render(untested) and untested.rows == 120


def test_pictures_of_classes_with_strange_names() -> None:
    probabilities, codes = outcomes(60, 3)
    evaluation = classification.evaluation(codes, probabilities, NAMES, np.ones(3) / 3)
    from statecast.report import plot

    for _, figure in plot.class_figures(evaluation, {}):
        figure.savefig(io.BytesIO())
    many = classification.evaluation(np.arange(30), np.eye(30), [f"class {n}" for n in range(30)], np.ones(30) / 30)
    plot.confusion(many).savefig(io.BytesIO())
    lone = classification.evaluation(np.zeros(1, int), np.array([[0.9, 0.1]]), ["a", "b"], np.ones(2) / 2)
    assert len(list(plot.class_figures(lone, {}))) == 2 and classes.tables_of(lone)
