"""`/openapi.json`: the table of operations as an OpenAPI document, with the columns of the model that is served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from statecast.model.container import version
from statecast.server.http.calls import explanations, inference, observations, series
from statecast.server.http.calls.calls import JSON, LINES
from statecast.server.http.calls.operations import NUMBER, TEXT, Argument, Operation, Reply, Schema, ref

if TYPE_CHECKING:
    from statecast.model.trained import Model
    from statecast.server.options import Options

MAYBE: Schema = {"type": ["number", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
ID: Schema = {"type": ["string", "integer"]}
TIME: Schema = {"description": "As the training table has it.", "type": ["string", "integer"]}
LATER: Schema = {"description": "As the training table has it.", "type": ["string", "integer", "null"]}
ABOUT = (
    "Rows in, forecasts out. Rows have the columns of the training table, times are strings or whole numbers as there. "
    "What is acknowledged is on the disk."
)
# What any call may get, beside what is its own.
REFUSALS = {
    400: "The call is not sound.",
    401: "A token is needed, and there is none or it is unknown.",
    403: "The token may not do this, or the call comes from another origin.",
}


def document(operations: Iterable[Operation], model: Model | None, options: Options) -> dict[str, Any]:
    """The document.

    Args:
        operations: all of them.
        model: that is served; None where it is not known yet, and rows are described as objects of any kind.
        options: of the server.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "statecast", "version": version(), "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": _schemas(model),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        **({} if options.tokens is None else {"security": [{"token": []}]}),
    }


def _operation(operation: Operation) -> dict[str, Any]:
    kinds = [JSON, *(LINES if operation.lines else ())]
    content: dict[str, Any] = {kind: {"schema": operation.body if kind == JSON else TEXT} for kind in kinds}
    replies = {**_common(operation), **operation.replies}
    return {
        "operationId": "_".join([operation.method.lower(), *(part.strip("{}") for part in operation.parts)]),
        "summary": operation.summary,
        **({"parameters": [_parameter(item) for item in operation.arguments]} if operation.arguments else {}),
        **({} if operation.body is None else {"requestBody": {"required": True, "content": content}}),
        "responses": {str(status): _reply(reply) for status, reply in sorted(replies.items())},
        **({"security": []} if operation.scope is None else {}),
    }


def _common(operation: Operation) -> dict[int, Reply]:
    texts = dict(REFUSALS)
    if operation.body is not None:
        texts |= {413: "The request is larger than one may be.", 415: "The body is of another kind."}
    if operation.scope == "write" or operation.path == "/v1/events":
        texts[429] = "The server has enough to do: Retry-After says when to come again."
    if operation.waits:
        texts[503] = "The server is still reading its store, or has stopped: Retry-After says when to come again."
    return {status: Reply(text, ref("Error")) for status, text in texts.items()}


def _reply(reply: Reply) -> dict[str, Any]:
    content = {} if reply.schema is None else {"content": {reply.kind: {"schema": reply.schema}}}
    return {"description": reply.help, **content}


