"""The front: from the newest values to the network's input, and from its output back to the data's units.

It keeps, per series, the level and scale of each target (the normaliser), a count of its values, how many steps ago the
last one was, and the last values themselves (the ring, newest last). All of it moves one step at a time and looks at
the past alone, so a growing series is no harder than a flat one, and a stream needs nothing but this state.

Values arrive in working units: (y − origin) / unit, with constants of the training rows. The change of units exists so
that float32 keeps its digits for tables far from zero; the normaliser makes the forecast independent of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from statecast.model.cells import Array, StateParts
from statecast.model.kernel import skip as kernel_skip
from statecast.model.kernel import statistics as kernel_statistics
from statecast.model.rings import Rings
from statecast.model.scan import is_jax, scan

FLOOR = 1e-8  # smallest scale, in working units: a constant series has none of its own
CEILING = 20.0  # largest input from the ring, in typical deviations: an outlier must not saturate every gate
FINITE = 2.0**64  # likewise without a normaliser, where values enter as they are: sums of such inputs stay finite

STATISTICS = ("level", "spread", "count", "since")


@dataclass(frozen=True, kw_only=True)
class Front:
    """What the front is made of.

    Attributes:
        targets: D.
        lags: values of each target that enter the stack.
        skip: values of each target that enter the linear skip.
        normalize: "last", "ewma", "window", "global" or "none".
        decay: rate at which the running statistics forget.
        past, known, calendar, static: counts of covariate columns.
        calendar_ahead: whether the head is told the calendar of the steps ahead even where nothing else is known of
            them: holidays follow no cycle, so a step does not tell of the next ones.
        missing: whether masks and time gaps are inputs.
        level_input: whether the level and the scale themselves are inputs.
        embedding: numbers learned of each training series.
        local_skip: whether each training series has a linear map of its own, which adds to the skip's.
    """

    targets: int
    lags: int
    skip: int
    normalize: str
    decay: float
    past: int = 0
    known: int = 0
    calendar: int = 0
    static: int = 0
    calendar_ahead: bool = False
    missing: bool = False
    level_input: bool = False
    embedding: int = 0
    local_skip: bool = False

    @property
    def ring(self) -> int:
        """Rows of the ring."""
        return max(self.lags, self.skip, 1)

    @property
    def inputs(self) -> int:
        """Width of the stack's input."""
        marked = self.targets * 2 + self.past + self.known + self.static if self.missing else 0
        covariates = self.past + self.known + self.calendar + self.static
        level = 2 * self.targets if self.level_input else 0
        return self.lags * self.targets + covariates + marked + level + self.embedding

    @property
    def future(self) -> int:
        """Width of what is known of a step ahead: only tables with known covariates or holidays use it."""
        calendar = self.calendar if self.known or self.calendar_ahead else 0
        return self.known * (2 if self.missing else 1) + calendar

    @property
    def ceiling(self) -> float:
        """Largest input from the ring, in typical deviations."""
        return FINITE if self.normalize == "none" else CEILING

    def start(self, c: Any, like: Array, batch: tuple[int, ...]) -> StateParts:
        """The statistics before the first value, each [*batch, D]; `like` tells the array library and the precision."""
        xp = like.__array_namespace__()
        shape = (*batch, self.targets)
        zero = xp.zeros(shape, dtype=like.dtype)
        return {"level": zero + c["level"], "spread": zero + c["spread"], "count": zero, "since": zero}

    def update(self, s: StateParts, y: Array, m: Array) -> StateParts:
        """Take one value of each target: y [..., D] in working units, 0 where m [..., D] (1 or 0) says missing.

        `last`: level is the last value, scale the running mean of |differences| (over √steps after a gap);
        `ewma`: exponentially weighted mean of the values and of |deviations|. Both start as plain means: the rate
        is 1/n until that falls below `decay`. The other normalisers do not run.
        """
        xp = y.__array_namespace__()
        count, gap = s["count"] + m, s["since"] + 1
        after = {"count": count, "since": gap * (1 - m), "level": s["level"], "spread": s["spread"]}
        if self.normalize in ("last", "ewma"):
            deviation = xp.abs(y - s["level"])
            if self.normalize == "last":
                deviation = deviation / xp.sqrt(gap)
            rate = xp.maximum(1 / xp.maximum(count - 1, xp.ones_like(count)), xp.full_like(count, self.decay))
            after["spread"] = _towards(s["spread"], deviation, m * (s["count"] > 0) * rate)
            rate = xp.ones_like(count) if self.normalize == "last" else _mean_rate(count, self.decay)
            after["level"] = _towards(s["level"], y, m * rate)
        return after

    def scan(self, c: Any, y: Array, m: Array, reset: Array, state: StateParts) -> tuple[StateParts, StateParts]:
        """`update` over time: y, m [T, B, D], reset [T, B] bool → statistics [T, B, D] each, and the last ones."""
        xp = y.__array_namespace__()
        if kernel_statistics.refuses(self.normalize, y) is None:
            return kernel_statistics.scan(self.normalize, self.decay, self.start(c, y, ()), y, m, reset, state)
        begin = self.start(c, y, tuple(y.shape[1:-1]))

        def step(s: StateParts, row: tuple[Array, Array, Array]) -> tuple[StateParts, StateParts]:
            y_t, m_t, reset_t = row
            s = {name: xp.where(reset_t, begin[name], s[name]) for name in STATISTICS}
            s = self.update(s, y_t, m_t)
            return s, s

        last, rows = scan(step, state, (y, m, reset[..., None]), y.shape[0])
        return rows, last

    def level_scale(self, s: StateParts, rings: Rings) -> tuple[Array, Array]:
        """Level and scale [..., D] from the statistics and, where they are those of the ring, from the rings [...]."""
        level, spread = s["level"], s["spread"]
        xp = level.__array_namespace__()
        if self.normalize == "none":
            return xp.zeros_like(level), xp.ones_like(spread)
        if self.normalize == "window":
            both = rings.in_parts(_of_window, self.ring, level, spread)
            level, spread = both[..., 0], both[..., 1]
        return level, xp.maximum(spread, xp.full_like(spread, FLOOR))

    def relative(self, ring: Array, held: Array, level: Array, scale: Array) -> Array:
        """The ring relative to level and scale [..., R, D]; 0 where nothing is held."""
        return (ring - level[..., None, :]) / scale[..., None, :] * held

    def skip_of(
        self,
        c: Any,
        w: Array,
        rings: Rings,
        level: Array,
        scale: Array,
        numbers: Array | None = None,
        threads: int = 0,
    ) -> Array:
        """The linear skip from the rings at some steps [N, …].

        Args:
            c: constants.
            w: weights [D, skip, H].
            rings: of the steps.
            level: what they are relative to, [N, …, D].
            scale: in what units, likewise.
            numbers: of the series, from 1 on, and 0 for a series without a map, [N, …]; None where none has one.
            threads: of the native kernel, at most; 0 for all.

        Returns:
            Σₖ (w[d,k,h] + map[d,h,k]) · (relative ring)[k,d] / ring_gain[d], [N, …, H, D], where the map of series s is
            maps[s − 1] of the constants.
        """
        if kernel_skip.refuses(rings.values) is None:
            local = {} if numbers is None else {"numbers": numbers, "maps": c["maps"]}
            places = rings.values, rings.mask, rings.last, rings.age
            return kernel_skip.product(w, *places, level, scale * c["ring_gain"], **local, threads=threads or None)
        arrays = [level, scale] if numbers is None else [level, scale, numbers]
        # Under JAX a map is copied for each step, which is as large as so many rings.
        copies = 1 if numbers is None or not is_jax(rings.values) else w.shape[-1]
        return rings.in_parts(partial(self.product, c, w), self.skip * copies, *arrays)

    def product(
        self, c: Any, w: Array, rings: Rings, level: Array, scale: Array, numbers: Array | None = None
    ) -> Array:
        """`skip_of` without the kernel, all rings at once."""
        newest = rings.newest(self.skip)
        ring = self.relative(newest["ring"], newest["held"], level, scale) / c["ring_gain"]
        return weighted(w, ring) + (0 if numbers is None else mapped(c["maps"], ring, numbers))

    def features(
        self, c: Any, relative: Array, s: StateParts, level: Array, scale: Array, covariates: dict[str, Array]
    ) -> Array:
        """The stack's input [..., inputs] without the embedding, which is the network's to add.

        See `covariate_features` for what `covariates` holds.
        """
        xp = relative.__array_namespace__()
        newest = relative[..., relative.shape[-2] - self.lags :, :] / c["ring_gain"]
        newest = xp.clip(newest, -self.ceiling, self.ceiling)
        parts = [xp.reshape(newest, (*newest.shape[:-2], self.lags * self.targets))]
        if self.missing:
            parts += [(s["since"] == 0) * xp.ones_like(level), xp.log1p(s["since"])]
        if self.level_input:
            parts += [(level - c["level"]) / c["deviation"], xp.log(scale / xp.maximum(c["spread"], FLOOR + 0 * scale))]
        parts += [covariates[name] for name in ("past", "known", "calendar", "static") if name in covariates]
        return xp.concat(parts, axis=-1)

    def standardise(self, c: Any, name: str, values: Array) -> Array:
        """Covariates [..., n] of one kind in training deviations, NaN as 0, followed by marks of what is missing."""
        xp = values.__array_namespace__()
        gaps, mean = xp.isnan(values), c[f"{name}_mean"]
        scaled = (xp.where(gaps, mean, values) - mean) / c[f"{name}_scale"]
        return xp.concat([scaled, xp.astype(gaps, scaled.dtype)], axis=-1) if self.missing else scaled


