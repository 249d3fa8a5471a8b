"""What tuning may try: for each setting some values or a range of them, all of which its own check allows.

The default space is built around the values that the automatic choice took on the table, so it grows with its season
and its rows. A user's space is a mapping, or a function of an Optuna trial.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statecast.allowed import is_real, plain_value
from statecast.config import Config, canonical, require_names
from statecast.errors import SettingError

Suggest = Callable[[Any], Mapping[str, Any]]

# Settings that say what is forecast, how it is judged or where it runs: fits that differ in them cannot be compared.
FIXED = (
    *("horizon", "levels", "adaptive", "false_alarms", "duplicates", "aggregate", "holidays", "lower", "upper"),
    *("val_size", "test_size", "refit", "tensorboard", "threads", "random_state", "significance"),
)
MOST_LAGS = 168
CELLS = ("lstm", "gru", "rnn_tanh")
NORMALIZERS = ("last", "ewma", "window")
DROPOUTS = (0.0, 0.1, 0.2, 0.4)
OF_START = ("skip", "normalize", "decay")  # what is tried where no step is made
FACTOR = 5.0  # least and greatest learning rate, as multiples of the automatic one


@dataclass(frozen=True)
class Choices:
    """Some values of a setting; None leaves it to the data.

    Attributes:
        name: of the setting.
        values: as `config` stores them.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as text, which is what a study can store."""
        return tuple(json.dumps(plain_value(value)) for value in self.values)

    def draw(self, trial: Any) -> Any:
        """A value, as an Optuna trial suggests it."""
        return self.values[self.labels.index(trial.suggest_categorical(self.name, self.labels))]

    def holds(self, value: Any) -> bool:
        """Whether a value is one of these."""
        return value in self.values

    def stored(self, value: Any) -> Any:
        """A value as a study stores it."""
        return self.labels[self.values.index(value)]


@dataclass(frozen=True)
class Span:
    """All values of a setting between two.

    Attributes:
        name: of the setting.
        low, high: the least and the greatest.
        log: whether to draw evenly in logarithms.
    """

    name: str
    low: float
    high: float
    log: bool

    def draw(self, trial: Any) -> Any:
        """A value, as an Optuna trial suggests it."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.name, self.low, self.high, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether a value lies between the two."""
        return is_real(value) and self.low <= value <= self.high

    def stored(self, value: Any) -> Any:
        """A value as a study stores it."""
        return value


@dataclass(frozen=True)
class SearchSpace:
    """What tuning may try.

    Attributes:
        dimensions: the settings, each with its values.
        suggest: a function of an Optuna trial that gives settings, in their place.
    """

    dimensions: tuple[Choices | Span, ...] = ()
    suggest: Suggest | None = None

    def draw(self, trial: Any) -> dict[str, Any]:
        """Settings, as an Optuna trial suggests them.

        Raises:
            SettingError: a user's function gives what is not a setting.
        """
        if self.suggest is None:
            return {dimension.name: dimension.draw(trial) for dimension in self.dimensions}
        settings = self.suggest(trial)
        if not isinstance(settings, Mapping):
            raise SettingError(f"space returned {settings!r}: expected a mapping from settings to values")
        _require_tunable(settings)
        return {name: canonical(name, value) for name, value in settings.items()}

    def stored(self, chosen: Config) -> dict[str, Any] | None:
        """The automatic choice as a study stores it; None where the space does not hold it."""
        values = [(dimension, self._chosen(dimension, chosen)) for dimension in self.dimensions]
        if self.suggest is not None or not all(dimension.holds(value) for dimension, value in values):
            return None
        return {dimension.name: dimension.stored(value) for dimension, value in values}

    @staticmethod
    def _chosen(dimension: Choices | Span, chosen: Config) -> Any:
        """The value of the automatic choice: None where the space leaves it to the data."""
        return None if dimension.holds(None) else getattr(chosen, dimension.name)

    def __str__(self) -> str:
        if self.suggest is not None:
            return f"function {getattr(self.suggest, '__qualname__', type(self.suggest).__name__)}"
        return "; ".join(map(repr, self.dimensions))


