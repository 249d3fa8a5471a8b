"""One recurrence, many executions: NumPy's step, scan and segment give the numbers of tests/reference.py.

JAX has a file of its own, test_model_jax.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference
from model_cases import (
    BATCH,
    HEADS,
    STEPS,
    STRUCTURES,
    TOLERANCE,
    build,
    case,
    close,
    like,
    natively,
    parameters,
    reference_of,
    reference_rows,
    referred,
    same_bits,
    same_state,
    scanned,
    segmented,
    series,
    specification,
    stepped,
)

from statecast import config
from statecast.model.cells import CELLS
from statecast.model.kernel import interface
from statecast.model.kernel import library as kernel_library
from statecast.model.kernel.network import refuses

# Every cell × normaliser × head; the structures take turns, so that each meets each cell and each normaliser.
NAMES = list(STRUCTURES)
TABLE = (
    [
        (cell, normalize, head, NAMES[(c + n + h * 5) % len(NAMES)])
        for (c, cell), (n, normalize), (h, head) in itertools.product(
            enumerate(CELLS), enumerate(config.NORMALIZERS), enumerate(("point", "pinball"))
        )
    ]
    + [
        ("gru", normalize, head, "dense")
        for normalize in config.NORMALIZERS
        for head in (*config.DISTRIBUTIONS, "decoder")
    ]
    + [("lstm", "ewma", "point", structure) for structure in STRUCTURES]
)


def test_the_settings_name_the_cells() -> None:
    assert list(CELLS) == list(config.CELLS)
    assert {cell for cell, *_ in TABLE} == set(CELLS)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("names", TABLE, ids="-".join)
def test_numpy_step_scan_and_segment(names: tuple[str, ...], dtype: str) -> None:
    network, p, inputs, reset = case(*names, dtype=dtype)
    forecasts, last = reference_of(*names, dtype=dtype)
    for execution in (stepped, scanned):
        result, state = execution(network, p, inputs, reset)
        assert result.dtype == dtype
        close(result, forecasts, TOLERANCE[dtype])
        assert {name: part.dtype for name, part in state.items()} == dict.fromkeys(network.parts(), np.dtype(dtype))
        same_state(state, last, TOLERANCE[dtype])
    result, cells = segmented(network, p, inputs, reset)
    close(result, forecasts, TOLERANCE[dtype])
    for name in cells:
        close(cells[name], last[name], TOLERANCE[dtype])


@pytest.mark.skipif(kernel_library.refuses() is not None, reason=kernel_library.description())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "names", [r for r in TABLE if r[0] in interface.CELLS and r[2] in ("point", "pinball")], ids="-".join
)
def test_native_step(names: tuple[str, ...], dtype: str) -> None:
    network, p, inputs, reset = case(*names, dtype=dtype)
    assert refuses(network, p) is None
    result, state = natively(network, p, inputs, reset)
    assert result.dtype == dtype
    close(result, reference_of(*names, dtype=dtype)[0], TOLERANCE[dtype])
    same_state(state, reference_of(*names, dtype=dtype)[1], TOLERANCE[dtype])
    same_bits(state["static"], inputs["static"][-1])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_decodes(cell: str, dtype: str) -> None:
    """Over the horizon, from the stack's output and what is known ahead."""
    network = build("gru", head="decoder", horizon=5)
    network = replace(network, head=replace(network.head, decoder=cell))
    p = parameters(network, dtype=dtype)
    inputs, reset = series(network, p, 4, 2)
    forecasts, _ = referred(network, p, inputs, reset)
    for execution in (stepped, scanned):
        close(execution(network, p, inputs, reset)[0], forecasts, TOLERANCE[dtype])


