"""A model on disk: what comes back is what went in, and what is not right is refused with a reason."""

from __future__ import annotations

import errno
import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from forecast_cases import HEADS, model, panel, remembering, same_bits, sized
from hypothesis import given
from hypothesis import strategies as st

from statecast.errors import ModelFileError, NewerFormat, OutputError
from statecast.forecast.predict import forecast
from statecast.model.archive import load, save
from statecast.model.container import Portions, flatten, pieces, read_tensors, unflatten, version, write_tensors
from statecast.model.trained import Model


def remembered(**more: Any) -> Model:
    of = model(targets=2, **more)
    return remembering(of, panel(of))


def header(content: bytes) -> dict[str, Any]:
    return dict(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]))


def with_texts(content: bytes, **texts: str | None) -> bytes:
    """The file with other strings in its header."""
    size = int.from_bytes(content[:8], "little")
    entries = header(content)
    entries["__metadata__"] = {k: v for k, v in (entries["__metadata__"] | texts).items() if v is not None}
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("id_kind", ["text", "integer"])
def test_what_comes_back_is_what_went_in(tmp_path: Path, id_kind: str, head: str, precision: str) -> None:
    of = remembered(id_kind=id_kind, head=head, precision=precision, independent=True)
    back = load(save(of, tmp_path / "deep" / "model.safetensors"))
    assert (back.config, back.schema, back.network) == (of.config, of.schema, of.network)
    assert (back.scores, back.history, back.state.ids) == (of.scores, of.history, of.state.ids)
    same_bits(back.residuals, of.residuals)
    result, expected = flatten(back.p)[0], flatten(of.p)[0]
    assert result.keys() == expected.keys()
    for name in expected:
        same_bits(result[name], expected[name])
    same_bits(back.state.data, of.state.data)
    same_bits(back.state.time, of.state.time)
    for level in (80, 95):
        same_bits(forecast(back, horizon=7).lower[level], forecast(of, horizon=7).lower[level])
    back.state.data[:] = 0  # what comes back may be written to


def test_sized_intervals_come_back_and_their_numbers_are_checked(tmp_path: Path) -> None:
    of = sized(model(independent=True, targets=2))
    of = remembering(of, panel(of))
    back = load(save(of, tmp_path / "m"))
    same_bits(back.typical, of.typical)
    assert back.layout == of.layout
    same_bits(forecast(back).lower[80], forecast(of).lower[80])
    with pytest.raises(ModelFileError, match=r"'typical' holds 0\.0, expected finite numbers above zero"):
        load(save(replace(of, typical=np.zeros((3, 1))), tmp_path / "m"))
    with pytest.raises(ModelFileError, match=r"'typical' is float64 \[2, 1\], expected float64 \[3, 1\]"):
        load(save(replace(of, typical=np.ones((2, 1))), tmp_path / "m"))
    shifts, _ = of.layout.slices["shifts"]
    of.state.data[0, shifts.stop - 1] = -1  # the weight of errors
    with pytest.raises(ModelFileError, match=r"'state/shifts' holds -1\.0"):
        load(save(of, tmp_path / "m"))


def test_covariates_and_ids_beyond_ascii(tmp_path: Path) -> None:
    of = model(covariates=True)
    of = remembering(of, replace(panel(of), ids=("Zürich", "北京")))
    back = load(save(of, tmp_path / "m"))
    assert back.state.ids == ("Zürich", "北京")
    assert back.network == of.network
    assert back.schema == of.schema


def test_scores_of_any_kind_of_number(tmp_path: Path) -> None:
    scores = {"mae": np.float32(0.5), "steps": np.arange(2), "none": None, "name": "x"}
    back = load(save(replace(remembered(), scores=scores), tmp_path / "m"))
    assert back.scores == {"mae": 0.5, "steps": [0, 1], "none": None, "name": "x"}
    with pytest.raises(TypeError, match="cannot be saved"):
        save(replace(remembered(), scores={"bad": object()}), tmp_path / "m")


