"""What the arrays of a model must be: their names, shapes and formats, and which numbers they may hold.

`archive` asks this of every file. All weights and constants are finite but for the limits, which are infinite where
forecasts may be of any size; what is divided by is positive; what is used as an index is one. Everything is looked at
in pieces, so that checking a table of a million series takes little room beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.values import FIRST_DAY, LAST_DAY, LATEST
from statecast.errors import ModelFileError, shortened
from statecast.model import surprise, tails
from statecast.model.inputs import numbers_of
from statecast.model.shapes import described, forms
from statecast.model.state import UNSEEN, State
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

TRAINING = tuple(f"training/{name}" for name in ("first", "train", "val"))  # the arrays of `TrainingRows`
OPTIONAL = {"residuals", "paths", "typical", "phases", "tails", *TRAINING}
PIECE = 1 << 20  # numbers that are looked at together
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")

Test = Callable[[np.ndarray], Any]
Rule = tuple[str, Test]  # what numbers should be, for people and for programs


def _finite(x: np.ndarray) -> Any:
    return np.isfinite(x)


def _positive(x: np.ndarray) -> Any:
    return np.isfinite(x) & (x > 0)


def _at_least_zero(x: np.ndarray) -> Any:
    return np.isfinite(x) & (x >= 0)


def _flag(x: np.ndarray) -> Any:
    return (x == 0) | (x == 1)


def _below(count: int) -> Test:
    return lambda x: (x >= 0) & (x < count) & (x == np.floor(x))


FINITE = "finite numbers", _finite
POSITIVE = "finite numbers above zero", _positive
AT_LEAST_ZERO = "finite numbers of at least zero", _at_least_zero
FLAG = "zeros and ones", _flag
CONSTANTS: dict[str, Rule] = {
    "floor": ("finite numbers, or −∞ for none", lambda x: np.isfinite(x) | (x == -np.inf)),
    "ceiling": ("finite numbers, or ∞ for none", lambda x: np.isfinite(x) | (x == np.inf)),
    "low": ("finite numbers, or −∞ for none", lambda x: np.isfinite(x) | (x == -np.inf)),
    "high": ("finite numbers, or ∞ for none", lambda x: np.isfinite(x) | (x == np.inf)),
    "least": AT_LEAST_ZERO,
    "spread": AT_LEAST_ZERO,
    **dict.fromkeys(("unit", "deviation", "ring_gain", "output_gain"), POSITIVE),
    **dict.fromkeys(("past_scale", "known_scale", "static_scale"), POSITIVE),
}
STATE: dict[str, Rule] = dict.fromkeys(("spread", "count", "since"), AT_LEAST_ZERO) | {"held": FLAG}


def require_forms(flat: Mapping[str, Any], model: Model) -> None:
    """Refuse arrays of other names, shapes or formats than those of the model.

    Args:
        flat: arrays by their paths, as `shapes.leaves` gives them.
        model: settings, columns and network; its own arrays are not looked at.

    Raises:
        ModelFileError: which is missing, superfluous or different.
    """
    config = model.config
    expected = forms(model.network, model.layout, config.dtype, config.cell_heads)
    require_alike(flat, expected, OPTIONAL)
    if any(path in flat for path in TRAINING) and not all(path in flat for path in TRAINING):
        raise ModelFileError("it tells the rows that it was trained on in part")


def require_alike(flat: Mapping[str, Any], expected: Mapping[str, Any], optional: Collection[str] = ()) -> None:
    """Refuse arrays of other names, shapes or formats than these; see `shapes.forms` and `shapes.leaves`.

    Raises:
        ModelFileError: which is missing, superfluous or different.
    """
    for path in sorted(expected.keys() | flat.keys()):
        if path not in expected:
            raise ModelFileError(f"it holds {shortened(path)}, which its network does not have")
        if path not in flat and path not in optional:
            raise ModelFileError(f"it lacks {path!r}")
        if path in flat and not _alike(flat[path], expected[path]):
            raise ModelFileError(f"{path!r} is {_description(flat[path])}, expected {_description(expected[path])}")


def _alike(array: Any, form: Any) -> bool:
    """Whether an array has this form; branches without arrays are empty dicts on both sides."""
    return array == form if isinstance(array, dict) or isinstance(form, dict) else bool(form.fits(array))


def _description(thing: Any) -> str:
    if isinstance(thing, dict):
        return "a branch without arrays"
    return described(thing.dtype, thing.shape)


def require_numbers(flat: Mapping[str, Any], model: Model) -> None:
    """Refuse weights, constants and quantiles that no model has; their forms are right.

    Raises:
        ModelFileError: which are wrong, and what they should be.
    """
    for path, array in flat.items():
        branch, _, name = path.partition("/")
        if branch in ("weights", "constants", "residuals", "paths") and not isinstance(array, dict):
            require(array, *(CONSTANTS.get(name, FINITE) if branch == "constants" else FINITE), path)
    _require_limits(flat, model)
    if "paths" in flat and not len(flat["paths"]):
        raise ModelFileError("'paths' holds none")
    for path in {"typical", "phases"} & flat.keys():
        require(flat[path], *POSITIVE, path)
    if "phases" in flat and not len(flat["phases"]):
        raise ModelFileError("'phases' holds none")
    if "tails" in flat:
        _require_tails(flat["tails"])
    if "residuals" in flat and (np.diff(flat["residuals"], axis=0) < 0).any():
        raise ModelFileError("'residuals' do not ascend")


def _require_limits(flat: Mapping[str, Any], model: Model) -> None:
    """Refuse limits between which no value lies, and logarithms of distances from none."""
    least, floor, ceiling, low, high = (
        flat[f"constants/{name}"] for name in ("least", "floor", "ceiling", "low", "high")
    )
    if (floor > ceiling).any():
        raise ModelFileError("'constants/floor' lies above 'constants/ceiling'")
    if (low >= high).any():
        raise ModelFileError("'constants/low' does not lie below 'constants/high'")
    if (np.isinf(low) & np.isinf(high) & (least > 0)).any():
        raise ModelFileError("'constants/least' is a distance from 'low' or 'high', and there is neither")
    lower, upper = model.limits.lower, model.limits.upper
    if (ceiling != upper).any() or (np.isfinite(lower) & (floor != lower)).any():
        raise ModelFileError("'constants/floor' or 'constants/ceiling' is not the limit that its settings state")


def _require_tails(array: Float64[np.ndarray, "P 2 D"]) -> None:
    """Refuse what is not a distribution of positions; its form is right."""
    body, rest = array[: len(tails.BODY)], array[len(tails.BODY) :]
    require(body, *FINITE, "tails")
    require(rest[:-1:2], *POSITIVE, "tails")
    require(rest[-1], f"a middle between ±{tails.OFF}", lambda x: np.abs(x) <= tails.OFF, "tails")
    require(rest[1:-1:2], f"shapes between ±{tails.HEAVIEST}", lambda x: np.abs(x) <= tails.HEAVIEST, "tails")
    if (np.diff(body, axis=0) < 0).any():
        raise ModelFileError("'tails' do not ascend")


def require_state(state: State, model: Model) -> None:
    """Refuse a state that no series can be in; its form is right.

    Raises:
        ModelFileError: which part is wrong.
        UnknownSeries: a network of local ones has none for a series.
    """
    require_times(state.time, len(state.ids), model, "state/time")
    if len(state.data) != len(state.ids):
        raise ModelFileError(f"its state has {len(state.data):,} rows for {len(state.ids):,} names")
    rules: dict[str, Rule] = dict(STATE)
    if model.adaptive:
        rules["turn"] = "whole numbers in turn", _below(int(model.adaptive.leads[-1]))
    parts = state.layout.unpack(state.data)
    for name, part in parts.items():
        require(part, *rules.get(name, FINITE), f"state/{name}")
    if model.adaptive:
        require(parts["waiting"][..., -1], *AT_LEAST_ZERO, "state/waiting")
        require(parts["shifts"][:, :, len(model.adaptive.levels) :], *AT_LEAST_ZERO, "state/shifts")
        if model.adaptive.watched:
            require(parts["watch"][:, 2], "how many forecasts", _below(len(model.adaptive.leads) + 1), "state/watch")
            require(parts["watch"][:, 4], "the number of a bet", _below(len(surprise.BETS) + 1), "state/watch")
            require(parts["past"][:, 0], *AT_LEAST_ZERO, "state/past")
            require(parts["excess"], *AT_LEAST_ZERO, "state/excess")
            require(parts["usual"], *AT_LEAST_ZERO, "state/usual")
            require(parts["records"][:, :, :, 1:], *AT_LEAST_ZERO, "state/records")
            require(parts["stakes"][:, :, 1], *AT_LEAST_ZERO, "state/stakes")
    if "series" in parts and (parts["series"] != numbers_of(model.network, model.schema, state.ids)).any():
        raise ModelFileError("its state takes one series for another")
    _require_side_by_side(state, model)


def require_times(times: Int64[np.ndarray, " S"], count: int, model: Model, path: str) -> None:
    """Refuse times that are not one for each of `count` series, or lie where no step can follow.

    Raises:
        ModelFileError: which.
    """
    if len(times) != count:
        raise ModelFileError(f"{path!r} holds {len(times):,} times for {count:,} series")
    if model.schema.time_kind in ("integer", "row"):
        first, last, rule = 1 - LATEST, LATEST - 1, f"times between ±{LATEST}"
    else:
        first, last, rule = FIRST_DAY, LAST_DAY - 1, "times in the years 1 to 9999"
    require(times, rule, lambda x: (x == UNSEEN) | ((x >= first) & (x <= last)), path)


def _require_side_by_side(state: State, model: Model) -> None:
    """The rows of a series stand together, one for each target, and stand at the same time."""
    schema, width = model.schema, len(model.schema.target) // model.network.front.targets
    if width == 1:
        return
    if len(state.ids) % width or (state.time.reshape(-1, width) != state.time[::width, None]).any():
        raise ModelFileError("the targets of a series do not stand at the same time")
    for begin in range(0, len(state.ids), width):
        rows = state.ids[begin : begin + width]
        name = str(rows[0]).removesuffix(f"/{schema.target[0]}")
        alone = schema.id is None and rows == schema.target
        if not alone and rows != tuple(f"{name}/{target}" for target in schema.target):
            raise ModelFileError(f"{shortened(rows[0])} is not the first target of a series")
        if schema.id_kind == "integer" and not _INTEGER.fullmatch(name):
            raise ModelFileError(f"the series {shortened(name)} has no integer id")


def history(values: Any) -> dict[str, list[float]]:
    """The columns of a training history, from JSON.

    Raises:
        ValueError: they are none.
    """
    columns = values.values() if isinstance(values, dict) else [None]
    if not all(isinstance(column, list) and all(type(item) in (int, float) for item in column) for column in columns):
        raise ValueError(f"its history is {shortened(values)}, not columns of numbers")
    if len(set(map(len, columns))) > 1:
        raise ValueError(f"its history is {shortened(values)}, whose columns are not of one length")
    return dict(values)


def require(array: np.ndarray, rule: str, test: Test, path: str) -> None:
    """Refuse numbers that fail a test; `rule` says what they should be, and `path` where they are.

    Raises:
        ModelFileError: one of them.
    """
    for piece in _pieces(array):
        if not test(piece).all():
            value = piece[~test(piece)].reshape(-1)[0]
            raise ModelFileError(f"{path!r} holds {value}, expected {rule}")


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array in pieces along its first axis."""
    size = max(PIECE // max(array[:1].size, 1), 1)
    for begin in range(0, len(array), size):
        yield array[begin : begin + size]
