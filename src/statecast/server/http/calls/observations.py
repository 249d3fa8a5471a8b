"""`POST /v1/observations`: rows in, and what became of each, once they are on the disk."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from statecast.server.http import answers
from statecast.server.http.calls.calls import LINES, Call, answer
from statecast.server.http.calls.operations import TEXT, Argument, Operation, Reply, ref

if TYPE_CHECKING:
    from starlette.responses import Response

    from statecast.server.http.service import Service

LONG = 1 << 18  # bytes from which on a request is read beside the event loop


async def observe(service: Service, call: Call) -> Response:
    """Take rows."""
    begin = time.perf_counter()
    lines = call.kind in LINES
    key, detail = call.arguments["Idempotency-Key"], call.arguments["forecast"]
    engine = service.engine
    body = await call.body(service.options.body_limit)
    read = service.reader.read
    rows = read(body, lines) if len(body) < LONG else await asyncio.to_thread(read, body, lines)
    receipt = await service.arrival(engine.submit(rows, key, detail != "none"))
    service.acknowledge(time.perf_counter() - begin)
    result = answers.submission(receipt, detail, service.texts)
    return answer(result, answers.status_of(result))


OBSERVE = Operation(
    "POST",
    "/v1/observations",
    "Take rows, each for itself; the answer comes when they are on the disk.",
    "write",
    observe,
    {
        200: Reply("What became of each row, in order.", ref("Submission")),
        404: Reply("The only row is of a series that is not known, and the server is closed.", ref("Submission")),
        409: Reply("The only row contradicts one that was taken, or is older than the last.", ref("Submission")),
        421: Reply("The only row is of a series of another server, which the answer names.", ref("Submission")),
        422: Reply("The only row cannot be used.", ref("Submission")),
    },
    (
        Argument(
            "forecast", "What to answer of each row's forecast: none, its points, or also its bounds.",
            default="point", options=("none", "point", "full"),
        ),
        Argument(
            "Idempotency-Key", "Names the request: sent again with the same rows, it counts once.",
            pattern="[!-~]{1,128}", place="header", example="6c84fb90-12c4-11e1-840d-7b25c5ee775a",
        ),
    ),
    ref("Rows"),
    lines=True,
)  # fmt: skip
OPERATIONS = (OBSERVE,)
ROW_ANSWER = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"type": "string", "enum": ["accepted", "duplicate", "rejected"]},
        "error": TEXT,
        "reason": {"type": "string", "enum": ["invalid", "conflict", "late", "unknown", "limit", "elsewhere"]},
        "forecast": ref("Forecast"),
        "score": {"type": "number", "description": "Normal score of the value under what was forecast of it before."},
        "unusual": {"type": "boolean"},
        "owner": {"type": "string", "description": "The address of the server whose the series is."},
    },
}