def test_trees_keep_their_shape(tmp_path: Path) -> None:
    tree = {"a": {"b": np.arange(6.0).reshape(2, 3).T, "none": {}, "c": {"none": {}}}, "n": np.array(7), "e": {}}
    tree["a"]["bits"] = np.array([True, False])
    tree["a"]["zero"] = np.zeros((0, 3), np.float32)
    back, texts = read_tensors(write_tensors(tmp_path / "t", tree, {"kind": "checkpoint", "step": "3"}), "checkpoint")
    assert texts["step"] == "3"
    assert back["a"].keys() == tree["a"].keys()
    assert back["a"]["none"] == back["a"]["c"]["none"] == back["e"] == {}
    for name in ("b", "bits", "zero"):
        same_bits(back["a"][name], tree["a"][name])
    same_bits(back["n"], tree["n"])
    flat, empty = flatten(tree)
    assert flatten(unflatten(flat, empty))[1] == empty
    with pytest.raises(ValueError, match="kind"):
        write_tensors(tmp_path / "t", tree, {})


def test_other_programs_read_the_tensors(tmp_path: Path) -> None:
    """The format has a library: numbers of every width, none at all, and an array that comes in pieces."""
    from safetensors.numpy import load_file

    rows = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    tree: dict[str, Any] = {
        "a": {"wide": np.arange(3), "flag": np.array([True, False, True])},
        "none": np.zeros((0, 2)),
    }
    tree["rows"] = Portions(rows.shape, rows.dtype, lambda: iter([rows[:1], rows[1:]]))
    path = write_tensors(tmp_path / "t", tree, {"kind": "checkpoint"})
    tensors = load_file(path)
    assert set(tensors) == {"a/wide", "a/flag", "none", "rows"}
    leaves = {"a/wide": tree["a"]["wide"], "a/flag": tree["a"]["flag"], "none": tree["none"], "rows": rows}
    for name, expected in leaves.items():
        np.testing.assert_array_equal(tensors[name], expected)
        assert tensors[name].dtype == expected.dtype
    assert path.read_bytes() == b"".join(pieces(tree | {"rows": rows}, {"kind": "checkpoint"}))


