"""Whether the best trial is better than the automatic choice by more than luck; where it is not, that choice stays.

Some trial is the best by luck, and the rows that chose it cannot judge it. So every window judges the trial that the
others chose (cross-fitting, as training is judged; see `train.judge`), and the sum of what is gained in all of them is
held against sums with random signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.estimators import training
from statecast.forecast.scores.verdict import NAMES, number
from statecast.report.summary import value_text
from statecast.tuning.trials import FAILED, FINISHED, PRUNED, TrialRecord

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

QUARTERS = 4  # parts of a single window that judge one another
AUTOMATIC = "the automatic choice"
LEAST_UNITS = 6  # units of evidence that a judgement needs


@dataclass(frozen=True)
class TuningVerdict:
    """What the windows say of the best trial.

    Attributes:
        best: its number; 0 is the automatic choice.
        settings: that it tried.
        apparent: the share of the automatic choice's error that it takes away on the rows that chose it.
        gain: that share where each window is judged by what the others chose.
        chance: how probable such a gain is where nothing was gained; None where there are too few rows to tell.
        taken: whether its settings take the place of the automatic choice.
        counts: trials by what came of them.
        windows: of the study.
    """

    best: int
    settings: Mapping[str, Any]
    apparent: float
    gain: float
    chance: float | None
    taken: bool
    counts: Mapping[str, int]
    windows: int


def verdict_of(records: Sequence[TrialRecord], significance: float) -> TuningVerdict:
    """What the windows say.

    Args:
        records: of all trials, the automatic choice first.
        significance: the setting.
    """
    finished = [record for record in records if record.state == FINISHED]
    sums, fold = _errors(finished), _folds(records[0])
    total = sums.sum(axis=1)
    best = int(np.argmin(total))
    gains = np.zeros(sums.shape[1])
    for number_ in np.unique(fold):
        chosen = int(np.argmin(sums[:, fold != number_].sum(axis=1)))
        gains += np.where(fold == number_, sums[0] - sums[chosen], 0.0)
    counted = gains[gains != 0]
    chance = training.room("judge").chance_of(counted) if sums.shape[1] >= LEAST_UNITS else None
    sure = significance >= 1 or (chance is not None and chance <= significance and float(gains.sum()) > 0)
    record, scale = finished[best], max(float(total[0]), 1e-300)
    counts = {state: sum(r.state == state for r in records) for state in (FINISHED, PRUNED, FAILED)}
    shares = 1 - float(total[best]) / scale, float(gains.sum()) / scale
    return TuningVerdict(
        record.number, record.settings, *shares, chance, best > 0 and sure, counts, len(records[0].evidence)
    )


def _errors(finished: Sequence[TrialRecord]) -> Float64[np.ndarray, "N U"]:
    """Sums of errors of each trial by units, as of the forecasts that the automatic choice made."""
    sums, counts = (
        np.array([np.concatenate([getattr(part, name) for part in record.evidence]) for record in finished])
        for name in ("sums", "counts")
    )
    return np.asarray(sums / np.maximum(counts, 1) * counts[0])


def _folds(automatic: TrialRecord) -> Int64[np.ndarray, " U"]:
    """The window of each unit; a quarter of the only window."""
    sizes = [len(part.sums) for part in automatic.evidence]
    if len(sizes) > 1:
        return np.repeat(np.arange(len(sizes)), sizes)
    return np.arange(sizes[0]) * QUARTERS // sizes[0]


def setting_text(value: Any) -> str:
    """A value as a person writes it; "automatic" for one that is left to the data."""
    return "automatic" if value is None else value_text(value)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as a person writes them."""
    return ", ".join(f"{name} = {setting_text(value)}" for name, value in settings.items())


def share_text(share: float) -> str:
    """A share in percent, with a decimal: what tuning gains is often less than one."""
    return f"{100 * share:.1f} %"


def windows_sentences(verdict: TuningVerdict) -> list[str]:
    """What tuning gained on the windows, in plain words."""
    shares = [f"{count} {state}" for state, count in verdict.counts.items() if count]
    trials = sum(verdict.counts.values())
    first = f"{trials} trials, the automatic choice among them: {', '.join(shares)}."
    if not verdict.best:
        return [first, f"None of them errs less than the automatic choice on the {_windows(verdict)}: it stays."]
    best = (
        f"The best, trial {verdict.best} ({settings_text(verdict.settings)}), errs {share_text(verdict.apparent)} less "
        f"than the automatic choice on the {_windows(verdict)} that chose it."
    )
    return [first, best, _judgement(verdict)]


def _judgement(verdict: TuningVerdict) -> str:
    outcome = "so its settings are taken" if verdict.taken else "so the automatic choice stays"
    if verdict.chance is None:
        return f"There are too few rows to tell that from luck, {outcome}."
    how = "each window" if verdict.windows > 1 else "each quarter of it"
    gain = f"{share_text(abs(verdict.gain))} {'less' if verdict.gain >= 0 else 'more'}"
    return (
        f"Where {how} is judged by what the others chose, that is {gain}, which luck alone gives with probability "
        f"{verdict.chance:.2g}: {outcome}."
    )


def _windows(verdict: TuningVerdict) -> str:
    return f"{verdict.windows} windows" if verdict.windows > 1 else "window"


def later_sentence(verdict: TuningVerdict, automatic: Mapping[str, Any], tuned: Mapping[str, Any] | None) -> str:
    """What tuning gained, or lost, on the test rows, which chose nothing.

    Args:
        verdict: of the windows.
        automatic: scores of the automatic choice on the test rows.
        tuned: those of the best trial; None where that is the automatic choice.
    """
    if not automatic:
        return "No rows were kept for a test, so what that is worth on later rows is unknown."
    metric = automatic["metric"]
    before = automatic["statecast"].get(metric)
    label = NAMES.get(metric, metric)
    if tuned is None or before is None:
        return f"On the test rows the {label} of the automatic choice is {number(before)}."
    after = tuned["statecast"].get(metric)
    change = (after - before) / before if before and after is not None else 0.0
    words = f"{share_text(abs(change))} {'less' if change < 0 else 'more'} than" if change else "the same as"
    who = "the tuned network" if verdict.taken else "the best trial, which was not taken,"
    return (
        f"On the test rows, which chose nothing, {who} has a {label} of {number(after)}, {words} the automatic choice "
        f"({number(before)})."
    )
