"""The native kernel's step of a whole network: its promises beyond the conformance table, and what it refuses."""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass, replace
from typing import Any

import forecast_cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import (
    BATCH,
    STEPS,
    build,
    case,
    close,
    first_state,
    like,
    mapped,
    natively,
    parameters,
    same_bits,
    scanned,
    series,
    stepped,
)

from statecast.errors import DataError
from statecast.forecast.runner import Runner
from statecast.forecast.stream import Stream
from statecast.model.blocks import Blocks
from statecast.model.heads.head import Head
from statecast.model.kernel import interface, layer
from statecast.model.kernel import library as kernel_library
from statecast.model.kernel.interface import STATUSES
from statecast.model.kernel.network import NetworkStep, refuses
from statecast.model.members import Members, stacked
from statecast.model.network import Network
from statecast.model.state import Layout

pytestmark = pytest.mark.skipif(kernel_library.load()[0] is None, reason=kernel_library.load()[1])

SETS = kernel_library.runs() if kernel_library.load()[0] is not None else ()


def table(network: Network, p: Any, rows: int) -> np.ndarray:
    """States of series that have seen nothing."""
    layout = Layout.of(network.parts())
    states = np.empty((rows, layout.size), like(p).dtype)
    layout.pack(first_state(network, p, rows), states)
    return states


def observed(step: NetworkStep, states: np.ndarray, inputs: Any, **more: Any) -> Any:
    """A step with the first row of inputs."""
    columns = np.concatenate([inputs[name][0] for name in ("past", "known", "calendar", "static")], axis=-1)
    values = inputs["y"][0].astype(np.float64)
    return step.step(states, values, columns, inputs["future"][0], **more)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("cell", interface.CELLS)
def test_every_instruction_set(cell: str, instruction_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers wider than a register, and sizes that fill no register."""
    monkeypatch.setenv("STATECAST_KERNEL", instruction_set)
    network = build(cell, "last", "pinball", "dense", hidden=(19, 33), horizon=21, skip=37, lags=18)
    p = parameters(network, dtype=np.float32)
    inputs, reset = series(network, p, STEPS, BATCH)
    result, state = natively(network, p, inputs, reset)
    expected, last = stepped(network, p, inputs, reset)
    close(result, expected, 2e-5)
    for name, part in last.items():
        close(state[name], part, 2e-5)


def several(network: Network, count: int, seed: int = 0, dtype: Any = np.float64) -> tuple[Network, Any]:
    """An ensemble of networks of this shape, and its parameters."""
    each = [mapped(lambda a: a.astype(dtype), parameters(network, seed + n)) for n in range(count)]
    weights = stacked([one["weights"] for one in each]) if count > 1 else each[0]["weights"]
    return replace(network, members=Members(count)), {"weights": weights, "constants": each[0]["constants"]}


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("head", ["point", "pinball"])
@pytest.mark.parametrize("stack", ["dense", "deep-residual"])
def test_an_ensemble_shares_its_front(
    stack: str, head: str, instruction_set: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forecasts are the mean of the members', and each goes on from what it remembers."""
    monkeypatch.setenv("STATECAST_KERNEL", instruction_set)
    network, p = several(build("lstm", "last", head, stack, horizon=7, skip=9, lags=5), 3, dtype=np.float32)
    inputs, reset = series(network, p, STEPS, BATCH)
    result, state = natively(network, p, inputs, reset)
    expected, last = stepped(network, p, inputs, reset)
    close(result, expected, 2e-5)
    assert state.keys() == last.keys()
    for name, part in last.items():
        close(state[name], part, 2e-5)


@pytest.mark.parametrize("instruction_set", SETS)
def test_maps_of_single_series(instruction_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They add to every member of an ensemble; with rows of no training series among the others."""
    monkeypatch.setenv("STATECAST_KERNEL", instruction_set)
    for head, targets, skip, horizon in (("point", 1, 37, 21), ("pinball", 2, 5, 6)):
        network = build("gru", "last", head, targets=targets, skip=skip, horizon=horizon, maps=3)
        network, p = several(network, 2, dtype=np.float32)
        inputs, reset = series(network, p, STEPS, 9)
        result, state = natively(network, p, inputs, reset)
        expected, last = stepped(network, p, inputs, reset)
        close(result, expected, 2e-5)
        same_bits(state["series"], last["series"])


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("cell", interface.CELLS)
def test_many_steps_in_one_call(cell: str, instruction_set: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bits of as many calls, for rows enough for several blocks and threads, and for a row without the others."""
    monkeypatch.setenv("STATECAST_KERNEL", instruction_set)
    network, p = several(build(cell, "last", "point", "deep-residual", skip=9, lags=5), 2, dtype=np.float32)
    inputs, _ = series(network, p, 7, 5)
    many = {name: np.tile(value, (1, 60, *[1] * (value.ndim - 2))) for name, value in inputs.items()}
    columns = np.concatenate([many[name] for name in ("past", "known", "calendar", "static")], axis=-1)
    values, step = np.where(many["m"] > 0, many["y"], np.nan).astype(np.float64), NetworkStep(network, p)
    each, together, alone = table(network, p, 300), table(network, p, 300), table(network, p, 1)
    for at in range(7):
        step.step(each, values[at], columns[at], many["future"][at])
    step.advance(together, values, columns)
    same_bits(together, each)
    step.advance(alone, np.ascontiguousarray(values[:, 3:4]), np.ascontiguousarray(columns[:, 3:4]))
    same_bits(alone[0], together[3])
    step.advance(together, values[:0], columns[:0])
    same_bits(together, each)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros((4, 2, 2))}, "values is float64"),
        ({"values": np.zeros((4, 3, 2), np.float32)}, "values is float32"),
        ({"covariates": None}, "covariates is nothing"),
        ({"covariates": np.zeros((3, 3, 9), np.float32)}, "covariates is"),
        ({"states": np.zeros((3, 3), np.float32)}, "numbers a row"),
        ({"states": np.zeros((3, 40))}, "C-ordered float32"),
    ],
    ids=str,
)
def test_wrong_arrays_of_many_steps_are_named_and_nothing_moves(change: dict[str, Any], message: str) -> None:
    network, p, inputs, _ = case("lstm", "last", "point", "one-layer", dtype="float32")
    states = table(network, p, 3)
    before = states.copy()
    columns = np.concatenate([inputs[name][:4] for name in ("past", "known", "calendar", "static")], axis=-1)
    right = {"states": states, "values": np.ones((4, 3, 2)), "covariates": columns}
    with pytest.raises(DataError, match=message):
        NetworkStep(network, p).advance(**right | change)
    same_bits(states, before)


