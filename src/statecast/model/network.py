"""Network = front + stack + head + skip: `init`, `step` (one time step) and `scan` (a whole sequence).

The forecast of the value k steps ahead, made at time t, in working units:

    ŷ[t+k] = level[t] + scale[t] · gain[k] · (head(stack(x[t], h[t−1]))[k] + skip(ring[t])[k])

which is the point, a quantile, or the location of a distribution whose other parameters the head gives beside it.

`step` and `scan` differ only in how they come by the rings and the statistics; everything from there on is one set of
lines for any leading axes. Weights are what training changes; constants come from the training rows and stay, such as
the linear map of a training series, which adds to the skip's. Both are plain trees of arrays and travel together as
`p = {"weights": …, "constants": …}`.

Several networks may be one: they share the front, and each has a stack, a head and a skip of its own, along the first
axis of the weights. The members of an ensemble all run over every series, and the forecast is the mean of theirs; local
networks run over one series each. Which of the training series a row belongs to is a number of its state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from statecast.config import Config
from statecast.model.cells import Array, StateParts
from statecast.model.front import STATISTICS, Front
from statecast.model.heads.head import Head, hears
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
        series: training series that have an embedding, a linear map or a local network each; 0 where none has.
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

        `series` counts the training series; where it is 0, none has anything of its own.
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
            targets=targets,
            lags=config.lags,
            skip=config.skip,
            normalize=config.normalize,
            decay=config.decay,
            past=past,
            known=known,
            calendar=calendar,
            static=static,
            calendar_ahead=config.holidays is not None,
            missing=config.missing,
            level_input=config.level_input,
            embedding=config.embedding if series else 0,
            local_skip=bool(config.local_skip and config.skip and series),
        )
        layers = config.cell, front.inputs, config.hidden, config.dense
        stack = Stack(*layers, config.activation, config.residual, config.threads, config.bf16)
        head = Head.of(config, stack.outputs, targets, front.future)
        members = Members(series, True) if config.local and series else Members(config.ensemble or 1)
        apart = config.embedding or config.local or front.local_skip
        return cls(front, stack, head, members, series if apart else 0)

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
        """Neutral constants, for a network without a table: every mean 0, every scale 1."""
        front, d = self.front, self.front.targets
        c = {
            "least": np.zeros(d),
            "origin": np.zeros(d),
            "floor": np.full(d, -np.inf),
            "ceiling": np.full(d, np.inf),
            "low": np.zeros(d),
            "high": np.full(d, np.inf),
            "level": np.zeros(d),
            "unit": np.ones(d),
            "spread": np.ones(d),
            "deviation": np.ones(d),
        }
        c |= {"ring_gain": np.ones(d), "output_gain": np.ones((self.head.horizon, d))}
        for name in ("past", "known", "static"):
            c |= {f"{name}_mean": np.zeros(getattr(front, name)), f"{name}_scale": np.ones(getattr(front, name))}
        return c | self.maps()

    def maps(self) -> dict[str, np.ndarray]:
        """The constant `maps` [series, D, H, skip], which says nothing yet; empty where no series has a map."""
        shape = self.series, self.front.targets, self.head.horizon, self.front.skip
        return {"maps": np.zeros(shape)} if self.front.local_skip else {}

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
        if self.front.local_skip:
            constants["maps"] = np.ascontiguousarray(c["maps"][:, :, ahead - 1])
        return replace(self, head=head), {"weights": {**w, "head": weights, "skip": skip}, "constants": constants}

    def without_silent_layers(self, p: Any) -> tuple[Network, Any]:
        """A network that forecasts the same without layers, and its arrays, where the head takes nothing from them.

        Its states lack the recurrence. Where the head hears the layers, or hears other things through them, such as
        what is known of the steps ahead, the network stays as it is.
        """
        weights = p["weights"]
        if not self.stack.hidden or hears(weights) or set(weights["head"]) != {"out"}:
            return self, p
        stack = replace(self.stack, hidden=(), dense=())
        out, inputs = weights["head"]["out"], stack.outputs
        silent = {**out, "W": np.zeros((*out["W"].shape[:-2], inputs, out["W"].shape[-1]), out["W"].dtype)}
        bare = {**weights, "stack": {"cells": {}, "dense": {}}, "head": {"out": silent}}
        return replace(self, stack=stack, head=replace(self.head, inputs=inputs)), {**p, "weights": bare}

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes, per series, of everything that the state holds."""
        d = self.front.targets
        statistics = dict.fromkeys(STATISTICS, (d,))
        ring = {"ring": (self.front.ring, d), "held": (self.front.ring, d)}
        recurrent = self.stack.parts() | {"out": (self.stack.outputs,)}
        return statistics | ring | self.members.shapes(recurrent) | self._constant_sizes()

    def _constant_sizes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what the state keeps of a series beside its values: static covariates, and which series it is."""
        width = self.front.static * (2 if self.front.missing else 1)
        sizes = {"static": width, "series": 1 if self.series else 0}
        return {name: (size,) for name, size in sizes.items() if size}

    def start(self, p: Any, batch: int, like: Array, series: Array | None = None) -> StateParts:
        """The initial state of `batch` series without values.

        Args:
            p: weights and constants.
            batch: how many.
            like: tells the array library and the precision.
            series: [batch, 1] the number of each training series, from 1 on, and 0 for others; for all of them where
                None. Only a network that tells series apart needs them.
        """
        xp = like.__array_namespace__()
        ring = xp.zeros((batch, self.front.ring, self.front.targets), dtype=like.dtype)
        statistics = self.front.start(p["constants"], like, (batch,))
        shapes = self.members.shapes({"out": (self.stack.outputs,)}) | self._constant_sizes()
        rest = {name: xp.zeros((batch, *shape), dtype=like.dtype) for name, shape in shapes.items()}
        if self.series and series is not None:
            rest["series"] = xp.astype(series, like.dtype)
        cells = self.cells(p, batch, like, rest.get("series"))
        return statistics | {"ring": ring, "held": ring} | cells | rest

    def cells(self, p: Any, batch: int, like: Array, series: Array | None = None) -> StateParts:
        """The initial state of the recurrence alone; see `start`."""

        def run(w: Any, _: StateParts, rows: Any) -> tuple[Array, StateParts]:
            size = batch if isinstance(rows, slice) else len(rows)
            return like.__array_namespace__().zeros((size, 0)), self.stack.start(w["stack"], (size,), like)

        return self._recur(p, {}, series, run)[1]

    def step(self, p: Any, state: StateParts, inputs: Inputs) -> tuple[StateParts, Array]:
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

    def advance(self, p: Any, state: StateParts, inputs: Inputs) -> StateParts:
        """`step` without the forecast."""
        xp = inputs["y"].__array_namespace__()
        y, m = inputs["y"], inputs["m"]
        after = self.front.update({name: state[name] for name in STATISTICS}, y, m)
        after["ring"] = xp.concat([state["ring"][:, 1:], (y * m)[:, None]], axis=1)
        after["held"] = xp.concat([state["held"][:, 1:], m[:, None]], axis=1)
        rings = Rings.of_state(after["ring"], after["held"])
        x = self._input(p, after, rings, *self.front.level_scale(after, rings), inputs)
        series = state.get("series")

        def run(w: Any, before: StateParts, rows: Any) -> tuple[Array, StateParts]:
            return self.stack.step(w["stack"], self._with_embedding(w, x, series)[rows], before)

        out, cells = self._recur(p, state, series, run)
        return after | cells | {"out": out} | self._constant_parts(inputs, state)

    def emit(self, p: Any, state: StateParts, future: Array | None) -> tuple[Array, Array]:
        """The forecast [B, H, D, O] in working units that a state holds, and its scale [B, D]: nothing moves."""
        rings = Rings.of_state(state["ring"], state["held"])
        level, scale = self.front.level_scale(state, rings)
        return self._forecast(p, state.get("series"), state["out"], rings, level, scale, future), scale

    def _constant_parts(self, inputs: Inputs, state: StateParts) -> StateParts:
        """What stays in the state from step to step: the latest static covariates, and which series it is."""
        return {name: inputs[name] if name in inputs else state[name] for name in self._constant_sizes()}

    def scan(
        self, p: Any, state: StateParts, inputs: Inputs, reset: Array, outputs: Array | None = None
    ) -> tuple[StateParts, Array, Array]:
        """A whole sequence: the same numbers as `step` over and over.

        Args:
            p: weights and constants.
            state: before the first step, each part [B, …].
            inputs: y, m [T, B, D]; past, known, calendar, static [T, B, n]; future [T, B, H, F].
            reset: [T, B] bool; where true a new series begins.
            outputs: [N] steps to forecast from; all if None.

        Returns:
            The last state; forecasts [N, B, H, D, O] in working units; the scale [N, B, D] that they were made with.
        """
        xp = inputs["y"].__array_namespace__()
        y, m = inputs["y"] * inputs["m"], inputs["m"]
        rows, statistics = self.front.scan(p["constants"], y, m, reset, {name: state[name] for name in STATISTICS})
        rings = Rings.of(y, m, reset, state["ring"], state["held"])
        level, scale = self.front.level_scale(rows, rings)
        x = self._input(p, rows, rings, level, scale, inputs)
        h, cells = self._over(p, state, x, state.get("series"), reset, None)
        static = {"static": inputs["static"][-1]} if self.front.static else {}
        end = rings[-1].newest(self.front.ring)
        last = statistics | end | cells | {"out": h[-1]} | self._constant_parts(static, state)
        pick = slice(None) if outputs is None else outputs
        future = inputs["future"][pick] if "future" in inputs else None
        at_outputs = h[pick], rings[pick], level[pick], scale[pick]
        return (
            {k: xp.asarray(v) for k, v in last.items()},
            self._forecast(p, state.get("series"), *at_outputs, future),
            scale[pick],
        )

    def segment(
        self,
        p: Any,
        rows: StateParts,
        rings: Rings,
        cells: StateParts,
        inputs: Inputs,
        reset: Array,
        drop: Drop | None,
        outputs: Array | None = None,
    ) -> tuple[Array, StateParts]:
        """A training segment whose levels and scales were worked out before.

        Args:
            p: weights and constants.
            rows: level, scale and since [T, B, D].
            rings: at every step [T, B].
            cells: recurrent state before the segment.
            inputs: covariates [T, B, n], future [N, B, H, F] of the output steps, and, where training series
                have numbers, these, "series" [T, B, 1]; see `start`.
            reset: [T, B] bool.
            drop: dropout.
            outputs: [N] steps to forecast from; all if None.

        Returns:
            Forecasts [N, B, H, D, O] and the state of the cells.
        """
        level, scale, series = rows["level"], rows["scale"], inputs.get("series")
        x = self._input(p, rows, rings, level, scale, inputs)
        h, cells = self._over(p, cells, x, series, reset, drop)
        pick = slice(None) if outputs is None else outputs
        series = None if series is None else series[pick]
        at_outputs = h[pick], rings[pick], level[pick], scale[pick]
        return self._forecast(p, series, *at_outputs, inputs.get("future")), cells

    def _input(self, p: Any, rows: StateParts, rings: Rings, level: Array, scale: Array, inputs: Inputs) -> Array:
        """The stack's input [..., inputs] at the steps of `rings`, without the embedding."""
        newest = rings.newest(self.front.lags)
        relative = self.front.relative(newest["ring"], newest["held"], level, scale)
        return self.front.features(p["constants"], relative, rows, level, scale, inputs)

    def _with_embedding(self, w: Any, x: Array, series: Array | None) -> Array:
        """The stack's input with the vector of each row's series; that of a new series is the mean of all."""
        if not self.front.embedding or series is None:
            return x
        xp, learned = x.__array_namespace__(), w["series"]["E"]
        table = xp.concat([xp.mean(learned, axis=0, keepdims=True), learned])
        vectors = table[xp.astype(series[..., 0], xp.int32)]
        return xp.concat([x, xp.broadcast_to(vectors, (*x.shape[:-1], self.front.embedding))], axis=-1)

    def _recur(self, p: Any, state: StateParts, series: Array | None, run: Run) -> tuple[Array, StateParts]:
        """Run the stack of every network over its rows: the outputs and the next recurrent state."""
        parts = self.stack.parts()
        cells = {name: value for name, value in state.items() if name in parts}
        return self.members.recur(self.members.each(p["weights"], series), cells, parts, run)

    def _over(
        self, p: Any, state: StateParts, x: Array, series: Array | None, reset: Array, drop: Drop | None
    ) -> tuple[Array, StateParts]:
        """The stack over a sequence of inputs [T, B, …]."""

        def run(w: Any, before: StateParts, rows: Any) -> tuple[Array, StateParts]:
            embedded = self._with_embedding(w, x, series)[:, rows]
            return self.stack.scan(w["stack"], embedded, before, reset[:, rows], drop)

        return self._recur(p, state, series, run)

    def _forecast(
        self, p: Any, series: Array | None, h: Array, rings: Rings, level: Array, scale: Array, future: Array | None
    ) -> Array:
        """The forecast [..., B, H, D, O] in working units from the stack's output and the rings."""
        c, each = p["constants"], self.members.each(p["weights"], series)
        numbers = self._numbers(series, rings)
        units = level[..., None, :, None], (scale[..., None, :] * c["output_gain"])[..., None]
        forecasts = []
        for n, (w, rows) in enumerate(each):
            known = None if future is None else future[..., rows, :, :]
            raw = self.head.raw(w["head"], self.members.share(h, n, rows), known)
            skip = None
            if self.front.skip:
                at_rows = rings[..., rows], level[..., rows, :], scale[..., rows, :]
                of_rows = None if numbers is None else numbers[..., rows]
                skip = self.front.skip_of(c, w["skip"]["W"], *at_rows, of_rows, self.stack.threads)[..., None]
            forecasts.append(self.head.forecast(raw, skip, *(unit[..., rows, :, :, :] for unit in units)))
        return self.members.averaged(forecasts, each)

    def _numbers(self, series: Array | None, rings: Rings) -> Array | None:
        """The number of the series of each ring, as its map is looked up; None where no series has a map."""
        if not self.front.local_skip or series is None:
            return None
        xp = series.__array_namespace__()
        return xp.broadcast_to(xp.astype(series[..., 0], xp.int32), rings.last.shape)
