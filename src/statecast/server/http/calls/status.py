"""`GET /v1/status`: what a server serves, and how it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.model.container import version
from statecast.server.http.calls import models
from statecast.server.http.calls.calls import Call, answer
from statecast.server.http.calls.operations import Operation, Reply, ref

if TYPE_CHECKING:
    from starlette.responses import Response

    from statecast.model.trained import Model
    from statecast.server.http.service import Service


async def status(service: Service, call: Call) -> Response:
    """What the server serves, and how it does."""
    model = described(service.engine.model, service.name) | {"recent": service.engine.status().recent}
    scope = service.access.scope_of(call.token, call.session)
    fixed = {
        "version": version(),
        "started": service.started,
        "ready_after": service.ready_after,
        "ready": service.ready,
        "scope": scope,
        "tokens": not service.access.open,
        "model": model,
        "trace": service.pulse.trace(),
    }
    return answer(fixed | changing(service))


def changing(service: Service) -> dict[str, Any]:
    """The part that changes."""
    state = service.engine.status()
    return {
        "now": time.time(),
        "series": state.series,
        "observations": state.observations,
        "seq": state.seq,
        "alarms": state.alarms,
        "queue": state.queue,
        **service.pulse.now(),
        "challenger": models.described(state.challenger),
        "skill": state.skill if np.isfinite(state.skill) else None,
        "checkpoint": {"age": state.checkpoint_age, "lag": state.checkpoint_lag},
        "sizes": state.sizes,
        "readers": len(service.audience),
    }


def described(model: Model, name: str) -> dict[str, Any]:
    """What a client must know of a model, and what a person likes to."""
    schema, config = model.schema, model.config
    return {
        "name": name,
        "horizon": model.network.head.horizon,
        "targets": schema.target,
        "levels": config.levels,
        "id": schema.id_column,
        "id_kind": schema.id_kind,
        "time": schema.time_column,
        "time_kind": schema.time_kind,
        "frequency": None if schema.time is None else schema.frequency.text,
        "tz": schema.tz,
        "cell": config.cell,
        "hidden": config.hidden,
        "past": [item.name for item in schema.past],
        "known": [item.name for item in schema.known],
        "static": [item.name for item in schema.static],
    }


OPERATIONS = (
    Operation(
        "GET", "/v1/status", "Show what the server serves, and how it does.", "read", status,
        {200: Reply("The status.", ref("Status"))},
    ),
)  # fmt: skip
