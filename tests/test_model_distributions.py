"""Distributions against SciPy, which shares no code with them: densities, quantiles, scores."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special as scipy_special
from scipy import stats

from statecast import config
from statecast.model.heads import marginal, special
from statecast.model.heads.distributions import DISTRIBUTIONS
from statecast.model.heads.head import Head

Z = np.linspace(-5, 5, 21)


def drawn(name: str, count: int = 300, seed: int = 0) -> tuple[np.ndarray, Any]:
    """Parameters [count, O] of many sizes, and the same distributions by SciPy."""
    rng = np.random.default_rng(seed)
    place, size = rng.normal(size=count), np.exp(rng.normal(size=count))
    if name == "normal":
        return np.stack([place, size], axis=-1), stats.norm(place, size)
    if name == "student_t":
        freedom = 2 + np.exp(rng.uniform(-6, 7, count))
        return np.stack([place, size, freedom], axis=-1), stats.t(freedom, place, size)
    mean = np.exp(rng.uniform(-5, 8, count))
    deviation = mean * np.exp(rng.uniform(-5, 2, count))
    r = (mean / deviation) ** 2
    return np.stack([mean, deviation], axis=-1), stats.nbinom(r, r / (r + mean))


def test_the_settings_name_the_distributions() -> None:
    assert tuple(DISTRIBUTIONS) == config.DISTRIBUTIONS


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_log_density_is_scipys_under_numpy_and_jax(name: str) -> None:
    p, expected = drawn(name)
    y = expected.rvs(random_state=1).astype(float)
    oracle = expected.logpmf(y) if DISTRIBUTIONS[name].counts else expected.logpdf(y)
    np.testing.assert_allclose(DISTRIBUTIONS[name].log_density(p, y), oracle, atol=1e-9)
    single = DISTRIBUTIONS[name].log_density(jnp.asarray(p, jnp.float32), jnp.asarray(y, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, oracle, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_gradients_of_the_density_are_finite_far_out(name: str) -> None:
    """Where an expression is not chosen its gradient still counts, and must not be infinite."""
    p = jnp.array([[1e-4, 1e-4, 2.001], [1e6, 1e3, 5e3], [3.0, 1e-3, 30.0]])[:, : len(DISTRIBUTIONS[name].parameters)]
    for y in (0.0, 1.0, 1e6):
        slope = jax.grad(lambda p, y=y: DISTRIBUTIONS[name].log_density(p, jnp.full(3, y)).sum())(p)
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_quantiles_are_scipys(name: str) -> None:
    p, expected = drawn(name)
    for z in Z:
        result = DISTRIBUTIONS[name].quantile(p, np.full(len(p), z))
        oracle = (
            expected.ppf(stats.norm.cdf(z)) if z < 0 or DISTRIBUTIONS[name].counts else expected.isf(stats.norm.sf(z))
        )
        np.testing.assert_allclose(result, oracle, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["normal", "student_t"])
def test_score_is_the_inverse_of_the_quantile(name: str) -> None:
    p, _ = drawn(name)
    z = np.random.default_rng(1).normal(size=len(p))
    np.testing.assert_allclose(DISTRIBUTIONS[name].score(p, DISTRIBUTIONS[name].quantile(p, z)), z, atol=1e-8)
    assert np.isnan(DISTRIBUTIONS[name].score(p, np.full(len(p), np.nan))).all()


def test_score_of_a_count_is_in_the_middle_of_its_probability() -> None:
    p, expected = drawn("negative_binomial")
    y = expected.rvs(random_state=2).astype(float)
    oracle = stats.norm.ppf(expected.cdf(y) - 0.5 * expected.pmf(y))
    near = np.abs(oracle) < 6
    np.testing.assert_allclose(DISTRIBUTIONS["negative_binomial"].score(p, y)[near], oracle[near], atol=1e-7)
    assert np.isnan(DISTRIBUTIONS["negative_binomial"].score(p, np.full(len(p), np.nan))).all()


def test_shaped_parameters_are_allowed_whatever_the_network_says() -> None:
    rng = np.random.default_rng(0)
    for name, distribution in DISTRIBUTIONS.items():
        raw = 30 * rng.normal(size=(200, len(distribution.parameters)))
        size = np.exp(rng.normal(size=(200, 1)))
        p = distribution.shaped(raw[:, :1], size, raw[:, 1:])
        assert (p[:, 1] > 0).all(), name
        assert np.isfinite(distribution.log_density(p, np.full(200, 3.0))).all()
        if name == "negative_binomial":
            assert (p[:, 0] > 0).all()
        if name == "student_t":
            assert (p[:, 2] >= 2).all()


@settings(max_examples=60)
@given(st.floats(-4, 9), st.floats(-4, 9), st.floats(0, 1))
def test_incomplete_beta(a: float, b: float, x: float) -> None:
    result = special.incomplete_beta(np.exp(a), np.exp(b), x)
    np.testing.assert_allclose(result, scipy_special.betainc(np.exp(a), np.exp(b), x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("z", [-3.0, -1.0, 0.0, 0.5, 4.0])
@pytest.mark.parametrize(("a", "b"), [(2e7, 3e7), (2e7, 1e15), (1e18, 1e30)])
def test_incomplete_beta_of_large_numbers(a: float, b: float, z: float) -> None:
    """Where it is the distribution function of a normal number, and its continued fraction would take for ever."""
    x = a / (a + b) + z * np.sqrt(a / (a + b) * (b / (a + b)) / (a + b))
    np.testing.assert_allclose(special.incomplete_beta(a, b, x), special.normal_tail(-z), atol=1e-4)


@pytest.mark.parametrize(("a", "b"), [(1.1e5, 1.1e5), (1.1e5, 1e6), (2e5, 1e11)])
def test_incomplete_beta_is_as_good_where_cube_roots_take_over(a: float, b: float) -> None:
    x = a / (a + b) + np.linspace(-4, 4, 33) * np.sqrt(a / (a + b) * (b / (a + b)) / (a + b))
    np.testing.assert_allclose(special.incomplete_beta(a, b, x), scipy_special.betainc(a, b, x), atol=1e-7)


def test_what_is_not_a_number_does_not_keep_the_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is none beside others would take every term that a continued fraction may have."""
    terms = 0

    def counted(*span: int) -> Any:
        nonlocal terms
        for term in range(*span):
            terms += 1
            yield term

    monkeypatch.setattr(special, "range", counted, raising=False)
    share = special.incomplete_beta(np.array([0.8, np.nan]), np.array([1.0, 1.0]), np.array([0.6, np.nan]))
    np.testing.assert_allclose(share[0], scipy_special.betainc(0.8, 1.0, 0.6))
    assert np.isnan(share[1])
    assert terms < 100


