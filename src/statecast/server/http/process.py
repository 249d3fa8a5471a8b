"""A server as a process: its port, its signals, and what it says of itself.

SIGTERM and Ctrl-C end it well: no new request is taken, what came is finished, all states are written. A second one
ends it at once, which loses nothing either: what was acknowledged is on the disk. So does an engine that cannot go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from statecast.errors import MissingDependency, OutputError, SettingError
from statecast.model.kernel import library as kernel_library
from statecast.server.options import Options

LIBRARIES = ("starlette", "uvicorn", "httptools", "msgspec", "apsw", "prometheus_client")
PATIENCE = 10  # seconds for requests that are under way when the server is told to end
BACKLOG = 2048  # connections that may wait to be accepted


def require_libraries() -> None:
    """Refuse to serve where a library is missing.

    Raises:
        MissingDependency: the first.
    """
    import importlib.util

    for name in LIBRARIES:
        if importlib.util.find_spec(name) is None:
            raise MissingDependency.of(name.replace("_", "-"), "server", "a server")


def default_state(model: str | Path) -> Path:
    """The folder of the store where none is named: beside the model's, with `-state` behind its name."""
    return Path(model).resolve().with_name(f"{name_of(model)}-state")


def name_of(model: str | Path) -> str:
    """The name of a model: that of its folder or file."""
    path = Path(model).resolve()
    return path.stem if path.is_file() else path.name


def without_password(state: str) -> str:
    """The address of a store as it may be shown."""
    return re.sub(r"(://[^/@:]*):[^@]*@", r"\1:…@", state)


def run(model: str, state: str, options: Options, say: Callable[[str], None]) -> None:
    """Serve a model until a signal comes.

    Args:
        model: folder or file.
        state: folder, or postgresql://….
        options: of the server.
        say: takes what is to be told to who started it, a line each.

    Raises:
        MissingDependency: a library is missing.
        SettingError: others could reach the server, and there are no tokens; or the certificate cannot be used.
        OutputError: the port is taken, the store cannot be written or has an owner, or a commit failed.
        StatecastError: the model or the store cannot be used.
    """
    require_libraries()
    require_certificate(options)
    if not options.local and options.tokens is None:
        raise SettingError(
            f"--host {options.host} can be reached from other machines: give --tokens FILE, which statecast token "
            "writes, or keep to 127.0.0.1"
        )
    from statecast.server.engine.engine import Engine
    from statecast.server.http.app import App
    from statecast.server.http.service import Service
    from statecast.server.store.opening import POSTGRES

    if state.startswith(POSTGRES) and (options.mqtt or options.connector):
        raise SettingError(
            "--mqtt and --connector need a store of this server alone, since servers that share a database hold some "
            "of the series each, and rows of the others would be lost: give --state FOLDER, or send rows by sc.Client"
        )
    with _socket(options) as port:
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = f"{'https' if options.certificate else 'http'}://{host}:{port.getsockname()[1]}"
        options = replace(options, address=options.address or address)
        service = Service(lambda failed: Engine.open(model, state, options, failed), options, name_of(model))
        say(f"serving {model} at {address}, with its store in {without_password(state)}")

        def opened() -> None:
            # What is there by now stays. A collection that goes through all of it holds every request up for 50 ms.
            gc.collect()
            gc.freeze()
            status = service.engine.status()
            say(f"ready after {service.ready_after:.1f} s: {status.series:,} series, {status.replayed:,} rows replayed")
            if kernel_library.refuses() is not None:
                say(f"recurrent layers run in {kernel_library.description()}")
            if status.challenger is not None:
                say(f"the model {status.challenger.name} observes beside it; its states are being built")

        service.opened = opened
        with contextlib.suppress(KeyboardInterrupt):
            _serve(App(service), service, port)
    if service.error is not None:
        raise service.error
    say("ended at once: the next start replays the log" if service.hasty else "ended: everything is written")


def _serve(app: Any, service: Any, port: socket.socket) -> None:
    """Run the event loop until the server has ended."""
    import uvicorn

    class Server(uvicorn.Server):
        """Ends its readers of events first: they would never end by themselves."""

        def end(self) -> None:
            if self.should_exit:
                service.hasten()
            self.force_exit = self.should_exit
            self.should_exit = True
            service.audience.close()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            service.ended = lambda: loop.call_soon_threadsafe(self.end)
            for number in (signal.SIGINT, signal.SIGTERM):
                if sys.platform == "win32":
                    signal.signal(number, lambda *_: loop.call_soon_threadsafe(self.end))
                else:
                    loop.add_signal_handler(number, self.end)
            yield

    Server(configuration(app, service.options)).run([port])


def require_certificate(options: Options) -> None:
    """See that the certificate, if there is one, can be used.

    Raises:
        SettingError: it or its key cannot.
    """
    if options.certificate is None:
        if options.private_key is not None:
            raise SettingError("--private-key goes with --certificate: give it too, or leave both out")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.certificate, options.private_key)
    except OSError as error:  # ssl.SSLError is one
        raise SettingError(f"the certificate {options.certificate} cannot be used: {error}") from error


def configuration(app: Any, options: Options) -> Any:
    """How uvicorn is to serve an app."""
    import uvicorn

    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,  # addresses name series
        server_header=False,
        backlog=BACKLOG,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.private_key,
        timeout_graceful_shutdown=PATIENCE,
    )


def _socket(options: Options) -> socket.socket:
    """The socket to listen at."""
    host = options.host.strip("[]")
    try:
        kind = socket.getaddrinfo(host, options.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, options.port), family=kind, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot listen at {options.host}, port {options.port}: {reason}; choose another with --host and --port"
        ) from error
