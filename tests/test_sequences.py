"""Classifier and Regressor: sequences to one answer, the network under NumPy and JAX, training, files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from train_cases import compilations

import statecast as sc
from statecast.errors import DataError, ModelFileError, SettingError
from statecast.model.sequences.reader import SequenceReader
from statecast.sequence_config import ClassifierConfig, RegressorConfig, SequenceConfig
from statecast.train.sequences import trial

UCR = Path(__file__).resolve().parents[2] / "shared" / "data" / "ucr"
# The recurrence alone, unless a test is about the others.
QUICK: dict[str, Any] = {
    "ensemble": 2, "hidden": (8,), "max_steps": 80, "eval_every": 20, "readings": "recurrence",
}  # fmt: skip
TABLE = {**QUICK, "readings": None}


def waves(count: int = 40, seed: int = 0, channels: int = 2) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of 5 to 12 steps, rising or falling amid noise."""
    rng = np.random.default_rng(seed)
    labels = np.array(["falls", "rises"])[np.arange(count) % 2]
    result = []
    for label in labels:
        steps = int(rng.integers(5, 13))
        slope = np.linspace(0, 2, steps) * (1 if label == "rises" else -1)
        result.append(rng.normal(0, 0.3, (steps, channels)) + slope[:, None])
    return result, labels


@pytest.fixture(scope="module")
def fitted() -> sc.Classifier:
    return sc.Classifier(**QUICK).fit(*waves())


def config(**settings: Any) -> SequenceConfig:
    return ClassifierConfig.of({"hidden": (5, 4), "dense": (3,), "cell": "lstm", **settings})


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "all"])
@pytest.mark.parametrize("both", [False, True])
def test_padding_changes_no_answer(pooling: str, both: bool) -> None:
    reader = SequenceReader.of(config(pooling=pooling, bidirectional=both), 3, 2, True)
    w, rng = reader.init(0), np.random.default_rng(0)
    lengths = [4, 1, 7]
    x = rng.normal(size=(9, 3, 3))  # what stands where no step is, is noise
    mask = np.arange(9)[:, None] < np.array(lengths)
    together = reader.read(w, x, mask)
    for n, length in enumerate(lengths):
        alone = reader.read(w, x[:length, n : n + 1], np.ones((length, 1), bool))
        np.testing.assert_allclose(together[n], alone[0], rtol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn_tanh", "mingru"])
def test_numpy_and_jax_agree(cell: str) -> None:
    reader = SequenceReader.of(config(cell=cell, pooling="all"), 3, 2, True)
    w, x = reader.init(0), np.random.default_rng(0).normal(size=(6, 4, 3))
    mask = np.arange(6)[:, None] < np.array([6, 2, 3, 5])
    with jax.enable_x64(True):
        result = jax.jit(reader.read)(jax.tree.map(jnp.asarray, w), jnp.asarray(x), jnp.asarray(mask))
    np.testing.assert_allclose(reader.read(w, x, mask), np.asarray(result), rtol=1e-10)


def test_a_table_needs_dense_layers_alone() -> None:
    reader = SequenceReader.of(ClassifierConfig(hidden=(8, 5)), 9, 2, False)
    assert (reader.recurrent.hidden, reader.dense.dense, reader.bidirectional) == ((), (8, 5), False)
    softmax = SequenceReader.of(ClassifierConfig(hidden=()), 4, 3, False).init(0)
    assert sum(leaf.size for leaf in jax.tree.leaves(softmax)) == 15  # 4 · 3 weights and 3 biases


def test_sequences_of_unequal_lengths(fitted: sc.Classifier) -> None:
    x, y = waves(seed=1)
    assert fitted.score(x, y) > 0.9
    p = fitted.predict_proba(x)
    assert p.shape == (40, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert fitted.classes_.tolist() == ["falls", "rises"]
    one = fitted.predict_proba(x[:1])  # who else is in the batch does not matter
    np.testing.assert_allclose(one[0], p[0], rtol=1e-10)


def test_an_array_of_three_axes_is_as_good_as_a_list() -> None:
    x = np.random.default_rng(0).normal(size=(40, 8, 2))
    y = (x[:, :, 0].mean(axis=1) > 0).astype(int)
    one, other = (sc.Classifier(**QUICK).fit(source, y) for source in (x, list(x)))
    np.testing.assert_array_equal(one.predict_proba(x), other.predict_proba(list(x)))


def test_history_and_reasons(fitted: sc.Classifier) -> None:
    history = fitted.history_
    assert history["step"][0] == 0 and len(set(map(len, history.values()))) == 1
    assert np.isfinite(history["val_loss"]).all() and min(history["val_loss"]) < history["val_loss"][0]
    assert {"learning_rate", "patch"} <= fitted.reasons_.keys() and "max_steps" not in fitted.reasons_


def test_each_member_keeps_other_rows() -> None:
    codes = np.array([0] * 50 + [1] * 10)
    held = trial.held_out(ClassifierConfig(), codes)
    assert held.shape == (5, 60)
    assert (held.sum(axis=0) == 1).all()  # five members with a share of 0.2: each row once
    assert (held[:, codes == 1].sum(axis=1) == 2).all()  # the small class as well


def test_a_class_is_never_held_out_whole() -> None:
    codes = np.array([0] * 9 + [1])
    assert not trial.held_out(ClassifierConfig(val_size=0.9), codes)[:, 9].any()


def test_early_stopping_ends_a_fit() -> None:
    x, y = waves()
    rng = np.random.default_rng(0)
    noise = rng.permutation(y)
    m = sc.Classifier(**{**QUICK, "eval_every": 4, "patience": 3}).fit(x, noise)
    assert m.n_iter_ < 80
    best = int(np.argmin(m.history_["val_loss"]))
    assert len(m.history_["step"]) - 1 - best == 3


def test_class_weights_move_the_answer() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(120) % 6 == 0).astype(int)
    x = rng.normal(size=(120, 2)) + 0.8 * y[:, None]

    def share(weight: Any) -> float:
        return float(sc.Classifier(**TABLE, class_weight=weight).fit(x, y).predict_proba(x)[:, 1].mean())

    plain = share(None)
    assert plain == pytest.approx(1 / 6, abs=0.07)
    assert share("balanced") > plain + 0.1
    assert share({1: 50.0}) > 0.7
    assert share({0: 50.0}) < plain


def test_a_class_weight_of_no_class_is_refused() -> None:
    x, y = waves(10)
    with pytest.raises(SettingError, match="class_weight: no class is 'raises'; did you mean 'rises'"):
        sc.Classifier(class_weight={"raises": 2.0}).fit(x, y)
    with pytest.raises(SettingError, match="class_weight = 'even'"):
        sc.Classifier(class_weight="even").fit(x, y)


def test_missing_values_and_categories() -> None:
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 150)
    number = rng.normal(size=150)
    y = np.where((kind == "a") | (number > 1), "yes", "no")
    number[::10] = np.nan
    frame = pd.DataFrame({"kind": pd.Categorical(kind), "number": number})
    m = sc.Classifier(ensemble=1, hidden=(16,)).fit(frame, y)
    assert m.score(frame, y) > 0.93
    assert m.feature_names_in_.tolist() == ["kind", "number"]
    assert np.isfinite(m.predict_proba(pd.DataFrame({"kind": ["new", None], "number": [np.nan, 0.0]}))).all()


