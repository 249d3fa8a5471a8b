"""What all results with columns have in common: each becomes a frame of the library that is asked for.

A stream makes forecasts and needs no frames, so what knows them is imported when one is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.errors import MissingDependency

if TYPE_CHECKING:
    from statecast.data.tabular.frames import Native


class TableResult:
    """A result that has columns, and is a frame of whatever library is asked for."""

    def columns(self) -> dict[str, np.ndarray]:
        """The columns, see there."""
        raise NotImplementedError

    @property
    def tz(self) -> str | None:
        """The zone of the times; None where they have none."""
        raise NotImplementedError

    def to_polars(self) -> Any:
        """The columns as a frame of polars; a MissingDependency where it is not installed.

        Example:
            >>> model.forecast().to_polars().columns[:3]
            ['unique_id', 'month', 'statecast']
        """
        return self._frame("polars")

    def to_pandas(self) -> Any:
        """The columns as a frame of pandas; a MissingDependency where it is not installed.

        Example:
            >>> list(model.forecast().to_pandas().columns[:3])
            ['unique_id', 'month', 'statecast']
        """
        return self._frame("pandas")

    def to_arrow(self) -> Any:
        """The columns as a table of pyarrow; a MissingDependency where it is not installed.

        Example:
            >>> model.forecast().to_arrow().column_names[:3]
            ['unique_id', 'month', 'statecast']
        """
        return self._frame("pyarrow")

    def _frame(self, native: Native) -> Any:
        from statecast.data.tabular.frames import to_native

        try:
            return to_native(self.columns(), native, self.tz)
        except ModuleNotFoundError as error:  # a library that no extra brings, as those who ask for its frames have it
            raise MissingDependency(
                f"a {native} frame needs {native}, which is not installed: pip install {native}"
            ) from error
