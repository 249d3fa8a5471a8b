"""A change of a stream is whole or not at all, one at a time: whatever is raised, whenever, from whichever thread."""

from __future__ import annotations

import copy
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_cases import HOUR, START, model, panel, remembering, same_bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statecast.errors import DataError, StatecastError, StreamBusy, UnknownSeries
from statecast.forecast.runner import Runner
from statecast.forecast.stream import Stream
from statecast.model.kernel import library as kernel_library

NATIVE = pytest.mark.skipif(kernel_library.refuses() is not None, reason=kernel_library.description())


def bits(stream: Stream) -> tuple[Any, ...]:
    """All that a stream is."""
    state = stream.state
    return stream.ids, state.ids, state.data.tobytes(), state.time.tobytes(), stream.blocks


# --- signals


class Interrupter:
    """Raises KeyboardInterrupt a few microseconds into a call, from a handler of a real signal."""

    def __init__(self) -> None:
        self.armed = False
        self.caught = 0

    def __enter__(self) -> Interrupter:
        self.old = signal.signal(signal.SIGALRM, self.handle)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.old)

    def handle(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def run(self, stream: Stream, act: Callable[[], Any], seconds: float) -> bool:
        """Whether the call came to its end; where it did not, the stream must be what it was."""
        before = bits(stream)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            self.armed = True
            act()
            self.armed = False
        except KeyboardInterrupt:
            self.caught += 1
            assert bits(stream) == before
            return False
        return True


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
@pytest.mark.parametrize("off", [pytest.param(False, marks=NATIVE), True], ids=["native", "numpy"])
def test_an_interrupt_at_any_moment_leaves_a_stream_as_it_was(off: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if off:
        monkeypatch.setenv("STATECAST_KERNEL", "off")
    of = model(targets=2, independent=True, use_calendar=False, hidden=(3,), dense=())
    assert Runner(of).native is not off
    stream, rng, y = Stream(of), random.Random(1), [1.0, 2.0]
    names = {f"s{n}" for n in range(300)}
    stream.observe_many(sorted(names), np.ones((300, 2)), START)
    with Interrupter() as interrupter:
        for turn in range(500):
            some, new = rng.sample(sorted(names), 20), f"new {turn}"
            later = START + (turn + 2) * 1000 * HOUR
            # Functions of Python: a function of C around the call would be interrupted when the call is over.
            acts: dict[str, Callable[[], Any]] = {
                "one": lambda name=some[0]: stream.observe(name, y),
                "many": lambda names=some: stream.observe_many(names, np.ones((20, 2))),
                "gap": lambda name=some[0], time=later: stream.observe(name, y, time),
                "new": lambda name=new: stream.observe(name, y, START),
                "remove": lambda names=some[:2]: stream.remove(names),
            }
            act = rng.choice(["one", "one", "many", "many", *acts])
            if interrupter.run(stream, acts[act], rng.uniform(2e-6, 1500e-6 if off else 150e-6)):
                names |= {new} if act == "new" else set()
                names -= set(some[:2]) if act == "remove" else set()
            assert set(stream.ids) == names
    assert interrupter.caught > 50
    stream.observe(min(names), y)  # nobody holds the stream any more


def raising(error: type[BaseException], after: int) -> Mapping[str, Any]:
    """A row whose values raise when they are read."""

    class Row(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            nonlocal after
            after -= 1
            if after < 0:
                raise error("while the row is read")
            return super().__getitem__(key)

    return Row(y0=1.0, y1=2.0)


@pytest.mark.parametrize("error", [KeyError, MemoryError, KeyboardInterrupt, SystemExit, RecursionError])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_what_an_argument_raises_comes_out_and_nothing_moves(error: type[BaseException], after: int) -> None:
    stream = Stream(model(targets=2))
    stream.observe_many(["a", "b"], [[1.0, 2.0]] * 2, START)
    before = bits(stream)
    rows = [{"y0": 1.0, "y1": 2.0}, raising(error, after)]
    for ids in (["a", "b"], ["c", "a"]):
        rows[1] = raising(error, after)
        if after < 2:
            with pytest.raises(error):
                stream.observe_many(ids, rows, START + 5 * HOUR)
            with pytest.raises(error):
                stream.observe(ids[0], raising(error, after), START + 5 * HOUR)
        assert bits(stream) == before or after == 3
    stream.observe("a", [1.0, 2.0], START + 9 * HOUR)


@pytest.mark.parametrize("point", ["adapted", "_stepped", "pass_gap", "start", "rows"])
def test_a_failure_within_a_step_leaves_no_half_made_series(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """New series, old ones and a gap in one call, in NumPy."""
    monkeypatch.setenv("STATECAST_KERNEL", "off")
    stream = Stream(model())
    stream.observe_many(["a", "b"], [1.0, 2.0], START)
    before = bits(stream)

    def fail(*_: object, **__: object) -> Any:
        raise MemoryError(point)

    with monkeypatch.context() as patch, pytest.raises(MemoryError, match=point):
        patch.setattr(Runner, point, fail)
        stream.observe_many(["a", "c", "b"], [1.0, 2.0, 3.0], START + 4 * HOUR)
    assert bits(stream) == before
    assert stream.observe_many(["a", "c", "b"], [1.0, 2.0, 3.0], START + 4 * HOUR).values.shape == (3, 3, 1)


def test_a_stream_called_by_its_own_argument_says_so() -> None:
    stream = Stream(model(targets=2))
    stream.observe("a", [1.0, 2.0], START)
    before = bits(stream)

    class Again(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            assert stream.state.ids == ("a",)  # what reads a stream may come in between
            stream.observe("a", [1.0, 2.0])

    with pytest.raises(StreamBusy, match=r"is being changed by the call that this one interrupts"):
        stream.observe("a", Again(y0=1.0, y1=2.0))
    assert bits(stream) == before
    stream.observe("a", [1.0, 2.0])


# --- odd rows


odd_ids = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["\ud800", "a", "b", "new", " a", "", "nan"]),
    st.integers(),
    st.sampled_from([10**400, 2**63, -(2**63), None, True, 1.5, float("nan"), b"a", ("a",), [], {}, object()]),
)
odd_values = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from(
        [10**400, -(10**400), None, True, "7", "x" * 5000, "1" * 400, [], [[1.0]], [1.0, 2.0], {"load": 1}, {"lod": 1}]
    ),
    st.sampled_from([1e17, 1e300, b"1", object(), np.float32(2), np.array([1.0]), np.array([[1.0, 2.0]]), 1j]),
)
odd_times = st.one_of(
    st.none(),
    st.integers(),
    st.sampled_from([START, START + HOUR, START + 3 * HOUR, 10**20, 2**63 - 1, -(2**63), 2**63, 1.5, True]),
    st.sampled_from(
        [np.uint64(2**64 - 1), np.int64(START + HOUR), np.datetime64("NaT", "s"), np.datetime64("2024-01-02T10")]
    ),
    st.sampled_from(["2024-01-02 10:00", "1" * 5000, "9999-12-31", "31/12/2024", "yesterday", "", "\ud800", [], {}]),
    st.datetimes(),
)
odd_covariates = st.one_of(
    st.none(),
    st.sampled_from(
        [{"wind": 1.0}, {"wnd": 1.0}, [1.0], [10**400], ["x"], [None], {}, [], 5, "wind", {"area": 2}, [[1.0], [2.0]]]
    ),
    st.sampled_from([[{"heat": 1.0, "open": "yes"}] * 4, [{"heat": 1.0}] * 4, [{"heat": 10**400, "open": None}] * 4]),
)


@pytest.mark.filterwarnings("ignore:open. the model has not seen")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.booleans(), st.booleans())
def test_an_odd_row_is_taken_or_refused_by_name_and_changes_nothing_else(
    data: st.DataObject, covariates: bool, counted: bool
) -> None:
    of = STREAMS[covariates, counted].model
    stream = STREAMS[covariates, counted].take(["a", "b"])
    before = bits(stream)
    more: dict[str, Any] = {}
    if data.draw(st.booleans()):
        more = {name: data.draw(odd_covariates) for name in ("past", "known", "static")}
    many = data.draw(st.booleans())
    try:
        if many:
            ids = data.draw(st.lists(odd_ids, max_size=3))
            count = st.lists(odd_values, min_size=len(ids), max_size=len(ids))
            times = data.draw(st.one_of(odd_times, st.lists(odd_times, min_size=len(ids), max_size=len(ids))))
            stream.observe_many(ids, data.draw(st.one_of(count, odd_values)), times, **more)
        else:
            stream.observe(data.draw(odd_ids), data.draw(odd_values), data.draw(odd_times), **more)
    except StatecastError as error:
        assert str(error)
        assert len(str(error)) < 1000
        assert bits(stream) == before
        return
    assert np.isfinite(stream.forecast(known=known_of(stream) if covariates else None).values).all()
    assert Stream(of, pickle.loads(pickle.dumps(stream)).state).ids == stream.ids  # and it can be saved


def known_of(stream: Stream) -> list[Any]:
    return [[{"heat": 1.0, "open": "no"}] * 3 for _ in stream.ids]


def prepared(covariates: bool, counted: bool) -> Stream:
    times = {"time_kind": "row", "freq": "1"} if counted else {}
    stream = Stream(model(covariates=covariates, **times))
    more: dict[str, Any] = {}
    if covariates:
        more = {"past": [[1.0]] * 2, "known": [[{"heat": 1.0, "open": "yes"}] * 4] * 2, "static": [[1.0]] * 2}
    stream.observe_many(["a", "b"], [1.0, 2.0], None if counted else START, **more)
    return stream


STREAMS = {
    (covariates, counted): prepared(covariates, counted) for covariates in (False, True) for counted in (False, True)
}


@pytest.mark.parametrize("name", ["\ud800", "a\udfff"])
def test_an_id_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    stream = Stream(model())
    stream.observe("a", 1.0, START)
    for act in (
        lambda: stream.observe(name, 1.0, START),
        lambda: stream.observe_many(["a", name], [1.0, 2.0], START + HOUR),
    ):
        with pytest.raises(DataError, match=r"is not sound Unicode text"):
            act()
    assert Stream.load(stream.save(tmp_path / "stream")).ids == ("a",)


# --- threads, forks, copies


def together(*acts: Callable[[], Any]) -> None:
    """Run in threads that change places as often as can be; what one raises is raised here."""
    errors: list[BaseException] = []

    def run(act: Callable[[], Any]) -> None:
        try:
            act()
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def test_two_threads_on_one_series_are_all_counted() -> None:
    stream, other = (
        Stream(model(hidden=(), dense=(), use_calendar=False)),
        Stream(model(hidden=(), dense=(), use_calendar=False)),
    )
    stream.observe("a", 1.0, START)
    other.observe("a", 1.0, START)

    def observe() -> None:
        for _ in range(5000):
            stream.observe("a", 1.0)

    together(observe, observe)
    for _ in range(10_000):
        other.observe("a", 1.0)
    assert stream.state.time.tolist() == [START + 10_000 * HOUR]
    same_bits(stream.state.data, other.state.data)


def test_threads_may_add_and_remove_and_read_series() -> None:
    stream = Stream(model(hidden=(), dense=()))

    def add(prefix: str) -> None:
        for n in range(0, 600, 2):
            stream.observe(f"{prefix}{n}", 1.0, START)
            stream.observe_many([f"{prefix}{n}", f"{prefix}{n + 1}"], [1.0, 2.0], START + 3 * HOUR)
            if n % 20 == 0:
                stream.remove([f"{prefix}{n}"])

    def read() -> None:
        for _ in range(100):
            state = stream.state
            assert len(state.ids) == len(state.data) == len(state.time)
            assert np.isfinite(state.data).all()
            assert np.isfinite(stream.forecast().values).all()

    together(lambda: add("a"), lambda: add("b"), read)
    names = {f"{prefix}{n}" for prefix in "ab" for n in range(600) if n % 20}
    assert set(stream.ids) == names
    assert (stream.state.time == START + 3 * HOUR).all()


def test_after_an_error_in_one_thread_the_others_go_on() -> None:
    stream = Stream(model())

    def wrong() -> None:
        for _ in range(500):
            with pytest.raises(DataError):
                stream.observe("a", "no number", START)

    def right() -> None:
        for _ in range(500):
            stream.observe("b", 1.0, START if "b" not in stream.ids else None)

    together(wrong, right, wrong)
    assert stream.ids == ("b",)


def fork_while_threads_observe() -> None:
    stream, stop = Stream(model()), threading.Event()
    stream.observe("a", 1.0, START)

    def observe() -> None:
        while not stop.is_set():
            stream.observe("a", 1.0)

    threads = [threading.Thread(target=observe) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                code = 1
                try:
                    copied = Stream(stream.model, stream.state)
                    same = (stream.observe("a", 2.0).values == copied.observe("a", 2.0).values).all()
                    code = 0 if same else 2
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_may_fork_while_threads_observe() -> None:
    """In a process of its own: this one may have loaded JAX for other tests, whose threads no fork survives."""
    code = "import sys, test_forecast_change as case; case.fork_while_threads_observe(); sys.exit('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("through", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy, copy.copy])
def test_copies_of_streams_and_forecasts(through: Callable[[Any], Any]) -> None:
    of = model(targets=2, independent=True)
    stream = Stream(remembering(of, panel(of)))
    other = through(stream)
    expected = stream.observe("s1", [1.0, 2.0])
    assert bits(other) != bits(stream)
    same_bits(other.observe("s1", [1.0, 2.0]).values, expected.values)
    assert bits(other) == bits(stream)
    again = through(expected)
    same_bits(again.values, expected.values)
    same_bits(again.upper[95], expected.upper[95])
    assert again.columns().keys() == expected.columns().keys()
    assert again.model.state.ids == ()


# --- series come and go


def test_series_are_removed_and_their_room_is_used_again() -> None:
    stream = Stream(model())
    stream.observe_many([f"s{n}" for n in range(600)], np.ones(600), START)
    kept, blocks = stream.take(["s0", "s599"]), stream.blocks
    stream.remove([f"s{n}" for n in range(1, 599)])
    assert stream.ids == ("s0", "s599")
    same_bits(stream.state.data, kept.state.data)
    with pytest.raises(UnknownSeries, match=r"there is no series 's7' in this stream"):
        stream.remove(["s0", "s7"])
    with pytest.raises(DataError, match=r"series 's0' comes twice"):
        stream.remove(["s0", "s0"])
    with pytest.raises(DataError, match=r"series 's7' is new, so its first row needs a time"):
        stream.observe("s7", 1.0)
    assert stream.ids == ("s0", "s599")
    stream.observe_many([f"t{n}" for n in range(598)], np.ones(598), START)
    assert stream.blocks == blocks
    expected = stream.take(["t5"]).observe("t5", 2.0)
    same_bits(stream.observe("t5", 2.0).values, expected.values)
    same_bits(stream.observe_many(["s599", "t6"], [2.0, 2.0]).values[1], expected.values)


def test_a_copy_is_kept_up_to_date_block_by_block() -> None:
    of = model(targets=2, independent=True)
    stream = Stream(of)
    stream.observe_many([f"s{n}" for n in range(600)], np.ones((600, 2)), START)
    copied = Stream(of)
    for number in range(stream.blocks):
        copied.put(stream.block(number))
    assert stream.blocks == 3
    assert bits(copied) == bits(stream)
    stream.observe_many(["s300", "s301"], np.ones((2, 2)))
    other = model(targets=2, independent=True, hidden=(5,))
    with pytest.raises(DataError, match=r"the state comes from another network than this model's"):
        copied.put(Stream(other).state)
    assert {stream.block_of(name) for name in ("s300", "s301")} == {1}
    copied.put(stream.block(1))
    assert bits(copied) == bits(stream)
    for block, message in ((3, r"block 3: this stream has the blocks 0 to 2"), (-1, r"block -1")):
        with pytest.raises(StatecastError, match=message):
            stream.block(block)
    with pytest.raises(UnknownSeries, match=r"there is no series 'x'"):
        stream.block_of("x")


def test_room_for_more_series_copies_no_rows() -> None:
    """The first blocks lie where they lay, however many come after them."""
    stream = Stream(model())
    stream.observe_many([f"s{n}" for n in range(256)], np.ones(256), START)
    first = stream._roster.rows.arrays[0]
    for more in range(1, 20):
        stream.observe_many([f"s{256 * more + n}" for n in range(256)], np.ones(256), START)
    assert stream._roster.rows.arrays[0] is first
    assert {len(array) for array in stream._roster.rows.arrays} == {256}