@pytest.mark.parametrize("number", [-1.0, 0.5, 4.0, 1e30, np.inf, np.nan])
def test_a_number_that_no_series_has_finds_no_map(number: float) -> None:
    network = build("gru", "last", "point", maps=3)
    p = parameters(network, dtype=np.float32)
    inputs, _ = series(network, p, 1, 2)
    states, step = table(network, p, 2), NetworkStep(network, p)
    states[1, Layout.of(network.parts()).slices["series"][0]] = number
    others = {name: np.repeat(value[:, :1], 2, axis=1) for name, value in inputs.items()}
    forecast, _ = observed(step, states, others)
    same_bits(forecast[1], forecast[0])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(interface.NORMALIZERS), st.integers(1, 3), st.data())
def test_any_size(seed: int, normalize: str, targets: int, data: st.DataObject) -> None:
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    cell = data.draw(st.sampled_from(list(interface.CELLS)))
    hidden = tuple(draw(1, 40) for _ in range(draw(0, 2)))
    sizes = {"lags": draw(1, 40), "skip": draw(0, 40), "horizon": draw(1, 20), "hidden": hidden}
    head = data.draw(st.sampled_from(["point", "pinball"]))
    columns = {name: draw(0, 2) for name in ("past", "known", "calendar", "static")}
    sizes["maps"] = draw(0, 2) if sizes["skip"] else 0
    network, p = several(build(cell, normalize, head, targets=targets, columns=columns, **sizes), draw(1, 4), seed)
    inputs, reset = series(network, p, 4, 2, seed)
    result, _ = natively(network, p, inputs, reset)
    close(result, stepped(network, p, inputs, reset)[0], 1e-11)


