"""Ridge regression with many columns: penalties are tried until their neighbours err more."""

from __future__ import annotations

import numpy as np
import pytest

from statecast.train import ridge

LAGS, ROWS, HORIZON = 60, 300, 4


def rows(noise: float) -> tuple[np.ndarray, ...]:
    """Training and validation rows of two waves: relative lags, and the values after them."""
    rng, t = np.random.default_rng(0), np.arange(ROWS + 200 + LAGS + HORIZON)
    y = (
        np.sin(t / 4)
        + 0.5 * np.sin(t / 30)
        + noise * (rng.normal(size=len(t)).cumsum() * 0.05 + rng.normal(size=len(t)))
    )
    windows = np.lib.stride_tricks.sliding_window_view(y, LAGS + HORIZON)
    x, target = (part - windows[:, LAGS - 1 : LAGS] for part in (windows[:, :LAGS], windows[:, LAGS:]))
    return x[:ROWS], target[:ROWS], x[ROWS:], target[ROWS:]


@pytest.mark.parametrize("noise", [0.0, 1e-6, 0.1, 1.0, 10.0])
def test_few_penalties_find_what_all_of_them_do(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, x_val, y_val = rows(noise)
    of_all, error = ridge.best(x, y, x_val, y_val)
    monkeypatch.setattr(ridge, "MANY", LAGS // 2)
    of_few, least = ridge.best(x, y, x_val, y_val)
    assert least <= 1.001 * error
    np.testing.assert_allclose(of_few, of_all, rtol=1e-6, atol=1e-9 * abs(of_all).max())
    # Without noise what follows is known but for rounding: no penalty is in the way.
    assert noise or least < 1e-12


def test_where_no_solution_errs_less_than_none_it_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, x_val = rng.normal(size=(80, LAGS)), rng.normal(size=(500, LAGS))
    y, y_val = rng.normal(size=(80, HORIZON)), 1e-3 * rng.normal(size=(500, HORIZON))
    monkeypatch.setattr(ridge, "MANY", LAGS // 2)
    solution, error = ridge.best(x, y, x_val, y_val)
    assert not solution.any()
    assert error == np.abs(y_val).mean()


def test_elimination_takes_a_few_penalties(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, x_val, y_val = rows(1.0)
    solve, calls = np.linalg.solve, []
    monkeypatch.setattr(np.linalg, "solve", lambda a, b: calls.append(len(a)) or solve(a, b))
    monkeypatch.setattr(ridge, "MANY", LAGS // 2)
    ridge.best(x, y, x_val, y_val)
    assert 3 <= len(calls) <= 8
