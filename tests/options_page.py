"""Writes docs/commands.md, every command with its options, from the command line's own help.

`make settings` runs this file, and a test compares what it would write with what is there.
"""

from __future__ import annotations

import re
from pathlib import Path

from statecast.cli import commands, lookup, service, tuning  # noqa: F401 - they register what can be typed
from statecast.cli.app import app

PLACE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
HEAD = """# Commands and options

What `statecast COMMAND --help` says of each command; [the command line](cli.md) has examples to type along. This page
is written by `make settings`.

"""


def source() -> str:
    """The page: cyclopts' own, without its title and lists of contents, and with the headings of a page.

    Its usage lines name the program that runs, which is pytest in the test.
    """
    text = app.generate_docs(output_format="markdown")
    text = text[text.index("\n## statecast") + 1 :]
    usage = r"^## statecast (\S+)\n\n```console\n.*?( (?:\[|--|[A-Z]).*)\n```$"
    text = re.sub(usage, r"## \1\n\n    statecast \1\2", text, flags=re.MULTILINE)
    return HEAD + "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


if __name__ == "__main__":
    PLACE.write_text(source(), encoding="utf-8")
