"""The card of a model: a README.md that Hugging Face's hub, and any reader, understands.

A folder of a fit is all that a hub needs: `huggingface_hub.upload_folder` takes it as it is, and what
`snapshot_download` gives back is loaded like any folder. The front matter is YAML in the form of JSON, which is a part
of it, so that no name of a column can break out of its place; the words below are Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from statecast.model.trained import Model
from statecast.report.summary import Report, conclusions, facts_table, headline, score_tables

LIBRARY, TASK = "statecast", "time-series-forecasting"
SCORES = {"mae": "MAE", "rmse": "RMSE", "smape": "sMAPE", "mase": "MASE"}  # that hubs know by these names


def card(model: Model, report: Report) -> str:
    """The card of a fitted model, as Markdown with YAML in front.

    Args:
        model: the model.
        report: what is reported of its fit.
    """
    return f"---\n{_front_matter(model, report)}---\n\n" + "\n\n".join(_sections(model, report)) + "\n"


def _front_matter(model: Model, report: Report) -> str:
    tags = [LIBRARY, "time-series", "forecasting", "recurrent-neural-network", model.config.cell]
    entries: dict[str, Any] = {"library_name": LIBRARY, "pipeline_tag": TASK, "tags": tags}
    scores = report.evaluation.get("statecast", {})
    metrics = [
        {"type": name, "name": label, "value": scores[name]}
        for name, label in SCORES.items()
        if scores.get(name) is not None
    ]
    if metrics:
        task = {"type": TASK, "name": "Time series forecasting"}
        data = {"type": "table", "name": f"test rows of {', '.join(model.schema.target[:4])}"}
        results = [{"task": task, "dataset": data, "metrics": metrics}]
        entries["model-index"] = [{"name": report.title, "results": results}]
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in entries.items())


def _sections(model: Model, report: Report) -> Iterator[str]:
    yield f"# {_plain(report.title)}"
    yield _plain(headline(report))
    yield "## Use"
    yield (
        "Save this folder (`huggingface_hub.snapshot_download` does) and load it with "
        "`pip install statecast`; neither JAX nor PyTorch is needed:"
    )
    yield (
        "```python\nimport statecast as sc\n\n"
        'model = sc.Forecaster.load("FOLDER")\n'
        "print(model.predict())  # from the end of the training table; predict(table) from another one\n"
        "stream = model.stream()  # goes on with every new value\n```"
    )
    yield "## Data"
    yield from (_table([["column", "role", "kind"], *_columns(model)]), _table([["", ""], *facts_table(report.facts)]))
    yield "## Scores"
    yield from map(_table, score_tables(report.evaluation))
    yield "\n".join(f"- {_plain(line)}" for line in conclusions(report.evaluation) or ["The model was not tested."])
    yield "## Limits"
    yield "\n".join(f"- {_plain(line)}" for line in _limits(model, report))


def _columns(model: Model) -> list[list[str]]:
    schema, frequency = model.schema, model.schema.frequency.text
    keys = [] if schema.id is None else [[schema.id, "names the series", schema.id_kind]]
    if schema.time is not None:
        zone = f" in {schema.tz}" if schema.tz else ""
        keys.append([schema.time, "time", f"{schema.time_kind}, a row every {frequency}{zone}"])
    roles = ("known up to now", schema.past), ("known ahead", schema.known), ("of a series", schema.static)
    covariates = [
        [item.name, f"covariate {role}", _kind(item.kind, item.categories)] for role, items in roles for item in items
    ]
    return [*keys, *([name, "target", "numeric"] for name in schema.target), *covariates]


def _kind(kind: str, categories: Sequence[str]) -> str:
    names = ", ".join(categories[:12]) + (", …" if len(categories) > 12 else "")
    return f"{kind}: {names}" if categories else kind


def _limits(model: Model, report: Report) -> Iterator[str]:
    """What a reader must know before he trusts a forecast."""
    step, steps = report.facts.step, model.network.head.horizon
    yield (
        f"It was trained to look {steps:,} {step}{'s' if steps > 1 else ''} ahead. Further steps rest on the forecasts "
        "before them, and their intervals widen by a rule, not by what was measured."
    )
    yield (
        "The scores are of the last rows of one table. Where the series change their habits, or others are forecast, "
        "they say little: score the model on rows of your own with `model.score(table)`."
    )
    levels = ", ".join(f"{level:g} %" for level in model.config.levels)
    yield (
        f"Intervals ({levels}) are sized by errors on held-out rows of that table and hold on average, not for every "
        "series and hour."
        if levels
        else "There are no intervals."
    )
    if model.schema.static or model.schema.series:
        yield "A series that the model has not seen is forecast by what others have in common."
    if model.schema.known:
        yield f"A forecast needs its known covariates ahead: {', '.join(item.name for item in model.schema.known)}."
    yield "The file remembers the last state of each training series, from which recent values may be read."
    yield from report.notes


def _table(rows: Sequence[Sequence[str]]) -> str:
    heading, *others = ([_plain(cell).replace("|", "\\|") for cell in row] for row in rows)
    lines = [heading, ["---"] * len(heading), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """A string in which names of columns are no Markdown and no HTML, in one line."""
    return re.sub(r"([\\`*\[\]<>])", r"\\\1", " ".join(text.split()))
