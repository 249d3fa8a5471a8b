"""The settings as arguments of the estimators, written out so that editors and type checkers can read them.

`make settings` writes this file from `statecast.config`, where a setting exists once; do not edit it by hand.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Never


class _Signature:
    """What `inspect.signature` tells of an estimator: its settings, without the place for names that are none."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        initialise: Any = owner.__init__  # type: ignore[misc]  # the class is a value here
        _, *parameters, _ = inspect.signature(initialise).parameters.values()
        return inspect.Signature(parameters)


class SettingsKeywords:
    """An estimator whose arguments are settings; abstract."""

    __signature__: _Signature = _Signature()

    def _accept(self, settings: dict[str, Any]) -> None:
        """Take the settings as they were given, and refuse names that are none.

        Raises:
            SettingError: there is no such setting.
        """
        raise NotImplementedError


class ForecasterKeywords(SettingsKeywords):
    """The arguments of a Forecaster; `statecast settings` says what each means."""

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden: int | Sequence[int] | None = None,
        dense: int | Sequence[int] = (),
        activation: str = "relu",
        dropout: float | Sequence[float] = 0.0,
        residual: bool = False,
        recurrent_init: str = "orthogonal",
        forget_bias: float = 1.0,
        cell_heads: int = 4,
        eigenvalue_radius: float | Sequence[float] = (0.0, 0.999),
        eigenvalue_phase: float = 6.28,
        ensemble: int | None = None,
        optimizer: str = "adam",
        learning_rate: float | None = None,
        momentum: float = 0.9,
        weight_decay: float = 0.0001,
        schedule: str = "cosine",
        milestones: float | Sequence[float] = (0.5, 0.75),
        rate_factor: float = 0.1,
        clip: float = 1.0,
        batch_size: int | None = None,
        max_steps: int | None = None,
        max_epochs: int | None = None,
        eval_every: int | None = None,
        patience: int = 5,
        significance: float = 0.1,
        val_size: int | float = 0.1,
        tensorboard: str | PathLike[str] | None = None,
        precision: str = "float32",
        threads: int = 0,
        random_state: int = 0,
        preset: str = "balanced",
        horizon: int = 1,
        levels: int | float | Sequence[int | float] = (80, 95),
        adaptive: bool = True,
        false_alarms: float = 0.0001,
        channels: str | None = None,
        duplicates: str = "error",
        aggregate: str = "none",
        season: int | None = None,
        lags: int | None = None,
        skip: int | None = None,
        skip_init: str = "ridge",
        local_skip: bool | None = None,
        normalize: str | None = None,
        transform: str | None = None,
        nonnegative: bool | None = None,
        lower: float | Mapping[str, float] | None = None,
        upper: float | Mapping[str, float] | None = None,
        decay: float = 0.01,
        calendar: bool | None = None,
        holidays: str | str | Sequence[str] | None = None,
        missing: bool | None = None,
        level_input: bool | None = None,
        decoder: str = "none",
        loss: str = "mae",
        huber_delta: float = 1.0,
        segment: int | str | None = None,
        burn_in: int | None = None,
        loss_every: int | None = None,
        carry: str = "zero",
        shuffle: bool | None = None,
        sampling: str = "rows",
        embedding: int = 0,
        local: bool = False,
        test_size: int | float = 0.1,
        refit: bool = True,
        **unknown: Never,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in ("self", "unknown")}
        self._accept(settings | unknown)


class ClassifierKeywords(SettingsKeywords):
    """The arguments of a Classifier; `statecast settings` says what each means."""

    def __init__(
        self,
        *,
        cell: str = "gru",
        hidden: int | Sequence[int] = (32,),
        dense: int | Sequence[int] = (),
        activation: str = "relu",
        dropout: float = 0.2,
        residual: bool = False,
        recurrent_init: str = "orthogonal",
        forget_bias: float = 1.0,
        cell_heads: int = 4,
        eigenvalue_radius: float | Sequence[float] = (0.0, 0.999),
        eigenvalue_phase: float = 6.28,
        ensemble: int = 5,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        momentum: float = 0.9,
        weight_decay: float = 0.01,
        schedule: str = "cosine",
        milestones: float | Sequence[float] = (0.5, 0.75),
        rate_factor: float = 0.1,
        clip: float = 1.0,
        batch_size: int | None = None,
        max_steps: int | None = None,
        max_epochs: int | None = None,
        eval_every: int | None = None,
        patience: int = 8,
        significance: float = 0.1,
        val_size: int | float = 0.2,
        tensorboard: str | PathLike[str] | None = None,
        precision: str = "float32",
        threads: int = 0,
        random_state: int = 0,
        readings: str | Sequence[str] | None = None,
        bidirectional: bool = True,
        pooling: str = "all",
        differences: bool = True,
        patch: int | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        test_size: int | float = 0,
        **unknown: Never,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in ("self", "unknown")}
        self._accept(settings | unknown)


class RegressorKeywords(SettingsKeywords):
    """The arguments of a Regressor; `statecast settings` says what each means."""

    def __init__(
        self,
        *,
        cell: str = "gru",
        hidden: int | Sequence[int] = (32,),
        dense: int | Sequence[int] = (),
        activation: str = "relu",
        dropout: float = 0.2,
        residual: bool = False,
        recurrent_init: str = "orthogonal",
        forget_bias: float = 1.0,
        cell_heads: int = 4,
        eigenvalue_radius: float | Sequence[float] = (0.0, 0.999),
        eigenvalue_phase: float = 6.28,
        ensemble: int = 5,
        optimizer: str = "adamw",
        learning_rate: float | None = None,
        momentum: float = 0.9,
        weight_decay: float = 0.01,
        schedule: str = "cosine",
        milestones: float | Sequence[float] = (0.5, 0.75),
        rate_factor: float = 0.1,
        clip: float = 1.0,
        batch_size: int | None = None,
        max_steps: int | None = None,
        max_epochs: int | None = None,
        eval_every: int | None = None,
        patience: int = 8,
        significance: float = 0.1,
        val_size: int | float = 0.2,
        tensorboard: str | PathLike[str] | None = None,
        precision: str = "float32",
        threads: int = 0,
        random_state: int = 0,
        readings: str | Sequence[str] | None = None,
        bidirectional: bool = True,
        pooling: str = "all",
        differences: bool = True,
        patch: int | None = None,
        loss: str = "mse",
        huber_delta: float = 1.0,
        **unknown: Never,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in ("self", "unknown")}
        self._accept(settings | unknown)
