"""What a store says that it is of: the same for a model however often it is loaded, another for another model."""

from __future__ import annotations

import forecast_cases as cases
import pytest

from statecast.model import archive
from statecast.server.store.opening import fingerprint


@pytest.mark.parametrize("dense", [(), (3,)])
def test_a_model_has_one_fingerprint(dense: tuple[int, ...]) -> None:
    model = cases.model(dense=dense)
    content = archive.to_bytes(model)
    loaded = [archive.from_bytes(content) for _ in range(3)]  # each in other places of the memory
    assert {fingerprint(item) for item in loaded} == {fingerprint(model)}
    assert fingerprint(cases.model(dense=dense, seed=1)) != fingerprint(model)
    assert fingerprint(cases.model(dense=dense, freq="2h")) != fingerprint(model)
