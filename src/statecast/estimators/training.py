"""The estimators' way to the training rooms, which are imported only when a fit is asked for, and what a fit leaves.

A saved model forecasts without JAX, so nothing here imports `train` at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.errors import MissingDependency
from statecast.forecast import assemble
from statecast.forecast.contributions import contributions
from statecast.forecast.hindcast.feed import Feed
from statecast.forecast.hindcast.origins import Origins
from statecast.model.state import Layout, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from statecast.data.segments import Split
    from statecast.report.summary import Report

LIBRARIES = ("jax", "jaxlib", "optax")


def room(name: str) -> Any:
    """A module of `statecast.train`.

    Raises:
        MissingDependency: the libraries that train are not installed.
    """
    try:
        return import_module(f"statecast.train.{name}")
    except ImportError as error:
        if isinstance(error, MissingDependency) or (error.name or "").split(".")[0] not in LIBRARIES:
            raise
        raise MissingDependency.of(error.name or "jax", "train", "training") from error


@contextmanager
def watching(watch: Callable[[Any], None] | None, verbose: bool) -> Iterator[Callable[[Any], None] | None]:
    """What is told of the progress of a fit: whoever watches, and where it is asked for a display on standard error."""
    if not verbose:
        yield watch
        return
    from statecast.report.progress import ProgressDisplay

    with ProgressDisplay() as display:

        def both(report: Any) -> None:
            display(report)
            if watch is not None:
                watch(report)

        yield both


@dataclass(eq=False)
class FitRecord:
    """What is kept of a fit beside the model, for reports and backtests.

    Attributes:
        tested: the model as it was scored, which had not learned from the test rows.
        panel: the table that was fitted.
        split: its training, validation and test rows.
        origins: the forecasts of the test rows.
        reports: those that were made, by their titles.
    """

    tested: Model
    panel: Panel
    split: Split
    origins: Origins
    reports: dict[str, Report] = field(default_factory=dict)

    @property
    def validation(self) -> tuple[Panel, np.ndarray]:
        """The table up to its test rows, and how many rows of each series are before its validation rows."""
        return self.panel.cut(self.split.val), self.split.train

    def report(self, title: str, model: Model, settings: dict[str, Any]) -> Report:
        """What is reported of the fit; pages and terminal show the same one."""
        from statecast.report import collect

        if title not in self.reports:
            table = self.panel, self.split, self.origins
            self.reports[title] = collect.report(title, model, self.tested, *table, model.reasons or {}, settings)
        return self.reports[title]

    def write(self, folder: Path, model: Model, report: Report) -> list[Path]:
        """Write everything that a fit leaves into a folder."""
        from statecast.report import folder as output
        from statecast.report import test_rows

        predicted, actual = test_rows.columns(model, self.panel, self.split, self.origins)
        return output.write(folder, model, report, predicted, actual)


def anew(config: Config, schema: Schema, panel: Panel) -> Model:
    """The same settings trained on other rows, all of them for training and validation."""
    return assembled(room("fit").fit(config.with_(test_size=0), schema, panel), panel)[0]


def assembled(
    outcome: Any,
    panel: Panel,
    reasons: Mapping[str, str] | None = None,
    watch: Callable[[Any], None] | None = None,
) -> tuple[Model, FitRecord]:
    """The model that a fit makes, and what is kept beside it.

    Args:
        outcome: a `train.fit.Fit`.
        panel: the table as it came.
        reasons: of how it was read.
        watch: told of the phases.
    """
    config, start, split = outcome.config, outcome.prepared, outcome.base_parts
    weights, history = outcome.training.weights, outcome.history
    empty = State.empty(Layout(()), np.dtype(config.dtype))
    model = Model(config, outcome.schema, outcome.network, weights, start.constants, empty, None, {}, history)
    model = replace(model, reasons={**(reasons or {}), **outcome.reasons})
    tested, origins = assemble.assemble(model, Feed(panel, outcome.panel, outcome.rows), split, _phase_watch(watch))
    sources = contributions(tested, start.weights, panel, split, start.composition)
    tested = replace(tested, scores=tested.scores | {"sources": sources})
    record, again = FitRecord(tested, panel, split, origins), outcome.refit
    return tested if again is None else assemble.with_every_row(tested, again.weights, again.constants, panel), record


def _phase_watch(watch: Callable[[Any], None] | None) -> Callable[[str], None]:
    """What tells a watch of phases that take no steps."""
    progress = room("progress").Progress
    return (lambda phase: watch(progress.of_phase(phase))) if watch else lambda phase: None
