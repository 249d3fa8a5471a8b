"""The house rules that a program can hold, by reading the sources: who imports whom, who knows what, how big a file is.

A rule gathers its offences as lines `path:line: what` and is kept when there are none, so that one run names them all.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "statecast"

# Imports run one way: a room may import rooms further up in this list, and never one of its own line.
LEVELS = (
    ("errors",),
    ("allowed",),
    ("agreement", "presets", "synonyms"),
    ("config", "files", "display"),
    ("sequence_config",),
    ("data",),
    ("model",),
    ("train", "forecast"),
    ("report", "export"),
    ("estimators", "server"),
    ("gallery", "cluster", "tuning", "interop"),
    ("aeon", "mlflow", "river", "sktime"),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FRAMES = {"narwhals", "pandas", "polars", "pyarrow"}
# The gallery draws what a forecast's report has no use for: a network as a graph, a confusion table.
DRAWING = {f"display/{name}.py" for name in ("axes", "palette", "ticks", "lettering")}
DRAWING |= {"report/plot.py", "gallery/pictures.py"}
SKLEARN = {f"estimators/{name}.py" for name in ("base", "classifier", "regressor")}
# sktime's own language is that of pandas, and so is Spark's where it calls Python.
PANDAS = {"sktime.py", "cluster/spark/buckets.py", "cluster/spark/live.py"}
FRAME_FILES = {"data/tabular/frames.py", *PANDAS}
ARROW = "cluster"  # the room in which rows travel as Arrow tables
TRAINING = {"jax", "jaxlib", "optax"}
HEAVY = FRAMES | TRAINING | {"matplotlib", "mpl_toolkits", "plotly", "rich", "scipy", "sklearn", "tensorboardX"}
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# How a distribution is called, where it is not called as its package.
DISTRIBUTIONS = {
    "mlflow": "mlflow-skinny",
    "paho": "paho-mqtt",
    "prometheus_client": "prometheus-client",
    "sklearn": "scikit-learn",
    "tomli_w": "tomli-w",
}


@dataclass(frozen=True)
class Import:
    """One imported name, and whether importing its file imports it too."""

    path: Path
    line: int
    name: str
    at_top: bool
    for_types: bool

    @property
    def root(self) -> str:
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{place(self.path, self.line)} imports {self.name}"


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}:"


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted(PACKAGE.rglob("*.py")))


def room_of(path: Path) -> str:
    """The first name below the package: `data` of data/panel.py, `cli` of cli.py; empty for the package itself."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path, dots: int) -> list[str]:
    """The package that a relative import with so many dots starts from."""
    parts = list(path.relative_to(PACKAGE.parent).parts)
    return parts[: len(parts) - dots]