@pytest.mark.parametrize(("cell", "maps"), [*((cell, 0) for cell in interface.CELLS), ("lstm", 5)])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_row_does_not_know_its_company(cell: str, maps: int, threads: int) -> None:
    """Alone, among others, on one thread or several: the same bits."""
    network = build(cell, "ewma", "point", "dense", hidden=(21, 5), horizon=24, maps=maps)
    p = parameters(network, dtype=np.float32)
    inputs, _ = series(network, p, 1, 700, gaps=0.1)
    together = table(network, p, 700)
    threaded = replace(network, stack=replace(network.stack, threads=threads))
    assert threaded == network
    forecast, scale = observed(NetworkStep(threaded, p), together, inputs)
    alone, step = table(network, p, 700), NetworkStep(network, p)
    for row in (0, 1, 47, 349, 350, 698, 699):
        alone_inputs = {name: value[:, row : row + 1] for name, value in inputs.items()}
        result, size = observed(step, alone, alone_inputs, index=np.array([row]))
        same_bits(result[0], forecast[row])
        same_bits(size[0], scale[row])
        same_bits(alone[row], together[row])


def test_only_the_rows_named_move_and_emit_moves_none() -> None:
    network, p, inputs, _ = case("lstm", "last", "pinball", "deep-residual", dtype="float32")
    step, states = NetworkStep(network, p), table(network, p, 9)
    before, index = states.copy(), np.array([7, 0, 3])
    forecast, scale = observed(step, states, inputs, index=index)
    same_bits(np.delete(states, index, axis=0), np.delete(before, index, axis=0))
    after = states.copy()
    again, same_scale = step.emit(states, inputs["future"][0], index)
    same_bits(states, after)
    same_bits(again, forecast)
    same_bits(same_scale, scale)


def test_values_are_in_units_of_the_table() -> None:
    network, p, inputs, reset = case("gru", "last", "point", "one-layer")
    expected, _ = natively(network, p, inputs, reset)
    moved = {"y": inputs["y"] * 4 + 1000}
    other = {**p, "constants": p["constants"] | {"origin": np.full(2, 1000.0), "unit": np.full(2, 4.0)}}
    result, _ = natively(network, other, inputs | moved, reset)
    close(result, expected, 1e-12)


def test_a_stream_goes_through_it_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    of = forecast_cases.model()
    assert Runner(of).native
    native = Stream(of).observe("a", 5.0, forecast_cases.START)
    monkeypatch.setenv("STATECAST_KERNEL", "off")
    plain_model = forecast_cases.model()
    assert not Runner(plain_model).native
    assert refuses(plain_model.network, plain_model.p) == "STATECAST_KERNEL=off"
    forecast_cases.close(Stream(plain_model).observe("a", 5.0, forecast_cases.START).values, native.values, "float32")


def test_the_setting_of_threads_reaches_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    network, p, inputs, reset = case("gru", "last", "point", "deep-residual", dtype="float32")
    one, counts = replace(network, stack=replace(network.stack, threads=1)), []
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda *a, **more: counts.append(more["threads"]) or forward(*a, **more))
    scanned(one, p, inputs, reset)
    assert counts == [1, 1, 1]
    assert NetworkStep(one, p)._threads == 1
    monkeypatch.setenv("STATECAST_THREADS", "3")
    assert NetworkStep(network, p)._threads == 3
    assert Network.of(forecast_cases.model().config.with_(threads=2), 1).stack.threads == 2


@dataclass(frozen=True)
class OtherHead(Head):
    temperature: float = 1.0


