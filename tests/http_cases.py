"""A server of a model with random weights, at a port of its own, for the tests of what is asked over HTTP."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forecast_cases as cases
import httpx
import uvicorn

from statecast.model import archive
from statecast.model.trained import Model
from statecast.server.engine.engine import Engine
from statecast.server.http.app import App
from statecast.server.http.process import configuration
from statecast.server.http.service import Service
from statecast.server.options import Options

NOON = "2024-01-02 12:00:00"


@dataclass(frozen=True)
class Served:
    """A server that runs, and who asks it."""

    http: httpx.Client
    service: Service
    folder: Path

    def get(self, path: str, **query: Any) -> Any:
        """What a call that goes well answers."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, rows: Any, forecast: str = "none", code: int = 200, **headers: str) -> Any:
        """The answer to rows."""
        answer = self.http.post("/v1/observations", params={"forecast": forecast}, json=rows, headers=headers)
        assert answer.status_code == code, answer.text
        return answer.json()

    def refused(self, method: str, path: str, code: int, **more: Any) -> str:
        """The error of a call that is refused."""
        answer = self.http.request(method, path, **more)
        assert answer.status_code == code, answer.text
        return str(answer.json()["error"])


def row(hour: int = 0, load: Any = 1.5, site: str = "a", **more: Any) -> dict[str, Any]:
    """A row of the model that is served where no other is named."""
    return {"site": site, "hour": f"2024-01-02 {hour:02}:00:00", "load": load, **more}


@contextlib.contextmanager
def serving(
    folder: Path,
    model: Model | None = None,
    opener: Callable[[Callable[[str], None]], Engine] | None = None,
    wait: bool = True,
    trust: str | None = None,
    **options: Any,
) -> Iterator[Served]:
    """A server in a thread of this process.

    Args:
        folder: for its model and store; what is there already goes on.
        model: with random weights where None.
        opener: opens the engine in place of the usual.
        wait: until it has read its store.
        trust: file of the certificate that it shows; it speaks http where None.
        options: of the server.
    """
    wishes = Options(**options)
    path = folder / "m.safetensors"
    if not path.exists():
        archive.save(model or cases.model(), path)
    service = Service(opener or (lambda failed: Engine.open(path, folder / "m-state", wishes, failed)), wishes, "m")
    server = uvicorn.Server(configuration(App(service), wishes))
    with socket.create_server(("127.0.0.1", 0)) as port:
        thread = threading.Thread(target=server.run, args=([port],))
        thread.start()
        try:
            address = f"{'https' if trust else 'http'}://127.0.0.1:{port.getsockname()[1]}"
            verify = ssl.create_default_context(cafile=trust) if trust else False
            with httpx.Client(base_url=address, timeout=20, verify=verify) as http:
                while wait and http.get("/readyz").status_code != 200:
                    assert service.error is None, service.error
                    time.sleep(0.01)
                yield Served(http, service, folder)
        finally:
            server.should_exit = True
            service.audience.close()
            thread.join()
