"""The linear skip in the native kernel against the sum that it is, in float64, one value at a time.

Every instruction set runs every case; JAX runs the same through its foreign function, with the gradient of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from statecast.errors import DataError
from statecast.model.front import Front
from statecast.model.kernel import library, skip
from statecast.model.rings import Rings

pytestmark = pytest.mark.skipif(library.refuses() is not None, reason=library.description())
SETS = library.runs() if library.refuses() is None else ()


@dataclass(frozen=True)
class Case:
    """Steps [T, B] of some series: taps, horizon, targets, how many values are missing, how young the rings are."""

    taps: int = 21
    horizon: int = 5
    targets: int = 1
    steps: int = 9
    batch: int = 3
    gaps: float = 0.0
    young: bool = False
    every: int = 1
    level: float = 0.0
    seed: int = 0


CASES = {
    "whole rings": Case(),
    "one tap": Case(taps=1, horizon=1),
    "whole vectors": Case(taps=64, horizon=12, steps=50),
    "more rows than a job has": Case(steps=70, batch=2, horizon=13),
    "values missing": Case(gaps=0.2),
    "few values missing": Case(gaps=0.01, steps=60),
    "nearly all missing": Case(gaps=0.95),
    "series that have just begun": Case(young=True),
    "both": Case(young=True, gaps=0.3, targets=2),
    "several targets": Case(targets=3, horizon=7),
    "every fourth step": Case(every=4, horizon=30),
    "rings shorter than the pace": Case(taps=3, every=8),
    "one step": Case(steps=1, batch=40),
    "no step": Case(steps=0),
}


def arrays(case: Case, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """The arguments of `skip.product`."""
    rng = np.random.default_rng(case.seed)
    length = case.taps + case.every * case.steps + 2
    values = case.level + np.cumsum(rng.normal(size=(case.batch * length, case.targets)), axis=0)
    mask = (rng.random(values.shape) >= case.gaps).astype(dtype)
    step = np.arange(case.steps)[:, None] * case.every
    last = np.arange(case.batch) * length + step + (0 if case.young else case.taps)
    return {
        "w": rng.normal(size=(case.targets, case.taps, case.horizon)).astype(dtype),
        "values": (values * mask).astype(dtype),
        "mask": mask,
        "last": last,
        "age": step + np.zeros_like(last) + (0 if case.young else 10 * case.taps),
        "level": (case.level + rng.normal(size=(*last.shape, case.targets))).astype(dtype),
        "scale": rng.uniform(0.5, 2, (*last.shape, case.targets)).astype(dtype),
    }


def relative(a: dict[str, np.ndarray]) -> np.ndarray:
    """The rings [T, B, K, D], value by value."""
    taps = a["w"].shape[1]
    rings = np.zeros((*a["last"].shape, taps, a["w"].shape[0]))
    for at in np.ndindex(a["last"].shape):
        for back in range(min(int(a["age"][at]) + 1, taps)):
            place = a["last"][at] - back
            difference = a["values"][place].astype(float) - a["level"][at].astype(float)
            rings[at][taps - 1 - back] = difference * a["mask"][place] / a["scale"][at]
    return rings


def bound(a: dict[str, np.ndarray], first: Any, second: Any, equation: str) -> np.ndarray:
    """How far sums of products may be off: some roundings of the sum of the products' sizes."""
    sums = np.einsum(equation, abs(first), abs(second))
    return np.asarray(8 * np.finfo(a["w"].dtype).eps * sums + 1e-30)


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("name", CASES)
def test_product_and_gradient(name: str, instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATECAST_KERNEL", instructions)
    for dtype in ("float32", "float64") if instructions == "plain" else ("float32",):
        a = arrays(CASES[name], np.dtype(dtype))
        rings, w = relative(a), a["w"].astype(float)
        out = skip.product(**a)
        assert out.dtype == dtype
        assert (abs(out - np.einsum("tbkd,dkh->tbhd", rings, w)) <= bound(a, rings, w, "tbkd,dkh->tbhd")).all()
        dout = np.random.default_rng(1).normal(size=out.shape).astype(dtype)
        exact = np.einsum("tbkd,tbhd->dkh", rings, dout)
        result = skip.gradient(**a, dout=dout)
        assert (abs(result - exact) <= bound(a, rings, dout, "tbkd,tbhd->dkh")).all()


def local(case: Case, a: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Maps of four series, and which of these each step is of: runs of some steps, and steps of none among them."""
    rng = np.random.default_rng(case.seed + 7)
    maps = rng.normal(size=(4, case.targets, case.horizon, case.taps)).astype(a["w"].dtype)
    return {"maps": maps, "numbers": np.sort(rng.integers(0, 5, a["last"].shape), axis=0)}


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("name", CASES)
def test_maps_of_single_series(name: str, instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They add to the weights, step by step, and the gradient of the weights is what it was."""
    monkeypatch.setenv("STATECAST_KERNEL", instructions)
    for dtype in ("float32", "float64") if instructions == "plain" else ("float32",):
        a = arrays(CASES[name], np.dtype(dtype))
        maps, rings = local(CASES[name], a), relative(a)
        each = np.concatenate([np.zeros_like(maps["maps"][:1]), maps["maps"]])[maps["numbers"]].astype(float)
        weights = a["w"] + np.swapaxes(each, -1, -2)
        out = skip.product(**a, **maps)
        exact = np.einsum("tbkd,tbdkh->tbhd", rings, weights)
        assert (abs(out - exact) <= bound(a, rings, weights, "tbkd,tbdkh->tbhd")).all()
        for threads in (1, 3):
            assert np.array_equal(skip.product(**a, **maps, threads=threads), out)
        some = {part: a[part][2:5, 1:2] for part in ("last", "age", "level", "scale")}
        alone = skip.product(**a | some, maps=maps["maps"], numbers=maps["numbers"][2:5, 1:2])
        assert np.array_equal(alone, out[2:5, 1:2])


@pytest.mark.parametrize("instructions", SETS)
def test_a_level_of_a_million_keeps_its_digits(instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 1 at a level of 1e6: what is lost is what float32 loses of a value, not of a sum of a hundred."""
    monkeypatch.setenv("STATECAST_KERNEL", instructions)
    a = arrays(Case(taps=100, level=1e6, steps=30, gaps=0.01))
    rings, w = relative(a), a["w"].astype(float)
    out = skip.product(**a)
    assert (abs(out - np.einsum("tbkd,dkh->tbhd", rings, w)) <= bound(a, rings, w, "tbkd,dkh->tbhd")).all()
    dout = np.ones_like(out)
    result, exact = skip.gradient(**a, dout=dout), np.einsum("tbkd,tbhd->dkh", rings, dout)
    assert (abs(result - exact) <= bound(a, rings, dout, "tbkd,tbhd->dkh")).all()


def test_a_value_at_the_level_has_no_gradient() -> None:
    """With the last value as the level the newest tap is 0 whatever the weights: not a sum of two that cancel."""
    a = arrays(Case(level=1e6))
    a["level"] = a["values"][a["last"]]
    assert not skip.gradient(**a, dout=np.ones((9, 3, 5, 1), np.float32))[:, -1].any()


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("name", ["whole rings", "both", "every fourth step", "more rows than a job has"])
def test_bits_depend_on_no_thread_and_no_step_beside(
    name: str, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATECAST_KERNEL", instructions)
    a = arrays(CASES[name])
    out = skip.product(**a, threads=1)
    many = {part: np.tile(a[part], (1, 40, *[1] * (a[part].ndim - 2))) for part in ("last", "age", "level", "scale")}
    for threads in (1, 2, 3):
        assert np.array_equal(skip.product(**a | many, threads=threads)[:, : out.shape[1]], out)
    some = {part: a[part][2:5, 1:2] for part in many}
    assert np.array_equal(skip.product(**a | some), out[2:5, 1:2])
    dout = np.random.default_rng(1).normal(size=(*many["last"].shape, *out.shape[2:])).astype(np.float32)
    one = skip.gradient(**a | many, dout=dout, threads=1)
    assert np.array_equal(skip.gradient(**a | many, dout=dout, threads=3), one)


def test_nothing_outside_a_ring_is_looked_at() -> None:
    """Other series and later values may be anything."""
    for name in ("whole rings", "series that have just begun", "both"):
        a = arrays(CASES[name])
        inside = np.zeros(len(a["values"]), bool)
        for last, age in zip(a["last"].ravel(), a["age"].ravel(), strict=True):
            inside[last - min(age, a["w"].shape[1] - 1) : last + 1] = True
        assert not inside.all()
        odd = a | {"values": np.where(inside[:, None], a["values"], np.float32(np.nan))}
        assert np.array_equal(skip.product(**odd), skip.product(**a))
        dout = np.ones_like(skip.product(**a))
        assert np.array_equal(skip.gradient(**odd, dout=dout), skip.gradient(**a, dout=dout))


# --- JAX


@pytest.mark.parametrize("name", ["whole rings", "both", "several targets", "every fourth step"])
def test_jax_runs_the_same_kernel(name: str) -> None:
    import jax
    import jax.numpy as jnp

    a = arrays(CASES[name])
    out = skip.product(**a)
    dout = np.random.default_rng(1).normal(size=out.shape).astype(np.float32)

    def loss(w: Any, rest: Any) -> Any:
        result = skip.product(w, **rest)
        return jnp.sum(result * dout), result

    rest = {part: jnp.asarray(array) for part, array in a.items() if part != "w"}
    gradient, result = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(a["w"]), rest)
    assert np.array_equal(result, out)
    assert np.array_equal(gradient, skip.gradient(**a, dout=dout))


def test_jax_maps_over_networks() -> None:
    """Weights of three networks over the same steps, and over steps of their own; the series are shared."""
    import jax
    import jax.numpy as jnp

    a = arrays(Case(gaps=0.1, horizon=2))
    w = jnp.asarray(np.random.default_rng(2).normal(size=(3, *a["w"].shape)).astype(np.float32))
    maps = {
        part: jnp.stack([jnp.roll(a[part], n, axis=1) for n in range(3)]) for part in ("last", "age", "level", "scale")
    }
    shared = {part: jnp.asarray(a[part]) for part in ("values", "mask", "last", "age", "level", "scale")}

    def loss(w: Any, rows: Any) -> Any:
        return (skip.product(w, **shared | rows) ** 2).sum()

    for axes, rows in (((0, None), {}), ((0, 0), maps)):
        value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss), axes))(w, rows)
        for n in range(3):
            one = {part: array[n] for part, array in rows.items()}
            alone, slope = jax.value_and_grad(loss)(w[n], one)
            np.testing.assert_allclose(value[n], alone, rtol=1e-6)  # a sum that JAX makes
            np.testing.assert_allclose(gradient[n], slope, rtol=1e-6)


def test_jax_adds_maps_of_single_series() -> None:
    """Two networks over steps of their own share the maps; the gradient of the weights does not ask for them."""
    import jax
    import jax.numpy as jnp

    case = Case(gaps=0.1, targets=2)
    a, dout = arrays(case), np.random.default_rng(1).normal(size=(9, 3, 5, 2)).astype(np.float32)
    maps = local(case, a)
    w, numbers = np.stack([a["w"], 2 * a["w"]]), np.stack([maps["numbers"], maps["numbers"][:, ::-1]])
    rest = {part: jnp.asarray(array) for part, array in a.items() if part != "w"}

    def loss(w: Any, numbers: Any) -> Any:
        result = skip.product(w, **rest, maps=jnp.asarray(maps["maps"]), numbers=numbers)
        return jnp.sum(result * dout), result

    gradient, result = jax.jit(jax.vmap(jax.grad(loss, has_aux=True)))(jnp.asarray(w), jnp.asarray(numbers))
    for n in range(2):
        assert np.array_equal(result[n], skip.product(**a | {"w": w[n]}, maps=maps["maps"], numbers=numbers[n]))
        assert np.array_equal(gradient[n], skip.gradient(**a, dout=dout))


# --- without the kernel


def test_without_the_kernel_numpy_and_jax_make_the_skip_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy and JAX give the kernel's numbers, and never make more rings at once than they are allowed to."""
    import jax
    import jax.numpy as jnp

    from statecast.model import rings as rings_module

    front = Front(targets=2, lags=1, skip=21, normalize="last", decay=0.1)
    a, c = arrays(Case(gaps=0.2, targets=2, steps=11)), {"ring_gain": np.array([0.5, 2.0], np.float32)}
    rings = Rings(a["values"], a["mask"], a["last"], a["age"], 21)
    native = front.skip_of(c, a["w"], rings, a["level"], a["scale"])
    maps = local(Case(targets=2), a)
    numbers, c = maps["numbers"], c | {"maps": maps["maps"]}
    mapped = front.skip_of(c, a["w"], rings, a["level"], a["scale"], numbers)
    sizes: list[int] = []
    newest = Rings.newest
    monkeypatch.setattr(Rings, "newest", lambda self, count: sizes.append(self.last.shape[0]) or newest(self, count))
    monkeypatch.setattr(rings_module, "NUMBERS", 4 * 3 * 21 * 2)
    monkeypatch.setenv("STATECAST_KERNEL", "off")
    np.testing.assert_allclose(front.skip_of(c, a["w"], rings, a["level"], a["scale"]), native, rtol=2e-4, atol=2e-5)
    assert sizes == [4, 4, 3]
    actual = front.skip_of(c, a["w"], rings, a["level"], a["scale"], numbers)
    np.testing.assert_allclose(actual, mapped, rtol=2e-4, atol=2e-5)
    assert sizes[3:] == [4, 4, 3]
    sizes.clear()
    device = Rings(*map(jnp.asarray, (a["values"], a["mask"], a["last"], a["age"])), 21)

    def loss(w: Any) -> Any:
        result = front.skip_of(c, w, device, a["level"], a["scale"])
        with_maps = front.skip_of(c, w, device, a["level"], a["scale"], jnp.asarray(numbers))
        return result.sum() + 0 * with_maps.sum(), (result, with_maps)

    gradient, (result, actual) = jax.jit(jax.grad(loss, has_aux=True))(jnp.asarray(a["w"]))
    np.testing.assert_allclose(result, native, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(actual, mapped, rtol=2e-4, atol=2e-5)
    assert set(sizes) == {1, 4}  # JAX copies maps, and one is as large as five rings
    exact = skip.gradient(**a | {"scale": a["scale"] * c["ring_gain"]}, dout=np.ones_like(native))
    np.testing.assert_allclose(gradient, exact, rtol=2e-4, atol=2e-4)


# --- what is refused


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("last", -1, "row index"),
        ("last", 10**6, "row index"),
        ("age", -1, "row index"),
        ("values", np.float64, "y is float64"),
        ("level", np.float64, "level is float64"),
    ],
)
def test_what_reaches_outside_is_refused(part: str, value: Any, message: str) -> None:
    a = arrays(Case())
    if isinstance(value, int):
        a[part] = a[part].copy()
        a[part][2, 1] = value
    else:
        a[part] = a[part].astype(value)
    with pytest.raises(DataError, match=message):
        skip.product(**a)
    with pytest.raises(DataError, match=message):
        skip.gradient(**a, dout=np.ones((9, 3, 5, 1), np.float32))


def test_a_ring_that_begins_before_the_values_is_refused() -> None:
    a = arrays(Case(young=True))
    with pytest.raises(DataError, match="row index"):
        skip.product(**a | {"age": a["age"] + 1})
