"""What can be said without computing anything: models, settings, bundled tables, versions."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from statecast.cli import output
from statecast.config import Config, describe_settings, require_names
from statecast.errors import ModelFileError, SettingError
from statecast.sequence_config import ClassifierConfig, RegressorConfig

PACKAGES = ("numpy", "safetensors", "narwhals", "jax", "jaxlib", "optax", "polars", "pandas", "pyarrow", "rich",
            "cyclopts", "matplotlib", "scikit-learn", "tensorboardX")  # fmt: skip
INTRODUCTION = """# Settings

Every setting is a constructor argument of `sc.Forecaster`, a key of a TOML file (`statecast fit --config`) and a key of
`--set KEY=VALUE`. Settings whose default is "chosen" are chosen from the data; `fit` says which value, and why. An
unknown name is refused with the nearest right one, and so is a value out of range. The names of cells and the like may
be written in capitals, and with a hyphen in place of an underscore (`cell="LSTM"`); a single item stands for a list of
one (`hidden=32`, `levels=90`). Levels are percentages: 90, not 0.9. `statecast settings --markdown` prints this page.

| setting | default | what it is | allowed |
|---|---|---|---|
"""
SEQUENCES = """
## Classifier and Regressor

`sc.Classifier` and `sc.Regressor` take the settings above that concern layers, training and the machine, and also
these. A setting whose default differs is listed again.

| setting | default | what it is | allowed |
|---|---|---|---|
"""


def settings(chosen: Sequence[str], markdown: bool, as_json: bool) -> int:
    """Print settings; see the command."""
    require_names(Config, chosen)
    rows = [row for row in describe_settings() if not chosen or row[0] in chosen]
    if as_json:
        output.document({name: {"default": d, "help": h, "allowed": a} for name, d, h, a in rows})
    elif markdown:
        output.say(page().rstrip("\n"))
    else:
        for name, default, help, allowed in rows:
            output.say(f"{name} = {_default(default)}")
            output.say(f"    {help}")
            output.say(f"    {allowed}")
    return 0


def page() -> str:
    """The reference page of all settings, in Markdown."""
    forecasts = describe_settings()
    others = [*describe_settings(ClassifierConfig), *describe_settings(RegressorConfig)]
    particular = [row for n, row in enumerate(others) if row not in forecasts and row not in others[:n]]
    return INTRODUCTION + _rows(forecasts) + SEQUENCES + _rows(particular)


def _rows(settings: Sequence[tuple[str, Any, str, str]]) -> str:
    return "".join(
        f"| `{name}` | {_default(default)} | {_cell(help)} | {_cell(allowed)} |\n"
        for name, default, help, allowed in settings
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(value: Any) -> str:
    """A default as it is typed after `--set name=`."""
    if value is None:
        return "chosen"
    if isinstance(value, tuple):
        return f"[{', '.join(_default(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def example(name: str | None, out: str | None, as_json: bool) -> int:
    """Print the path of a bundled table, copy it, or list all; see the command."""
    from statecast.data import examples

    if name is None:
        if out is not None:
            raise SettingError(f"--out {out}: which table? {', '.join(examples.NAMES)}")
        paths = {known: str(examples.path(known)) for known in examples.NAMES}
        if as_json:
            output.document(paths)
        else:
            output.pairs(paths.items())
        return 0
    path = examples.path(name)
    if out is not None:
        path = _copied(name, path, Path(out))
    if as_json:
        output.document({name: str(path)})
    else:
        output.say(str(path))
    return 0


def _copied(name: str, source: Path, target: Path) -> Path:
    from statecast.data import examples
    from statecast.files import write_bytes

    if target.suffix.lower() not in (".csv", ".parquet"):
        raise SettingError(f"--out {target}: expected a file whose name ends in .csv or .parquet")
    packed = target.suffix.lower() == ".parquet"
    return write_bytes(target, source.read_bytes() if packed else examples.load(name).write_csv().encode())


def model(path: str, as_json: bool) -> int:
    """Print what a model is; see the command."""
    from statecast.model import archive
    from statecast.report import collect, summary

    trained = archive.load(path)
    layers = collect.layers(trained)
    scores = _readable(trained.scores, path)
    if as_json:
        output.document(
            {
                "model": path,
                "layers": [vars(layer) for layer in layers],
                "parameters": sum(layer.parameters for layer in layers),
                "schema": trained.schema.to_json(),
                "series": len(trained.state.ids),
                "settings": trained.config.to_dict(),
                "evaluation": trained.scores,
                "verdict": summary.conclusions(scores),
            }
        )
        return 0
    output.sources(scores)
    output.table(summary.layers_table(layers))
    output.say()
    output.pairs(_columns(trained))
    output.say()
    for name, value in trained.config.to_dict().items():
        if value is not None:
            output.say(f"  {name} = {summary.value_text(value)}")
    if scores:
        output.say()
        output.scores(scores)
    return 0


def _readable(scores: dict[str, Any], path: str) -> dict[str, Any]:
    """The scores of a file, which are kept as they came, if sentences and a table can be made of them.

    Raises:
        ModelFileError: they are something else.
    """
    from statecast.report import summary

    try:
        if scores:
            summary.conclusions(scores)
            summary.score_tables(scores)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: its scores are not as statecast writes them: save the model again") from error
    return scores


def _columns(trained: Any) -> list[tuple[str, str]]:
    """The columns of the tables that a model takes."""
    from statecast.data import holidays
    from statecast.forecast import channels

    schema = trained.schema
    covariates = (("past", schema.past), ("known", schema.known), ("static", schema.static))
    rows = [
        ("target", ", ".join(schema.target)),
        ("id", schema.id or ""),
        (
            "time",
            f"{schema.time}, {schema.frequency.text}" + (f", {schema.tz}" if schema.tz else "") if schema.time else "",
        ),
        *((role, ", ".join(_covariate(item) for item in items)) for role, items in covariates),
        ("weight", schema.weight or ""),
        ("holidays", holidays.span(schema.holidays) if schema.holidays else ""),
        ("series", f"{len(channels.series_ids(trained, trained.state.ids)):,} remembered"),
    ]
    return [(name, text) for name, text in rows if text]


def _covariate(item: Any) -> str:
    return f"{item.name} ({len(item.categories)} categories)" if item.kind == "categorical" else str(item.name)


def system(as_json: bool) -> int:
    """Print versions and how networks are run here; see the command."""
    from statecast.model.container import version
    from statecast.model.kernel import library as kernel_library

    facts = {
        "statecast": version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": str(_processors()),
        "training": _training(),
        "forecasting": _forecasting(),
        "recurrent layers": kernel_library.description(),
        "precision bf16": kernel_library.bf16_description(),
        **{name: _version(name) for name in PACKAGES},
    }
    if as_json:
        output.document(facts)
    else:
        output.pairs(facts.items())
    return 0


def _processors() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _forecasting() -> str:
    """What forecasts, backtests and streams run in."""
    from statecast.model.kernel import library as kernel_library

    native = "NumPy, with recurrent layers and whole steps of streams in the native kernel"
    return native if kernel_library.refuses() is None else "NumPy"


def _training() -> str:
    """What JAX trains on here."""
    try:
        import statecast.train.loop  # noqa: F401
    except ImportError:
        return "not possible: pip install 'statecast[train]'"
    jax = sys.modules["jax"]
    return f"JAX on {', '.join(sorted({str(device.device_kind) for device in jax.devices()}))}"
