"""Settings: each one exists once, with its default, its help and its check.

`Config` is a frozen value whose fields are the constructor arguments of the estimators, the keys of a TOML file and the
`--set` keys of the command line; the reference page and the signatures are written from them. `None` means "chosen from
the data": `train.choose.settings` replaces it by a value and says why. A wrong setting is refused with the nearest
right name; nothing is ever repaired silently.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from statecast import agreement, presets
from statecast.allowed import (
    BOOLEAN,
    DROPPED,
    HOLIDAYS,
    LIMIT,
    PATH,
    PERCENT,
    RING,
    SHARE,
    Check,
    canonical_value,
    either,
    many,
    one_of,
    plain_value,
    real,
    setting,
    whole,
)
from statecast.errors import SettingError
from statecast.synonyms import suggestion

CELLS = ["rnn_tanh", "rnn_relu", "lstm", "gru", "gru_reset_before", "slstm", "slstm_exp", "mingru", "minlstm", "lru"]
"""Names of the cells; one that a user registers in `statecast.model.cells.CELLS` is added."""
CELL = one_of(CELLS, {"rnn": "rnn_tanh"}, "a cell of your own: import its module first, or type --set cell=module:name")
TRANSFORMS = ("none", "log", "logit")
NORMALIZERS = ("last", "ewma", "window", "global", "none")
ACTIVATIONS = ("linear", "tanh", "relu", "sigmoid", "gelu", "silu")
DISTRIBUTIONS = ("normal", "student_t", "negative_binomial")
LOSSES = ("mse", "mae", "huber", "pinball", *DISTRIBUTIONS)
FIRST_ORDER = ("sgd", "momentum", "rmsprop", "adagrad", "adam", "adamw")
OPTIMIZERS = (*FIRST_ORDER, "lm")
SCHEDULES = ("constant", "piecewise", "cosine", "plateau")
PRECISIONS = ("float32", "float64", "bf16")
MERGES = ("first", "last", "mean", "sum", "min", "max")
CARRIES = ("zero", "learned", "stored")
RULES = {"normalize", "loss_every", "burn_in", "shuffle"}
"""Settings that may be left out and that other settings then tell, whatever the table; and those for sequences."""
SEQUENCE_RULES = {"learning_rate", "batch_size", "eval_every"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that every face of statecast shares: the network's layers, training, and the machine."""

    # the network
    cell: str = setting("lstm", "recurrent cell", CELL)
    hidden: tuple[int, ...] | None = setting(None, "units of each recurrent layer", many(whole(1, 65_536)))
    dense: tuple[int, ...] = setting(
        (), "units of each dense layer between the recurrent layers and the head", many(whole(1, 65_536))
    )
    activation: str = setting("relu", "activation of the dense layers", one_of(ACTIVATIONS))
    dropout: float | tuple[float, ...] = setting(
        0.0,
        "share of a layer's outputs that is dropped in training; a list has one for each layer, recurrent layers first",
        either(DROPPED, many(DROPPED)),
    )
    residual: bool = setting(False, "add a layer's input to its output if their sizes agree", BOOLEAN)
    recurrent_init: str = setting(
        "orthogonal", "initial recurrent weights", one_of(("orthogonal", "glorot", "uniform"))
    )
    forget_bias: float = setting(1.0, "initial bias of the forget gate", real(-100, 100))
    cell_heads: int = setting(
        4, "slstm: heads, each of which sees only its own units; fewer if they do not divide the units", whole(1)
    )
    eigenvalue_radius: tuple[float, ...] = setting(
        (0.0, 0.999), "lru: least and greatest initial modulus of the eigenvalues", RING
    )
    eigenvalue_phase: float = setting(
        6.28, "lru: greatest initial phase of the eigenvalues, in radians", real(0, open_low=True)
    )
    ensemble: int | None = setting(
        None, "networks that are trained together and whose forecasts are averaged", whole(1, 1000)
    )
    # training
    optimizer: str = setting(
        "adam",
        "optimizer; lm (Levenberg–Marquardt) trains small networks to many digits, with mse, float64 and no dropout",
        one_of(OPTIMIZERS),
    )
    learning_rate: float | None = setting(None, "step size of the optimizer", real(0, 1e3, open_low=True))
    momentum: float = setting(0.9, "momentum of the optimizer `momentum`", real(0, 1, open_high=True))
    weight_decay: float = setting(1e-4, "weight decay of adamw", real(0))
    schedule: str = setting("cosine", "schedule of the learning rate", one_of(SCHEDULES))
    milestones: tuple[float, ...] = setting(
        (0.5, 0.75), "piecewise: shares of the steps after which the rate falls", many(real(0, 1))
    )
    rate_factor: float = setting(0.1, "piecewise and plateau: factor of each fall", real(0, 1, open_low=True))
    clip: float = setting(1.0, "largest global norm of the gradient; 0 for no clipping", real(0))
    batch_size: int | None = setting(None, "segments or sequences in a batch", whole(1, 1_000_000))
    max_steps: int | None = setting(None, "most training steps; 0 keeps the linear start", whole(0))
    max_epochs: int | None = setting(None, "most passes over the training rows", whole(1))
    eval_every: int | None = setting(None, "steps between two evaluations on the validation rows", whole(1))
    patience: int = setting(5, "evaluations without improvement before training stops; 0 to go on to the end", whole(0))
    significance: float = setting(
        0.1,
        "largest probability at which a gain on the validation rows may be chance: above it, training is discarded and "
        "the linear start is kept; 1 keeps what was trained in any case",
        real(0, 1, open_low=True),
    )
    val_size: int | float = setting(0.1, "last training rows of each series that are kept for validation", SHARE)
    tensorboard: str | None = setting(
        None, "folder for TensorBoard logs of the fit; if left out, none are written", PATH
    )
    # the machine
    precision: str = setting(
        "float32",
        "floating-point format; bf16 trains recurrent layers with products in bfloat16 and all else in float32, which "
        "needs a processor that supports it",
        one_of(PRECISIONS),
    )
    threads: int = setting(
        0,
        "threads that the native kernel may use; 0 for all processors of the process. The size of JAX's own pool is "
        "taken from the environment variable NPROC when it starts",
        whole(0, 4096),
    )
    random_state: int = setting(0, "seed of everything random", whole(0))

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, canonical_value(spec, getattr(self, spec.name)))

    @property
    def dtype(self) -> str:
        """The format of arrays; with bf16 they are float32, and only products differ."""
        return "float32" if self.bf16 else self.precision

    @property
    def bf16(self) -> bool:
        """Whether recurrent layers are trained with products of bfloat16."""
        return self.precision == "bf16"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Settings from names and values; an unknown name is refused with the nearest right ones.

        Example:
            >>> sc.Config.of({"horizon": 12}).horizon
            12
            >>> sc.Config.of({"horizn": 12})
            Traceback (most recent call last):
            statecast.errors.SettingError: there is no setting 'horizn'; did you mean 'horizon'?
        """
        require_names(cls, values)
        return cls(**values)

    def with_(self, **values: Any) -> Self:
        """The same settings with some replaced.

        Example:
            >>> sc.Config(horizon=12).with_(cell="gru").changed()
            {'cell': 'gru', 'horizon': 12}
        """
        return type(self).of({**self.to_dict(), **values})

    def to_dict(self) -> dict[str, Any]:
        """Name → value of every setting.

        Example:
            >>> sc.Config(horizon=12).to_dict()["levels"]
            (80, 95)
        """
        return {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}

    def changed(self) -> dict[str, Any]:
        """Name → value of the settings that differ from their defaults.

        Example:
            >>> sc.Config(horizon=12).changed()
            {'horizon': 12}
        """
        return {s.name: getattr(self, s.name) for s in dataclasses.fields(self) if getattr(self, s.name) != s.default}

    def to_toml(self) -> str:
        """The settings as TOML, without those that are to be chosen from the data.

        Example:
            >>> "horizon = 12" in sc.Config(horizon=12).to_toml()
            True
        """
        import tomli_w

        return tomli_w.dumps({name: plain_value(value) for name, value in self.to_dict().items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """All settings of a Forecaster; see `describe_settings` for what each means.

    Example:
        >>> sc.Config(horizon=12, cell="GRU").changed()
        {'cell': 'gru', 'horizon': 12}
    """

    # the task
    preset: str = setting("balanced", presets.HELP, one_of(presets.NAMES))
    horizon: int = setting(
        1, "steps ahead that every step forecasts; beyond it, forecasts are fed back as inputs", whole(1, 10_000)
    )
    levels: tuple[int | float, ...] = setting(
        (80, 95), "levels of the forecast intervals, in percent", many(PERCENT, 0, 20)
    )
    adaptive: bool = setting(True, "widen or narrow the intervals of each series until they hold", BOOLEAN)
    false_alarms: float = setting(1e-4, "share of usual values that may be called unusual", real(0, 0.5, open_low=True))
    channels: str | None = setting(
        None,
        "several targets: one network that sees them all (joint), or one that is applied to each (independent)",
        one_of(("joint", "independent")),
    )
    duplicates: str = setting(
        "error", "several rows for one time: an error, or how to merge them", one_of(("error", *MERGES))
    )
    aggregate: str = setting(
        "none", "with freq: how to merge all rows that fall into the same step", one_of(("none", *MERGES))
    )
    season: int | None = setting(None, "rows in a season, for the seasonal baseline and the lags", whole(1, 1_000_000))
    # the network
    lags: int | None = setting(None, "last values that enter the recurrent layers at each step", whole(1, 100_000))
    skip: int | None = setting(
        None, "last values that a linear map takes straight to the forecast; 0 for no such map", whole(0, 100_000)
    )
    skip_init: str = setting(
        "ridge",
        "initial values of that map: solved for on the training rows (smoothing, ridge regression), or zero",
        one_of(("ridge", "zero")),
    )
    local_skip: bool | None = setting(
        None, "several series: a map for each training series, added to the one that all of them share", BOOLEAN
    )
    normalize: str | None = setting(None, "how the level and scale of a series are followed", one_of(NORMALIZERS))
    transform: str | None = setting(
        None,
        "forecast the values of a target, their logarithms, for series whose changes are proportional to their level, "
        "or, with limits, the logarithm of the ratio of the distances from these; a value at zero, or at a limit, "
        "counts as half as far away as the closest training value that is not at it",
        one_of(TRANSFORMS),
    )
    nonnegative: bool | None = setting(None, "keep forecasts and bounds at zero or above", BOOLEAN)
    lower: float | Mapping[str, float] | None = setting(
        None,
        "limit below which no value lies: forecasts, bounds and samples keep to it, and rows beyond it are refused; if "
        "left out, none",
        LIMIT,
    )
    upper: float | Mapping[str, float] | None = setting(
        None, "likewise, above which no value lies, such as a capacity, or 100 for percentages", LIMIT
    )
    decay: float = setting(0.01, "rate at which the running level and scale forget", real(0, 1, open_low=True))
    calendar: bool | None = setting(None, "sine and cosine of the hour, weekday and season as inputs", BOOLEAN)
    holidays: str | tuple[str, ...] | None = setting(
        None,
        "holidays, which are known ahead, with the days until and since: a country's by its code (extra: "
        "holidays) or a list of dates; if left out, none",
        HOLIDAYS,
    )
    missing: bool | None = setting(
        None, "inputs that mark missing values, and for how long they have been missing", BOOLEAN
    )
    level_input: bool | None = setting(None, "the level and scale as inputs", BOOLEAN)
    decoder: str = setting(
        "none",
        "cell of a recurrent decoder over the steps ahead; none for a linear map to all of them at once",
        either(one_of(("none",)), CELL),
    )
    # the loss
    loss: str = setting(
        "mae", "loss; pinball trains the quantiles of the levels, a distribution its parameters", one_of(LOSSES)
    )
    huber_delta: float = setting(
        1.0, "error above which the Huber loss is linear, in training deviations", real(0, open_low=True)
    )
    # segments
    segment: int | str | None = setting(
        None, 'steps of a training segment, or "full" for whole series', either(whole(1), one_of(("full",)))
    )
    burn_in: int | None = setting(None, "first steps of a segment that carry no loss", whole(0))
    loss_every: int | None = setting(None, "steps between two scored forecasts of a segment", whole(1, 10_000))
    carry: str = setting("zero", "state that a segment starts from; stored: as the last pass left it", one_of(CARRIES))
    shuffle: bool | None = setting(None, "draw segments in random order", BOOLEAN)
    sampling: str = setting(
        "rows",
        "what is drawn equally often in training: every row, or every series whatever its length",
        one_of(("rows", "series")),
    )
    # many series
    embedding: int = setting(
        0, "size of a vector learned for each training series, as an input; a new series has their mean", whole(0, 4096)
    )
    local: bool = setting(False, "a separate network for each series, all of them trained together", BOOLEAN)
    # training
    test_size: int | float = setting(0.1, "last rows of each series that are kept for the test scores", SHARE)
    refit: bool = setting(True, "learn from validation and test rows, too, once they have scored the network", BOOLEAN)

    def __post_init__(self) -> None:
        super().__post_init__()
        agreement.require(self)


def canonical(name: str, value: Any, label: str = "") -> Any:
    """The value of a setting of `Config` from any accepted spelling of it.

    Args:
        name: of the setting.
        value: as it came.
        label: what the user knows it by, such as an option; `name =` if empty.

    Raises:
        SettingError: it is not allowed; says what is.
    """
    return canonical_value(_field(name), value, label)


def _field(name: str) -> dataclasses.Field[Any]:
    return next(spec for spec in dataclasses.fields(Config) if spec.name == name)


def restated(name: str, default: Any, check: Check | None = None, help: str | None = None) -> Any:
    """A setting of `Config` for another face, with another default, check or help."""
    spec = _field(name)
    return setting(default, help or spec.metadata["help"], check or spec.metadata["check"])


def names(of: type[Settings] = Config) -> tuple[str, ...]:
    """The names of all settings of a face; by default of the Forecaster's."""
    return tuple(spec.name for spec in dataclasses.fields(of))


def require_names(of: type[Settings], values: Iterable[str]) -> None:
    """Refuse names that are not settings of a face.

    Raises:
        SettingError: there is no such setting; names similar ones.
    """
    known = names(of)
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        raise SettingError(f"there is no setting {unknown!r}; {suggestion(unknown, known)}")


def describe_settings(of: type[Settings] = Config) -> list[tuple[str, Any, str, str]]:
    """(name, default, help, what is allowed) of every setting of a face, in order."""
    return [(s.name, s.default, s.metadata["help"], s.metadata["check"].requirement) for s in dataclasses.fields(of)]


def chosen_from_data(of: type[Settings] = Config) -> frozenset[str]:
    """The settings whose values, where they are left out, depend on the table; a rule gives the others one for all."""
    optional = {spec.name for spec in dataclasses.fields(of) if spec.default is None}
    return frozenset(optional - (RULES if issubclass(of, Config) else SEQUENCE_RULES))


def read_toml(path: str | Path) -> dict[str, Any]:
    """The top-level keys of a TOML file; sections are returned as they are, for the caller to interpret."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror}): expected a TOML file of settings") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: not TOML: {error}") from error
