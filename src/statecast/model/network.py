"""Network = front + stack + head + skip: `init`, `step` (one time step) and `scan` (a whole sequence).

The forecast of the value k steps ahead, made at time t, in working units:

    ŷ[t+k] = level[t] + scale[t] · gain[k] · (head(stack(x[t], h[t−1]))[k] + skip(ring[t])[k])

which is the point, a quantile, or the location of a distribution whose other parameters the head gives beside it.

`step` and `scan` differ only in how they come by the ring and the statistics; everything from there on is `_emit`, one
set of lines for any leading axes. Weights are what training changes; constants come from the training rows and stay.
Both are plain trees of arrays and travel together as `p = {"weights": …, "constants": …}`.

Several networks may be one: they share the front, and each has a stack, a head and a skip of its own, along the first
axis of the weights. The members of an ensemble all run over every series, and the forecast is the mean of theirs; local
networks run over one series each. Which of the training series a row belongs to is a number of its state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from statecast.config import Config
from statecast.model.cells import Array, State
from statecast.model.front import STATISTICS, Front
from statecast.model.head import Head
from statecast.model.initial import Start
from statecast.model.members import ALONE, Members, Run, seeds, stacked
from statecast.model.rings import Rings
from statecast.model.stack import Drop, Stack

Inputs = dict[str, Array]  # "y", "m" and, where the network has them, "past", "known", "calendar", "static", "future"


@dataclass(frozen=True)
class Network:
    """The whole network; a value without arrays, equal for equal settings and sizes.

    Attributes:
        front, stack, head: its parts.
        members: how many networks it is, an ensemble or local ones.
        series: training series that are told apart, for their embeddings or for local networks; 0 where none are.
    """

    front: Front
    stack: Stack
    head: Head
    members: Members = ALONE
    series: int = 0

    @classmethod
    def of(
        cls,
        config: Config,
        targets: int,
        past: int = 0,
        known: int = 0,
        calendar: int = 0,
        static: int = 0,
        series: int = 0,
    ) -> Network:
        """The network that settings describe for a table with these counts of columns; all of them must be chosen.

        `series` counts the training series; where it is 0, none are told apart, whatever the settings.
        """
        if (
            config.lags is None
            or config.skip is None
            or config.normalize is None
            or config.missing is None
            or config.level_input is None
            or config.hidden is None
        ):
            raise ValueError(
                "hidden, lags, skip, normalize, missing and level_input must be chosen before a network is built"
            )
        front = Front(
            targets,
            config.lags,
            config.skip,
            config.normalize,
            config.decay,
            past,
            known,
            calendar,
            static,
            config.missing,
            config.level_input,
            config.embedding if series else 0,
        )
        layers = config.cell, front.inputs, config.hidden, config.dense
        stack = Stack(*layers, config.activation, config.residual, config.threads, config.bf16)
        head = Head.of(config, stack.outputs, targets, front.future)
        members = Members(series, True) if config.local and series else Members(config.ensemble or 1)
        return cls(front, stack, head, members, series if config.embedding or config.local else 0)

    @property
    def single(self) -> Network:
        """One of several networks alone."""
        return replace(self, members=ALONE)

    def init(self, seed: int, start: Start | None = None) -> dict[str, Any]:
        """Weights as a tree of float64 arrays, of every network; the same seed gives the same bits."""
        if self.members.axis:
            return dict(stacked([self.single.init(one, start) for one in seeds(seed, self.members.axis)]))
        rng = np.random.default_rng(seed)
        skip, embedding = self.front.skip, self.front.embedding
        w = {
            "stack": self.stack.init(rng, start or Start()),
            "head": self.head.init(rng, 0.0 if skip else 1.0, start or Start()),
            "skip": {"W": np.zeros((self.front.targets, skip, self.head.horizon))} if skip else {},
        }
        # Small beside the other inputs, so that at the start all series are much alike.
        return w | ({"series": {"E": 0.1 * rng.standard_normal((self.series, embedding))}} if embedding else {})

    def constants(self) -> dict[str, np.ndarray]:
        """Neutral constants, for a network that has seen no table: every mean 0, every scale 1."""
        front, d = self.front, self.front.targets
        c = {
            "least": np.zeros(d),
            "origin": np.zeros(d),
            "floor": np.full(d, -np.inf),
            "level": np.zeros(d),
            "unit": np.ones(d),
            "spread": np.ones(d),
            "deviation": np.ones(d),
        }
        c |= {"ring_gain": np.ones(d), "output_gain": np.ones((self.head.horizon, d))}
        for name in ("past", "known", "static"):
            c |= {f"{name}_mean": np.zeros(getattr(front, name)), f"{name}_scale": np.ones(getattr(front, name))}
        return c

    def narrowed(self, p: Any, ahead: np.ndarray) -> tuple[Network, Any]:
        """The network that forecasts some of the steps ahead alone, and its arrays; its states are the same.

        A decoder runs through all steps, so a network with one stays as it is.
        """
        if self.head.decoder:
            return self, p
        c, w = p["constants"], p["weights"]
        head, weights = self.head.narrowed(w["head"], ahead)
        skip = {name: part[..., ahead - 1] for name, part in w["skip"].items()}
        constants = {**c, "output_gain": c["output_gain"][ahead - 1]}
        return replace(self, head=head), {"weights": {**w, "head": weights, "skip": skip}, "constants": constants}

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes, per series, of everything that the state holds."""
        d = self.front.targets
        statistics = dict.fromkeys(STATISTICS, (d,))
        ring = {"ring": (self.front.ring, d), "held": (self.front.ring, d)}
        own = self.stack.parts() | {"out": (self.stack.outputs,)}
        return statistics | ring | self.members.shapes(own) | self._kept()

    def _kept(self) -> dict[str, tuple[int, ...]]:
        """What the state keeps of a series beside its values: the static covariates, and which series it is."""
        width = self.front.static * (2 if self.front.missing else 1)
        sizes = {"static": width, "series": 1 if self.series else 0}
        return {name: (size,) for name, size in sizes.items() if size}

    def start(self, p: Any, batch: int, like: Array, series: Array | None = None) -> State:
        """The initial state of `batch` series that have seen nothing.

        Args:
            p: weights and constants.
            batch: how many.
            like: tells the array library and the precision.
            series: [batch, 1] the number of each training series, from 1 on, and 0 for others; those where None. A
                network that tells none apart asks for none.
        """
        xp = like.__array_namespace__()
        ring = xp.zeros((batch, self.front.ring, self.front.targets), dtype=like.dtype)
        statistics = self.front.start(p["constants"], like, (batch,))
        kept = self.members.shapes({"out": (self.stack.outputs,)}) | self._kept()
        rest = {name: xp.zeros((batch, *shape), dtype=like.dtype) for name, shape in kept.items()}
        if self.series and series is not None:
            rest["series"] = xp.astype(series, like.dtype)
        cells = self.cells(p, batch, like, rest.get("series"))
        return statistics | {"ring": ring, "held": ring} | cells | rest

    def cells(self, p: Any, batch: int, like: Array, series: Array | None = None) -> State:
        """The initial state of the recurrence alone; see `start`."""

        def run(w: Any, _: State, rows: Any) -> tuple[Array, State]:
            size = batch if isinstance(rows, slice) else len(rows)
            return like.__array_namespace__().zeros((size, 0)), self.stack.start(w["stack"], (size,), like)

        return self._recur(p, {}, series, run)[1]

    def step(self, p: Any, state: State, inputs: Inputs) -> tuple[State, Array]:
        """One time step.

        Args:
            p: weights and constants.
            state: as `parts` says, each [B, …].
            inputs: y, m [B, D]; past, known, calendar, static [B, n]; future [B, H, F].

        Returns:
            The next state and the forecast [B, H, D, O] in working units.
        """
        state = self.advance(p, state, inputs)
        return state, self.emit(p, state, inputs.get("future"))[0]

    def advance(self, p: Any, state: State, inputs: Inputs) -> State:
        """`step` without the forecast."""
        xp = inputs["y"].__array_namespace__()
        y, m = inputs["y"], inputs["m"]
        after = self.front.update({name: state[name] for name in STATISTICS}, y, m)
        after["ring"] = xp.concat([state["ring"][:, 1:], (y * m)[:, None]], axis=1)
        after["held"] = xp.concat([state["held"][:, 1:], m[:, None]], axis=1)
        x = self._input(p, after, inputs)
        series = state.get("series")

        def run(w: Any, before: State, rows: Any) -> tuple[Array, State]:
            return self.stack.step(w["stack"], self._with_embedding(w, x, series)[rows], before)

        out, cells = self._recur(p, state, series, run)
        return after | cells | {"out": out} | self._still(inputs, state)

    def emit(self, p: Any, state: State, future: Array | None) -> tuple[Array, Array]:
        """The forecast [B, H, D, O] in working units that a state holds, and its scale [B, D]: nothing moves."""
        level, scale = self.front.level_scale(p["constants"], state, state["ring"], state["held"])
        relative = self.front.relative(state["ring"], state["held"], level, scale)
        return self._emit(p, state.get("series"), state["out"], relative, level, scale, future), scale

    def _still(self, inputs: Inputs, state: State) -> State:
        """What stays in the state from step to step: the static covariates that came last, and which series it is."""
        return {name: inputs[name] if name in inputs else state[name] for name in self._kept()}

    def scan(
        self, p: Any, state: State, inputs: Inputs, reset: Array, outputs: Array | None = None
    ) -> tuple[State, Array, Array]:
        """A whole sequence: the same numbers as `step` over and over.

        Args:
            p: weights and constants.
            state: before the first step, each part [B, …].
            inputs: y, m [T, B, D]; past, known, calendar, static [T, B, n]; future [T, B, H, F].
            reset: [T, B] bool; where true a new series begins.
            outputs: [N] steps whose forecasts are wanted; all where None.

        Returns:
            The last state; forecasts [N, B, H, D, O] in working units; the scale [N, B, D] that they were made with.
        """
        xp = inputs["y"].__array_namespace__()
        y, m = inputs["y"] * inputs["m"], inputs["m"]
        rows, statistics = self.front.scan(p["constants"], y, m, reset, {name: state[name] for name in STATISTICS})
        rings = Rings.of(y, m, reset, state["ring"], state["held"])
        # Whole rings are needed where there are forecasts; elsewhere what enters the stack will do.
        newest = self.front.ring if self.front.normalize == "window" else max(self.front.lags, 1)
        x = self._input(p, rows | rings.at(newest), inputs)
        h, cells = self._over(p, state, x, state.get("series"), reset, None)
        static = {"static": inputs["static"][-1]} if self.front.static else {}
        end = {name: value[0] for name, value in rings.at(pick=slice(-1, None)).items()}
        last = statistics | end | cells | {"out": h[-1]} | self._still(static, state)
        pick = slice(None) if outputs is None else outputs
        chosen = {name: value[pick] for name, value in rows.items()} | rings.at(pick=pick)
        level, scale = self.front.level_scale(p["constants"], chosen, chosen["ring"], chosen["held"])
        relative = self.front.relative(chosen["ring"], chosen["held"], level, scale)
        future = inputs["future"][pick] if "future" in inputs else None
        return (
            {k: xp.asarray(v) for k, v in last.items()},
            self._emit(p, state.get("series"), h[pick], relative, level, scale, future),
            scale,
        )

    def segment(
        self,
        p: Any,
        rows: State,
        cells: State,
        inputs: Inputs,
        reset: Array,
        drop: Drop | None,
        outputs: Array | None = None,
    ) -> tuple[Array, State]:
        """A training segment whose levels, scales and rings were worked out before.

        Args:
            p: weights and constants.
            rows: level, scale and since [T, B, D]; the ring's newest values and their mask, newest and newest_held
                [T, B, lags, D]; the ring and its mask at the output steps, ring and held [N, B, R, D].
            cells: recurrent state before the segment.
            inputs: covariates [T, B, n], future [N, B, H, F] of the output steps, and, where training series are told
                apart, "series" [T, B, 1], their numbers; see `start`.
            reset: [T, B] bool.
            drop: dropout.
            outputs: [N] steps whose forecasts are wanted; all where None.

        Returns:
            Forecasts [N, B, H, D, O] and the state of the cells.
        """
        level, scale = rows["level"], rows["scale"]
        newest = self.front.relative(rows["newest"], rows["newest_held"], level, scale)
        x = self.front.features(p["constants"], newest, rows, level, scale, inputs)
        series = inputs.get("series")
        h, cells = self._over(p, cells, x, series, reset, drop)
        pick = slice(None) if outputs is None else outputs
        h, level, scale = h[pick], level[pick], scale[pick]
        series = None if series is None else series[pick]
        relative = self.front.relative(rows["ring"], rows["held"], level, scale)
        return self._emit(p, series, h, relative, level, scale, inputs.get("future")), cells

    def _input(self, p: Any, here: State, inputs: Inputs) -> Array:
        level, scale = self.front.level_scale(p["constants"], here, here["ring"], here["held"])
        newest = slice(here["ring"].shape[-2] - self.front.lags, None)
        relative = self.front.relative(here["ring"][..., newest, :], here["held"][..., newest, :], level, scale)
        return self.front.features(p["constants"], relative, here, level, scale, inputs)

    def _with_embedding(self, w: Any, x: Array, series: Array | None) -> Array:
        """The stack's input with the vector of each row's series; that of a new series is the mean of all."""
        if not self.front.embedding or series is None:
            return x
        xp, learned = x.__array_namespace__(), w["series"]["E"]
        table = xp.concat([xp.mean(learned, axis=0, keepdims=True), learned])
        vectors = table[xp.astype(series[..., 0], xp.int32)]
        return xp.concat([x, xp.broadcast_to(vectors, (*x.shape[:-1], self.front.embedding))], axis=-1)

    def _recur(self, p: Any, state: State, series: Array | None, run: Run) -> tuple[Array, State]:
        """Run the stack of every network over its rows: the outputs and the next recurrent state."""
        parts = self.stack.parts()
        cells = {name: value for name, value in state.items() if name in parts}
        return self.members.recur(self.members.each(p["weights"], series), cells, parts, run)

    def _over(
        self, p: Any, state: State, x: Array, series: Array | None, reset: Array, drop: Drop | None
    ) -> tuple[Array, State]:
        """The stack over a sequence of inputs [T, B, …]."""

        def run(w: Any, before: State, rows: Any) -> tuple[Array, State]:
            own = self._with_embedding(w, x, series)[:, rows]
            return self.stack.scan(w["stack"], own, before, reset[:, rows], drop)

        return self._recur(p, state, series, run)

    def _emit(
        self, p: Any, series: Array | None, h: Array, relative: Array, level: Array, scale: Array, future: Array | None
    ) -> Array:
        """The forecast in working units from the stack's output."""
        c, each = p["constants"], self.members.each(p["weights"], series)
        last = relative[..., self.front.ring - self.front.skip :, :] / c["ring_gain"]
        units = level[..., None, :, None], (scale[..., None, :] * c["output_gain"])[..., None]
        found = []
        for n, (w, rows) in enumerate(each):
            known = None if future is None else future[..., rows, :, :]
            raw = self.head.raw(w["head"], self.members.share(h, n, rows), known)
            own = (unit[..., rows, :, :, :] for unit in units)
            found.append(self.head.forecast(raw, self._linear(w, last[..., rows, :, :]), *own))
        return self.members.averaged(found, each)

    def _linear(self, w: Any, last: Array) -> Array | None:
        """The skip of one member [..., H, D, 1] from its input `last`; None where there is none."""
        if not self.front.skip:
            return None
        xp = last.__array_namespace__()
        # One product for each target: [..., D, 1, skip] · [D, skip, H].
        linear = (xp.matrix_transpose(last)[..., None, :] @ w["skip"]["W"])[..., 0, :]
        return xp.matrix_transpose(linear)[..., None]
