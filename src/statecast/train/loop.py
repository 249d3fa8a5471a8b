"""The training loop, top to bottom: step, look at the validation rows, keep the best weights, stop.

What runs fast is compiled in `trainer`; what is decided between two calls is decided here, in plain Python: the number
of steps of a call from the clock, early stopping and the falling rate from the validation loss. A checkpoint is written
only where a look has just been taken, so a fit that goes on from it decides the same things again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from statecast.errors import Interrupted, TrainingError
from statecast.train import checkpoint, logs
from statecast.train.checkpoint import Progress
from statecast.train.progress import HISTORY, Fitted, Report, Watch
from statecast.train.steps import CALL, Arrays, Compiled

CALL_SECONDS = 0.5  # time that a compiled call should take
CHECKPOINT_SECONDS = 20.0  # time between two checkpoints
QUIET = frozenset({"tensorboard"})  # settings that change nothing of the result


def follow(
    trainer: Compiled,
    weights: Any,
    mark: str,
    watch: Watch | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Fitted:
    """Train what a trainer compiled, from first weights to the best ones.

    Args:
        trainer: knows batches and their loss.
        weights: the first weights.
        mark: a fingerprint of settings and table, for the checkpoint.
        watch: told of the progress.
        folder: where checkpoints go; none are written where None.
        resume: go on from the checkpoint in `folder` where there is one.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a folder; the checkpoint is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    arrays = trainer.begin(jax.tree.map(jnp.asarray, weights))
    progress = Progress(0, math.inf, 0, 1.0, 0.0, {name: [] for name in HISTORY}, False)
    if resume and folder is not None and (folder / checkpoint.NAME).exists():
        progress, arrays = checkpoint.load(folder, arrays, mark)
    saved, began = time.monotonic(), time.monotonic() - progress.seconds
    looks = _looks(trainer, progress, arrays, began, watch)
    try:
        with logs.scalars(trainer.config.tensorboard, progress.step) as log:
            for progress, arrays in looks:
                log({name: values[-1] for name, values in progress.history.items()})
                if folder is not None and (progress.done or time.monotonic() - saved > CHECKPOINT_SECONDS):
                    checkpoint.save(folder, progress, arrays, mark)
                    saved = time.monotonic()
    except KeyboardInterrupt:
        if folder is None:
            raise
        checkpoint.save(folder, progress, arrays, mark)
        raise Interrupted(
            f"interrupted after {progress.step} of at most {trainer.steps} steps: the checkpoint in {folder} is kept; "
            "go on with --resume"
        ) from None
    return _fitted(progress, arrays)


def _fitted(progress: Progress, arrays: Arrays) -> Fitted:
    history, found = progress.history, np.array(progress.history["val_loss"])
    best = -1 if np.isnan(found).all() else int(np.nanargmin(found))
    weights = jax.tree.map(np.asarray, arrays["best"])
    return Fitted(weights, history, progress.step, int(history["step"][best]), progress.seconds)


def _looks(
    trainer: Compiled, progress: Progress, arrays: Arrays, began: float, watch: Watch | None
) -> Iterator[tuple[Progress, Arrays]]:
    """Train from one look at the validation rows to the next, and yield where things stand after each."""
    pace = _Pace()

    def tell(step: int, loss: float) -> None:
        if watch:
            watch(_report(trainer, progress, step, loss, pace.rate, began))

    if not progress.history["step"]:
        progress, arrays = _look(trainer, progress, arrays, math.nan, began)
        yield progress, arrays
    while not progress.done:
        upto = min(progress.step + (trainer.config.eval_every or 1), trainer.steps)
        losses: list[float] = []
        step, moving = progress.step, arrays
        while step < upto:
            moving, new = _call(trainer, pace, moving, step, upto, progress.factor)
            losses += new
            step += len(new)
            _require_finite(new, step)
            tell(step, new[-1])
        progress, arrays = _look(trainer, replace(progress, step=step), moving, float(np.mean(losses)), began)
        tell(step, losses[-1])
        yield progress, arrays


