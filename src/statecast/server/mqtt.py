"""Rows from an MQTT broker: `mqtt://host:1883/plant/{id}/load` reads the loads of all series of a plant.

The levels of a topic name columns; a message is one row as a JSON object, several as a list, or a bare number for the
only target. Messages are taken with quality of service 1 and acknowledged by hand, after the commit that holds their
rows (MQTT 5.0, section 4.3.2); the session outlives a connection, so the broker keeps what comes while the server is
away. `Receive Maximum` is what bounds memory: the broker sends no more than so many messages ahead of the disk.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import numpy as np

from statecast.data import calendar
from statecast.data.schema import Schema
from statecast.errors import DataError, MissingDependency, SettingError, nearest, shortened
from statecast.server.connectors import Inlet

if TYPE_CHECKING:
    from paho.mqtt.client import Client as PahoClient
    from paho.mqtt.client import MQTTMessage

LOG = logging.getLogger("statecast.server")
ADDRESS = re.compile(
    r"(?P<scheme>mqtts?)://(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<host>\[[^\]]+\]|[^:/?]+)(?::(?P<port>\d+))?/(?P<pattern>[^?]+)(?:\?(?P<query>.*))?"
)
PORTS = {"mqtt": 1883, "mqtts": 8883}
BATCH = 500  # messages that are handed on together
AHEAD = 2000  # messages that the broker may send ahead of the disk
PASSWORD = "STATECAST_MQTT_PASSWORD"  # of the environment, for those who do not want it among the processes
SESSION = 7 * 86_400  # seconds for which the broker keeps messages while the server is away
FIRST_PAUSE, LONGEST_PAUSE = 1, 30  # seconds between two attempts to connect
KEPT_ALIVE = 30  # seconds


@dataclass(frozen=True)
class TopicPattern:
    """Topics whose levels name columns, such as `plant/{id}/load`.

    Attributes:
        text: the pattern. `{id}` is the series, `{column}` any column; `+` and a last `#` are MQTT's.
    """

    text: str

    def __post_init__(self) -> None:
        levels = self.text.split("/")
        names = self.names
        if "#" in "/".join(levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
            raise SettingError(f"{self.text!r} is not a pattern of topics: '#' stands for all levels at the end, alone")
        if any("+" in level and level != "+" for level in levels):
            raise SettingError(f"{self.text!r} is not a pattern of topics: '+' stands for a whole level, alone")
        if re.search(r"[{}]", re.sub(r"\{\w+\}", "", self.text)) or len(set(names)) < len(names):
            raise SettingError(f"{self.text!r} is not a pattern of topics: write columns as {{id}}, each once")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that a topic gives."""
        return tuple(re.findall(r"\{(\w+)\}", self.text))

    @property
    def subscription(self) -> str:
        """What to subscribe to: a level with a column is any level."""
        return "/".join("+" if "{" in level else level for level in self.text.split("/"))

    def read(self, topic: str) -> dict[str, str]:
        """The columns of a topic.

        Raises:
            DataError: it does not match.
        """
        match = self._expression.fullmatch(topic)
        if match is None:
            raise DataError(f"the topic {shortened(topic)} does not match {self.text}")
        return match.groupdict()

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts = re.split(r"(\{\w+\}|(?<![^/])\+(?![^/])|#$)", self.text)
        meanings = {"+": "[^/]*", "#": ".*"}
        rules = (
            f"(?P<{part[1:-1]}>[^/]+)" if part[:1] == "{" else meanings.get(part, re.escape(part)) for part in parts
        )
        return re.compile("".join(rules))


