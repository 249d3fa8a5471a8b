"""The native kernel's C interface: its Python half says what the header says, and no call reads past what it was told.

`make sanitize` runs this file as well. The arrays that are too short are allocated at just that size, so a call that
read one of them before it compared lengths would be stopped by the address sanitizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ctypes import byref, c_double, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_cases import BATCH, build, parameters

from statecast.errors import DataError
from statecast.model import cells, surprise
from statecast.model.adaptive import Adaptive, Bounds, prior_quantiles
from statecast.model.blocks import Blocks
from statecast.model.kernel import interface, library
from statecast.model.kernel.adaptive import Follower
from statecast.model.kernel.interface import CELLS, STATUSES, fill
from statecast.model.kernel.network import NetworkStep
from statecast.model.state import Layout

needs_kernel = pytest.mark.skipif(library.refuses() is not None, reason=library.description())

# --- the header and its Python half

HEADER = Path(__file__).resolve().parents[1] / "native" / "statecast.h"
STRUCTS = {
    "layer": interface.LayerSizes,
    "inputs": interface.LayerInputs,
    "outputs": interface.LayerOutputs,
    "tape": interface.LayerTape,
    "gradients": interface.LayerGradients,
    "network": interface.NetworkSizes,
    "observations": interface.Observations,
    "adaptation": interface.Adaptation,
    "path": interface.AdaptationPath,
    "statistics_call": interface.StatisticsCall,
    "skip": interface.SkipSizes,
    "skip_arrays": interface.SkipArrays,
    "array": interface.ArrayArgument,
    "buffer": interface.ArrayArgument,
}
ENUMS = {
    "cell": CELLS,
    "dtype": interface.DTYPES,
    "isa": interface.INSTRUCTION_SETS,
    "normalize": interface.NORMALIZERS,
    "activation": interface.ACTIVATIONS,
    "status": STATUSES,
}


def header() -> str:
    """Without comments, and in one line."""
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", " ", HEADER.read_text(encoding="utf-8"), flags=re.S))


def declared(body: str) -> list[tuple[str, Any]]:
    """The fields of a struct in C, as ctypes has them: an array is an address and a length."""
    kinds = {"int32_t": c_int32, "int64_t": c_int64, "double": c_double}
    fields: list[tuple[str, Any]] = []
    for line in filter(None, (part.strip() for part in body.split(";"))):
        kind, names = re.fullmatch(r"(?:const )?(\w+)\s*(\**[\w ,*]+)", line).groups()  # type: ignore[union-attr]
        for name in (part.strip() for part in names.split(",")):
            if kind in ("statecast_array", "statecast_buffer"):
                fields += [(name, c_void_p), (f"{name}_bytes", c_int64)]
            else:
                fields.append((name.lstrip("* "), c_void_p if name.startswith("*") else kinds[kind]))
    return fields


def test_structs_are_those_of_the_header() -> None:
    structs = dict(re.findall(r"typedef struct \{([^{}]*)\} statecast_(\w+);", header()))
    bodies = {name: body for body, name in structs.items()}
    assert bodies.keys() - {"pool"} == STRUCTS.keys()
    for name, struct in STRUCTS.items():
        assert declared(bodies[name]) == list(struct._fields_), name


def test_names_stand_in_the_order_of_the_header() -> None:
    enums = dict(re.findall(r"enum statecast_(\w+) \{([^}]*)\}", header()))
    assert enums.keys() == ENUMS.keys()
    for name, order in ENUMS.items():
        numbers = [line.split("=") for line in enums[name].split(",")]
        assert [constant.strip().lower() for constant, _ in numbers] == [f"statecast_{item}" for item in order]
        assert [int(number) for _, number in numbers] == list(range(len(order)))
    assert f"#define STATECAST_VERSION {interface.VERSION} " in header()


@needs_kernel
def test_cells_have_the_gates_of_the_equations() -> None:
    gates = library.handle().statecast_gates
    assert [gates(n) for n in range(len(CELLS))] == [cells.CELLS[name].gates for name in CELLS]
    assert gates(-1) == gates(len(CELLS)) == 0
    assert {name for name in CELLS if cells.CELLS[name].recurrent != cells.CELLS[name].gates} == set()
    assert {name for name in CELLS if "c" in cells.CELLS[name].states} == {"lstm"}


def test_every_status_has_a_message() -> None:
    if library.load()[0] is None:
        pytest.skip(library.load()[1])
    messages = [library.handle().statecast_message(n) for n in range(len(STATUSES) + 1)]
    assert len(set(messages)) == len(STATUSES) + 1
    assert messages[-1] == b"unknown status"


# --- lengths

Call = Callable[[dict[str, np.ndarray]], str]
"""A call of the library with these arrays, and the name of the status that it returns."""


def status(number: int) -> str:
    return STATUSES[number]


def layer_call(cell: str) -> tuple[Call, Call, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Forward and backward of a small layer, and their arrays; results are named with a * in front."""
    rng, (steps, batch, inputs, hidden) = np.random.default_rng(0), (3, 2, 4, 5)
    sizes = interface.LayerSizes(CELLS.index(cell), 0, 1, -1, 1, steps, batch, inputs, hidden)
    tape = (c_int64 * 2)()
    library.check(library.handle().statecast_tape_sizes(byref(sizes), tape))
    states = cells.CELLS[cell].states
    shapes = {"x": (steps, batch, inputs)} | interface.weight_shapes(cell, inputs, hidden)
    shapes |= {name: (batch, hidden) for name in states} | {f"{name}_reset": (hidden,) for name in states}
    layer = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    layer |= {name: np.zeros((steps, batch), np.uint8) for name in ("mask", "reset")}
    results = {"y": (steps, batch, hidden), "gates": (tape[0],), "aux": (tape[1],)}
    results |= {name: (batch, hidden) for name in states}
    forward = layer | {f"*{name}": np.zeros(shape, np.float32) for name, shape in results.items()}
    backward = dict(layer) | {f"+{name}": np.zeros(results[name], np.float32) for name in ("y", "gates", "aux")}
    backward |= {f"+d{name}": np.zeros(results[name], np.float32) for name in ("y", *states)}
    backward |= {f"*d{name}": np.zeros_like(array) for name, array in layer.items() if array.dtype == np.float32}

    def named(arrays: dict[str, np.ndarray], mark: str) -> dict[str, np.ndarray]:
        if not mark:
            return {name: array for name, array in arrays.items() if name[0] not in "*+"}
        return {name[1:]: array for name, array in arrays.items() if name[0] == mark}

    def run_forward(arrays: dict[str, np.ndarray]) -> str:
        inputs = fill(interface.LayerInputs(), named(arrays, ""))
        outputs = fill(interface.LayerOutputs(), named(arrays, "*"))
        return status(library.handle().statecast_forward(byref(sizes), byref(inputs), byref(outputs)))

    def run_backward(arrays: dict[str, np.ndarray]) -> str:
        structs = (
            fill(interface.LayerInputs(), named(arrays, "")),
            fill(interface.LayerTape(), named(arrays, "+")),
            fill(interface.LayerGradients(), named(arrays, "*")),
        )
        return status(library.handle().statecast_backward(byref(sizes), *map(byref, structs)))

    return run_forward, run_backward, forward, backward


