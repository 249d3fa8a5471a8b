"""PyTorch's recurrent weights: from a safetensors file or a state dict of arrays, and back.

PyTorch keeps a matrix as [gates·H, I] where this house has [I, gates·H], in the same order of gates: i, f, g, o of an
LSTM, r, z, n of a GRU. It has two biases, which add, but for the GRU's b_hn, which the reset gate multiplies, as `bn`
does here. A state dict tells shapes alone; what it cannot tell, such as the activation of `nn.RNN`, the caller says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from statecast.config import canonical
from statecast.data.grid.roles import Roles
from statecast.errors import ModelFileError, SettingError, shortened
from statecast.estimators.forecaster import Forecaster
from statecast.interop import adopt
from statecast.interop.adopt import Inputs, Numbers
from statecast.interop.layers import Layers, Weights, require_numbers
from statecast.model.container import require_finite
from statecast.model.trained import Model

# By blocks of gates; the first is nn's default.
CELLS: dict[int, tuple[str, ...]] = {1: ("rnn_tanh", "rnn_relu"), 3: ("gru",), 4: ("lstm",)}
FORMATS = ("F16", "F32", "F64")
MOST_TENSORS, MOST_LINEAR = 10_000, 8
PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
CONVERT = (
    "it may hold a pickle, which runs code when it is read, so it is not opened; where you trust it, convert it: "
    "safetensors.torch.save_file(torch.load(path, weights_only=True), 'weights.safetensors')"
)
_RECURRENT = re.compile(r"(?:(.+)\.)?(weight|bias)_(ih|hh|hr)(?:_l(\d{1,4}))?(_reverse)?")
_LINEAR = re.compile(r"(?:(.+)\.)?(weight|bias)")

Modules = dict[str, dict[str, np.ndarray]]  # arrays by their names within a module, by the module's name


def from_torch(
    weights: str | Path | Mapping[str, Any],
    source: Any = None,
    *,
    target: str | Sequence[str] | None = None,
    id: str | None = None,
    time: str | None = None,
    past: str | Sequence[str] | None = None,
    known: str | Sequence[str] | None = None,
    static: str | Sequence[str] | None = None,
    freq: str | None = None,
    inputs: Sequence[str] | None = None,
    mean: Numbers = 0.0,
    scale: Numbers = 1.0,
    cell: str | None = None,
    layers: Sequence[str] | None = None,
    activation: str | None = None,
    **settings: Any,
) -> Forecaster:
    """A Forecaster of `nn.RNN`, `nn.LSTM` or `nn.GRU` layers and the `nn.Linear` layers behind them.

    Args:
        weights: a safetensors file of a state dict, or the state dict itself, whose values are arrays or tensors.
        source: a table like that of `Forecaster.fit`: each series then continues from its end, its last rows determine
            how wide intervals are, and `evaluation_` compares the network with the baselines. None for a Forecaster
            that has not seen any series yet; `update` or a stream brings them.
        target: the columns that the outputs forecast: for D of them the next H values, step by step, H·D numbers.
        id: the column that names the series. Without a table, ids are strings, and all other columns hold numbers.
        time: the column of times. Without a table, rows are steps if it is None.
        past: covariates that are known up to the present.
        known: covariates known ahead.
        static: covariates of a series.
        freq: the length of a step, such as "1h"; needed along with `time` if there is no table.
        inputs: the features in the order of the network's inputs, if other than targets, past, known, static.
        mean: the network's inputs and outputs are (value − mean) / scale, e.g. with `mean_` and `scale_` of a
            StandardScaler: one number for all inputs, one for each, or a mapping from columns.
        scale: likewise.
        cell: "rnn_relu" for `nn.RNN(nonlinearity="relu")`; otherwise it follows from the shapes.
        layers: names of the modules in order, if that does not follow from the shapes.
        activation: of the linear layers before the last, if there are any; "gelu" is the tanh form.
        settings: of the Forecaster, such as `levels`; those of the network follow from the weights.

    Raises:
        ModelFileError: the file or the state dict is not valid, or holds layers without a counterpart, which are named.
        DataError: the table cannot be used.
        SettingError: an argument does not fit the weights.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> state_dict = {
        ...     "gru.weight_ih_l0": rng.standard_normal((12, 1)), "gru.weight_hh_l0": rng.standard_normal((12, 4)),
        ...     "gru.bias_ih_l0": np.zeros(12), "gru.bias_hh_l0": np.zeros(12),
        ...     "head.weight": rng.standard_normal((3, 4)), "head.bias": np.zeros(3),
        ... }
        >>> sc.interop.from_torch(state_dict, np.sin(np.arange(200) / 4)).forecast().values.shape
        (1, 3, 1)
    """
    origin, tensors = _tensors(weights)
    chain = layers_of(origin, tensors, cell, layers, activation)
    roles = Roles.of(target, id, time, past, known, static, freq)
    return adopt.forecaster(chain, source, roles, Inputs(inputs, mean, scale), settings)


def to_torch(forecaster: Forecaster | Model, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The state dict of a network that consists of layers alone, as arrays for `torch.from_numpy`.

    Inputs are the targets, then past, known and static covariates, standardised as in `from_torch`; outputs likewise.

    Args:
        forecaster: the one whose network it is.
        layers: names of the modules in order. Recurrent layers of one width are one module of several layers; by
            default "rnn", the linear layers "dense0", …, and the last "head".

    Raises:
        SettingError: the network is more than layers that PyTorch has, or there are more or fewer modules.

    Example:
        >>> bare = sc.Forecaster(horizon=3, hidden=4, lags=1, skip=0, normalize="none", max_steps=0)
        >>> arrays = sc.interop.to_torch(bare.fit(np.sin(np.arange(200) / 4)))
        >>> arrays["head.weight"].shape
        (3, 4)
    """
    chain = Layers.of(forecaster, [name for names in CELLS.values() for name in names], "PyTorch")
    # A module has one width; where widths differ, each layer is a module.
    alike = len(set(chain.hidden)) == 1
    blocks = [chain.recurrent] if alike else [(w,) for w in chain.recurrent]
    default = ["rnn"] if alike else [f"rnn{n}" for n in range(len(blocks))]
    default += [f"dense{n}" for n in range(len(chain.units))] + ["head"]
    names = default if layers is None else list(layers)
    if len(names) != len(default) or len(set(names)) < len(names):
        raise SettingError(f"layers = {names}: expected {len(default)} different names, such as {', '.join(default)}")
    state: dict[str, np.ndarray] = {}
    for name, block in zip(names, blocks, strict=False):
        for n, w in enumerate(block):
            state |= {f"{name}.{part}_l{n}": array for part, array in _torch_layer(chain.cell, w).items()}
    for name, w in zip(names[len(blocks) :], chain.dense, strict=True):
        state |= {f"{name}.weight": np.ascontiguousarray(w["W"].T), f"{name}.bias": w["b"].copy()}
    return state


