"""What can be chosen of a server: each option once, with its default, its help and its bounds.

`statecast serve` takes its options from here, and so do the tests and whoever runs a server inside another program.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, fields
from typing import Any

from statecast.errors import SettingError

DAY = 86_400.0
MIB = 1 << 20


def _option(
    default: Any, help: str, least: float | None = None, most: float | None = None, *, metavar: str | None = None
) -> Any:
    """A field with what it means, its bounds where it is a number, and what a string is, for the command's help."""
    return field(default=default, metadata={"help": help, "least": least, "most": most, "metavar": metavar})


@dataclass(frozen=True)
class Options:
    """The options of a server.

    Raises:
        SettingError: one is out of its bounds.
    """

    host: str = _option(
        "127.0.0.1", "address to listen on; one that other machines can reach needs --tokens", metavar="HOST"
    )
    port: int = _option(8000, "port to listen on; 0 for any free one", 0, 65_535)
    tokens: str | None = _option(
        None, "file of the tokens that callers need, each for read, write or admin", metavar="FILE"
    )
    certificate: str | None = _option(None, "file of a TLS certificate; the server speaks https then", metavar="FILE")
    private_key: str | None = _option(None, "file of its private key, if that is a separate one", metavar="FILE")
    late: int = _option(0, "steps that a row may be late; 0 refuses rows before a series' last one", 0, 1000)
    silence: int = _option(0, "steps behind the latest row at which a series raises an alarm; 0 for none", 0, 1 << 20)
    closed: bool = _option(False, "refuse series that are not known yet")
    window: float = _option(0.002, "seconds for which rows are gathered to be processed together", 0, 1)
    batch: int = _option(8192, "the most rows to process together", 1, 1_000_000)
    checkpoint: float = _option(60.0, "seconds between two rounds of writing states to the store", 0.1, DAY)
    retention: float = _option(0.0, "seconds for which the log is kept behind the states", 0, 3660 * DAY)
    history: float = _option(0.0, "seconds for which past rows are kept to look back at; 0 for ever", 0, 36_600 * DAY)
    keys: float = _option(DAY, "seconds for which an Idempotency-Key is remembered", 1, 366 * DAY)
    body_limit: int = _option(16 * MIB, "the most bytes in a request", 1024, 1 << 30)
    row_limit: int = _option(100_000, "the most rows in a request", 1, 10_000_000)
    series_limit: int = _option(10_000_000, "the most series", 1, 1 << 31)
    gap_limit: int = _option(100_000, "the most steps that a row may skip after its series' last one", 0, 1_000_000)
    id_limit: int = _option(256, "the most characters in an id", 1, 4096)
    queue_limit: int = _option(1_000_000, "rows that may wait before requests are turned away", 1, 1 << 31)
    swap: bool = _option(
        False, "take over the series of another model's store; that model answers until this one is ready"
    )
    address: str = _option(
        "", "address at which other servers of the same database, and their clients, reach this one", metavar="URL"
    )
    shards: int = _option(16, "parts of a new store in a database, no fewer than there will ever be servers", 1, 4096)
    reader_limit: int = _option(1000, "the most readers of events", 1, 1_000_000)
    mqtt: str | None = _option(
        None, "topics to read, as mqtt://HOST/plant/{id}/load; separate several by spaces", metavar="URL"
    )
    connector: str | None = _option(None, "another source of rows: a connector, as MODULE:NAME", metavar="NAME")
    webhook: str | None = _option(None, "address to post alarms to", metavar="URL")
    webhook_secret: str | None = _option(None, "file of the secret that signs them", metavar="FILE")
    log_ids: bool = _option(False, "log each request, including the series that its address names")

    def __post_init__(self) -> None:
        for item in fields(self):
            value, least, most = getattr(self, item.name), item.metadata["least"], item.metadata["most"]
            if least is not None and (isinstance(value, bool) or not least <= value <= most):
                raise SettingError(f"{item.name}: got {value!r}, expected a number from {least:g} to {most:g}")

    @property
    def local(self) -> bool:
        """Whether only programs of the same machine reach the server."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"
