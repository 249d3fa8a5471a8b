"""`/openapi.json` is complete and true: schemathesis makes up calls by it, and holds every answer against it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import forecast_cases as cases
import pytest
from http_cases import row, serving
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the libraries that it brings
    schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 10  # for each call and each way of making them up
ENDLESS = ("/v1/events",)


def named(name: str) -> Any:
    """A check of schemathesis."""
    schemathesis.checks.load_all_checks()
    return schemathesis.checks.CHECKS.get_one(name)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["plain", "covariates", "numbered"])
def test_every_call_answers_as_it_is_described(tmp_path: Path, kind: str) -> None:
    numbered = {"id_kind": "integer", "time_kind": "integer", "freq": "1", "targets": 2}
    model = cases.model(**{"plain": {}, "covariates": {"covariates": True}, "numbered": numbered}[kind])
    with serving(tmp_path, model, window=0) as server:
        if kind == "plain":
            server.post([row(hour, hour, site) for site in ("a", "b") for hour in range(3)])
        schema = schemathesis.openapi.from_url(f"{server.http.base_url}/openapi.json")
        modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
        operations = [result.ok() for result in schema.get_all_operations() if result.ok().path not in ENDLESS]
        assert len(operations) >= 25
        for operation in operations:
            # A row of the right form may be of no use (a 31st of February), and of several each is answered by itself.
            names = ("positive_data_acceptance", "negative_data_rejection")
            known_ahead = kind == "covariates" and operation.path.endswith(("/forecast", "/infer"))
            file = operation.path.startswith("/v1/model")  # which a string may not name
            unsound = operation.path == "/v1/observations" or known_ahead or file
            excluded = [named(name) for name in names] if unsound else []
            for mode in modes:

                @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
                @given(case=operation.as_strategy(generation_mode=mode))
                def call(case: Any) -> None:
                    case.call_and_validate(excluded_checks=excluded)  # noqa: B023 - called within the loop

                try:
                    call()
                except Unsatisfiable:  # some calls cannot be made wrongly
                    assert mode is schemathesis.GenerationMode.NEGATIVE
        assert server.get("/healthz") == {"status": "alive"}
