"""Alarms posted to an address, each until it is taken: for a chat, a pager, a ticket system.

Where a secret is shared, a request is signed by the rules of Standard Webhooks (standardwebhooks.com, version 1), so
that libraries of many languages can check it: `webhook-id`, which stays the same when a request comes again,
`webhook-timestamp`, and `webhook-signature`, an HMAC-SHA256 of both and the body.

The engine only puts alarms into a queue, which is bounded: where the other end is away for long, the oldest are dropped
and counted, and the store of the server keeps them all the same. What waits when the server ends is posted by the next.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from statecast.errors import SettingError
from statecast.server.client.link import named_pause, require_libraries

LOG = logging.getLogger("statecast.server")
MOST = 10_000  # alarms that wait; older ones are dropped
TIMEOUT = 10.0  # seconds of one attempt
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds between attempts
PATIENCE = 86_400.0  # seconds after which an alarm is given up
AGAIN = (408, 409, 425, 429)  # statuses below 500 that say: later
PREFIX = "whsec_"  # of a secret that is base64, by the same rules


@dataclass(frozen=True, eq=False)
class _Waiting:
    """An alarm that is to be posted, and when it came; see `Webhook.put`."""

    name: str
    body: bytes
    since: float
    settled: Callable[[], None] | None


class Webhook:
    """Posts alarms in the order in which they come; a context manager.

    Args:
        url: where to.
        secret: shared with the other end: bytes in base64 after `whsec_`, or any text.
        timeout: seconds of one attempt.
        patience: seconds after which an alarm is given up.

    Raises:
        SettingError: the address is none, or the secret is not base64.
    """

    def __init__(
        self, url: str, secret: str | None = None, timeout: float = TIMEOUT, patience: float = PATIENCE
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingError(f"{url!r} is not an address for alarms: expected one such as https://example.org/alarms")
        self._name = parts.hostname  # the rest of an address may be a secret
        self._url, self._key, self._patience = url, None if secret is None else key_of(secret), patience
        library, _ = require_libraries()
        self._http = library.Client(timeout=timeout, verify=parts.scheme == "https")
        self._alarms: deque[_Waiting] = deque()
        self._changed, self._closing = threading.Condition(), False
        self.delivered, self.dropped = 0, 0
        self._thread = threading.Thread(target=self._run, name="statecast-webhook", daemon=True)
        self._thread.start()

    def __enter__(self) -> Webhook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Alarms that are not delivered yet."""
        with self._changed:
            return len(self._alarms)

    def put(self, name: str, alarm: Mapping[str, Any], settled: Callable[[], None] | None = None) -> None:
        """Have an alarm posted; returns at once.

        Args:
            name: of the alarm: the same one has the same name.
            alarm: what it says, of what JSON holds.
            settled: is called, in a thread of the webhook's, when this alarm and those before need not be posted again.
        """
        body = json.dumps({"type": "alarm", "data": alarm}, ensure_ascii=False, allow_nan=False).encode()
        with self._changed:
            self._alarms.append(_Waiting(name, body, time.monotonic(), settled))
            if len(self._alarms) > MOST:
                self._alarms.popleft()
                self._drop("too many wait")
            self._changed.notify_all()

    def close(self, patience: float = 2.0) -> None:
        """Give what waits a last chance, and end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alarms, patience)
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._http.close()

    # --- the thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while (alarm := self._next()) is not None:
            outcome, least = self._attempt(alarm.name, alarm.body)
            if outcome == "later" and time.monotonic() - alarm.since < self._patience:
                self._wait(max(least, random.uniform(pause / 2, pause)))
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            with self._changed:
                if self._alarms and self._alarms[0] is alarm:  # else it was dropped while it was under way
                    self._alarms.popleft()
                self.delivered += outcome == "taken"
                if outcome != "taken":
                    self._drop("it is refused" if outcome == "refused" else f"nobody took it for {self._patience:g} s")
                self._changed.notify_all()
            if alarm.settled is not None:
                alarm.settled()

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._alarms or self._closing)
            return None if self._closing else self._alarms[0]

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _attempt(self, name: str, body: bytes) -> tuple[str, float]:
        """Post once: "taken", "later" or "refused", and the pause that is asked for."""
        library, _ = require_libraries()
        try:
            answer = self._http.post(self._url, content=body, headers=headers(name, body, int(time.time()), self._key))
        except library.TransportError as error:
            LOG.warning("%s takes no alarms: %s", self._name, error or type(error).__name__)
            return "later", 0.0
        if answer.is_success:
            return "taken", 0.0
        LOG.warning("%s takes no alarms: it answers %d", self._name, answer.status_code)
        later = answer.status_code >= 500 or answer.status_code in AGAIN
        return ("later", named_pause(answer)) if later else ("refused", 0.0)

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        LOG.error("an alarm for %s is dropped: %s (%d so far)", self._name, reason, self.dropped)


def headers(name: str, body: bytes, now: int, key: bytes | None) -> dict[str, str]:
    """The headers of a request: what it is, and the signature where there is a key."""
    result = {"Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": str(now)}
    if key is not None:
        result["webhook-signature"] = signature(name, body, now, key)
    return result


def signature(name: str, body: bytes, now: int, key: bytes) -> str:
    """The signature of a request: HMAC-SHA256 of `name.now.body`, in base64 behind its version."""
    digest = hmac.digest(key, f"{name}.{now}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        SettingError: it is empty, or what follows `whsec_` is not base64.
    """
    if not secret.strip():
        raise SettingError("the secret of the webhook is empty")
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError as error:
        raise SettingError(f"the secret of the webhook begins with {PREFIX}, but what follows is not base64") from error
