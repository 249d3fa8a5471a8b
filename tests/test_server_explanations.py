"""What a server says its forecasts come from: the amounts of a stream, by which nothing moves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forecast_cases as cases
import numpy as np
import pytest
from http_cases import Served, row, serving

import statecast as sc
from statecast import Stream
from statecast.errors import DataError, ServerError, UnknownSeries
from statecast.forecast import wire
from statecast.model.trained import Model
from statecast.server.client.remote import RemoteBreakdown
from statecast.server.http.calls import explanations

AHEAD = {"heat": [1, 2, 3, 4], "open": ["no", "yes", "no", "no"]}
KNOWN = {"heat": [5, 6, 7], "open": ["yes", None, "no"]}


def summed(explanation: dict[str, Any]) -> Any:
    """The sums of the parts of an explanation, by target where there are several."""
    amounts = [part["amounts"] for part in explanation["parts"]]
    if isinstance(amounts[0], dict):
        return {name: np.sum([each[name] for each in amounts], axis=0) for name in amounts[0]}
    return np.sum(amounts, axis=0)


def test_amounts_sum_to_the_forecast_and_nothing_moves(tmp_path: Path) -> None:
    with serving(tmp_path, window=0) as server:
        server.post([row(hour, hour % 3, site) for site in ("a", "b/c") for hour in range(5)])
        forecast = server.get("/v1/series/b%2Fc/forecast")
        status = server.service.engine.status()
        explanation = server.get("/v1/series/b%2Fc/explanation")
        assert (explanation["id"], explanation["time"], explanation["times"]) == (
            "b/c",
            row(4)["hour"],
            forecast["times"],
        )
        assert explanation["statecast"] == forecast["statecast"]
        np.testing.assert_allclose(summed(explanation), forecast["statecast"], atol=2e-6)
        assert (explanation["parts"][0]["name"], explanation["parts"][0]["kind"]) == ("level", "level")
        stream = Stream(cases.model())
        for hour in range(5):
            stream.observe_many(["a", "b/c"], [hour % 3] * 2, row(hour)["hour"])
        assert explanation == wire.breakdowns(stream.breakdown(["b/c"]))[0]
        query = {"ids": ["b/c", "a"]}
        both = server.http.post("/v1/explanation", json=query).json()["explanations"]
        assert both == wire.breakdowns(stream.breakdown(["b/c", "a"]))
        assert server.get("/v1/series/b%2Fc/forecast") == forecast
        after = server.service.engine.status()
        assert (after.seq, after.observations) == (status.seq, status.observations)


def test_what_cannot_be_explained_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, window=0) as server:
        assert "there is no series 'a'" in server.refused("GET", "/v1/series/a/explanation", 404)
        server.post(row(site="a"))
        assert len(server.get("/v1/series/a/explanation")["times"]) == 3  # one row is enough
        server.post({**row(1, site="gone"), "load": None})
        hollow = server.get("/v1/series/gone/explanation")  # nor need there be a value
        np.testing.assert_allclose(summed(hollow), hollow["statecast"], atol=2e-6)
        many = {"ids": [f"s{n}" for n in range(explanations.MOST + 1)]}
        assert "at most 100" in server.refused("POST", "/v1/explanation", 413, json=many)
        assert "nowhere" in server.refused("POST", "/v1/explanation", 404, json={"ids": ["a", "nowhere"]})
        assert server.refused("POST", "/v1/explanation", 400, json={"ids": ["a"], "horizon": 3})
        assert server.http.post("/v1/explanation", json={}).json() == {"explanations": []}
        assert server.http.delete("/v1/series/gone").status_code == 200
        server.refused("GET", "/v1/series/gone/explanation", 404)


KINDS: dict[str, Callable[[], Model]] = {
    "two targets": lambda: cases.model(targets=2, precision="float64"),
    "each alone": lambda: cases.model(targets=2, independent=True, precision="float64"),
    "levels": lambda: cases.model(head="pinball", precision="float64"),
    "counts": lambda: cases.model(head="negative_binomial", precision="float64"),
    "no layers": lambda: cases.model(hidden=(), dense=(), precision="float64"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_every_kind_are_taken_apart(kind: str, tmp_path: Path) -> None:
    model = KINDS[kind]()
    targets = {name: 3 + n for n, name in enumerate(model.schema.target)}
    with serving(tmp_path, model, window=0) as server:
        server.post([row(hour, **{name: value + hour for name, value in targets.items()}) for hour in range(3)])
        explanation, forecast = server.get("/v1/series/a/explanation"), server.get("/v1/series/a/forecast")
        sums, points = summed(explanation), forecast["statecast"]
        for name in targets:
            mine, others = (sums[name], points[name]) if len(targets) > 1 else (sums, points)
            np.testing.assert_allclose(mine, others, rtol=1e-12)


def test_covariates_known_ahead_come_with_the_question(tmp_path: Path) -> None:
    with serving(tmp_path, cases.model(covariates=True), window=0) as server:
        sent = row(0, wind=2, area=3, **AHEAD)
        assert server.post(sent)["results"][0]["status"] == "accepted"
        assert "must be known ahead" in server.refused("GET", "/v1/series/a/explanation", 400)
        with sc.Client(str(server.http.base_url)) as client:
            breakdown = client.breakdown(["a"], {"a": KNOWN})
            names = dict(breakdown.parts)
            assert names["heat"] == "known" and names["level"] == "level"
            points = client.forecast(["a"], known={"a": KNOWN})
            np.testing.assert_allclose(breakdown.amounts.sum(axis=1), points.values, atol=2e-6)
            np.testing.assert_array_equal(breakdown.stamps, points.stamps)
            with pytest.raises(DataError, match="must be known ahead"):
                client.breakdown(["a"])


def test_the_client_has_what_the_server_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a", "b", "c"]
    monkeypatch.setattr("statecast.server.client.client.TOGETHER", 2)
    with serving(tmp_path, window=0) as server, sc.Client(str(server.http.base_url)) as client:
        server.post([row(hour, hour + n, site) for n, site in enumerate(names) for hour in range(3)])
        breakdown = client.breakdown(names)
        assert breakdown.amounts.shape == (3, len(breakdown.parts), 3, 1)
        assert (breakdown.ids, breakdown.targets) == (tuple(names), ("load",))
        np.testing.assert_allclose(breakdown.amounts.sum(axis=1), breakdown.values, atol=2e-6)
        np.testing.assert_array_equal(breakdown.values, client.forecast(names).values)
        assert repr(breakdown).startswith("<RemoteBreakdown: load of 'a', 'b', 'c'; parts level, ")
        assert client.breakdown([]).amounts.size == 0
        with pytest.raises(UnknownSeries, match="nobody"):
            client.breakdown(["nobody"])


GOOD = {
    "id": "a",
    "times": [1, 2],
    "statecast": [3.0, 4.0],
    "parts": [{"name": "level", "kind": "level", "amounts": [3.0, 4.0]}],
}


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": None},
        {"parts": [{"name": "level", "amounts": [3.0, 4.0]}]},
        {"parts": [*GOOD["parts"], GOOD["parts"][0]]},
        {"parts": [{**GOOD["parts"][0], "amounts": [3.0]}]},
        {"times": ["never", "ever"]},
    ],
)
def test_an_answer_that_is_no_explanation_is_refused(changes: dict[str, Any]) -> None:
    assert RemoteBreakdown.of([GOOD, GOOD], ("load",)).amounts.shape == (2, 1, 2, 1)
    with pytest.raises(ServerError, match="where explanations were expected"):
        RemoteBreakdown.of([GOOD, GOOD | changes], ("load",))


def test_rows_are_taken_while_a_forecast_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An explanation holds nothing that a row needs, and only one is worked on at a time."""
    with serving(tmp_path, window=0) as server:
        server.post(row(0))
        begun, go = threading.Event(), threading.Event()
        running: list[int] = []
        whole = Stream.breakdown

        def slow(self: Stream, *arguments: Any) -> Any:
            running.append(1)
            begun.set()
            assert len(running) == 1 and go.wait(20)
            running.pop()
            return whole(self, *arguments)

        monkeypatch.setattr(Stream, "breakdown", slow)
        answers: list[int] = []
        asked = [threading.Thread(target=lambda: answers.append(explained(server))) for _ in range(3)]
        for thread in asked:
            thread.start()
        assert begun.wait(20)
        assert server.post(row(1))["results"][0]["status"] == "accepted"
        go.set()
        for thread in asked:
            thread.join()
        assert answers == [200] * 3


def explained(server: Served) -> int:
    return server.http.get("/v1/series/a/explanation").status_code