def test_quantiles_of_counts_beyond_whole_numbers() -> None:
    """Beyond 2^53 two neighbouring numbers are more than 1 apart, and no bisection comes closer."""
    p = np.array([1e30, 1e25])
    assert DISTRIBUTIONS["negative_binomial"].quantile(p, np.array(1.0)) > 1e30


def test_stirling_and_the_normal_tail() -> None:
    x = np.logspace(-6, 3, 100)
    oracle = scipy_special.gammaln(x) - ((x - 0.5) * np.log(x) - x + 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(special.stirling_rest(x), oracle, atol=1e-10)
    z = np.linspace(-5, 30, 71)
    np.testing.assert_allclose(special.normal_tail(z), stats.norm.sf(z), rtol=1e-12)
    np.testing.assert_allclose(special.normal_upper(stats.norm.sf(z)), z, atol=1e-9)


@pytest.mark.parametrize("family", ["", *DISTRIBUTIONS])
@pytest.mark.parametrize("levels", [(), (80, 95)])
def test_values_and_scores_are_inverse_for_every_head(family: str, levels: tuple[float, ...]) -> None:
    head = Head(1, 2, 1, () if family else levels, 0, family)
    rng = np.random.default_rng(0)
    raw = np.sort(rng.normal(size=(50, 2, 1, head.width)), axis=-1)
    if family:
        raw = drawn(family, 100)[0].reshape(50, 2, 1, -1)
    scale, z = np.exp(rng.normal(size=(50, 1, 1))), rng.normal(size=(50, 2, 1))
    value = marginal.value(head, raw, scale, z)
    assert (marginal.value(head, raw, scale, z + 0.1) >= value).all()
    if family != "negative_binomial":
        np.testing.assert_allclose(marginal.score(head, raw, scale, value), z, atol=1e-6)


def test_a_quantile_head_gives_its_quantiles_at_their_probabilities() -> None:
    head = Head(1, 1, 1, (80, 95), 0)
    raw = np.array([-3.0, -1.0, 0.5, 1.0, 4.0]).reshape(1, 1, 1, 5)
    at = stats.norm.ppf(head.quantiles)
    result = [float(marginal.value(head, raw, np.ones((1, 1, 1)), z)[0, 0, 0]) for z in at]
    np.testing.assert_allclose(result, raw.ravel(), atol=1e-7)
    # Beyond the outermost it goes straight on: from 1 to 4 over the gap of the two scores.
    beyond = float(marginal.value(head, raw, np.ones((1, 1, 1)), at[-1] + (at[-1] - at[-2]))[0, 0, 0])
    assert beyond == pytest.approx(7.0)
