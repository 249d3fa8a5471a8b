"""Models in MLflow: a flavour that keeps the model's own file, and no pickle.

MLflow's generic flavour wants two words: a module that loads (`loader_module`, this one) and what it loads
(`data_path`, the file that `Forecaster.save` writes). So `mlflow.pyfunc.load_model`, MLflow's server and Spark UDFs
take a model as they take any other, and `load_model` gives the Forecaster back. Only this file knows MLflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statecast.data.schema import Schema
from statecast.errors import MissingDependency, SettingError
from statecast.estimators.forecaster import Forecaster
from statecast.model import container

try:
    import mlflow
    from mlflow.models import Model as MlflowModel
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec
    from mlflow.types import Schema as MlflowSchema
    from mlflow.types.schema import AnyType
except ImportError as error:
    raise MissingDependency.of("mlflow-skinny", "mlflow", "statecast.mlflow") from error

FLAVOR = "statecast"
LOADER = "statecast.mlflow"
TIMES = {"datetime": "datetime", "date": "datetime"}  # of the forecasts; whole numbers otherwise


def save_model(model: Forecaster, path: str | Path, mlflow_model: Any = None, **arguments: Any) -> None:
    """Write a fitted model into a new folder, as an MLflow model.

    Args:
        model: the model.
        path: the folder; it must not exist.
        mlflow_model: an `mlflow.models.Model` to add the flavour to.
        arguments: of `mlflow.pyfunc.save_model`, such as `pip_requirements` or `metadata`.

    Raises:
        NotFitted: before `fit`.

    Example:
        >>> import statecast.mlflow
        >>> statecast.mlflow.save_model(model, "kept")
        >>> statecast.mlflow.load_model("kept")
        Forecaster(max_steps=0, horizon=12)
    """
    from statecast import __version__

    entry = MlflowModel() if mlflow_model is None else mlflow_model
    defaults = {"signature": signature(model), "pip_requirements": [f"statecast=={__version__}", "pandas"]}
    with tempfile.TemporaryDirectory() as folder:
        file = model.save(Path(folder) / container.FILE)
        entry.add_flavor(FLAVOR, statecast_version=__version__, data=f"data/{container.FILE}")
        mlflow.pyfunc.save_model(
            str(path), loader_module=LOADER, data_path=str(file), mlflow_model=entry, **(defaults | arguments)
        )


def log_model(model: Forecaster, name: str = "model", **arguments: Any) -> Any:
    """Log a fitted model to the active run, or a new one.

    Args:
        model: the model.
        name: the name of the model in the run.
        arguments: of `mlflow.models.Model.log`, such as `registered_model_name`.

    Returns:
        What MLflow returns, with its `model_uri`.

    Raises:
        NotFitted: before `fit`.

    Example:
        >>> import statecast.mlflow
        >>> entry = statecast.mlflow.log_model(model, "passengers")
        >>> statecast.mlflow.load_model(entry.model_uri)
        Forecaster(max_steps=0, horizon=12)
    """
    import statecast.mlflow

    return MlflowModel.log(artifact_path=None, name=name, flavor=statecast.mlflow, model=model, **arguments)


def load_model(model_uri: str) -> Forecaster:
    """The Forecaster of an MLflow model, with its states.

    Args:
        model_uri: a folder, or an address such as "models:/name/1".

    Raises:
        ModelFileError: the file is damaged, of another program or of a later statecast.

    Example:
        >>> import statecast.mlflow
        >>> statecast.mlflow.save_model(model, "again")
        >>> statecast.mlflow.load_model("again").predict(horizon=1).shape
        (1, 7)
    """
    folder = Path(mlflow.artifacts.download_artifacts(model_uri))
    return Forecaster.load(folder / "data" / container.FILE)


def signature(model: Forecaster) -> Any:
    """The inputs and outputs of a model as MLflow describes them: the columns of its table, `horizon` and `levels`.

    Example:
        >>> import statecast.mlflow
        >>> statecast.mlflow.signature(model).inputs.input_names()
        ['month', 'passengers']
    """
    schema, config = model.model_.schema, model.model_.config
    kind = TIMES.get(schema.time_kind, "long")
    inputs, keys = MlflowSchema(_columns(schema)), _keys(schema, schema.id_column, schema.time_column, kind)
    bounds = [f"statecast-{side}-{level:g}" for level in config.levels for side in ("lo", "hi")]
    outputs = MlflowSchema([*keys, *(ColSpec("double", name) for name in ("statecast", *bounds))])
    steps = ParamSpec("horizon", "long", config.horizon)
    levels = ParamSpec("levels", "double", [float(level) for level in config.levels], shape=(-1,))
    return ModelSignature(inputs=inputs, outputs=outputs, params=ParamSchema([steps, levels]))


def _keys(schema: Schema, id: str | None, time: str | None, kind: Any) -> list[Any]:
    names = "long" if schema.id_kind == "integer" else "string"
    columns = [] if id is None else [ColSpec(names, id)]
    return columns if time is None else [*columns, ColSpec(kind, time)]


def _columns(schema: Schema) -> list[Any]:
    """The columns of a table that a forecast starts from; covariates may be left out where they are not known.

    MLflow would refuse whole numbers where others are wanted, and text where a time is. So it is told the names alone,
    and the model reads the values, which says better what is wrong with one.
    """
    kind = AnyType() if schema.time_kind in TIMES else "long"
    targets = [ColSpec(AnyType(), name) for name in schema.target]
    covariates = [
        ColSpec("string" if item.kind == "categorical" else AnyType(), item.name, required=False)
        for item in (*schema.past, *schema.known, *schema.static)
    ]
    return [*_keys(schema, schema.id, schema.time, kind), *targets, *covariates]


@dataclass(frozen=True, eq=False)
class ModelOfMlflow:
    """What `mlflow.pyfunc` predicts with."""

    model: Forecaster

    def predict(self, table: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Forecast from the rows of a table alone, or from the end of the training table if it has no rows.

        Args:
            table: a data frame like that of `fit`.
            params: "horizon", and "levels" in percent.

        Raises:
            DataError: the table cannot be used.
            SettingError: a parameter is unknown or out of range.
        """
        settings = dict(params or {})
        other = next((name for name in settings if name not in ("horizon", "levels")), None)
        if other is not None:
            raise SettingError(f"there is no parameter {other!r}; known: horizon, levels")
        if "levels" in settings:
            settings["levels"] = tuple(float(level) for level in settings["levels"])
        return self.model.predict(None if len(table) == 0 else table, **settings)


def _load_pyfunc(path: str) -> ModelOfMlflow:
    """What MLflow calls to load a model."""
    return ModelOfMlflow(Forecaster.load(path))
