"""Many series: which of them count how much, what is learned of each, and a network for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from train_cases import leaves, panel_of, ready, run, schema_of, settings, wave

import statecast as sc
from statecast.config import Config
from statecast.data.segments import Sampler, Split, evened, training_tape
from statecast.errors import DataError, SettingError, UnknownSeries
from statecast.model.inputs import rows_of
from statecast.model.members import member
from statecast.report.collect import layers
from statecast.train import local
from statecast.train.fit import precision
from statecast.train.loss import Segments, gather
from statecast.train.prepare import device_rows
from statecast.train.segment_trainer import SegmentTrainer
from statecast.train.working import WorkingTable

SMALL: dict[str, Any] = {"horizon": 2, "hidden": (3,), "lags": 3, "skip": 0, "max_steps": 30, "eval_every": 10}


def table(**levels: float) -> dict[str, Any]:
    """Rows of series that only differ in where they go: each to a level of its own, from one step to the next."""
    rng, rows = np.random.default_rng(0), 60
    y = [level + np.sign(level) * np.arange(rows) + 0.01 * rng.standard_normal(rows) for level in levels.values()]
    return {"y": np.concatenate(y), "id": np.repeat(list(levels), rows)}


# --- sampling


@pytest.mark.parametrize("sampling", ["rows", "series"])
def test_rows_or_series_count_alike(sampling: str) -> None:
    """Over many epochs the weight of each series in the loss is its share of the rows, or the same for all."""
    lengths = [300, 20, 20, 90, 7]
    panel = panel_of(*(wave(n, k) for k, n in enumerate(lengths)))
    config = settings(sampling=sampling, val_size=0, test_size=0, segment=24, burn_in=4, batch_size=4, horizon=1)
    network, prepared, _ = ready(config, panel)
    trainer = SegmentTrainer(config, network, prepared)
    total, segments = np.zeros(len(lengths)), trainer.plan.segments
    count = jax.jit(
        lambda starts: gather(trainer.network, trainer.data["rows"], trainer.data["tape"], starts, segments)["weight"]
    )
    series = np.repeat(np.arange(len(lengths)), lengths)
    steps = 60 * trainer.steps_of_epoch
    for starts in trainer.sampler.batches(0, steps):
        weight = np.asarray(count(jnp.asarray(starts)))[..., 0, 0]
        place = starts + segments.outputs[:, None]
        inside = (place >= 0) & (place < len(series))
        total += np.bincount(series[place[inside]], weight[inside], len(lengths))
    # The last row of a series is no origin, so a series has one origin less than rows.
    expected = np.array(lengths) - 1.0 if sampling == "rows" else np.ones(len(lengths))
    np.testing.assert_allclose(total / total.sum(), expected / expected.sum(), rtol=0.05)


def test_segments_are_drawn_as_often_as_their_weight_asks_for() -> None:
    """Worked by hand: four segments of two places, whose weights are 1 : 1 : 2 : 4."""
    weight = np.array([1, 0, 0.5, 0.5, 2, 0, 2, 2])
    sampler = Sampler(8, 2, 0, 4, True, False, 3, weight)
    drawn = np.concatenate([sampler._drawn(np.random.default_rng(n), 0)[:4] for n in range(2000)])
    np.testing.assert_allclose(
        np.bincount(drawn, minlength=4)[:4] / len(drawn), [1 / 8, 1 / 8, 2 / 8, 4 / 8], atol=0.01
    )


def test_the_same_seed_draws_the_same_segments() -> None:
    samplers = [Sampler(100, 9, 2, 3, True, False, seed, evened(np.array([80, 20]))) for seed in (1, 1, 2)]
    one, again, other = (sampler.batches(7, 40) for sampler in samplers)
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.array_equal(samplers[0].batches(20, 5), one[13:18])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling": "series", "shuffle": False}, r"shuffle = false: it draws segments"),
        ({"sampling": "series", "carry": "stored"}, r"carry = \"stored\""),
        ({"local": True, "carry": "stored"}, "local = true with carry"),
        ({"local": True, "ensemble": 3}, "leave ensemble out, or choose local = false"),
        ({"local": True, "embedding": 3}, "leave embedding out"),
        ({"local": True, "local_skip": True}, "local_skip = true with local = true: .* leave local_skip out"),
        ({"local_skip": True, "skip": 0}, "local_skip = true with skip = 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Config(**values)


# --- embeddings


def test_an_embedding_learns_what_tells_series_apart(tmp_path: Path) -> None:
    """One series rises for ever, the other falls: what a fresh state cannot know, and the vector of the series can."""
    rows = table(up=5.0, down=-5.0)
    fit = {**SMALL, "max_steps": 150, "normalize": "last", "learning_rate": 0.02, "level_input": False, "lags": 1}
    model = sc.Forecaster(**fit, embedding=2).fit(rows, target="y", id="id")
    assert model.model_.weights["series"]["E"].shape == (2, 2)
    again = sc.Forecaster.load(model.save(tmp_path / "model.safetensors"))
    streams = [one.stream(empty=True) for one in (model, again)]
    result = {}
    for name in ("up", "down", "other"):
        first, second = (stream.observe(name, 0.0, time=0).values[0, 0] for stream in streams)
        assert first == second
        result[name] = first
    assert result["up"] > 0.2 and result["down"] < -0.2
    assert result["down"] < result["other"] < result["up"]


def test_a_new_series_has_the_mean_vector() -> None:
    model = sc.Forecaster(**SMALL, embedding=2).fit(table(a=5.0, b=-5.0, c=3.0), target="y", id="id").model_
    network, p = model.network, model.p
    x, series = np.zeros((4, network.stack.inputs - 2), np.float32), np.array([[0.0], [1], [2], [3]], np.float32)
    result = network._with_embedding(p["weights"], x, series)[:, -2:]
    learned = p["weights"]["series"]["E"]
    np.testing.assert_allclose(result, np.concatenate([learned.mean(axis=0, keepdims=True), learned]), rtol=1e-6)


def test_an_embedding_follows_its_series_through_table_stream_and_ensemble() -> None:
    rows = table(a=5.0, b=-5.0, c=3.0)
    model = sc.Forecaster(**SMALL, embedding=2, ensemble=2).fit(rows, target="y", id="id")
    expected = model.forecast().values
    backwards = {
        "y": np.concatenate([rows["y"][rows["id"] == name] for name in "cba"]),
        "id": np.repeat(list("cba"), 60),
    }
    np.testing.assert_allclose(model.forecast(backwards).values, expected, rtol=1e-5)
    stream = model.stream(empty=True)
    for n in range(60):
        result = stream.observe_many(list("cab"), [rows["y"][rows["id"] == name][n] for name in "cab"], n)
    np.testing.assert_allclose(result.values, expected[[2, 0, 1]], rtol=1e-4)


# --- linear maps of single series

MAPPED: dict[str, Any] = {"skip": 3, "local_skip": True}


def mapped(forecaster: sc.Forecaster) -> sc.Forecaster:
    """The same with maps that are random numbers; they are those of no least squares."""
    maps = forecaster.model_.constants["maps"]
    maps[...] = 0.2 * np.random.default_rng(1).standard_normal(maps.shape)
    return forecaster


def test_a_map_follows_its_series_through_table_stream_and_file(tmp_path: Path) -> None:
    rows = table(a=5.0, b=-5.0, c=3.0)
    model = mapped(sc.Forecaster(**SMALL | MAPPED, ensemble=2).fit(rows, target="y", id="id"))
    assert model.model_.constants["maps"].shape == (3, 1, 2, 3)
    again = sc.Forecaster.load(model.save(tmp_path / "model.safetensors"))
    expected = again.forecast(rows).values
    assert expected.tobytes() == model.forecast(rows).values.tobytes()
    backwards = {
        "y": np.concatenate([rows["y"][rows["id"] == name] for name in "cba"]),
        "id": np.repeat(list("cba"), 60),
    }
    np.testing.assert_allclose(again.forecast(backwards).values, expected, rtol=1e-5)
    stream = again.stream(empty=True)
    for n in range(60):
        result = stream.observe_many(list("cab"), [rows["y"][rows["id"] == name][n] for name in "cab"], n)
    np.testing.assert_allclose(result.values, expected[[2, 0, 1]], rtol=1e-4)
    assert ("maps", 3 * 2 * 3) in [(layer.name, layer.parameters) for layer in layers(again.model_)]


def test_a_new_series_has_the_common_map() -> None:
    """In a table and in a stream it is forecast as without maps, and a training series is not."""
    rows = table(a=5.0, b=-5.0)
    model = sc.Forecaster(**SMALL | MAPPED).fit(rows, target="y", id="id")
    new = {"y": np.tile(rows["y"][:60], 2), "id": np.repeat(["a", "new"], 60)}
    start = model.forecast(new).values
    assert start[0].tobytes() != start[1].tobytes()  # the start gives each series of the fit a map
    model.model_.constants["maps"][...] = 0.0
    plain = model.forecast(new).values
    assert plain[0].tobytes() == plain[1].tobytes() == start[1].tobytes()
    result = mapped(model).forecast(new).values
    assert result[1].tobytes() == plain[1].tobytes() and abs(result[0] - plain[0]).max() > 0.01
    stream = model.stream(empty=True)
    for n in range(60):
        message = stream.observe_many(["new", "a"], [rows["y"][n]] * 2, n)
    np.testing.assert_allclose(message.values, result[[1, 0]], rtol=1e-4)


def test_each_target_has_a_map_where_channels_are_independent() -> None:
    rows = table(a=5.0, b=-5.0)
    two = {"u": rows["y"], "v": rows["y"][::-1].copy(), "id": rows["id"]}
    model = mapped(sc.Forecaster(**SMALL | MAPPED).fit(two, target=["u", "v"], id="id"))
    assert model.model_.constants["maps"].shape == (4, 1, 2, 3)
    assert model.model_.schema.series == ("a/u", "a/v", "b/u", "b/v")
    stream, expected = model.stream(empty=True), model.forecast(two).values
    for n in range(60):
        values = [[two[name][rows["id"] == series][n] for name in "uv"] for series in "ab"]
        result = stream.observe_many(["a", "b"], values, n)
    np.testing.assert_allclose(result.values, expected, rtol=1e-4)


@pytest.mark.parametrize("ensemble", [1, 2])
def test_training_moves_the_common_map_alone(ensemble: int) -> None:
    """Were all maps alike, training would go on as if they were a part of the common one."""
    config = settings(**MAPPED, skip_init="zero", ensemble=ensemble, optimizer="sgd")
    panel = panel_of(wave(60, 1), wave(40, 2), wave(30, 3))
    network, prepared, _ = ready(config, panel)
    assert not prepared.constants["maps"].any()
    part = 0.3 * np.random.default_rng(0).standard_normal(prepared.constants["maps"].shape[1:]).astype(np.float32)
    every = prepared.constants | {"maps": np.broadcast_to(part, prepared.constants["maps"].shape)}
    moved = jax.tree.map(np.copy, prepared.weights)
    moved["skip"]["W"] += np.swapaxes(part, -1, -2)
    ends, looks = [], []
    for change in ({"constants": every}, {"weights": moved}):
        begin = replace(prepared, **change)
        trainer = SegmentTrainer(config, network, begin)
        arrays, _ = run(trainer, trainer.begin(begin.weights), 0, 4)
        looks.append(trainer.validate(arrays["weights"]).total)
        ends.append(leaves(jax.tree.map(np.asarray, arrays["weights"])))
    first, second = ends
    first["/skip/W"] = first["/skip/W"] + np.swapaxes(part, -1, -2)
    for path, value in second.items():
        np.testing.assert_allclose(first[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
    np.testing.assert_allclose(*looks, rtol=1e-4)
    assert abs(second["/skip/W"] - moved["skip"]["W"]).max() > 1e-3


def test_training_knows_a_series_by_its_name() -> None:
    """Also where it learns from another table, in which series stand elsewhere and some are new."""
    config, first = settings(**MAPPED), panel_of(wave(60, 1), wave(40, 2), wave(30, 3))
    network, prepared, _ = ready(config, first)
    other = replace(panel_of(wave(20, 1), wave(40, 2), wave(30, 3)), ids=("s2", "new", "s0"))
    parts, schema = Split(other.lengths, other.lengths), schema_of(first)
    table = WorkingTable.of(config, schema, other, parts)
    rows = rows_of(network, prepared.constants, schema, other, np.float32)
    data, tape = device_rows(network, rows, table.statistics, table.scales), training_tape(other.offsets, parts)
    places = {name: jnp.asarray(values) for name, values in vars(tape).items()}
    numbers = gather(network, data, places, jnp.asarray([0, 20, 60]), Segments(15, 0))["inputs"]["series"]
    assert np.asarray(numbers)[..., 0].T.tolist() == [[3] * 15, [0] * 15, [1] * 15]


def test_maps_that_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "ROOM", 100)
    with pytest.raises(SettingError, match=r"local_skip = true: 2 maps of 6 numbers take .* smaller skip"):
        ready(settings(**MAPPED), panel_of(wave(40, 1), wave(30, 2)))


def test_maps_suit_where_they_take_little_room_or_little_more_than_the_rows() -> None:
    for rows, most in (
        (np.array([100, 20]), local.LITTLE),
        (np.array([3_000_000, 1_000_000]), 4_000_000 * local.EACH_ROW),
    ):
        assert local.maps_suit(most // 2, rows)
        assert not local.maps_suit(most // 2 + 1, rows)


# --- local networks


def test_a_local_network_sees_its_series_alone() -> None:
    """Whatever happens to one series changes no bit of the other's network, and does change its own."""
    fits: list[Any] = []
    constants: Any = None
    for other in (wave(40, 2), 5 * wave(40, 9)):
        panel = panel_of(wave(60, 1), other)
        config = settings(local=True, dropout=0.2, normalize="none")
        network, prepared, _ = ready(config, panel)
        constants = constants or prepared.constants  # of all series
        prepared = replace(prepared, constants=constants)
        with precision(config):
            trainer = SegmentTrainer(config, network, prepared)
            arrays = trainer.begin(prepared.weights)
            arrays, _ = run(trainer, arrays, 0, 6)
            (losses,), (counts,), _ = trainer.validate(arrays["weights"])
        fits.append((jax.tree.map(np.asarray, arrays["weights"]), np.asarray(losses), np.asarray(counts)))
    (first, losses, counts), (second, other, _) = fits
    for path, value in leaves(member(first, 0)).items():
        assert value.tobytes() == leaves(member(second, 0))[path].tobytes(), path
    assert leaves(first)["/head/out/W"][1].tobytes() != leaves(second)["/head/out/W"][1].tobytes()
    assert losses[0] == other[0] and losses[1] != other[1]
    assert counts.tolist() == [2 * 5 - 1, 2 * 4 - 1]  # two steps of each validation row's origin, one of the last


