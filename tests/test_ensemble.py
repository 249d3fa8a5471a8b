"""An ensemble: networks that are trained at once are those that are trained apart, and their forecasts are averaged."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model_cases import case, close, parameters, referred, scanned, segmented, stepped
from train_cases import leaves, panel_of, ready, run, settings, wave

import statecast as sc
from statecast.model.members import Members, member, seeds, stacked
from statecast.model.network import Network
from statecast.model.state import Layout, State
from statecast.report import collect
from statecast.train.fit import precision
from statecast.train.loop import train
from statecast.train.segment_trainer import SegmentTrainer
from statecast.train.trainer import Look

MEMBERS = 3

WAYS: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": 0.3, "dense": (2,), "skip": 3},
    "learned": {"carry": "learned", "clip": 0.1},
    "stored": {"carry": "stored", "burn_in": 0, "shuffle": False},
    "lstm": {"cell": "lstm", "precision": "float32", "dropout": 0.2, "hidden": (4, 4)},
}


@pytest.mark.parametrize("way", WAYS)
def test_members_trained_at_once_are_those_trained_apart(way: str) -> None:
    """Each has the first weights, the order of segments and the dropout of the network with its seed alone."""
    panel = panel_of(wave(60, 1), wave(40, 2))
    values = {"precision": "float64", "random_state": 5} | WAYS[way]
    together = _trained(settings(**values, ensemble=MEMBERS), panel)
    close = {"rtol": 2e-3, "atol": 2e-5} if values["precision"] == "float32" else {"rtol": 1e-9, "atol": 1e-12}
    for n, seed in enumerate(seeds(5, MEMBERS)):
        alone = _trained(settings(**values | {"random_state": seed}), panel)
        for path, result in leaves(member(together, n)).items():
            np.testing.assert_allclose(result, leaves(alone)[path], **close, err_msg=f"{path} of member {n}")
    assert len({leaves(together)["/weights/head/out/W"][n].tobytes() for n in range(MEMBERS)}) == MEMBERS


def _trained(config: Any, panel: Any) -> dict[str, Any]:
    """Weights, moments and losses of the validation rows after some steps."""
    network, prepared, _ = ready(config, panel)
    with precision(config):
        trainer = SegmentTrainer(config, network, prepared)
        arrays, _ = run(trainer, trainer.begin(prepared.weights), 0, 6)
        (total,), (weight,), _ = trainer.validate(arrays["weights"])
        kept = {name: jax.tree.map(np.asarray, arrays[name]) for name in ("weights", "stored")}
    return kept | {"loss": np.asarray(total), "weight": np.asarray(weight)}


class Scripted:
    """A trainer of two members, whose weights are the step's number and whose validation losses are written here."""

    keeps_start = True
    measures = 1
    losses = np.array([[5.0, 5.0], [1.0, 4.0], [3.0, 3.0], [4.0, 2.5], [6.0, 7.0], [6.0, 7.0], [6.0, 7.0]])
    steps, steps_of_epoch = 100, 10

    def __init__(self) -> None:
        self.config = settings(eval_every=1, patience=3, schedule="constant", ensemble=2)

    def begin(self, weights: Any) -> Any:
        return {"weights": weights}

    def batches(self, step: int, count: int) -> np.ndarray:
        return np.zeros(0)

    def run(self, arrays: Any, batches: Any, rates: Any, count: Any, first: Any) -> Any:
        return {"weights": arrays["weights"] + count}, np.full(int(count), 0.5)

    def validate(self, weights: Any) -> Look:
        return Look(2 * self.losses[[int(weights[0, 0])]], np.array([[2.0, 2.0]]), True)

    def rates(self, steps: Any) -> np.ndarray:
        return np.ones(np.shape(steps))


def test_each_member_keeps_its_own_best_weights_and_the_mean_decides_when_to_stop() -> None:
    """The first is best after one step, the second after three, their mean after one, which is three looks ago then."""
    result = train(Scripted(), np.zeros((2, 1)))
    assert np.asarray(result.weights)[:, 0].tolist() == [1, 3]
    assert result.history["val_loss"] == [5, 2.5, 3, 3.25, 6.5]
    assert (result.steps, result.best_step) == (4, 1)


@functools.cache
def ensemble(head: str, dtype: str = "float64") -> tuple[Network, Any, Any, np.ndarray, list[Any]]:
    """Three members on drawn inputs, and the parameters of each apart."""
    network, p, inputs, reset = case("lstm", "last", head, "deep-residual", dtype=dtype)
    each = [parameters(network, n, np.dtype(dtype)) | {"constants": p["constants"]} for n in range(MEMBERS)]
    together = {"weights": stacked([one["weights"] for one in each]), "constants": p["constants"]}
    return replace(network, members=Members(MEMBERS)), together, inputs, reset, each


