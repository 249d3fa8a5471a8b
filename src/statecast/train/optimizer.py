"""Optimizers and learning-rate schedules by name, all through optax.

An optimizer here is the direction of a step; its length, the learning rate, is a plain function of the step number
times a factor that `plateau` lowers. Keeping the two apart lets a schedule be logged and resumed as one number.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jax import Array

from statecast.config import Settings

Schedule = Callable[[Array | int], Array]

LEAST = 0.01  # share of the learning rate that the cosine ends at

# Step sizes that suit each optimizer where the user gives none.
LEARNING_RATES = {"sgd": 1e-2, "momentum": 1e-2, "rmsprop": 1e-3, "adagrad": 3e-2, "adam": 1e-3, "adamw": 1e-3}

OPTIMIZERS: dict[str, Callable[[Settings], optax.GradientTransformation]] = {
    "sgd": lambda c: optax.identity(),
    "momentum": lambda c: optax.trace(decay=c.momentum),
    "rmsprop": lambda c: optax.scale_by_rms(decay=0.9, eps=1e-7, eps_in_sqrt=False),
    "adagrad": lambda c: optax.scale_by_rss(initial_accumulator_value=0.1),
    "adam": lambda c: optax.scale_by_adam(),
    "adamw": lambda c: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(c.weight_decay)),
}


def direction(config: Settings) -> optax.GradientTransformation:
    """Clipping, then the optimizer of the settings; its updates are yet to be multiplied by −learning rate."""
    clip = [optax.clip_by_global_norm(config.clip)] if config.clip else []
    return optax.chain(*clip, OPTIMIZERS[config.optimizer](config))


def schedule(config: Settings, steps: int) -> Schedule:
    """The learning rate as a function of the step number, of `steps` in all; `plateau` acts apart from it."""
    if config.learning_rate is None:
        raise ValueError("learning_rate must be chosen before training")
    rate = config.learning_rate
    if config.schedule == "cosine":
        cosine: Schedule = optax.cosine_decay_schedule(rate, max(steps, 1), alpha=LEAST)
        return cosine
    if config.schedule == "piecewise":
        falls: dict[int, float] = {}
        for share in config.milestones:
            at = round(share * steps)
            falls[at] = falls.get(at, 1.0) * config.rate_factor
        piecewise: Schedule = optax.piecewise_constant_schedule(rate, falls)
        return piecewise
    return lambda step: jnp.asarray(rate)
