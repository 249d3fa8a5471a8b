"""The training loop, top to bottom: step, look at the validation rows, keep the best weights, stop.

What runs fast is compiled in a trainer; what is decided between two calls is decided here, in plain Python: the number
of steps of a call from the clock, early stopping and the falling rate from the validation loss. A checkpoint is written
only where a look has just been taken, so a training that goes on from it decides the same things again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from statecast.errors import Interrupted, TrainingError
from statecast.model.history import HISTORY, TRAINING
from statecast.train import logs
from statecast.train.checkpoint import Checkpoint
from statecast.train.progress import LoopState, Progress, Training, Watch, likely_end
from statecast.train.trainer import CALL, Arrays, Look, Trainer

CALL_SECONDS = 0.5  # time that a compiled call should take
CHECKPOINT_SECONDS = 20.0  # time between two checkpoints


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a training stands: its state, the arrays that it changes, and the best weights by each measure."""

    state: LoopState
    arrays: Arrays
    best: tuple[Any, ...] = ()

    @property
    def tree(self) -> dict[str, Any]:
        """The arrays of a checkpoint."""
        return {"arrays": self.arrays, "best": list(self.best)}


def train(
    trainer: Trainer,
    weights: Any,
    watch: Watch | None = None,
    checkpoint: Checkpoint | None = None,
    phase: str = TRAINING,
) -> Training:
    """Train from first weights to the best ones.

    Args:
        trainer: knows batches and their loss.
        weights: the first weights.
        watch: told of the progress, a few times a second at most.
        checkpoint: where to write where training stands, and whether to go on from there; none is written if None.
        phase: what to tell `watch` that this is.

    Raises:
        TrainingError: the loss is not finite.
        Interrupted: Ctrl-C while there is a checkpoint; it is written first.
        ModelFileError: the checkpoint is of other settings or another table.
    """
    if not trainer.steps:
        return _untrained(weights)
    stand = first = _begin(trainer, weights, checkpoint)
    saved, began = time.monotonic(), time.monotonic() - first.state.seconds
    try:
        with logs.scalars(trainer.config.tensorboard, first.state.step) as log:
            for stand in _looks(trainer, first, began, watch, phase):
                log({name: values[-1] for name, values in stand.state.history.items()})
                if checkpoint and (stand.state.done or time.monotonic() - saved > CHECKPOINT_SECONDS):
                    checkpoint.save(stand.state, stand.tree)
                    saved = time.monotonic()
    except KeyboardInterrupt:
        if checkpoint is None:
            raise
        checkpoint.save(stand.state, stand.tree)
        raise Interrupted(
            f"interrupted after {stand.state.step} of at most {trainer.steps} steps of {phase}: the checkpoint in "
            f"{checkpoint.path.parent} is kept; continue with --resume"
        ) from None
    return _trained(stand, trainer.keeps_start)


def _untrained(weights: Any) -> Training:
    """The first weights, which no look has judged: nothing is compiled for them."""
    history = dict(zip(HISTORY, ([value] for value in (0, 0.0, math.nan, math.nan, 0.0, 0.0)), strict=True))
    return Training(weights, history, 0, 0, 0.0, best_steps=((0,),), share=0.0)


def _begin(trainer: Trainer, weights: Any, checkpoint: Checkpoint | None) -> Stand:
    """The first stand of a training, which has looked at nothing yet, or the one that a checkpoint holds."""
    stand = Stand(LoopState(), trainer.begin(weights), tuple([weights] * trainer.measures))
    loaded = checkpoint.load(stand.tree) if checkpoint else None
    return Stand(loaded[0], loaded[1]["arrays"], tuple(loaded[1]["best"])) if loaded else stand


def _trained(stand: Stand, keeps_start: bool) -> Training:
    state, history = stand.state, stand.state.history
    losses = np.array(history["val_loss"])
    if not keeps_start and len(losses) > 1:
        losses[0] = np.nan
    best = -1 if np.isnan(losses).all() else int(np.nanargmin(losses))
    weights, *choices = (jax.tree.map(np.asarray, tree) for tree in stand.best)
    best_steps = tuple(map(tuple, state.best_steps))
    best_step = int(history["step"][best])
    return Training(weights, history, state.step, best_step, state.seconds, tuple(choices), best_steps)


def _looks(trainer: Trainer, stand: Stand, began: float, watch: Watch | None, phase: str) -> Iterator[Stand]:
    """Train from one look at the validation rows to the next, and yield where things stand after each."""
    pace = _Pace()

    def tell(step: int, loss: float, looked: bool = False) -> None:
        if watch:
            watch(replace(_report(trainer, stand.state, step, loss, pace.rate, began, phase), looked=looked))

    if not stand.state.history["step"]:
        stand = _look(trainer, stand, stand.arrays, 0, math.nan, began)
        yield stand
    while not stand.state.done:
        upto = min(stand.state.step + (trainer.config.eval_every or 1), trainer.steps)
        losses: list[float] = []
        step, arrays = stand.state.step, stand.arrays
        while step < upto:
            arrays, latest = _call(trainer, pace, arrays, step, upto, stand.state.factor)
            losses += latest
            step += len(latest)
            _require_finite(latest, step)
            tell(step, latest[-1])
        stand = _look(trainer, stand, arrays, step, float(np.mean(losses)), began)
        tell(step, losses[-1], looked=True)
        yield stand