def space_of(space: Mapping[str, Any] | Suggest, common: Config) -> SearchSpace:
    """A user's space.

    Args:
        space: for each setting a list of values, or a pair (low, high), or (low, high, "log"); or a function of an
            Optuna trial that gives settings.
        common: the settings that are the same for all trials.

    Raises:
        SettingError: a name is not a setting, or one that cannot be tuned; a value is not allowed.
    """
    if callable(space):
        return SearchSpace(suggest=space)
    if not isinstance(space, Mapping) or not space:
        raise SettingError(
            f"space = {space!r}: expected a mapping like {{'hidden': [32, 64], 'learning_rate': (1e-4, 1e-2, 'log')}}, "
            "or a function of an Optuna trial that returns settings"
        )
    _require_tunable(space)
    twice = next((name for name in space if name in common.changed()), None)
    if twice is not None:
        raise SettingError(f"{twice} is in the space and given as a setting: leave one of them out")
    return SearchSpace(tuple(_dimension(name, values) for name, values in space.items()))


def _require_tunable(names: Mapping[str, Any]) -> None:
    require_names(Config, names)
    fixed = next((name for name in names if name in FIXED), None)
    if fixed is not None:
        raise SettingError(
            f"space: {fixed} cannot be tuned, since fits that differ in it cannot be compared: give it as a setting"
        )


def _dimension(name: str, values: Any) -> Choices | Span:
    if isinstance(values, tuple) and len(values) in (2, 3) and all(map(is_real, values[:2])):
        return _span(name, *values)
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise SettingError(
            f'space: {name} = {values!r}: expected a list of values, or a range (low, high) or (low, high, "log")'
        )
    return Choices(name, tuple(dict.fromkeys(canonical(name, value, f"space: {name}") for value in values)))


def _span(name: str, low: float, high: float, scale: str = "linear") -> Span:
    if scale not in ("linear", "log") or not low < high or (scale == "log" and low <= 0):
        raise SettingError(
            f"space: {name} = {(low, high, scale)!r}: expected a range (low, high) with low below high, and low above "
            '0 in (low, high, "log")'
        )
    for value in (low, high):
        canonical(name, value, f"space: {name}")
    return Span(name, low, high, scale == "log")


def usual_space(chosen: Config, common: Config, rows: int, trained: bool = True) -> SearchSpace:
    """The default space: what matters, around the automatic choice; settings that were given stay as they are.

    Args:
        chosen: the automatic choice on the table.
        common: the settings that are the same for all trials.
        rows: training rows of a typical series.
        trained: whether the automatic choice made any training step; where rows are too few for that, so do no others,
            and only what the start depends on matters.
    """
    dimensions: list[Choices | Span] = []
    dimensions += [_usual(name, values, chosen) for name, values in _usual_values(chosen, rows).items()]
    rate = chosen.learning_rate or 1e-3
    dimensions.append(Span("learning_rate", rate / FACTOR, rate * FACTOR, True))
    dimensions += [] if trained else [Span("decay", chosen.decay / 2, min(chosen.decay * 10, 1.0), True)]
    left_out = {*common.changed(), *(("dropout", "learning_rate") if chosen.optimizer == "lm" else ())}
    left_out |= set() if trained else {d.name for d in dimensions} - set(OF_START)
    several = (d for d in dimensions if not isinstance(d, Choices) or len(d.values) > 1)
    return SearchSpace(tuple(d for d in several if d.name not in left_out))


def _usual(name: str, values: Sequence[Any], chosen: Config) -> Choices:
    """Choices with the automatic one among them, unless that is left to the data."""
    chosen_value = () if None in values else (getattr(chosen, name),)
    return Choices(name, tuple(dict.fromkeys((*chosen_value, *values))))


def _usual_values(chosen: Config, rows: int) -> dict[str, list[Any]]:
    season, units = max(chosen.season or 1, 1), (chosen.hidden or (64,))[0]
    lags = {min(max(n, 1), MOST_LAGS, max(rows // 4, 1)) for n in (8, season, 2 * season, 7 * season)}
    skips = {min(max(n, 8), max(rows // 3, 1)) for n in (season, 7 * season, 28 * season)}
    values: dict[str, list[Any]] = {
        "hidden": [(max(units // 4, 4),), (max(units // 2, 4),), (units,), (2 * units,), (units, units)],
        "cell": list(CELLS),
        "lags": sorted(lags),
        "skip": [None, *sorted(skips)] if chosen.skip else [chosen.skip],
        "normalize": list(NORMALIZERS),
        "dropout": list(DROPOUTS),
    }
    if isinstance(chosen.segment, int):
        steps = {min(max(chosen.segment * k // 2, 2), rows) for k in (1, 2, 4)}
        values["segment"] = sorted(steps)
    return values