def statistics_call() -> tuple[Call, dict[str, np.ndarray]]:
    steps, rows, targets = 4, 3, 2
    names = ("level", "spread", "count", "since")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("y", "m", *names), (steps, rows, targets))
    shapes |= {f"{name}_before": (rows, targets) for name in names}
    shapes |= {f"{name}_first": (targets,) for name in ("level", "spread")}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

    def run(arrays: dict[str, np.ndarray]) -> str:
        call = fill(interface.StatisticsCall(0, 2, 0.1, steps, rows, targets), arrays)
        return status(library.handle().statecast_statistics(byref(call)))

    return run, arrays | {"reset": np.zeros((steps, rows), np.uint8)}


def in_blocks(states: list[np.ndarray]) -> np.ndarray:
    """Where each block of a table begins, and how many bytes it has."""
    return np.array([[interface.address(block), block.nbytes] for block in states], np.int64)


def adaptive_call(along: bool) -> tuple[Call, dict[str, np.ndarray]]:
    """Two watched steps ahead of three, two levels and two targets, sized; five rows in blocks of two."""
    leads, levels, targets, rows, count, steps = 2, 2, 2, 5, 3, 4
    begin, waiting = 4, 3 * targets * 2
    report = (leads * (levels + 2) + len(surprise.REPORT)) * targets
    memory = Layout.of(surprise.parts(targets)).size
    stride = begin + 1 + waiting + leads * (levels + 2) * targets + memory
    shapes = {"origin": (targets,), "unit": (targets,), "width": (leads, targets), "rate": (leads,), "share": (levels,)}
    shapes |= dict.fromkeys(("low", "high"), (leads, levels, targets)) | dict.fromkeys(
        ("typical", "middle"), (leads, targets)
    )
    bounds = {name: np.ones(shape) for name, shape in shapes.items()}
    bounds |= {"excess": np.ones((2, targets)), "centre": np.zeros(targets), "rules": surprise.rules(10.0)}
    bounds |= {"steps": np.array([1, 2]), "ahead": np.array([0, 1])}
    table = [np.zeros((2, stride), np.float32) for _ in range(3)]
    arrays = {"forecast": np.ones((count, 3, targets), np.float32), "scale": np.ones((count, targets), np.float32)}
    arrays |= {"blocks": in_blocks(table), "index": np.array([4] if along else [4, 0, 2])}
    arrays |= {"values": np.ones((steps if along else count, targets))}
    arrays["report"] = np.zeros((2 if along else count, report), np.float32)
    path = {"*origins": np.array([0, 1, 2, 2]), "*places": np.array([-1, 0, -1, 1])} if along else {}

    def run(arrays: dict[str, np.ndarray], held: Any = table) -> str:
        fixed = interface.Adaptation(0, 0.01, 20.0, 10.0, 0.1, 1e6, leads, levels, targets, 3, begin, 0, 1)
        adaptation = fill(fixed, {name: array for name, array in arrays.items() if name in bounds})
        rest = {name: array for name, array in arrays.items() if name not in bounds and name[0] != "*"}
        observations = fill(interface.Observations(2, rows, stride, count), rest)
        if not along:
            return status(library.handle().statecast_adapt(byref(adaptation), byref(observations)))
        path = fill(interface.AdaptationPath(steps, 2), {n[1:]: array for n, array in arrays.items() if n[0] == "*"})
        return status(library.handle().statecast_adapt_along(byref(adaptation), byref(observations), byref(path)))

    return run, bounds | arrays | path