@pytest.mark.parametrize("length", [3, 8, 30, 100])
def test_every_place_of_a_series_is_as_likely_to_be_drawn(length: int) -> None:
    span, segments = {"begin": jnp.asarray(50), "end": jnp.asarray(50 + length)}, Segments(10, 2)
    keys = jax.random.split(jax.random.key(0), 4000)
    starts = np.asarray(jax.vmap(lambda key: local.drawn(key, span, segments, 3))(keys))
    place = starts.reshape(-1, 1) + np.arange(2, 10)
    inside = place[(place >= 50) & (place < 50 + length)] - 50
    share = np.bincount(inside, minlength=length) / len(inside)
    assert len(inside) and share.min() > 0.7 / length and share.max() < 1.35 / length


def test_a_look_takes_every_validation_row_of_each_local_network_once() -> None:
    span = {"begin": np.array([0, 30, 30]), "end": np.array([30, 30, 75])}
    starts = local.spaced(span, Segments(10, 4), 10**6, 6)
    for n, (begin, end) in enumerate(zip(*span.values(), strict=True)):
        place = starts[:, n].reshape(-1, 1) + np.arange(4, 10)
        assert sorted(place[(place >= begin) & (place < end)].tolist()) == list(range(begin, end))
    assert local.spaced(span, Segments(10, 4), 1, 6).shape == (1, 3, 1)


