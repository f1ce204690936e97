"""The environments behind one service: a toolbox each, opened at start or when the index appears."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from prometheus_client.registry import CollectorRegistry

from services.runtime.recording import RECORDER_METRICS, REPLAY_METRICS, CountsCollector
from services.search.live import LiveWebSettings, open_live, open_share
from services.search.metrics import SchedulerCollector
from services.search.reading import READER_METRICS, OpenReader
from services.search.settings import SearchSettings
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.errors import InvalidInput, SindbadError, Unavailable
from sindbad.retrieval import snapshots
from sindbad.retrieval.index import PageIndex
from sindbad.tools.provider import Provider, ScholarProvider
from sindbad.tools.providers import TitledProvider
from sindbad.tools.providers.opensearch import OpenSearchProvider, OpenSearchSettings
from sindbad.tools.reader import ExcerptReader, PageReader
from sindbad.tools.record import CallRecorder, RecordingProvider, RecordingReader, RecordingScholar
from sindbad.tools.replay import OnMiss, ReplayProvider, ReplayReader, ReplayScholar
from sindbad.tools.scheduler.limits import UNLIMITED
from sindbad.tools.scheduler.provider import Route, ScheduledProvider
from sindbad.tools.scheduler.share import ClusterShare
from sindbad.tools.scheduler.status import SchedulerStatus
from sindbad.tools.simulated import flaky, index_provider, scheduled
from sindbad.tools.toolbox import Toolbox, ToolboxSettings

log = logging.getLogger(__name__)


class Backends:
    """Toolboxes by kind. The simulated one is replaced when a new snapshot of the index appears."""

    def __init__(self, settings: SearchSettings, metrics: CollectorRegistry) -> None:
        self._settings = settings
        self._toolbox = ToolboxSettings(top_k=settings.top_k, max_evidence_chars=settings.max_evidence_characters)
        self._open: dict[EnvironmentKind, Toolbox] = {}
        self._schedulers: dict[EnvironmentKind, ScheduledProvider] = {}
        metrics.register(SchedulerCollector(lambda: self._schedulers, asyncio.get_running_loop()))
        self._snapshot: tuple[int, int] | None = None
        self._recorder: CallRecorder | None = None
        self.share: ClusterShare | None = None
        """Set where replicas divide the live environment's limits; whoever starts the service lets it beat."""
        self._reading = OpenReader(settings.reader, settings.outgoing.channel()) if settings.reader else None
        self._reader = self._reading.reader if self._reading else None
        if self._reader is not None:
            metrics.register(CountsCollector("sindbad_search_reader", self._reader.counts, READER_METRICS))
        if settings.live is not None:
            self._open[EnvironmentKind.LIVE] = self._live(settings.live, metrics)
        if settings.opensearch is not None:
            self._open[EnvironmentKind.SIMULATED] = self._cluster(settings.opensearch)
        if settings.recording is not None:
            self._open[EnvironmentKind.REPLAY] = self._replay(settings.recording, metrics)

    def of(self, kind: EnvironmentKind) -> Toolbox:
        """Raises Unavailable while there is no index yet, InvalidInput for an environment that is not configured."""
        found = self._open.get(kind)
        if found is not None:
            return found
        if kind is EnvironmentKind.SIMULATED and self._settings.index_root is not None:
            message = f"There is no index at {self._settings.index_root} yet; build one."
            raise Unavailable(message, reason="NO_INDEX")
        message = f"The {kind.value} environment is not configured here; see the search service's settings."
        raise InvalidInput(message, reason="ENVIRONMENT_NOT_CONFIGURED")

    @property
    def ready(self) -> bool:
        """Whether the default environment can answer."""
        return self._settings.environment in self._open

    def refresh(self) -> bool:
        """Open the index if it is new; returns whether it was. A damaged one is logged, and the old one stays."""
        root = self._settings.index_root
        stamp = snapshots.stamp(root) if root else None
        if root is None or stamp is None or stamp == self._snapshot:
            return False
        try:
            index = PageIndex(root)
        except SindbadError as error:
            log.warning("the new index can't be used: %s", error.message, extra={"reason": error.reason})
            return False
        self._snapshot = stamp
        self._simulate(index_provider(index, self._settings.simulated_fault_rate, self._settings.seed))
        log.info("index opened", extra={"pages": index.info.pages})
        return True

    def statuses(self, kinds: Collection[EnvironmentKind] = ()) -> list[SchedulerStatus]:
        """What the schedulers say of themselves; of all environments that are open when none is named."""
        return [one.status() for kind, one in self._schedulers.items() if not kinds or kind in kinds]

    async def watch(self, changed: Callable[[], None]) -> None:
        """Look for a new snapshot for ever; ``changed`` is called after one was opened."""
        while True:
            await asyncio.sleep(self._settings.index_poll_seconds)
            if self.refresh():
                changed()

    async def close(self) -> None:
        """Close every toolbox."""
        if self.share is not None:
            await self.share.close()
        for toolbox in self._open.values():
            await toolbox.close()
        if self._reading is not None:
            await self._reading.close()
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)

    def _simulate(self, provider: Provider) -> None:
        """The scheduler stays, with its counts, when a new snapshot takes the old one's place."""
        known = self._schedulers.get(EnvironmentKind.SIMULATED)
        if known is not None:
            known.replace(provider.name, provider)
            return
        scheduler = scheduled(provider, EnvironmentKind.SIMULATED)
        self._schedulers[EnvironmentKind.SIMULATED] = scheduler
        self._open[EnvironmentKind.SIMULATED] = Toolbox(
            EnvironmentKind.SIMULATED, scheduler, self._toolbox, reader=self._reader
        )

    def _cluster(self, cluster: OpenSearchSettings) -> Toolbox:
        """Injected faults stand above the scheduler, which would retry them; the cluster's own below."""
        route = Route(OpenSearchProvider(cluster), self._settings.opensearch_limits)
        scheduler = ScheduledProvider([route], kind=EnvironmentKind.SIMULATED, seed=self._settings.seed)
        self._schedulers[EnvironmentKind.SIMULATED] = scheduler
        provider = flaky(scheduler, self._settings.simulated_fault_rate, self._settings.seed)
        return Toolbox(EnvironmentKind.SIMULATED, provider, self._toolbox, reader=self._reader)

    def _replay(self, recording: Path, metrics: CollectorRegistry) -> Toolbox:
        falls_through = self._settings.on_miss is OnMiss.SIMULATOR
        provider = ReplayProvider(recording, self._simulator if falls_through else None)
        metrics.register(CountsCollector("sindbad_search_replay", provider.recording.counts, REPLAY_METRICS))
        scholar = Route(ReplayScholar(provider.recording), UNLIMITED, ("scholar",), f"{provider.name}-scholar")
        scheduler = scheduled(provider, EnvironmentKind.REPLAY, scholar)
        self._schedulers[EnvironmentKind.REPLAY] = scheduler
        reader = ReplayReader(provider.recording, self._reader or ExcerptReader())
        return Toolbox(EnvironmentKind.REPLAY, scheduler, self._toolbox, scholar=scheduler, reader=reader)

    def _simulator(self) -> Provider | None:
        """Whatever snapshot of the index is open now."""
        simulated = self._open.get(EnvironmentKind.SIMULATED)
        return None if simulated is None else simulated.provider

    def _live(self, live: LiveWebSettings, metrics: CollectorRegistry) -> Toolbox:
        """Titles and recording stand above the scheduler: a title's search is scheduled, a cached answer recorded."""
        scheduler = open_live(live, seed=self._settings.seed)
        self._schedulers[EnvironmentKind.LIVE] = scheduler
        if live.share is not None:
            self.share = open_share(live.share, scheduler)
        provider: Provider = TitledProvider(scheduler)
        scholar: ScholarProvider | None = scheduler if scheduler.serves("scholar") else None
        reader: PageReader | None = self._reader
        if self._settings.record_to is not None:
            self._recorder = CallRecorder(self._settings.record_to)
            metrics.register(CountsCollector("sindbad_search_recorder", self._recorder.counts, RECORDER_METRICS))
            provider = RecordingProvider(provider, self._recorder)
            scholar = RecordingScholar(scholar, self._recorder) if scholar is not None else None
            reader = RecordingReader(reader, self._recorder) if reader is not None else None
        return Toolbox(EnvironmentKind.LIVE, provider, self._toolbox, scholar=scholar, reader=reader)