@dataclass(frozen=True)
class MqttAddress:
    """A broker, and what to read there.

    Attributes:
        host: the broker's.
        port: 1883, or 8883 with TLS, where none is named.
        secure: whether the connection is TLS.
        pattern: of the topics.
        user, password: where the broker wants them.
        client: the name of the session at the broker; None for one that follows from this machine and the pattern.
    """

    host: str
    port: int
    secure: bool
    pattern: TopicPattern
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    client: str | None = None

    @classmethod
    def parse(cls, text: str) -> MqttAddress:
        """From `mqtt://user:password@host:port/pattern?client=name`; `mqtts` is TLS.

        Raises:
            SettingError: it is no such address.
        """
        match = ADDRESS.fullmatch(text)
        if match is None:
            raise SettingError(
                f"{text!r} is not an address of topics: expected one such as mqtt://host:1883/plant/{{id}}/load"
            )
        options = dict(parse_qsl(match["query"] or "", keep_blank_values=True))
        strange = next((name for name in options if name != "client"), None)
        if strange is not None:
            raise SettingError(f"{text!r}: there is no option {strange!r}; {nearest(strange, ['client'])}")
        port = int(match["port"] or PORTS[match["scheme"]])
        if not 0 < port < 65_536:
            raise SettingError(f"{text!r}: {port} is not a port")
        user, password = (None if match[name] is None else unquote(match[name]) for name in ("user", "password"))
        pattern = TopicPattern(match["pattern"])
        host = match["host"].strip("[]")
        return cls(host, port, match["scheme"] == "mqtts", pattern, user, password, options.get("client"))

    @property
    def session(self) -> str:
        """The name of the session: the same after a restart, another on another machine."""
        if self.client is not None:
            return self.client
        text = f"{socket.gethostname()} {self.host}:{self.port} {self.pattern.text}"
        return f"statecast-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


class MessageReader:
    """Makes rows of messages.

    Args:
        pattern: of the topics.
        schema: of the model.
        clock: seconds since 1970.

    Raises:
        SettingError: the pattern names a column that the model has not.
    """

    def __init__(self, pattern: TopicPattern, schema: Schema, clock: Any = time.time) -> None:
        self._pattern, self._schema, self._clock = pattern, schema, clock
        columns = {schema.id_column: schema.id_column, "id": schema.id_column} | {name: name for name in schema.columns}
        strange = next((name for name in pattern.names if name not in columns), None)
        if strange is not None:
            raise SettingError(f"{pattern.text!r}: the model has no column {strange!r}; {nearest(strange, columns)}")
        if schema.id is not None and not {"id", schema.id} & set(pattern.names):
            LOG.info("%s names no series, so each message must", pattern.text)
        self._columns = columns

    def read(self, topic: str, payload: bytes, retained: bool = False) -> list[dict[str, Any] | DataError]:
        """The rows of a message; in place of one that is none, why.

        A row without a time has that of the step in which it came; one that the broker had kept since some time
        before has none at all.
        """
        try:
            named = {self._columns[name]: text for name, text in self._pattern.read(topic).items()}
            items = _decoded(payload)
        except DataError as error:
            return [error]
        return [self._row(item, named, retained) for item in (items if isinstance(items, list) else [items])]

    def _row(self, item: Any, named: Mapping[str, str], retained: bool) -> dict[str, Any] | DataError:
        schema = self._schema
        if isinstance(item, Mapping):
            row = {**item, **named}  # a broker's rules are about topics, so what a topic says counts
        elif (item is None or isinstance(item, int | float)) and not isinstance(item, bool):
            if len(schema.target) > 1:
                return DataError(f"a bare number where there are {len(schema.target)} targets: send a JSON object")
            row = {schema.target[0]: item, **named}
        else:
            return DataError(f"{shortened(item)} is not a row: send a number, or a JSON object of columns")
        if schema.time_kind in ("date", "datetime") and schema.time is not None and schema.time not in row:
            if retained:
                return DataError("a message that the broker had kept, of which nobody knows when it came")
            row[schema.time] = self._now()
        return row

    def _now(self) -> str:
        """The beginning of the present step, as text."""
        schema = self._schema
        now = np.array([int(self._clock() * 1e6)])
        start = calendar.step_starts(now, schema.frequency, schema.tz).astype("M8[us]")[0]
        return f"{start}{'Z' if schema.tz else ''}"


