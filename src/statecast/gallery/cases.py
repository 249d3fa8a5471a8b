"""A case of the gallery: one of the tutorials' experiments as a short TOML file.

The settings at the top are statecast's own recipe, and `[data]` says what they are fitted on, so that `statecast fit
--config` runs the file as it is. `[case]` tells where the experiment comes from and how it is measured; `[tutorial]`
holds the settings that repeat the tutorial, and `[recurrence]` those of a recurrent network that has no skip beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from statecast.config import Config, read_toml
from statecast.errors import SettingError, nearest
from statecast.gallery import datasets, series
from statecast.sequence_config import ClassifierConfig

NAMES = (
    *("sin", "sin-cos", "x-sin", "separate", "weather"),
    *("saw", "saw-deep", "bell", "walk"),
    *("iris", "breast-cancer", "ibex", "ibex-volume"),
    *("italy-power-demand", "gun-point", "basic-motions", "japanese-vowels"),
)
"""All cases, in the order of the tutorials; the last four are of the UCR archive."""
RECIPES = ("tutorial", "statecast", "recurrence")
SECTIONS = ("case", "data", "tutorial", "recurrence")
KINDS = ("forecast", "classify")
MEASURES = ("mse", "rmse", "mae", "ratio", "skill", "accuracy", "loss")
SIDES = {"less": ("mse", "rmse", "mae", "ratio", "loss"), "more": ("skill", "accuracy")}
SHOWS = (
    *("before", "graph", "scatter", "correlation", "whole", "accuracy"),
    *("redundancy", "restore", "printed", "ahead", "cell"),
)
"""What a case may show besides its figures: pictures, and demonstrations (see `demonstrations`)."""


@dataclass(frozen=True)
class Metric:
    """What is measured.

    Attributes:
        name: as it stands in the table.
        measure: one of `MEASURES`; "ratio" is the mean absolute error over that of persistence, "skill" one minus it.
        targets: the targets whose errors are measured; all if empty.
        published: the figure that the tutorial printed, if any.
        goals: what recipes must reach, by their names.

    Example:
        >>> from statecast.gallery import cases
        >>> cases.load("sin").metrics[0].published
        0.000776
    """

    name: str
    measure: str
    targets: tuple[str, ...] = ()
    published: float | None = None
    goals: Mapping[str, float] = field(default_factory=dict)

    @property
    def upward(self) -> bool:
        """Whether more is better."""
        return self.measure in SIDES["more"]

    def reached(self, recipe: str, value: float) -> bool:
        """Whether a value meets the goal of a recipe that has one.

        Example:
            >>> from statecast.gallery import cases
            >>> cases.Metric("mse", "mse", goals={"statecast": 1e-6}).reached("statecast", 1e-9)
            True
        """
        goal = self.goals[recipe]
        return value >= goal if self.upward else value <= goal


@dataclass(frozen=True)
class Case:
    """An experiment; see the module.

    Attributes:
        name: the name of its file.
        title, text, source: what the page says of it.
        kind: "forecast" or "classify".
        example: the table (see `series.make`).
        roles: arguments of `Forecaster.fit` that say what the columns are.
        metrics: what is measured.
        step: the step ahead that is measured; 0 for all of them together.
        settings: statecast's recipe.
        tutorial: the tutorial's; empty where there is none.
        recurrence: that of the recurrence alone; likewise.
        show: what it shows in addition, of `SHOWS`.
        units: the units of the targets, for pictures.
        notes: what the tutorial's recipe leaves out or does differently, as sentences.

    Example:
        >>> from statecast.gallery import cases
        >>> cases.load("walk").kind
        'forecast'
    """

    name: str
    title: str
    text: str
    source: str
    kind: str
    example: str
    roles: Mapping[str, Any]
    metrics: tuple[Metric, ...]
    settings: Mapping[str, Any]
    tutorial: Mapping[str, Any]
    recurrence: Mapping[str, Any]
    step: int = 0
    show: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def needs(self) -> str:
        """The file that must be given, in words; empty if the table is generated."""
        return series.FILES.get(self.example, "")

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes that it has."""
        return tuple(name for name in RECIPES if self.recipe(name))

    def recipe(self, name: str) -> dict[str, Any]:
        """The settings of a recipe; none if there is no such recipe.

        Example:
            >>> from statecast.gallery import cases
            >>> cases.load("sin").recipe("recurrence")["optimizer"]
            'lm'
        """
        return dict(self.settings if name == "statecast" else getattr(self, name))


