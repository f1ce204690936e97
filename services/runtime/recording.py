"""Counts of recorders and replays as Prometheus metrics, by the same names in every service that has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

RECORDER_METRICS: Final = {
    "calls": "Calls written to the recording",
    "bytes": "Bytes written to the recording's journals",
    "shards": "Parquet shards made of journals",
    "failed": "Calls that could not be written to the recording",
}
REPLAY_METRICS: Final = {
    "in_order": "Calls that got what the same episode got at this point",
    "last_good": "Calls that got the last good answer that anybody got",
    "misses": "Calls that were never recorded",
    "simulated": "Misses that the simulator answered",
}


class CountsCollector(Collector):
    """Counts as Prometheus counters: ``texts`` says what each means."""

    def __init__(self, prefix: str, counts: Any, texts: Mapping[str, str]) -> None:
        self._prefix, self._counts, self._texts = prefix, counts, texts

    def collect(self) -> list[CounterMetricFamily]:
        return [
            CounterMetricFamily(f"{self._prefix}_{name}", text, getattr(self._counts, name))
            for name, text in self._texts.items()
        ]