def _torch_layer(cell: str, w: Weights) -> Weights:
    second = np.zeros_like(w["b"])
    if cell == "gru":
        second[2 * len(w["U"]) :] = w["bn"]
    matrices = {f"weight_{part}": np.ascontiguousarray(w[name].T) for part, name in (("ih", "W"), ("hh", "U"))}
    return matrices | {"bias_ih": w["b"].copy(), "bias_hh": second}


def layers_of(
    origin: str,
    tensors: Mapping[str, np.ndarray],
    cell: str | None = None,
    order: Sequence[str] | None = None,
    activation: str | None = None,
) -> Layers:
    """The layers of a state dict; see `from_torch` for the arguments and errors."""
    recurrent, linear = _modules(origin, tensors)
    if not recurrent or not linear:
        what = "recurrent layer" if not recurrent else "linear layer behind the recurrent ones"
        raise ModelFileError(f"{origin} has no {what}: its tensors are {shortened(sorted(tensors)[:20])}")
    first, then = _ordered(origin, recurrent, linear, order)
    names, layers = set(), []
    for module in first:
        for part in _layers(origin, module, recurrent[module]):
            name, weights = _house_layer(origin, module, part, cell)
            names.add(name)
            layers.append(weights)
    if len(names) > 1:
        raise ModelFileError(f"{origin} mixes {' and '.join(sorted(names))} layers: expected layers of one cell")
    dense = [_dense(origin, module, linear[module]) for module in then]
    if len(dense) > 1 and activation is None:
        raise SettingError(
            f"a state dict does not say what acts between the linear layers {', '.join(then)}: give activation"
        )
    acts = canonical("activation", activation or "linear")
    return Layers(names.pop(), tuple(layers), tuple(dense), acts, origin)