def test_values_of_sequences() -> None:
    x, _ = waves(60)
    ends = np.array([item[-1] * 10 + 100 for item in x])
    both = sc.Regressor(**{**QUICK, "max_steps": 150}).fit(x, ends)
    assert both.predict(x).shape == (60, 2)
    assert both.score(x, ends) > 0.8


def test_the_same_seed_gives_the_same_bits(fitted: sc.Classifier) -> None:
    x, y = waves()
    again = clone(fitted).fit(x, y)
    np.testing.assert_array_equal(again.predict_proba(x), fitted.predict_proba(x))
    other = clone(fitted).set_params(random_state=1).fit(x, y)
    assert (other.predict_proba(x) != fitted.predict_proba(x)).any()


def test_a_second_fit_of_about_this_size_compiles_nothing() -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 8, 2)), np.arange(40) % 2
    sc.Classifier(**QUICK).fit(x, y)
    other = sc.Classifier(**QUICK, random_state=3, patience=4, class_weight="balanced")
    assert compilations(lambda: other.fit(x[:39], y[:39])) == 0


def test_float64(fitted: sc.Classifier) -> None:
    x, y = waves()
    m = sc.Classifier(**QUICK, precision="float64").fit(x, y)
    for model, dtype in ((m, np.float64), (fitted, np.float32)):
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(model.model_.readings["recurrence"].weights))
    np.testing.assert_allclose(m.predict_proba(x), fitted.predict_proba(x), atol=0.05)


