"""`GET /v1/events`: what happens, as server-sent events; see `readers`."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from statecast.data import values
from statecast.errors import Overloaded
from statecast.server.http.calls import status
from statecast.server.http.calls.calls import Call, refusal
from statecast.server.http.calls.operations import TEXT, Argument, Operation, Reply, ref
from statecast.server.http.tokens import includes

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Message, Send

    from statecast.server.http.service import Service

KIND, NUMBER = "text/event-stream", "[0-9]{1,18}"
TYPES = ("observation", "forecast", "alarm", "status")
PATIENCE = 30.0  # seconds that a reader may take for a part of what is sent to it


class EventResponse(StreamingResponse):
    """A response that ends where the reader takes too long for a part of it."""

    async def stream_response(self, send: Send) -> None:
        """Send part after part."""

        async def timely(message: Message) -> None:
            async with asyncio.timeout(PATIENCE):
                await send(message)

        with contextlib.suppress(TimeoutError):
            await super().stream_response(timely)


async def events(service: Service, call: Call) -> Response:
    """What happens, as it happens."""
    engine, wish = service.engine, call.arguments
    if len(service.audience) >= service.options.reader_limit:
        raise Overloaded(f"{service.options.reader_limit} readers of events are here already: come back later", 10.0)
    text = wish["Last-Event-ID"] or wish["after"]
    after = None if text is None else int(text)
    state = engine.status()
    if after is not None and not state.earliest <= after <= state.seq:
        return refusal(
            410,
            f"the events after {after} are not here: the log holds those after {state.earliest} up to "
            f"{state.seq}; begin anew, without Last-Event-ID",
        )
    series = None if wish["id"] is None else values.series_id(wish["id"], engine.model.schema.id_kind)

    def allowed() -> bool:
        return includes(service.access.scope_of(call.token, call.session), OPERATIONS[0].scope)

    body = service.audience.read(engine, wish["types"], series, after, partial(status.changing, service), allowed)
    return EventResponse(body, headers={"cache-control": "no-store", "x-accel-buffering": "no"}, media_type=KIND)


OPERATIONS = (
    Operation(
        "GET", "/v1/events", "Read what happens, as it happens.", "read", events,
        {
            200: Reply("Server-sent events; their ids are sequence numbers.", TEXT, KIND),
            410: Reply("The log does not reach back to the event that was named.", ref("Error")),
        },
        (
            Argument("types", "Which events.", "names", TYPES[:3], options=TYPES),
            Argument("id", "The only series whose events are wanted."),
            Argument("after", "Go on after this sequence number, as Last-Event-ID does.", pattern=NUMBER),
            Argument("Last-Event-ID", "Go on after this event.", pattern=NUMBER, place="header"),
        ),
    ),
)  # fmt: skip
