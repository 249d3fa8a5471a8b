"""Layers from elsewhere as a Forecaster: which columns its inputs are, what its outputs mean, and all other settings.

The front does nothing to the values but standardise them as the caller says: no level is followed, nothing looks back
but the recurrence. So every step of the Forecaster is a step of the network that was trained elsewhere, to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from statecast.config import Config
from statecast.data import calendar, checks
from statecast.data.calendar import ROWS, Frequency
from statecast.data.grid.merging import Merging
from statecast.data.grid.roles import Roles
from statecast.data.limits import Limits
from statecast.data.panel import Panel
from statecast.data.results import axes_of
from statecast.data.schema import Covariate, Schema
from statecast.data.segments import split
from statecast.data.tabular import table
from statecast.errors import SettingError, nearest
from statecast.estimators.forecaster import Forecaster
from statecast.forecast import assemble
from statecast.forecast.hindcast.feed import Feed
from statecast.interop.layers import Layers
from statecast.model.initial import Start
from statecast.model.members import cast
from statecast.model.network import Network
from statecast.model.shapes import TABLE_UNITS
from statecast.model.state import Layout, State
from statecast.model.trained import Model

Numbers = float | Sequence[float] | Mapping[str, float] | np.ndarray

FRONT: dict[str, Any] = {"lags": 1, "skip": 0, "normalize": "none", "transform": "none", "missing": False}
FRONT |= {"level_input": False, "calendar": False, "channels": "joint", "local_skip": False, "ensemble": 1}
FRONT |= {"holidays": None, "local": False, "embedding": 0, "residual": False, "decoder": "none"}
OF_THE_WEIGHTS = {*FRONT, "cell", "hidden", "dense", "activation"}
LOSSES = ("mse", "mae", "huber")  # of a head that forecasts points
BATCH, STEPS, LOOK = 32, 600, 25  # of an update that learns, as a fit on few series has them
FARTHEST = 1e18  # a mean or scale, as values of a table
RATES = {"adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}


@dataclass(frozen=True)
class Inputs:
    """What the inputs of a network are.

    Attributes:
        names: of the features in the network's own order; targets, past, known and static ones in turn if None.
        mean, scale: the network takes and gives (value − mean) / scale: one number for all, one for each input in
            order, or a mapping from features.
    """

    names: Sequence[str] | None = None
    mean: Numbers = 0.0
    scale: Numbers = 1.0

    def of(self, schema: Schema, width: int) -> tuple[str, ...]:
        """The feature of each of `width` inputs.

        Raises:
            SettingError: there are more or fewer of them, or one is not a feature of the table, or comes twice.
        """
        features = features_of(schema)
        names = features if self.names is None else tuple(self.names)
        other = next((name for name in names if name not in features), None)
        if other is not None:
            raise SettingError(
                f"inputs: {other!r} is not a column of a target or covariate; {nearest(other, features)}"
            )
        if len(set(names)) < len(names):
            raise SettingError(f"inputs = {list(names)}: expected each column once")
        if len(names) != width:
            raise SettingError(
                f"the network takes {width} numbers at each step, and the columns make {len(names)}: "
                f"{', '.join(names[:20])}; name its inputs in order with target, past, known and static, or with inputs"
            )
        return names


def features_of(schema: Schema) -> tuple[str, ...]:
    """The names of a network's inputs: the targets, then covariates by role."""
    return (*schema.target, *schema.past_features, *schema.known_features, *schema.static_features)