def _parameter(item: Argument) -> dict[str, Any]:
    style = {"style": "form", "explode": False} if item.kind in ("numbers", "names") else {}
    example = {} if item.example is None else {"example": item.example}
    return {
        "name": item.name,
        "in": item.place,
        "required": item.place == "path",
        "description": item.help,
        "schema": item.schema(),
        **style,
        **example,
    }


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _list(item: Schema) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _schemas(model: Model | None) -> dict[str, Any]:
    """The schemas by their names."""
    targets = () if model is None else model.schema.target
    known = () if model is None else tuple(item.name for item in model.schema.known)
    number = MAYBE if len(targets) < 2 else _object(dict.fromkeys(targets, MAYBE))
    column = _list(MAYBE) if len(targets) < 2 else _object(dict.fromkeys(targets, _list(MAYBE)))
    bounds = {"type": "object", "additionalProperties": column}
    flag = {"type": "boolean"} if len(targets) < 2 else _object({name: {"type": "boolean"} for name in targets})
    verdict = {"score": number, "unusual": flag}  # on the row that the forecast is made from
    alarm = {
        "seq": COUNT,
        "id": {"type": ["string", "integer", "null"]},
        "time": LATER,
        "kind": TEXT,
        "score": MAYBE,
        "since": LATER,
    }
    shown = {"id": ID, "count": COUNT, "time": LATER, "value": number, "recent": column, "skill": MAYBE, "score": MAYBE}
    past = {"id": ID, "times": _list(TIME), "values": column, "forecast": column, "lower": bounds, "upper": bounds}
    return {
        "Error": _object({"error": TEXT}),
        "Health": _object({"status": TEXT}),
        "Login": {**_object({"token": TEXT}), "additionalProperties": False},
        "Sequence": _object({"seq": COUNT}),
        "ModelWish": {**_object({"path": TEXT}, {"promote": {"type": "boolean"}}), "additionalProperties": False},
        "Contest": _object({"challenger": {"type": ["object", "null"]}}),
        "Rows": _rows(model),
        "RowAnswer": observations.ROW_ANSWER,
        "Submission": _object({"seq": COUNT, "results": _list(ref("RowAnswer"))}),
        "Forecast": {
            **_object({"id": ID, "time": LATER, "times": _list(TIME), "statecast": column}, {"seq": COUNT} | verdict),
            "additionalProperties": column,
            "description": "Beside its points the bounds, such as statecast-lo-80 and statecast-hi-80.",
        },
        "Forecasts": _object({"forecasts": _list(ref("Forecast"))}),
        "ForecastQuery": series.query_schema(known),
        "Explanation": _object(
            {"id": ID, "time": LATER, "times": _list(TIME), "statecast": column}
            | {"parts": _list(_object({"name": TEXT, "kind": TEXT, "amounts": column}))}
        ),
        "Explanations": _object({"explanations": _list(ref("Explanation"))}),
        "ExplanationQuery": explanations.query_schema(known),
        "Series": _object(
            shown
            | {
                "error": _object({"statecast": number, "naive": number}, {"challenger": number}),
                "unusual": {"type": "boolean"},
            }
            | {"alarms": COUNT, "age": MAYBE}
        ),
        "Page": _object(
            {"series": _list(ref("Series")), "total": COUNT, "next": {"type": ["string", "integer", "null"]}}
        ),
        "History": _object(past | {"scores": _list(MAYBE), "alarms": _list(ref("Alarm"))}),
        "Gates": _object(
            {
                "times": _list(TIME),
                "heard": {"type": "boolean"},
                "layers": _list(_object({"name": TEXT, "values": _list(_list(NUMBER))})),
            }
        ),
        "Alarm": _object(alarm, {"value": number}),
        "Alarms": _object({"alarms": _list(ref("Alarm"))}),
        "Status": _object({"version": TEXT, "ready": {"type": "boolean"}, "model": {"type": "object"}, "seq": COUNT}),
        "ServerMetadata": _object({"name": TEXT, "version": TEXT, "extensions": _list(TEXT)}),
        "Readiness": _object({}, {"live": {"type": "boolean"}, "ready": {"type": "boolean"}, "name": TEXT}),
        "Metadata": _object(
            {"name": TEXT, "platform": TEXT, "inputs": _list({"type": "object"}), "outputs": _list({"type": "object"})},
            {"versions": _list(TEXT)},
        ),
        "Inference": _object(
            {"inputs": _list(inference.tensor_schema(outputs=False))},
            {
                "id": {"type": ["string", "null"]},
                "parameters": _object({}, {"horizon": {"type": "integer"}, "levels": TEXT}),
                "outputs": {**_list(_object({"name": TEXT})), "type": ["array", "null"]},
            },
        ),
        "Inferred": _object(
            {"model_name": TEXT, "outputs": _list(inference.tensor_schema(outputs=True))},
            {"model_version": TEXT, "id": TEXT},
        ),
    }


def _rows(model: Model | None) -> Schema:
    """One row, a list of rows, or an object of columns."""
    if model is None:
        return {"anyOf": [{"type": "object"}, _list({"type": "object"})]}
    schema = model.schema
    cell = {"number": {"type": ["number", "string", "boolean", "null"]}, "any": {}}
    properties: dict[str, Schema] = {}
    required: list[str] = []
    for name in (schema.id, schema.time):
        if name is not None:
            properties[name], required = {"type": ["string", "integer"]}, [*required, name]
    for name in (*schema.target, *(item.name for item in schema.past)):
        properties[name], required = cell["number"], [*required, name]
    for item in schema.known:
        ahead = {"description": "The value of this step and of each of the horizon.", **_list(cell["number"])}
        properties[item.name], required = ahead, [*required, item.name]
    properties |= {item.name: cell["number"] for item in schema.static}
    row = {"type": "object", "required": required, "properties": properties}
    columns = {
        "type": "object",
        "required": required,
        "properties": {name: {"anyOf": [_list(item), item]} for name, item in properties.items()},
    }
    return {"anyOf": [row, _list(row), columns]}
