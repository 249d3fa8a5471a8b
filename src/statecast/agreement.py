"""Settings that exclude one another: each is right by itself, and together they ask for what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statecast.allowed import plain_value
from statecast.errors import SettingError

Config = Any  # that of `config`, which imports this file


def require(config: Config) -> None:
    """Refuse settings that contradict one another.

    Raises:
        SettingError: says which do, and what to choose.
    """
    _require_segments(config)
    _require_layers(config)
    _require_order(config)
    _require_series(config)
    _require_calendar(config)
    _require_limits(config)


def _require_segments(config: Config) -> None:
    if isinstance(config.segment, int) and config.burn_in is not None and config.burn_in >= config.segment:
        raise SettingError(
            f"burn_in = {config.burn_in} leaves no step with a loss in a segment of {config.segment}: expected a "
            "smaller burn_in"
        )
    if config.carry == "stored" and config.burn_in:
        raise SettingError(
            f'burn_in = {config.burn_in} with carry = "stored": a stored state needs no steps to be reached; '
            'leave burn_in out, or choose carry = "zero"'
        )


def _require_layers(config: Config) -> None:
    layers = (1 if config.hidden is None else len(config.hidden)) + len(config.dense)
    if isinstance(config.dropout, tuple) and len(config.dropout) != layers:
        raise SettingError(
            f"dropout = {list(config.dropout)} has {len(config.dropout)} shares, and hidden and dense together have "
            f"{layers} layers: expected one number for all layers, or a share for each"
        )


def _require_order(config: Config) -> None:
    stored = config.carry == "stored"
    ordered = 'carry = "stored"' if stored else "shuffle = false" if config.shuffle is False else None
    drawn = "local = true" if config.local else 'sampling = "series"' if config.sampling == "series" else None
    if ordered and drawn:
        reason = 'draws segments in random order; choose carry = "zero" and shuffle = true'
        raise SettingError(f"{drawn} with {ordered}: it {reason}")


def _require_series(config: Config) -> None:
    others = {"ensemble": (config.ensemble or 1) > 1, "embedding": config.embedding > 0}
    others["local_skip"] = bool(config.local_skip)
    other = next((name for name, holds in others.items() if holds), None)
    if config.local and other:
        value = str(getattr(config, other)).lower()
        reason = f"a network for one series has no use for it; leave {other} out, or choose local = false"
        raise SettingError(f"{other} = {value} with local = true: {reason}")
    if config.local_skip and config.skip == 0:
        raise SettingError("local_skip = true with skip = 0: choose skip = 1 or more, or leave local_skip out")


def _require_calendar(config: Config) -> None:
    if config.holidays is not None and config.calendar is False:
        dates = plain_value(config.holidays)
        raise SettingError(
            f"holidays = {dates!r} with calendar = false: holidays are inputs of the calendar; leave calendar out"
        )


def _require_limits(config: Config) -> None:
    if config.transform == "logit" and config.lower is None and config.upper is None:
        raise SettingError('transform = "logit" without limits: choose lower or upper, or both')
    both = (config.lower, config.upper)
    if all(isinstance(limit, int | float) for limit in both) and config.lower >= config.upper:
        limits = f"lower = {config.lower:g} with upper = {config.upper:g}"
        raise SettingError(f"{limits}: expected a lower limit below the upper one")
    if config.channels == "independent" and any(isinstance(limit, Mapping) for limit in both):
        raise SettingError(
            'channels = "independent" with limits by target: one network for each target has one limit for all; choose '
            'channels = "joint", or a single number for lower and upper'
        )