def forecaster(layers: Layers, source: Any, roles: Roles, inputs: Inputs, settings: Mapping[str, Any]) -> Forecaster:
    """The Forecaster whose every step is one of these layers.

    Args:
        layers: the weights.
        source: a table to learn the columns from; each series then stands where it ends, and its last rows size the
            intervals and make the scores. None for columns as `roles` names them, and no series yet.
        roles: the columns.
        inputs: which of them the network takes, in which order and units.
        settings: of the Forecaster, but for those that the weights decide.

    Raises:
        DataError: the table cannot be used.
        SettingError: the columns do not fit the weights, or a setting does not.
    """
    config = _allowed(settings)
    rows = None if source is None else table.read(source)
    panel, schema = (None, _schema(roles)) if rows is None else checks.panel(rows, roles, Merging.of(config))
    names = inputs.of(schema, layers.inputs)
    config = _complete(config, layers, schema, "horizon" in settings)
    counts = {name: len(getattr(schema, f"{name}_features")) for name in ("past", "known", "static")}
    network = Network.of(config, len(schema.target), **counts)
    weights = _weights(network, layers, config, schema, names)
    constants = _constants(network, inputs, schema, names) | _limits(config, schema, panel)
    dtype = np.dtype(config.dtype)
    constants = {name: c if name in TABLE_UNITS else c.astype(dtype) for name, c in constants.items()}
    reasons = {} if rows is None else dict(rows.reasons)
    nothing = State.empty(Layout(()), dtype)
    model = Model(config, schema, network, cast(weights, dtype), constants, nothing, None, {}, {}, reasons=reasons)
    model = replace(model, state=State.empty(model.layout, dtype))
    if rows is None or panel is None:
        return Forecaster.of(model)
    return Forecaster.of(_judged(model, panel), rows.native, axes_of(source))


def _judged(model: Model, panel: Panel) -> Model:
    """The model with the state, intervals and scores of a table; which rows it was trained on, nobody says."""
    config = model.config
    parts = split(panel.lengths, config.horizon, config.val_size, config.test_size)
    assembled, _ = assemble.assemble(model, Feed.of(model, panel), parts)
    return replace(assembled, training=None)


def _allowed(settings: Mapping[str, Any]) -> Config:
    decided = next((name for name in settings if name in OF_THE_WEIGHTS), None)
    if decided is not None:
        raise SettingError(f"{decided} = {settings[decided]!r}: the weights decide it; leave it out")
    config = Config.of(settings)
    if config.loss not in LOSSES:
        raise SettingError(f"loss = {config.loss!r}: the weights forecast points; expected {', '.join(LOSSES)}")
    if config.learning_rate is None and config.optimizer not in RATES:
        raise SettingError(f"optimizer = {config.optimizer!r}: give a learning_rate, too")
    return config


