"""What the calls share: the engine, once it is open, and what stands around it.

The engine opens in a thread while the port answers already, so that whoever asks learns that it replays and how far it
is. Its results come to the event loop in bundles: many rows are committed together, and one wake-up brings them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from statecast.errors import NotReady, OutputError, StatecastError
from statecast.model.trained import Model
from statecast.server.attachments import Attachments
from statecast.server.engine.engine import Engine
from statecast.server.http.answers import ForecastTexts, Presenter
from statecast.server.http.bodies import BodyReader
from statecast.server.http.calls.operations import Operation
from statecast.server.http.instruments import Instruments
from statecast.server.http.pulse import Pulse
from statecast.server.http.readers import Audience
from statecast.server.http.tokens import Access
from statecast.server.options import Options

T = TypeVar("T")


class Opener(Protocol):
    """Opens the engine; is called in a thread."""

    def __call__(self, failed: Callable[[str], None]) -> Engine:
        """The engine, which calls `failed` once if it cannot go on."""


class Service:
    """A server's engine and what its calls share.

    Args:
        opener: opens the engine.
        options: of the server.
        name: of the model.

    Attributes:
        options: of the server.
        access: who may do what.
        name: of the model.
        started: when, in seconds since 1970.
        instruments: what is measured.
        pulse: how the last minutes went.
        texts: the JSON of forecasts.
        audience: the readers of events.
        operations: what may be called.
        explaining: is held by the one request whose forecasts are being explained.
        ready_after: seconds that opening took; None before.
        error: why the engine could not be opened, or cannot go on; None where neither is so.
        hasty: whether it is to end without writing all states.
        opened, ended: are called, from any thread, when the engine is open, and when there is an error.

    Raises:
        SettingError: the tokens cannot be used, or a connector or the webhook cannot.
        MissingDependency: what a connector needs is not installed.
    """

    def __init__(self, opener: Opener, options: Options, name: str) -> None:
        self.options, self.name, self.started = options, name, time.time()
        self.access = Access(options.tokens)
        self.ready_after: float | None = None
        self.error: StatecastError | None = None
        self.hasty = False
        self.opened: Callable[[], None] = _nothing
        self.ended: Callable[[], None] = _nothing
        self._opener, self._attachments = opener, Attachments(options)
        self._engine: Engine | None = None
        self._reader: BodyReader | None = None
        self.instruments, self.pulse = Instruments(lambda: self._engine), Pulse(self._accepted)
        self.texts = ForecastTexts()
        self.audience, self.operations = Audience(), tuple[Operation, ...]()
        self.explaining = asyncio.Semaphore(1)
        self._bridge: _Bridge | None = None
        self._thread = threading.Thread(target=self._open, name="open", daemon=True)

    async def __aenter__(self) -> Service:
        """Begin to open the engine, whose results are to come to this event loop."""
        self._bridge = _Bridge(asyncio.get_running_loop())
        self._beats = asyncio.create_task(self.pulse.run())
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish what came, write everything, and let go of the store."""
        self._beats.cancel()
        self.audience.close()
        await asyncio.to_thread(self._close)

    def _open(self) -> None:
        begin = time.monotonic()
        try:
            engine = self._opener(self._fail)
        except StatecastError as error:
            self._end(error)
            return
        self.ready_after = time.monotonic() - begin
        self._engine = engine
        try:
            self._attachments.start(
                engine, lambda records: self.reader.records(records), lambda alarm: self.presenter.alarm(alarm)
            )
        except StatecastError as error:
            self._end(error)
            return
        self.opened()

    def _accepted(self) -> int:
        return 0 if self._engine is None else self._engine.status().accepted

    def acknowledge(self, seconds: float) -> None:
        """Note how long rows waited for their acknowledgement."""
        self.pulse.acknowledge(seconds)
        self.instruments.acknowledge(seconds)

    def _fail(self, reason: str) -> None:
        self._end(OutputError(reason))

    def _end(self, error: StatecastError) -> None:
        self.error = error
        self.ended()

    def _close(self) -> None:
        while self._thread.is_alive():
            if self.hasty:  # it only reads so far, and what it may write is there whole or not at all
                return
            self._thread.join(0.1)
        self._attachments.close()
        if self._engine is not None:
            if self.hasty:
                self._engine.hasten()
            self._engine.close()

    def hasten(self) -> None:
        """End without writing all states."""
        self.hasty = True
        if self._engine is not None:
            self._engine.hasten()

    @property
    def reader(self) -> BodyReader:
        """Reads requests for the model that is served now."""
        model, reader = self.engine.model, self._reader
        if reader is None or reader.model is not model:
            reader = self._reader = BodyReader(model, self.options)
        return reader

    @property
    def presenter(self) -> Presenter:
        """Writes what the engine says."""
        return Presenter(self.engine.model.schema)

    @property
    def model(self) -> Model | None:
        """The model, once the engine is open."""
        return None if self._engine is None else self._engine.model

    @property
    def ready(self) -> bool:
        """Whether the engine is open and runs."""
        return self._engine is not None and self.error is None

    @property
    def engine(self) -> Engine:
        """The engine.

        Raises:
            NotReady: it is not open yet, or cannot go on.
        """
        self.require_ready()
        assert self._engine is not None
        return self._engine

    def require_ready(self) -> None:
        """See that the engine is open and runs.

        Raises:
            NotReady: it is not open yet, or cannot go on.
        """
        if self._engine is None or self.error is not None:
            raise NotReady(str(self.error or "the server is still reading its store: try again soon"))

    async def arrival(self, future: Future[T]) -> T:
        """The result of a future of the engine's."""
        assert self._bridge is not None
        result: T = await self._bridge.wait(future)
        return result


def _nothing() -> None:
    """What is done where nobody waits."""


class _Bridge:
    """Brings results of other threads to an event loop.

    A request that is given up leaves its future alone: the engine's work does not depend on who waits for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._arrived = loop, deque[tuple[asyncio.Future[Any], Future[Any]]]()
        self._scheduled = False

    def wait(self, future: Future[Any]) -> asyncio.Future[Any]:
        waiter = self._loop.create_future()
        future.add_done_callback(lambda done: self._push(waiter, done))
        return waiter

    def _push(self, waiter: asyncio.Future[Any], done: Future[Any]) -> None:
        self._arrived.append((waiter, done))
        if not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False  # before the look: what is pushed from now on is found below or schedules again
        while self._arrived:
            waiter, done = self._arrived.popleft()
            if waiter.done():
                continue
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)
