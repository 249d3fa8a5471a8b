"""Keras' recurrent weights: from a .keras or .weights.h5 file, and back.

Keras keeps matrices as this house does, [I, gates·H]. An LSTM's gates are i, f, c, o, in the order that they have here;
a GRU's are z, r, h where they are r, u, n here. With `reset_after` a GRU has two biases, which add but for the second
of h; without it, it is `gru_reset_before`. A .keras file tells the layers, a .weights.h5 file arrays alone; of neither
any code is run, so a Lambda or a class of one's own is a layer without a counterpart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.config import canonical
from statecast.data.grid.roles import Roles
from statecast.errors import ModelFileError, SettingError, shortened
from statecast.estimators.forecaster import Forecaster
from statecast.interop import adopt, hdf5
from statecast.interop.adopt import Inputs, Numbers
from statecast.interop.layers import Layers, Weights, require_numbers
from statecast.model.container import parse_json
from statecast.model.trained import Model

if TYPE_CHECKING:
    import h5py

RECURRENT = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}  # blocks of gates
FOLDERS = {"SimpleRNN": "simple_rnn", "GRU": "gru", "LSTM": "lstm", "Dense": "dense"}
FOLDERS["TimeDistributed"] = "time_distributed"
IDLE = {"InputLayer", "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "ActivityRegularization"}
IDLE_FOLDERS = {"input_layer", "dropout", "spatial_dropout1d", "gaussian_noise", "gaussian_dropout"}
IDLE_FOLDERS |= {"activity_regularization", "reshape"}
ACTIVATIONS = {
    "linear": "linear",
    "tanh": "tanh",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "swish": "silu",
}
CELLS = ("rnn_tanh", "rnn_relu", "lstm", "gru", "gru_reset_before")
_FOLDER = re.compile(r"(.+?)(?:_(\d{1,4}))?")


@dataclass(frozen=True)
class ListedLayer:
    """A layer as a file tells it.

    Attributes:
        kind: its class.
        config: what the file says of it; empty where the file holds arrays alone.
        folder: where its arrays lie.
    """

    kind: str
    config: Mapping[str, Any]
    folder: str


def from_keras(
    weights: str | Path,
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
    activation: str | None = None,
    **settings: Any,
) -> Forecaster:
    """A Forecaster of `SimpleRNN`, `LSTM` or `GRU` layers and the `Dense` layers behind them.

    Args:
        weights: a .keras file, whose layers are one chain, or a .weights.h5 file.
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
        cell: "rnn_relu" for `SimpleRNN(activation="relu")` in a .weights.h5 file, which has only shapes.
        activation: of the dense layers before the last in a .weights.h5 file.
        settings: of the Forecaster, such as `levels`; those of the network follow from the weights.

    Raises:
        ModelFileError: the file is not valid, or holds layers, activations or options without a counterpart (named).
        DataError: the table cannot be used.
        SettingError: an argument does not fit the weights.
        MissingDependency: h5py is not installed.

    Example:
        >>> sc.interop.from_keras("model.keras", table, target="passengers", time="month")  # doctest: +SKIP
    """
    path = Path(weights)
    chain = _of_archive(path, cell, activation) if path.suffix == ".keras" else _of_weights(path, cell, activation)
    roles = Roles.of(target, id, time, past, known, static, freq)
    return adopt.forecaster(chain, source, roles, Inputs(inputs, mean, scale), settings)


def to_keras_weights(forecaster: Forecaster | Model) -> list[np.ndarray]:
    """The weights of a network that consists of layers alone, as `keras.Model.set_weights` takes them for such layers.

    Inputs are the targets, then past, known and static covariates, standardised as in `from_torch`; outputs likewise.

    Raises:
        SettingError: the network is more than layers that Keras has.

    Example:
        >>> bare = sc.Forecaster(horizon=3, hidden=4, lags=1, skip=0, normalize="none", max_steps=0)
        >>> [array.shape for array in sc.interop.to_keras_weights(bare.fit(np.sin(np.arange(200) / 4)))]
        [(1, 16), (4, 16), (16,), (4, 3), (3,)]
    """
    chain = Layers.of(forecaster, CELLS, "Keras")
    arrays: list[np.ndarray] = []
    for w in chain.recurrent:
        arrays += [_swapped(chain.cell, w["W"]), _swapped(chain.cell, w["U"]), _bias(chain.cell, w)]
    for w in chain.dense:
        arrays += [w["W"].copy(), w["b"].copy()]
    return arrays


def _bias(cell: str, w: Weights) -> np.ndarray:
    if cell != "gru":
        return _swapped(cell, w["b"])
    second = np.zeros_like(w["b"])
    second[2 * len(w["U"]) :] = w["bn"]
    return np.stack([_swapped(cell, w["b"]), second])


def _swapped(cell: str, array: np.ndarray) -> np.ndarray:
    """Blocks of gates in Keras' order from this house's, or the other way round: a GRU's first two change places."""
    if not cell.startswith("gru"):
        return array.copy()
    first, second, rest = np.split(array, 3, axis=-1)
    return np.concatenate([second, first, rest], axis=-1)