def test_what_it_does_not_know_it_refuses() -> None:
    network, p, *_ = case("lstm", "last", "point", "one-layer", dtype="float32")
    assert refuses(network, p) is None
    head = OtherHead(
        **{name: getattr(network.head, name) for name in ("inputs", "horizon", "targets", "levels", "future")}
    )
    assert "OtherHead has attributes" in str(refuses(replace(network, head=head), p))
    for head in ("normal", "decoder"):
        assert head in str(refuses(*case("gru", "last", head, "one-layer", dtype="float32")[:2]))
    assert "'mingru'" in str(refuses(*case("mingru", "last", "point", "one-layer", dtype="float32")[:2]))
    assert "series" in str(refuses(replace(network, members=Members(2, local=True)), p))
    assert "weights head/known/W" in str(refuses(replace(network, members=Members(2)), p))  # they are of one network
    assert "series" in str(refuses(replace(network, front=replace(network.front, embedding=2), series=3), p))
    more = {**p, "constants": p["constants"] | {"drift": np.zeros(2, np.float32)}}
    assert "'drift'" in str(refuses(network, more))
    wider = {**p, "weights": p["weights"] | {"skip": {"W": np.zeros((2, 4, 2), np.float32)}}}
    assert "skip/W" in str(refuses(network, wider))
    mixed = {**p, "weights": p["weights"] | {"skip": {"W": np.zeros((2, 3, 2))}}}
    assert "skip/W" in str(refuses(network, mixed))
    half = mapped(lambda a: a.astype(np.float16), p)
    assert "float16" in str(refuses(network, half))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros((3, 1))}, "values is float64"),
        ({"values": np.zeros((3, 2), np.float32)}, "values is float32"),
        ({"covariates": None}, "covariates is nothing"),
        ({"covariates": np.zeros((2, 9), np.float32)}, "covariates is"),
        ({"future": None}, "future is nothing"),
        ({"index": np.array([0, 1])}, "index must name"),
        ({"index": np.array([0, 1, 99])}, "row index"),
        ({"index": np.array([0, 1, -1])}, "row index"),
        ({"index": np.array([0, 1, 2], np.int32)}, "index must name"),
        ({"states": np.zeros((9, 3), np.float32)}, "numbers a row"),
        ({"states": np.zeros((9, 40))}, "C-ordered float32"),
    ],
    ids=str,
)
def test_wrong_arrays_are_named_and_nothing_moves(change: dict[str, Any], message: str) -> None:
    network, p, inputs, _ = case("lstm", "last", "point", "one-layer", dtype="float32")
    states = table(network, p, 9)
    before = states.copy()
    columns = np.concatenate([inputs[name][0] for name in ("past", "known", "calendar", "static")], axis=-1)
    right = {"states": states, "values": np.ones((3, 2)), "covariates": columns, "future": inputs["future"][0]}
    with pytest.raises(DataError, match=message):
        NetworkStep(network, p).step(**right | change)
    same_bits(states, before)
    states.flags.writeable = False
    with pytest.raises(DataError, match="cannot be written to"):
        NetworkStep(network, p).step(**right)


# The C interface


def sizes(**change: Any) -> Any:
    right = {"isa": -1, "decay": 0.1, "targets": 1, "lags": 1, "horizon": 1, "layers": 1, "members": 1}
    numbers = right | change
    if numbers["isa"] < 0:
        numbers["isa"] = interface.INSTRUCTION_SETS.index(kernel_library.instruction_set())
    return interface.NetworkSizes(**numbers)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"targets": 0}, "bad_shape"),
        ({"lags": -1}, "bad_shape"),
        ({"skip": 2**40}, "bad_shape"),
        ({"members": 0}, "bad_shape"),
        ({"members": 2000}, "bad_shape"),
        ({"series": -1}, "bad_shape"),
        ({"series": 1}, "bad_shape"),  # of no skip
        ({"series": 2**25, "skip": 1}, "bad_shape"),
        ({"series": 2**24, "skip": 2**17, "horizon": 2**17}, "bad_shape"),
        ({"statics": 1}, "bad_shape"),
        ({"normalize": 7}, "bad_shape"),
        ({"activation": -1}, "bad_shape"),
        ({"targets": 2**17, "horizon": 2**17, "levels": 1000}, "bad_shape"),  # more bytes than 64 bits count
        ({"cell": 5}, "bad_cell"),
        ({"dtype": 2}, "bad_dtype"),
        ({"isa": 9}, "bad_isa"),
        ({"layers": 2}, "bad_length"),  # units of one
        ({}, "null"),
    ],
)
def test_the_c_interface_refuses(change: dict[str, Any], status: str) -> None:
    lib, units = kernel_library.handle(), np.array([4], np.int64)
    at, network, number = ctypes.byref(interface.argument(units)), ctypes.byref(sizes(**change)), STATUSES.index(status)
    assert (lib.statecast_network_bytes(network, at) == 0) == (status != "null")
    assert lib.statecast_network_pack(network, at, None, None, 0, None) == number
    assert lib.statecast_network_pack(ctypes.byref(sizes()), None, None, None, 0, None) == STATUSES.index("null")
    assert lib.statecast_network_pack(None, at, None, None, 0, None) == STATUSES.index("null")


