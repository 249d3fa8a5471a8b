"""Optimizers and learning-rate schedules by name; all that follow a gradient are optax's, `lm` is in `levenberg`.

An optimizer here is the direction of a step; its length, the learning rate, is a plain function of the step number
times a factor that `plateau` lowers. Keeping the two apart lets a schedule be logged and resumed as one number, and
compiled steps take their rates as arguments.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optax

from statecast.config import Settings

Schedule = Callable[[np.ndarray], np.ndarray]  # numbers of steps → their learning rates

LEAST = 0.01  # share of the learning rate that the cosine ends at

# Step sizes that suit each optimizer where the user gives none.
LEARNING_RATES = {"sgd": 1e-2, "momentum": 1e-2, "rmsprop": 1e-3, "adagrad": 3e-2, "adam": 1e-3, "adamw": 1e-3}
LEARNING_RATES |= {"lm": 1.0}  # whole steps

OPTIMIZERS: dict[str, Callable[[Settings], optax.GradientTransformation]] = {
    "sgd": lambda c: optax.identity(),
    "momentum": lambda c: optax.trace(decay=c.momentum),
    "rmsprop": lambda c: optax.scale_by_rms(decay=0.9, eps=1e-7, eps_in_sqrt=False),
    "adagrad": lambda c: optax.scale_by_rss(initial_accumulator_value=0.1),
    "adam": lambda c: optax.scale_by_adam(),
    "adamw": lambda c: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(c.weight_decay)),
}


def direction(config: Settings) -> optax.GradientTransformation:
    """Clipping, then the optimizer of the settings; its updates are yet to be multiplied by −learning rate.

    All weights are one vector to it: compiling the same lines for each of a dozen arrays takes a fifth of a first fit.
    """
    clip = [optax.clip_by_global_norm(config.clip)] if config.clip else []
    return optax.flatten(optax.chain(*clip, OPTIMIZERS[config.optimizer](config)))


def schedule(config: Settings, steps: int) -> Schedule:
    """The learning rates of step numbers, of `steps` in all; `plateau` acts apart from it.

    `cosine` is Loshchilov & Hutter 2017 without restarts, and ends at `LEAST` of the learning rate.
    """
    if config.learning_rate is None:
        raise ValueError("learning_rate must be chosen before training")
    rate = config.learning_rate
    if config.schedule == "cosine":
        return lambda n: rate * (LEAST + (1 - LEAST) * (1 + np.cos(np.pi * np.minimum(n / max(steps, 1), 1))) / 2)
    if config.schedule == "piecewise":
        falls = np.round(np.array(config.milestones) * steps)
        return lambda n: rate * config.rate_factor ** (np.asarray(n)[..., None] >= falls).sum(axis=-1)
    return lambda n: np.full(np.shape(n), rate)
