"""A server at the other end of a connection: a request is sent until it is answered, or until patience ends.

Every request of the client means the same when it comes twice: a row is known by its series and time, or by the key of
its request. So whatever leaves it open whether a request arrived (a connection that breaks, a time that runs out) is
met by sending it again, after a pause that doubles and is drawn at random, so that many clients of a server that
comes back do not all knock at once. A server that names a pause (`Retry-After`) is given at least that.
"""

from __future__ import annotations

import ipaddress
import logging
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from statecast.errors import (
    AccessDenied,
    DataError,
    MissingDependency,
    ServerError,
    SettingError,
    Unreachable,
    shortened,
)

if TYPE_CHECKING:
    import httpx

BUSY = (429, 502, 503, 504)  # statuses that say: later
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds
TOLD = 1.0  # seconds; shorter pauses are not worth a line of the log
LOG = logging.getLogger("statecast.client")


class Link:
    """A server over HTTP; may be used from several threads.

    Args:
        url: where it is, such as http://127.0.0.1:8000.
        token: sent with each request, where the server wants one.
        timeout: seconds that one attempt may take.
        patience: seconds after which a request that nobody answers is given up.

    Raises:
        SettingError: the address is none, or a number is out of range.
        MissingDependency: httpx or msgspec is not installed.
    """

    def __init__(self, url: str, token: str | None, timeout: float, patience: float) -> None:
        self.url: str = _checked(url)
        self.patience: float = patience
        for name, value in (("timeout", timeout), ("patience", patience)):
            if not value > 0:
                raise SettingError(f"{name}={value!r}: expected a number of seconds above 0")
        library, _ = require_libraries()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # A proxy that the environment names is no way to this machine itself; certificates take long to load.
        self.http: httpx.Client = library.Client(
            base_url=self.url,
            headers=headers,
            timeout=timeout,
            trust_env=not _is_local(self.url),
            verify=self.url.startswith("https:"),
        )

    def close(self) -> None:
        """End the connections."""
        self.http.close()

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> httpx.Response:
        """The answer to a request, which is neither "later" nor a refusal of the token.

        Raises:
            Unreachable: patience ended without an answer.
            AccessDenied: the token is missing, unknown, or may not do this.
            ServerError: the server failed, or what answers is not a server of this kind.
        """
        pauses = Pauses(self.patience if patience is None else patience)
        library, _ = require_libraries()
        sent = {**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})}
        while True:
            least = 0.0
            try:
                answer = self.http.request(method, path, params=dict(query or {}), content=body, headers=sent)
                if answer.status_code not in BUSY:
                    return checked(self.url, answer)
                reason, least = f"it answers {answer.status_code}: {complaint(answer)}", named_pause(answer)
            except library.TransportError as error:
                reason = str(error) or type(error).__name__
            pauses.after(self.url, reason, least)


class Pauses:
    """The pauses between attempts, until patience ends.

    Args:
        patience: seconds from now on.
    """

    def __init__(self, patience: float) -> None:
        self._patience, self._number = patience, 0
        self._end = time.monotonic() + patience

    def after(self, url: str, reason: str, least: float = 0.0) -> None:
        """Wait after an attempt that failed for a reason, `least` seconds or more.

        Raises:
            Unreachable: patience would end during the pause.
        """
        length = max(least, random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._number)))
        self._number = min(self._number + 1, 30)
        if time.monotonic() + length > self._end:
            raise Unreachable(
                f"{url} did not take a request within {self._patience:g} s ({reason}): see whether the server runs, "
                "and whether this is its address"
            )
        if length >= TOLD:
            LOG.info("%s does not take a request (%s): again in %.0f s", url, reason, length)
        time.sleep(length)


def checked(url: str, answer: httpx.Response) -> httpx.Response:
    """An answer that is about the request, not about the server or the token.

    Raises:
        AccessDenied, ServerError: see `Link.ask`.
    """
    status = answer.status_code
    if status in (401, 403):
        raise AccessDenied(f"{url} refuses this: {complaint(answer)}; give a token that the server's token file holds")
    if status >= 500 or 300 <= status < 400:
        raise ServerError(f"{url} answered {status}: {complaint(answer)}")
    return answer


def complaint(answer: httpx.Response) -> str:
    """What an answer says is wrong, in one line."""
    try:
        value = document(answer)
    except ServerError:
        value = None
    text = value.get("error") if isinstance(value, dict) else None
    return str(text) if text else answer.reason_phrase or "no reason"


def document(answer: httpx.Response) -> Any:
    """The JSON document of an answer.

    Raises:
        ServerError: it is none.
    """
    _, json = require_libraries()
    try:
        return json.decode(answer.content)
    except ValueError as error:  # of which msgspec.DecodeError is one
        raise ServerError(
            f"{answer.url} answered {shortened(answer.text)} where JSON was expected: is this a statecast server?"
        ) from error


def mapping(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer that went well.

    Raises:
        DataError: the server refuses the request.
        ServerError: it is not an object.
    """
    if answer.status_code >= 400:
        raise DataError(complaint(answer))
    value = document(answer)
    if not isinstance(value, dict):
        raise ServerError(f"{answer.url} answered {shortened(value)} where an object was expected")
    return value


def named_pause(answer: httpx.Response) -> float:
    """The seconds that `Retry-After` asks for, as a number or as a date; 0 where it does not."""
    text = answer.headers.get("Retry-After", "")
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return 0.0


def require_libraries() -> tuple[ModuleType, ModuleType]:
    """httpx, and the JSON of msgspec.

    Raises:
        MissingDependency: one of them is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingDependency.of("httpx", "client", "statecast.Client") from error
    try:
        import msgspec.json
    except ImportError as error:
        raise MissingDependency.of("msgspec", "client", "statecast.Client") from error
    return httpx, msgspec.json


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingError(f"{url!r} is not the address of a server: give one such as http://127.0.0.1:8000")
    if parts.username or parts.password:
        raise SettingError("an address holds no password: give a token")
    return url.rstrip("/")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
