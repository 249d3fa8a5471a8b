"""The scoring of NAB by hand: windows, thresholds and the scale."""

from __future__ import annotations

from pathlib import Path

import nab
import nab_page
import numpy as np
import pytest
from record import Record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "nab"


def labelled(rows: int = 200, *bounds: tuple[int, int]) -> nab.Labelled:
    window, weight = nab.weighed(rows, bounds)
    return nab.Labelled("part/file.csv", [str(n) for n in range(rows)], np.zeros(rows), window, weight)


def detections(rows: int, *places: int) -> np.ndarray:
    result = np.zeros(rows, bool)
    result[list(places)] = True
    return result


def test_the_earliest_detection_of_a_window_counts_and_the_first_row_counts_wholly() -> None:
    file = labelled(200, (100, 119))
    assert file.score(detections(200)) == (-1.0, 0, 0)
    assert file.score(detections(200, 100, 110))[0] == pytest.approx(1)
    late = (2 / (1 + np.exp(-5 / 20)) - 1) / (2 / (1 + np.exp(-5)) - 1)  # the last row is a twentieth before the end
    assert file.score(detections(200, 119)) == (pytest.approx(late), 1, 0)


def test_detections_outside_cost_less_shortly_behind_a_window_and_nothing_on_probation() -> None:
    file = labelled(200, (100, 119))
    assert file.begin == 30
    assert file.score(detections(200, 10))[0] == -1.0
    assert file.score(detections(200, 40)) == (pytest.approx(-1.11), 0, 1)
    near = 0.11 * (2 / (1 + np.exp(5 / 19)) - 1)
    assert file.score(detections(200, 120))[0] == pytest.approx(-1 + near)
    assert file.score(detections(200, 199))[0] == pytest.approx(-1.11)


def test_a_window_on_probation_does_not_count() -> None:
    assert labelled(200, (5, 20), (100, 119)).windows == [1]
    assert labelled(10_000, (100, 120)).begin == 750


def test_the_scale_runs_from_nothing_to_every_window_at_once() -> None:
    files = [labelled(200, (100, 119)), labelled(200, (60, 69), (150, 159))]
    nothing, perfect = (np.zeros(200), np.zeros(200)), (np.zeros(200), np.zeros(200))
    for score, places in zip(perfect, ((100,), (60, 150)), strict=True):
        score[list(places)] = 5.0
    assert nab.outcome(files, nothing, 1.0)["score"] == 0
    assert nab.outcome(files, perfect, 1.0)["score"] == pytest.approx(100)
    perfect[0][40] = 3.0
    chosen = nab.best(files, perfect)
    assert (chosen["threshold"], chosen["score"]) == (5.0, pytest.approx(100))


def test_times_are_regular_where_each_is_some_steps_after_the_one_before() -> None:
    assert nab.regular(["2014-01-01 00:00:00", "2014-01-01 00:05:00", "2014-01-01 00:10:00", "2014-01-01 00:20:00"])
    assert not nab.regular(["2014-01-01 00:00:00", "2014-01-01 00:05:00", "2014-01-01 00:10:00", "2014-01-01 00:12:00"])
    assert not nab.regular(["2014-01-01 00:00:00", "2014-01-01 00:05:00", "2014-01-01 00:05:00", "2014-01-01 00:10:00"])


@pytest.mark.skipif(not DATA.exists(), reason="the tables in ../shared/data are not at hand")
def test_the_published_scores_are_on_this_scale() -> None:
    names = sorted(f"{nab.PART}/{path.name}" for path in (DATA / "data" / nab.PART).glob("*.csv"))
    scores = nab.published(DATA, [nab.Labelled.read(DATA, name) for name in names])
    assert scores["null"] == 0
    assert scores["ARTime"] == pytest.approx(63.9, abs=0.05)
    assert scores["numenta"] == pytest.approx(55.5, abs=0.05)


def test_the_page_tells_what_was_recorded_and_whether_the_aim_is_met() -> None:
    entry = Record.read(nab.RESULTS).tables[nab.PART]
    text = nab_page.section(entry)
    assert f"| **statecast** | {entry['best']['score']:.1f} |" in text
    assert "published: ARTime | 63.9" in text
    for score, aims in ((55.9, "56: not met; better 64: not met."), (56.0, "56: met; better 64: not met.")):
        assert f"Aims: at least {aims}" in nab_page.section({**entry, "best": {**entry["best"], "score": score}})
