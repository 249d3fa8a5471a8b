"""Recurrent and dense layers as bare arrays in this house's order of gates: what other frameworks' files come down to.

The way in makes a Forecaster of them (`adopt`), the way out takes them from one. What a chain of layers cannot say,
such as a normaliser or a skip, has no way out, and is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from statecast.config import ACTIVATIONS
from statecast.errors import ModelFileError, SettingError, shortened
from statecast.estimators.forecaster import Forecaster
from statecast.model.cells import CELLS
from statecast.model.network import Network
from statecast.model.trained import Model

Weights = dict[str, np.ndarray]
LARGEST = 1e15  # of a weight


@dataclass(frozen=True, eq=False)
class Layers:
    """Layers of one cell, then dense layers.

    Attributes:
        cell: name of the cell, as in the setting `cell`.
        recurrent: of each recurrent layer W [I, gates·H], U [H, gates·H], b [gates·H], and bn [H] of a "gru".
        dense: of each dense layer W [I, O] and b [O]; the last one is the head, to which no activation belongs.
        activation: of the dense layers before the head.
        origin: what errors call the place that they come from.

    Raises:
        ModelFileError: a layer's width is not that of the one before it, or there is no such activation.
    """

    cell: str
    recurrent: tuple[Weights, ...]
    dense: tuple[Weights, ...]
    activation: str
    origin: str

    def __post_init__(self) -> None:
        width = self.inputs
        for number, w in enumerate((*self.recurrent, *self.dense), 1):
            if len(w["W"]) != width:
                raise ModelFileError(
                    f"{self.origin}: layer {number} takes {len(w['W'])} numbers, and the one before it gives {width}"
                )
            width = w["U" if "U" in w else "W"].shape[0 if "U" in w else 1]
        if self.activation not in ACTIVATIONS:
            raise ModelFileError(
                f"{self.origin}: a dense layer has the activation {self.activation!r}, none of {', '.join(ACTIVATIONS)}"
            )

    @property
    def inputs(self) -> int:
        """Numbers that a step takes."""
        return len(self.recurrent[0]["W"])

    @property
    def outputs(self) -> int:
        """Numbers that a step gives."""
        return int(self.dense[-1]["W"].shape[1])

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of each recurrent layer."""
        return tuple(len(w["U"]) for w in self.recurrent)

    @property
    def units(self) -> tuple[int, ...]:
        """Units of each dense layer before the head."""
        return tuple(int(w["W"].shape[1]) for w in self.dense[:-1])

    @property
    def precision(self) -> str:
        """The format that holds every number."""
        arrays = [array for w in (*self.recurrent, *self.dense) for array in w.values()]
        return "float64" if any(array.dtype == np.float64 for array in arrays) else "float32"

    @classmethod
    def of(cls, forecaster: Forecaster | Model, cells: Sequence[str], framework: str) -> Layers:
        """The layers of a network that is nothing but layers.

        Args:
            forecaster: whose network it is.
            cells: that the framework has.
            framework: its name.

        Raises:
            SettingError: the network is more than layers of such a cell; says what.
        """
        model = forecaster.model_ if isinstance(forecaster, Forecaster) else forecaster
        network, w, c = model.network, model.weights, model.constants
        reason = beyond_layers(network, cells) or _learned_beside(network, w)
        if reason:
            raise SettingError(
                f"{framework} has no layers for a network with {reason}: export the whole network as ONNX instead"
            )
        stack, gain = w["stack"], np.ones((network.front.inputs, 1), model.dtype)
        gain[: network.front.targets, 0] = c["ring_gain"]
        recurrent = [dict(stack["cells"][str(n)]) for n in range(len(network.stack.hidden))]
        recurrent[0]["W"] = recurrent[0]["W"] / gain
        output_gain = c["output_gain"].reshape(-1)
        head = {"W": w["head"]["out"]["W"] * output_gain, "b": w["head"]["out"]["b"] * output_gain}
        dense = [stack["dense"][str(n)] for n in range(len(network.stack.dense))]
        return cls(network.stack.cell, tuple(recurrent), (*dense, head), network.stack.activation, "this network")


def require_numbers(array: np.ndarray, name: str, origin: str) -> None:
    """Refuse weights that no training leaves, and with which steps would overflow.

    Raises:
        ModelFileError: one is NaN, infinite or beyond `LARGEST`.
    """
    if not (np.abs(array) <= np.float64(LARGEST)).all():
        raise ModelFileError(
            f"{origin}: {shortened(name)} holds NaN, infinity or numbers beyond {LARGEST:g}: train it again"
        )


def beyond_layers(network: Network, cells: Sequence[str]) -> str:
    """What a network has beside layers of one of these cells, in the words of the settings; empty for nothing."""
    front, stack, head = network.front, network.stack, network.head
    reasons = {
        "several members": network.members.axis > 0,
        "vectors or maps of single series": network.series > 0,
        "no recurrent layer": not stack.hidden,
        f"cell = {stack.cell!r}": stack.cell not in cells,
        f"normalize = {front.normalize!r}": front.normalize != "none",
        f"lags = {front.lags}": front.lags != 1,
        f"skip = {front.skip}": front.skip > 0,
        "missing = true": front.missing,
        "level_input = true": front.level_input,
        "calendar = true": front.calendar > 0,
        "residual = true": stack.residual,
        f"decoder = {head.decoder!r}": bool(head.decoder),
        "a head of quantiles or of a distribution": head.width > 1,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _learned_beside(network: Network, w: Any) -> str:
    """What the weights say beside layers."""
    starts = [f"init_{part}" for part in CELLS[network.stack.cell].states]
    if any(np.any(cell[name]) for cell in w["stack"]["cells"].values() for name in starts):
        return "a learned initial state"
    return "covariates known ahead in its head" if network.head.future and np.any(w["head"]["mix"]["W"]) else ""
