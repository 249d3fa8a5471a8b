"""A checkpoint gives back what was saved, and one that lies is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lying_files import File

from statecast.errors import ModelFileError
from statecast.train.checkpoint import Checkpoint
from statecast.train.progress import LoopState

ARRAYS = {"w": np.arange(3.0, dtype=np.float32), "n": np.array(2, np.int32)}
STATE = LoopState(step=3, best=0.5, least=[[0.5, float("inf")]], best_steps=[[1, 2]], seconds=0.1)


def lying(path: Path, change: Any) -> Checkpoint:
    """A checkpoint of which something was changed."""
    mark = Checkpoint(path / "checkpoint.safetensors", "mark", resume=True)
    mark.save(STATE, ARRAYS)
    file = File(mark.path.read_bytes())
    change(file)
    mark.path.write_bytes(file.bytes())
    return mark


def test_both_ways(tmp_path: Path) -> None:
    result = lying(tmp_path, lambda file: None).load(ARRAYS)
    assert result is not None
    assert result[0] == STATE
    assert {name: array.tolist() for name, array in result[1].items()} == {"w": [0, 1, 2], "n": 2}


@pytest.mark.parametrize(
    "progress",
    [
        {"step": -1},
        {"step": True},
        {"waited": 1.5},
        {"best": "low"},
        {"history": []},
        {"history": {"loss": ["low"]}},
        {"least": [1.0]},
        {"best_steps": {}},
        {"done": 0},
        {"more": 1},
    ],
)
def test_progress_that_is_none(tmp_path: Path, progress: dict[str, Any]) -> None:
    def change(file: File) -> None:
        file.texts["progress"] = json.dumps(json.loads(file.texts["progress"]) | progress)

    with pytest.raises(ModelFileError, match=r"does not say how far the fit is .*: start over with --force"):
        lying(tmp_path, change).load(ARRAYS)


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"step": 1, "step": 2}', "3"])
def test_texts_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelFileError, match="does not say how far the fit is"):
        lying(tmp_path, lambda file: file.texts.update(progress=text)).load(ARRAYS)


@pytest.mark.parametrize("name", ["leaves", "leaves/0000/x"])
def test_arrays_of_other_names(tmp_path: Path, name: str) -> None:
    def change(file: File) -> None:
        file.arrays = {name: file.arrays["leaves/0000"]}

    with pytest.raises(ModelFileError, match="holds other arrays than this fit trains"):
        lying(tmp_path, change).load(ARRAYS)