def is_types_only(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def names_of(node: ast.AST, path: Path) -> list[str]:
    """The absolute dotted names that a node imports: by statement, or by import_module with a literal name."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package_of(path, node.level) if node.level else []
        stem = ".".join([*base, *([node.module] if node.module else [])])
        return [f"{stem}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return []


def imports(path: Path) -> Iterator[Import]:
    def walk(node: ast.AST, at_top: bool, for_types: bool) -> Iterator[Import]:
        for name in names_of(node, path):
            yield Import(path, getattr(node, "lineno", 0), name, at_top and not for_types, for_types)
        inner = at_top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        body = node.body if isinstance(node, ast.If) and is_types_only(node) else []
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner, for_types or child in body)

    return walk(tree(path), True, False)


@cache
def all_imports() -> tuple[Import, ...]:
    return tuple(result for path in sources() for result in imports(path))


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    return ((n, ast.unparse(n.func)) for n in ast.walk(tree(path)) if isinstance(n, ast.Call))


def none(offences: Iterable[object]) -> None:
    result = [str(offence) for offence in offences]
    assert not result, "\n" + "\n".join(result)


# --- who imports whom


def test_every_room_has_its_place() -> None:
    none(f"{path.relative_to(ROOT)}: no place in LEVELS" for path in sources() if room_of(path) not in {*LEVEL, ""})


def test_imports_run_one_way() -> None:
    def offends(result: Import) -> bool:
        here = room_of(result.path)
        other = [*result.name.split("."), ""][1]
        if here in ("", other):
            return False
        if here not in LEVEL:
            return False  # test_every_room_has_its_place says so
        if other not in LEVEL:  # `import statecast`, `from statecast import Forecaster`: the public face
            return LEVEL[here] < LEVEL["gallery"]
        return LEVEL[other] >= LEVEL[here]

    none(result for result in all_imports() if result.root == "statecast" and offends(result))


def test_only_train_imports_jax_at_its_top() -> None:
    none(i for i in all_imports() if i.root in TRAINING and i.at_top and room_of(i.path) != "train")


def test_forecasting_knows_no_jax() -> None:
    """Only the rooms that compile know JAX at all: model/ runs the same equations under it, train/ trains."""
    none(i for i in all_imports() if i.root in TRAINING and room_of(i.path) not in ("model", "train"))


def test_train_is_imported_when_it_is_needed() -> None:
    """Whoever imports train/ at the top brings JAX with it."""
    none(i for i in all_imports() if i.name.startswith("statecast.train") and i.at_top and room_of(i.path) != "train")


def test_heavy_libraries_are_imported_when_they_are_needed() -> None:
    homes = {"matplotlib": DRAWING, "mpl_toolkits": DRAWING, "sklearn": SKLEARN, "pandas": PANDAS}
    none(
        i
        for i in all_imports()
        if i.root in HEAVY - TRAINING
        and i.at_top
        and i.path.relative_to(PACKAGE).as_posix() not in homes.get(i.root, ())
        and (i.root != "pyarrow" or room_of(i.path) != ARROW)
    )


def test_one_room_knows_data_frames() -> None:
    none(
        i
        for i in all_imports()
        if i.root in FRAMES - ({"pyarrow"} if room_of(i.path) == ARROW else set())
        and i.path.relative_to(PACKAGE).as_posix() not in FRAME_FILES
    )


def test_one_room_knows_matplotlib() -> None:
    drawing = {"matplotlib", "mpl_toolkits"}
    none(i for i in all_imports() if i.root in drawing and i.path.relative_to(PACKAGE).as_posix() not in DRAWING)


def test_no_file_imports_itself_through_others() -> None:
    """No circles, neither inside functions nor for types: each would be one file in two places."""
    files = {module_of(path): path for path in sources()}
    graph: dict[Path, set[Path]] = {path: set() for path in sources()}
    for i in all_imports():
        module = i.name if i.name in files else i.name.rpartition(".")[0]
        if module in files and files[module] != i.path:
            graph[i.path].add(files[module])
    while leaves := {path for path, below in graph.items() if not below & graph.keys()}:
        graph = {path: below for path, below in graph.items() if path not in leaves}
    circle = {path: below & graph.keys() for path, below in graph.items()}
    none(
        f"{path.relative_to(ROOT)} <-> {', '.join(str(b.relative_to(ROOT)) for b in sorted(below))}"
        for path, below in circle.items()
    )


def test_private_names_stay_in_their_files() -> None:
    names = ((i, i.name.rpartition(".")[2]) for i in all_imports() if i.root == "statecast")
    none(i for i, name in names if name.startswith("_") and not name.endswith("__"))


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    declared = {re.split(r"[^\w.-]", line)[0] for line in lines} | {"statecast"}
    none(
        i
        for i in all_imports()
        if i.root not in sys.stdlib_module_names and DISTRIBUTIONS.get(i.root, i.root) not in declared | {"jaxlib"}
    )
    uses = ((path, call) for path in sources() for call, name in calls(path) if name == "MissingDependency.of")
    none(
        f"{place(path, call.lineno)} no extra {call.args[1].value!r} in pyproject.toml"
        for path, call in uses
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant) and call.args[1].value not in extras
    )


# --- what is nowhere


def test_there_is_no_utils() -> None:
    banned = {"utils", "util", "helpers", "misc", "common"}
    none(path.relative_to(ROOT) for path in PACKAGE.rglob("*") if path.stem.strip("_") in banned)


def test_no_pickle() -> None:
    paths = [*sources(), *sorted((ROOT / "benchmarks").rglob("*.py"))]
    none(result for path in paths for result in imports(path) if result.root in PICKLES)
    none(
        f"{place(path, call.lineno)} {name}(allow_pickle=…)"
        for path in paths
        for call, name in calls(path)
        for word in call.keywords
        if word.arg == "allow_pickle" and ast.unparse(word.value) != "False"
    )


def test_no_global_setting_is_touched() -> None:
    """Quiet: the command line owns its process, a library does not."""
    settings = re.compile(
        r"(jax\.config\.update|(np|numpy)\.(seterr|set_printoptions|random\.seed)|random\.seed|logging\.basicConfig"
        r"|(matplotlib|mpl)\.use|(plt|pyplot)\.switch_backend|.*rcParams\.update|os\.(putenv|environ\.(update|setdefault)))"
    )
    library = [path for path in sources() if room_of(path) not in ("cli", "__main__")]
    none(
        f"{place(path, call.lineno)} calls {name}"
        for path in library
        for call, name in calls(path)
        if settings.fullmatch(name)
    )
    none(
        f"{place(path, node.lineno)} sets {ast.unparse(target)}"
        for path in library
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if re.match(r"(os\.environ|(plt\.|matplotlib\.|mpl\.)?rcParams)\[", ast.unparse(target))
    )


def test_one_file_writes_files() -> None:
    """A file that is opened for writing in place can be left half-written; `files.py` renames what is complete."""

    def writes(call: ast.Call, name: str) -> bool:
        owner, _, method = name.rpartition(".")
        if method in ("write_text", "write_bytes"):
            return owner not in ("", "files")
        modes = [
            *call.args[: 2 if name == "open" else 1],
            *(word.value for word in call.keywords if word.arg == "mode"),
        ]
        texts = [mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)]
        return method == "open" and any(re.fullmatch(r"[rbt]*[wx+][rbt+]*", text) for text in texts)

    none(
        f"{place(path, call.lineno)} {name} writes in place"
        for path in sources()
        if path != PACKAGE / "files.py"
        for call, name in calls(path)
        if writes(call, name)
    )


def test_warnings_are_only_silenced_inside_a_block() -> None:
    def offences(path: Path) -> Iterator[str]:
        guarded = {
            id(inner)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.With) and "catch_warnings" in ast.unparse(node.items[0].context_expr)
            for inner in ast.walk(node)
        }
        for call, name in calls(path):
            if name in ("warnings.simplefilter", "warnings.filterwarnings") and id(call) not in guarded:
                yield f"{place(path, call.lineno)} {name} outside `with warnings.catch_warnings()`"

    none(offence for path in sources() for offence in offences(path))


# --- size and words


# From the blank line before it to the quotation marks that end the docstring.
EXAMPLE = re.compile(r'\n\n *Example:\n(?:(?! *""").*\n)+ *"""')


def length_of(text: str) -> int:
    """Lines of a file, apart from the examples in its docstrings, which are pages of the documentation."""
    return len(EXAMPLE.sub("", text).splitlines())


def test_files_are_40_to_400_lines_long() -> None:
    lengths = {
        path.relative_to(ROOT): length_of(path.read_text(encoding="utf-8"))
        for path in sources()
        if path.stem not in ("__init__", "__main__")
    }
    none(f"{path}: {length} lines" for path, length in lengths.items() if not 40 <= length <= 400)


def test_what_is_public_has_a_docstring() -> None:
    def offences(path: Path) -> Iterator[str]:
        if path.stem not in ("__init__", "__main__") and not ast.get_docstring(tree(path)):
            yield f"{place(path, 1)} the module"
        named = (n for n in tree(path).body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef))
        for node in named:
            if not node.name.startswith("_") and not ast.get_docstring(node):
                yield f"{place(path, node.lineno)} {node.name}"

    none(f"{offence} has no docstring" for path in sources() for offence in offences(path))


def has_all(path: Path) -> bool:
    return any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree(path).body)


@pytest.mark.parametrize("module", [module_of(path) for path in sources() if has_all(path)])
def test_every_name_in_all_exists(module: str) -> None:
    loaded = importlib.import_module(module)
    assert len(set(loaded.__all__)) == len(loaded.__all__)
    none(f"{module}.{name} does not exist" for name in loaded.__all__ if not hasattr(loaded, name))


# --- vocabulary

# How a value came to be, not what it is: a reader who was not there cannot guess what it holds.
HISTORIES = frozenset(["found", "told", "asked", "begun", "came", "given", "own", "seen", "there", "wanted"])


def test_a_class_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(place(path, node.lineno))
    none(f"{name}: {' '.join(places)}" for name, places in sorted(homes.items()) if len(places) > 1)


def test_names_say_what_a_thing_is() -> None:
    def named(node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return node.id if isinstance(node.ctx, ast.Store) else ""
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            return node.name
        return node.arg if isinstance(node, ast.arg) else ""

    none(
        f"{place(path, getattr(node, 'lineno', 0))} {named(node)}"
        for path in sources()
        for node in ast.walk(tree(path))
        if named(node).strip("_") in HISTORIES
    )


# --- quiet


def run_quietly(code: str, folder: Path) -> None:
    """Run in a new process: it must end well, print nothing and leave its folder empty."""
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(folder.iterdir())


def loads_none_of(names: set[str]) -> str:
    return f"import sys; loaded = sorted({names!r} & set(sys.modules)); sys.exit(loaded and f'loaded: {{loaded}}' or 0)"


def test_importing_loads_nothing_heavy_and_prints_nothing(tmp_path: Path) -> None:
    run_quietly(f"import statecast; {loads_none_of(HEAVY | {'cyclopts'})}", tmp_path)


def test_every_public_name_is_there_without_jax(tmp_path: Path) -> None:
    look = "[getattr(statecast, name) for name in statecast.__all__]"
    run_quietly(f"import statecast; {look}; {loads_none_of(TRAINING)}", tmp_path)


# --- nothing of the machine it was written on


def tracked() -> list[Path]:
    """Files that git tracks, or would if they were added now."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is no list of tracked files")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_path_of_a_developers_machine() -> None:
    # Put together here, so that this file does not match itself.
    pattern = re.compile((r"(?<![\w.~-])/(?:" + "|".join(("home", "work", "Users")) + r")/\w").encode())
    none(
        f"{place(path, number)} {line.strip()[:100]!r}"
        for path in tracked()
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if pattern.search(line)
    )
