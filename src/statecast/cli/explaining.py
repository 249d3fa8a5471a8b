"""`statecast explain`: which inputs a saved model uses, and what one of its forecasts comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from statecast.cli import output
from statecast.data import results as files
from statecast.data.values import series_id
from statecast.errors import SettingError
from statecast.estimators import Forecaster
from statecast.forecast.breakdown import Breakdown
from statecast.forecast.observation import shown

STEPS = 3  # of which the table on the terminal has a column: the first, one half way, the last


class Origin(NamedTuple):
    """Which forecast is taken apart.

    Attributes:
        at: the time of its last row, as text, or "last".
        series: the only series; all of them if None.
        future: a file of the covariates known ahead.
    """

    at: str
    series: str | None
    future: str | None


def inputs(path: str, table: str, out: str | None, as_json: bool) -> int:
    """Print or write what a saved model uses; see the command."""
    from statecast.report.summary import signed_percent

    explanation = Forecaster.load(path).explanation(table)
    columns = explanation.columns()
    if out is not None:
        files.write(columns, out, None)
    if as_json:
        document = {"model": path, "origins": explanation.origins, "inputs": list(output.records(columns, False))}
        output.document(document | ({"file": out} if out else {}))
    elif out != "-":
        rows = [[item.name, item.kind, signed_percent(item.importance)] for item in explanation.inputs]
        output.table([["input", "kind", "error when shuffled"], *rows])
        output.say()
        output.prose(
            "By how much the mean absolute error grows, "
            f"over {explanation.origins:,} forecasts; around 0 % the network does without the input."
        )
        if explanation.activity and not explanation.activity.heard:
            output.prose("The recurrent layers have no part in the forecasts: inputs that only they take have none.")
    return 0


def one(path: str, table: str, origin: Origin, picture: str | None, out: str | None, as_json: bool) -> int:
    """Print, write or draw what forecasts from one moment come from; see the command."""
    if picture is not None and Path(picture).suffix.lower() != ".png":
        raise SettingError(f"--picture {picture}: expected the name of a PNG file, such as parts.png")
    model = Forecaster.load(path)
    schema = model.model_.schema
    series = None if origin.series is None else series_id(origin.series, schema.id_kind)
    breakdown = model.breakdown(table, at=origin.at, series=series, future=origin.future)
    columns = breakdown.columns()
    if out is not None:
        files.write(columns, out, schema.tz)
    if picture is not None:
        _draw(breakdown, picture)
    if as_json:
        document = {"model": path, "parts": list(output.records(columns, bool(schema.tz)))}
        output.document(document | {name: file for name, file in (("file", out), ("picture", picture)) if file})
    elif out != "-":
        for s, name in enumerate(breakdown.ids):
            for d, target in enumerate(breakdown.targets):
                _print(breakdown, s, d, f"{target} of {name}" if schema.id else target)
    return 0


def _draw(breakdown: Breakdown, picture: str) -> None:
    from statecast.files import write_bytes
    from statecast.report import plot

    write_bytes(picture, plot.png(plot.breakdown(breakdown)))


def _print(breakdown: Breakdown, s: int, d: int, title: str) -> None:
    """The parts of a few steps ahead, and their sum."""
    horizon, schema = breakdown.values.shape[1], breakdown.model.schema
    steps = np.unique(np.linspace(0, horizon - 1, STEPS).round().astype(int)).tolist()
    amounts = breakdown.amounts[s, :, :, d]
    headings = [shown(int(breakdown.times[s, step]), schema) for step in steps]
    rows: list[Any] = [["", *headings]]
    for part, amount in zip(breakdown.parts, amounts, strict=True):
        rows.append([part.name, *(f"{amount[step]:.4g}" for step in steps)])
    rows.append(["forecast", *(f"{breakdown.values[s, step, d]:.4g}" for step in steps)])
    output.say(f"{title}, from {shown(int(breakdown.last[s]), schema)}")
    output.table(rows)
    output.say()
