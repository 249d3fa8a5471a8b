"""What all tests share: hypothesis draws the same examples each time, and a slow machine fails none of them.

Tests marked `heavy` (a database, a broker, a browser, minutes of work) run only where STATECAST_HEAVY=1 is set.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "house", max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("STATECAST_HEAVY") == "1":
        return
    skip = pytest.mark.skip(reason="heavy: set STATECAST_HEAVY=1 to run it, as .ci/run does")
    for item in items:
        if item.get_closest_marker("heavy"):
            item.add_marker(skip)
