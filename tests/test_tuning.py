"""Tuning: what may be tried, rolling windows, pruning, the verdict, and studies that are killed and resumed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from train_cases import compilations, panel_of, same_bits, schema_of, wave

import statecast as sc
from statecast.cli import main
from statecast.cli.destination import StudyDestination
from statecast.cli.options import fit_request
from statecast.config import Config
from statecast.errors import (
    Interrupted,
    MissingDependency,
    ModelFileError,
    OutputError,
    SettingError,
    TooFewRows,
)
from statecast.train.choose import skip
from statecast.train.start import linear
from statecast.tuning import TuningProgress, study
from statecast.tuning.display import TuningDisplay
from statecast.tuning.pools import ProcessPool
from statecast.tuning.space import Choices, Span, space_of, usual_space
from statecast.tuning.study import Storage
from statecast.tuning.trials import (
    FAILED,
    FINISHED,
    PRUNED,
    TrialRecord,
    TrialRunner,
    TrialTask,
    TuningProblem,
    limits_of,
    units_of,
)
from statecast.tuning.verdict import later_sentence, verdict_of
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
# No step is made, so a trial takes a moment: it is the start that differs.
START: dict[str, Any] = {
    "max_steps": 0,
    "space": {"skip": [4, 6, 9, 12], "normalize": ["last", "ewma"], "decay": (0.01, 0.2)},
}
RATES = {"learning_rate": [0.001, 0.01, 0.02, 0.03, 0.05, 0.1]}


def tuned(values: Any = None, **options: Any) -> Any:
    """A study of small fits; what the space names is left out of their settings."""
    options = {"space": RATES, "trials": 3} | options
    common = {name: value for name, value in TINY.items() if name not in options["space"]}
    return sc.tune(wave(160) if values is None else values, **common | options)


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
        ({"learning_rate": (1e-2, 1e-4)}, "expected a range"),
        ({"learning_rate": (0, 1e-4, "log")}, "low above 0"),
        ({"learning_rate": (1e-4, 1e-2, "loq")}, "expected a range"),
        ({"learning_rate": "high"}, "expected a list of values"),
        ({"cell": []}, "expected a list of values"),
        ({"horizon": [1, 2]}, "horizon cannot be tuned"),
        ({"lags": [2]}, "lags is in the space and given"),
        ({}, "expected a mapping"),
        (["hidden"], "expected a mapping"),
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
    still = usual_space(chosen, Config(), 1000, trained=False)
    assert [dimension.name for dimension in still.dimensions] == ["skip", "normalize", "decay"]
    assert still.stored(chosen) is not None
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
    result = tuned(trials=20, **START | {"space": {"skip": [4, 6]}})
    assert sorted(record.settings["skip"] for record in result.records[1:]) == [4, 6]


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
    first, second = (tuned(part, trials=2, **START) for part in (values, other))
    assert plain(first.records) == plain(second.records)
    assert first.automatic["statecast"]["mae"] != second.automatic["statecast"]["mae"]


def test_the_score_is_that_of_a_fit_whose_test_rows_are_the_window() -> None:
    """One window: a fit on the same rows with the same split forecasts the same, and errs by the same mean."""
    values = wave(60)
    result = tuned(values, trials=1, val_size=20, test_size=0, skip=3, max_steps=0)
    assert len(result.records[0].evidence) == 1
    fit = sc.Forecaster(**TINY | {"skip": 3, "max_steps": 0}, val_size=20, test_size=20, refit=False).fit(values)
    scale = np.abs(np.diff(values[:40])).mean()
    assert result.records[0].score == pytest.approx(fit.evaluation_["statecast"]["mae"] / scale, rel=1e-6)


# --- a trial costs its steps


def problem(rows: int = 200, **options: Any) -> TuningProblem:
    config, panel = Config(**{**TINY, "channels": "joint", "skip": 3, "val_size": 20, **options}), panel_of(wave(rows))
    return TuningProblem(config, schema_of(panel), *windows_of(panel, config.horizon, config.val_size, 0))


def test_trials_of_like_shape_compile_nothing_and_solve_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one window compiles serves the others, and all later trials; the start is solved once for each window."""
    solved: list[int] = []
    best, maps = skip.best, linear.maps
    monkeypatch.setattr(skip, "best", lambda *given: solved.append(1) or best(*given))
    monkeypatch.setattr(linear, "maps", lambda *given: solved.append(2) or maps(*given))
    runner = TrialRunner(problem())
    records = []
    first = compilations(lambda: records.append(runner.run(TrialTask(0, {}))))
    assert first <= 7  # weights and moments, steps, looks; the same of the skip alone; and a look at both
    assert solved == [1, 2] * 3
    later = compilations(lambda: records.append(runner.run(TrialTask(1, {"learning_rate": 0.02, "patience": 2}))))
    assert later == 0 and solved == [1, 2] * 3
    assert [record.state for record in records] == [FINISHED] * 2
    runner.run(TrialTask(2, {"normalize": "ewma", "max_steps": 0}))
    assert solved == [1, 2] * 6  # the start is another one