def path(name: str) -> Path:
    """The TOML file of a case.

    Raises:
        SettingError: there is no such case.

    Example:
        >>> from statecast.gallery import cases
        >>> cases.path("sin").name
        'sin.toml'
    """
    if name not in NAMES:
        raise SettingError(f"there is no case {name!r}: {nearest(name, NAMES)}")
    return Path(str(files("statecast.gallery") / f"{name}.toml"))


def load(name: str) -> Case:
    """A case by its name.

    Raises:
        SettingError: there is no such case.

    Example:
        >>> from statecast.gallery import cases
        >>> cases.load("sin").recipes
        ('tutorial', 'statecast', 'recurrence')
    """
    return read(path(name))


def read(file: Path) -> Case:
    """A case from its file.

    Raises:
        SettingError: it is not a valid case: an unknown section, example, measure or setting.

    Example:
        >>> from statecast.gallery import cases
        >>> cases.read(cases.path("saw")).metrics[0].name
        'a rmse'
    """
    values = read_toml(file)
    sections = {name: values.pop(name, {}) for name in SECTIONS}
    case, data = dict(sections["case"]), dict(sections["data"])
    metrics = tuple(_metric(file, item) for item in case.pop("metrics", []))
    kind = case.pop("kind", "forecast")
    if kind not in KINDS:
        raise SettingError(f"{file}: [case] kind = {kind!r}: {nearest(kind, KINDS)}")
    if not metrics:
        raise SettingError(f"{file}: [[case.metrics]] is missing: expected what is measured")
    example = data.pop("example", None)
    makers = datasets.MAKERS if kind == "classify" else series.MAKERS
    if example not in makers:
        raise SettingError(f"{file}: [data] example = {example!r}: {nearest(example, makers)}")
    experiment = Case(
        file.stem,
        **{name: case.pop(name, "") for name in ("title", "text", "source")},
        kind=kind,
        example=example,
        roles={name: tuple(item) if isinstance(item, list) else item for name, item in data.items()},
        metrics=metrics,
        settings=values,
        tutorial=sections["tutorial"],
        recurrence=sections["recurrence"],
        step=case.pop("step", 0),
        show=tuple(case.pop("show", ())),
        units=case.pop("units", {}),
        notes=tuple(case.pop("notes", ())),
    )
    unknown = next((name for name in experiment.show if name not in SHOWS), None)
    if unknown is not None:
        raise SettingError(f"{file}: [case] show = {unknown!r}: {nearest(unknown, SHOWS)}")
    if case:
        raise SettingError(f"{file}: [case] has no {next(iter(case))!r}")
    for settings in (values, sections["tutorial"], sections["recurrence"]):
        _check(file, kind, settings)
    return experiment


def _check(file: Path, kind: str, settings: Mapping[str, Any]) -> None:
    try:
        (ClassifierConfig if kind == "classify" else Config).of(settings)
    except SettingError as error:
        raise SettingError(f"{file}: {error}") from error


def _metric(file: Path, item: Mapping[str, Any]) -> Metric:
    measure = item.get("measure", "")
    if measure not in MEASURES:
        raise SettingError(f"{file}: [[case.metrics]] measure = {measure!r}: {nearest(measure, MEASURES)}")
    targets = tuple(item.get("targets", ()))
    name = " ".join([*targets, "mae / persistence" if measure == "ratio" else measure])
    return Metric(item.get("name", name), measure, targets, item.get("published"), item.get("goals", {}))
