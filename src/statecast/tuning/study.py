"""The study: which settings are tried next, and what came of those before; Optuna proposes and stores.

What is proposed is a function of the seed, of the trial's number and of the trials before it that count, and is worked
out in a study of its own in memory. So the file holds finished trials alone, each written at once and whole: a study
that was killed at any moment goes on with the same trials, and no database is ever locked, since one process writes to
it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from statecast.allowed import plain_value
from statecast.config import Config, canonical
from statecast.errors import MissingDependency, ModelFileError
from statecast.tuning.space import SearchSpace
from statecast.tuning.trials import FAILED, FINISHED, PRUNED, TrialRecord
from statecast.tuning.windows import Evidence

try:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise MissingDependency.of("optuna", "tune", "tuning") from error

FILE = "study.sqlite3"
NAME = "statecast"
RANDOM = 6  # trials that are drawn at random before the others are learned from
REDRAWS = 20  # of settings that were tried before, until the space counts as exhausted
STATES = {FINISHED: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}


@dataclass(frozen=True, eq=False)
class Proposal:
    """Settings to try.

    Attributes:
        settings: by name.
        params, distributions: as Optuna has them.
    """

    settings: Mapping[str, Any]
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]


@dataclass(frozen=True, eq=False)
class Entry:
    """A trial of which is known what came of it, and how it was proposed."""

    record: TrialRecord
    proposal: Proposal


def propose(
    space: SearchSpace, seed: int, number: int, entries: Sequence[Entry], pending: Sequence[Proposal]
) -> Proposal | None:
    """The settings of a trial; None where the space holds no others than those that were tried.

    Args:
        space: what may be tried.
        seed: of the study.
        number: of the trial.
        entries: the trials that count.
        pending: those that run.

    Raises:
        SettingError: a user's space gives what is not a setting.
    """
    tried = [entry.proposal.settings for entry in entries] + [proposal.settings for proposal in pending]
    for redraw in range(REDRAWS):
        sequence = np.random.SeedSequence([seed, number, redraw])
        proposal = _drawn(space, int(sequence.generate_state(1)[0] >> 1), entries, pending)
        if proposal.settings not in tried:
            return proposal
    return None


def _drawn(space: SearchSpace, seed: int, entries: Sequence[Entry], pending: Sequence[Proposal]) -> Proposal:
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM, multivariate=True, constant_liar=True)
    with quiet():
        study = optuna.create_study(sampler=sampler)
        for entry in entries:
            if entry.proposal.params:
                study.add_trial(_frozen(entry, TrialState.PRUNED if entry.record.state == FAILED else None))
        for proposal in pending:
            study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING, **_parameters(proposal)))
        trial = study.ask()
        settings = space.draw(trial)
    return Proposal(settings, dict(trial.params), dict(trial.distributions))


def automatic(space: SearchSpace, chosen: Config) -> Proposal:
    """The automatic choice as a proposal, in the terms of the space where it holds that."""
    stored = space.stored(chosen)
    if stored is None:
        return Proposal({}, {}, {})
    trial = optuna.trial.FixedTrial(stored)
    space.draw(trial)
    return Proposal({}, dict(trial.params), dict(trial.distributions))


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its log, and with the log that it had before afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _parameters(proposal: Proposal) -> dict[str, Any]:
    return {"params": dict(proposal.params), "distributions": dict(proposal.distributions)}


def _frozen(entry: Entry, state: TrialState | None = None) -> FrozenTrial:
    """A trial as Optuna stores it; one that failed counts as the worst of all, so that its like are avoided."""
    record = entry.record
    looks = {} if record.state == FAILED else dict(record.looks)
    return optuna.trial.create_trial(
        state=state or STATES[record.state],
        value=record.score if record.state == FINISHED else None,
        intermediate_values=looks,
        user_attrs=_attributes(record),
        **_parameters(entry.proposal),
    )


def _attributes(record: TrialRecord) -> dict[str, Any]:
    return {
        "settings": {name: plain_value(value) for name, value in record.settings.items()},
        "sums": [part.sums.tolist() for part in record.evidence],
        "counts": [part.counts.tolist() for part in record.evidence],
        "chosen": None if record.chosen is None else json.loads(json.dumps(_plain(record.chosen))),
        "steps": record.steps,
        "seconds": record.seconds,
        "note": record.note,
    }


def _plain(config: Config) -> dict[str, Any]:
    return {name: plain_value(value) for name, value in config.to_dict().items()}


class Storage:
    """The trials of a study in a file of SQLite, to which this process alone writes."""

    def __init__(self, path: Path, mark: str = "") -> None:
        """Open the study that is there, or begin one.

        Args:
            path: of the file.
            mark: of the table, the settings and the space; empty for whatever study is there.

        Raises:
            ModelFileError: the file is not a study, or of another table or space.
        """
        self.path = path
        with quiet():
            try:
                storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
                self._study = optuna.create_study(storage=storage, study_name=NAME, load_if_exists=True)
            # SQLAlchemy's errors, of a file that is not a database or no study, have no common type with Optuna's.
            except Exception as error:
                raise ModelFileError(f"{path}: not a study that can be continued: {error}") from error
        attributes = self._study.user_attrs
        if mark and attributes.get("mark", mark) != mark:
            raise ModelFileError(
                f"{path}: the study there is of another table, other settings or another space: give the same ones, "
                "or another folder"
            )
        if mark and "mark" not in attributes:
            self._study.set_user_attr("mark", mark)

    def entries(self) -> list[Entry]:
        """The trials so far.

        Raises:
            ModelFileError: the file does not hold what a study has written.
        """
        trials = self._study.get_trials(deepcopy=False)
        try:
            return [_entry(number, trial) for number, trial in enumerate(trials)]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError(f"{self.path}: a trial of the study cannot be read: {error}") from error

    def add(self, entry: Entry) -> None:
        """Keep what came of a trial."""
        self._study.add_trial(_frozen(entry))

    def begin(self, number: int) -> int:
        """Note that a trial begins; how often it has begun, in all runs, tells whether it kills its process."""
        starts = dict(self._study.user_attrs.get("starts", {}))
        starts[str(number)] = starts.get(str(number), 0) + 1
        self._study.set_user_attr("starts", starts)
        return int(starts[str(number)])

    def cancel(self, number: int) -> None:
        """Note that a trial was given up on purpose, and did nothing wrong."""
        starts = dict(self._study.user_attrs.get("starts", {}))
        starts.pop(str(number), None)
        self._study.set_user_attr("starts", starts)


def _entry(number: int, trial: FrozenTrial) -> Entry:
    attributes = trial.user_attrs
    state = next(name for name, state in STATES.items() if state == trial.state)
    evidence = tuple(
        Evidence(np.array(sums, np.float64), np.array(counts, np.float64))
        for sums, counts in zip(attributes["sums"], attributes["counts"], strict=True)
    )
    chosen = attributes["chosen"]
    settings = {name: canonical(name, value) for name, value in attributes["settings"].items()}
    record = TrialRecord(
        number,
        settings,
        state,
        math.nan if trial.value is None or state != FINISHED else trial.value,
        evidence,
        dict(trial.intermediate_values),
        None if chosen is None else Config.of(chosen),
        int(attributes["steps"]),
        float(attributes["seconds"]),
        str(attributes["note"]),
    )
    return Entry(record, Proposal(settings, dict(trial.params), dict(trial.distributions)))
