"""What moves one forecast of a network from the level that it begins at, part by part, in working units.

The skip is linear in the last values, so its part is exact, value by value: those a whole number of seasons before the
step that is forecast are the season, the others recent values. What the stack and the head add is not linear: their
part is dealt out among inputs and memory by Shapley values, of which an input that is away is at its neutral value (a
covariate at its mean in the training rows, a value at the level, a memory as at the beginning of a series). All is
calculated in float64 by the network's own lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from statecast.forecast.explain import features_of
from statecast.forecast.shapley import shapley
from statecast.model.cells import StateParts
from statecast.model.members import cast
from statecast.model.rings import Rings
from statecast.model.stack import Stack
from statecast.model.trained import Model

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

NUMBERS = 4_000_000  # numbers of the widest array of coalitions that are played together
CLOSE = 1e-5  # in working units; a slope between points that lie closer together loses its digits


class Part(NamedTuple):
    """Something that a forecast comes from.

    Attributes:
        name: a covariate, a cycle of the calendar, or one of those below.
        kind: "level", "constant", "season", "lags", "gap", "past", "known", "calendar", "static", "series" or
            "recurrence".
    """

    name: str
    kind: str


LEVEL, CONSTANT = Part("level", "level"), Part("constant", "constant")
SEASON, RECENT, EARLIER = Part("season", "season"), Part("recent values", "lags"), Part("earlier values", "lags")
GAP, SERIES = Part("time since the last value", "gap"), Part("which series it is", "series")


@dataclass(frozen=True)
class _InputRecorder(Stack):
    """A stack that notes what enters each step: weights, input and state."""

    runs: list[tuple[Any, Any, StateParts]] = field(default_factory=list, compare=False)

    def step(self, w: Any, x: Any, state: StateParts) -> tuple[Any, StateParts]:
        self.runs.append((w, x, state))
        return super().step(w, x, state)


@dataclass(frozen=True, eq=False)
class Moves:
    """What moves the forecasts of one row of a network's state.

    Attributes:
        level: [1, D] in working units, as it would be forecast alone.
        by_part: [H, D] of each part; with the level they sum to the forecast.
    """

    level: Float64[np.ndarray, "1 D"]
    by_part: dict[Part, Float64[np.ndarray, "H D"]]


class Mover:
    """Takes forecasts of a model apart.

    Args:
        model: the model.

    Attributes:
        whole: the parts that a forecast has where the row before it is at hand.
        held: those that it has where only the state after it is: the network's memory holds the row then.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.network = model, model.network
        self._season = max(model.config.season or 1, 1)
        self._p = cast(model.p, np.float64)
        self._features = list(features_of(model))
        name = "recurrence" if model.network.stack.hidden else "network"
        self._memory = Part(name, "recurrence")
        self._ahead = [Part(name, kind) for name, kind, _, ahead in self._features if ahead]
        lags = self._lag_parts()
        covariates = [Part(*item[:2]) for item in self._features]
        front, parts = (
            model.network.front,
            [LEVEL, CONSTANT, *(part for part in (SEASON, RECENT, EARLIER) if part in lags)],
        )
        self.held = (*parts, *self._ahead, self._memory)
        marks = [GAP] * front.missing
        series = [SERIES] * bool(front.embedding)
        memory = [self._memory] * bool(model.network.stack.hidden)
        self.whole = (*parts, *marks, *covariates, *series, *memory)

    def of_step(self, before: StateParts, inputs: StateParts) -> Moves:
        """What moves the forecast from after a step.

        Args:
            before: the network's state of one row before the step, each part [1, …].
            inputs: of the step, as `Network.step` takes them, each [1, …].
        """
        before, inputs = cast(dict(before), np.float64), cast(dict(inputs), np.float64)
        stack = _InputRecorder(**vars(self.network.stack))
        after = replace(self.network, stack=stack).advance(self._p, before, inputs)
        future = inputs.get("future")
        starts = [self.network.stack.start(w, (1,), x) for w, x, _ in stack.runs]
        each = self.network.members.each(self._p["weights"], before.get("series"))
        bases = [self._neutral(w) for w, _ in each]

        def outputs(n: int, chosen: Bool[np.ndarray, "C I"], memory: Bool[np.ndarray, "C 1"]) -> Any:
            w, x, cells = stack.runs[n]
            state = {name: np.where(memory, part, starts[n][name]) for name, part in cells.items()}
            return self.network.stack.step(w, np.where(chosen, x, bases[n]), state)[0]

        games = ((steps, *self._owners(phase)) for steps, phase in self._phases())
        return self._joined(after, future, [self._dealt(after, future, outputs, *game) for game in games])

    def of_state(self, state: StateParts, future: Float64[np.ndarray, "1 H F"] | None) -> Moves:
        """What moves the forecast that a state holds, of which the row that led there is not at hand.

        Args:
            state: the network's state of one row, each part [1, …].
            future: what is known of the steps ahead; None where the model knows nothing ahead.
        """
        state = cast(dict(state), np.float64)
        future = None if future is None else future.astype(np.float64)
        each = self.network.members.each(self._p["weights"], state.get("series"))
        heard, silent = [], []
        for n, (w, _) in enumerate(each):
            x = self._neutral(w)
            heard.append(self.network.members.share(state["out"], n, slice(None)))
            silent.append(self.network.stack.step(w["stack"], x, self.network.stack.start(w["stack"], (1,), x))[0])

        def outputs(n: int, _: Any, memory: Bool[np.ndarray, "C 1"]) -> Any:
            return np.where(memory, heard[n], silent[n])

        players = [*self._ahead, self._memory]
        columns = np.zeros(self.network.front.inputs, np.int64)
        steps = np.arange(self.network.head.horizon)
        game = steps, players, columns, self._owners_ahead(players)
        return self._joined(state, future, [self._dealt(state, future, outputs, *game)])

    # --- what is nonlinear

    def _dealt(
        self,
        state: StateParts,
        future: Any,
        outputs: Callable[[int, Any, Any], Any],
        steps: Int64[np.ndarray, " h"],
        players: list[Part],
        columns: Int64[np.ndarray, " I"],
        ahead: Int64[np.ndarray, " F"],
    ) -> tuple[Any, dict[Part, Any]]:
        """The steps, and the part of each player in what the network adds to them, [M, h, D] of M members."""
        each = self.network.members.each(self._p["weights"], state.get("series"))
        head, middle = self.network.head, self.network.head.middle
        memory = players.index(self._memory) if self._memory in players else None

        def played(coalitions: Bool[np.ndarray, "C P"]) -> Float64[np.ndarray, "C M h D"]:
            results = []
            for n, (w, _) in enumerate(each):
                remembers = np.ones((len(coalitions), 1), bool) if memory is None else coalitions[:, [memory]]
                out = outputs(n, coalitions[:, columns], remembers)
                known = None if future is None else np.where(coalitions[:, ahead][:, None], future, 0.0)
                results.append(head.raw(w["head"], out, known)[..., middle][:, steps])
            return np.stack(results, axis=1)

        widest = max(head.horizon * head.targets * head.width, head.horizon * head.future, self.network.front.inputs)
        size = max(NUMBERS // widest, 1)

        def game(coalitions: Bool[np.ndarray, "C P"]) -> Float64[np.ndarray, "C M h D"]:
            return np.concatenate([played(coalitions[n : n + size]) for n in range(0, len(coalitions), size)])

        empty, values = shapley(game, len(players))
        return steps, {CONSTANT: empty, **dict(zip(players, values, strict=True))}

    def _joined(self, state: StateParts, future: Any, dealt: list[tuple[Any, dict[Part, Any]]]) -> Moves:
        """The parts of the network and those of the skip, in working units."""
        head, front = self.network.head, self.network.front
        rings = Rings.of_state(state["ring"], state["held"])
        level, scale = front.level_scale(state, rings)
        sizes = scale * self._p["constants"]["output_gain"]  # [H, D]
        each = self.network.members.each(self._p["weights"], state.get("series"))
        parts: dict[Part, Any] = {}
        for steps, values in dealt:
            for part, value in values.items():
                whole = parts.setdefault(part, np.zeros((len(each), head.horizon, head.targets)))
                whole[:, steps] += value
        for part, value in self._linear(state, rings, level, scale, each):
            parts[part] = parts.get(part, 0.0) + value
        parts = {part: value * sizes for part, value in parts.items()}
        if head.distribution is None:
            return Moves(level, {part: value.mean(axis=0) for part, value in parts.items()})
        return self._shaped(level, sizes, parts)

    def _shaped(self, level: Any, sizes: Any, parts: dict[Part, Any]) -> Moves:
        """Parts of locations as those of the point forecasts, which a distribution may bend."""
        head, ends = self.network.head, level + sum(parts.values())

        def point(location: Any) -> Any:
            numbers = np.zeros((*np.shape(location), head.width - 1))
            size = np.broadcast_to(sizes, np.shape(location))
            assert head.distribution is not None
            return head.distribution.shaped(location[..., None], size[..., None], numbers)[..., 0]

        slopes = secant(point, np.broadcast_to(level, ends.shape), ends)
        bent = {part: (value * slopes).mean(axis=0) for part, value in parts.items()}
        return Moves(point(np.broadcast_to(level, ends.shape[1:])), bent)

    # --- what is linear

    def _linear(self, state: StateParts, rings: Rings, level: Any, scale: Any, each: Any) -> Iterator[tuple[Part, Any]]:
        """The skip's parts, [M, H, D] relative to level and scale."""
        front, c = self.network.front, self._p["constants"]
        if not front.skip:
            return
        newest = rings.newest(front.skip)
        ring = front.relative(newest["ring"], newest["held"], level, scale)[0] / c["ring_gain"]  # [K, D]
        w = np.stack([weights["skip"]["W"] for weights, _ in each])  # [M, D, K, H]
        number = int(state["series"][0, 0]) if front.local_skip and "series" in state else 0
        if number:
            w = w + np.swapaxes(c["maps"][number - 1], -1, -2)
        terms = np.einsum("mdkh,kd->mkhd", w, ring)
        lags = np.arange(front.skip, 0, -1)
        kinds = np.stack([self._kinds(lags, step) for step in range(self.network.head.horizon)], axis=1)  # [K, H]
        for n, part in enumerate((SEASON, RECENT, EARLIER)):
            if (kinds == n).any():
                yield part, (terms * (kinds == n)[..., None]).sum(axis=1)

    def _kinds(self, lags: Int64[np.ndarray, " K"], step: int) -> Int64[np.ndarray, " K"]:
        """Of each lag 0, 1 or 2: of the season of a step ahead (from 0), younger than a season, or older."""
        of_season = (lags + step) % self._season == 0 if self._season > 1 else np.zeros(len(lags), bool)
        older = (lags > self._season) & (self._season > 1)
        return np.where(of_season, 0, np.where(older, 2, 1))

    def _lag_parts(self) -> set[Part]:
        """Which parts the last values make, in skip and stack."""
        front, parts = self.network.front, (SEASON, RECENT, EARLIER)
        lags = np.arange(1, max(front.skip, front.lags) + 1)
        return {parts[n] for step in range(self.network.head.horizon) for n in self._kinds(lags, step).tolist()}

    # --- who owns what of the stack's input

    def _phases(self) -> list[tuple[Int64[np.ndarray, " h"], int]]:
        """Steps ahead whose season is made of the same lags of the stack, and one of each."""
        lags = np.arange(1, self.network.front.lags + 1)
        groups: dict[bytes, list[int]] = {}
        for step in range(self.network.head.horizon):
            groups.setdefault(self._kinds(lags, step).tobytes(), []).append(step)
        return [(np.array(steps), steps[0]) for steps in groups.values()]

    def _owners(self, step: int) -> tuple[list[Part], Int64[np.ndarray, " I"], Int64[np.ndarray, " F"]]:
        """The players at a step ahead, and which of them each input and each number known ahead belongs to."""
        front = self.network.front
        lags = self._kinds(np.arange(front.lags, 0, -1), step)
        owners = [(SEASON, RECENT, EARLIER)[n] for n in lags for _ in range(front.targets)]
        owners += [GAP] * (2 * front.targets * front.missing) + [LEVEL] * (2 * front.targets * front.level_input)
        for kind in ("past", "known", "calendar", "static"):
            count = getattr(front, kind) * (2 if front.missing and kind != "calendar" else 1)
            block = [LEVEL] * count
            for name, of, columns, _ in self._features:
                for column in columns if of == kind else ():
                    block[column] = Part(name, kind)
            owners += block
        owners += [SERIES] * front.embedding
        memory = [self._memory] if self.network.stack.hidden else []
        players = [*dict.fromkeys([*owners, *self._ahead, *memory])]
        return players, np.array([players.index(part) for part in owners], np.int64), self._owners_ahead(players)

    def _owners_ahead(self, players: list[Part]) -> Int64[np.ndarray, " F"]:
        """Which player each number known ahead belongs to."""
        owners = np.zeros(self.network.front.future, np.int64)
        for name, kind, _, columns in self._features:
            for column in columns:
                owners[column] = players.index(Part(name, kind))
        return owners

    def _neutral(self, w: Any) -> Float64[np.ndarray, "1 I"]:
        """The stack's input where nothing is told: all at the level or at its mean, and the value just came."""
        front, base = self.network.front, np.zeros((1, self.network.front.inputs))
        begin = front.lags * front.targets
        base[:, begin : begin + front.targets * front.missing] = 1.0
        if front.embedding:
            base[:, -front.embedding :] = w["series"]["E"].mean(axis=0)
        return base


def secant(function: Callable[[Any], Any], begin: Any, end: Any) -> Any:
    """The mean slope of a function of single numbers between two points.

    Parts of a sum times it are the parts of what the function makes of the sum: the integral of its gradient along the
    straight path (Aumann & Shapley, "Values of non-atomic games", 1974).
    """
    gap, middle = end - begin, (begin + end) / 2
    close = np.abs(gap) < CLOSE
    low, high = np.where(close, middle - CLOSE / 2, begin), np.where(close, middle + CLOSE / 2, end)
    return (function(high) - function(low)) / (high - low)
