"""Changing models over HTTP: another one observes the same rows, takes over, or goes again; see `contest`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from statecast.errors import ModelFileError, SettingError
from statecast.model import archive
from statecast.server.http.calls.calls import Call, answer, refusal
from statecast.server.http.calls.operations import Operation, Reply, ref

if TYPE_CHECKING:
    from starlette.responses import Response

    from statecast.server.engine.receipts import ChallengerStatus
    from statecast.server.http.service import Service

LARGEST = 16_384  # bytes of a request about models


class ModelWish(msgspec.Struct, forbid_unknown_fields=True):
    """Which model is to observe beside the one that answers.

    Attributes:
        path: its folder or file, on the server's machine.
        promote: whether it takes over as soon as it has caught up.
    """

    path: str
    promote: bool = False


async def challenge(service: Service, call: Call) -> Response:
    """Have another model observe the same rows."""
    service.require_ready()  # this comes before whether the request is sound
    wish = await call.document(LARGEST, ModelWish)
    try:
        model = await asyncio.to_thread(archive.load, wish.path)
    except ModelFileError as error:
        return refusal(404, str(error))
    try:
        await asyncio.to_thread(service.engine.models.challenge, model, wish.path, wish.promote)
    except SettingError as error:
        return refusal(409, str(error))
    return answer({"challenger": described(service.engine.models.status())}, 202)


async def promote(service: Service, call: Call) -> Response:
    """Have the challenger answer from now on."""
    try:
        await asyncio.to_thread(service.engine.models.promote)
    except SettingError as error:
        return refusal(409, str(error))
    return answer({"challenger": described(service.engine.models.status())})


async def dismiss(service: Service, call: Call) -> Response:
    """Have no other model observe any longer."""
    await asyncio.to_thread(service.engine.models.dismiss)
    return answer({"challenger": None})


def described(challenger: ChallengerStatus | None) -> dict[str, Any] | None:
    """How a challenger does; None where there is none."""
    if challenger is None:
        return None
    return {
        "name": challenger.name,
        "series": challenger.series,
        "lag": challenger.lag,
        "ready": challenger.ready,
        "former": challenger.former,
        "skill": challenger.skill if np.isfinite(challenger.skill) else None,
        "better": challenger.better,
        "failure": challenger.failure,
    }


BEGUN = Reply("It has begun; /v1/status tells how it does.", ref("Contest"))
UNREADABLE = Reply("There is no model at this path.", ref("Error"))
UNFIT = Reply("There is no model that could take over now; the error says why.", ref("Error"))
OPERATIONS = (
    Operation(
        "POST", "/v1/model", "Have another model observe the same rows, and take over if that is wished.", "admin",
        challenge, {202: BEGUN, 404: UNREADABLE, 409: UNFIT}, (), ref("ModelWish"),
    ),
    Operation(
        "POST", "/v1/model/promotion", "Have the other model answer from now on; once more, to go back.", "admin",
        promote, {200: Reply("It does, and the model that answered observes beside it.", ref("Contest")), 409: UNFIT},
    ),
    Operation(
        "DELETE", "/v1/model", "Have no other model observe any longer.", "admin",
        dismiss, {200: Reply("None does.", ref("Contest"))},
    ),
)  # fmt: skip