def _tensors(weights: str | Path | Mapping[str, Any]) -> tuple[str, dict[str, np.ndarray]]:
    """What errors call the weights, and the arrays by their names."""
    if isinstance(weights, str | Path):
        origin, named = str(weights), dict(_of_file(Path(weights)))
    elif isinstance(weights, Mapping):
        origin, named = "the state dict", {name: _array(name, value) for name, value in weights.items()}
    else:
        raise SettingError(f"weights = {shortened(weights)}: expected a safetensors file or a state dict")
    if len(named) > MOST_TENSORS:
        raise ModelFileError(f"{origin} has {len(named):,} tensors, more than {MOST_TENSORS:,}")
    for name, array in named.items():
        require_numbers(array, name, origin)
    return origin, named


def _of_file(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a safetensors file, which is checked whole before any of them is read."""
    from safetensors import SafetensorError, safe_open

    if path.suffix in PICKLED:
        raise ModelFileError(f"{path}: {CONVERT}")
    require_finite(path)
    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118  # it is not a mapping
                kind = file.get_slice(name).get_dtype()
                if kind not in FORMATS:
                    raise ModelFileError(
                        f"{path}: tensor {shortened(name)} is {kind}, expected one of {', '.join(FORMATS)}: "
                        "convert it, e.g. with tensor.float()"
                    )
                yield name, file.get_tensor(name)
    except FileNotFoundError as error:
        raise ModelFileError(f"there is no file {path}: give a safetensors file of a state dict") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        hint = f"; {CONVERT}" if _pickled(path) else ": expected a safetensors file of a state dict"
        raise ModelFileError(f"{path} is truncated, damaged or not a safetensors file ({error}){hint}") from error


def _pickled(path: Path) -> bool:
    """Whether a file begins as PyTorch's own format does: a zip, or a bare pickle."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", b"\x80"))


def _array(name: Any, value: Any) -> np.ndarray:
    """A value of a state dict as an array."""
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"the state dict's {shortened(name)} is not an array: {error}") from error
    if not isinstance(name, str) or array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ModelFileError(
            f"the state dict's {shortened(name)} is {array.dtype}: expected names and arrays of floats"
        )
    return array


def _modules(origin: str, tensors: Mapping[str, np.ndarray]) -> tuple[Modules, Modules]:
    """Recurrent and linear modules.

    Raises:
        ModelFileError: a tensor is of neither.
    """
    recurrent: Modules = {}
    linear: Modules = {}
    for name, array in tensors.items():
        if match := _RECURRENT.fullmatch(name):
            if match[5] or match[3] == "hr":
                what = "a bidirectional layer reads the future" if match[5] else "an LSTM with proj_size"
                raise ModelFileError(f"{origin}: {shortened(name)}: {what}, which has no counterpart")
            recurrent.setdefault(match[1] or "", {})[f"{match[2]}_{match[3]}/{match[4] or 0}"] = array
        elif (match := _LINEAR.fullmatch(name)) and array.ndim == (2 if match[2] == "weight" else 1):
            linear.setdefault(match[1] or "", {})[match[2]] = array
        else:
            raise ModelFileError(
                f"{origin}: {shortened(name)} {list(array.shape)} is of no recurrent or linear layer, and no other "
                "kind of layer has a counterpart"
            )
    return recurrent, linear


