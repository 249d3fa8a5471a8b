"""What is worked out of a table before the first step, kept for further fits of the same rows.

Tuning fits the same rows again and again, and most of the settings that it tries concern layers and steps, of which
neither the working units of a table nor the start of the forecasts know anything. What is kept goes by the other
settings, and is worked out from these alone: one that was left out by mistake is without effect, never stale.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from statecast.config import Config

# Settings of layers and of training steps. Before the first step only the shapes of the weights depend on them.
OF_LAYERS = (
    *("cell", "hidden", "dense", "activation", "dropout", "residual", "recurrent_init", "forget_bias", "cell_heads"),
    *("eigenvalue_radius", "eigenvalue_phase", "ensemble"),
)
OF_STEPS = (
    *("optimizer", "learning_rate", "momentum", "weight_decay", "schedule", "milestones", "rate_factor", "clip"),
    *("batch_size", "max_steps", "max_epochs", "eval_every", "patience", "significance", "tensorboard"),
    *("segment", "burn_in", "loss_every", "carry", "shuffle", "sampling", "threads", "random_state"),
)
MOST = 24  # values that are kept: a start of a large table takes some ten megabytes

_DEFAULTS = Config().to_dict()
_T = TypeVar("_T")


def bare_of(config: Config, *further: str) -> Config:
    """The settings with those of layers and steps, and some further ones, as they are by default."""
    return config.with_(**{name: _DEFAULTS[name] for name in (*OF_LAYERS, *OF_STEPS, *further)})


class Recall:
    """Values by what they depend on, of one table and one split; the least recently used are forgotten first."""

    def __init__(self, most: int = MOST) -> None:
        self._values: OrderedDict[Hashable, object] = OrderedDict()
        self._most = most

    def once(self, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
        """The value of a key, made now if it is not kept."""
        name = repr(key)  # settings may hold mappings
        if name not in self._values:
            self._values[name] = make()
        self._values.move_to_end(name)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return cast(_T, self._values[name])