def _of_window(rings: Rings, level: Array, spread: Array) -> Array:
    """Mean and deviation of what each ring holds [..., D, 2]; level and spread where it holds too little for them."""
    ring, held = rings.newest(rings.size).values()
    xp = ring.__array_namespace__()
    count = xp.sum(held, axis=-2)
    n = xp.maximum(count, xp.ones_like(count))
    mean = xp.sum(ring * held, axis=-2) / n
    deviation = (ring - mean[..., None, :]) * held
    spread = xp.where(count > 1, xp.sqrt(xp.sum(deviation * deviation, axis=-2) / n), spread)
    return xp.stack([xp.where(count > 0, mean, level), spread], axis=-1)


def weighted(w: Array, ring: Array) -> Array:
    """The sums of a ring [..., K, D] with weights [D, K, H], target by target: [..., H, D]."""
    xp = ring.__array_namespace__()
    # One product for each target: [..., D, 1, K] · [D, K, H].
    return xp.matrix_transpose((xp.matrix_transpose(ring)[..., None, :] @ w)[..., 0, :])


def mapped(maps: Array, ring: Array, numbers: Array) -> Array:
    """The sums of rings [..., K, D] with the maps [S, D, H, K] of the series of these numbers [...]: [..., H, D].

    Numbers count from 1 on; 0 is a series without a map, whose sums are 0.
    """
    xp = ring.__array_namespace__()
    if not isinstance(ring, np.ndarray):
        chosen = xp.asarray(maps)[xp.maximum(numbers, xp.ones_like(numbers)) - 1]
        sums = (chosen @ xp.matrix_transpose(ring)[..., None])[..., 0]
        return xp.matrix_transpose(sums * (numbers > 0)[..., None, None])
    sums = xp.zeros((*numbers.shape, maps.shape[2], maps.shape[1]), dtype=ring.dtype)
    for number in xp.unique_values(numbers[numbers > 0]):
        sums[numbers == number] = weighted(xp.matrix_transpose(maps[number - 1]), ring[numbers == number])
    return sums


def _towards(old: Array, new: Array, rate: Array) -> Array:
    """old + rate·(new − old), and at rate 1 `new` to the last bit: a constant series must not seem to move."""
    xp = old.__array_namespace__()
    return xp.where(rate == 1, new, old + rate * (new - old))


def _mean_rate(count: Array, decay: float) -> Array:
    xp = count.__array_namespace__()
    return xp.maximum(1 / xp.maximum(count, xp.ones_like(count)), xp.full_like(count, decay))
