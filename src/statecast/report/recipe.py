"""The recipe of a fit: settings and columns as TOML from which `statecast fit --config` makes the same fit again.

What was chosen from the data stands in comments, with its reason: the next fit chooses it again, in the same way. As a
setting it would ask for something else. `skip = 24`, for example, says how far to look back, but not that the map was a
mean of two.
"""

from __future__ import annotations

from typing import Any

from statecast.allowed import plain_value
from statecast.config import Config
from statecast.data.schema import Schema
from statecast.model.trained import Model


def given_settings(model: Model) -> Config:
    """The settings without those that were chosen from the data, as far as the file says which these are."""
    defaults = Config().to_dict()
    chosen = {name: None for name in model.reasons or {} if name in defaults and defaults[name] is None}
    return model.config.with_(**chosen)


def toml(model: Model) -> str:
    """Settings and columns, and what was chosen from the data as comments."""
    import tomli_w

    settings = given_settings(model)
    text = tomli_w.dumps({name: plain_value(value) for name, value in settings.changed().items()})
    chosen = {name: value for name, value in model.config.changed().items() if name not in settings.changed()}
    if chosen:
        lines = [_comment(name, value, (model.reasons or {}).get(name, "")) for name, value in chosen.items()]
        text += "\n".join(["\n# chosen from the data, as the next fit chooses it again:", *lines, ""])
    return f"{text}\n{tomli_w.dumps({'data': _roles(model.schema)})}"


def _comment(name: str, value: Any, reason: str) -> str:
    import tomli_w

    setting = " ".join(tomli_w.dumps({name: plain_value(value)}).split())
    return f"# {setting}" + (f"  # {' '.join(reason.split())}" if reason else "")


def _roles(schema: Schema) -> dict[str, Any]:
    """The section [data], without what follows from the table in any case."""
    covariates = {"past": schema.past, "known": schema.known, "static": schema.static}
    roles: dict[str, Any] = {"target": list(schema.target), "id": schema.id, "time": schema.time or ""}
    roles |= {role: [item.name for item in items] for role, items in covariates.items()}
    roles |= {"weight": schema.weight, "freq": schema.frequency.text if schema.time else None}
    return {name: value for name, value in roles.items() if value not in (None, [])}
