"""Tuning: what may be tried, rolling windows, pruning, the verdict, and studies that are killed and resumed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from train_cases import compilations, panel_of, wave

import statecast as sc
from statecast.config import Config
from statecast.errors import SettingError, TooFewRows
from statecast.tuning import TuningProgress, study
from statecast.tuning.space import Choices, Span, space_of, usual_space
from statecast.tuning.trials import FAILED, FINISHED, PRUNED, TrialRecord, limits_of
from statecast.tuning.verdict import verdict_of
from statecast.tuning.windows import Evidence, windows_of

# Small enough to compile in about a second.
TINY: dict[str, Any] = {
    "horizon": 2,
    "cell": "rnn_tanh",
    "hidden": (2,),
    "lags": 2,
    "skip": 0,
    "segment": 8,
    "burn_in": 2,
    "batch_size": 2,
    "max_steps": 8,
    "eval_every": 2,
    "season": 1,
}
RATES = {"learning_rate": [0.001, 0.01, 0.02, 0.03, 0.05, 0.1]}


def tuned(values: Any = None, **options: Any) -> Any:
    return sc.tune(wave(160) if values is None else values, **{"space": RATES, "trials": 3} | TINY | options)


def plain(records: Any) -> list[Any]:
    """All of records but the clock, as text: NaN equals NaN there."""
    parts = [[part.sums.tolist() for part in record.evidence] for record in records]
    return [
        (r.number, dict(r.settings), r.state, repr(r.score), dict(r.looks), p)
        for r, p in zip(records, parts, strict=True)
    ]


# --- what may be tried


def test_a_space_names_settings_and_their_values() -> None:
    space = space_of({"hidden": [8, (16, 16), None], "learning_rate": (1e-4, 1e-2, "log"), "lags": (2, 9)}, Config())
    hidden, rate, lags = space.dimensions
    assert hidden == Choices("hidden", ((8,), (16, 16), None))
    assert (rate, lags) == (Span("learning_rate", 1e-4, 1e-2, True), Span("lags", 2, 9, False))
    drawn = [study.propose(space, 0, n, [], []) for n in range(1, 40)]
    settings = [proposal.settings for proposal in drawn if proposal]
    assert {values["hidden"] for values in settings} == {(8,), (16, 16), None}
    assert all(1e-4 <= values["learning_rate"] <= 1e-2 and values["lags"] in range(2, 10) for values in settings)
    assert np.median([values["learning_rate"] for values in settings]) < 3e-3  # drawn evenly in logarithms


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"hiden": [8]}, r"no setting 'hiden'; did you mean 'hidden'"),
        ({"hidden": [0]}, r"space: hidden \[0\]|hidden 0"),
        ({"learning_rate": (1e-2, 1e-4)}, "wanted a range"),
        ({"learning_rate": (0, 1e-4, "log")}, "low above 0"),
        ({"learning_rate": (1e-4, 1e-2, "loq")}, "wanted a range"),
        ({"learning_rate": "high"}, "wanted a list of values"),
        ({"cell": []}, "wanted a list of values"),
        ({"horizon": [1, 2]}, "horizon cannot be tuned"),
        ({"lags": [2]}, "lags is in the space and given"),
        ({}, "wanted a mapping"),
        (["hidden"], "wanted a mapping"),
    ],
)
def test_a_wrong_space_is_refused_before_any_trial(space: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        sc.tune(wave(60), horizon=2, lags=3, space=space)


def test_a_function_of_a_trial_is_a_space() -> None:
    def space(trial: Any) -> dict[str, Any]:
        cell = trial.suggest_categorical("kind", ["gru", "lstm"])
        return {"cell": cell, "hidden": trial.suggest_int("units", 4, 8) if cell == "gru" else 16}

    proposal = study.propose(space_of(space, Config()), 0, 1, [], [])
    assert proposal is not None
    assert (proposal.settings["hidden"] == (16,)) == (proposal.settings["cell"] == "lstm")
    with pytest.raises(SettingError, match="no setting 'units'"):
        study.propose(space_of(lambda trial: {"units": trial.suggest_int("units", 4, 8)}, Config()), 0, 1, [], [])


def test_the_usual_space_lies_around_the_automatic_choice_and_leaves_out_what_was_given() -> None:
    chosen = Config(hidden=64, lags=24, skip=168, season=24, segment=128, learning_rate=2e-3, normalize="last")
    space = usual_space(chosen, Config(cell="gru"), 1000)
    names = [dimension.name for dimension in space.dimensions]
    assert names == ["hidden", "lags", "skip", "normalize", "dropout", "segment", "learning_rate"]
    stored = space.stored(chosen)
    assert stored is not None
    assert stored["skip"] == "null" and stored["lags"] == "24" and stored["learning_rate"] == 2e-3
    for dimension in space.dimensions:  # every value passes the setting's own check
        if isinstance(dimension, Choices):
            assert all(Config.of({dimension.name: value}) for value in dimension.values)
    shorter = usual_space(replace(chosen, lags=8, segment=32), Config(), 60)
    sizes = {d.name: d.values for d in shorter.dimensions if isinstance(d, Choices)}
    assert max(sizes["lags"]) <= 15 and max(sizes["segment"]) <= 60


def test_proposals_depend_on_seed_number_and_history_alone() -> None:
    space = space_of({"learning_rate": (1e-4, 1e-1, "log"), "cell": ["gru", "lstm"]}, Config())
    entries: list[study.Entry] = []
    for number in range(9):
        first, again = (study.propose(space, 7, number, entries, []) for _ in range(2))
        assert first is not None and again is not None and first.settings == again.settings
        score = abs(np.log10(first.settings["learning_rate"]) + 2)
        entries.append(study.Entry(TrialRecord(number, first.settings, FINISHED, float(score)), first))
    other = study.propose(space, 8, 3, entries[:3], [])
    assert other is not None and other.settings != entries[3].proposal.settings
    assert len({entry.proposal.settings["learning_rate"] for entry in entries}) == 9


def test_nothing_is_tried_twice_and_a_small_space_ends_the_study() -> None:
    result = tuned(trials=20, space={"learning_rate": [0.01, 0.02]}, max_steps=2)
    assert [record.settings.get("learning_rate") for record in result.records[1:]] in ([0.01, 0.02], [0.02, 0.01])


# --- windows


def test_windows_lie_end_to_end_before_the_test_rows() -> None:
    panel, windows = windows_of(panel_of(np.arange(100.0), np.arange(12.0)), 2, 10, 20)
    assert panel.lengths.tolist() == [80, 12]  # a series too short for its part of the test rows keeps them
    long = [(w.parts.train[0], w.parts.val[0], w.stop[0]) for w in windows]
    assert long == [(40, 50, 60), (50, 60, 70), (60, 70, 80)]
    assert [w.scored for w in windows] == [12, 12, 12]


def test_fewer_rows_make_fewer_windows_and_too_few_none() -> None:
    counts = [len(windows_of(panel_of(np.arange(float(rows))), 2, 0.1, 0)[1]) for rows in (40, 10, 8)]
    assert counts == [3, 2, 1]
    with pytest.raises(TooFewRows, match="before its test rows: tuning needs at least 8"):
        windows_of(panel_of(np.arange(7.0)), 2, 0.1, 0)


def test_no_trial_sees_a_test_row() -> None:
    """Whatever the test rows hold, the trials are the same to the last bit."""
    values = wave(160)
    other = np.concatenate([values[:144], 1e6 * np.ones(16)])
    first, second = (tuned(part, trials=2) for part in (values, other))
    assert plain(first.records) == plain(second.records)
    assert first.automatic["statecast"]["mae"] != second.automatic["statecast"]["mae"]


def test_the_score_is_that_of_a_fit_whose_test_rows_are_the_window() -> None:
    """One window: a fit on the same rows with the same split forecasts the same, and errs by the same mean."""
    values = wave(60)
    result = tuned(values, trials=1, val_size=20, test_size=0)
    assert len(result.records[0].evidence) == 1
    fit = sc.Forecaster(**TINY, val_size=20, test_size=20, refit=False).fit(values)
    scale = np.abs(np.diff(values[:40])).mean()
    assert result.records[0].score == pytest.approx(fit.evaluation_["statecast"]["mae"] / scale, rel=1e-6)


# --- a trial costs its steps


def test_trials_of_like_shape_compile_nothing_and_read_and_solve_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows share what is compiled, so do trials; and the start is solved once for each window."""
    from statecast.data import checks
    from statecast.train.choose import skip

    solved, read = [], []
    best, panel = skip.best, checks.panel
    monkeypatch.setattr(skip, "best", lambda *a: solved.append(1) or best(*a))
    monkeypatch.setattr(checks, "panel", lambda *a: read.append(1) or panel(*a))
    counts: dict[int, int] = {}

    def watch(progress: TuningProgress) -> None:
        counts.setdefault(progress.trial if progress.phase == "trying" else 99, len(solved))

    options = TINY | {"skip": 3, "val_size": 20}
    once = compilations(lambda: sc.tune(wave(200), **options, space=RATES, trials=1))
    more = compilations(lambda: sc.tune(wave(200), **options | {"random_state": 3}, space=RATES, trials=4, watch=watch))
    assert 0 < once <= 6 and more == 0
    assert counts[99] == len(counts) * 0 + 3 + 3  # three windows of either study, four trials or one
    assert len(read) == 2 * (1 + 1) + 1 or len(read) >= 4


