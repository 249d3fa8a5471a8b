"""The part of `Forecaster` that compares forecasts under several futures of what is known ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from statecast.data.tabular import table
from statecast.errors import SettingError
from statecast.estimators.fitted import Fitted
from statecast.estimators.start import ahead_of
from statecast.forecast.scenarios import Scenarios, require_futures, scenarios


class WhatIf(Fitted):
    """What would be forecast if the covariates known ahead went one way or another."""

    def compare(
        self,
        futures: Mapping[str, Any],
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
    ) -> Any:
        """Forecast with several futures of the covariates known ahead, all from the same moment.

        Args:
            futures: by name, tables of these covariates, as `forecast` takes one as `future`.
            source: as in `forecast`.
            horizon: as in `forecast`.
            levels: as in `forecast`.

        Returns:
            A frame, or a mapping for an array: id, time, scenario (the name of the future), statecast and its bounds,
            and difference: statecast minus that of the first future.

        Raises:
            SettingError: the model has no covariates known ahead, or there is no future.
            DataError: a table cannot be used, or does not reach to the horizon.

        Example:
            >>> frame = shop.compare(futures)
            >>> [name for name in frame if "-" not in name]
            ['unique_id', 'hour', 'scenario', 'statecast', 'difference']
        """
        rows = None if source is None else table.read(source)
        return self._frame(self.scenarios(futures, rows, horizon=horizon, levels=levels).columns(), rows)

    def scenarios(
        self,
        futures: Mapping[str, Any],
        source: Any = None,
        *,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
    ) -> Scenarios:
        """`compare` as a value, which holds the forecasts by name, and draws them side by side.

        Example:
            >>> shop.scenarios(futures).values.shape  # of each future, series, step and target
            (2, 1, 2, 1)
        """
        if not isinstance(futures, Mapping):
            raise SettingError(
                f"futures: got {type(futures).__name__}, expected tables by name, such as "
                "{'low': frame, 'high': frame}"
            )
        tables = {str(name): future for name, future in futures.items()}
        require_futures(self.model_, tuple(tables))
        first = table.read(next(iter(tables.values())))
        state, _ = self._origin(source, first)
        ahead = {name: ahead_of(self.model_, state, future) for name, future in tables.items()}
        return scenarios(self.model_, state, ahead, horizon, levels)
