"""What stands around a running engine: connectors that bring rows, and the webhook that takes alarms.

They begin when the engine is open and end before it closes, so that their last rows still come in. Both are checked
before anything is opened, so a mistake in an option costs nobody the replay of a log.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from statecast.data.schema import Schema
from statecast.errors import SettingError
from statecast.server import connectors, webhook
from statecast.server.connectors import Connector, Inlet
from statecast.server.engine.engine import Engine
from statecast.server.engine.receipts import Alarm
from statecast.server.mqtt import MqttAddress, MqttConnector
from statecast.server.options import Options
from statecast.server.rows import LiveRows
from statecast.server.webhook import Webhook

Make = Callable[[Schema], Connector]


class Attachments:
    """The connectors and the webhook that options ask for.

    Args:
        options: of the server.

    Raises:
        SettingError: an option cannot be used.
        MissingDependency: what it needs is not installed.
    """

    def __init__(self, options: Options) -> None:
        self._options, self._stack = options, contextlib.ExitStack()
        self._makers: list[Make] = [_mqtt(text) for text in (options.mqtt or "").split()]
        if options.connector is not None:
            factory = connectors.load(options.connector)
            self._makers.append(lambda schema: factory())
        if options.webhook_secret is not None and options.webhook is None:
            raise SettingError("--webhook-secret is of no use without --webhook")
        secret = None if options.webhook_secret is None else _secret(options.webhook_secret)
        if options.webhook is not None:
            self._webhook = self._stack.enter_context(Webhook(options.webhook, secret))

    def start(
        self,
        engine: Engine,
        read: Callable[[Sequence[Any]], LiveRows],
        describe: Callable[[Alarm], Mapping[str, Any]],
    ) -> None:
        """Begin to bring rows and to post alarms.

        Args:
            engine: open.
            read: makes rows of records.
            describe: an alarm as JSON has it.

        Raises:
            SettingError: a connector does not fit the model.
        """
        brought = [make(engine.model.schema) for make in self._makers]
        if self._options.webhook is not None:
            self._post(engine, describe)
        pairs = [(item, Inlet(read, engine.submit, item.name, self._options.log_ids)) for item in brought]
        self._stack.enter_context(connectors.running(pairs))

    def _post(self, engine: Engine, describe: Callable[[Alarm], Mapping[str, Any]]) -> None:
        """Post what a server before this one left, and then what happens."""

        def post(alarms: Sequence[Alarm], seq: int) -> None:
            for alarm in alarms:
                settled = partial(engine.posting.advance, seq) if alarm is alarms[-1] else None
                self._webhook.put(
                    f"{alarm.seq}-{alarm.kind}-{'' if alarm.id is None else alarm.id}", describe(alarm), settled
                )

        seq, alarms = engine.posting.waiting(time.time() - webhook.PATIENCE, webhook.MOST)
        post(alarms, seq)
        if not alarms:
            engine.posting.advance(seq)
        self._stack.callback(engine.subscribe(seq, lambda item: post(item.alarms, item.last)).close)

    def close(self) -> None:
        """End them, connectors first; their last rows come in, and the last alarms have their chance."""
        self._stack.close()


def _mqtt(text: str) -> Make:
    address = MqttAddress.parse(text)
    return lambda schema: MqttConnector(address, schema)


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the secret of the webhook in {path} cannot be read: {error}") from error