def _ordered(
    origin: str, recurrent: Modules, linear: Modules, order: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """The names of recurrent and linear modules, each in order."""
    if order is not None:
        if sorted(order) != sorted([*recurrent, *linear]):
            raise SettingError(f"layers = {list(order)}: the modules are {', '.join([*recurrent, *linear])}")
        first, then = [n for n in order if n in recurrent], [n for n in order if n in linear]
        if [*first, *then] != list(order):
            raise SettingError(f"layers = {list(order)}: expected the linear layers behind the recurrent ones")
        return first, then
    if len(recurrent) > 1:
        raise SettingError(f"{origin} has the recurrent modules {', '.join(recurrent)}: give their order with layers")
    ends = [array.shape[1] for name, array in next(iter(recurrent.values())).items() if name.startswith("weight_hh")]
    chains = _chains(linear, ends[-1] if ends else 0) if len(linear) <= MOST_LINEAR else []
    if len(chains) != 1:
        raise SettingError(
            f"{origin} has the linear layers {', '.join(linear)}, whose widths allow {len(chains)} orders behind the "
            "recurrent ones: give the order with layers"
        )
    return list(recurrent), chains[0]


def _chains(linear: Modules, width: int) -> list[list[str]]:
    """Every order of linear layers in which each takes what the one before it gives."""
    if not linear:
        return [[]]
    chains = []
    for name, part in linear.items():
        weight = part.get("weight")
        if weight is not None and weight.shape[1] == width:
            rest = {other: linear[other] for other in linear if other != name}
            chains += [[name, *chain] for chain in _chains(rest, weight.shape[0])]
    return chains


def _layers(origin: str, module: str, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The layers of a recurrent module, from the first on."""
    numbers = sorted({int(name.partition("/")[2]) for name in arrays})
    if numbers != list(range(len(numbers))):
        raise ModelFileError(
            f"{origin}: {module or 'the module'} has the layers {numbers[:20]}, expected all from 0 on"
        )
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [{part: arrays[f"{part}/{n}"] for part in parts if f"{part}/{n}" in arrays} for n in numbers]


def _house_layer(origin: str, module: str, part: Mapping[str, np.ndarray], cell: str | None) -> tuple[str, Weights]:
    """The cell and the weights of one recurrent layer."""
    ih, hh = part.get("weight_ih"), part.get("weight_hh")
    if ih is None or hh is None or ih.ndim != 2 or hh.ndim != 2 or not hh.size or len(ih) != len(hh):
        shapes = {name: list(array.shape) for name, array in part.items()}
        raise ModelFileError(f"{origin}: {module or 'a layer'} holds {shapes}, expected weight_ih and weight_hh alike")
    gates, rest = divmod(len(hh), hh.shape[1])
    if rest or gates not in CELLS:
        raise ModelFileError(
            f"{origin}: weight_hh {list(hh.shape)} of {module or 'a layer'} is not that of an RNN, LSTM or GRU"
        )
    name = CELLS[gates][0] if cell is None else canonical("cell", cell)
    if name not in CELLS[gates]:
        raise SettingError(f"cell = {cell!r}: the weights are of {' or '.join(CELLS[gates])}")
    biases = [part.get(f"bias_{kind}", np.zeros(len(hh), hh.dtype)) for kind in ("ih", "hh")]
    if any(bias.shape != (len(hh),) for bias in biases):
        raise ModelFileError(
            f"{origin}: the biases of {module or 'a layer'} are not of the {len(hh)} rows of weight_hh"
        )
    first, second = biases
    weights = {"W": np.ascontiguousarray(ih.T), "U": np.ascontiguousarray(hh.T), "b": first + second}
    if name == "gru":
        new = slice(2 * hh.shape[1], None)
        weights["b"][new], weights["bn"] = first[new], second[new].copy()
    return name, weights


def _dense(origin: str, module: str, part: Mapping[str, np.ndarray]) -> Weights:
    weight = part.get("weight")
    if weight is None or not weight.size:
        raise ModelFileError(f"{origin}: the linear layer {module!r} has no weight")
    bias = part.get("bias", np.zeros(len(weight), weight.dtype))
    if bias.shape != (len(weight),):
        raise ModelFileError(f"{origin}: the bias of {module!r} is {list(bias.shape)}, expected [{len(weight)}]")
    return {"W": np.ascontiguousarray(weight.T), "b": bias}
