"""What can be typed about a server; see `commands` for what a command is.

A token is taken from the environment where it can be, since others of the same machine may read a command line.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from statecast.cli.app import command
from statecast.cli.options import File, Text


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
    """Send the rows of a table to a server, in the order of time.

    A server knows a row by its series and time, and rows before the last one of their series are passed over. So a
    table may be sent again, and what was interrupted is finished by the same command. While the server is away or busy,
    rows are sent again. The exit code is 1 if the server refused a row that it does not hold.

    Args:
        url: the server, such as http://127.0.0.1:8000.
        table: CSV or Parquet file with the columns of the training table, or - for standard input.
        speed: replay at this multiple of the speed at which the rows came: 1 takes as long, 60 an hour in a minute.
            Where times are whole numbers a step is a second. As fast as the server takes them if left out.
        token: one that the server's token file holds; taken from the environment (STATECAST_TOKEN) if left out.
        json: print what came of the rows as one JSON document.
    """
    from statecast.cli import sending

    return sending.run(url, table, speed, token, json)
