"""The estimators' arguments, for editors and type checkers: written out, and the same as the settings."""

from __future__ import annotations

import dataclasses
import inspect

import keywords
import pytest

pytest.importorskip("sklearn", reason="the extra `sklearn` is not installed")

import statecast as sc
from statecast.errors import SettingError


@pytest.mark.parametrize("face", keywords.FACES)
def test_the_signature_of_an_estimator_is_its_settings(face: str) -> None:
    parameters = inspect.signature(getattr(sc, face)).parameters
    fields = dataclasses.fields(keywords.FACES[face])
    named = {name: p.default for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert named == {spec.name: spec.default for spec in fields}
    assert list(named) == [spec.name for spec in fields]
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters.values())


def test_the_file_is_up_to_date() -> None:
    assert keywords.PLACE.read_text(encoding="utf-8") == keywords.source(), "make settings"


@pytest.mark.parametrize("face", keywords.FACES)
def test_an_unknown_name_is_refused_with_the_nearest(face: str) -> None:
    with pytest.raises(SettingError, match="no setting 'hiden'; did you mean 'hidden'"):
        getattr(sc, face)(hiden=3)


def test_settings_come_back_as_they_were_given() -> None:
    model = sc.Forecaster(horizon=24, cell="LSTM", hidden=32)
    assert repr(model) == "Forecaster(hidden=(32,), horizon=24)"
    assert model.get_params()["horizon"] == 24
    assert repr(model.set_params(cell="gru")) == "Forecaster(cell='gru', hidden=(32,), horizon=24)"
    assert sc.Classifier(hidden=32).get_params()["hidden"] == 32


def test_type_checkers_may_read_the_package() -> None:
    assert (keywords.PLACE.parents[1] / "py.typed").exists()
