"""Every public name has a place in docs/api and an example in its docstring, and the examples work.

The Python blocks of those pages hold what the examples take for granted. All run in a folder of their own, and port
8000 is that of a server of the model.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from http_cases import serving

import statecast as sc
from statecast.data import examples
from statecast.forecast.scores import metrics
from statecast.gallery import cases

API = Path(__file__).resolve().parents[1] / "docs" / "api"
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted(API.glob("*.md"))}
ADAPTORS = {f"statecast.{name}": name for name in ("sktime", "aeon", "river", "mlflow")}
ADDRESS = "http://127.0.0.1:8000"  # in the examples
WITHOUT = {"statecast.Client.deliver": "the outbox calls it", "statecast.model.cells.Cell": "made by the decorators"}


def names(page: str) -> list[str]:
    """The classes and functions on a page, apart from those of an adaptor whose library is not installed."""
    listed = re.findall(r"^\.\. auto(?:class|function):: ([\w.]+)", PAGES[page], re.MULTILINE)
    absent = tuple(home for home, library in ADAPTORS.items() if not find_spec(library))
    return [name for name in listed if not absent or not name.startswith(absent)]


def with_methods(name: str) -> Iterator[tuple[str, Any]]:
    """A name and what it is; of a class also those of its methods that this house has written."""
    home, _, last = name.rpartition(".")
    thing = getattr(importlib.import_module(home), last)
    yield name, thing
    if (
        inspect.isclass(thing) and name not in WITHOUT and home not in ("statecast.sktime", "statecast.aeon")
    ):  # whose methods are theirs
        for part in dir(thing):
            method = getattr(thing, part)
            if not part.startswith("_") and inspect.isroutine(method) and method.__module__.startswith("statecast"):
                yield f"{name}.{part}", method


def example_of(name: str, thing: Any, common: dict[str, Any]) -> doctest.DocTest:
    return doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", common, name, name, 0)


def blocks(page: str) -> str:
    return "\n".join(re.findall(r"^```python[^\n]*\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL))


def failures(pages: list[str], common: dict[str, Any], address: str) -> str:
    """What goes wrong in the examples of some pages."""
    from matplotlib import pyplot

    things = dict(pair for page in pages for name in names(page) for pair in with_methods(name))
    runner, said = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL), list[str]()
    for name, thing in things.items():
        test = example_of(name, thing, common)
        for example in test.examples:
            example.source = example.source.replace(ADDRESS, address)
        if runner.run(test, out=said.append).failed:
            said.append(f"in {name}\n")
        pyplot.close("all")
    return "".join(said)


@pytest.fixture
def common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database would need MLflow whole
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    result: dict[str, Any] = {}
    exec(blocks("index"), result)
    return result


def test_every_public_name_has_a_page() -> None:
    rooms = {"statecast": sc, "statecast.cluster": sc.cluster, "statecast.interop": sc.interop}
    promised = {f"{room}.{name}" for room, module in rooms.items() for name in module.__all__}
    for module in (metrics, examples, cases):
        functions = inspect.getmembers(module, inspect.isfunction)
        promised |= {
            f"{module.__name__}.{name}"
            for name, function in functions
            if function.__module__ == module.__name__ and not name.startswith("_")
        }
    elsewhere = {"statecast.cluster", "statecast.interop", "statecast.__version__", "statecast.StatecastError"}
    assert promised - elsewhere - {name for page in PAGES for name in names(page)} == set()
    assert ".. automodule:: statecast.errors" in PAGES["errors"]


def test_every_public_name_has_an_example() -> None:
    things = dict(pair for page in PAGES for name in names(page) for pair in with_methods(name))
    bare = {name for name, thing in things.items() if not example_of(name, thing, {}).examples}
    assert bare - set(WITHOUT) == set()


@pytest.mark.filterwarnings("ignore::UserWarning:mlflow", "ignore::FutureWarning:mlflow")  # advice, in passing
def test_the_examples_work(common: dict[str, Any], tmp_path: Path) -> None:
    exec(blocks("sequences"), common)
    exec(blocks("tuning"), common)
    with serving(tmp_path, common["model"].model_) as served:
        address = str(served.http.base_url)
        exec(blocks("client").replace(ADDRESS, address), common)
        with common["client"]:
            said = failures([page for page in PAGES if page != "cluster"], common, address)
    assert said == ""


@pytest.mark.heavy
def test_the_examples_of_many_workers_work(common: dict[str, Any]) -> None:
    exec(blocks("cluster"), common)
    assert failures(["cluster"], common, ADDRESS) == ""