class _Pace:
    """How many steps a call should make, from how long they took."""

    def __init__(self) -> None:
        self.count, self.rate, self.warm = 1, 0.0, False

    def took(self, steps: int, seconds: float) -> None:
        if self.warm:  # the first call may compile
            self.rate = steps / max(seconds, 1e-9)
            self.count = int(np.clip(self.rate * CALL_SECONDS, 1, CALL))
        self.warm = True


def _call(
    trainer: Trainer, pace: _Pace, arrays: Arrays, step: int, upto: int, factor: float
) -> tuple[Arrays, list[float]]:
    """Some training steps, and the loss of each."""
    count = min(pace.count, upto - step, CALL)
    clock = time.monotonic()
    rates = (trainer.rates(step + np.arange(CALL)) * factor).astype(trainer.config.dtype)
    arrays, losses = trainer.run(arrays, trainer.batches(step, count), rates, np.asarray(count), np.asarray(step))
    values = [float(value) for value in np.asarray(losses)[:count]]
    pace.took(count, time.monotonic() - clock)
    return arrays, values


def _look(trainer: Trainer, stand: Stand, arrays: Arrays, step: int, loss: float, began: float) -> Stand:
    """Look at the validation rows: keep the best weights, lower the rate on a plateau, decide whether to stop.

    Networks that are told apart keep their best weights each; all else follows the mean of their losses.
    """
    config, state = trainer.config, stand.state
    look = trainer.validate(arrays["weights"])
    blind = not look.weight[0].any()  # no validation rows: the last weights are the best known
    val_loss = math.nan if blind else float(look.total[0].sum() / look.weight[0].sum())
    _require_sound(val_loss, blind, look.finite, step)
    measure = loss if blind else val_loss
    each = _means(look, measure)
    if not step and not trainer.keeps_start:  # for the history alone: whatever training makes of it counts as better
        each, measure = np.full(each.shape, np.inf), np.inf
    least = np.array(state.least) if state.least else np.full(each.shape, np.inf)
    better = (each < least) | blind
    best = tuple(_better(arrays["weights"], *pair) for pair in zip(stand.best, better, strict=True))
    best_steps = np.where(better, step, np.array(state.best_steps) if state.best_steps else 0)
    improved = measure < state.best
    waited = 0 if improved or not state.history["step"] else state.waited + 1
    factor = state.factor
    if config.schedule == "plateau" and waited and waited % max(config.patience // 2, 1) == 0:
        factor *= config.rate_factor
    seconds = time.monotonic() - began
    row = (
        step,
        step / trainer.steps_of_epoch,
        loss,
        val_loss,
        float(trainer.rates(np.asarray(step))) * factor,
        seconds,
    )
    history = {name: [*state.history[name], value] for name, value in zip(HISTORY, row, strict=True)}
    stalled = bool(config.patience) and waited >= config.patience and not blind
    done = step >= trainer.steps or stalled
    least = np.fmin(each, least).tolist()
    best_measure = measure if improved else state.best
    after = LoopState(step, best_measure, waited, factor, seconds, history, done, least, best_steps.tolist())
    return Stand(after, arrays, best)


def _means(look: Look, measure: float) -> np.ndarray:
    """Mean loss by each measure of each network; that of all of them for one that has no rows of its own."""
    total, weight = (part.sum(axis=1, keepdims=True) for part in (look.total, look.weight))
    mean = np.where(weight > 0, total / np.maximum(weight, 1e-300), measure)
    return np.where(look.weight > 0, look.total / np.maximum(look.weight, 1e-300), mean)


def _better(weights: Any, before: Any, better: np.ndarray) -> Any:
    """The weights where they are better, for each of several networks or for the only one."""
    if better.all() or not better.any():
        return weights if better.any() else before

    def picked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(better.reshape(-1, *[1] * (np.ndim(a) - 1)), a, b)

    return jax.tree.map(picked, weights, before)


def _require_finite(losses: list[float], step: int) -> None:
    for back, value in enumerate(reversed(losses)):
        if not math.isfinite(value):
            raise _diverged(f"the loss became {value} at step {step - back}")


def _require_sound(val_loss: float, blind: bool, finite: bool, step: int) -> None:
    if not finite:
        raise _diverged(f"a weight of the network is no longer finite after step {step}")
    if not blind and not math.isfinite(val_loss):
        raise _diverged(f"the validation loss became {val_loss} after step {step}")


def _diverged(what: str) -> TrainingError:
    return TrainingError(f"{what}: try a smaller learning_rate or clip, and look for extreme values in the table")


def _report(
    trainer: Trainer, state: LoopState, step: int, loss: float, rate: float, began: float, phase: str
) -> Progress:
    looks = state.history["val_loss"]
    val_loss = looks[-1] if looks and not math.isnan(looks[-1]) else None
    learning_rate = float(trainer.rates(np.asarray(step))) * state.factor
    epoch, seconds = step / trainer.steps_of_epoch, time.monotonic() - began
    every = trainer.config.eval_every or 1
    waited, patience = state.waited * every, trainer.config.patience * every if val_loss is not None else 0
    end = likely_end(state.step, trainer.steps, waited, patience)
    report = Progress(step, trainer.steps, epoch, loss, val_loss, learning_rate, rate, seconds, phase)
    return replace(report, waited=waited, end=max(end, step))
