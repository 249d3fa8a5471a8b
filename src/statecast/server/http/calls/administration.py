"""Health, measurements, sessions of browsers, and what only an admin may do."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING

import msgspec
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from statecast.server.http.calls import openapi
from statecast.server.http.calls.calls import COOKIE, Call, answer, refusal
from statecast.server.http.calls.operations import TEXT, Operation, Reply, ref
from statecast.server.http.instruments import KIND
from statecast.server.http.tokens import SESSION

if TYPE_CHECKING:
    from statecast.server.http.service import Service

LARGEST = 4096  # bytes of the small requests that are read here


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """What begins a session."""

    token: str


async def healthy(service: Service, call: Call) -> Response:
    """Whether the process does its work."""
    if service.error is not None:
        return refusal(503, str(service.error))
    return answer({"status": "alive"})


async def ready(service: Service, call: Call) -> Response:
    """Whether the store is read."""
    service.require_ready()
    return answer({"status": "ready"})


async def metrics(service: Service, call: Call) -> Response:
    """The measurements."""
    return Response(await asyncio.to_thread(service.instruments.text), media_type=KIND)


async def page(service: Service, call: Call) -> Response:
    """The description of all calls."""
    return answer(openapi.document(service.operations, service.model, service.options))


async def begin(service: Service, call: Call) -> Response:
    """Begin a session."""
    login = await call.document(LARGEST, Login)
    session = await asyncio.to_thread(service.access.begin, login.token)
    if session is None:
        return refusal(401, "the token is unknown: ask who runs the server for one")
    response = Response(status_code=204)
    response.set_cookie(COOKIE, session, int(SESSION), secure=call.secure, httponly=True, samesite="strict", path="/")
    return response


async def end(service: Service, call: Call) -> Response:
    """End a session."""
    service.access.end(call.session)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, secure=call.secure, httponly=True, samesite="strict", path="/")
    return response


async def backup(service: Service, call: Call) -> Response:
    """A copy of the store, as a file."""
    folder = tempfile.TemporaryDirectory(prefix="statecast-backup-")
    try:
        path = await asyncio.to_thread(service.engine.backup, os.path.join(folder.name, "store.sqlite"))
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(path, media_type=BINARY, filename="store.sqlite", background=BackgroundTask(folder.cleanup))


BINARY = "application/octet-stream"
STOPPED = {503: Reply("It is still reading its store, or has stopped.", ref("Error"))}
OPERATIONS = (
    Operation("GET", "/healthz", "Whether the server works.", None, healthy,
              {200: Reply("It does.", ref("Health"))} | STOPPED, waits=False),
    Operation("GET", "/readyz", "Whether the server has read its store and answers.", None, ready,
              {200: Reply("It has.", ref("Health"))}),
    Operation("GET", "/metrics", "Measurements, for Prometheus.", "read", metrics,
              {200: Reply("The text format of Prometheus.", TEXT, "text/plain")}, waits=False),
    Operation("GET", "/openapi.json", "This description.", None, page,
              {200: Reply("OpenAPI 3.1.", {"type": "object"})}, waits=False),
    Operation("POST", "/v1/session", "Begin a session of a browser: the answer sets a cookie.", None, begin,
              {204: Reply("It is begun."), 401: Reply("The token is unknown.", ref("Error"))}, (), ref("Login"),
              waits=False),
    Operation("DELETE", "/v1/session", "End the session of a browser.", None, end,
              {204: Reply("It is ended, if there was one.")}, waits=False),
    Operation("GET", "/v1/backup", "Download a copy of the store, made while the server runs.", "admin", backup,
              {200: Reply("A store: in a folder of its own, it is one to serve from.", TEXT, BINARY)}),
)  # fmt: skip