class _Pace:
    """How many steps a call should make, from how long they took."""

    def __init__(self) -> None:
        self.count, self.rate, self.warm = 1, 0.0, False

    def took(self, steps: int, seconds: float) -> None:
        if self.warm:  # the first call compiles
            self.rate = steps / max(seconds, 1e-9)
            self.count = int(np.clip(self.rate * CALL_SECONDS, 1, CALL))
        self.warm = True


def _call(
    trainer: Compiled, pace: _Pace, arrays: Arrays, step: int, upto: int, factor: float
) -> tuple[Arrays, list[float]]:
    """Some training steps, and the loss of each."""
    count = min(pace.count, upto - step, CALL)
    clock = time.monotonic()
    numbers = np.asarray(count), np.asarray(step), np.asarray(factor, trainer.config.dtype)
    arrays, losses = trainer.run(arrays, trainer.batches(step, count), *numbers)
    values = [float(value) for value in np.asarray(losses)[:count]]
    pace.took(count, time.monotonic() - clock)
    return arrays, values


def _look(trainer: Compiled, progress: Progress, arrays: Arrays, loss: float, began: float) -> tuple[Progress, Arrays]:
    """Look at the validation rows: keep the best weights, lower the rate on a plateau, decide whether to stop.

    Members of an ensemble that are told apart keep their best weights each; all else follows their mean.
    """
    config, step = trainer.config, progress.step
    sums = trainer.validate(arrays["weights"])
    total, weight, finite = (np.asarray(value, np.float64) for value in sums)
    blind = not weight.any()  # no validation rows: the last weights are the best known, and only the steps end the fit
    found = math.nan if blind else float(total.sum() / weight.sum())
    _require_sound(found, blind, bool(finite), step)
    measure = loss if blind else found
    own = np.where(weight > 0, total / np.maximum(weight, 1e-300), measure)
    arrays = arrays | {"best": _better(arrays["weights"], arrays["best"], (own < progress.least) | blind)}
    improved = measure < progress.best
    waited = 0 if improved or not progress.history["step"] else progress.waited + 1
    factor = progress.factor
    if config.schedule == "plateau" and waited and waited % max(config.patience // 2, 1) == 0:
        factor *= config.rate_factor
    seconds = time.monotonic() - began
    rate = float(trainer.rate(np.asarray(step))) * factor
    row = (step, step / trainer.steps_of_epoch, loss, found, rate, seconds)
    history = {name: [*progress.history[name], value] for name, value in zip(HISTORY, row, strict=True)}
    stalled = bool(config.patience) and waited >= config.patience and not blind
    done = step >= trainer.steps or stalled
    best, least = (measure if improved else progress.best), np.fmin(own, progress.least).tolist()
    return Progress(step, best, waited, factor, seconds, history, done, least), arrays


def _better(now: Any, before: Any, where: np.ndarray) -> Any:
    """The weights now where they are better, for all members alike or for each."""
    if where.ndim == 0:
        return now if where else before
    return jax.tree.map(lambda a, b: jnp.where(where.reshape(-1, *[1] * (a.ndim - 1)), a, b), now, before)


def _require_finite(losses: list[float], step: int) -> None:
    for back, value in enumerate(reversed(losses)):
        if not math.isfinite(value):
            raise _diverged(f"the loss became {value} at step {step - back}")


def _require_sound(found: float, blind: bool, finite: bool, step: int) -> None:
    if not finite:
        raise _diverged(f"a weight of the network is no longer finite after step {step}")
    if not blind and not math.isfinite(found):
        raise _diverged(f"the validation loss became {found} after step {step}")


def _diverged(what: str) -> TrainingError:
    return TrainingError(f"{what}: try a smaller learning_rate or clip, and look for extreme values in the table")


def _report(trainer: Compiled, progress: Progress, step: int, loss: float, rate: float, began: float) -> Report:
    looks = progress.history["val_loss"]
    return Report(
        step,
        trainer.steps,
        step / trainer.steps_of_epoch,
        loss,
        looks[-1] if looks and not math.isnan(looks[-1]) else None,
        float(trainer.rate(np.asarray(step))) * progress.factor,
        rate,
        time.monotonic() - began,
    )
