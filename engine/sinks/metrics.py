"""/metrics: the state of the server and the engine in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Values = Mapping[str, float | Mapping[str, float]]

HELP = {
    "listeners": "listeners that are fed",
    "connections": "open WebSocket connections",
    "sessions": "streams of conductors that play",
    "ring_fill_seconds": "audio ahead in the ring",
    "tick_seconds": "the last tick",
    "tick_budget_seconds": "what a tick may take",
    "real_time_factor": "compute time by audio time",
    "lead_seconds": "how long before it is due a chunk is begun",
    "margin_seconds": "of the lead, what is kept in hand beyond the tail of the ticks",
    "spare_seconds": "the least that was left of it in the last 64 chunks",
    "packets_total": "packets made",
    "packets_skipped_total": "packets not sent to a listener that reads slowly",
    "late_restarts_total": "standstills of the feed",
    "filler_seconds_total": "filler sent because the ring ran dry",
    "ring_shortfalls_total": "times the ring ran dry",
    "ticks_total": "blocks made",
    "deadline_misses_total": "blocks made too late",
    "holds_total": "times the present music was held for lack of time",
    "replaced_blocks_total": "blocks replaced by cover audio",
    "cover_blocks_total": "blocks of held music, for whatever reason",
    "workers_replaced_total": "workers given up after three troubles in a row",
    "device_playing": "1 while the sound device plays",
    "device_latency_seconds": "of the device's stream, as the sound system tells it",
    "device_silent_seconds": "since the device's last life sign",
    "device_callbacks_total": "times the device asked for audio",
    "device_underflows_total": "times it was given too late",
    "device_shortfalls_total": "times there was none",
    "device_dropped_packets_total": "packets made while the device did not take them",
    "device_restarts_total": "new starts of the device's process",
    "restarts_total": "new starts of the engine's and of the feed's process",
    "messages_total": "messages received",
    "prompt_changes_total": "changes of the prompts",
    "listeners_gone_total": "connections ended by the server",
    "refused_total": "connections refused",
}


class _Reader(Collector):
    def __init__(self, values: Callable[[], Values]) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        for name, value in self._values().items():
            yield _family(name, value)


def _family(name: str, value: float | Mapping[str, float]) -> Metric:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    labels = ["reason"] if isinstance(value, Mapping) else []
    family = kind(f"perpetuo_{name}", HELP[name], labels=labels)
    samples = value.items() if isinstance(value, Mapping) else [("", value)]
    for label, number in samples:
        family.add_metric([label] if labels else [], number)
    return family


class Metrics:
    """Reads the present values whenever it is asked; keeps none."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, values: Callable[[], Values]) -> None:
        """Metrics by the names of HELP, as numbers, or as numbers by reason."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Reader(values))

    def text(self) -> bytes:
        """The exposition, in the format of `content_type`."""
        return generate_latest(self._registry)
