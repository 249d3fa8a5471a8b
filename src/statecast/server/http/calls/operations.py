"""What a call is: its path, its arguments, who may make it and what it answers, each said once.

The table of operations is what the app dispatches by, what checks arguments, and what `/openapi.json` is written from:
so that page cannot promise anything that the server does not do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from statecast.data.values import described
from statecast.errors import SettingError, nearest
from statecast.server.http.tokens import Scope

if TYPE_CHECKING:
    from starlette.responses import Response

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
MOST_ITEMS = 20  # of a list in an address


def ref(name: str) -> Schema:
    """A schema by its name; see `openapi`."""
    return {"$ref": f"#/components/schemas/{name}"}


@dataclass(frozen=True)
class Argument:
    """A part of a call's address, or a header.

    Attributes:
        name: as it is written.
        help: what it means.
        kind: "text", "count", "flag", "numbers" or "names"; the last two are separated by commas.
        default: where it is left out; None where nothing is meant by that.
        least, most: of a count, both included, or of each of several numbers, which are below the most.
        options: the strings that it may be; any where there are none.
        pattern: that a string must match as a whole.
        place: where it stands.
        example: a value that shows how it is written.
    """

    name: str
    help: str
    kind: Literal["text", "count", "flag", "numbers", "names"] = "text"
    default: Any = None
    least: float | None = None
    most: float | None = None
    options: tuple[str, ...] = ()
    pattern: str = ""
    place: Literal["query", "path", "header"] = "query"
    example: Any = None

    def read(self, text: str) -> Any:
        """The value that a string stands for.

        Raises:
            SettingError: none that it may have.
        """
        match self.kind:
            case "flag":
                if text not in ("true", "false"):
                    raise self._wrong(text, "true or false")
                return text == "true"
            case "count":
                return self._count(text)
            case "numbers":
                return tuple(self._number(part) for part in text.split(","))
            case "names":
                names = tuple(part for part in text.split(",") if part)
                strange = next((name for name in names if self.options and name not in self.options), None)
                if strange is not None or not names:
                    raise self._wrong(text, f"{', '.join(self.options)}, separated by commas")
                return names
            case _:
                if self.options and text not in self.options:
                    raise self._wrong(text, f"{', '.join(self.options)}; {nearest(text, self.options)}")
                if self.pattern and not re.fullmatch(self.pattern, text):
                    raise self._wrong(text, f"a string of the pattern {self.pattern}")
                return text

    def _count(self, text: str) -> int:
        least, most = int(self.least or 0), int(self.most or 0)
        if not text.isascii() or not text.isdecimal() or len(text) > 20 or not least <= int(text) <= most:
            raise self._wrong(text, f"a whole number from {least} to {most}")
        return int(text)

    def _number(self, text: str) -> float:
        try:
            number = math.nan if "_" in text else float(text)
        except ValueError:
            number = math.nan
        if not (self.least or 0) <= number < (self.most or math.inf):
            raise self._wrong(text, f"numbers of at least {self.least:g} and below {self.most:g}, parted by commas")
        return number

    def _wrong(self, text: str, wanted_text: str) -> SettingError:
        return SettingError(f"{self.name}={described(text)}: expected {wanted_text}")

    def schema(self) -> dict[str, Any]:
        """Its JSON schema."""
        item: dict[str, Any]
        match self.kind:
            case "flag":
                item = {"type": "boolean"}
            case "count":
                item = {"type": "integer", "minimum": self.least, "maximum": self.most}
            case "numbers":
                bounds = {"type": "number", "minimum": self.least, "exclusiveMaximum": self.most}
                item = {"type": "array", "items": bounds, "minItems": 1, "maxItems": MOST_ITEMS}
            case "names":
                item = {"type": "array", "items": {"type": "string", "enum": list(self.options)}, "minItems": 1}
            case _:
                item = {"type": "string", **({"enum": list(self.options)} if self.options else {})}
                item |= {"pattern": f"^{self.pattern}$"} if self.pattern else {}
        return item | ({} if self.default is None else {"default": self.default})


@dataclass(frozen=True)
class Reply:
    """An answer that a call may get.

    Attributes:
        help: when.
        schema: of the JSON that it holds; None where it holds none.
        kind: the media type.
    """

    help: str
    schema: Schema | None = None
    kind: str = "application/json"


@dataclass(frozen=True)
class Operation:
    """A call.

    Attributes:
        method: GET, POST or DELETE.
        path: with `{name}` for each argument in it.
        summary: what it does.
        scope: who may make it; None for everybody.
        handler: makes the response, from the service and the call.
        replies: by their status, but for those that any call may get.
        arguments: of the address and headers.
        body: schema of the JSON that is sent; None where nothing is.
        lines: whether JSON lines may be sent in its place.
        waits: whether it needs the engine, and so has to wait until that has replayed its log.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    summary: str
    scope: Scope | None
    handler: Callable[..., Awaitable[Response]]
    replies: Mapping[int, Reply]
    arguments: tuple[Argument, ...] = ()
    body: Schema | None = None
    lines: bool = False
    waits: bool = True
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.path.strip("/").split("/")))

    def read(self, path: Mapping[str, str], query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        """The arguments of a call; those that are left out have their defaults.

        Raises:
            SettingError: one that the call does not have, or of a value that it may not have.
        """
        places = {"path": path, "query": query, "header": headers}
        values = {
            item.name: item.read(places[item.place][key]) if (key := item.name) in places[item.place] else item.default
            for item in self.arguments
        }
        names = [item.name for item in self.arguments if item.place == "query"]
        strange = next((name for name in query if name not in names), None)
        if strange is not None:
            raise SettingError(f"{self.path} has no argument {described(strange)}; {nearest(strange, names)}")
        return values


class Router:
    """Finds the operation of a request.

    Args:
        operations: all of them.
    """

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self.operations = operations
        self._by_length: dict[int, list[tuple[tuple[str, ...], dict[str, Operation]]]] = {}
        for operation in operations:
            group = self._by_length.setdefault(len(operation.parts), [])
            methods = next((methods for parts, methods in group if parts == operation.parts), None)
            if methods is None:
                group.append((operation.parts, methods := {}))
            methods[operation.method] = operation

    def match(self, parts: tuple[str, ...]) -> tuple[Mapping[str, Operation], dict[str, str]]:
        """The operations of a path by their methods, and the arguments that stand in it; none of an unknown path."""
        for pattern, methods in self._by_length.get(len(parts), ()):
            if all(one == other or one[:1] == "{" for one, other in zip(pattern, parts, strict=True)):
                names = {one[1:-1]: other for one, other in zip(pattern, parts, strict=True) if one[:1] == "{"}
                return methods, names
        return {}, {}
