"""docs/accuracy.md says what was recorded, and nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import accuracy
import pytest
from accuracy_page import machines, missed, page, section
from fits import EVERY_ROW
from others import MEAN
from protocols import NAMES
from protocols.protocol import NAIVE
from protocols.published import AIMS, AIMS_BESIDE, NEXT, PUBLISHED
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
    naive = {name: {"scores": {"mae": 0.5, "mse": 1.0}, "sparse": {"mae": 0.4, "mse": 0.9}} for name in NAIVE}
    return {"title": "Rates", "split": "all windows", "shown": ["mae", "mse"], "runs": list(runs), "naive": naive,
            "machine": MACHINE}  # fmt: skip


def test_the_page_is_what_was_recorded() -> None:
    written = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    assert written == page(Record.read(accuracy.RESULTS), Record.read(accuracy.PEERS), Record.read(accuracy.NAB))


def test_a_table_gives_the_mean_over_the_seeds_with_its_spread() -> None:
    text = section("exchange-96", entry(run(0.1, 10), run(0.2, 20), run(0.6, 60)), {})
    assert (
        "| **statecast** | 0.300 (0.100–0.600) | 0.600 (0.200–1.200) | 80.0 % | 95.0 % "
        "| 30 (10–60) | 60 (20–120) |" in text
    )
    assert "| seasonal naive | 0.500 | 1.000 |  |  |  |  |" in text
    assert "few windows" not in text


def test_a_setting_stands_beside_the_defaults() -> None:
    more = {
        "variants": {"ensemble = 3": {"runs": [run(0.1, 40), run(0.3, 60)]}, "the start alone": {"runs": [run(0.3, 2)]}}
    }
    text = section("exchange-96", entry(run(0.2, 10)) | more, {})
    assert "| **statecast** | 0.200 | 0.400 |" in text
    assert "| **statecast**, `ensemble = 3` | 0.200 (0.100–0.300) | 0.400 (0.200–0.600) |" in text
    assert "| **statecast**, the start alone | 0.300 | 0.600 |" in text
    assert list(missed("exchange-96", entry(run(0.2, 10)) | more)) == list(missed("exchange-96", entry(run(0.2, 10))))


def test_the_other_network_of_a_fit_stands_beside_the_one_that_is_scored() -> None:
    better = run(0.1, 10)["scores"] | {"mse": 0.36}
    one = run(0.2, 10) | {"beside": {"label": EVERY_ROW, "scores": better, "sparse": None}}
    text = section("etth1-96", entry(one), {})
    assert "| **statecast** | 0.200 | 0.400 | 80.0 % | 95.0 % | 10 | 20 |" in text
    assert "| **statecast**, every row learned | 0.100 | 0.360 | 80.0 % | 95.0 % |  |  |" in text
    assert f"{EVERY_ROW}: MSE 0.360 against 0.354" in list(missed("etth1-96", entry(one)))


def test_columns_of_intervals_stand_where_they_were_scored() -> None:
    scored = run(0.1, 10)
    scored["scores"] = scored["scores"] | {"msis/80": 4.0, "msis/95": 7.0, "scaled_crps": 0.3}
    text = section("exchange-96", entry(scored), {"AutoETS": {"scores": {"mae": 0.7, "msis/80": 5.0}}})
    assert "| in 95 % | interval score 80 % | interval score 95 % | CRPS | seconds |" in text
    assert "| 95.0 % | 4.000 | 7.000 | 0.300 | 10 | 20 |" in text
    assert "| AutoETS (statsforecast) | 0.700 |  |  |  | 5.000 |  |  |  |  |" in text
    assert "interval score" not in section("exchange-96", entry(run(0.1, 10)), {})


def test_an_aim_may_be_a_peers_score() -> None:
    peers = {"AutoETS": {"scores": {"mase": 0.5}}, MEAN: {"scores": {"mase": 0.2}}}
    one = entry(run(0.1, 10)) | {"shown": ["mae"]}
    one["runs"][0]["scores"]["mase"] = 0.3
    aims = section("m1-yearly", one, peers).splitlines()[-1]
    assert aims == f"Aim: MASE at most that of AutoETS, MASE at most that of AutoTheta, MASE at most that of {MEAN}."
    assert "relative MASE at most 0.94 times that of AutoETS" in section("short", one, {})
    assert list(missed("m1-yearly", one, peers)) == [f"MASE over that of {MEAN} 1.500 against 1"]


def test_an_aim_of_the_start_alone_is_held_against_it() -> None:
    slow, fast = ({"variants": {"the start alone": {"runs": [run(0.1, seconds)]}}} for seconds in (11, 9))
    assert "the start alone: seconds 11 against 10" in list(missed("m4-hourly", entry(run(0.1, 10)) | slow))
    assert not any("the start alone" in line for line in missed("m4-hourly", entry(run(0.1, 10)) | fast))


def test_short_series_that_are_forecast_worse_are_named() -> None:
    runs = [run(0.1, 10) | {"ratios": {"a": 0.9, "b": 1.3, "c": second}} for second in (1.5, 1.7)]
    assert "Largest relative MASE: c 1.600, b 1.300.\n" in section("short", entry(*runs), {})


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
    level = entry(run(0.49, 10), run(0.51, 20))
    assert list(missed("exchange-96", level)) == []
    lost = list(missed("exchange-96", entry(run(0.52, 10, inside=0.77))))
    assert lost == ["MAE over that of persistence 1.040 against 1", "MAE 0.520, and 0.500 of seasonal naive"]
    assert "77.0 % in the intervals of 80 %" in list(missed("etth1-96", entry(run(0.1, 10, inside=0.77))))
    assert "70.0 % in the intervals of 80 %" in list(missed("exchange-96", entry(run(0.1, 10, inside=0.7))))
    late = entry(run(0.1, 61))
    assert any("seconds 61 against 60" in line for line in missed("etth1-96", late))


def test_seconds_of_a_busy_machine_are_called_so() -> None:
    quiet, busy = entry(run(0.1, 10)), entry(run(0.1, 10)) | {"title": "Loads", "machine": MACHINE | {"busy": True}}
    assert machines({"a": quiet}, {}).count("other work") == 0
    assert machines({"a": quiet, "b": busy}, {}).endswith("seconds are up to twice those at rest: Loads\n")


def test_runs_with_a_setting_are_kept_beside_the_defaults(tmp_path: Path) -> None:
    def keep(seconds: float, *, setting: list[str], start: bool = False) -> Any:
        options = argparse.Namespace(busy=False, out=tmp_path / "accuracy.json", set=setting, start=start)
        accuracy.keep("pjm", {"title": "PJM"}, [{"seconds": seconds}], options)
        return Record.read(options.out).tables["pjm"]

    keep(3, setting=[])
    keep(2, setting=["ensemble=1", "lags=24"])
    record = keep(1, setting=[], start=True)
    assert (record["title"], record["runs"]) == ("PJM", [{"seconds": 3}])
    variants = {label: variant["runs"][0]["seconds"] for label, variant in record["variants"].items()}
    assert variants == {"ensemble = 1, lags = 24": 2, "the start alone": 1}
    assert "variants" not in keep(4, setting=[])  # measured anew: what stood beside is of another version


def test_a_setting_is_read_as_toml() -> None:
    assert accuracy.setting("hidden=[8, 5]") == ("hidden", [8, 5])
    assert accuracy.setting('cell = "gru"') == ("cell", "gru")


@pytest.mark.parametrize("names", [PUBLISHED, AIMS, AIMS_BESIDE, NEXT], ids=["published", "aims", "beside", "next"])
def test_every_figure_belongs_to_a_protocol(names: Any) -> None:
    assert not set(names) - set(NAMES)
