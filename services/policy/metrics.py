"""The engine's counters as Prometheus metrics, read when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sindbad.engines.protocol import Engine

GAUGES = ("running", "waiting")


class EngineCollector(Collector):
    """``sindbad_engine_<name>``: gauges for what is now, counters (``_total``) for what has been."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """One family a figure of ``engine.stats()``, and the version (-1 while there is none)."""
        for name, value in self._engine.stats().items():
            family = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
            yield family(f"sindbad_engine_{name}", f"Engine: {name.replace('_', ' ')}.", value=value)
        version = self._engine.version
        yield GaugeMetricFamily(
            "sindbad_engine_weight_version",
            "Weight version being served; -1 while there is no model.",
            value=-1 if version is None else version,
        )
