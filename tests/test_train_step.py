"""One training step beside a classic one written by hand: NumPy loops, finite differences, one weight at a time.

Window, stateful and full training are settings of one mechanism; each is held against the loop that a tutorial would
write for it, which knows no tapes, segments, masks or fill-ups.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from train_cases import leaves, one_step, panel_of, ready, run, settings, wave

from statecast.train.fit import precision
from statecast.train.segment_trainer import SegmentTrainer, batch_loss

ROWS = 30
# No level and no scale, so that a hand-written loop sees the values as they are; one step of plain gradient descent.
CLASSIC: dict[str, Any] = {
    "horizon": 1,
    "lags": 1,
    "normalize": "none",
    "loss": "mse",
    "optimizer": "sgd",
    "schedule": "constant",
    "learning_rate": 0.1,
    "clip": 0.0,
    "shuffle": False,
    "precision": "float64",
    "val_size": 0,
    "test_size": 0,
    "batch_size": 64,
}
PRESETS: dict[str, dict[str, Any]] = {
    "window": {"segment": 5, "burn_in": 4},
    "stateful": {"segment": 6, "burn_in": 0, "carry": "stored", "batch_size": 1},
    "full": {"segment": "full", "burn_in": 0},
}

Net = dict[str, np.ndarray]


def values() -> np.ndarray:
    return wave(ROWS, period=7.0) - 10


def net_of(arrays: dict[str, Any]) -> Net:
    """The weights by short names, those of a simple recurrent network with one output."""
    names = {"W": "/stack/cells/0/W", "U": "/stack/cells/0/U", "b": "/stack/cells/0/b"}
    names |= {"out": "/head/out/W", "bias": "/head/out/b"}
    flat = leaves(arrays["weights"])
    return {short: flat[path].copy() for short, path in names.items()}


def classic_run(net: Net, xs: np.ndarray, gains: tuple[float, float], h: np.ndarray) -> tuple[list[float], np.ndarray]:
    """A forecast after each value, and the state after the last."""
    forecasts = []
    for x in xs:
        h = np.tanh(np.array([x / gains[0]]) @ net["W"] + h @ net["U"] + net["b"])
        forecasts.append(float((h @ net["out"] + net["bias"])[0]) * gains[1])
    return forecasts, h


def window_loss(net: Net, y: np.ndarray, gains: tuple[float, float]) -> float:
    """Every window of five values and the value after it; the first ones are shorter."""
    errors = []
    for end in range(len(y) - 1):
        forecasts, _ = classic_run(net, y[max(0, end - 4) : end + 1], gains, np.zeros(2))
        errors.append((forecasts[-1] - y[end + 1]) ** 2)
    return float(np.mean(errors))


def stateful_loss(net: Net, y: np.ndarray, gains: tuple[float, float]) -> float:
    """The first six values, and the value after each."""
    forecasts, _ = classic_run(net, y[:6], gains, np.zeros(2))
    return float(np.mean((np.array(forecasts) - y[1:7]) ** 2))


def full_loss(net: Net, y: np.ndarray, gains: tuple[float, float]) -> float:
    forecasts, _ = classic_run(net, y[:-1], gains, np.zeros(2))
    return float(np.mean((np.array(forecasts) - y[1:]) ** 2))


LOSSES: dict[str, Callable[[Net, np.ndarray, tuple[float, float]], float]] = {
    "window": window_loss,
    "stateful": stateful_loss,
    "full": full_loss,
}


def difference(loss: Callable[[Net], float], net: Net, name: str, at: tuple[int, ...], width: float = 1e-5) -> float:
    """∂loss/∂net[name][at] by central differences."""
    ends = []
    for sign in (1, -1):
        moved = {key: value.copy() for key, value in net.items()}
        moved[name][at] += sign * width
        ends.append(loss(moved))
    return (ends[0] - ends[1]) / (2 * width)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_does_what_the_classic_loop_does(preset: str) -> None:
    config = settings(**CLASSIC, **{k: v for k, v in PRESETS[preset].items() if k != "batch_size"})
    config = config.with_(batch_size=PRESETS[preset].get("batch_size", 64))
    trainer, before, after = one_step(config, panel_of(values()))
    c = trainer.data["constants"]
    y, gains = values(), (float(c["ring_gain"][0]), float(c["output_gain"][0, 0]))
    y = (y - float(c["origin"][0])) / float(c["unit"][0])
    old, new = net_of(before), net_of(after)

    def loss(net: Net) -> float:
        return LOSSES[preset](net, y, gains)

    for name, values_ in old.items():
        for at in np.ndindex(values_.shape):
            expected = values_[at] - 0.1 * difference(loss, old, name, at)
            np.testing.assert_allclose(new[name][at], expected, rtol=1e-7, atol=1e-9, err_msg=f"{preset} {name}{at}")


def test_the_loss_is_that_of_the_classic_loop() -> None:
    network, prepared, _ = ready(settings(**CLASSIC, segment="full", burn_in=0), panel_of(values()))
    with precision(settings(precision="float64")):
        trainer = SegmentTrainer(settings(**CLASSIC, segment="full", burn_in=0), network, prepared)
        arrays = trainer.begin(prepared.weights)
        _, losses = run(trainer, arrays, 0, 1)
    c = prepared.constants
    gains = (float(c["ring_gain"][0]), float(c["output_gain"][0, 0]))
    assert losses[0] == pytest.approx(full_loss(net_of(arrays), values(), gains), rel=1e-12)


def test_a_carried_state_is_that_of_one_long_run() -> None:
    """With weights that hardly move, the state before each segment is what one run over all rows has there."""
    config = settings(**CLASSIC | {"learning_rate": 1e-30, "batch_size": 1}, segment=6, burn_in=0, carry="stored")
    network, prepared, _ = ready(config, panel_of(values()))
    with precision(config):
        trainer = SegmentTrainer(config, network, prepared)
        arrays = trainer.begin(prepared.weights)
        arrays, _ = run(trainer, arrays, 0, trainer.sampler.steps)
    gains = (float(prepared.constants["ring_gain"][0]), 1.0)
    h = np.zeros(2)
    for number in range(ROWS // 6):
        np.testing.assert_allclose(arrays["stored"]["0.h"][number], h, rtol=1e-12, atol=1e-14)
        _, h = classic_run(net_of(arrays), values()[6 * number : 6 * number + 6], gains, h)
    np.testing.assert_allclose(arrays["stored"]["0.h"][ROWS // 6], h, rtol=1e-12, atol=1e-14)


def test_a_carried_state_ends_where_its_series_ends() -> None:
    """A second series that follows in the same segment starts from the beginning, whatever the first one held."""
    config = settings(**CLASSIC | {"learning_rate": 1e-30, "batch_size": 1}, segment=6, burn_in=0, carry="stored")
    network, prepared, _ = ready(config, panel_of(values()[:9], values()[9:18]))
    with precision(config):
        trainer = SegmentTrainer(config, network, prepared)
        arrays = trainer.begin(prepared.weights)
        arrays, _ = run(trainer, arrays, 0, trainer.sampler.steps)
    gains = (float(prepared.constants["ring_gain"][0]), 1.0)
    _, h = classic_run(net_of(arrays), values()[9:12], gains, np.zeros(2))
    np.testing.assert_allclose(arrays["stored"]["0.h"][2], h, rtol=1e-12, atol=1e-14)


def test_a_learned_start_moves_and_a_zero_start_does_not() -> None:
    for carry in ("zero", "learned"):
        _, _, after = one_step(settings(**CLASSIC, segment=5, burn_in=0, carry=carry), panel_of(values()))
        moved = np.abs(leaves(after["weights"])["/stack/cells/0/init_h"]).max()
        assert (moved > 0) == (carry == "learned")


def test_segments_that_fill_up_a_batch_change_nothing() -> None:
    """The last batch of an epoch is used; its step is that of a batch of just the segments that it holds."""
    config = settings(**CLASSIC, segment=5, burn_in=0)
    network, prepared, _ = ready(config, panel_of(values()))
    with precision(config):
        trainer = SegmentTrainer(config, network, prepared)
        arrays = trainer.begin(prepared.weights)
        loss = partial(batch_loss, trainer.plan, trainer.data)
        gradient = jax.jit(lambda starts: jax.grad(loss, has_aux=True)(arrays["weights"], {}, starts, None)[0])
        filled = gradient(np.array([0, 5, -(2**30), -(2**30)]))
        alone = gradient(np.array([0, 5]))
    for path, value in leaves(filled).items():
        np.testing.assert_allclose(value, leaves(alone)[path], rtol=1e-13, atol=1e-15, err_msg=path)
        assert np.abs(value).max() > 0 or "init" in path


def test_what_is_missing_or_of_another_part_has_no_weight() -> None:
    """A target that is missing, or behind the training rows, is as good as none: its value does not matter.

    Of three values ahead, the forecasts of the last training rows reach into the test rows.
    """
    result = []
    for last in (0.0, 1e6):
        y = values()
        y[12] = np.nan
        y[25:] += last
        config = settings(**CLASSIC | {"test_size": 5, "horizon": 3}, segment="full", burn_in=0, missing=True)
        _, _, after = one_step(config, panel_of(y))
        result.append(net_of(after))
    for name in result[0]:
        assert result[0][name].tobytes() == result[1][name].tobytes()
        assert np.isfinite(result[0][name]).all()


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "pinball"])
def test_each_loss_is_that_of_its_publication(loss: str) -> None:
    from statecast.train.loss import pointwise

    error, q = np.array([-3.0, -0.2, 0.0, 0.3, 2.0]), (0.1, 0.5, 0.9)
    with precision(settings(precision="float64")):
        config = settings(loss=loss, huber_delta=0.5)
        if loss == "pinball":
            result = pointwise(config, q)(jax.numpy.asarray(np.repeat(error[:, None], 3, 1)))
        else:
            result = pointwise(config, ())(jax.numpy.asarray(error[:, None]))

    def one(e: float) -> float:  # e = forecast − value
        if loss == "mse":
            return e**2
        if loss == "mae":
            return abs(e)
        if loss == "huber":
            return 0.5 * e**2 if abs(e) <= 0.5 else 0.5 * (abs(e) - 0.25)
        return float(np.mean([2 * (p * -e if e < 0 else (1 - p) * e) for p in q]))

    np.testing.assert_allclose(result, [one(e) for e in error], rtol=1e-12)