def observe_call() -> tuple[Call, dict[str, np.ndarray]]:
    """Five rows in blocks of two."""
    network = build("gru", "last", "pinball", "deep-residual")
    p = parameters(network, dtype=np.float32)
    step, stride = NetworkStep(network, p), Layout.of(network.parts()).size
    head, targets, covariates = network.head, network.front.targets, step._covariates
    table = [np.zeros((2, stride), np.float32) for _ in range(3)]
    arrays = {
        "blocks": in_blocks(table),
        "index": np.array([3, 1]),
        "values": np.ones((2, targets)),
        "covariates": np.ones((2, covariates), np.float32),
        "future": np.ones((2, head.horizon, head.future), np.float32),
        "forecast": np.zeros((2, head.horizon, targets, head.width), np.float32),
        "scale": np.zeros((2, targets), np.float32),
    }

    def run(arrays: dict[str, np.ndarray], held: Any = table) -> str:
        call = fill(interface.Observations(2, 5, stride, 2), arrays)
        return status(library.handle().statecast_network_observe(step._packed, 1, byref(call), None))

    return run, arrays


def skip_calls() -> dict[str, tuple[Call, dict[str, np.ndarray]]]:
    """The linear skip over five taps, four steps of two series of two targets, and two steps ahead."""
    places, steps, batch, targets, taps, horizon = 20, 4, 2, 2, 5, 2
    sizes = interface.SkipSizes(0, 1, -1, 1, places, steps, batch, targets, taps, horizon, 0)
    shapes = {"y": (targets, places), "m": (targets, places)}
    shapes |= dict.fromkeys(("level", "scale"), (steps, batch, targets))
    series = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    series |= {name: np.full((steps, batch), 6, np.int32) for name in ("last", "age")}
    weights, result = (
        np.ones((targets, taps, horizon), np.float32),
        np.ones((steps, batch, horizon, targets), np.float32),
    )

    def call(direction: str) -> Call:
        function = getattr(library.handle(), f"statecast_skip_{direction}")
        return lambda arrays: status(function(byref(sizes), byref(fill(interface.SkipArrays(), arrays))))

    return {
        "skip_forward": (call("forward"), series | {"W": weights, "out": result}),
        "skip_backward": (call("backward"), series | {"dout": result, "dW": weights}),
    }


