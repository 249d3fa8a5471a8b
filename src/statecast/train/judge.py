"""Whether what training gained on the validation rows is more than chance; where it is not, the start is kept.

Training starts from a linear map of the last values, and ends with the weights that were the best at one of many looks
at the validation rows. Some look is good by luck, so rows that chose it cannot judge it: on rows that follow no rule
the network would then forecast what it learned of chance, where the start is nearly the last value. The validation rows
are therefore dealt to folds, and each fold judges what the others chose (cross-fitting; see `validation`).

The gains of all folds are added up by units of evidence. Were they luck, each unit's gain could as well have the
other sign; so their sum is held against the sums with signs drawn at random, and the share of these that are at least
as large is the chance of such a gain without anything learned (a randomisation test: Fisher 1935; Romano, "On the
behavior of randomization tests without a group invariance assumption", JASA 85, 1990). It is exact where the gains of
units are independent and symmetric under luck, and asks for no more.

What training found need not be taken whole: the forecasts of a share of the way from the start to it err less wherever
part of it is chance (a shrunk combination of two forecasts: Diebold & Pauly, "The use of prior information in forecast
combination", International Journal of Forecasting 6, 1990). Skip and head are linear, so weights between the two give
the forecasts between the two. The share is chosen as the look is, by rows that do not judge it.

Where the whole network learned nothing, the skip is tried alone, trained under the loss itself. Least squares may have
started it, but most losses are of absolute errors, and recurrent layers that learn chance hide what the skip could
still gain. So a network without layers, of the same front and the same rows, moves nothing but the skip and the head's
biases; what it finds has its place in the whole network, whose layers stay as silent as at the start. It is judged in
the same way but, since it is luck's second chance, at half the significance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from statecast.config import Config
from statecast.model.heads.head import LINEAR
from statecast.model.initial import Start
from statecast.model.network import Network
from statecast.train.prepare import Prepared
from statecast.train.progress import Training
from statecast.train.segment_trainer import SegmentTrainer, judged

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

SHARES = (1.0, 0.75, 0.5, 0.25)  # of the way from the start to what training found
CAUTION = 1.645  # standard errors that a share's gain is taken to be smaller
EXACT = 12  # units up to which all signs are gone through
DRAWS = 4095  # signs that are drawn for more units
KEPT = "the linear start is kept"

Mix = Callable[[Any, Any, float], Any]


def between(start: Any, trained: Any, share: float) -> Any:
    """Weights whose forecasts lie between those of a start without layers' part and of what training found.

    Args:
        start: weights whose head takes nothing from the layers.
        trained: what training made of them.
        share: of the way from the one to the other.
    """
    heads = {name: trained["head"][name] for name in LINEAR if name in trained["head"]}
    last = {"skip": trained["skip"], "head": heads}
    first = {"skip": start["skip"], "head": {name: start["head"][name] for name in heads}}
    middle = jax.tree.map(lambda a, b: np.asarray(a + share * (b - a), b.dtype), first, last)
    return {**trained, "skip": middle["skip"], "head": {**trained["head"], **middle["head"]}}


def kept(
    trainer: SegmentTrainer, prepared: Prepared, trained: Training, mixed: Mix = between, otherwise: str = KEPT
) -> Training:
    """As much of what training found as the validation rows support, or the start; `verdict` says why.

    Args:
        trainer: knows settings and the losses of the validation rows.
        prepared: the first weights.
        trained: what training found, by all validation rows and for each fold.
        mixed: gives the weights a share of the way from the start to what training found.
        otherwise: what is kept where that is no more than chance, in words.
    """
    start = replace(trained, weights=prepared.weights, best_step=0, share=0.0)
    if judged(trainer.config) and trainer.validation.undecided(trainer.config.val_size):
        return replace(start, verdict=f"too few validation rows to tell what training gains from chance: {otherwise}")
    if not any(trained.best_steps[0]):
        return replace(trained, share=0.0)
    if not judged(trainer.config):
        return trained
    if not trainer.losses(prepared.weights)[1].any():
        return replace(trained, verdict="no validation rows, so nothing tells what training gained from chance")
    judges = _Judges(trainer, prepared.weights, trained, mixed)
    chance, share = judges.chance(), judges.share(0, np.ones_like(judges.folds, bool))
    verdict = judges.verdict(share, chance)
    if chance > trainer.config.significance:
        return replace(start, verdict=f"{verdict}: no more than chance, so {otherwise}")
    # Members of an ensemble can be better than the start although the mean of their losses never was.
    best_step = trained.best_step or max(trained.best_steps[0])
    weights = judges.between(0, share)
    return replace(trained, weights=weights, best_step=best_step, share=share, verdict=verdict)


def possible(trainer: SegmentTrainer) -> bool:
    """Whether there are enough validation rows to judge what training found."""
    return len(trainer.validation.choosers) > 0


class _Judges:
    """The losses of the validation rows at shares of the way to what each measure chose.

    Measure 0 is all validation rows, the next ones are those that choose for each fold.
    """

    def __init__(self, trainer: SegmentTrainer, start: Any, trained: Training, mixed: Mix) -> None:
        self.trainer, self.start, self.mixed = trainer, start, mixed
        self.weights, self.steps = (trained.weights, *trained.choices), trained.best_steps
        before, weight = trainer.losses(start)
        self.counted = weight > 0
        self.before, self.weight = before[self.counted], weight[self.counted]
        self.units = trainer.validation.units[self.counted]
        self.folds = trainer.validation.folds[self.counted]
        self.choosers = trainer.validation.choosers[:, self.counted]
        self.losses: dict[tuple[tuple[int, ...], float], np.ndarray] = {}

    def between(self, measure: int, share: float) -> Any:
        """Weights a share of the way from the start to what a measure chose."""
        return self.mixed(self.start, self.weights[measure], share)

    def after(self, measure: int, share: float) -> Float[np.ndarray, " n"]:
        """The loss of each forecast there."""
        key = self.steps[measure], share
        if key not in self.losses:
            self.losses[key] = self.trainer.losses(self.between(measure, share))[0][self.counted]
        return self.losses[key]

    def share(self, measure: int, rows: np.ndarray) -> float:
        """How much of what a measure chose lowers the loss of these rows by the most, to be sure."""
        gains = {share: np.where(rows, self.before - self.after(measure, share), 0.0) for share in SHARES}
        return max(SHARES, key=lambda share: self._lower_bound(by_unit(gains[share], self.units)))

    def _lower_bound(self, gains: Float[np.ndarray, " U"]) -> float:
        """Of the sum of the gains of all units: what it is at least in 19 of 20 cases, were they normal."""
        if len(gains) < 2:
            return 0.0
        return float(gains.sum() - CAUTION * gains.std(ddof=1) * len(gains) ** 0.5)

    def chance(self) -> float:
        """How probable gains as large are where nothing was learned; each fold judges what others chose."""
        gains = np.zeros_like(self.before)
        for fold, choosers in enumerate(self.choosers):
            after = self.after(fold + 1, self.share(fold + 1, choosers))
            gains += np.where(self.folds == fold, self.before - after, 0.0)
        return chance_of(by_unit(gains, self.units))

    def verdict(self, share: float, chance: float) -> str:
        """In words, beside the loss of the start."""
        who = "training" if share == 1 else f"{100 * share:.0f} % of what training found"
        before, after = (float(x.sum() / self.weight.sum()) for x in (self.before, self.after(0, share)))
        return (
            f"{who} moved the validation loss from {before:.4g} to {after:.4g}; on rows that did not choose it, "
            f"luck alone would give such a gain with probability {chance:.2g}"
        )


def by_unit(gains: Float[np.ndarray, " n"], units: Int64[np.ndarray, " n"]) -> Float[np.ndarray, " U"]:
    """Sums of gains over each unit of evidence that has any."""
    number = np.unique(units, return_inverse=True)[1]
    sums = np.bincount(number, gains)
    return np.asarray(sums[np.bincount(number, gains != 0) > 0])


def chance_of(gains: Float[np.ndarray, " U"]) -> float:
    """The share of all signs of these gains whose sum is at least that of the gains; see the top of this file.

    All of them are gone through where there are few units, and drawn from a fixed seed where there are many. The gains
    as they are count as one of them, so nothing is ever without chance.
    """
    count = len(gains)
    if not count:
        return 1.0
    if count <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=count)))
    else:
        drawn = np.random.default_rng(0).integers(0, 2, (DRAWS, count)) * 2.0 - 1
        signs = np.concatenate([np.ones((1, count)), drawn])
    # Equal sums may differ by rounding.
    return float(np.mean(signs @ gains >= gains.sum() - 1e-12 * np.abs(gains).sum()))


def applies(config: Config, network: Network) -> bool:
    """Whether there is a skip beside layers whose start was solved for, and one head of one network."""
    layers = bool(network.stack.hidden or network.stack.dense)
    plain = not network.head.decoder and not network.members.local
    return layers and plain and judged(config)


def alone(config: Config, network: Network, prepared: Prepared) -> tuple[SegmentTrainer, Prepared]:
    """A trainer of the skip, and its first weights: those of the whole network where it has them.

    Args:
        config: settings of the whole network.
        network: the whole network.
        prepared: its rows and its first weights.
    """
    single, first = network.single, prepared.weights
    if network.members.axis:
        first = jax.tree.map(lambda part: part[0], first)
    stack = replace(single.stack, hidden=(), dense=(), residual=False)
    bare = replace(single, stack=stack, head=replace(single.head, inputs=stack.outputs))
    curves = str(Path(config.tensorboard) / "skip") if config.tensorboard else None
    layers = {"hidden": (), "dense": (), "dropout": 0, "residual": False, "ensemble": 1, "carry": "zero", "burn_in": 0}
    # The second of two chances, so it is allowed half of what luck may do.
    settings = config.with_(**layers, tensorboard=curves, significance=config.significance / 2)
    head = bare.head.init(np.random.default_rng(config.random_state), 0.0, Start())
    head["out"]["b"] = first["head"]["out"]["b"]
    fresh = stack.init(np.random.default_rng(config.random_state), Start())
    dtype = first["skip"]["W"].dtype
    weights = jax.tree.map(lambda part: np.asarray(part, dtype), first | {"stack": fresh, "head": head})
    begin = replace(prepared, weights=weights)
    return SegmentTrainer(settings, bare, begin, skip_alone=True), begin


def into(whole: Any, skip_alone: Any) -> Any:
    """The whole network's weights with skip and biases of what `alone` trained, the same for every member."""
    out = {
        **whole["head"]["out"],
        "b": np.broadcast_to(skip_alone["head"]["out"]["b"], whole["head"]["out"]["b"].shape),
    }
    skip = {"W": np.broadcast_to(skip_alone["skip"]["W"], whole["skip"]["W"].shape)}
    placed = {**whole, "skip": skip, "head": {**whole["head"], "out": out}}
    return jax.tree.map(np.ascontiguousarray, placed)
