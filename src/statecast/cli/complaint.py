"""What is wrong with a command line, in one sentence that names options and commands as they are typed.

cyclopts speaks of parameters and of Python's types; this puts what it says into the terms of the help.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Sequence

import cyclopts

from statecast.cli import output
from statecast.cli.options import STDIN
from statecast.config import names
from statecast.errors import nearest
from statecast.synonyms import SETTINGS

VALUES = {int: "a whole number", float: "a number", bool: "no value: it is a switch"}


def sentence(error: cyclopts.CycloptsError, words: Sequence[str], commands: Sequence[str]) -> str:
    """What is wrong, and where to look.

    Args:
        error: what cyclopts found.
        words: the command line as typed, without the program's name.
        commands: the names of all commands.
    """
    command = next((word for word in words if word in commands), "")
    text = _text(error, commands).replace(STDIN, "-")
    see = f"see: statecast {command} --help" if command else "see: statecast --help"
    return f"{text} {see.capitalize()}" if text.endswith("?") else f"{text}; {see}"


def _text(error: cyclopts.CycloptsError, commands: Sequence[str]) -> str:
    match error:
        case cyclopts.UnknownCommandError(unused_tokens=[word, *_]):
            return f"there is no command {word!r}; {nearest(word, commands)}"
        case cyclopts.UnknownOptionError():
            return _unknown_option(error)
        case cyclopts.RepeatArgumentError(token=token):
            return f"{token.keyword or token.value} is given more than once"
        case cyclopts.UnusedCliTokensError():
            return f"{shlex.join(error.unused_tokens or [])}: nothing more was expected here"
        case cyclopts.MissingArgumentError():
            return _missing(error)
        case cyclopts.CoercionError(token=token) if token is not None:
            return _wrong_value(error, token)
        case _:
            return output.one_line(str(error)).rstrip(".")


def _unknown_option(error: cyclopts.UnknownOptionError) -> str:
    word = error.token.keyword or error.token.value
    options = [name for item in error.argument_collection if item.parse for name in item.names if name.startswith("--")]
    name = word.partition("=")[0].removeprefix("--").replace("-", "_")
    setting = SETTINGS.get(name, name)
    if "--set" in options and setting in names():
        return f"there is no option {word}; a setting is given as --set {setting}=…"
    return f"there is no option {word}; {nearest(word, options)}"


def _missing(error: cyclopts.MissingArgumentError) -> str:
    argument = error.argument
    if argument is None:
        return output.one_line(str(error)).rstrip(".")
    name = error.keyword or argument.name
    value = f" {argument.parameter.metavar}" if argument.parameter.metavar and name.startswith("--") else ""
    empty = error.keyword is not None or bool(argument.tokens)
    return f"{name}{value} {'has no value' if empty else 'is missing'}: {_help(error.target, argument.field_info.name)}"


def _help(command: Callable[..., object] | None, name: str) -> str:
    """The first clause of what a command's help says of an argument."""
    text = re.search(rf"^ +{name}: (.*?)(?:[.;]|$)", inspect.getdoc(command) or "", re.MULTILINE)
    return output.one_line(text[1]) if text else "it is needed"


def _wrong_value(error: cyclopts.CoercionError, token: cyclopts.Token) -> str:
    name = token.keyword or (error.argument.name if error.argument else "")
    if error.msg is not None:
        return f"{name}: {error.msg}"
    kind = error.target_type
    return f"{name} {token.value}: expected {VALUES.get(kind, 'another value') if kind else 'another value'}"