def skip_call(direction: str) -> tuple[Call, dict[str, np.ndarray]]:
    """Rings of four values at three steps of two series, and two steps ahead."""
    places, steps, batch, targets, size, horizon = 20, 3, 2, 2, 4, 2
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("y", "m"), (targets, places))
    shapes |= dict.fromkeys(("level", "scale"), (steps, batch, targets))
    weights, outputs, count = (targets, size, horizon), (steps, batch, horizon, targets), 3
    shapes |= {"W": weights, "out": outputs} if direction == "forward" else {"dout": outputs, "dW": weights}
    shapes |= {"maps": (count, targets, horizon, size)} if direction == "forward" else {}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    last = np.add.outer(np.arange(steps), np.array([5, 15]))
    arrays |= {"last": last.astype(np.int32), "age": np.full((steps, batch), 4, np.int32)}
    arrays |= {"numbers": np.full((steps, batch), count, np.int32)} if direction == "forward" else {}

    def run(arrays: dict[str, np.ndarray]) -> str:
        sizes = interface.SkipSizes(0, 1, -1, 1, places, steps, batch, targets, size, horizon, count)
        call = getattr(library.handle(), f"statecast_skip_{direction}")
        return status(call(byref(sizes), byref(fill(interface.SkipArrays(), arrays))))

    return run, arrays


def all_calls() -> dict[str, tuple[Call, dict[str, np.ndarray]]]:
    calls = {"statistics": statistics_call(), "adapt": adaptive_call(False), "adapt_along": adaptive_call(True)}
    calls |= {"observe": observe_call(), "skip": skip_call("forward"), "skip back": skip_call("backward")}
    calls |= skip_calls()
    for cell in CELLS:
        forward, backward, arrays, gradients = layer_call(cell)
        calls |= {f"forward-{cell}": (forward, arrays), f"backward-{cell}": (backward, gradients)}
    return calls


@needs_kernel
def test_an_array_of_another_length_is_refused_by_every_call() -> None:
    for name, (run, arrays) in all_calls().items():
        assert run(arrays) == "ok", name
        for field, array in arrays.items():
            if array.size == 0:  # the tape of a simple recurrent network has no such part
                continue
            flat = array.ravel()
            for other in (flat[:-1].copy(), np.append(flat, flat[:1]), flat[:0].copy()):
                assert run(arrays | {field: other}) == "bad_length", (name, field, other.size)


@needs_kernel
def test_an_array_of_narrower_elements_is_refused_by_every_call() -> None:
    """int8 where doubles are read: as many elements, and an eighth of the memory."""
    for name, (run, arrays) in all_calls().items():
        for field, array in arrays.items():
            if array.itemsize > 1 and array.size:
                assert run(arrays | {field: array.astype(np.int8)}) == "bad_length", (name, field)


@needs_kernel
def test_an_array_that_is_not_aligned_is_refused() -> None:
    run, arrays = statistics_call()
    room = np.zeros(arrays["y"].nbytes + 8, np.uint8)
    odd = room[1 : 1 + arrays["y"].nbytes]
    assert run(arrays | {"y": odd}) == "bad_length"


