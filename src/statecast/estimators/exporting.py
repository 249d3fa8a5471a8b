"""What leaves a fitted Forecaster for other runtimes; see the room `export`."""

from __future__ import annotations

from pathlib import Path

from statecast.model.trained import Model


class Export:
    """The part of `Forecaster` that writes models for other runtimes."""

    @property
    def model_(self) -> Model:
        """The trained model."""
        raise NotImplementedError

    def export(self, path: str | Path) -> list[Path]:
        """Write the model as ONNX files: a step of the whole network, with its state as inputs and outputs.

        Any ONNX runtime can run them, in any language: values go in as they are in the table, and forecasts with
        their intervals come out. The metadata of the files say what the inputs mean.

        Args:
            path: of the graph that takes a row, such as "load.onnx".

        Returns:
            The files: that one, the graph that forecasts without moving the state ("load.forecast.onnx"), and the
            states of the series of the training table ("load.states.safetensors").

        Raises:
            NotFitted: `fit` comes first.
            SettingError: the name does not end in .onnx; the model has a network for each series; a custom cell
                does something that no graph can.
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
            folder: created if it does not exist; files of these names are replaced.
            modules: the folder node_modules that holds onnxruntime-web; the nearest one from the current folder
                upwards if None.

        Returns:
            The files.

        Raises:
            NotFitted, SettingError, OutputError: see `export`.
            MissingDependency: onnxruntime-web or the package onnx is missing; the error says what to install.

        Example:
            >>> files = model.export_page("page")  # doctest: +SKIP
        """
        from statecast.export import web

        return web.export(self.model_, folder, modules)