def _complete(config: Config, layers: Layers, schema: Schema, horizon_given: bool) -> Config:
    """All settings: those of the caller, those of the weights, and those of an update that learns."""
    horizon, rest = divmod(layers.outputs, len(schema.target))
    if rest or (horizon_given and horizon != config.horizon):
        steps = f" and {config.horizon} steps" if horizon_given else ""
        raise SettingError(
            f"the network gives {layers.outputs} numbers at each step, and there are {len(schema.target)} targets"
            f"{steps}: expected a number for each target and each step ahead"
        )
    if config.precision not in ("float32", layers.precision):
        raise SettingError(f"precision = {config.precision!r}: the weights are {layers.precision}; leave it out")
    season = config.season or calendar.season(schema.frequency)
    stored = config.carry == "stored"
    segment = int(np.clip(8 * max(season, 8), 32, 64 if stored else 256)) if config.segment is None else config.segment
    chosen: dict[str, Any] = {"season": season, "nonnegative": False, "segment": segment, "loss_every": 1}
    chosen |= {"burn_in": 0 if stored or segment == "full" else int(segment) // 4, "shuffle": not stored}
    chosen |= {
        "batch_size": BATCH,
        "max_steps": STEPS,
        "eval_every": LOOK,
        "learning_rate": RATES.get(config.optimizer),
    }
    chosen = {name: value for name, value in chosen.items() if getattr(config, name) is None}
    network = {"cell": layers.cell, "hidden": layers.hidden, "dense": layers.units, "activation": layers.activation}
    return config.with_(**FRONT, **network, **chosen, horizon=horizon, precision=layers.precision)


def _schema(roles: Roles) -> Schema:
    """The columns of tables to come, as they are named: numbers, and strings as ids."""
    if roles.time and roles.freq is None:
        raise SettingError(f"time = {roles.time!r}: say what a step is, too, such as freq = '1h', or give a table")
    if roles.freq is not None and not roles.time:
        raise SettingError(f"freq = {roles.freq!r}: name the column of times, too, or give a table")
    step = Frequency.parse(roles.freq) if roles.freq is not None else ROWS
    kind: Any = "row" if not roles.time else "integer" if step.unit == "step" else "date" if step.daily else "datetime"
    covariates: dict[str, Any] = {
        role: tuple(Covariate(name) for name in getattr(roles, role)) for role in ("past", "known", "static")
    }
    schema = Schema(roles.target or ("y",), roles.id, roles.time or None, "text", kind, None, step, **covariates)
    if len(set(schema.columns)) < len(schema.columns):
        raise SettingError(f"{', '.join(schema.columns)}: expected one role for each column")
    return schema


def _weights(network: Network, layers: Layers, config: Config, schema: Schema, names: Sequence[str]) -> Any:
    """The network's tree of weights; features that the layers do not take have weights of zero."""
    recurrent = [dict(w) for w in layers.recurrent]
    features = features_of(schema)
    first = np.zeros((len(features), recurrent[0]["W"].shape[1]), recurrent[0]["W"].dtype)
    first[[features.index(name) for name in names]] = recurrent[0]["W"]
    recurrent[0]["W"] = first
    starts = [part for part in network.stack.equations.states if part not in network.stack.equations.fixed]
    for w in recurrent:
        w |= {f"init_{part}": np.zeros(len(w["U"])) for part in starts}
    # A head that is told of the steps ahead begins with no use of it, so that it is the linear layer alone.
    head = network.head.init(np.random.default_rng(config.random_state), 0.0, Start.of(config)) | {
        "out": layers.dense[-1]
    }
    stack = {"cells": _numbered(recurrent), "dense": _numbered(layers.dense[:-1])}
    return {"stack": stack, "head": head, "skip": {}}


def _numbered(items: Sequence[Any]) -> dict[str, Any]:
    return {str(n): item for n, item in enumerate(items)}


def _constants(network: Network, inputs: Inputs, schema: Schema, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Neutral constants but for the standardisation."""
    c = network.constants()
    features = features_of(schema)
    mean = _by_feature("mean", inputs.mean, 0.0, features, names)
    scale = _by_feature("scale", inputs.scale, 1.0, features, names)
    if (scale < 1 / FARTHEST).any():
        raise SettingError(
            f"scale: {scale.min():g} is not a scale: expected numbers above zero, {1 / FARTHEST:g} at least"
        )
    targets = len(schema.target)
    c["origin"], c["unit"] = mean[:targets], scale[:targets]
    begin = targets
    for role in ("past", "known", "static"):
        end = begin + getattr(network.front, role)
        c[f"{role}_mean"], c[f"{role}_scale"] = mean[begin:end], scale[begin:end]
        begin = end
    return c


def _limits(config: Config, schema: Schema, panel: Panel | None) -> dict[str, np.ndarray]:
    """The constants that keep forecasts between the limits of the settings; a table must lie between them as well."""
    limits = Limits.of(config, schema.target)
    if panel is not None:
        limits.require_table(panel)
    floor = np.zeros(len(schema.target)) if config.nonnegative else np.full(len(schema.target), -np.inf)
    floor = np.where(np.isfinite(limits.lower), limits.lower, np.minimum(floor, limits.upper))
    return {"floor": floor, "ceiling": limits.upper}


def _by_feature(
    label: str, values: Numbers, default: float, features: Sequence[str], names: Sequence[str]
) -> np.ndarray:
    """A number for each feature, whatever form they were given in."""
    if isinstance(values, Mapping):
        other = next((name for name in values if name not in features), None)
        if other is not None:
            raise SettingError(f"{label}: {other!r} is not an input; {nearest(other, features)}")
        by_name: Mapping[str, Any] = values
    elif np.ndim(values) == 0:
        by_name = dict.fromkeys(features, values)
    elif np.shape(values) == (len(names),):
        by_name = dict(zip(names, np.asarray(values).tolist(), strict=True))
    else:
        raise SettingError(
            f"{label} has the shape {np.shape(values)}: expected a number for each of {len(names)} inputs"
        )
    try:
        numbers = np.array([float(by_name.get(name, default)) for name in features])
    except (TypeError, ValueError) as error:
        raise SettingError(f"{label}: {error}: expected numbers") from error
    if not (np.abs(numbers) <= FARTHEST).all():
        raise SettingError(f"{label} holds NaN, infinity or more than {FARTHEST:g}: expected finite numbers")
    return numbers