def test_a_block_that_is_no_network_is_refused() -> None:
    network, p, inputs, _ = case("lstm", "last", "point", "one-layer", dtype="float32")
    observe, none = kernel_library.handle().statecast_network_observe, interface.Observations()

    def status(block: np.ndarray | None, observations: Any) -> str:
        packed = None if block is None else ctypes.byref(interface.argument(block))
        return STATUSES[observe(packed, 1, None if observations is None else ctypes.byref(observations), None)]

    block = NetworkStep(network, p)._block
    assert status(None, none) == "null"
    assert status(block, None) == "null"
    assert status(block, none) == "bad_shape"  # rows of no numbers
    for size in (0, 8, 200, len(block) - 64):
        assert status(block[:size], none) == "bad_pack"
    for at in range(0, 200, 8):  # the header, number by number
        changed = NetworkStep(network, p)._block
        changed[at : at + 8].view(np.int64)[0] += 1 << 33
        assert status(changed, none) in ("bad_pack", "bad_shape")
    step, stride = NetworkStep(network, p), Layout.of(network.parts()).size
    assert status(block, interface.Observations(block=1, stride=stride, count=1, rows=1)) == "null"
    step._block[:] = 0
    with pytest.raises(DataError, match="not a packed network"):
        observed(step, table(network, p, 3), inputs)


def test_the_c_interface_refuses_many_steps_with_arrays_of_another_length() -> None:
    network, p, *_ = case("lstm", "last", "point", "one-layer", dtype="float32")
    step, states = NetworkStep(network, p), table(network, p, 3)
    rows, before, advance = Blocks.of(states), states.copy(), kernel_library.handle().statecast_network_advance
    values, columns = np.ones((4, 3, 2)), np.zeros((4, 3, step._covariates), np.float32)
    room = np.zeros((3, *step._forecast), np.float32)

    def status(steps: int, values: Any, columns: Any, room: Any = None) -> str:
        arrays = [*interface.span(None), *map(int, interface.span(values)), *interface.span(columns), 0, 0]
        numbers = (rows.block, 3, rows.size, 3, *rows.span, *arrays, *interface.span(room), 0, 0, 0, 0)
        observations = interface.packer(interface.Observations)(*numbers)
        return STATUSES[advance(step._packed, 2, observations, steps)]

    assert status(5, values, columns) == status(3, values, columns) == "bad_length"
    assert status(4, values, columns[:3]) == status(2**62, values, columns) == "bad_length"
    assert status(-1, values, columns) == status(4, values, columns, room) == "bad_shape"
    assert status(4, None, columns) == status(4, values, None) == "null"
    assert STATUSES[advance(step._packed, 1, None, 1)] == STATUSES[advance(None, 1, None, 1)] == "null"
    same_bits(states, before)
    assert status(4, values, columns) == "ok"


def test_a_table_in_blocks_is_stepped_where_its_rows_lie() -> None:
    network, p, inputs, _ = case("lstm", "last", "pinball", "deep-residual", dtype="float32")
    step, whole = NetworkStep(network, p), table(network, p, 9)
    blocks = Blocks(whole.shape[1], whole.dtype, 2)
    blocks.reserve(9)
    for array, inside, where in blocks.places(np.arange(9)):
        array[inside] = whole[where]
    assert (len(blocks.arrays), blocks.rows) == (5, 10)
    index = np.array([8, 3, 2])
    expected = observed(step, whole, inputs, index=index)
    for one, other in zip(observed(step, blocks, inputs, index=index), expected, strict=True):
        same_bits(one, other)
    same_bits(blocks.take(np.arange(9)), whole)
    same_bits(blocks.take(np.array([8, 0, 3])), whole[[8, 0, 3]])
    for one, other in zip(step.emit(blocks, inputs["future"][0], index), expected, strict=True):
        same_bits(one, other)
    with pytest.raises(DataError, match="outside the table of states"):
        observed(step, blocks, inputs, index=np.array([0, 1, 10]))


def test_room_for_more_rows_moves_none() -> None:
    blocks = Blocks(3, np.float32, 4)
    blocks.reserve(5)
    arrays = list(blocks.arrays)
    blocks.reserve(400)
    assert all(one is other for one, other in zip(arrays, blocks.arrays, strict=False))
    spans = [[interface.address(array), array.nbytes] for array in blocks.arrays]
    assert blocks.spans[: len(blocks.arrays)].tolist() == spans


def test_a_prepared_step_keeps_alive_what_it_reads() -> None:
    """The kernel holds addresses alone, and who makes the step may hold nothing but the call."""
    network = build(columns={})
    p = parameters(network)
    step, rows = NetworkStep(network, p), np.zeros((2, Layout.of(network.parts()).size))
    Layout.of(network.parts()).pack(network.start(p, 2, like(p)), rows)
    values = np.ones((2, network.front.targets))
    held = weakref.ref(values)
    call = step.prepare(Blocks.of(rows), values).call
    del values
    assert held() is not None
    assert call() == 0
    del call
    assert held() is None
