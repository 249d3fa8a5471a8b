"""PyTorch's weights: the same outputs as PyTorch's own, the way back, and files that are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interop_cases import COLUMNS, LAST, TORCH, recorded, streamed, torch_weights, values
from safetensors.numpy import save_file

import statecast as sc
from statecast.errors import ModelFileError, SettingError


def adopted(name: str = "lstm", **more: Any) -> sc.Forecaster:
    return sc.interop.from_torch(torch_weights(name), cell=TORCH[name][2], **{**COLUMNS, **more})


@pytest.mark.parametrize("name", TORCH)
def test_a_thousand_steps_are_those_of_torch(name: str, tmp_path: Path) -> None:
    save_file(torch_weights(name), tmp_path / "weights.safetensors")
    forecaster = sc.interop.from_torch(tmp_path / "weights.safetensors", cell=TORCH[name][2], **COLUMNS)
    outputs = streamed(forecaster, values())[-LAST:]
    np.testing.assert_allclose(outputs, recorded()[f"torch/{name}/outputs"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", TORCH)
def test_the_way_back_gives_the_same_arrays(name: str) -> None:
    weights, back = torch_weights(name), sc.interop.to_torch(adopted(name))
    assert back.keys() == weights.keys()
    for key in weights:
        if "bias_hh" in key:
            other = key.replace("bias_hh", "bias_ih")
            np.testing.assert_array_equal(back[key] + back[other], weights[key] + weights[other])
        elif "bias_ih" not in key:
            np.testing.assert_array_equal(back[key], weights[key])
    again = sc.interop.from_torch(back, cell=TORCH[name][2], **COLUMNS)
    np.testing.assert_array_equal(streamed(again, values(50)), streamed(adopted(name), values(50)))


def test_layers_of_different_widths_are_modules_of_their_own() -> None:
    rng = np.random.default_rng(0)
    state = {"head.weight": rng.standard_normal((2, 4)), "between.weight": rng.standard_normal((4, 2))}
    for name, inputs, units in (("one", 1, 5), ("two", 5, 2)):
        state[f"{name}.weight_ih_l0"] = rng.standard_normal((4 * units, inputs))
        state[f"{name}.weight_hh_l0"] = rng.standard_normal((4 * units, units))
    order = ["one", "two", "between", "head"]
    forecaster = sc.interop.from_torch(state, layers=order, activation="tanh")
    config = forecaster.model_.config
    assert (config.hidden, config.dense, config.horizon, config.precision) == ((5, 2), (4,), 2, "float64")
    back = sc.interop.to_torch(forecaster, order)
    assert all(np.array_equal(back[name], state[name]) for name in state)
    assert set(sc.interop.to_torch(forecaster)) >= {"rnn0.weight_ih_l0", "rnn1.weight_ih_l0", "dense0.weight"}
    with pytest.raises(SettingError, match="expected 4 different names"):
        sc.interop.to_torch(forecaster, ["one", "one"])
    with pytest.raises(SettingError, match="give their order with layers"):
        sc.interop.from_torch(state)
    with pytest.raises(SettingError, match="the modules are"):
        sc.interop.from_torch(state, layers=["one", "two"])
    with pytest.raises(SettingError, match="behind the recurrent ones"):
        sc.interop.from_torch(state, layers=["head", "between", "one", "two"])
    with pytest.raises(SettingError, match="give activation"):
        sc.interop.from_torch(state, layers=order)


def test_a_lone_module_and_a_cell_have_no_prefix_and_no_number() -> None:
    weights = torch_weights("gru")
    cell = {f"weight_{part}": weights[f"rnn.weight_{part}_l0"] for part in ("ih", "hh")}
    forecaster = sc.interop.from_torch(cell | {"out.weight": weights["head.weight"]}, **COLUMNS)
    assert (forecaster.model_.config.cell, forecaster.model_.config.horizon) == ("gru", 2)
    assert not forecaster.model_.weights["stack"]["cells"]["0"]["bn"].any()


def test_what_no_layer_here_can_be_is_refused_by_name() -> None:
    weights = torch_weights("lstm")
    matrix = weights["rnn.weight_hh_l0"]

    def refusal(more: dict[str, Any], **options: Any) -> str:
        with pytest.raises((ModelFileError, SettingError)) as caught:
            sc.interop.from_torch(weights | more, **COLUMNS, **options)
        return str(caught.value)

    assert "bidirectional" in refusal({"rnn.weight_ih_l0_reverse": matrix})
    assert "proj_size" in refusal({"rnn.weight_hr_l0": matrix})
    assert "norm.running_mean" in refusal({"norm.running_mean": np.zeros(3)})
    assert "conv.weight" in refusal({"conv.weight": np.zeros((3, 3, 3))})
    assert "[0, 1, 3]" in refusal({"rnn.weight_ih_l3": matrix})
    assert "NaN" in refusal({"head.bias": np.full(4, np.nan)})
    assert "beyond 1e+15" in refusal({"rnn.bias_ih_l0": np.full(12, 3e38, np.float32)})
    assert "int64" in refusal({"head.bias": np.zeros(4, int)})
    assert "not an array" in refusal({"head.bias": [[1.0], [1.0, 2.0]]})
    assert "not of the 12 rows" in refusal({"rnn.bias_ih_l0": np.zeros(11)})
    assert "expected [4]" in refusal({"head.bias": np.zeros(3)})
    assert "no weight" in refusal({"other.bias": np.zeros(3)}, layers=["rnn", "other", "head"])
    assert "not that of an RNN, LSTM or GRU" in refusal(
        {f"rnn.weight_{part}_l1": np.zeros((6, 3)) for part in ("ih", "hh")}
    )
    assert "mixes" in refusal({f"rnn.weight_{part}_l1": np.zeros((9, 3)) for part in ("ih", "hh")} | nothing(9))
    assert "one before it gives" in refusal({"rnn.weight_ih_l1": np.zeros((12, 2))})
    assert "weights are of lstm" in refusal({}, cell="gru")
    without_a_head = {name: array for name, array in weights.items() if name.startswith("rnn")}
    with pytest.raises(ModelFileError, match="no linear layer"):
        sc.interop.from_torch(without_a_head, **COLUMNS)


def nothing(size: int) -> dict[str, np.ndarray]:
    return {f"rnn.bias_{part}_l1": np.zeros(size) for part in ("ih", "hh")}


def test_files_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    save_file(torch_weights("lstm"), tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    header = int.from_bytes(content[:8], "little")

    def refusal(content: bytes | None, name: str = "weights.safetensors") -> str:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelFileError) as caught:
            sc.interop.from_torch(path, **COLUMNS)
        return str(caught.value)

    assert "there is no file" in refusal(None, "nowhere.safetensors")
    for size in (0, 5, 100, header + 8, len(content) - 1):
        assert "truncated" in refusal(content[:size])
    assert "save_file(torch.load" in refusal(b"PK\x03\x04" + bytes(100), "weights.pt")
    assert "save_file(torch.load" in refusal(b"PK\x03\x04" + bytes(100))
    assert "save_file(torch.load" in refusal(b"\x80\x02" + bytes(100))
    assert "damaged" in refusal(content.replace(b'"shape":[12,3]', b'"shape":[99,9]'))
    assert "damaged" in refusal((2**62).to_bytes(8, "little") + content[8:])
    half = {name: array.astype(np.int32) for name, array in torch_weights("lstm").items()}
    save_file(half, tmp_path / "whole.safetensors")
    assert "I32" in refusal((tmp_path / "whole.safetensors").read_bytes())


def test_half_precision_is_read_as_single() -> None:
    half = {name: array.astype(np.float16) for name, array in torch_weights("lstm").items()}
    forecaster = sc.interop.from_torch(half, **COLUMNS)
    assert forecaster.model_.config.precision == "float32"
    np.testing.assert_allclose(streamed(forecaster, values(50)), streamed(adopted(), values(50)), atol=0.02)


def test_it_forecasts_and_streams_without_jax_and_torch(tmp_path: Path) -> None:
    save_file(torch_weights("lstm"), tmp_path / "weights.safetensors")
    code = (
        "import statecast as sc, sys; stream = sc.interop.from_torch('weights.safetensors', target=['a', 'b'], "
        "past='c').stream(); stream.observe('s', [1.0, 2.0], past=[3.0]); "
        "sys.exit(sorted({'jax', 'torch', 'h5py', 'keras'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