# --- pruning, and what goes wrong


def test_a_trial_is_pruned_where_two_in_three_did_better() -> None:
    records = [TrialRecord(n, {}, FINISHED, looks={8: float(n), 10: 1.0}) for n in range(5)]
    assert limits_of(records[:4]) == {}
    assert limits_of(records) == {8: pytest.approx(8 / 3), 10: 1.0}


def test_looks_prune_a_trial_that_learns_nothing() -> None:
    result = tuned(
        wave(400), trials=8, space=lambda trial: {"learning_rate": trial.suggest_float("r", 0.01, 0.02), **bad(trial)}
    )
    states = [record.state for record in result.records]
    assert states[:6] == [FINISHED] * 6
    assert states[6:] == [PRUNED] * 2
    assert "tenths of the training in the earliest window" in result.records[6].note
    assert max(result.records[6].looks) < 10 or not result.records[6].evidence


def bad(trial: Any) -> dict[str, Any]:
    return {"optimizer": "sgd", "learning_rate": 1e-9} if trial.number > 5 else {}


def test_one_odd_trial_does_not_end_the_study() -> None:
    """A rate that diverges, settings that do not agree, and an error of another kind: all are reported."""
    space = {"learning_rate": [1e3, 0.01], "optimizer": ["sgd", "lm"]}
    result = tuned(trials=5, space=space, clip=0, normalize="none", loss="mse", max_steps=100)
    by_state = {record.state for record in result.records}
    assert by_state == {FINISHED, FAILED}
    notes = " ".join(record.note for record in result.records)
    assert "try a smaller learning_rate" in notes and "float64" in notes
    assert result.forecaster.predict() is not None


