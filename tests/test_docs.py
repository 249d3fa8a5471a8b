"""Every command and code block of README.md and docs/ works as it stands.

The `bash` and `python` blocks of a document run in order in one temporary folder, the python blocks in one namespace,
as for a reader who types along. `make` lines are checked against the Makefile instead of run (`make test` would call
itself), and a `git clone` leaves an empty folder, so that the `cd` after it has somewhere to go. Other blocks are
exempt only as ```bash no-run, right after an HTML comment that gives the reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import options_page
import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [path for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))] if path.exists()]
RUN = ("bash", "python")
PORT = "8000"  # in the documents; each run takes a free one
SHOWN = ("text", "toml", "json", "csv", "bibtex")
DIRECTIVES = ("{eval-rst}", "{code-cell}")  # of Sphinx, which runs cells and fails on what it cannot read

# Runs the blocks that it is given as JSON on standard input. One process, since later blocks go on where earlier ended.
RUNNER = """
import json, subprocess, sys
namespace = {"__name__": "__main__"}
for language, code, name, line in json.load(sys.stdin):
    print(f"{name}:{line}: {language}", flush=True)
    if language == "python":
        exec(compile("\\n" * line + code, name, "exec"), namespace)
    elif subprocess.run(["bash", "-euo", "pipefail", "-c", code], stdin=subprocess.DEVNULL).returncode:
        sys.exit(f"{name}:{line}: the commands failed")
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is, what it says, and where its fence opens."""

    language: str
    options: tuple[str, ...]
    code: str
    line: int
    reason: str

    @property
    def runs(self) -> bool:
        return self.language in RUN and "no-run" not in self.options


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document; a fence that never closes is an error."""
    result: list[Block] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        fence = re.match(r"( *)(`{3,}|~{3,})\s*([^`]*)$", lines[at])
        if fence:
            indent, marks, info = fence.groups()
            ends = (n for n in range(at + 1, len(lines)) if lines[n].strip() == marks)
            end = next(ends, None)
            assert end is not None, f"line {at + 1}: this fence is never closed"
            code = "\n".join(line.removeprefix(indent) for line in lines[at + 1 : end])
            language, *options = info.split() or [""]
            result.append(Block(language, tuple(options), code, at + 1, reason_before(lines[:at])))
            at = end
        at += 1
    return result


def reason_before(lines: list[str]) -> str:
    """What the HTML comment right before says, if there is one."""
    comment = re.search(r"<!--((?:(?!-->).)+)-->\s*$", "\n".join(lines), re.DOTALL)
    return comment[1].strip() if comment else ""


def targets() -> set[str]:
    """What the Makefile can make."""
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def runnable(command: str) -> str:
    """A command as it is run here: `make` is checked, `git clone` leaves an empty folder, the rest stays as it is."""
    words = command.split("#")[0].split()
    if words[:1] == ["make"]:
        arguments = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
        assert arguments <= targets(), (
            f"{command.strip()!r}: the Makefile has no {', '.join(sorted(arguments - targets()))}"
        )
        return "true"
    if words[:2] == ["git", "clone"]:
        plain = [word for word in words[2:] if not word.startswith("-")]
        return f"mkdir -p {plain[-1].rpartition('/')[2].removesuffix('.git')}"
    return command


def script(code: str) -> str:
    """A bash block as it is run here, command by command: `git clone … && cd … && make demo` is seen through."""
    return "".join(
        part if part in ("&&", "\n") else f" {runnable(part)} " if re.match(r"\s*(make|git)\s", part) else part
        for part in re.split(r"(&&|\n)", code)
    )


