"""What the recurrent layers of a network do, row by row of a table: their states and their gates.

Nothing is worked out a second time: the network runs over the rows as it does for a backtest, with a stack that notes
what its cells give. So what is noted for the last row is what the state remembers after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from statecast.data.panel import Panel
from statecast.data.schema import Schema
from statecast.errors import DataError, SettingError
from statecast.forecast import channels
from statecast.forecast.answer import output_ids
from statecast.forecast.hindcast.roll import roll
from statecast.model.inputs import rows_of
from statecast.model.stack import Stack
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

MOST = 50_000_000  # numbers that are kept at most


@dataclass(frozen=True, eq=False)
class Activations:
    """States and gates of the recurrent layers at the rows of a table.

    Attributes:
        schema: what the columns of the table are.
        ids: [rows] the series of each row, as forecasts call it: where the network takes each target on its own, with
            the target.
        time: [rows] as in `Panel.time`.
        parts: by layer and part, such as "0.forget" for a gate of the first layer, [rows, units]. "0.h" is the
            layer's output; the other parts of its state, such as "0.c", are what it remembers beside that.
    """

    schema: Schema
    ids: tuple[str | int, ...]
    time: Int64[np.ndarray, " rows"]
    parts: dict[str, Float[np.ndarray, "rows units"]]

    def columns(self) -> dict[str, np.ndarray]:
        """As columns: id and time, and one for each number, such as "0.forget.3" for the gate of the fourth unit."""
        from statecast.data.checks import columns_for

        numbers = {
            f"{name}.{unit}": values[:, unit] for name, values in self.parts.items() for unit in range(values.shape[1])
        }
        return columns_for(self.schema, self.ids, self.time, numbers)


@dataclass(frozen=True)
class _Recorder(Stack):
    """A stack that notes what its cells give in every run."""

    runs: list[dict[str, np.ndarray]] = field(default_factory=list, compare=False)

    def scan(self, w: Any, x: Any, state: Any, reset: Any, drop: Any = None, mask: Any = None) -> Any:
        self.runs.append(self.gates(w, x, state, reset))
        return super().scan(w, x, state, reset, drop, mask)


def activations(model: Model, panel: Panel, last: int | None = None, member: int = 0) -> Activations:
    """States and gates of every series of a table, each run through from its first row.

    Args:
        model: the model.
        panel: the table.
        last: rows at the end of each series that are kept; all if None.
        member: which network of an ensemble.

    Raises:
        SettingError: the network has no recurrent layer, or fewer networks; `last` is below 1.
        DataError: there would be more than `MOST` numbers.
    """
    network = model.network
    if not network.stack.hidden:
        raise SettingError("this network has no recurrent layer (hidden), so there is no state or gate to look at")
    if not 0 <= member < network.members.of_row:
        raise SettingError(f"member = {member!r}: this model has the networks 0 to {network.members.of_row - 1}")
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or last < 1):
        raise SettingError(f"last = {last!r}: expected a whole number of rows, at least 1")
    folded = channels.fold(model, panel)
    counts = folded.lengths if last is None else np.minimum(folded.lengths, last)
    _require_room(model, int(counts.sum()))
    blocks = [
        {name: values[len(values) - count :] for name, values in block.items()}
        for block, count in zip(runs(model, folded, member), counts.tolist(), strict=True)
    ]
    names = _names(model, panel)
    time = [folded.time[folded.offsets[n + 1] - count : folded.offsets[n + 1]] for n, count in enumerate(counts)]
    parts = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    ids = tuple(name for name, count in zip(names, counts, strict=True) for _ in range(count))
    return Activations(model.schema, ids, np.concatenate(time), parts)


def runs(model: Model, folded: Panel, member: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """States and gates of the rows of a network's state, one after another, as [rows, units] by layer and part.

    Args:
        model: with a recurrent layer.
        folded: the table as the network takes it, see `channels.fold`.
        member: which network of an ensemble.
    """
    stack = _Recorder(**vars(model.network.stack))
    network, nowhere = replace(model.network, stack=stack), np.zeros(1, np.int64)
    for n, length in enumerate(folded.lengths):
        stack.runs.clear()
        one = folded.pieces(np.array([n]), nowhere, np.array([length]))
        rows = rows_of(network, model.constants, model.schema, one, model.dtype)
        for _ in roll(network, model.p, rows, np.zeros(one.rows, bool)):
            pass  # there are no origins: the run itself is what counts, also of layers that no forecast hears
        runs = stack.runs[member :: network.members.of_row]
        # A run is padded at its beginning to whole chunks.
        yield {name: np.concatenate([run[name][:, 0] for run in runs])[-one.rows :] for name in runs[0]}


def _names(model: Model, panel: Panel) -> channels.Ids:
    """The name of each row of the network's state: with the target where each is taken on its own."""
    if channels.rows_each(model) > 1:
        return output_ids(model.schema, panel.ids)
    return panel.ids


def _require_room(model: Model, rows: int) -> None:
    cell, units = model.network.stack.equations, sum(model.network.stack.hidden)
    count = rows * units * (cell.gates + len(cell.states) + 1)
    if count > MOST:
        raise DataError(
            f"states and gates of {rows:,} rows are some {count:,} numbers, and {MOST:,} are the most at once: "
            "ask for some of the series, or for their last rows (last=…)"
        )
