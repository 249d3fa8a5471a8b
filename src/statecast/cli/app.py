"""The command line itself: what a command is, and how words become a call.

A command is a function with typed parameters, which are the options; its docstring is the help.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, Parameter

from statecast.cli import output
from statecast.cli.options import STDIN

app = App(
    name="statecast",
    help="Train a recurrent network on your series once, then carry its state everywhere.",
    help_epilogue="To try it: "
    "statecast fit $(statecast example air_passengers) --horizon 12 --out air\n\n"
    "Every command takes --debug, which shows where an error came from, and --cells MODULE, which imports a module "
    "with your own cells.",
    group_parameters="Options",
    help_format="plaintext",  # Markdown would take as long to load as all the rest
    default_parameter=Parameter(negative=(), show_default=False),
)


def run(words: Sequence[str], typed: Sequence[str]) -> int:
    """Run the command that these words ask for, and return its exit code.

    Args:
        words: the command line, without what concerns all commands.
        typed: all of it, for commands that say how to go on.

    Raises:
        CycloptsError: the words are not a command line.
    """
    if "--version" in words[:1]:
        from statecast.model.container import version

        output.say(version())
        return 0
    if not words:
        from statecast.cli import welcome

        return welcome.run()
    tokens = [STDIN if word == "-" else word for word in words]
    quiet = {"exit_on_error": False, "print_error": False, "help_on_error": False}
    command, bound, *_ = app.parse_args(tokens, **quiet)  # type: ignore[arg-type]
    COMMAND_LINE[:] = typed
    return int(command(*bound.args, **bound.kwargs) or 0)


COMMAND_LINE: list[str] = []  # as typed, for commands that say how to go on


def names() -> list[str]:
    """All commands, in the order of the help."""
    return [name for name in app if not name.startswith("-")]


def command(example: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A command of the app, whose help is its docstring up to the arguments, followed by an example."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        description, _, arguments = (inspect.getdoc(function) or "").partition("\n\nArgs:\n")
        text = "\n\n".join(output.one_line(paragraph) for paragraph in description.split("\n\n"))
        # Lines are broken to the width of the terminal, not where they are broken here.
        arguments = re.sub(r"\n {8,}", " ", arguments)
        function.__doc__ = f"{text}\n\nArgs:\n{arguments}"
        app.command(function, help=text, help_epilogue=f"Example: {example}", sort_key=len(list(app)))
        return function

    return add