def run(
    text: str, name: str, folder: Path, warnings: str = "error", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the blocks of a document; what they leave running ends with them.

    Args:
        text: the document.
        name: of it.
        folder: in which it runs.
        warnings: what becomes of them, as `python -W` has it.
        variables: of the environment, beside those of this process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    todo = [block for block in blocks(text) if block.runs]
    code = [(script(b.code) if b.language == "bash" else b.code).replace(PORT, port) for b in todo]
    work = [(block.language, lines, name, block.line) for block, lines in zip(todo, code, strict=True)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.Popen(
        [sys.executable, "-W", warnings, "-c", RUNNER],
        cwd=folder,
        env={**os.environ, "PATH": path, "MPLBACKEND": "Agg", "PYTHONUTF8": "1", **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(json.dumps(work), timeout=600)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# The pages of docs/api are run by tests/test_examples.py, with the examples that rest on them.
@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.parent.name != "api"], ids=named)
def test_every_block_runs(path: Path, tmp_path: Path) -> None:
    done = run(path.read_text(encoding="utf-8"), named(path), tmp_path)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_blocks_say_what_they_are(path: Path) -> None:
    """A block in a language that is not run (```sh, ```console, none) would slip through."""
    for block in blocks(path.read_text(encoding="utf-8")):
        where = f"{named(path)}:{block.line}"
        known = RUN + SHOWN + DIRECTIVES
        assert block.language in known, f"{where}: {block.language!r} is none of {', '.join(known)}"
        assert set(block.options) <= {"no-run"}, f"{where}: {block.options} is none but no-run"
        assert block.reason or "no-run" not in block.options, f"{where}: no-run needs its reason in a comment before it"
        if block.language == "toml":
            tomllib.loads(block.code)


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_within_the_project_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"^( *)(`{3,}).*?^ *\2", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)|(?:src|href)=\"([^\"]+)", prose)
    local = [link for pair in links for link in pair if link and not re.match(r"\w+:|#", link)]
    assert [link for link in local if not (path.parent / link.partition("#")[0]).exists()] == []


def test_every_page_is_in_a_table_of_contents() -> None:
    """Sphinx would warn, but only where it is installed."""
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    named = {"index"}
    for path in DOCS.rglob("*.md"):
        for tree in re.findall(
            r"^:::\{toctree\}\n(.*?)^:::$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            entries = [
                line.split("<")[-1].rstrip(">") for line in tree.splitlines() if line and not line.startswith(":")
            ]
            named |= {(path.relative_to(DOCS).parent / entry).as_posix() for entry in entries}
    assert pages - named == set(), "name these in a toctree, such as those of docs/index.md"
    assert named - pages == set(), "these are no pages"


def test_the_page_of_commands_is_what_their_help_says() -> None:
    assert options_page.PLACE.read_text(encoding="utf-8") == options_page.source(), "make settings"


def test_the_readme_gives_the_two_commands() -> None:
    readme = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    commands = "\n".join(block.code for block in readme if block.language == "bash")
    assert "make demo" in commands
    assert "make test" in commands


# --- the reader of documents itself


def test_a_failing_block_is_found_by_name_and_line(tmp_path: Path) -> None:
    done = run("# title\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", "made.md", tmp_path)
    assert done.returncode == 1
    assert 'File "made.md", line 8' in done.stderr
    assert run("```bash\nfalse\necho after\n```\n", "made.md", tmp_path).stderr == "made.md:1: the commands failed\n"


def test_warnings_fail_a_block(tmp_path: Path) -> None:
    done = run("```python\nimport warnings\nwarnings.warn('old')\n```\n", "made.md", tmp_path)
    assert "UserWarning: old" in done.stderr


def test_blocks_share_a_folder_and_a_namespace(tmp_path: Path) -> None:
    text = """
```bash
echo 7 > n.txt
```
```python
from pathlib import Path
n = int(Path("n.txt").read_text())
```
```python
assert n == 7
```
"""
    done = run(text, "made.md", tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_is_left_running_ends_with_the_document(tmp_path: Path) -> None:
    ticking = "(while sleep 0.01; do echo 8000 >> ticks; done) > /dev/null 2>&1 &\nsleep 0.1"
    done = run(f"```bash\n{ticking}\n```\n", "made.md", tmp_path)
    assert done.returncode == 0, done.stderr
    ticks = (tmp_path / "ticks").read_text()
    time.sleep(0.1)
    assert (tmp_path / "ticks").read_text() == ticks
    assert ticks and "8000" not in ticks  # a port of its own


def test_what_may_not_run_here_is_seen_through() -> None:
    cloned = "git clone --depth 1 https://example.org/a/thing.git && cd thing && make demo # go"
    assert script(cloned) == " mkdir -p thing && cd thing && true "
    assert script("make lint types\nstatecast --help && make test") == " true \nstatecast --help && true "
    with pytest.raises(AssertionError, match="the Makefile has no demmo"):
        script("cd statecast\nmake demmo PYTHON=python3.12")


def test_no_run_is_read_with_its_reason() -> None:
    bare, reasoned = blocks("```bash no-run\nrm x\n```\n<!-- why: it\nwaits -->\n\n```bash no-run\nrm y\n```\n")
    assert (bare.runs, bare.reason) == (False, "")
    assert (reasoned.runs, reasoned.reason) == (False, "why: it\nwaits")