@pytest.mark.parametrize("normalize", ["last", "ewma", "window"])
def test_a_level_of_a_million_keeps_its_digits(normalize: str) -> None:
    """In float32, with steps of about 1: no more is lost than the last digit of the forecast itself."""
    network = build("gru", normalize, "point", "one-layer", skip=7, level_input=False)
    p = parameters(network, dtype=np.float32)
    inputs, reset = series(network, p, STEPS, BATCH)
    inputs["y"] = np.round(inputs["y"] + 1e6 * inputs["m"])
    p["constants"]["level"] += 1e6
    forecasts, _ = referred(network, p, inputs, reset)
    for execution in (stepped, scanned, segmented, *([natively] if kernel_library.refuses() is None else [])):
        error = abs(execution(network, p, inputs, reset)[0] - forecasts)
        assert error.max() <= 2 * np.spacing(np.float32(abs(forecasts).max()))


# --- what else changes the front


@pytest.mark.parametrize("normalize", config.NORMALIZERS)
@pytest.mark.parametrize(
    "sizes",
    [
        {"skip": 0, "lags": 1, "horizon": 1, "targets": 1, "missing": False, "level_input": False, "columns": {}},
        {"skip": 1, "lags": 4, "horizon": 3, "targets": 3, "missing": True, "level_input": False, "columns": {}},
        {"skip": 6, "lags": 1, "horizon": 2, "targets": 2, "missing": False, "level_input": True},
        {"skip": 12, "lags": 2, "horizon": 1, "targets": 1, "missing": True, "columns": {"past": 3, "static": 2}},
        {"skip": 2, "lags": 15, "horizon": 1, "targets": 1, "missing": False, "columns": {"known": 2}, "decay": 1.0},
        {"columns": {"past": 1, "calendar": 3}, "holidays": ("2024-12-25",)},  # the calendar alone is known ahead
        {"columns": {"known": 1, "calendar": 3}, "holidays": ("2024-12-25",), "horizon": 3},
    ],
    ids=["least", "lags", "skip", "ring-longer-than-series", "lags-longer-than-series", "calendar-ahead", "known-too"],
)
def test_sizes_of_the_front(normalize: str, sizes: dict[str, Any]) -> None:
    network = build("gru", normalize, "pinball", **sizes)
    p = parameters(network)
    inputs, reset = series(network, p, STEPS, BATCH)
    assert network.front.inputs == network.stack.inputs
    forecasts, last = referred(network, p, inputs, reset)
    for execution in (stepped, scanned, *([natively] if kernel_library.refuses() is None else [])):
        result, state = execution(network, p, inputs, reset)
        close(result, forecasts, 1e-12)
        same_state(state, last, 1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("normalize", "head", "sizes"),
    [
        ("last", "point", {"targets": 1, "skip": 3, "horizon": 7}),
        ("last", "pinball", {"targets": 1, "skip": 19, "horizon": 1}),
        ("window", "point", {"targets": 2, "skip": 33, "horizon": 5}),
        ("ewma", "normal", {"targets": 2, "skip": 4, "horizon": 2}),
        ("none", "decoder", {"targets": 1, "skip": 2, "horizon": 2}),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_series_with_linear_maps_of_their_own(normalize: str, head: str, sizes: dict[str, int], dtype: str) -> None:
    """Of four rows the first is no training series, and the others are three of them."""
    network = build("gru", normalize, head, maps=3, **sizes)
    p = parameters(network, dtype=dtype)
    inputs, reset = series(network, p, STEPS, 4)
    forecasts, last = referred(network, p, inputs, reset)
    native = refuses(network, p) is None
    assert native == (kernel_library.refuses() is None and head in ("point", "pinball"))
    for execution in (stepped, scanned, *([natively] if native else [])):
        result, state = execution(network, p, inputs, reset)
        close(result, forecasts, TOLERANCE[dtype])
        same_state(state, last, TOLERANCE[dtype])
        assert state["series"].tolist() == [[0], [1], [2], [3]]
    close(segmented(network, p, inputs, reset)[0], forecasts, TOLERANCE[dtype])
    horizon = network.head.horizon
    ahead = np.arange(1, horizon + 1) if network.head.decoder else np.unique([1, horizon])
    some = inputs | {"future": inputs["future"][:, :, ahead - 1]}
    close(scanned(*network.narrowed(p, ahead), some, reset)[0], forecasts[:, :, ahead - 1], TOLERANCE[dtype])
    none = {**p, "constants": p["constants"] | {"maps": np.zeros_like(p["constants"]["maps"])}}
    apart = abs(scanned(network, none, inputs, reset)[0] - forecasts).max(axis=(0, 2, 3, 4))
    assert apart[0] < 1e-4 and (apart[1:] > 0.1).all()


@pytest.mark.parametrize("normalize", config.NORMALIZERS)
def test_scale_of_every_step_and_chosen_outputs(normalize: str) -> None:
    network, p, inputs, reset = case("gru", normalize, "pinball", "one-layer")
    _, forecasts, scale = network.scan(p, network.start(p, BATCH, like(p)), inputs, reset)
    close(scale[-1], reference_of("gru", normalize, "pinball", "one-layer")[1]["scale"], 1e-12)
    assert scale.shape == (STEPS, BATCH, network.front.targets)
    picked = np.array([0, 3, STEPS - 1])
    _, some, scales = network.scan(p, network.start(p, BATCH, like(p)), inputs, reset, picked)
    close(some, forecasts[picked], 1e-13)
    same_bits(scales, scale[picked])


@pytest.mark.parametrize("execution", [stepped, scanned])
@pytest.mark.parametrize("normalize", config.NORMALIZERS)
def test_the_state_holds_the_last_forecast(normalize: str, execution: Callable[..., Any]) -> None:
    """A forecast can be made from a state alone, without the row that led to it."""
    names = ("lstm", normalize, "pinball", "dense")
    network, p, inputs, reset = case(*names)
    forecasts, last = reference_of(*names)
    _, state = execution(network, p, inputs, reset)
    result, scale = network.emit(p, state, inputs["future"][-1])
    close(result, forecasts[-1], 1e-12)
    close(scale, last["scale"], 1e-12)
    same_bits(state["static"], inputs["static"][-1])


@pytest.mark.parametrize("normalize", config.NORMALIZERS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_in_two_parts(cell: str, normalize: str) -> None:
    """The state after the first part is all that the second one needs, in one chunk of one row and one of the rest."""
    network, p, inputs, reset = case(cell, normalize, "point", "one-layer")
    whole, last = scanned(network, p, inputs, reset)
    state, parts = network.start(p, BATCH, like(p)), []
    for span in (slice(0, 4), slice(4, 5), slice(5, None)):
        state, result, _ = network.scan(p, state, {name: value[span] for name, value in inputs.items()}, reset[span])
        parts.append(result)
    close(np.concatenate(parts), whole, 1e-13)
    for name, part in last.items():
        # What is not held after a reset may be what was there before, or nothing.
        held = last["held"] if name == "ring" else 1
        close(state[name] * held, part * held, 1e-13)


# --- beyond the horizon


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "minlstm"])
def test_forecasts_feed_on_themselves(cell: str, head: str) -> None:
    """Seven steps from blocks of H = 2: central forecasts are seen as values before the next block is made."""
    network, p, inputs, _ = case(cell, "ewma", head, "dense")
    known, ahead = slice(0, 3), slice(3, None)
    calm = np.zeros((STEPS, BATCH), bool)
    state = network.start(p, BATCH, like(p))
    state, result, _ = network.scan(p, state, {name: value[known] for name, value in inputs.items()}, calm[known])
    blocks = [result[-1]]
    for n in range(3):
        for k in range(2):
            fed = {name: value[3 + 2 * n + k] for name, value in inputs.items() if name not in ("y", "m")}
            fed["y"] = blocks[n][:, k, :, network.head.middle]
            state, forecast = network.step(p, state, fed | {"m": np.ones_like(fed["y"])})
        blocks.append(forecast)
    plain = reference.plain(p)
    for b in range(BATCH):
        rows = reference_rows(inputs, calm, b)
        reference_values = reference.beyond(
            specification(network), plain["weights"], plain["constants"], rows[known], rows[ahead], 7
        )
        close(np.concatenate([block[b] for block in blocks])[:7], reference_values, 1e-12)