@pytest.mark.parametrize("head", ["point", "pinball"])
def test_the_forecast_is_the_mean_of_the_members(head: str) -> None:
    """Quantile by quantile, and the state holds that of each; the reference runs them one by one."""
    network, p, inputs, reset, each = ensemble(head)
    members = [referred(network.single, one, inputs, reset) for one in each]
    result, state = scanned(network, p, inputs, reset)
    close(result, np.mean([forecast for forecast, _ in members], axis=0), 1e-10)
    for name in network.stack.parts():
        close(state[name], np.stack([last[name] for _, last in members], axis=1), 1e-10)
    close(state["count"], members[0][1]["count"], 0)
    assert {name: part.shape[1:] for name, part in state.items()} == network.parts()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_ensemble_steps_as_it_scans(dtype: str) -> None:
    network, p, inputs, reset, _ = ensemble("pinball", dtype)
    result, state = scanned(network, p, inputs, reset)
    again, last = stepped(network, p, inputs, reset)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    close(again, result, tolerance)
    close(segmented(network, p, inputs, reset)[0], result, tolerance)
    for name in state:
        close(last[name], state[name], tolerance)


def test_an_ensemble_is_the_same_under_jax() -> None:
    network, p, inputs, reset, _ = ensemble("point", "float32")
    arguments = jax.tree.map(jnp.asarray, (p, inputs, reset))
    result, _ = jax.jit(lambda *arguments: scanned(network, *arguments))(*arguments)
    close(result, scanned(network, p, inputs, reset)[0], 1e-5)


@pytest.fixture(scope="module")
def fitted() -> sc.Forecaster:
    rows = {"load": np.concatenate([wave(70, 1), wave(50, 2)]), "id": np.repeat(["a", "b"], [70, 50])}
    small = {"horizon": 2, "hidden": (3,), "lags": 3, "skip": 0, "max_steps": 20, "eval_every": 10, "random_state": 3}
    return sc.Forecaster(**small, ensemble=MEMBERS).fit(rows, target="load", id="id")


def test_a_stream_of_an_ensemble_forecasts_what_the_table_would(fitted: sc.Forecaster) -> None:
    later = wave(60, 3)
    stream = fitted.stream(empty=True)
    for n, value in enumerate(later):
        result = stream.observe("new", value, time=n)
    table = fitted.forecast({"load": later, "id": np.repeat("new", len(later))})
    np.testing.assert_allclose(result.values, table.values[0], rtol=1e-4)
    np.testing.assert_allclose(result.lower[80], table.lower[80][0], rtol=1e-4)
    many = fitted.stream(empty=True)
    for n, value in enumerate(later):
        both = many.observe_many(["new", "other"], [value, value], n)
    np.testing.assert_allclose(both.values, np.stack([result.values] * 2), rtol=1e-4)


def test_an_ensemble_is_kept_on_disk(fitted: sc.Forecaster, tmp_path: Path) -> None:
    """Model and stream, to the bit, and with the table's forecasts beyond the horizon."""
    again = sc.Forecaster.load(fitted.save(tmp_path / "model.safetensors"))
    assert again.forecast(horizon=5).values.tobytes() == fitted.forecast(horizon=5).values.tobytes()
    stream = fitted.stream()
    stream.observe("a", 10.5)
    back = sc.Stream.load(stream.save(tmp_path / "stream.safetensors"))
    assert back.observe("a", 11.0).values.tobytes() == stream.observe("a", 11.0).values.tobytes()


def test_an_ensemble_is_tested_back(fitted: sc.Forecaster) -> None:
    """The origins' forecasts are the means of the members' as models of their own."""
    rows = {"load": wave(60, 4), "id": np.repeat("a", 60)}
    frame = fitted.backtested(rows, windows=3).columns()
    model = fitted.tested().model_  # which had not learned from these rows
    apart = []
    for n in range(MEMBERS):
        alone = sc.Forecaster()
        weights = member(model.weights, n)
        state = State.empty(Layout.of(model.network.single.parts()), model.dtype)
        alone._model = replace(model, network=model.network.single, weights=weights, state=state)
        apart.append(alone.backtested(rows, windows=3).columns()["statecast"])
    np.testing.assert_allclose(frame["statecast"], np.mean(apart, axis=0), rtol=1e-5)
    assert np.ptp(apart, axis=0).max() > 0


def test_the_report_counts_the_weights_of_all_members(fitted: sc.Forecaster) -> None:
    result = {layer.name: layer for layer in collect.layers(fitted.model_)}
    width = fitted.model_.network.front.inputs
    assert result["recurrent 1"].parameters == MEMBERS * 4 * 3 * (width + 3 + 1)
    assert result[f"{MEMBERS} networks"].kind == "the mean of their forecasts"
