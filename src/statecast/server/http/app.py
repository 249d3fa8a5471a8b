"""The app: a request in, the operation that it means, a response out.

It speaks ASGI by itself, since what it does for every request is little: look the operation up in the one table of
them, ask what the caller may do, read the arguments. Starlette gives responses, and serves the page's files.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette

from statecast.errors import StatecastError
from statecast.server.http import static
from statecast.server.http.calls import (
    administration,
    calls,
    events,
    explanations,
    inference,
    models,
    observations,
    series,
    status,
)
from statecast.server.http.calls.calls import Call, refusal
from statecast.server.http.calls.operations import Operation, Router
from statecast.server.http.service import Service
from statecast.server.http.tokens import includes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

ROOMS = (observations, series, explanations, events, status, administration, models, inference)
OPERATIONS = tuple(operation for room in ROOMS for operation in room.OPERATIONS)
LOG = logging.getLogger(__name__)
LOCAL = ("localhost", "127.0.0.1", "::1")


class App:
    """The ASGI app of a service.

    Args:
        service: is started and stopped with the app.
    """

    def __init__(self, service: Service) -> None:
        self.service, self._router = service, Router(OPERATIONS)
        service.operations = OPERATIONS
        self._files = Starlette(routes=static.routes(), lifespan=self._lifespan, exception_handlers={404: _nothing})
        names = {*LOCAL, service.options.host.strip("[]").lower()}
        self._hosts = names if service.access.open else None

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self.service:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._files(scope, receive, send)
            return
        operation, response = await self._respond(scope, receive)
        status = _status(response)
        self.service.instruments.count("other" if operation is None else operation.path, status)
        if self.service.options.log_ids:
            LOG.info("%s %s %s", scope["method"], scope.get("raw_path", b"").decode("latin-1"), status)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[Operation | None, ASGIApp]:
        """The operation of a request, if it means one, and the response."""
        call = Call.of(scope, receive)
        if self._hosts is not None and _host(call.headers.get("host", "localhost")) not in self._hosts:
            return None, refusal(403, "without tokens, only programs of this machine may call, and by its local names")
        path = scope.get("raw_path") or scope["path"].encode()
        parts = tuple([unquote(part) for part in path.decode("latin-1").split("/")[1:]])
        methods, names = self._router.match(parts)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if not methods:
            return None, self._files
        operation = methods.get(method)
        if operation is None or (scope["method"] == "HEAD" and operation.path == "/v1/events"):
            allowed = ", ".join(methods)
            return None, refusal(405, f"{scope['method']} is not done here: {allowed} is", {"allow": allowed})
        try:
            return operation, self._denial(operation, call) or await self._handled(operation, call, names)
        except StatecastError as error:
            return operation, calls.failure(error)

    def _denial(self, operation: Operation, call: Call) -> Response | None:
        """The refusal of what the caller may not do."""
        if operation.method != "GET" and call.foreign:
            return refusal(403, "a page of another origin may not do this")
        if operation.scope is None:
            return None
        scope = self.service.access.scope_of(call.token, call.session)
        if includes(scope, operation.scope):
            return None
        if scope is None:
            text = "a token is needed: send it as Authorization: Bearer TOKEN"
            return refusal(401, text, {"www-authenticate": "Bearer"})
        return refusal(403, f"the token is for {scope}, and this needs one for {operation.scope}")

    async def _handled(self, operation: Operation, call: Call, names: Mapping[str, str]) -> Response:
        if operation.body is not None and call.kind not in (calls.JSON, "", *(calls.LINES if operation.lines else ())):
            return refusal(415, f"the body is {call.kind}, expected {calls.JSON}: say so with the header Content-Type")
        call.arguments = operation.read(names, call.query, call.named_headers)
        return await operation.handler(self.service, call)


@lru_cache(1024)
def _host(header: str) -> str:
    """The name that a request calls the server by, of its header."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _status(response: ASGIApp) -> int:
    return getattr(response, "status_code", 200)


async def _nothing(request: Request, _: Exception) -> Response:
    return calls.unknown(request.url.path)
