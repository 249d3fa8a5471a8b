"""The Open Inference Protocol (REST, version 2), for those who ask model servers by it.

The model's inputs are the names of series that the server knows, its outputs the forecasts from their states: nothing
moves. Rows come by `/v1/observations`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from statecast.data.values import described
from statecast.errors import DataError
from statecast.forecast import wire
from statecast.model.container import version
from statecast.server.http.calls import series
from statecast.server.http.calls.calls import Call, answer, refusal
from statecast.server.http.calls.operations import Argument, Operation, Reply, Schema, ref

if TYPE_CHECKING:
    from starlette.responses import Response

    from statecast.forecast.answer import Forecast
    from statecast.server.http.service import Service

PLATFORM = "statecast"
VERSION = "1"  # of a model: what is served is the only one that can be asked for


class Tensor(msgspec.Struct):
    """An input."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class Output(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class Inference(msgspec.Struct):
    """A request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[Output] | None = None


async def server(service: Service, call: Call) -> Response:
    """What the server is."""
    return answer({"name": PLATFORM, "version": version(), "extensions": []})


async def live(service: Service, call: Call) -> Response:
    """Whether it lives."""
    return answer({"live": True})


async def server_ready(service: Service, call: Call) -> Response:
    """Whether its model is ready."""
    return answer({"live": True, "ready": service.ready}, 200 if service.ready else 503)


async def model_ready(service: Service, call: Call) -> Response:
    """Whether a model is ready."""
    if call.arguments["model"] != service.name:
        return _no_model(service, call)
    return answer({"name": service.name, "ready": service.ready}, 200 if service.ready else 503)


async def model(service: Service, call: Call) -> Response:
    """What goes into a model, and what comes out."""
    if not _is_here(service, call):
        return _no_model(service, call)
    trained = service.engine.model
    head, levels = trained.network.head, trained.config.levels
    names = ["statecast", *(f"statecast-{end}-{level:g}" for level in levels for end in ("lo", "hi"))]
    shape = [-1, head.horizon, len(trained.schema.target)]
    kind = "INT64" if trained.schema.id_kind == "integer" else "BYTES"
    stamps = "INT64" if trained.schema.time_kind in ("integer", "row") else "BYTES"
    return answer(
        {
            "name": service.name,
            "versions": [VERSION],
            "platform": PLATFORM,
            "inputs": [{"name": trained.schema.id_column, "datatype": kind, "shape": [-1]}],
            "outputs": [
                {"name": "times", "datatype": stamps, "shape": shape[:2]},
                *({"name": name, "datatype": "FP64", "shape": shape} for name in names),
            ],
        }
    )


async def infer(service: Service, call: Call) -> Response:
    """Forecast series."""
    if not _is_here(service, call):
        return _no_model(service, call)
    request = await call.document(service.options.body_limit, Inference)
    return answer(await asyncio.to_thread(_inferred, service, request))


def _inferred(service: Service, request: Inference) -> dict[str, Any]:
    schema = service.engine.model.schema
    query = series.ForecastQuery(_ids(request, schema.id_column), **_parameters(request.parameters))
    forecast = series.forecast_of(service, query)
    tensors = _tensors(forecast)
    names = list(tensors) if request.outputs is None else [output.name for output in request.outputs]
    strange = next((name for name in names if name not in tensors), None)
    if strange is not None:
        raise DataError(f"there is no output {described(strange)}: there are {', '.join(tensors)}")
    result: dict[str, Any] = {"model_name": service.name, "model_version": VERSION}
    if request.id is not None:
        result["id"] = request.id
    return result | {"outputs": [{"name": name, **tensors[name]} for name in names]}


def _ids(request: Inference, name: str) -> list[str | int]:
    """The series of a request."""
    if len(request.inputs) != 1 or request.inputs[0].name != name:
        names = ", ".join(described(tensor.name) for tensor in request.inputs) or "none"
        raise DataError(f"the inputs are {names}: expected one, {name!r}, with the names of series")
    tensor = request.inputs[0]
    if tensor.datatype not in ("BYTES", "INT64") or tensor.shape != [len(tensor.data)]:
        raise DataError(
            f"{name}: {described(tensor.datatype)} of the shape {tensor.shape} with {len(tensor.data)} values: "
            "expected BYTES or INT64 of the shape [number of series], and as many values"
        )
    if not all(isinstance(item, str) or type(item) is int for item in tensor.data):
        raise DataError(f"{name}: expected a list of names of series")
    return tensor.data


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """horizon and levels, which mean what they do elsewhere."""
    strange = next((name for name in parameters if name not in ("horizon", "levels")), None)
    if strange is not None:
        raise DataError(f"there is no parameter {described(strange)}: there are horizon and levels")
    horizon, levels = parameters.get("horizon"), parameters.get("levels")
    if horizon is not None and type(horizon) is not int:
        raise DataError(f"horizon: {described(horizon)} is not a whole number")
    if isinstance(levels, str):  # the protocol's parameters are single values
        levels = series.LEVELS.read(levels)
    if levels is not None and not all(type(level) in (int, float) for level in _listed(levels)):
        raise DataError(f"levels: {described(levels)} are not numbers: write them as 80,95")
    return {"horizon": horizon, "levels": None if levels is None else list(_listed(levels))}


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _tensors(forecast: Forecast) -> dict[str, dict[str, Any]]:
    """The outputs, in the row-major order of their shapes."""
    shape = [len(forecast.ids), forecast.horizon, len(forecast.targets)]
    numbers = {"statecast": forecast.values}
    for level, lower in forecast.lower.items():
        numbers |= {f"statecast-lo-{level:g}": lower, f"statecast-hi-{level:g}": forecast.upper[level]}
    schema = forecast.model.schema
    kind = "INT64" if schema.time_kind in ("integer", "row") else "BYTES"
    times = wire.times(np.asarray(forecast.times).reshape(-1), schema)
    stamps = {"times": {"datatype": kind, "shape": shape[:2], "data": times}}
    return stamps | {
        name: {"datatype": "FP64", "shape": shape, "data": np.asarray(part).reshape(-1).tolist()}
        for name, part in numbers.items()
    }


def _is_here(service: Service, call: Call) -> bool:
    return bool(call.arguments["model"] == service.name and call.arguments.get("version", VERSION) == VERSION)


def _no_model(service: Service, call: Call) -> Response:
    name = call.arguments["model"]
    return refusal(
        404, f"there is no model {described(name)} of this version: {service.name} is here, version {VERSION}"
    )


def tensor_schema(outputs: bool) -> Schema:
    """The JSON schema of a tensor with its data."""
    scalar = {"type": ["string", "number", "integer", "boolean", "null"] if outputs else ["string", "integer"]}
    return {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array", "items": scalar},
            "parameters": {"type": "object"},
        },
    }


MODEL = Argument("model", "The name of the model, as /v1/status has it.", place="path")
NUMBER = Argument("version", f"{VERSION}, the only one.", place="path")
NO_MODEL = {404: Reply("There is no such model, version or series.", ref("Error"))}
NOT_READY = {503: Reply("The server is still reading its store.", ref("Readiness"))}
METADATA = {200: Reply("Its inputs and outputs.", ref("Metadata"))} | NO_MODEL
INFERRED = {200: Reply("The outputs.", ref("Inferred"))} | NO_MODEL
READY = {200: Reply("It is.", ref("Readiness"))} | NOT_READY
OPERATIONS = (
    Operation("GET", "/v2", "Show what the server is.", "read", server,
              {200: Reply("Its name and version.", ref("ServerMetadata"))}, waits=False),
    Operation("GET", "/v2/health/live", "Whether the server lives.", None, live,
              {200: Reply("It does.", ref("Readiness"))}, waits=False),
    Operation("GET", "/v2/health/ready", "Whether the model is ready.", None, server_ready, READY, waits=False),
    Operation("GET", "/v2/models/{model}", "Show a model's inputs and outputs.", "read", model, METADATA, (MODEL,)),
    Operation("GET", "/v2/models/{model}/ready", "Whether a model is ready.", "read", model_ready,
              READY | NO_MODEL, (MODEL,), waits=False),
    Operation("POST", "/v2/models/{model}/infer", "Forecast series by the Open Inference Protocol.", "read", infer,
              INFERRED, (MODEL,), ref("Inference")),
    Operation("GET", "/v2/models/{model}/versions/{version}", "Show a model's inputs and outputs.", "read", model,
              METADATA, (MODEL, NUMBER)),
    Operation("GET", "/v2/models/{model}/versions/{version}/ready", "Whether a model is ready.", "read", model_ready,
              READY | NO_MODEL, (MODEL, NUMBER), waits=False),
    Operation("POST", "/v2/models/{model}/versions/{version}/infer",
              "Forecast series by the Open Inference Protocol.", "read", infer,
              INFERRED, (MODEL, NUMBER), ref("Inference")),
)  # fmt: skip