@pytest.fixture(scope="module")
def apart() -> sc.Forecaster:
    return sc.Forecaster(**SMALL, local=True).fit(table(a=5.0, b=-5.0, c=3.0), target="y", id="id")


def test_each_series_is_forecast_by_its_own_network(apart: sc.Forecaster, tmp_path: Path) -> None:
    """In any order, in a stream as from a table, and after saving: a network alone says the same."""
    rows, model = table(a=5.0, b=-5.0, c=3.0), apart.model_
    expected = apart.forecast(horizon=3).values
    for n, name in enumerate("abc"):
        one_series = {"y": rows["y"][rows["id"] == name], "id": np.repeat(name, 60)}
        np.testing.assert_allclose(apart.forecast(one_series, horizon=3).values[0], expected[n], rtol=1e-5)
    stream = apart.stream(empty=True)
    for n in range(60):
        result = stream.observe_many(["c", "a"], [rows["y"][rows["id"] == name][n] for name in "ca"], n)
    np.testing.assert_allclose(result.values, expected[[2, 0], :2], rtol=1e-4)
    again = sc.Forecaster.load(apart.save(tmp_path / "model.safetensors"))
    assert again.forecast(horizon=3).values.tobytes() == expected.tobytes()
    assert leaves(model.weights)["/head/out/W"].shape[0] == 3
    assert apart.backtested(rows, windows=2).columns()["statecast"].shape == (3 * 2 * 2,)


