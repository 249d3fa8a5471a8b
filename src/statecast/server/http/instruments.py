"""What `/metrics` shows, in the text format of Prometheus: requests as they are answered, and the engine as it is.

Labels are names of calls and statuses, never series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from statecast.server.engine.engine import Engine
    from statecast.server.engine.receipts import ChallengerStatus

KIND = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Instruments:
    """The measurements of one server.

    Args:
        engine: what gives the engine, once it is open.
    """

    def __init__(self, engine: Callable[[], Engine | None]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "statecast_requests", "Requests, by call and status.", ["call", "status"], registry=self._registry
        )
        self._acknowledged = Histogram(
            "statecast_acknowledgement_seconds",
            "Seconds from the arrival of rows to the answer that they are on the disk.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._counters: dict[tuple[str, int], Counter] = {}
        self._registry.register(_EngineCollector(engine))

    def count(self, call: str, status: int) -> None:
        """Count a request."""
        counter = self._counters.get((call, status))
        if counter is None:
            counter = self._counters[call, status] = self._requests.labels(call, str(status))
        counter.inc()

    def acknowledge(self, seconds: float) -> None:
        """Note how long rows waited for their acknowledgement."""
        self._acknowledged.observe(seconds)

    def text(self) -> bytes:
        """All measurements."""
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    def __init__(self, engine: Callable[[], Engine | None]) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        engine = self._engine()
        yield GaugeMetricFamily("statecast_ready", "Whether the store is read.", value=float(engine is not None))
        if engine is None:
            return
        status = engine.status()
        gauges = {
            "series": ("Series that are known.", status.series),
            "sequence_number": ("The last sequence number on the disk.", status.seq),
            "waiting_rows": ("Rows that wait to be worked on.", status.queue),
            "checkpoint_age_seconds": ("Seconds since states were last written.", status.checkpoint_age),
            "checkpoint_lag_rows": ("Rows that a start would replay.", status.checkpoint_lag),
            "live_skill": ("1 - error of the forecasts / error of repeating the last value.", status.skill),
        }
        for name, (help, value) in gauges.items():
            yield GaugeMetricFamily(f"statecast_{name}", help, value=float(value))
        rival = status.challenger
        if rival is not None:
            yield from _rival(rival)
        rows = CounterMetricFamily("statecast_rows", "Rows since the start, by what became of them.", labels=["status"])
        for name, count in (("accepted", status.accepted), ("duplicate", status.duplicates)):
            rows.add_metric([name], count)
        rows.add_metric(["rejected"], status.rejected)
        yield rows
        yield CounterMetricFamily("statecast_observations", "Rows ever accepted.", value=status.observations)
        yield CounterMetricFamily("statecast_alarms", "Alarms ever raised.", value=status.alarms)
        sizes = GaugeMetricFamily("statecast_store_bytes", "Bytes of the store, by part.", labels=["part"])
        for name, size in status.sizes.items():
            sizes.add_metric([name], size)
        yield sizes


def _rival(status: ChallengerStatus) -> Iterator[Metric]:
    """How the model does that observes beside the one that answers."""
    gauges = {
        "ready": ("Whether the other model could take over.", status.ready),
        "lag_rows": ("Rows that the other model has yet to observe.", status.lag),
        "live_skill": ("The same as statecast_live_skill, of the other model.", status.skill),
        "better_series": ("Series that the other model forecasts with smaller errors.", status.better),
    }
    for name, (help, value) in gauges.items():
        yield GaugeMetricFamily(f"statecast_challenger_{name}", help, value=float(value))
