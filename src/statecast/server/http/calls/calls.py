"""One request on its way in, and what may be answered to it; every error has its status here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.responses import Response

from statecast.data.values import described
from statecast.errors import (
    DataError,
    MissingDependency,
    NotOwner,
    NotReady,
    OutputError,
    Overloaded,
    StatecastError,
    StreamBusy,
    TimeOrderError,
    TooLarge,
    UnknownSeries,
)

JSON, LINES = "application/json", ("application/x-ndjson", "application/jsonl", "application/json-lines")
COOKIE = "statecast"  # the session's
DRAINED = 1 << 26  # bytes of a body that is too long, which are read all the same: see `Call.body`
ARGUMENTS = ("Idempotency-Key", "Last-Event-ID")  # headers that say what a call is to do
STATUSES: tuple[tuple[type[StatecastError], int], ...] = (
    (UnknownSeries, 404),
    (TimeOrderError, 409),
    (TooLarge, 413),
    (NotReady, 503),
    (NotOwner, 503),
    (Overloaded, 429),
    (MissingDependency, 501),
    (OutputError, 503),
    (StreamBusy, 503),
)


@dataclass(eq=False)
class Call:
    """A request.

    Attributes:
        headers: by their names in small letters; of several with one name the last.
        query: by name; of several with one name the last.
        arguments: of its operation, once they are read.
        receive: the next message of its body, as ASGI has it.
        secure: whether it came by https.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    arguments: Mapping[str, Any]
    receive: Callable[..., Any]
    secure: bool

    @classmethod
    def of(cls, scope: Mapping[str, Any], receive: Callable[..., Any]) -> Call:
        """The call of an ASGI scope."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return cls(headers, _query(scope["query_string"]), {}, receive, scope.get("scheme") == "https")

    @property
    def kind(self) -> str:
        """The media type of its body."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def named_headers(self) -> Mapping[str, str]:
        """Its headers by the names that arguments have."""
        return {name: self.headers[name.lower()] for name in ARGUMENTS if name.lower() in self.headers}

    @property
    def token(self) -> str | None:
        """The token that it bears."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def session(self) -> str | None:
        """The session that its cookie names."""
        if "cookie" not in self.headers:
            return None
        try:
            cookie = SimpleCookie(self.headers["cookie"]).get(COOKIE)
        except CookieError:
            return None
        return None if cookie is None else cookie.value

    @property
    def foreign(self) -> bool:
        """Whether a browser sends it for a page of another origin."""
        origin = self.headers.get("origin")
        return origin is not None and urlsplit(origin).netloc.lower() != self.headers.get("host", "").lower()

    async def body(self, limit: int) -> bytes:
        """All of its body.

        Raises:
            TooLarge: it has more bytes than a request may have.
        """
        length = self.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limit:
            if int(length) <= DRAINED:  # a caller that is cut off while it sends seldom looks at the answer
                while (await self.receive()).get("more_body", False):
                    pass
            raise _too_long(limit)
        pieces, size, more = [], 0, True
        while more:
            message = await self.receive()
            pieces.append(message.get("body", b""))
            size, more = size + len(pieces[-1]), message.get("more_body", False)
            if size > limit:
                raise _too_long(limit)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def document(self, limit: int, kind: type) -> Any:
        """Its body as a typed record.

        Raises:
            DataError: it is none.
            TooLarge: see `body`.
        """
        try:
            return msgspec.json.decode(await self.body(limit), type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(f"the request cannot be used: {error}") from error
        except RecursionError as error:
            raise DataError("the request cannot be used: its JSON is nested too deeply") from error


@lru_cache(1024)
def _query(text: bytes) -> Mapping[str, str]:
    """What a query says; most calls of a client have the same."""
    return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}


def _too_long(limit: int) -> TooLarge:
    return TooLarge(f"the request has more than {limit:,} bytes, as many as one may have: send several requests")


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON; numbers that are not finite are null."""
    return Response(msgspec.json.encode(value), status, headers, JSON)


def refusal(status: int, error: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error."""
    return answer({"error": error}, status, headers)


def failure(error: StatecastError) -> Response:
    """What an exception is to the caller."""
    if isinstance(error, NotOwner) and error.address is not None:
        return refusal(421, str(error), {"location": error.address})
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 400)
    pause = error.retry_after if isinstance(error, Overloaded) else 1.0
    headers = {"retry-after": f"{max(round(pause), 1)}"} if status in (429, 503) else None
    return refusal(status, str(error), headers)


def unknown(text: str) -> Response:
    """The answer where there is nothing."""
    return refusal(404, f"there is nothing at {described(text)}; /openapi.json tells what is where")