def _of_archive(path: Path, cell: str | None, activation: str | None) -> Layers:
    """The layers of a .keras file, as its configuration tells them."""
    if cell is not None or activation is not None:
        raise SettingError(f"{path} states its cell and activations: leave cell and activation out")
    text, content = hdf5.zipped(path, "config.json", "model.weights.h5")
    try:
        document = parse_json(text, infinite=True)
    except ValueError as error:
        raise ModelFileError(f"{path}: config.json cannot be read: {error}") from error
    with hdf5.opened(content, str(path)) as file:
        return _chain(_layers(document, str(path)), file, str(path), None, None)


def _of_weights(path: Path, cell: str | None, activation: str | None) -> Layers:
    """The layers of a .weights.h5 file, by the names of their folders."""
    with hdf5.opened(path, str(path)) as file:
        root = hdf5.group(file, "layers", str(path))
        if root is None:
            raise ModelFileError(f"{path} has no group 'layers': expected what Keras 3 writes by model.save_weights(…)")
        kinds = {folder: kind for kind, folder in FOLDERS.items()}
        layers = []
        for folder in hdf5.names(root, str(path)):
            match = _FOLDER.fullmatch(folder)
            kind = match[1] if match else folder
            if kind in kinds:
                layers.append(
                    (kind not in ("lstm", "gru", "simple_rnn"), int((match and match[2]) or 0), kinds[kind], folder)
                )
            elif kind not in IDLE_FOLDERS:
                raise ModelFileError(f"{path}: the layer {shortened(folder)} has no counterpart")
        if len({kind for behind, _, kind, _ in layers if behind}) > 1:
            raise ModelFileError(f"{path} does not say in which order its dense layers are: give the .keras file")
        ordered = [ListedLayer(kind, {}, folder) for _, _, kind, folder in sorted(layers)]
        return _chain(ordered, file, str(path), cell, activation)


