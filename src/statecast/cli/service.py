"""What can be typed about a server; see `commands` for what a command is.

A token is taken from the environment where it can be, since others of the same machine may read a command line.
"""

from __future__ import annotations

from dataclasses import asdict, field, fields, make_dataclass
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter

from statecast.cli.app import command
from statecast.cli.options import Count, File, Folder, MaybeFile, Seconds, Text
from statecast.server.options import Options

KINDS: dict[Any, Any] = {bool: bool, int: Count, float: Seconds}


def _typed_options() -> type:
    """The options of a server as those of a command, with their help."""
    kinds, columns = get_type_hints(Options), []
    for item in fields(Options):
        default = item.default if isinstance(item.default, str) else f"{item.default:.12g}" if item.default else ""
        shown = f" ({default})" if default and item.default is not False else ""
        help = Parameter(help=f"{item.metadata['help']}{shown}.")
        metavar = item.metadata["metavar"]
        text = MaybeFile if metavar == "FILE" else Annotated[kinds[item.name], Parameter(metavar=metavar)]
        kind = KINDS.get(kinds[item.name], text)
        columns.append((item.name, Annotated[kind, help], field(default=item.default)))
    made = make_dataclass("ServeOptions", columns, frozen=True)
    made.__module__ = __name__
    return Parameter(name="*")(made)


ServeOptions = _typed_options()


@command("statecast serve loads --late 3")
def serve(model: Folder, /, *, state: Text = None, options: ServeOptions | None = None) -> int:  # type: ignore[valid-type]
    """Serve a model over HTTP: rows in, forecasts out, and the state of every series kept on disk.

    Acknowledged rows are kept, however the server ends; started again with the same store, it carries on where it left
    off. A live page is at its address, and what programs may call is described at /openapi.json. Only programs on the
    same machine may call it, unless --host says otherwise and --tokens says who may do what. Ctrl-C or SIGTERM ends it.

    Args:
        model: folder that fit wrote, or a model file.
        state: folder of the store, or postgresql://…; if left out, a folder next to the model's, with -state added to
            its name.
        options: of the server; see its fields.
    """
    from statecast.cli import serving

    return serving.serve(model, state, Options(**(asdict(options) if options else {})))


@command("statecast token tokens.txt write plant-7")
def token(
    file: File, scope: Annotated[str, Parameter(metavar="SCOPE")], name: Annotated[str, Parameter(metavar="NAME")], /
) -> int:
    """Make a token for a server, print it, and add its hash to a file of tokens.

    A server that runs with this file accepts the token at once. To withdraw a token, delete its line.

    Args:
        file: the file, which is created if it does not exist.
        scope: what the token may do: read, write (and read), or admin (everything).
        name: what to call it.
    """
    from statecast.cli import serving

    return serving.token(file, scope, name)


@command("statecast send http://127.0.0.1:8000 later.csv")
def send(
    url: Annotated[str, Parameter(metavar="URL")],
    table: File,
    /,
    *,
    speed: Annotated[float | None, Parameter(metavar="X")] = None,
    token: Text = None,
    json: bool = False,
) -> int:
    """Send the rows of a table to a server, in order of time.

    A server identifies a row by its series and time, and rows before the last one of their series are skipped. So a
    table may be sent again, and the same command finishes a transfer that was interrupted. While the server is away or
    busy, rows are sent again. The exit code is 1 if the server refused a row that it does not have.

    Args:
        url: the server, such as http://127.0.0.1:8000.
        table: CSV or Parquet file with the columns of the training table, or - for standard input.
        speed: send at this multiple of the speed at which the rows arrived: 1 is real time, 60 sends an hour in a
            minute. If times are whole numbers, a step is a second. As fast as the server takes them if left out.
        token: one from the server's token file; taken from the environment (STATECAST_TOKEN) if left out.
        json: print the result as one JSON document.
    """
    from statecast.cli import sending

    return sending.run(url, table, speed, token, json)


@command("statecast store check loads-state")
def store(
    task: Annotated[str, Parameter(metavar="TASK")], folder: Folder, file: File | None = None, /, *, json: bool = False
) -> int:
    """Keep the store of a server in order, while no server uses it.

    The tasks: check reads all of it and reports what is wrong (exit code 1 if anything is); compact frees space on
    disk; backup copies it to a new file; restore makes a store from such a file, in a folder that has none. A running
    server gives a copy of its store at /v1/backup.

    Args:
        task: check, compact, backup or restore.
        folder: of the store.
        file: of the backup, to be written or read.
        json: print the result as one JSON document.
    """
    from statecast.cli import storing

    return storing.run(task, folder, file, json)
