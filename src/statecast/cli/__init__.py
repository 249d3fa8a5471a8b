"""The command line: parse, call, exit code.

`commands`, `service`, `lookup` and `tuning` hold what can be typed, with its help; `output` is the only place that
prints; the other files do the jobs that take more than one call. Whatever goes wrong becomes one line on standard error
and an exit code: 1 if the job failed, 2 if the call is wrong. Each command imports the libraries that it needs, so that
help appears at once and a forecast loads no training library.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence

from statecast.cli import cell_modules, output
from statecast.errors import Interrupted, MissingDependency, SettingError, StatecastError, UnknownCell

SIGPIPE = getattr(signal, "SIGPIPE", 13)  # Windows has no such signal, and breaks a pipe all the same
FAILED, WRONG_CALL, INTERRUPTED, UNREAD = 1, 2, 128 + signal.SIGINT, 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: what was typed after `statecast`; taken from this process if None.

    Returns:
        The exit code: 0, 1 (the job failed), 2 (the call is wrong), or 128 and the number of the signal that ended it:
        130 (Ctrl-C), 141 (nobody reads the output), 143 (a stream was told to end).
    """
    _write_utf8()
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        with _warnings_as_lines():
            code = _run([word for word in words if word != "--debug"])
            sys.stdout.flush()
            return code
    except (KeyboardInterrupt, Interrupted) as error:
        return _failed(error, INTERRUPTED, debug)
    except SettingError as error:
        return _failed(error, WRONG_CALL, debug)
    except Exception as error:
        if not _reader_is_gone(error):
            return _failed(error, FAILED, debug)
        _close_output()
        return UNREAD


def _run(words: list[str]) -> int:
    try:
        import cyclopts
    except ImportError as error:
        raise MissingDependency.of("cyclopts", "cli", "the command line") from error
    from statecast.cli import app, commands, complaint, lookup, service, tuning  # noqa: F401 - in the order of the help

    rest = cell_modules.import_named(words)
    try:
        return app.run(rest, words)
    except cyclopts.CycloptsError as error:
        raise SettingError(complaint.sentence(error, rest, app.names())) from error


def _failed(error: BaseException, code: int, debug: bool) -> int:
    if debug:
        output.note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, KeyboardInterrupt):
        output.error("interrupted")
    elif isinstance(error, StatecastError):
        hint = f"; here: add {cell_modules.OPTION} MODULE" if isinstance(error, UnknownCell) else ""
        output.error(output.in_options(str(error)) + hint)
    else:
        hint = "" if debug else "; this is a fault of statecast: please run it again with --debug and report the output"
        output.error(f"{type(error).__name__}: {error}{hint}")
    return code


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show the warnings that statecast gives its users as lines; those that libraries give developers are dropped."""
    messages: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        if category is UserWarning and str(message) not in messages:
            messages.add(str(message))
            output.warning(output.in_options(str(message)))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _write_utf8() -> None:
    """What goes to a file or a pipe is UTF-8 everywhere; a terminal shows a question mark for what it has no sign for.

    Windows would choose the encoding of its old programs, in which there is no minus sign.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() != "utf-8":
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def _reader_is_gone(error: Exception) -> bool:
    """Whether the reader of the output has seen enough (`| head`), which Windows says in words of its own."""
    if sys.platform == "win32" and isinstance(error, OSError):
        return error.errno in (errno.EINVAL, errno.EPIPE) and error.filename is None
    return isinstance(error, BrokenPipeError)


def _close_output() -> None:
    """The interpreter flushes once more as it ends, and would complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
