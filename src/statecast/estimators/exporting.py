"""What leaves a fitted Forecaster for other runtimes; see the room `export`."""

from __future__ import annotations

from pathlib import Path

from statecast.model.trained import Model


class Export:
    """The part of `Forecaster` that writes models for runtimes of others."""

    @property
    def model_(self) -> Model:
        """The trained model."""
        raise NotImplementedError

    def export(self, path: str | Path) -> list[Path]:
        """Write the model as ONNX files: a step of the whole network, with its state as inputs and outputs.

        Any runtime of ONNX runs them, in whatever language it is for: values go in as the table has them, and
        forecasts with their intervals come out. What the inputs mean is said in the metadata of the files.

        Args:
            path: of the graph that takes a row, such as "load.onnx".

        Returns:
            The files: that one, the graph that forecasts without moving the state ("load.forecast.onnx"), and the
            states of the series of the training table ("load.states.safetensors").

        Raises:
            NotFitted: `fit` comes first.
            SettingError: the name does not end in .onnx; the model has a network for each series; a cell of one's own
                does what no graph can.
            MissingDependency: the package onnx is not installed.
            OutputError: a file cannot be written.

        Example:
            >>> [file.name for file in model.export("air.onnx")]
            ['air.onnx', 'air.forecast.onnx', 'air.states.safetensors']
        """
        from statecast.export.onnx_file import export

        return export(self.model_, path)

    def export_page(self, folder: str | Path, modules: str | Path | None = None) -> list[Path]:
        """Write the model as a folder whose `index.html` forecasts in a browser, from the disk or from any server.

        Args:
            folder: it is made where it is missing; files of these names are replaced.
            modules: the folder node_modules that holds onnxruntime-web; the nearest one from the current folder
                upwards where None.

        Returns:
            The files.

        Raises:
            NotFitted, SettingError, OutputError: see `export`.
            MissingDependency: onnxruntime-web or the package onnx is not there; says what to install.

        Example:
            >>> files = model.export_page("page")  # doctest: +SKIP
        """
        from statecast.export import web

        return web.export(self.model_, folder, modules)