class MqttConnector:
    """Brings rows from a broker; see `connectors.Connector`.

    Args:
        address: of the broker and its topics.
        schema: of the model.

    Raises:
        SettingError: the pattern names a column that the model has not.
        MissingDependency: paho-mqtt is not installed.
    """

    def __init__(self, address: MqttAddress, schema: Schema) -> None:
        self.name = f"MQTT {address.host}:{address.port}/{address.pattern.text}"
        self._address, self._reader = address, MessageReader(address.pattern, schema)
        self._messages: deque[tuple[int, MQTTMessage]] = deque()
        self._arrived, self._stopping = threading.Condition(), False
        self._connection = 0  # how many there were: a message can be acknowledged on the one that brought it alone
        self._client = self._made()

    def run(self, inlet: Inlet) -> None:
        """Read messages until `stop` is called; connects again, however often the connection is lost."""
        forwarder = threading.Thread(target=self._forward, args=(inlet,), name=f"{self.name} rows", daemon=True)
        forwarder.start()
        self._client.connect_async(
            self._address.host,
            self._address.port,
            KEPT_ALIVE,
            clean_start=False,
            properties=_properties("CONNECT", SessionExpiryInterval=SESSION, ReceiveMaximum=AHEAD),
        )
        self._client.loop_forever(retry_first_connection=True)
        self.stop()
        forwarder.join()

    def stop(self) -> None:
        """End the connection; the session stays at the broker."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify_all()
        self._client.disconnect()

    def _made(self) -> PahoClient:
        mqtt = _library()
        client: PahoClient = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, self._address.session, protocol=mqtt.MQTTv5, manual_ack=True
        )
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password or os.environ.get(PASSWORD))
        if self._address.secure:
            client.tls_set()
        client.reconnect_delay_set(FIRST_PAUSE, LONGEST_PAUSE)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_disconnect, client.on_message = self._on_disconnect, self._on_message
        return client

    # --- called by paho, in the thread of `run`

    def _on_connect(self, client: PahoClient, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            LOG.error("%s refuses the connection: %s", self.name, reason)
            return
        with self._arrived:
            self._connection += 1
        import paho.mqtt.subscribeoptions as subscribing

        # Not once more on each connection: a value that the broker keeps would be taken for a new one.
        handling = subscribing.SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        options = subscribing.SubscribeOptions(qos=1, retainHandling=handling)
        client.subscribe(self._address.pattern.subscription, options=options)

    def _on_subscribe(self, client: PahoClient, data: Any, mid: int, reasons: Any, properties: Any) -> None:
        for reason in reasons:
            if reason.is_failure:
                LOG.error("%s refuses the subscription: %s", self.name, reason)
            else:
                LOG.info("%s is subscribed", self.name)

    def _on_disconnect(self, client: PahoClient, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if not self._stopping:
            LOG.warning("%s has lost its connection (%s) and connects again", self.name, reason)

    def _on_message(self, client: PahoClient, data: Any, message: MQTTMessage) -> None:
        with self._arrived:
            self._messages.append((self._connection, message))
            self._arrived.notify()

    # --- in the thread that hands rows on

    def _forward(self, inlet: Inlet) -> None:
        try:
            while messages := self._next():
                records = [row for _, m in messages for row in self._reader.read(m.topic, bytes(m.payload), m.retain)]
                inlet.put(records, lambda messages=messages: self._acknowledge(messages))  # type: ignore[misc]
        finally:
            self.stop()

    def _next(self) -> list[tuple[int, MQTTMessage]]:
        with self._arrived:
            self._arrived.wait_for(lambda: self._messages or self._stopping)
            if self._stopping:
                return []
            return [self._messages.popleft() for _ in range(min(BATCH, len(self._messages)))]

    def _acknowledge(self, messages: list[tuple[int, MQTTMessage]]) -> None:
        for connection, message in messages:
            if connection == self._connection and message.qos > 0:
                self._client.ack(message.mid, message.qos)


def _decoded(payload: bytes) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(payload)
    except (ValueError, RecursionError) as error:  # of ValueError msgspec.DecodeError is one
        raise DataError(f"{shortened(payload)} is not JSON: send a number, or an object of columns") from error


def _library() -> Any:
    try:
        import paho.mqtt.client
    except ImportError as error:
        raise MissingDependency.of("paho-mqtt", "mqtt", "reading MQTT") from error
    return paho.mqtt.client


def _properties(packet: str, **values: int) -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties: Any = Properties(getattr(PacketTypes, packet))  # type: ignore[no-untyped-call] # paho's own gap
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
