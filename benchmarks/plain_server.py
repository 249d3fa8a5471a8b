"""What a user would write: a web application around a stream, which saves it once a minute.

No row is on the disk before the next minute is over, a row that is sent again counts twice, and nothing is watched. It
is what the server of statecast is measured beside. Instead of a pickle, which this house does not allow, it calls
`Stream.save`, which writes the same numbers; and instead of FastAPI it uses starlette, which that is built on, without
the checks of each row. Both make it faster, not slower.

    python benchmarks/plain_server.py MODEL SNAPSHOT PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

import statecast as sc

SECONDS = 60.0


def application(model: str, snapshot: str) -> Starlette:
    stream = sc.Stream.load(model, empty=True)

    async def observe(request: Request) -> JSONResponse:
        body = await request.json()
        if isinstance(body["unique_id"], str):
            forecast = stream.observe(body["unique_id"], body["y"], body["ds"])
        else:
            forecast = await run_in_threadpool(stream.observe_many, body["unique_id"], body["y"], body["ds"])
        detail = request.query_params.get("forecast", "point")
        return JSONResponse({"forecast": forecast.values.tolist() if detail != "none" else None})

    async def ready(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ready")

    async def save() -> None:
        while True:
            await asyncio.sleep(SECONDS)
            await run_in_threadpool(stream.save, snapshot)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(save())
        yield
        task.cancel()

    routes = [Route("/v1/observations", observe, methods=["POST"]), Route("/readyz", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1], sys.argv[2]), host="127.0.0.1", port=int(sys.argv[3]), log_level="warning")
