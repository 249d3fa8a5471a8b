"""Settings: the spellings that are accepted, what is refused, and that every face takes the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statecast import Classifier, Config, Forecaster
from statecast.cli.options import parse_assignments
from statecast.config import names
from statecast.errors import SettingError
from statecast.sequence_config import ClassifierConfig, RegressorConfig
from statecast.synonyms import SETTINGS, SYNONYMS

SPELLINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"hidden": 32}, {"hidden": (32,)}),
    ({"hidden": np.int64(32)}, {"hidden": (32,)}),
    ({"hidden": np.array([64, 32])}, {"hidden": (64, 32)}),
    ({"hidden": [64, 32]}, {"hidden": (64, 32)}),
    ({"dense": 8}, {"dense": (8,)}),
    ({"levels": 90}, {"levels": (90,)}),
    ({"levels": 99.5}, {"levels": (99.5,)}),
    ({"milestones": 0.5}, {"milestones": (0.5,)}),
    ({"dropout": 0.2}, {"dropout": 0.2}),  # one number is for all layers
    ({"dropout": [0.2]}, {"dropout": (0.2,)}),
    ({"cell": "LSTM"}, {"cell": "lstm"}),
    ({"cell": "rnn"}, {"cell": "rnn_tanh"}),
    ({"cell": "RNN"}, {"cell": "rnn_tanh"}),
    ({"cell": "gru-reset-before"}, {"cell": "gru_reset_before"}),
    ({"decoder": "RNN"}, {"decoder": "rnn_tanh"}),
    ({"loss": "Student-T"}, {"loss": "student_t"}),
    ({"optimizer": "AdamW"}, {"optimizer": "adamw"}),
    ({"segment": "Full"}, {"segment": "full"}),
    ({"tensorboard": Path("logs")}, {"tensorboard": "logs"}),
]


@pytest.mark.parametrize(("spelling", "stored"), SPELLINGS)
def test_a_setting_may_be_spelled_as_people_do(spelling: dict[str, Any], stored: dict[str, Any]) -> None:
    config = Config(**spelling)
    assert {name: getattr(config, name) for name in spelling} == stored
    assert config == Config(**stored)
    assert Forecaster(**spelling).config == config


def test_the_command_line_and_a_file_take_the_same_spellings() -> None:
    settings = parse_assignments(["hidden=32", "levels=90", "cell=LSTM"])
    assert Config.of(settings) == Config(hidden=(32,), levels=(90,), cell="lstm")


def test_every_face_takes_the_same_spellings() -> None:
    assert ClassifierConfig(hidden=16, cell="LSTM", class_weight="Balanced").class_weight == "balanced"
    assert RegressorConfig(hidden=16, loss="MAE") == RegressorConfig(hidden=(16,), loss="mae")


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ({"levels": [0.9]}, r"levels = \[0.9\]: expected .* 0.9 looks like a share: write 90 for 90 %"),
        ({"levels": 0.95}, "write 95 for 95 %"),
        ({"levels": [80, 100]}, r"levels = \[80, 100\]: expected a list of 0 to 20 items"),
        ({"cell": "ltsm"}, "did you mean 'lstm'"),
        ({"loss": "max"}, "loss = 'max': expected one of mse, mae"),
        ({"hidden": 0}, "hidden = 0: expected a list"),
        ({"hidden": True}, "hidden = True: expected a list"),
        ({"hidden": [[3]]}, "hidden"),
        ({"hidden": 3.5}, "hidden = 3.5"),
        ({"tensorboard": ""}, "expected a folder's path"),
        ({"hiden": 3}, "there is no setting 'hiden'; did you mean 'hidden'"),
        ({"seed": 3}, "there is no setting 'seed'; here it is called 'random_state'"),
        ({"Lookback": 3}, "there is no setting 'Lookback'; here it is called 'skip'"),
    ],
)
def test_what_no_spelling_covers_is_refused(spelling: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Forecaster(**spelling)


def test_names_of_other_libraries_lead_to_settings() -> None:
    settings = {*names(Config), *names(ClassifierConfig), *names(RegressorConfig)}
    assert not [name for name in SETTINGS.values() if name not in settings]
    assert not [synonym for synonym in SETTINGS if synonym in settings or synonym != synonym.lower()]
    synonyms = [synonym for each in SYNONYMS.values() for synonym in each]
    assert len(synonyms) == len(set(synonyms))
    with pytest.raises(SettingError, match=r"there is no setting 'fh'; (did you mean|known)"):
        Classifier(fh=3)  # a forecaster's alone


def test_a_cell_that_a_user_enters_is_known_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from statecast import config

    monkeypatch.setattr(config, "CELLS", config.CELLS)
    config.CELLS.append("MyCell")
    try:
        assert Config(cell="MyCell").cell == Config(cell="mycell").cell == "MyCell"
    finally:
        config.CELLS.remove("MyCell")