def test_an_automatic_choice_that_fails_raises_its_own_error() -> None:
    with pytest.raises(SettingError, match="float64"):
        tuned(optimizer="lm")


# --- the verdict


def records_of(*errors: Any) -> list[TrialRecord]:
    """Trials of two windows with these errors in each unit of either."""
    halves = [np.array_split(np.asarray(part, np.float64), 2) for part in errors]
    parts = [tuple(Evidence(half, np.ones(len(half))) for half in pair) for pair in halves]
    scores = [float(np.mean(part)) for part in errors]
    return [
        TrialRecord(n, {"lags": n}, FINISHED, score, p) for n, (score, p) in enumerate(zip(scores, parts, strict=True))
    ]


def test_a_steady_gain_is_taken_and_luck_is_not() -> None:
    rng = np.random.default_rng(0)
    base = 1 + 0.1 * rng.random(20)
    steady = verdict_of(records_of(base, 0.95 * base), 0.1)
    assert steady.taken and steady.best == 1 and steady.chance is not None and steady.chance < 0.01
    assert steady.gain == pytest.approx(0.05)
    lucky = verdict_of(records_of(base, *(base + 0.05 * rng.standard_normal((20, 20)))), 0.1)
    assert lucky.best > 0 and lucky.apparent > 0 and not lucky.taken
    assert lucky.gain < lucky.apparent  # the rows that chose it flatter it
    assert verdict_of(records_of(base, *(base + 0.05 * rng.standard_normal((20, 20)))), 1.0).taken


def test_a_gain_in_one_window_alone_is_not_taken() -> None:
    base = np.ones(20)
    half = np.concatenate([0.5 * np.ones(10), 1.2 * np.ones(10)])
    verdict = verdict_of(records_of(base, half), 0.1)
    assert verdict.best == 1 and verdict.apparent > 0.1 and not verdict.taken


def test_few_units_tell_nothing() -> None:
    verdict = verdict_of(records_of(np.ones(4), 0.5 * np.ones(4)), 0.1)
    assert verdict.chance is None and not verdict.taken