def test_what_is_kept_of_earlier_fits_changes_no_bit() -> None:
    """A trial after others is what it is alone."""
    shared, settings = TrialRunner(problem(max_steps=0)), {"normalize": "ewma", "lags": 5, "skip": 6}
    for number, values in enumerate(({}, {"skip": 6}, {"lags": 4})):
        shared.run(TrialTask(number, values))
    alone = TrialRunner(problem(max_steps=0))
    assert plain([shared.run(TrialTask(9, settings))]) == plain([alone.run(TrialTask(9, settings))])


# --- pruning, and what goes wrong


def test_a_trial_is_pruned_where_two_in_three_did_better() -> None:
    records = [TrialRecord(n, {}, FINISHED, looks={8: float(n), 10: 1.0}) for n in range(5)]
    assert limits_of(records[:4]) == {}
    assert limits_of(records) == {8: pytest.approx(8 / 3), 10: 1.0}


def test_looks_prune_a_trial_in_the_earliest_window_alone() -> None:
    runner = TrialRunner(problem(skip=0))
    record = runner.run(TrialTask(0, {}))
    assert record.state == FINISHED and set(record.looks) == {2, 5, 7, 10}  # after 2, 4, 6 and 8 of 8 steps
    assert list(record.looks.values()) == sorted(record.looks.values(), reverse=True)
    units = units_of(record.chosen or Config())
    worse = {8: 0.0, 10: 0.99 * record.looks[10]}
    pruned = runner.run(TrialTask(1, {}, worse, units))
    assert pruned.state == PRUNED and not pruned.evidence and "10 tenths of the training" in pruned.note
    assert runner.run(TrialTask(2, {}, {10: record.looks[10]}, units)).state == FINISHED  # no worse than others
    # Losses in other units cannot be compared, so nothing is pruned by them.
    assert runner.run(TrialTask(3, {"loss": "mse"}, worse, units)).state == FINISHED


def test_one_odd_trial_does_not_end_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate that diverges, settings that do not agree, and an error of a library: all are reported."""
    runner = TrialRunner(problem(skip=0))
    wild = {"optimizer": "sgd", "learning_rate": 900.0, "clip": 0.0, "loss": "mse", "normalize": "none"}
    diverged = runner.run(TrialTask(1, wild | {"max_steps": 60, "eval_every": 60}))
    disagreeing = runner.run(TrialTask(2, {"optimizer": "lm"}))
    monkeypatch.setattr("statecast.train.fit.train", lambda *_: (_ for _ in ()).throw(MemoryError("no room")))
    large = runner.run(TrialTask(3, {}))
    assert {record.state for record in (diverged, disagreeing, large)} == {FAILED}
    assert "try a smaller learning_rate" in diverged.note
    assert "float64" in disagreeing.note
    assert large.note == "MemoryError: no room"
    with pytest.raises(MemoryError):  # the automatic choice has no other to fall back on
        runner.run(TrialTask(0, {}))


def test_a_failed_trial_is_told_and_the_others_go_on() -> None:
    result = tuned(trials=4, **START | {"space": {"skip": [4, 6], "optimizer": ["adam", "lm"]}})
    states = [record.state for record in result.records]
    assert set(states) == {FINISHED, FAILED} and "failed" in str(result)
    assert result.table()["note"][states.index(FAILED)].startswith("optimizer")


# --- studies that are interrupted, killed and resumed


def stopping(at: int, signal: Any) -> Any:
    def watch(progress: TuningProgress) -> None:
        if progress.trial == at and progress.phase == "trying":
            signal()

    return watch


def interrupt() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_ends_the_trials_and_keeps_the_best_so_far(tmp_path: Path) -> None:
    whole = tuned(trials=8, **START)
    early = tuned(trials=8, **START, out=tmp_path, watch=stopping(4, interrupt))
    assert early.interrupted and "The trials were interrupted" in str(early)
    assert plain(early.records) == plain(whole.records[:4])
    assert early.forecaster.predict() is not None
    later = tuned(trials=8, **START, out=tmp_path, resume=True)
    assert not later.interrupted and plain(later.records) == plain(whole.records)


def test_ctrl_c_before_anything_was_tried_says_so(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="no result yet"):
        tuned(**START, watch=stopping(0, interrupt))


def test_a_study_can_be_made_longer_and_is_not_begun_twice(tmp_path: Path) -> None:
    tuned(trials=2, **START, out=tmp_path)
    with pytest.raises(OutputError, match="holds a study: resume it"):
        tuned(trials=2, **START, out=tmp_path)
    longer = tuned(trials=4, **START, out=tmp_path, resume=True)
    assert plain(longer.records) == plain(tuned(trials=4, **START).records)
    for changed in ({"random_state": 3}, {"horizon": 3}, {"space": {"skip": [4, 6]}}):
        with pytest.raises(ModelFileError, match="another table, other settings or another space"):
            tuned(trials=5, **START | changed, out=tmp_path, resume=True)
    with pytest.raises(ModelFileError, match="another table"):
        tuned(wave(161), trials=5, **START, out=tmp_path, resume=True)
    with pytest.raises(OutputError, match="no study"):
        tuned(**START, out=tmp_path / "other", resume=True)
    (tmp_path / study.FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(ModelFileError, match="not a study that can be continued"):
        tuned(trials=5, **START, out=tmp_path, resume=True)


KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
from test_tuning import START, stopping, tuned
tuned(trials=8, **START, out={out!r}, watch=stopping(5, lambda: os.kill(os.getpid(), signal.SIGKILL)))
"""


