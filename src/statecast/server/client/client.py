"""`statecast.Client`: a stream at the other end of a connection, as `Stream` is one at this end.

Rows are sent until they are answered (see `link`), and counting twice is ruled out by what a row is: the server knows
it by its series and time. Where that is not enough, because rows are counted or because a request holds more rows of a
series than the server can look back on, the request carries a key, under which it counts once.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from statecast.errors import (
    DataError,
    RowsRejected,
    ServerError,
    SettingError,
    StatecastError,
    TimeOrderError,
    UnknownSeries,
)
from statecast.server.client import link, listening, outbox
from statecast.server.client.link import Link, Pauses
from statecast.server.client.listening import Event
from statecast.server.client.outbox import Outbox
from statecast.server.client.parcel import TOO_LARGE, Parcel, encoded, json_of, results_of
from statecast.server.client.remote import RemoteBreakdown, RemoteForecast, RowResult, ServedModel

Detail = Literal["none", "point", "full"]
BATCH = 500  # rows of a request; more gain little, and every row waits for the last
UNKNOWN, ELSEWHERE = 404, 421
FORECASTS, EXPLANATIONS = ("/v1/forecast", "forecasts"), ("/v1/explanation", "explanations")
TOGETHER = 50  # series of a request for explanations
ERRORS: dict[str, type[StatecastError]] = {"late": TimeOrderError, "conflict": TimeOrderError, "unknown": UnknownSeries}


class Client:
    """The series of a server. Any method may be called from any thread.

    Each call waits until the rows are safe on the server's disk. If the server is away or busy, the call tries again
    for `patience` seconds; a row that was accepted although its answer was lost counts once.

    Args:
        url: the server, such as http://127.0.0.1:8000.
        token: one of the server's token file, if it has such a file.
        timeout: seconds for one attempt.
        patience: seconds after which a call gives up.
        batch: the most rows in a request.

    Raises:
        SettingError: the address is not valid, or a number is out of range.
        MissingDependency: httpx or msgspec is not installed.

    Example:
        >>> with sc.Client("http://127.0.0.1:8000") as client:
        ...     answer = client.observe("passengers", 450.0, "1961-01-01")
        >>> answer.values.shape
        (12, 1)
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 30.0, patience: float = 60.0, batch: int = BATCH
    ) -> None:
        if batch < 1:
            raise SettingError(f"batch={batch!r}: expected a whole number of at least 1")
        self._link, self._batch = Link(url, token, timeout, patience), batch
        self._arguments: dict[str, Any] = {"token": token, "timeout": timeout, "patience": patience, "batch": batch}
        self._others: dict[str, Client] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self._link.url}>"

    def close(self) -> None:
        """Close the connections.

        Example:
            >>> client = sc.Client("http://127.0.0.1:8000")
            >>> client.close()
        """
        self._link.close()
        for other in self._others.values():
            other.close()

    @cached_property
    def model(self) -> ServedModel:
        """What the server says about its model; asked once.

        Raises:
            Unreachable, AccessDenied, ServerError: the server does not answer, or not as it should.
        """
        return ServedModel.of(link.mapping(self._link.ask("GET", "/v1/status")))

    # --- rows

    def observe(
        self, id: str | int, value: Any, time: Any = None, past: Any = None, known: Any = None, static: Any = None
    ) -> RemoteForecast:
        """Send one row of one series, and forecast from it; see `Stream.observe`.

        Args:
            id: the series.
            value: the target, or one for each of several (a sequence, or a mapping by name); None or NaN: missing.
            time: a datetime, a datetime64, ISO text or a whole number; every row needs one, unless rows are counted.
            past: covariates known up to now, in order or by name.
            known: covariates known ahead: a row for this step and one for each of the next H, or a mapping from column
                to as many values.
            static: covariates of the series; a new series needs them.

        Returns:
            The forecast of the next H steps: values [H, D], with bounds.

        Raises:
            TimeOrderError: the time is before the series' last, or its last row had another value.
            DataError: the server refuses the row.
            Unreachable, AccessDenied, ServerError: the server does not answer, or not as it should.

        Example:
            >>> answer = client.observe("passengers", 450.0, "1961-01-01")
            >>> answer.values.shape, answer.unusual
            ((12, 1), array([False]))
        """
        (result,) = self.send([self.model.record(id, value, time, past, known, static)], "full")
        if result.error is not None:
            raise ERRORS.get(result.reason or "", DataError)(result.error)
        answer = RemoteForecast.of(self._documents([id], [result]), self.model.targets, single=True)
        return _scored(answer, [result])

    def observe_many(
        self,
        ids: Sequence[str | int],
        values: Any,
        times: Any = None,
        past: Any = None,
        known: Any = None,
        static: Any = None,
    ) -> RemoteForecast:
        """Send one row of each of S series, and forecast from them.

        Each row is accepted or refused by itself: if one is refused, the others still count.

        Args:
            ids: the series.
            values: [S, D], or [S] for a single target.
            times: one for all, or one for each.
            past: S rows.
            known: for each series what `observe` takes.
            static: S rows.

        Returns:
            The forecast of the next H steps: values [S, H, D], with bounds.

        Raises:
            RowsRejected: the server refuses some rows; the error says which, and holds the forecasts of the others.
            DataError: the numbers of values, times or covariates and of series differ.
            Unreachable, AccessDenied, ServerError: the server does not answer, or not as it should.

        Example:
            >>> client.observe_many(["planes", "trains"], [450.0, 80.0], "1961-01-01").values.shape
            (2, 12, 1)
        """
        if isinstance(times, str) or not np.iterable(times):
            times = [times] * len(ids)
        columns = [_each(part, ids, name) for name, part in (("values", values), ("times", times))]
        columns += [_each(part, ids, name) for name, part in (("past", past), ("known", known), ("static", static))]
        results = self.send([self.model.record(*row) for row in zip(ids, *columns, strict=True)], "full")
        taken = [result for result in results if result.error is None]
        names = [name for name, result in zip(ids, results, strict=True) if result.error is None]
        answer = _scored(RemoteForecast.of(self._documents(names, taken), self.model.targets), taken)
        errors = {n: result.error for n, result in enumerate(results) if result.error is not None}
        if errors:
            raise RowsRejected.of(errors, len(results), answer)
        return answer

    def send(
        self,
        records: Sequence[Mapping[str, Any]],
        forecast: Detail = "none",
        key: str | None = None,
        patience: float | None = None,
    ) -> list[RowResult]:
        """Send rows as they are, with the training table's own columns as keys.

        Args:
            records: the rows; those of a series in the order of time.
            forecast: what comes back for each row: no forecast, its points, or its points and bounds.
            key: rows sent again under the same key count once, whoever sends them; by default one is made if needed.
            patience: seconds after which to give up on a request; the client's if None.

        Returns:
            What came of each row.

        Raises:
            DataError: the server refuses the request as a whole.
            Unreachable, AccessDenied, ServerError: the server does not answer, or not as it should. What was answered
                before counts; send the same rows again, with the same key if one was given.

        Example:
            >>> rows = [{"unique_id": "ships", "month": "1961-01-01", "passengers": 12.0}]
            >>> [result.status for result in client.send(rows)]
            ['accepted']
        """
        parts = [records[begin : begin + self._batch] for begin in range(0, len(records), self._batch)]
        parcels = [self._parcel(part, key and f"{key}-{number}") for number, part in enumerate(parts)]
        return [result for parcel in parcels for result in self.deliver(parcel, forecast, patience)]

    def deliver(self, parcel: Parcel, forecast: Detail = "none", patience: float | None = None) -> list[RowResult]:
        """Send a parcel, or its halves if it is too large for the server; see `send`.

        Raises:
            DataError, Unreachable, AccessDenied, ServerError: as `send`.
        """
        headers = {} if parcel.key is None else {"Idempotency-Key": parcel.key}
        query = {"forecast": forecast}
        answer = self._link.ask("POST", "/v1/observations", query, parcel.body, headers, patience)
        if answer.status_code == TOO_LARGE and len(parcel.records) > 1:
            middle = len(parcel.records) // 2
            halves = parcel.records[:middle], parcel.records[middle:]
            keys = (parcel.key and f"{parcel.key}-{side}" for side in "ab")
            parcels = [self._parcel(half, key) for half, key in zip(halves, keys, strict=True)]
            return [result for half in parcels for result in self.deliver(half, forecast, patience)]
        return self._sent_on(parcel, results_of(answer, len(parcel.records)), forecast, patience)

    def _sent_on(
        self, parcel: Parcel, results: list[RowResult], forecast: Detail, patience: float | None
    ) -> list[RowResult]:
        """The results, with rows whose series another server has sent to that one."""
        pauses = Pauses(self._link.patience if patience is None else patience)
        while places := {n: result.owner for n, result in enumerate(results) if result.reason == "elsewhere"}:
            if None in places.values():  # nobody has them at the moment
                pauses.after(self._link.url, str(results[next(iter(places))].error))
            for owner in dict.fromkeys(places.values()):
                numbers = [n for n, place in places.items() if place == owner]
                client = self if owner is None else self._other(owner)
                part = self._parcel([parcel.records[n] for n in numbers], parcel.key and f"{parcel.key}-moved")
                for n, result in zip(numbers, client.deliver(part, forecast, patience), strict=True):
                    results[n] = result
        return results

    def _other(self, url: str) -> Client:
        """A client of another server, which this one names."""
        with self._lock:
            if url not in self._others:
                self._others[url] = Client(url, **self._arguments)
            return self._others[url]

    def _parcel(self, records: Sequence[Mapping[str, Any]], key: str | None = None) -> Parcel:
        series = Counter(str(record.get(self.model.id)) for record in records)
        if key is None and (self.model.counted or max(series.values(), default=0) > self.model.recent):
            key = secrets.token_hex(16)
        return Parcel(records, encoded(records), key)

    def _documents(self, ids: Sequence[str | int], results: Sequence[RowResult]) -> list[Any]:
        """The forecast of each row; a duplicate that is no longer its series' last row has that of the series now."""
        missing = [id for id, result in zip(ids, results, strict=True) if result.forecast is None]
        later = iter(self._of_each(FORECASTS, {"ids": missing}) if missing else ())
        return [next(later) if result.forecast is None else result.forecast for result in results]

    def outbox(self, capacity: int = outbox.CAPACITY, seconds: float = outbox.SECONDS) -> Outbox:
        """An outbox: rows that are sent in the background, in batches; see `Outbox`.

        Args:
            capacity: the most rows that may wait; `add` blocks once that many do.
            seconds: how long a row waits for others to be sent along.

        Example:
            >>> with client.outbox() as rows:
            ...     rows.add("ferries", 7.0, "1961-01-01")
            ...     rows.add("ferries", 8.0, "1961-02-01")
        """
        return Outbox(
            lambda records: self._parcel(records),
            lambda parcel, patience: self.deliver(parcel, "none", patience),
            self.model.record,
            self._batch,
            capacity,
            seconds,
        )

    # --- what is known

    def forecast(
        self,
        ids: Sequence[str | int] | None = None,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
        known: Mapping[str | int, Any] | None = None,
    ) -> RemoteForecast:
        """Forecast from what the server has observed so far; its states do not change.

        Args:
            ids: the series; all if None.
            horizon: steps; the model's if None.
            levels: of the intervals, in percent; the model's if None.
            known: covariates known ahead: for each series a mapping from column to the values of the next steps.

        Returns:
            values [S, horizon, D].

        Raises:
            UnknownSeries: the server does not know one of the series.
            DataError: the server refuses the request.
            Unreachable, AccessDenied, ServerError: the server does not answer, or not as it should.

        Example:
            >>> client.forecast(["passengers"], horizon=24).values.shape
            (1, 24, 1)
        """
        request = {"ids": None if ids is None else _listed(ids), "horizon": horizon, "levels": levels, "known": known}
        documents = self._of_each(FORECASTS, {name: value for name, value in request.items() if value is not None})
        return RemoteForecast.of(documents, self.model.targets)

    def breakdown(self, ids: Sequence[str | int], known: Mapping[str | int, Any] | None = None) -> RemoteBreakdown:
        """What the server's current forecasts come from; its states do not change.

        Args:
            ids: the series. Ask for a few at a time: each takes the server up to a tenth of a second.
            known: as in `forecast`.

        Returns:
            amounts [S, P, H, D] of the parts, which sum to the values [S, H, D].

        Raises:
            UnknownSeries, DataError, Unreachable, AccessDenied, ServerError: as in `forecast`.

        Example:
            >>> result = client.breakdown(["passengers"])
            >>> bool(np.allclose(result.amounts.sum(axis=1), result.values))
            True
        """
        names, documents = _listed(ids), list[Any]()
        for begin in range(0, len(names), TOGETHER):
            part = names[begin : begin + TOGETHER]
            some = {} if known is None else {"known": {name: known[name] for name in part if name in known}}
            documents += self._of_each(EXPLANATIONS, {"ids": part, **some})
        return RemoteBreakdown.of(documents, self.model.targets)

    def _of_each(self, what: tuple[str, str], request: Mapping[str, Any], pauses: Pauses | None = None) -> list[Any]:
        """What a request asks for of each series, of this server and of those that it names.

        Args:
            what: the address, and the key of the answer.
            request: the body.
            pauses: since another server sent the request here.
        """
        answer = self._link.ask("POST", what[0], body=json_of(request))
        if answer.status_code == ELSEWHERE and len(ids := request.get("ids", ())) > 1:
            halves = ids[: len(ids) // 2], ids[len(ids) // 2 :]
            return [item for half in halves for item in self._of_each(what, {**request, "ids": half}, pauses)]
        if answer.status_code == ELSEWHERE and "Location" in answer.headers:
            if pauses is not None:  # sent from one to another: the series is moving
                pauses.after(self._link.url, link.complaint(answer))
            other = self._other(answer.headers["Location"])
            return other._of_each(what, request, pauses or Pauses(self._link.patience))
        if answer.status_code == UNKNOWN:
            raise UnknownSeries(link.complaint(answer))
        documents = link.mapping(answer).get(what[1])
        if not isinstance(documents, list):
            raise ServerError(f"{answer.url} answered without {what[1]}")
        return documents

    def remove(self, ids: Sequence[str | int]) -> None:
        """Have the server forget series, one after another; one that appears again starts from the beginning.

        Raises:
            UnknownSeries: the server does not have one; those before it are forgotten. Others as in `send`.

        Example:
            >>> client.observe("to-be-forgotten", 1.0, "1961-01-01").single
            True
            >>> client.remove(["to-be-forgotten"])
        """
        for path in (f"/v1/series/{quote(str(name), safe='')}" for name in _listed(ids)):
            answer = self._link.ask("DELETE", path)
            if answer.status_code == ELSEWHERE and "Location" in answer.headers:
                answer = self._other(answer.headers["Location"])._link.ask("DELETE", path)
            if answer.status_code == UNKNOWN:
                raise UnknownSeries(link.complaint(answer))
            link.mapping(answer)

    def series(self, prefix: str = "", contains: str = "") -> Iterator[dict[str, Any]]:
        """What the server knows of each series, in the order of the ids.

        Args:
            prefix: the beginning of their ids.
            contains: a string anywhere in their ids, in upper or lower case.

        Raises:
            Unreachable, AccessDenied, ServerError: the server does not answer, or not as it should.

        Example:
            >>> [item["id"] for item in client.series("passeng")]
            ['passengers']
        """
        after = None
        while True:
            query = {"prefix": prefix, "contains": contains, "limit": 1000} | (
                {} if after is None else {"after": after}
            )
            answer = link.mapping(self._link.ask("GET", "/v1/series", query))
            yield from answer.get("series", [])
            after = answer.get("next")
            if after is None:
                return

    def events(
        self, after: int | None = None, types: Sequence[str] | None = None, id: str | int | None = None
    ) -> Iterator[Event]:
        """What happens at the server, as it happens, without end; a connection that was cut off is resumed.

        Args:
            after: the number of the last event already known; what has happened since comes first. None: from now on.
            types: of "observation", "forecast", "alarm", "status"; all if None.
            id: only those of one series.

        Raises:
            DataError: the server's log no longer reaches back to `after`.
            Unreachable, AccessDenied, ServerError: the server does not answer, or not as it should.

        Example:
            >>> answer = client.observe("buses", 30.0, "1961-01-01")
            >>> next(client.events(after=0, types=["observation"], id="buses")).data["time"]
            '1961-01-01'
        """
        query = {"types": ",".join(types)} if types is not None else {}
        return listening.events(self._link, query if id is None else query | {"id": str(id)}, after)


def _scored(answer: RemoteForecast, results: Sequence[RowResult]) -> RemoteForecast:
    scores = np.array([np.nan if result.score is None else result.score for result in results])
    return replace(answer, scores=scores, unusual=np.array([result.unusual for result in results], bool))


def _each(part: Any, ids: Sequence[str | int], name: str) -> Sequence[Any]:
    """A row for each series."""
    if part is None:
        return [None] * len(ids)
    rows = list(part)
    if len(rows) != len(ids):
        raise DataError(f"{name}: got {len(rows)} for {len(ids)} series: give one for each")
    return rows


def _listed(ids: Sequence[str | int]) -> list[str | int]:
    if isinstance(ids, str | int):
        raise SettingError(f"ids: got {ids!r}, expected a list of series, such as [{ids!r}]")
    return list(ids)
