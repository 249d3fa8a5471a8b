"""The estimators' way to the training rooms, which are imported only when a fit is asked for, and what a fit leaves.

A saved model forecasts without JAX, so nothing here imports `train` at the top.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import Config
from statecast.data.panel import Panel
from statecast.errors import MissingDependency
from statecast.forecast import assemble
from statecast.forecast.contributions import contributions
from statecast.forecast.roll import Origins
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


@dataclass(eq=False)
class FitRecord:
    """What is kept of a fit beside the model, for reports.

    Attributes:
        panel: the table that was fitted.
        split: its training, validation and test rows.
        origins: the forecasts of the test rows.
        reports: those that were made, by their titles.
    """

    panel: Panel
    split: Split
    origins: Origins
    reports: dict[str, Report] = field(default_factory=dict)


def assembled(outcome: Any, panel: Panel) -> tuple[Model, Origins]:
    """The model that a `train.fit.Fit` makes, and its forecasts at the test origins."""
    config, schema = outcome.config, outcome.schema
    weights, constants = outcome.training.weights, outcome.prepared.constants
    empty = State.empty(Layout(()), np.dtype(config.dtype))
    model = Model(config, schema, outcome.network, weights, constants, empty, None, {}, outcome.training.history)
    model, origins = assemble.assemble(replace(model, reasons=outcome.reasons), panel, outcome.base_parts, outcome.rows)
    sources = contributions(model, outcome.prepared.weights, panel, outcome.base_parts)
    return replace(model, scores=model.scores | {"sources": sources}), origins


def given_settings(model: Model) -> Config:
    """The settings without those that were chosen from the data, as far as the file says which these are."""
    defaults = Config().to_dict()
    chosen = {name: None for name in model.reasons or {} if name in defaults and defaults[name] is None}
    return model.config.with_(**chosen)
