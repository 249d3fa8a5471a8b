"""What is known of series, and forecasts from their states: nothing moves, but for `DELETE`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from statecast.data import values
from statecast.errors import DataError, SettingError, TooLarge, UnknownSeries
from statecast.forecast import wire
from statecast.server.http.calls.calls import Call, answer
from statecast.server.http.calls.operations import MOST_ITEMS, Argument, Operation, Reply, Schema, ref
from statecast.server.states import gates
from statecast.server.states.orders import SORTS

if TYPE_CHECKING:
    from starlette.responses import Response

    from statecast.forecast.answer import Forecast
    from statecast.server.http.service import Service

FARTHEST, MOST_NUMBERS = 10_000, 5_000_000  # steps of a forecast, and steps of all its series together

Known = dict[str, dict[str, list[Any]]]
"""By series and column, the values of the next steps."""


class ForecastQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of what to forecast.

    Attributes:
        ids: the series; those of `known` if None, and all of them where that is None too.
        horizon: steps; the network's if None.
        levels: of the intervals, in percent; those of the model if None.
        known: by series and column, the values of the next steps.
    """

    ids: list[str | int] | None = None
    horizon: int | float | None = None
    levels: list[float] | None = None
    known: Known | None = None


async def listing(service: Service, call: Call) -> Response:
    """Some series, in an order."""
    engine, wish = service.engine, call.arguments
    after = wish["after"]
    if after is not None and engine.model.schema.id_kind == "integer":
        after = series_id(service, after)

    def page() -> dict[str, Any]:
        some = {name: wish[name] for name in ("prefix", "contains")}
        order = {name: wish[name] for name in ("sort", "descending", "offset")}
        rows = engine.series(after=after, limit=wish["limit"] + 1, **order, **some)
        now, rows, more = time.time(), rows[: wish["limit"]], len(rows) > wish["limit"]
        return {
            "series": [service.presenter.summary(row, now, wish["recent"]) for row in rows],
            "total": engine.matches(**some),
            "next": rows[-1].id if more else None,
        }

    return answer(await asyncio.to_thread(page))


async def one(service: Service, call: Call) -> Response:
    """What is known of a series."""
    summary = service.engine.one(series_id(service, call.arguments["id"]))
    return answer(service.presenter.summary(summary, time.time(), call.arguments["recent"]))


async def forget(service: Service, call: Call) -> Response:
    """Forget a series."""
    name = series_id(service, call.arguments["id"])
    return answer({"seq": await asyncio.to_thread(service.engine.remove, name)})


async def history(service: Service, call: Call) -> Response:
    """Past rows of a series, with what was forecast of them."""
    name, limit = series_id(service, call.arguments["id"]), call.arguments["limit"]
    return answer(service.presenter.history(await asyncio.to_thread(service.engine.history, name, limit)))


async def inside(service: Service, call: Call) -> Response:
    """What the recurrent layers did over the last steps of a series."""
    name, limit, engine = series_id(service, call.arguments["id"]), call.arguments["limit"], service.engine

    def object_() -> dict[str, Any]:
        return gates.gates(engine.model, engine.history(name, 2 * limit), limit)

    return answer(await asyncio.to_thread(object_))


async def forecast_one(service: Service, call: Call) -> Response:
    """The forecast of a series."""
    wish = call.arguments
    query = ForecastQuery([series_id(service, wish["id"])], wish["horizon"], wish["levels"] and list(wish["levels"]))
    return answer(wire.documents(await asyncio.to_thread(forecast_of, service, query))[0])


async def forecast_many(service: Service, call: Call) -> Response:
    """The forecasts of many series."""
    service.require_ready()  # this comes before whether the request is sound
    query = await call.document(service.options.body_limit, ForecastQuery)

    def documents() -> dict[str, Any]:
        return {"forecasts": wire.documents(forecast_of(service, query))}

    return answer(await asyncio.to_thread(documents))


def forecast_of(service: Service, query: ForecastQuery) -> Forecast:
    """The forecast that a query asks for.

    Raises:
        TooLarge: of more series and steps than one request may ask for.
    """
    engine, ids = service.engine, [*query.known] if query.ids is None and query.known is not None else query.ids
    count = engine.status().series if ids is None else len(ids)
    steps = _steps(engine.model.network.head.horizon if query.horizon is None else query.horizon)
    if count > service.options.row_limit or count * max(steps, 1) > MOST_NUMBERS:
        raise TooLarge(
            f"{count:,} series of {steps:,} steps are more than one request may ask for: at most "
            f"{service.options.row_limit:,} series, and {MOST_NUMBERS:,} steps in all"
        )
    names = None if ids is None else [series_id(service, name) for name in ids]
    return engine.forecast(names, steps, query.levels, known_ahead(service, names, query.known))


def known_ahead(service: Service, ids: Sequence[str | int] | None, known: Known | None) -> Mapping[Any, Any] | None:
    """What a caller knows ahead of each of the series that are asked for; None where nothing is said."""
    if known is None:
        return None
    by_id = {series_id(service, name): rows for name, rows in known.items()}
    nothing = {item.name: list[Any]() for item in service.engine.model.schema.known}
    return {name: by_id.get(name, nothing) for name in ids or ()}


