"""Events of a server as they come, by the text format of server-sent events (WHATWG HTML, section 9.2).

A connection that ends, or is silent for longer than the server's heart takes to beat, is made again with the number of
the last event, so that nothing between is missed and nothing comes twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statecast.errors import ServerError, shortened
from statecast.server.client import link
from statecast.server.client.link import BUSY, LONGEST_PAUSE, Link, Pauses

if TYPE_CHECKING:
    import httpx

SILENCE = 45.0  # seconds; the server says something every 15
NOTHING_MORE = 204  # the status by which a server ends a reader for good


@dataclass(frozen=True)
class Event:
    """Something that happened at a server.

    Attributes:
        seq: its number; None for what has none, such as the status.
        kind: "observation", "forecast", "alarm", "status".
        data: what it says.
    """

    seq: int | None
    kind: str
    data: Any


def events(connection: Link, query: Mapping[str, str], after: int | None) -> Iterator[Event]:
    """Events without end; see `Client.events`.

    Raises:
        DataError, Unreachable, AccessDenied, ServerError: as there.
    """
    library, _ = link.require_libraries()
    last, pauses = after, Pauses(connection.patience)
    while True:
        start = time.monotonic()
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
        reason, least = "the connection ended", 0.0
        try:
            with connection.http.stream(
                "GET", "/v1/events", params=dict(query), headers=headers, timeout=SILENCE
            ) as answer:
                if answer.status_code == NOTHING_MORE:
                    return
                if answer.status_code in BUSY:
                    reason, least = f"it answers {answer.status_code}", link.named_pause(answer)
                else:
                    _require_events(connection.url, answer)
                    for event in parsed(answer.iter_lines()):
                        last = last if event.seq is None else event.seq
                        yield event
                        pauses = Pauses(connection.patience)
        except library.TransportError as error:
            reason = str(error) or type(error).__name__
        if time.monotonic() - start > LONGEST_PAUSE:  # it was there, and only silent
            pauses = Pauses(connection.patience)
        pauses.after(connection.url, reason, least)


def _require_events(url: str, answer: httpx.Response) -> None:
    if answer.status_code != 200:
        answer.read()
        link.mapping(link.checked(url, answer))
    kind = answer.headers.get("Content-Type", "")
    if not kind.startswith("text/event-stream"):
        raise ServerError(f"{url} answered {shortened(kind)} where events were expected: is this a statecast server?")


def parsed(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a stream's text, which end at blank lines; what is cut off in the middle is none.

    Raises:
        ServerError: what an event says is not JSON.
    """
    _, json = link.require_libraries()
    kind, data = "message", list[str]()
    seq: int | None = None
    for line in lines:
        if not line:
            if data:
                try:
                    value = json.decode("\n".join(data))
                except ValueError as error:  # of which msgspec.DecodeError is one
                    raise ServerError(f"the server sent the event {shortened(data)}, which is not JSON") from error
                yield Event(seq, kind, value)
            kind, data, seq = "message", [], None
            continue
        field, _, text = line.partition(":")
        text = text.removeprefix(" ")
        if field == "event":
            kind = text
        elif field == "data":
            data.append(text)
        elif field == "id" and text.isdecimal():
            seq = int(text)