def test_a_new_series_has_no_network_of_its_own(apart: sc.Forecaster) -> None:
    message = r"series 'd' is new, and with local = true.*local = false"
    with pytest.raises(UnknownSeries, match=message):
        apart.forecast({"y": wave(20), "id": np.repeat("d", 20)})
    stream = apart.stream()
    with pytest.raises(UnknownSeries, match=message):
        stream.observe("d", 1.0, time=0)
    assert "d" not in stream.ids


def later(rows: dict[str, Any], count: int = 20) -> dict[str, Any]:
    """The rows of every series twice, one after another, with times; `count` of them are new."""
    parts = [rows["y"][rows["id"] == name] for name in dict.fromkeys(rows["id"])]
    y = [np.concatenate([part, part[-1] + part[:count] - part[0]]) for part in parts]
    time = np.tile(np.arange(60 + count), len(parts))
    return {"y": np.concatenate(y), "id": np.repeat(list(dict.fromkeys(rows["id"])), 60 + count), "time": time}


def test_local_networks_learn_later_rows_of_all_their_series() -> None:
    rows = table(a=5.0, b=-5.0) | {"time": np.tile(np.arange(60), 2)}
    model = sc.Forecaster(**SMALL, local=True).fit(rows, target="y", id="id", time="time")
    more = later(rows)
    with pytest.raises(DataError, match=r"of all series of the fit and no others \(\['a', 'b'\]\)"):
        model.update({name: part[:80] for name, part in more.items()}, learn=True)
    model.update(more, learn=True, steps=4)
    assert model.model_.state.time.tolist() == [79, 79]
    assert model.update_.verdict


def test_networks_that_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "ROOM", 100)
    with pytest.raises(SettingError, match=r"local = true: 2 networks of \d+ weights take .* smaller hidden"):
        ready(settings(local=True), panel_of(wave(40, 1), wave(30, 2)))


def test_the_tape_weighs_each_place_by_its_series() -> None:
    parts = Split(np.array([4, 0, 2]), np.array([4, 0, 2]))
    tape = training_tape(np.array([0, 5, 5, 8]), parts)
    assert tape.rows.tolist() == [0, 1, 2, 3, 5, 6]
    assert evened(parts.train).tolist() == [0.25] * 4 + [0.5] * 2