@needs_kernel
def test_a_block_of_states_that_is_too_short_is_refused() -> None:
    for name in ("adapt", "adapt_along", "observe"):
        run, arrays = all_calls()[name]
        row = int(arrays["index"][0])
        blocks = arrays["blocks"].copy()
        blocks[row // 2, 1] -= 4 + (1 - row % 2) * blocks[row // 2, 1] // 2  # one number of the row is missing
        assert run(arrays | {"blocks": blocks}) == "bad_length", name
        blocks[row // 2] = 0
        assert run(arrays | {"blocks": blocks}) == "null", name


@needs_kernel
def test_rows_outside_the_table_are_refused() -> None:
    for name in ("adapt", "adapt_along", "observe"):
        run, arrays = all_calls()[name]
        for row in (-1, 5, 2**62):
            index = arrays["index"].copy()
            index[0] = row
            assert run(arrays | {"index": index}) == "bad_row", (name, row)
    for direction in ("forward", "backward"):
        run, arrays = skip_call(direction)
        for field, number in (("last", 20), ("last", 2), ("last", -1), ("age", -1)):
            places = arrays[field].copy()
            places[0, 0] = number
            assert run(arrays | {field: places}) == "bad_row", (field, number)
    run, arrays = skip_call("forward")
    for number in (4, -1):
        assert run(arrays | {"numbers": np.full_like(arrays["numbers"], number)}) == "bad_row"
    run, arrays = adaptive_call(True)
    for field, number in (("*origins", 3), ("*origins", -1), ("*places", 2), ("*places", -2)):
        assert run(arrays | {field: np.array([0, 0, 0, number])}) == "bad_row"
    for field, numbers in (("steps", [1, 3]), ("ahead", [0, 3]), ("ahead", [-1, 0])):
        assert run(arrays | {field: np.array(numbers)}) == "bad_shape"


def pack_call() -> tuple[Callable[..., str], list[np.ndarray | None], np.ndarray, np.ndarray, np.ndarray]:
    """An LSTM of four units with a head, a skip and maps: the call, its arrays, units, columns and block."""
    sizes = interface.NetworkSizes(
        isa=interface.INSTRUCTION_SETS.index(library.instruction_set()), decay=0.1, floor=1e-8, ceiling=20.0,
        targets=1, lags=2, skip=3, layers=1, horizon=2, members=2, series=5,
    )  # fmt: skip
    shapes = [(2, 16), (4, 16), (16,), None, (4, 2), (2,), (1, 3, 2)] * 2
    arrays = [np.ones(1), np.ones(1), *(np.ones(1, np.float32) for _ in range(4)), np.ones(2, np.float32)]
    arrays.append(np.ones((5, 1, 2, 3), np.float32))
    arrays += [None if shape is None else np.ones(shape, np.float32) for shape in shapes]
    units, columns = np.array([4]), np.arange(11) * 8
    size = library.handle().statecast_network_bytes(byref(sizes), byref(interface.argument(units)))
    room = np.zeros(size + 64, np.uint8)
    begin = -interface.address(room) % 64

    def run(arrays: list[np.ndarray | None], units: np.ndarray, columns: np.ndarray, block: np.ndarray) -> str:
        arguments = [byref(interface.argument(array)) for array in (units, columns, block)]
        listed = (interface.ArrayArgument * len(arrays))(*(interface.ArrayArgument(*interface.span(a)) for a in arrays))
        return status(library.handle().statecast_network_pack(
            byref(sizes), *arguments[:2], listed, len(arrays), arguments[2])
        )  # fmt: skip

    return run, arrays, units, columns, room[begin : begin + size]


def others(array: np.ndarray) -> list[np.ndarray]:
    """Arrays of other lengths, and one of as many elements that are narrower."""
    flat = array.ravel()
    return [flat[:-1].copy(), flat[:0].copy(), np.append(flat, flat[:1]), flat.astype(np.int8)]


@needs_kernel
def test_packing_takes_as_many_arrays_of_such_lengths_as_the_network_has() -> None:
    run, arrays, *rest = pack_call()
    assert run(arrays, *rest) == "ok"
    for n, array in enumerate(arrays):
        if array is None:
            assert run([*arrays[:n], np.ones(4, np.float32), *arrays[n + 1 :]], *rest) == "bad_length"
            continue
        for other in others(array):
            assert run([*arrays[:n], other, *arrays[n + 1 :]], *rest) == "bad_length", (n, other)
        assert run([*arrays[:n], None, *arrays[n + 1 :]], *rest) == "null"
    for number in (arrays[:-1], [*arrays, np.ones(1, np.float32)], []):
        assert run(number, *rest) == "bad_length"
    for n, array in enumerate(rest):
        for other in others(array)[: 2 if n == 2 else 4]:  # bytes are as narrow as can be
            assert run(arrays, *rest[:n], other, *rest[n + 1 :]) in ("bad_length", "null"), n


@needs_kernel
def test_a_network_that_has_other_arrays_than_it_says_is_not_packed() -> None:
    network = build("gru", "last", "pinball", "deep-residual")
    p = parameters(network, dtype=np.float32)
    NetworkStep(network, p)
    weights, cells_of = p["weights"], p["weights"]["stack"]["cells"]
    for name in ("W", "U", "b", "bn"):
        for other in others(cells_of["1"][name]):
            changed = {**cells_of, "1": cells_of["1"] | {name: other}}
            with pytest.raises(DataError, match="not as long as the sizes say"):
                NetworkStep(network, {**p, "weights": {**weights, "stack": weights["stack"] | {"cells": changed}}})
    for name in ("origin", "spread", "output_gain"):
        for other in others(p["constants"][name])[:3]:
            with pytest.raises(DataError, match="not as long as the sizes say"):
                NetworkStep(network, {**p, "constants": p["constants"] | {name: other}})


# --- what a state or a caller may say


def follower() -> tuple[Follower, Adaptive, Layout]:
    network = build("gru", "last", "point", "one-layer", horizon=9)
    adaptive = Adaptive(network.head, (80.0, 95.0))
    layout = Layout.of(adaptive.parts())
    constants = {"origin": np.zeros(2), "unit": np.ones(2)}
    bounds = Bounds.of(adaptive, prior_quantiles(network.head))
    return Follower(adaptive, bounds, constants, 0, 0, 0, np.float32), adaptive, layout


@needs_kernel
@pytest.mark.parametrize("turn", [np.nan, np.inf, -1.0, -1e30, 1e30, 8.0, 0.5])
def test_a_turn_that_is_none_moves_nothing_outside_its_row(turn: float) -> None:
    """It is a number of the state, which may come from a file."""
    native, adaptive, layout = follower()
    states = np.zeros((BATCH, layout.size), np.float32)
    states[1, layout.slices["turn"][0]] = turn
    before = states.copy()
    forecast, scale = np.ones((1, 9, 2, 1), np.float32), np.ones((1, 2), np.float32)
    native.step(Blocks.of(states), np.ones((1, 2)), forecast, scale, np.array([1]))
    np.testing.assert_array_equal(np.delete(states, 1, axis=0), np.delete(before, 1, axis=0))
    assert 0 <= states[1, layout.slices["turn"][0]] < adaptive.leads[-1]


@needs_kernel
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones((1, 2), np.float32)}, "values is float32"),
        ({"values": np.ones((1, 3))}, r"values is float64\[1, 3\]"),
        ({"scale": np.ones((1, 2))}, "scale is float64"),
        ({"forecast": np.ones((1, 9, 2, 1))}, "forecast is float64"),
        ({"forecast": np.ones((1, 5, 2, 1), np.float32)}, "5 steps ahead, expected 4 or 9"),
        ({"index": np.array([1], np.int32)}, "index is int32"),
        ({"index": np.array([99])}, "row index"),
        ({"states": Blocks.of(np.zeros((3, 400)))}, "C-ordered float32"),
        ({"states": Blocks.of(np.zeros((3, 10), np.float32))}, "a column lies outside a row"),
    ],
    ids=lambda part: part if isinstance(part, str) else next(iter(part)),
)
def test_adaptation_names_what_is_wrong(change: dict[str, Any], message: str) -> None:
    native, _, layout = follower()
    states = np.zeros((3, layout.size), np.float32)
    right = {"states": Blocks.of(states), "values": np.ones((1, 2)), "forecast": np.ones((1, 9, 2, 1), np.float32)}
    right |= {"scale": np.ones((1, 2), np.float32), "index": np.array([1])}
    with pytest.raises(DataError, match=message):
        native.step(**right | change)
    assert not states.any()
    native.step(**right)
    assert states.any()


@needs_kernel
def test_bounds_of_another_precision_are_refused() -> None:
    network = build("gru", "last", "point", "one-layer", horizon=9)
    adaptive, constants = Adaptive(network.head, (80.0,)), {"origin": np.zeros(2), "unit": np.ones(2)}
    for dtype in (np.int8, np.float32):
        bounds = Bounds.of(adaptive, prior_quantiles(network.head).astype(dtype))
        with pytest.raises(DataError, match="expected float64"):
            Follower(adaptive, bounds, constants, 0, 0, 0, np.float32)
