"""The card of a fit's folder, read as Hugging Face's hub reads it, and what hostile names can do to it: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import statecast as sc

SETTINGS = {"horizon": 3, "hidden": 4, "max_steps": 0, "ensemble": 1}


def written(folder: Path, target: str = "load", title: str = "Loads of a site") -> str:
    hours = np.arange(np.datetime64("2026-03-01"), np.datetime64("2026-03-06"), np.timedelta64(1, "h"))
    load = 10 + np.sin(np.arange(len(hours)) / 4) + 0.1 * np.cos(np.arange(len(hours)) ** 2)
    model = sc.Forecaster(**SETTINGS).fit({"hour": hours, target: load}, target=target, time="hour")
    model.write(folder, title)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_a_folder_carries_a_card(tmp_path: Path) -> None:
    text = written(tmp_path)
    front, body = text.removeprefix("---\n").split("---\n", 1)
    entries = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in front.splitlines()}
    assert entries["library_name"] == "statecast"
    assert entries["pipeline_tag"] == "time-series-forecasting"
    assert {"statecast", "time-series", "lstm"} <= {*entries["tags"]}
    scores = json.loads((tmp_path / "metrics.json").read_text())["statecast"]
    metrics = entries["model-index"][0]["results"][0]["metrics"]
    assert {item["type"]: item["value"] for item in metrics} == {
        name: scores[name] for name in ("mae", "rmse", "smape", "mase")
    }
    for words in ("| load | target | numeric |", "| hour | time |", "## Scores", "## Limits", "look 3 hours ahead"):
        assert words in body
    assert sc.Forecaster.load(tmp_path).predict() is not None  # the folder is all that a hub needs


def test_names_are_no_markdown(tmp_path: Path) -> None:
    name = "a|b\n---\n# <script>`x`"
    text = written(tmp_path, target=name, title="t\n---\nlibrary_name: other")
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert all(": " in line for line in front.splitlines())
    assert not [line for line in front.splitlines() if line.startswith("library_name") and "statecast" not in line]
    assert "<script>" not in body.replace("\\<script\\>", "")
    assert "\n# \\<" not in body
    assert "a\\|b --- # \\<script\\>\\`x\\`" in body


def test_the_hub_reads_it(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed here: make interop")
    written(tmp_path)
    card = hub.ModelCard.load(tmp_path / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("statecast", "time-series-forecasting")
    assert card.data.model_name == "Loads of a site"
    assert {result.metric_type for result in card.data.eval_results} == {"mae", "rmse", "smape", "mase"}
    assert card.data.to_dict()["tags"][0] == "statecast"