def _steps(horizon: float) -> int:
    """A horizon as a whole number, which JSON may write with a fraction of zero.

    Raises:
        SettingError: none, or one that is too far.
    """
    if horizon != int(horizon) or not 1 <= horizon <= FARTHEST:
        raise SettingError(f"horizon: {horizon:g} is not a whole number of steps from 1 to {FARTHEST:,}")
    return int(horizon)


async def alarms(service: Service, call: Call) -> Response:
    """The latest alarms."""
    latest = await asyncio.to_thread(service.engine.alarms, call.arguments["limit"])
    return answer({"alarms": [service.presenter.alarm(alarm) for alarm in latest]})


def series_id(service: Service, name: str | int) -> str | int:
    """The name of a series as the model has it, of what a caller writes.

    Raises:
        UnknownSeries: no series can be called so.
    """
    try:
        return values.series_id(name, service.engine.model.schema.id_kind)
    except DataError as error:
        raise UnknownSeries(str(error)) from error


ID = Argument("id", "The series; a slash in it is written %2F.", place="path", example="site-7")
RECENT = Argument("recent", "How many of its last values to show.", "count", 0, 0, 1000)
HORIZON = Argument("horizon", "Steps; the model's where it is left out.", "count", None, 1, FARTHEST)
LEVELS = Argument("levels", "Levels of the intervals, in percent; the model's where left out.", "numbers", None, 1, 100)
MISSING = {
    404: Reply("There is no such series.", ref("Error")),
    421: Reply("It is another server's, whose address is in Location.", ref("Error")),
}
OPERATIONS = (
    Operation(
        "GET", "/v1/series", "List series.", "read", listing,
        {
            200: Reply("Some of the series, how many match, and where to go on (as after).", ref("Page")),
            404: Reply("No series can be called as after says.", ref("Error")),
        },
        (
            Argument("prefix", "How their names begin.", default=""),
            Argument("contains", "A string that is anywhere in their names, in small letters or large.", default=""),
            Argument("after", "The last series that is known already."),
            Argument("limit", "How many.", "count", 100, 1, 1000),
            Argument("offset", "How many to pass over.", "count", 0, 0, 2**31),
            Argument("sort", "By what they are sorted; what is unknown comes last.", default="id", options=SORTS),
            Argument("descending", "Whether the largest comes first.", "flag", False),
            RECENT,
        ),
    ),
    Operation(
        "GET", "/v1/series/{id}", "Show what is known of a series.", "read", one,
        {200: Reply("The series.", ref("Series"))} | MISSING, (ID, RECENT),
    ),
    Operation(
        "DELETE", "/v1/series/{id}", "Forget a series; one that comes again starts anew.", "admin", forget,
        {200: Reply("It is forgotten, and that is on the disk.", ref("Sequence"))} | MISSING, (ID,),
    ),
    Operation(
        "GET", "/v1/series/{id}/forecast", "Forecast a series.", "read", forecast_one,
        {200: Reply("The forecast.", ref("Forecast"))} | MISSING, (ID, HORIZON, LEVELS),
    ),
    Operation(
        "GET", "/v1/series/{id}/history", "Show past rows, with what was forecast of each before.", "read", history,
        {200: Reply("The rows, oldest first.", ref("History"))} | MISSING,
        (ID, Argument("limit", "How many, the latest.", "count", 500, 1, 100_000)),
    ),
    Operation(
        "GET", "/v1/series/{id}/gates", "Show what the network's recurrent layers did over the last steps.", "read",
        inside, {200: Reply("The gates of each layer, oldest first.", ref("Gates"))} | MISSING,
        (ID, Argument("limit", "How many steps.", "count", 168, 1, 1000)),
    ),
    Operation(
        "POST", "/v1/forecast", "Forecast many series; what is known ahead may be stated.", "read", forecast_many,
        {200: Reply("The forecasts, in the order of the series.", ref("Forecasts"))} | MISSING, (),
        ref("ForecastQuery"),
    ),
    Operation(
        "GET", "/v1/alarms", "Show the latest alarms, newest first.", "read", alarms,
        {200: Reply("The alarms.", ref("Alarms"))}, (Argument("limit", "How many.", "count", 50, 1, 1000),),
    ),
)  # fmt: skip


def query_schema(names: Sequence[str]) -> Schema:
    """The JSON schema of `ForecastQuery`.

    Args:
        names: of the covariates that the model wants known ahead.
    """
    ids = {"type": "array", "items": {"type": ["string", "integer"]}}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "ids": {"description": "The series; those of known where null, or all.", "anyOf": [ids, {"type": "null"}]},
            "horizon": {"type": ["integer", "null"], "minimum": 1, "maximum": FARTHEST},
            "levels": {"type": ["array", "null"], "items": LEVELS.schema()["items"], "maxItems": MOST_ITEMS},
            "known": known_schema(names),
        },
    }


def known_schema(names: Sequence[str]) -> Schema:
    """The JSON schema of `Known`, see `query_schema`; null alone where the model wants nothing known ahead."""
    if not names:
        return {"type": "null"}
    return {
        "description": "By series and column, the values of the next steps.",
        "type": ["object", "null"],
        "additionalProperties": {
            "type": "object",
            "properties": {name: {"type": "array"} for name in names},
            "additionalProperties": False,
        },
    }