def test_a_study_that_is_killed_goes_on_with_the_trials_that_had_ended(tmp_path: Path) -> None:
    """`kill -9` at the beginning of trial 5; those before it are kept, and those after it are the same as ever."""
    code = KILLED.format(path=[str(Path(__file__).parent), *sys.path], out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == -9, done.stderr
    held = Storage(tmp_path / study.FILE).entries()
    assert [entry.record.number for entry in held] == [0, 1, 2, 3, 4]
    runs: list[int] = []
    resumed = tuned(trials=8, **START, out=tmp_path, resume=True, watch=lambda progress: runs.append(progress.trial))
    assert plain(resumed.records) == plain(tuned(trials=8, **START).records)
    assert {1, 2, 3, 4}.isdisjoint(runs[: runs.index(7)])


def test_a_trial_that_kills_its_process_is_not_run_for_ever(tmp_path: Path) -> None:
    tuned(trials=2, **START, out=tmp_path)
    held = Storage(tmp_path / study.FILE)
    assert [held.begin(2) for _ in range(3)] == [1, 2, 3]
    result = tuned(trials=4, **START, out=tmp_path, resume=True)
    assert [record.state for record in result.records] == [FINISHED, FINISHED, FAILED, FINISHED]
    assert "its process died" in result.records[2].note


# --- side by side


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # JAX has threads here before Ray forks
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_workers_make_the_same_trials(engine: str) -> None:
    """What is drawn before anything is learned does not depend on the number of workers, nor do the bits of a trial."""
    if engine == "ray":
        pytest.importorskip("ray", reason="Ray has an environment of its own")
    alone, together, again = (
        tuned(trials=5, space=RATES, **workers)
        for workers in ({}, {"engine": engine, "workers": 2}, {"engine": engine, "workers": 2})
    )
    assert plain(alone.records) == plain(together.records) == plain(again.records)


@pytest.mark.heavy
def test_a_worker_that_dies_costs_its_trial_alone() -> None:
    pool = ProcessPool(measured(), 2)
    try:
        for number in (1, 2):
            pool.submit(TrialTask(number, {"max_steps": 0}))
        first = pool.result()
        pool.submit(TrialTask(3, Lethal(lags=2)))
        pool.submit(TrialTask(4, {"max_steps": 0}))
        records = [first, *(pool.result() for _ in range(3))]
    finally:
        pool.close()
    assert [record.state for record in records] == [FINISHED, FINISHED, FAILED, FINISHED]
    assert "its process died" in records[2].note


class Lethal(dict[str, Any]):
    """Settings that end the process that looks at them."""

    def keys(self) -> Any:
        os._exit(9)

    __iter__ = keys


def measured() -> TuningProblem:
    runner = TrialRunner(problem(max_steps=0))
    runner.run(TrialTask(0, {}))
    return runner.problem


def test_engines_and_workers_are_checked() -> None:
    for options, message in (
        ({"engine": "spark"}, "no engine 'spark'"),
        ({"workers": 0}, "workers = 0"),
        ({"trials": 0}, "trials = 0"),
        ({"minutes": -1}, "minutes = -1"),
        ({"resume": True}, "give the folder"),
    ):
        with pytest.raises(SettingError, match=message):
            tuned(**START | options)


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
    assert steady.taken is True and steady.best == 1 and steady.chance is not None and steady.chance < 0.01
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


# --- what comes of it


def test_time_ends_the_trials_but_never_the_automatic_choice() -> None:
    assert len(tuned(trials=9, minutes=1e-9, **START).records) == 1
    assert len(tuned(minutes=60, **START | {"space": {"skip": [4, 6]}}).records) == 3  # all that there are


def test_the_winner_is_fitted_as_ever_and_its_config_makes_the_same_fit(tmp_path: Path) -> None:
    """A start that reaches back a season beats one that does not, beyond luck."""
    rows = {"when": np.arange(240), "y": wave(240)}
    common: dict[str, Any] = {"horizon": 4, "max_steps": 0, "season": 12, "lags": 4, "hidden": (2,)}
    space = {"skip": [24], "normalize": ["ewma"]}
    result = sc.tune(rows, "y", time="when", space=space, **common, trials=2)
    expected = sc.Forecaster(**common, **result.settings).fit(rows, "y", time="when")
    assert same_bits(result.forecaster.model_.weights, expected.model_.weights)
    config = tmp_path / "config.toml"
    config.write_text(result.config_toml())
    request = fit_request(None, str(config), ())
    again = sc.Forecaster(**request.settings).fit(rows, **request.roles)
    assert same_bits(expected.model_.weights, again.model_.weights)
    assert result.forecaster.evaluation_ == again.evaluation_


def test_a_gain_and_a_loss_are_told_in_the_same_words() -> None:
    verdict = verdict_of(records_of(np.ones(20), 0.9 * np.ones(20)), 0.1)
    before = {"metric": "mae", "statecast": {"mae": 2.0}}
    gain, loss = (later_sentence(verdict, before, {**before, "statecast": {"mae": mae}}) for mae in (1.8, 2.2))
    assert "has a mean absolute error of 1.800, 10.0 % less than the automatic choice (2.000)" in gain
    assert "has a mean absolute error of 2.200, 10.0 % more than the automatic choice (2.000)" in loss
    assert "which was not taken" in later_sentence(replace(verdict, taken=False), before, before)
    assert "unknown" in later_sentence(verdict, {}, {})


def test_arrays_in_arrays_out() -> None:
    result = tuned(trials=1, **START)
    assert isinstance(result.forecaster.predict(), np.ndarray)
    assert isinstance(result.table(), dict)


def test_tuning_needs_optuna_and_importing_statecast_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, statecast; statecast.Forecaster; assert not {'optuna', 'sqlalchemy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    for name in [name for name in sys.modules if name.startswith("statecast.tuning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(vars(sc), "tune", raising=False)
    with pytest.raises(MissingDependency, match=r"pip install 'statecast\[tune\]'"):
        sc.tune  # noqa: B018


# --- the command


def test_the_command_tunes_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wave.csv").write_text("y\n" + "\n".join(map(str, wave(160))))
    config = tmp_path / "space.toml"
    values = {name: value for name, value in TINY.items() if name != "skip"} | {"max_steps": 0}
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
    config.write_text(f"{text}\n[space]\nskip = [4, 6]\ndecay = {{low = 0.01, high = 0.1, log = true}}\n")
    out = tmp_path / "tuned"
    words = ["tune", str(tmp_path / "wave.csv"), "--config", str(config), "--out", str(out), "--trials"]
    assert main([*words, "3", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [trial["trial"] for trial in answer["trials"]] == [0, 1, 2]
    assert 0.01 <= float(answer["trials"][1]["decay"]) <= 0.1 and answer["windows"]["count"] == 3
    assert answer["evaluation"] and answer["verdict"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<h2>Tuning</h2>" in page and "3 trials, the automatic choice among them" in page
    lines = (out / "trials.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("trial,state,score,window 1") and len(lines) == 4
    assert main([*words, "5"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*words, "5", "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "5 trials, the automatic choice among them" in printed and "next: statecast forecast" in printed


def test_an_interrupted_command_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = StudyDestination(tmp_path / "tuned")
    place.prepare(False, False)
    place.abandon()
    (tmp_path / "tuned").mkdir()
    Storage(place.study)
    assert place.unfinished
    with pytest.raises(OutputError, match="unfinished study: add --resume to continue it, or --force"):
        place.prepare(False, False)
    place.prepare(True, False)
    assert place.study.exists()
    place.prepare(False, True)
    assert not place.study.exists()
    with pytest.raises(OutputError, match="there is no study in"):
        place.prepare(True, False)


def test_the_display_tells_trial_best_and_time() -> None:
    stream = io.StringIO()
    times = iter(range(0, 100, 10))
    with TuningDisplay(stream, clock=lambda: next(times)) as display:
        display(TuningProgress("trying", 7, 20, "lags = 3", 2, 3, None, 4, 0.031, 250.0, 7))
        display(TuningProgress("fitting", 0, None, "", 0, 3, None, 0, 0.0, None, 7))
    first, second = stream.getvalue().splitlines()
    assert first == "trial 7 of 19, window 2 of 3  best: trial 4, 3.1 % less error than the automatic choice  4:10 left"
    assert second == "fitting the automatic choice  best: the automatic choice"