def _layers(document: Any, origin: str) -> list[ListedLayer]:
    """The layers of a model's configuration, which must be one chain."""
    kind = document.get("class_name") if isinstance(document, dict) else None
    if kind not in ("Sequential", "Functional"):
        raise ModelFileError(f"{origin}: a model of the class {shortened(kind)}: expected Sequential or Functional")
    config = document.get("config")
    items = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(items, list) or len(items) > hdf5.MOST_MEMBERS:
        raise ModelFileError(f"{origin}: config.json lists no layers")
    layers: list[ListedLayer] = []
    counts: dict[str, int] = {}
    before = None
    for item in items:
        name, settings = (item.get("class_name"), item.get("config")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(settings, dict):
            raise ModelFileError(f"{origin}: {shortened(item)} is not a layer")
        if name not in IDLE and name not in FOLDERS and name != "Reshape":
            note = ", as it reads the future" if name == "Bidirectional" else ""
            raise ModelFileError(f"{origin}: the layer {shortened(name)} has no counterpart{note}")
        if kind == "Functional":
            _require_link(item, before, origin)
            before = item.get("name")
        stem = FOLDERS.get(name)
        if stem is not None:
            number = counts.get(stem, 0)
            counts[stem] = number + 1
            layers.append(ListedLayer(name, settings, stem if not number else f"{stem}_{number}"))
    return layers


def _require_link(item: Mapping[str, Any], before: Any, origin: str) -> None:
    """Refuse a layer that does not take what the layer before it gives, and nothing else."""
    sources = _sources(item.get("inbound_nodes"))
    if sources != ([] if before is None else [before]):
        raise ModelFileError(
            f"{origin}: the layer {shortened(item.get('name'))} takes {shortened(sources)}: expected one chain "
            "of layers"
        )


def _sources(nodes: Any) -> list[Any]:
    """The names of the layers that are inputs, wherever in the nodes they are told."""
    if isinstance(nodes, dict):
        history = nodes.get("keras_history")
        if isinstance(history, list) and history:
            return [history[0]]
        return [name for value in nodes.values() for name in _sources(value)]
    return [name for value in nodes for name in _sources(value)] if isinstance(nodes, list) else []


def _chain(
    listed: Sequence[ListedLayer], file: h5py.File, origin: str, cell: str | None, activation: str | None
) -> Layers:
    """The arrays of layers in order."""
    recurrent: list[Weights] = []
    dense: list[Weights] = []
    cells, acts = set(), []
    for layer in listed:
        if layer.kind in RECURRENT:
            if dense:
                raise ModelFileError(
                    f"{origin}: the layer {layer.folder!r} comes after a dense one: expected it before"
                )
            name, weights = _recurrent(layer, _arrays(file, f"layers/{layer.folder}/cell/vars", origin), origin, cell)
            cells.add(name)
            recurrent.append(weights)
        else:
            inner, place = _inner(layer, origin), "layer/vars" if layer.kind == "TimeDistributed" else "vars"
            dense.append(_dense(layer, _arrays(file, f"layers/{layer.folder}/{place}", origin), origin))
            acts.append(_activation(inner.get("activation", "linear"), origin, layer))
    if not recurrent or not dense or len(cells) > 1:
        reason = "expected recurrent layers of one kind, and a Dense layer behind them"
        raise ModelFileError(f"{origin} has the layers {', '.join(layer.folder for layer in listed)}: {reason}")
    return Layers(cells.pop(), tuple(recurrent), tuple(dense), _between(acts, listed, origin, activation), origin)


def _between(acts: Sequence[str], listed: Sequence[ListedLayer], origin: str, activation: str | None) -> str:
    """The activation of the dense layers before the last, which has none."""
    if not any(layer.config for layer in listed):
        if len(acts) > 1 and activation is None:
            raise SettingError(f"{origin} does not say what acts between its dense layers: give activation")
        return str(canonical("activation", activation or "linear"))
    if acts[-1] != "linear":
        raise ModelFileError(f"{origin}: the last Dense layer has the activation {acts[-1]!r}: expected 'linear'")
    if len(set(acts[:-1])) > 1:
        raise ModelFileError(
            f"{origin}: dense layers have the activations {', '.join(acts[:-1])}: expected one for all"
        )
    return acts[0]


def _arrays(file: h5py.File, path: str, origin: str) -> list[np.ndarray]:
    group = hdf5.group(file, path, origin)
    if group is None:
        raise ModelFileError(f"{origin} holds no weights at {path!r}: save the whole model with Keras 3")
    arrays = hdf5.arrays(group, origin)
    for array in arrays:
        require_numbers(array, path, origin)
    return arrays


def _inner(layer: ListedLayer, origin: str) -> Mapping[str, Any]:
    """The configuration of a dense layer, which may be applied to each step by a layer around it."""
    if layer.kind != "TimeDistributed" or not layer.config:
        return layer.config
    inner = layer.config.get("layer")
    settings = inner.get("config") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or inner.get("class_name") != "Dense" or not isinstance(settings, dict):
        raise ModelFileError(f"{origin}: {layer.folder!r} is not around a Dense layer, and no other has a counterpart")
    return settings


def _activation(value: Any, origin: str, layer: ListedLayer) -> str:
    name = ACTIVATIONS.get(value) if isinstance(value, str) else None
    if name is None:
        raise ModelFileError(
            f"{origin}: the activation {shortened(value)} of {layer.folder!r} has no counterpart: "
            f"expected {', '.join(ACTIVATIONS)}"
        )
    return name


def _recurrent(layer: ListedLayer, arrays: list[np.ndarray], origin: str, cell: str | None) -> tuple[str, Weights]:
    """The cell and the weights of one recurrent layer."""
    gates, place = RECURRENT[layer.kind], f"{origin}: {layer.folder!r}"
    shapes = [array.shape for array in arrays]
    units = shapes[1][0] if len(shapes) > 1 and len(shapes[1]) == 2 else 0
    width = gates * units
    bias = {(width,), (2, width)} if layer.kind == "GRU" else {(width,)}
    fits = len(shapes) in (2, 3) and units and len(shapes[0]) == 2 and shapes[0][1] == width and shapes[1][1] == width
    if not fits or (len(shapes) == 3 and shapes[2] not in bias):
        raise ModelFileError(
            f"{place} holds arrays {[list(shape) for shape in shapes]}, which are not those of {layer.kind}"
        )
    twice = shapes[2] == (2, width) if len(shapes) == 3 else bool(layer.config.get("reset_after", True))
    name = _cell(layer, origin, cell, twice)
    kernel, recurrent = (_swapped(name, array) for array in arrays[:2])
    both = np.zeros((2, width), kernel.dtype)
    if len(shapes) == 3:
        both[: arrays[2].ndim] = _swapped(name, arrays[2])
    weights = {"W": kernel, "U": recurrent, "b": both[0] + both[1]}
    if name == "gru":
        weights["b"][2 * units :], weights["bn"] = both[0, 2 * units :], both[1, 2 * units :].copy()
    return name, weights


def _cell(layer: ListedLayer, origin: str, cell: str | None, twice: bool) -> str:
    """The cell of a recurrent layer; `twice` says whether a GRU has two biases."""
    config = layer.config
    for option in ("go_backwards", "return_state"):
        if config.get(option):
            raise ModelFileError(
                f"{origin}: {layer.folder!r} has {option} = {shortened(config[option])}: expected False"
            )
    if layer.kind == "SimpleRNN":
        names = {"tanh": "rnn_tanh", "relu": "rnn_relu"}
        name = names.get(acts) if isinstance(acts := config.get("activation", "tanh"), str) else None
        options = tuple(names.values()) if not config else (name,)
    else:
        acts, gate = config.get("activation", "tanh"), config.get("recurrent_activation", "sigmoid")
        name = "lstm" if layer.kind == "LSTM" else "gru" if twice else "gru_reset_before"
        if layer.kind == "GRU" and config.get("reset_after", twice) != twice:
            raise ModelFileError(
                f"{origin}: {layer.folder!r} has reset_after = {shortened(config['reset_after'])}, not so its arrays"
            )
        options = (name,)
        acts = acts if acts != "tanh" else gate if gate != "sigmoid" else None
        name = name if acts is None else None
    if name is None:
        raise ModelFileError(f"{origin}: the activation {shortened(acts)} of {layer.folder!r} has no counterpart")
    if cell is None:
        return name
    if canonical("cell", cell) not in options:
        raise SettingError(f"cell = {cell!r}: the weights are of {' or '.join(str(option) for option in options)}")
    return str(canonical("cell", cell))


def _dense(layer: ListedLayer, arrays: list[np.ndarray], origin: str) -> Weights:
    shapes = [array.shape for array in arrays]
    if (
        len(shapes) not in (1, 2)
        or len(shapes[0]) != 2
        or not arrays[0].size
        or shapes[1:] not in ([], [shapes[0][1:]])
    ):
        raise ModelFileError(
            f"{origin}: {layer.folder!r} holds arrays {[list(shape) for shape in shapes]}, not those of Dense"
        )
    return {"W": arrays[0], "b": arrays[1] if len(arrays) > 1 else np.zeros(shapes[0][1], arrays[0].dtype)}
