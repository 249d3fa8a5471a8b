"""The blocks of docs/interop.md that need other libraries' adaptors, run in the environment that has these."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_docs import DOCS, blocks, run

PAGE = DOCS / "interop.md"
LIBRARIES = {
    "sktime": "sktime",
    "aeon": "aeon",
    "River": "river",
    "MLflow": "mlflow",
    "Nixtla": "hierarchicalforecast",
}  # of sections


def sections() -> dict[str, str]:
    """The page's sections by their headings."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_block_that_is_left_out_there_is_run_here() -> None:
    """Each says that this file runs it, and but for a download and a conversion there are no others."""
    left_out = {
        name: [block for block in blocks(text) if "no-run" in block.options] for name, text in sections().items()
    }
    assert {name for name, items in left_out.items() if items} == {
        *LIBRARIES,
        "In a browser",
        "Weights of PyTorch and Keras",
    }
    for name in LIBRARIES:
        assert "tests/test_interop_docs.py" in left_out[name][0].reason, name


@pytest.mark.heavy
@pytest.mark.parametrize("name", LIBRARIES)
def test_the_blocks_of_a_library_run(name: str, tmp_path: Path) -> None:
    pytest.importorskip(
        LIBRARIES[name], reason=f"{name} is in an environment of its own: make interop", exc_type=ImportError
    )
    fit = next(block.code for block in blocks(sections()["ONNX"]) if block.language == "bash")
    fit = fit.partition("statecast export")[0].replace("--out air\n", "--out air --set max_steps=20 --set ensemble=1\n")
    fit = re.sub(
        "^statecast", "python -m statecast", fit, flags=re.MULTILINE
    )  # whose script is not in this environment
    text = f"```bash\n{fit}\n```\n" + sections()[name].replace("```python no-run", "```python")
    assert sum(block.runs for block in blocks(text)) > 1
    # A database would need MLflow whole.
    done = run(
        text,
        f"interop.md, {name}",
        tmp_path,
        "ignore",
        MLFLOW_ALLOW_FILE_STORE="true",
        MLFLOW_TRACKING_URI=(tmp_path / "runs").as_uri(),
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
