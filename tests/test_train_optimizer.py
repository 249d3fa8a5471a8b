"""Optimizers and schedules beside their published updates, written down once more with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from statecast.config import FIRST_ORDER as NAMES
from statecast.config import SCHEDULES, Config
from statecast.train.optimizer import LEARNING_RATES, OPTIMIZERS, direction, schedule

RATE, STEPS = 0.05, 6
Memory = dict[str, np.ndarray]
Update = Callable[[np.ndarray, np.ndarray, Memory, int], np.ndarray]


def sgd(w: np.ndarray, g: np.ndarray, s: Memory, t: int) -> np.ndarray:
    return w - RATE * g


def momentum(w: np.ndarray, g: np.ndarray, s: Memory, t: int) -> np.ndarray:
    """Polyak 1964, as Sutskever et al. 2013 write it."""
    s["v"] = 0.9 * s.get("v", 0 * w) + g
    return w - RATE * s["v"]


def rmsprop(w: np.ndarray, g: np.ndarray, s: Memory, t: int) -> np.ndarray:
    """Tieleman & Hinton 2012."""
    s["v"] = 0.9 * s.get("v", 0 * w) + 0.1 * g**2
    return w - RATE * g / (np.sqrt(s["v"]) + 1e-7)


def adagrad(w: np.ndarray, g: np.ndarray, s: Memory, t: int) -> np.ndarray:
    """Duchi et al. 2011, the sum started at 0.1."""
    s["v"] = s.get("v", 0 * w + 0.1) + g**2
    return w - RATE * g / np.sqrt(s["v"] + 1e-7)


def adam(w: np.ndarray, g: np.ndarray, s: Memory, t: int) -> np.ndarray:
    """Kingma & Ba 2015, algorithm 1."""
    s["m"] = 0.9 * s.get("m", 0 * w) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0 * w) + 0.001 * g**2
    return w - RATE * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def adamw(w: np.ndarray, g: np.ndarray, s: Memory, t: int) -> np.ndarray:
    """Loshchilov & Hutter 2019: the decay acts on the weights, not through the moments."""
    return adam(w, g, s, t) - RATE * 0.01 * w


REFERENCE: dict[str, Update] = {
    "sgd": sgd,
    "momentum": momentum,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adam": adam,
    "adamw": adamw,
}


def config_of(name: str, **values: Any) -> Config:
    return Config(optimizer=name, learning_rate=RATE, weight_decay=0.01, **{"clip": 0.0, **values})


def start() -> np.ndarray:
    return np.array([0.5, -1.0, 2.0])


def slope(w: np.ndarray) -> np.ndarray:
    """Of w²/2 + cos w, so that no two steps have the same gradient."""
    return w - np.sin(w)


def descend(config: Config, w: np.ndarray, steps: int, gradient: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    with jax.enable_x64(True):
        rule, weights = direction(config), jnp.asarray(w)
        state = rule.init(weights)
        for _ in range(steps):
            update, state = rule.update(jnp.asarray(gradient(np.asarray(weights))), state, weights)
            weights = weights - RATE * update
        return np.asarray(weights)


def test_there_is_a_reference_a_rate_and_a_rule_for_each() -> None:
    assert set(REFERENCE) == set(NAMES) == set(OPTIMIZERS) == set(LEARNING_RATES) - {"lm"}


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_makes_its_published_steps(name: str) -> None:
    expected, memory = start(), {}
    for t in range(1, STEPS + 1):
        expected = REFERENCE[name](expected, slope(expected), memory, t)
    np.testing.assert_allclose(descend(config_of(name), start(), STEPS, slope), expected, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_goes_down_a_bowl(name: str) -> None:
    result = descend(config_of(name), start(), 40, lambda w: w)
    assert (result**2).sum() < 0.7 * (start() ** 2).sum()


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_keeps_the_precision_of_the_weights(name: str) -> None:
    rule, weights = direction(config_of(name)), jnp.asarray(start(), jnp.float32)
    update, _ = rule.update(weights, rule.init(weights), weights)
    assert update.dtype == weights.dtype


@pytest.mark.parametrize("name", NAMES)
def test_clipping_limits_the_norm_over_all_weights(name: str) -> None:
    """The optimizer sees a gradient of norm 1 where the true one is longer, and the true one where it is not."""
    large, small = np.array([30.0, 40.0, 0.0]), np.array([0.3, 0.4, 0.0])
    clipped = config_of(name, clip=1.0)
    for true, cut in ((large, large / 50), (small, small)):
        result = descend(clipped, start(), 2, lambda w, g=true: g)
        np.testing.assert_allclose(result, descend(config_of(name), start(), 2, lambda w, g=cut: g), rtol=1e-12)


# --- schedules


def rates(steps: int = 100, **values: Any) -> np.ndarray:
    return schedule(Config(learning_rate=RATE, **values), steps)(np.arange(steps + 1))


def test_the_cosine_ends_at_one_percent() -> None:
    result = rates(schedule="cosine")
    expected = RATE * (0.01 + 0.99 * (1 + np.cos(np.pi * np.arange(101) / 100)) / 2)  # Loshchilov & Hutter 2017
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    assert result[-1] == pytest.approx(0.01 * RATE, rel=1e-5)


def test_the_rate_falls_in_pieces() -> None:
    result = rates(schedule="piecewise", milestones=(0.5, 0.75), rate_factor=0.1)
    np.testing.assert_allclose(result, RATE * np.repeat([1, 0.1, 0.01], [50, 25, 26]), rtol=1e-6)


def test_two_falls_at_one_step_are_two_falls() -> None:
    result = rates(2, schedule="piecewise", milestones=(0.5, 0.6), rate_factor=0.1)
    np.testing.assert_allclose(result, RATE * np.array([1, 0.01, 0.01]), rtol=1e-6)


@pytest.mark.parametrize("name", ["constant", "plateau"])
def test_the_rate_stays(name: str) -> None:
    assert (rates(schedule=name) == RATE).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_never_rises_and_takes_a_single_step(name: str) -> None:
    course = rates(schedule=name)
    assert (np.diff(course) <= 0).all() and course[0] == RATE
    assert float(schedule(Config(learning_rate=RATE, schedule=name), 100)(np.asarray(60))) == course[60]


@pytest.mark.parametrize("milestones", [(0.5, 0.75), (0.5, 0.5), ()])
def test_schedules_are_those_of_optax(milestones: tuple[float, ...]) -> None:
    falls: dict[int, float] = {}
    for share in milestones:
        falls[round(share * 40)] = falls.get(round(share * 40), 1.0) * 0.2
    oracle = {
        "piecewise": optax.piecewise_constant_schedule(RATE, falls),
        "cosine": optax.cosine_decay_schedule(RATE, 40, alpha=0.01),
    }
    for name, course in oracle.items():
        expected = [float(course(step)) for step in range(50)]
        made = schedule(Config(learning_rate=RATE, schedule=name, milestones=milestones, rate_factor=0.2), 40)
        np.testing.assert_allclose(made(np.arange(50)), expected, rtol=1e-5)
