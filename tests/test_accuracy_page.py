"""docs/accuracy.md says what was recorded, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import accuracy
import pytest
from accuracy_page import missed, page, section
from protocols import PROTOCOLS
from protocols.published import AIMS, NEXT, PUBLISHED
from record import Record

ROOT = Path(__file__).resolve().parents[1]
MACHINE = {
    "cpu": "abacus", "cores": 2, "memory_gb": 23.6, "python": "3.11", "packages": {"numpy": "2.4"},
    "when": "2026-11-24T00:00:00",
}  # fmt: skip


def run(mae: float, seconds: float, inside: float = 0.8) -> dict[str, Any]:
    scores = {"mae": mae, "mse": 2 * mae, "coverage/80": inside, "coverage/95": 0.95}
    return {"scores": scores, "sparse": scores, "seconds": seconds, "cpu_s": 2 * seconds}


def entry(*runs: dict[str, Any]) -> dict[str, Any]:
    naive = {name: {"scores": {"mae": 0.5, "mse": 1.0}, "sparse": {"mae": 0.4, "mse": 0.9}} for name in accuracy.NAIVE}
    return {"title": "Rates", "split": "all windows", "shown": ["mae", "mse"], "runs": list(runs), "naive": naive,
            "machine": MACHINE}  # fmt: skip


def test_the_page_is_what_was_recorded() -> None:
    written = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    assert written == page(Record.read(accuracy.RESULTS), Record.read(accuracy.PEERS))


def test_a_table_gives_the_mean_over_the_seeds_with_its_spread() -> None:
    told = section("exchange-96", entry(run(0.1, 10), run(0.2, 20), run(0.6, 60)), {})
    assert (
        "| **statecast** | 0.300 (0.100–0.600) | 0.600 (0.200–1.200) | 80.0 % (80.0 %–80.0 %) | 95.0 % (95.0 %–95.0 %) "
        "| 30 (10–60) | 60 (20–120) |" in told
    )
    assert "| seasonal naive | 0.500 | 1.000 |  |  |  |  |" in told
    assert "few windows" not in told


def test_an_ensemble_stands_beside_the_defaults() -> None:
    more = {"ensemble": {"networks": 3, "runs": [run(0.1, 40), run(0.3, 60)]}}
    told = section("exchange-96", entry(run(0.2, 10)) | more, {})
    assert "| **statecast** | 0.200 | 0.400 |" in told
    assert "| **statecast**, `ensemble = 3` | 0.200 (0.100–0.300) | 0.400 (0.200–0.600) |" in told
    assert list(missed("exchange-96", entry(run(0.2, 10)) | more)) == list(missed("exchange-96", entry(run(0.2, 10))))


def test_peers_stand_where_they_forecast_the_same_windows() -> None:
    scores = {"mae": 0.7, "mse": 0.8}
    peers = {
        "AutoETS": {"sparse": scores, "seconds": 5.0, "cpu_s": 9.0},
        "DeepAR": {"scores": scores, "seconds": 600.0, "cpu_s": 1200.0, "steps": 400},
    }
    all_windows, few = section("exchange-96", entry(run(0.1, 10)), peers).split("At a few windows")
    assert "| DeepAR (neuralforecast), stopped after 400 steps | 0.700 | 0.800 |  |  | 600 | 1200 |" in all_windows
    assert "AutoETS" not in all_windows
    assert "| AutoETS (statsforecast) | 0.700 | 0.800 |  |  | 5 | 9 |" in few
    assert "| persistence | 0.400 | 0.900 |" in few


def test_what_falls_short_is_said() -> None:
    close = entry(run(0.5, 10), run(0.51, 20))  # 1.01 times persistence is within the aim of 1.02
    assert list(missed("exchange-96", close)) == ["MAE 0.505, and 0.500 of seasonal naive"]
    lost = list(missed("exchange-96", entry(run(0.52, 10, inside=0.77))))
    assert lost[0] == "MAE over that of persistence 1.040 against 1.02"
    assert lost[1] == "77.0 % in the intervals of 80 %"
    late = entry(run(0.1, 61))
    assert any("seconds 61 against 60" in line for line in missed("etth1-96", late))


@pytest.mark.parametrize("names", [PUBLISHED, AIMS, NEXT], ids=["published", "aims", "next"])
def test_every_figure_belongs_to_a_protocol(names: Any) -> None:
    assert not set(names) - set(PROTOCOLS)
