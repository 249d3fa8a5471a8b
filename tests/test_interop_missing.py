"""An adaptor whose library is not installed says how to install it, and nothing of it stays half imported."""

from __future__ import annotations

import importlib
import sys

import pytest

from statecast.errors import MissingDependency

ADAPTORS = {"aeon": "AeonClassifier", "mlflow": "statecast.mlflow", "river": "Forecaster", "sktime": "Statecast"}


@pytest.mark.parametrize("name", ADAPTORS)
def test_a_library_that_is_not_there_is_named_with_its_install_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"statecast.{name}"
    for loaded in [other for other in sys.modules if other == module or other.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, name, None)  # where it is installed, as if it were not
    with pytest.raises(MissingDependency, match=rf"pip install 'statecast\[{name}\]'") as caught:
        importlib.import_module(module)
    assert ADAPTORS[name] in str(caught.value)
    assert isinstance(caught.value.__cause__, ImportError)
    assert module not in sys.modules


def test_the_adaptors_are_all_here() -> None:
    """Each extra that `all` leaves out for what it holds back has its module above."""
    import tomllib
    from pathlib import Path

    root = Path(__file__).parents[1]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    modules = {path.stem for path in (root / "src" / "statecast").glob("*.py")}
    assert set(ADAPTORS) == set(extras) & modules
