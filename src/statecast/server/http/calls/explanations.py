"""What forecasts come from, part by part: nothing moves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from statecast.errors import TooLarge
from statecast.forecast import wire
from statecast.server.http.calls.calls import Call, answer
from statecast.server.http.calls.operations import Operation, Reply, Schema, ref
from statecast.server.http.calls.series import ID, MISSING, Known, known_ahead, known_schema, series_id

if TYPE_CHECKING:
    from starlette.responses import Response

    from statecast.server.http.service import Service

MOST = 100  # series of a request; each takes up to a tenth of a second


class ExplanationQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Whose forecasts are to be explained.

    Attributes:
        ids: the series; those of `known` if None.
        known: by series and column, the values of the next steps.
    """

    ids: list[str | int] | None = None
    known: Known | None = None


async def one(service: Service, call: Call) -> Response:
    """What the forecast of a series comes from."""
    return answer((await _documents(service, ExplanationQuery([call.arguments["id"]])))[0])


async def many(service: Service, call: Call) -> Response:
    """What the forecasts of some series come from."""
    service.require_ready()  # this comes before whether the request is sound
    query = await call.document(service.options.body_limit, ExplanationQuery)
    return answer({"explanations": await _documents(service, query)})


async def _documents(service: Service, query: ExplanationQuery) -> list[dict[str, Any]]:
    """The objects of forecasts that are taken apart; one request is worked on at a time, so that rows go before.

    Raises:
        TooLarge: of more series than one request may ask for.
    """
    ids = [*(query.known or ())] if query.ids is None else query.ids
    if len(ids) > MOST:
        raise TooLarge(f"{len(ids):,} series are more than one request may have explained: at most {MOST}")
    names = [series_id(service, name) for name in ids]
    known = known_ahead(service, names, query.known)
    async with service.explaining:
        return await asyncio.to_thread(lambda: wire.breakdowns(service.engine.breakdown(names, known)))


def query_schema(names: Sequence[str]) -> Schema:
    """The JSON schema of `ExplanationQuery`.

    Args:
        names: of the covariates that the model wants known ahead.
    """
    ids = {"type": "array", "items": {"type": ["string", "integer"]}}  # more than `MOST` are too large, 413
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "ids": {"description": "The series; those of known where null.", "anyOf": [ids, {"type": "null"}]},
            "known": known_schema(names),
        },
    }


OPERATIONS = (
    Operation(
        "GET", "/v1/series/{id}/explanation", "Explain the forecast of a series: the amounts of its parts sum to it.",
        "read", one, {200: Reply("The parts, the level first.", ref("Explanation"))} | MISSING, (ID,),
    ),
    Operation(
        "POST", "/v1/explanation", "Explain forecasts of some series; what is known ahead may be stated.", "read",
        many, {200: Reply("The explanations, in the order of the series.", ref("Explanations"))} | MISSING, (),
        ref("ExplanationQuery"),
    ),
)  # fmt: skip