def test_saved_and_loaded(fitted: sc.Classifier, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "model.safetensors")
    result = sc.Classifier.load(path)
    x, _ = waves(seed=2)
    np.testing.assert_array_equal(result.predict_proba(x), fitted.predict_proba(x))
    assert result.get_params() == fitted.get_params()
    assert result.history_.keys() == fitted.history_.keys() and result.n_iter_ == fitted.n_iter_
    with pytest.raises(ModelFileError, match="expected a regressor"):
        sc.Regressor.load(path)
    with pytest.raises(ModelFileError, match="is a statecast classifier"):
        sc.Forecaster.load(path)


def test_a_regressor_and_its_settings_come_back(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    m = sc.Regressor(**TABLE, loss="huber").fit(x, x[:, 0])
    assert m.predict(x).shape == (30,)
    result = sc.Regressor.load(m.save(tmp_path / "r.safetensors"))
    np.testing.assert_array_equal(result.predict(x), m.predict(x))
    assert (result.loss, result.n_features_in_) == ("huber", 2)


@pytest.mark.parametrize("labels", [[1, 2], [True, False], [0.5, 1.5], ["x", "y"]])
def test_labels_keep_their_type(labels: list[Any], tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 2))
    y = np.array(labels)[(x[:, 0] > 0).astype(int)]
    if y.dtype.kind == "f":  # scikit-learn takes such for values of a measure
        with pytest.raises(ValueError, match="Unknown label type"):
            sc.Classifier(**TABLE).fit(x, y)
        return
    weight = {y[0].item(): 3.0}
    m = sc.Classifier(**TABLE, class_weight=weight).fit(x, y)
    result = sc.Classifier.load(m.save(tmp_path / "m.safetensors"))
    assert result.predict(x).dtype == y.dtype
    assert result.class_weight == weight


def test_predicting_needs_no_jax(fitted: sc.Classifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m.safetensors")
    code = (
        "import sys, numpy as np, statecast as sc; m = sc.Classifier.load('m.safetensors');"
        "m.predict_proba([np.ones((3, 2)), np.ones((5, 2))]); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None; import statecast\n"
        "try: statecast.Classifier\n"
        "except statecast.StatecastError as error: sys.exit(\"pip install 'statecast[sklearn]'\" not in str(error))\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_what_does_not_fit_together_is_named(fitted: sc.Classifier) -> None:
    with pytest.raises(DataError, match="3 channels, and it was fitted on 2"):
        fitted.predict([np.ones((4, 3))])
    table = sc.Classifier(**TABLE).fit(np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2)
    with pytest.raises(DataError, match="X holds sequences; it was fitted on a table"):
        table.predict([np.ones((4, 2))])
    with pytest.raises(SettingError, match="no setting 'poolin'; did you mean 'pooling'"):
        sc.Classifier(poolin="last")
    with pytest.raises(SettingError, match="pooling = 'sum'"):
        sc.Classifier(pooling="sum").fit(*waves(10))
    with pytest.raises(SettingError, match="no setting 'horizon'"):
        sc.Regressor(horizon=3)


def test_interrupted_and_resumed(tmp_path: Path) -> None:
    x, y = waves()
    settings = {**QUICK, "patience": 0}
    whole = sc.Classifier(**settings).fit(x, y)

    def stop(report: Any) -> None:
        if report.step >= 30:
            raise KeyboardInterrupt

    with pytest.raises(sc.StatecastError):
        sc.Classifier(**settings).fit(x, y, watch=stop, checkpoint=tmp_path)
    resumed = sc.Classifier(**settings).fit(x, y, checkpoint=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.predict_proba(x), whole.predict_proba(x))


def test_the_settings_of_a_face_keep_their_defaults() -> None:
    for face in (ClassifierConfig, RegressorConfig):
        assert face().hidden == (32,)
    assert sc.Config().hidden is None
    assert "horizon" not in sc.Classifier().get_params() and "pooling" not in sc.Forecaster().get_params()


@pytest.mark.parametrize(("name", "least"), [("ItalyPowerDemand", 0.95)])
def test_a_problem_of_the_archive(name: str, least: float) -> None:
    if not UCR.is_dir():
        pytest.skip("needs ../shared/data/ucr: the archive's problems are not shipped")
    from statecast.data.tsfile import read_ts

    train, test = (read_ts(UCR / name / f"{name}_{part}.ts") for part in ("TRAIN", "TEST"))
    m = sc.Classifier(ensemble=2).fit(train.sequences, train.labels)
    assert m.score(test.sequences, test.labels) >= least


@pytest.mark.parametrize("call", ["predict", "predict_proba"])
def test_a_classifier_that_was_not_fitted_says_so(call: str) -> None:
    with pytest.raises(NotFittedError, match="This Classifier instance is not fitted yet"):
        getattr(sc.Classifier(), call)(np.ones((2, 3)))
