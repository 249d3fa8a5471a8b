"""Networks of other frameworks, in and out; nothing of a framework is needed but its files or arrays."""

from statecast.interop.keras import from_keras, to_keras_weights
from statecast.interop.torch import from_torch, to_torch

__all__ = ["from_keras", "from_torch", "to_keras_weights", "to_torch"]
