"""What tuning ends in: a fitted Forecaster, the trials, and what was gained, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from statecast.data import results
from statecast.data.results import Native
from statecast.estimators import Forecaster
from statecast.forecast.scores.verdict import number
from statecast.report import recipe
from statecast.report.folder import TRIALS
from statecast.report.summary import Section, signed_percent
from statecast.tuning.trials import FINISHED, TrialRecord
from statecast.tuning.verdict import (
    AUTOMATIC,
    TuningVerdict,
    later_sentence,
    setting_text,
    settings_text,
    windows_sentences,
)

SHOWN = 10  # of the best trials, in the report


@dataclass(frozen=True, eq=False)
class Tuning:
    """The result of tuning.

    Attributes:
        forecaster: fitted with the settings that were chosen, as `Forecaster.fit` does it.
        records: all trials, the automatic choice first.
        verdict: whether the best of them is better than the automatic choice.
        automatic: the scores of the automatic choice on the test rows, as in `evaluation_`.
        tuned: those of the best trial; None if that is the automatic choice.
        roles: the roles of the columns, as given.
        native: the data-frame library of the table.
        interrupted: whether Ctrl-C ended the trials early.

    Example:
        >>> tuning.settings                     # the automatic choice stays: nothing beats it by more than luck
        {}
        >>> tuning.sentences[0]
        '3 trials, the automatic choice among them: 3 finished.'
    """

    forecaster: Forecaster
    records: Sequence[TrialRecord]
    verdict: TuningVerdict
    automatic: Mapping[str, Any]
    tuned: Mapping[str, Any] | None
    roles: Mapping[str, Any]
    native: Native
    interrupted: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What tuning chose; empty if the automatic choice stays."""
        return dict(self.verdict.settings) if self.verdict.taken else {}

    @property
    def sentences(self) -> list[str]:
        """What was gained, in plain words."""
        early = (
            ["The trials were interrupted; these are the results of those that had ended."] if self.interrupted else []
        )
        return [*early, *windows_sentences(self.verdict), later_sentence(self.verdict, self.automatic, self.tuned)]

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def columns(self) -> dict[str, np.ndarray]:
        """The table of trials: a row for each.

        Example:
            >>> list(tuning.columns())[:3]
            ['trial', 'state', 'score']
        """
        names = list(dict.fromkeys(name for record in self.records for name in record.settings))
        windows = max(len(record.evidence) for record in self.records)
        table: dict[str, Any] = {
            "trial": np.array([record.number for record in self.records], np.int64),
            "state": np.array([record.state for record in self.records], object),
            "score": np.array([record.score for record in self.records]),
        }
        for n in range(windows):
            scores = [r.evidence[n].score if n < len(r.evidence) else np.nan for r in self.records]
            table[f"window {n + 1}"] = np.array(scores)
        for name in names:
            table[name] = np.array([setting_text(record.settings.get(name)) for record in self.records], object)
        table["seconds"] = np.array([round(record.seconds, 2) for record in self.records])
        table["note"] = np.array([record.note for record in self.records], object)
        return table

    def leaders(self, most: int) -> list[list[str]]:
        """The best trials, the automatic choice among them, as strings under headings.

        Args:
            most: how many, in addition to the automatic choice.

        Example:
            >>> tuning.leaders(5)[0]
            ['trial', 'error', 'against automatic']
        """
        automatic, *others = (record for record in self.records if record.state == FINISHED)
        best = sorted(others, key=lambda record: record.score)[:most]
        rows = []
        for record in sorted([automatic, *best], key=lambda record: record.score):
            change = signed_percent(record.score / automatic.score - 1) if automatic.score else ""
            name = f"{record.number}: {settings_text(record.settings) or AUTOMATIC}"
            rows.append([name, number(record.score), change])
        return [["trial", "error", "against automatic"], *rows]

    def table(self) -> Any:
        """The table of trials, in the form that the data came in: a frame of the same library, or a mapping.

        Example:
            >>> tuning.table()["trial"].to_list()
            [0, 1, 2]
        """
        return results.to_native(self.columns(), self.native, None)

    def config_toml(self) -> str:
        """The settings that were given or tuned, and the columns: `statecast fit --config` makes the same fit from it.

        What is chosen from the data is left out, so that it is chosen again in the same way.

        Example:
            >>> "horizon = 12" in tuning.config_toml()
            True
        """
        return recipe.toml(self.forecaster.model_)

    def write(self, folder: str | Path, title: str = "") -> list[Path]:
        """Write what `Forecaster.write` does, with the table of trials, and settings that make the same fit.

        Raises:
            OutputError: a file cannot be written.

        Example:
            >>> tuning.write("tuned")[-1].name
            'trials.csv'
        """
        place, report = Path(folder), self.forecaster.report(title=title)
        section = Section("Tuning", tuple(self.sentences), tuple(map(tuple, self.leaders(SHOWN))))
        written = self.forecaster.write(place, title, replace(report, sections=(*report.sections, section)))
        results.write(self.columns(), place / TRIALS, None)
        return [*written, place / TRIALS]
