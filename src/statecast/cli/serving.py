"""`statecast serve` and `statecast token`: see `server.process` and `server.tokens`."""

from __future__ import annotations

import logging
import sys
import warnings

from statecast.cli import output
from statecast.server.options import Options


def serve(model: str, state: str | None, options: Options) -> int:
    """Serve a model until a signal comes; see the command.

    Returns:
        0.
    """
    from statecast.server.http import process

    if options.log_ids:
        log = logging.getLogger("statecast.server")
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)
    with warnings.catch_warnings():
        # A warning may say what a row holds.
        warnings.simplefilter("default" if options.log_ids else "ignore", UserWarning)
        process.run(model, state or str(process.default_state(model)), options, output.note)
    return 0


def token(path: str, scope: str, name: str) -> int:
    """Issue a token; see the command.

    Returns:
        0.
    """
    from statecast.server.http import tokens

    output.say(tokens.issue(path, scope, name))
    output.note(f"{path} holds its hash, as {name}: this is the only time that the token is shown")
    return 0