def test_a_folder_holds_its_model(tmp_path: Path) -> None:
    with pytest.raises(
        ModelFileError, match=r"is a folder without model.safetensors: give the folder that `fit` wrote"
    ):
        load(tmp_path)
    save(remembered(), tmp_path / "model.safetensors")
    assert load(tmp_path).config.horizon == 3


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A device has no end, and a pipe perhaps no beginning."""
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        for path in ("/dev/zero", tmp_path / "pipe"):
            with pytest.raises(ModelFileError, match="is a device, a pipe or a folder: give a file"):
                load(path)
    with pytest.raises(ModelFileError, match="is the name of no file"):
        load("model\0.safetensors")
    with pytest.raises(ModelFileError, match=r"xxx.* cannot be read: File name too long"):
        load("x" * 9000)


def test_what_is_not_there_or_not_ours(tmp_path: Path) -> None:
    def refuse(message: str, content: bytes | None = None) -> None:
        path = tmp_path / "file"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelFileError, match=message):
            load(path)

    refuse("there is no file .*file: give a model")
    refuse("is empty: give a model", b"")
    refuse("is not a file of statecast", b"time,y\n2024-01-01,3\n" * 30)
    refuse("is not a file of statecast", bytes(range(256)))
    refuse("is not a file of statecast", b"\x89HDF\r\n\x1a\n" + bytes(500))
    refuse("holds the tensors of another program", safetensors.numpy.save({"w": np.zeros(3)}, {"format": "pt"}))
    refuse("holds the tensors of another program", safetensors.numpy.save({"w": np.zeros(3)}))
    write_tensors(tmp_path / "file", {"w": np.zeros(3)}, {"kind": "checkpoint"})
    refuse("is a statecast checkpoint: expected a model or a stream")


def test_a_newer_file_names_both_versions(tmp_path: Path) -> None:
    content = save(remembered(), tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(with_texts(content, statecast_format="2", statecast="9.1.0"))
    message = rf"written by statecast 9\.1\.0 in format 2, and this statecast {version()} reads formats up to 1: "
    with pytest.raises(NewerFormat, match=message + "pip install --upgrade statecast"):
        load(tmp_path / "m")


def test_settings_that_this_version_does_not_know(tmp_path: Path) -> None:
    of = remembered()
    path = save(of, tmp_path / "m")
    tree, texts = read_tensors(path, "model")
    required = ("statecast_format", "statecast")
    rest = {name: text for name, text in texts.items() if name not in required}
    write_tensors(path, tree, rest | {"config": of.config.to_toml() + "warp = 9\n"})
    with pytest.raises(ModelFileError, match=r"not as this statecast .* reads it \(there is no setting 'warp'"):
        load(path)
    write_tensors(path, tree, {name: text for name, text in rest.items() if name != "ids"})
    with pytest.raises(ModelFileError, match=r"not as this statecast .* reads it \(its header has no 'ids'"):
        load(path)
    write_tensors(path, tree, rest | {"ids": '["s0"]'})
    with pytest.raises(ModelFileError, match="holds 2 times for 1 series"):
        load(path)


@given(st.data())
def test_a_truncated_file_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path, content = saved(tmp_path_factory)
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ModelFileError, match=r"is truncated|is empty|is not a file of statecast"):
        load(path)


@given(st.data())
def test_a_damaged_file_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path, content = saved(tmp_path_factory)
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytes([content[at] ^ (1 << data.draw(st.integers(0, 7)))])
    path.write_bytes(content[:at] + changed + content[at + 1 :])
    try:
        result = load(path)
    except ModelFileError:
        return
    # A blank after the header's text may become another blank; nothing else may pass.
    assert content[at : at + 1] + changed in (b" \t", b" \n", b" \r", b"\t ", b"\n ")
    same_bits(result.state.data, load_from(content, path).state.data)


def test_damaged_numbers_and_texts(tmp_path: Path) -> None:
    path = save(remembered(), tmp_path / "m")
    content = path.read_bytes()
    for changed in (content[:-1] + bytes([content[-1] ^ 1]), with_texts(content, scores='{"mae": 0.1}')):
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match="is damaged: its checksum does not agree"):
            load(path)
    for lost in ("sha256", "kind", "empty", "statecast"):
        path.write_bytes(with_texts(content, **{lost: None}))
        with pytest.raises(ModelFileError, match="is damaged: its header is not complete"):
            load(path)
    path.write_bytes(with_texts(content, statecast_format="one"))
    with pytest.raises(ModelFileError, match="is damaged: its header cannot be read"):
        load(path)


def saved(factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    global _CONTENT
    path = factory.getbasetemp() / "damaged.safetensors"
    if not _CONTENT:
        _CONTENT = save(remembered(), path).read_bytes()
    return path, _CONTENT


_CONTENT = b""


def load_from(content: bytes, path: Path) -> Model:
    path.write_bytes(content)
    return load(path)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(remembered(), tmp_path / "m")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*m: No space left on device"):
        save(remembered(head="pinball"), path)
    assert [file.name for file in tmp_path.iterdir()] == ["m"]
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*model.safetensors"):
        save(remembered(), tmp_path / "file" / "model.safetensors")


def test_the_same_model_makes_the_same_file(tmp_path: Path) -> None:
    of = remembered()
    assert save(of, tmp_path / "a").read_bytes() == save(of, tmp_path / "b").read_bytes()
    assert save(load(tmp_path / "a"), tmp_path / "c").read_bytes() == (tmp_path / "a").read_bytes()
