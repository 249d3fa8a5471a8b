"""statecast.mlflow: a model goes through MLflow as its own file, and comes back by its generic flavour and by ours."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow's own, on its import
    pytest.importorskip("mlflow", reason="MLflow is in an environment of its own: make interop", exc_type=ImportError)
    import mlflow.pyfunc

import pandas as pd
import yaml

import statecast as sc
import statecast.mlflow
from statecast.errors import SettingError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def table() -> pd.DataFrame:
    hours = pd.date_range("2026-03-01", periods=96, freq="h")
    loads = {site: 10 + np.sin(np.arange(96) / 4 + shift) for shift, site in enumerate("ab")}
    return pd.concat([pd.DataFrame({"site": site, "hour": hours, "load": load}) for site, load in loads.items()])


@pytest.fixture(scope="module")
def fitted() -> sc.Forecaster:
    settings = {"horizon": 4, "hidden": 4, "max_steps": 0, "ensemble": 1}
    return sc.Forecaster(**settings).fit(table(), target="load", id="site", time="hour")


def test_a_saved_model_holds_no_pickle_and_forecasts(fitted: sc.Forecaster, tmp_path: Path) -> None:
    statecast.mlflow.save_model(fitted, tmp_path / "model")
    files = {file.name for file in (tmp_path / "model").rglob("*") if file.is_file()}
    assert "model.safetensors" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib", ".cloudpickle"))]
    entry = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())
    flavours = entry["flavors"]
    assert flavours["python_function"]["loader_module"] == "statecast.mlflow"
    assert flavours["python_function"]["data"] == "data/model.safetensors"
    assert flavours["statecast"]["data"] == "data/model.safetensors"

    generic = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    rows = table()
    pd.testing.assert_frame_equal(generic.predict(rows), fitted.predict(rows))
    two = generic.predict(rows, params={"horizon": 2, "levels": [50.0]})
    pd.testing.assert_frame_equal(two, fitted.predict(rows, horizon=2, levels=[50]))
    assert list(two.columns) == ["site", "hour", "statecast", "statecast-lo-50", "statecast-hi-50"]

    back = statecast.mlflow.load_model(str(tmp_path / "model"))
    pd.testing.assert_frame_equal(pd.DataFrame(back.predict().to_dict(as_series=False)), fitted.predict())


def test_a_model_is_logged_to_a_run(fitted: sc.Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database would need MLflow whole
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    experiment = mlflow.create_experiment("loads", artifact_location=(tmp_path / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment):
        logged = statecast.mlflow.log_model(fitted, "loads")
    generic = mlflow.pyfunc.load_model(logged.model_uri)
    pd.testing.assert_frame_equal(generic.predict(table()), fitted.predict(table()))
    assert statecast.mlflow.load_model(logged.model_uri).model_.schema == fitted.model_.schema


def test_columns_may_be_of_text_and_whole_numbers_as_tables_have_them(tmp_path: Path) -> None:
    """MLflow itself would refuse text where a time is wanted, and whole numbers where others are."""
    days = table().iloc[:96].assign(day=[str(day) for day in np.arange("2026-01-01", "2026-04-07", dtype="M8[D]")])
    settings = {"horizon": 2, "hidden": 4, "max_steps": 0, "ensemble": 1}
    model = sc.Forecaster(**settings).fit(days[["day", "load"]], target="load", time="day")
    statecast.mlflow.save_model(model, tmp_path / "model")
    generic = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    parsed = days.assign(day=pd.to_datetime(days["day"]))
    whole = days.assign(load=np.arange(96) % 7)
    expected = model.predict(whole[["day", "load"]])["statecast"]
    np.testing.assert_array_equal(generic.predict(whole[["day", "load"]])["statecast"], expected)
    for rows in (days, parsed):
        np.testing.assert_array_equal(generic.predict(rows[["day", "load"]])["statecast"], model.predict()["statecast"])


def test_the_signature_says_what_a_table_holds(fitted: sc.Forecaster) -> None:
    signature = statecast.mlflow.signature(fitted)
    assert signature.inputs.input_names() == ["site", "hour", "load"]
    assert [param.name for param in signature.params.params] == ["horizon", "levels"]


def test_an_empty_table_forecasts_from_the_end_of_training(fitted: sc.Forecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model.safetensors")
    model = statecast.mlflow._load_pyfunc(str(tmp_path / "model.safetensors"))
    forecast = model.predict(table().iloc[:0])
    np.testing.assert_array_equal(forecast["statecast"], fitted.predict()["statecast"])
    with pytest.raises(SettingError, match="horizons"):
        model.predict(table(), {"horizons": 2})
