"""The search service over gRPC: contracts, environments, malformed requests, an index that appears later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web

from services.runtime import RunningService, start_service
from services.search.live import LiveWebSettings
from services.search.service import NAME, build
from services.search.settings import SearchSettings
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.clients import ToolClient
from sindbad.clients.search_status import from_proto, to_proto
from sindbad.retrieval.index import PageIndex
from sindbad.retrieval.index import build as build_index
from sindbad.retrieval.opensearch import OpenSearchIndex
from sindbad.retrieval.page import Page
from sindbad.tools import loopback_web
from sindbad.tools.environment import TRANSLATION, Caller, Purpose, Scope, ToolCall
from sindbad.tools.loopback_web import Faults, RunningWeb
from sindbad.tools.providers.opensearch import OpenSearchSettings
from sindbad.tools.render import Style
from sindbad.tools.scheduler.breaker import Health
from sindbad.tools.scheduler.limits import MoneyPolicy, ProviderLimits, RetryPolicy
from sindbad.tools.scheduler.provider import DEGRADED
from sindbad.tools.scheduler.status import BudgetStatus, CacheStatus, FlowStatus, ProviderStatus, SchedulerStatus
from sindbad.tools.simulated import simulated_environment
from sindbad.tools.toolbox import NO_SCHOLAR, ToolboxSettings
from sindbad.v1 import common_pb2, search_pb2, search_pb2_grpc
from tests.contract.malformed import assert_survives_malformed
from tests.contract.opensearch_server import OpenSearchNode
from tests.unit.tools.corpus import pages, worlds
from tests.unit.tools.loopback import site

EN = Scope("w0001", "en")


@pytest.fixture(scope="module")
def index_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "snapshot"
    build_index(pages(), folder)
    return folder


def live_web(web: RunningWeb, **limits: Any) -> LiveWebSettings:
    """Searches and pages of a loopback web, each under these limits."""
    search, pages = {"kind": "searxng", "url": web.search_url}, {"kind": "http", "allowed_hosts": web.allowed_hosts}
    return LiveWebSettings(
        providers=[
            {"provider": search, "limits": ProviderLimits(**limits)},
            {"provider": pages, "limits": ProviderLimits(by_host=True, **limits)},
        ]
    )


@asynccontextmanager
async def serving(settings: SearchSettings) -> AsyncIterator[tuple[RunningService, Any]]:
    async with (
        await start_service("search", settings, build) as service,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        yield service, search_pb2_grpc.SearchStub(channel)


def examples() -> Iterable[ToolCall]:
    world = worlds()[0]
    fact = world.facts[5]
    name = world.name(fact.subject, "en")
    yield ToolCall("search", {"query": [world.sentence(fact, "en").removeprefix(name)]})
    yield ToolCall("search", {"query": ["zzzz"]})
    yield ToolCall("visit", {"urls": [name, world.url(fact.object, "en")], "goal": "where"})
    yield ToolCall("visit", {"urls": ["Nobody"], "goal": "where"})


@pytest.mark.parametrize("style", list(Style))
async def test_the_service_shows_what_the_environment_in_process_shows(index_root: Path, style: Style) -> None:
    local = simulated_environment(index_root, ToolboxSettings(style=style, top_k=3))
    async with (
        serving(SearchSettings(index_root=index_root)) as (service, _),
        ToolClient(service.address, style=style, top_k=3) as client,
    ):
        for call in examples():
            wanted = await local.call(call, EN, deadline_seconds=5)
            seen = await client.call(call, EN, deadline_seconds=5)
            assert (seen.text, seen.ok, seen.urls, seen.error, seen.source) == (
                wanted.text, wanted.ok, wanted.urls, wanted.error, "index",
            )  # fmt: skip


async def test_results_come_structured_beside_the_observation(index_root: Path) -> None:
    async with serving(SearchSettings(index_root=index_root, default_corpus="w0001")) as (_, stub):
        page = worlds()[0].pages("en")[0]
        found = await stub.Search(search_pb2.SearchRequest(queries=[page.title, "zzzz"], top_k=2))
        assert [row.query for row in found.results] == [page.title, "zzzz"]
        assert [len(row.hits) for row in found.results] == [2, 0]
        assert found.results[0].hits[0].url == page.url
        budget = search_pb2.VisitBudget(max_characters=40)
        read = await stub.Visit(search_pb2.VisitRequest(urls_or_titles=[page.title, "Nobody"], budget=budget))
        assert [(p.requested, p.url, p.truncated, bool(p.error)) for p in read.pages] == [
            (page.title, page.url, True, False),
            ("Nobody", "", False, True),
        ]
        assert len(read.pages[0].evidence) <= 40
        assert read.observation.ok


async def test_live_and_simulated_are_chosen_per_request_and_can_be_recorded_and_replayed(
    index_root: Path, tmp_path: Path
) -> None:
    faults, recording = Faults(0.0, 0.005, error=0.1, truncate=0.1), tmp_path / "recording"
    async with await loopback_web.start(PageIndex(index_root), faults) as web:
        live = live_web(web, retry=RetryPolicy(attempts=8))
        settings = SearchSettings(index_root=index_root, live=live, record_to=recording, top_k=3)
        async with serving(settings) as (service, _):
            texts = {kind: await _texts(service, kind) for kind in (EnvironmentKind.SIMULATED, EnvironmentKind.LIVE)}
            assert b'sindbad_tools_attempts_total{environment="live",outcome="ok",provider="searxng"}' in (
                _exposition(service)
            )
    assert texts[EnvironmentKind.SIMULATED] == texts[EnvironmentKind.LIVE]
    replay = SearchSettings(recording=recording, environment=EnvironmentKind.REPLAY, top_k=3)
    async with serving(replay) as (service, _):
        assert await _texts(service, EnvironmentKind.REPLAY) == texts[EnvironmentKind.LIVE]


def _exposition(service: RunningService) -> bytes:
    from prometheus_client import generate_latest

    return generate_latest(service.context.metrics)


async def _texts(service: RunningService, kind: EnvironmentKind) -> list[str]:
    async with ToolClient(service.address, kind=kind) as client:
        return [(await client.call(call, EN, deadline_seconds=10)).text for call in examples()]


async def test_a_page_read_for_itself_says_where_it_is_in_other_languages_also_from_cache_and_recording(
    tmp_path: Path,
) -> None:
    async def handler(request: web.Request) -> web.Response:
        hrefs = {"ar": "//ar.x.example/w/y", "x": "j:", "y": "https://["}
        links = [f'<link rel="alternate" hreflang="{code}" href="{href}">' for code, href in hrefs.items()]
        text = f"<html><head>{''.join(links)}</head><body><p>A page about a town.</p></body></html>"
        return web.Response(text=text, content_type="text/html")

    async def told(service: RunningService, kind: EnvironmentKind, goal: str) -> dict[str, str]:
        async with ToolClient(service.address, kind=kind) as client:
            call = ToolCall("visit", {"urls": ["http://en.x.example/w/z"], "goal": goal})
            seen = await client.call(call, EN, deadline_seconds=5)
        assert seen.ok
        return {key: value for key, value in seen.metadata.items() if key.startswith(TRANSLATION)}

    wanted = {f"{TRANSLATION}ar": "http://ar.x.example/w/y"}
    async with site(handler) as server:
        pages = {"kind": "http", "allowed_hosts": {"*": f"127.0.0.1:{server.port}"}}
        live = LiveWebSettings(providers=[{"provider": pages, "limits": ProviderLimits(by_host=True)}])
        async with serving(SearchSettings(live=live, record_to=tmp_path / "recording")) as (service, _):
            assert await told(service, EnvironmentKind.LIVE, "") == wanted
            assert await told(service, EnvironmentKind.LIVE, "") == wanted
            assert await told(service, EnvironmentKind.LIVE, "where is it?") == {}
        asked = len([path for path in server.asked if path == "/w/z"])
    assert asked == 1, "the cache had it"
    replay = SearchSettings(recording=tmp_path / "recording", environment=EnvironmentKind.REPLAY)
    async with serving(replay) as (service, _):
        assert await told(service, EnvironmentKind.REPLAY, "") == wanted


async def test_scholar_without_a_provider_degrades_to_an_observation(index_root: Path) -> None:
    async with serving(SearchSettings(index_root=index_root)) as (_, stub):
        reply = await stub.Scholar(search_pb2.ScholarRequest(queries=["graph"]))
        assert (reply.observation.ok, reply.observation.error) == (False, NO_SCHOLAR)
        assert [row.query for row in reply.results] == ["graph"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"queries": [""]},
        {"queries": ["x"] * 11},
        {"queries": ["x" * 3000]},
        {"queries": ["x"], "top_k": 4_000_000_000},
        {"queries": ["x"], "environment": 77},
        {"queries": ["x"], "style": -3},
        {"queries": ["x"], "corpus": "c" * 500},
        {"queries": ["x"], "environment": common_pb2.ENVIRONMENT_LIVE},
    ],
)
async def test_wrong_requests_are_invalid_arguments(index_root: Path, fields: dict[str, Any]) -> None:
    async with serving(SearchSettings(index_root=index_root)) as (_, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Search(search_pb2.SearchRequest(**fields))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
async def test_budgets_that_are_no_budgets_are_invalid_arguments(index_root: Path, seconds: float) -> None:
    async with serving(SearchSettings(index_root=index_root)) as (_, stub):
        budget = search_pb2.VisitBudget(max_seconds=seconds)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Visit(search_pb2.VisitRequest(urls_or_titles=["x"], budget=budget))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_malformed_requests_get_a_clean_status_and_the_service_stays_up(index_root: Path) -> None:
    async with serving(SearchSettings(index_root=index_root)) as (service, _):
        seen = await assert_survives_malformed(service.address, [NAME])
        assert seen["INVALID_ARGUMENT"] > 300


async def test_an_index_that_appears_later_and_one_that_replaces_it_are_picked_up(tmp_path: Path) -> None:
    settings = SearchSettings(index_root=tmp_path / "i", index_poll_seconds=0.02)
    async with serving(settings) as (service, stub):
        assert service.context.serving == {NAME: False}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Search(search_pb2.SearchRequest(queries=["x"], corpus="w0001"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        for world in worlds():
            build_index(world.pages("en"), tmp_path / "i")
            title = world.entities[0].names["en"]
            request = search_pb2.SearchRequest(queries=[title], corpus=world.world_id)
            async with asyncio.timeout(10):
                while not service.context.serving[NAME] or not (await stub.Search(request)).results[0].hits:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


# ---- the scheduler behind the service
async def test_status_says_over_the_wire_what_the_scheduler_knows(index_root: Path) -> None:
    async with await loopback_web.start(PageIndex(index_root), Faults(0.0, 0.0)) as web:
        limits = {"rate": {"per_second": 50}, "money": {"prices": {"search": 0.001}}}
        settings = SearchSettings(index_root=index_root, live=live_web(web, **limits), top_k=3)
        async with serving(settings) as (service, _), asking(service, EnvironmentKind.LIVE) as client:
            call = ToolCall("search", {"query": [worlds()[0].entities[0].names["en"]]})
            scope = Scope("w0001", "en", caller=Caller("grpo-1", Purpose.EVALUATION, "e7"))
            seen = [await client.call(call, scope, deadline_seconds=10) for _ in range(2)]
            statuses = {one.environment: one for one in (await client.status())[service.address]}
    assert [(one.source, one.cost) for one in seen] == [("searxng", 0.001), ("cache", 0.0)]
    live = statuses[EnvironmentKind.LIVE]
    search, pages = live.providers
    assert (search.name, search.tools, search.health, search.rate_limit) == (
        "searxng",
        ("search",),
        Health.CLOSED,
        50.0,
    )
    assert (search.outcomes, search.budget.spent_today, pages.outcomes) == ({"ok": 1}, 0.001, {})
    assert (search.budget.daily_limit, search.tokens is not None) == (None, True)
    assert live.cache is not None
    assert (live.cache.kind, live.cache.hits, live.cache.misses) == ("memory", 1, 1)
    assert live.flows == (FlowStatus("grpo-1", Purpose.EVALUATION, calls=2, shared=1, spent=0.001),)
    assert statuses[EnvironmentKind.SIMULATED].providers[0].name == "index"


async def test_status_can_be_asked_of_one_environment_and_says_no_to_an_unknown_one(index_root: Path) -> None:
    async with serving(SearchSettings(index_root=index_root)) as (_, stub):
        asked = [common_pb2.ENVIRONMENT_SIMULATED]
        reply = await stub.Status(search_pb2.SearchStatusRequest(environments=asked))
        assert [one.environment for one in reply.environments] == asked
        live = search_pb2.SearchStatusRequest(environments=[common_pb2.ENVIRONMENT_LIVE])
        assert not (await stub.Status(live)).environments
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Status(search_pb2.SearchStatusRequest(environments=[99]))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_status_survives_its_message() -> None:
    full = SchedulerStatus(
        EnvironmentKind.LIVE,
        (
            ProviderStatus(
                "serper", ("search", "scholar"), Health.HALF_OPEN, 1.5, 3.0, 10.0, 4, 64, 7, 0.25, 1.5,
                BudgetStatus(0.5, 0.001, 2.0, None), {"ok": 3, "fault": 1}, 2, 1, {"breaker": 5}, 3,
            ),
            ProviderStatus("index"),
        ),
        CacheStatus("sqlite", 1, 2, 3, 4, 5, None),
        (FlowStatus("r", Purpose.USER, 5, 4, 3, 2, 0.5),),
        9, 8, 7, 6, 5,
    )  # fmt: skip
    assert from_proto(to_proto(full)) == full
    assert from_proto(to_proto(SchedulerStatus())) == SchedulerStatus()


async def test_new_snapshots_of_the_index_keep_the_counts(tmp_path: Path) -> None:
    settings = SearchSettings(index_root=tmp_path / "i", index_poll_seconds=0.02)
    async with serving(settings) as (service, stub), asking(service) as client:
        for number, world in enumerate(worlds(), 1):
            build_index(world.pages("en"), tmp_path / "i")
            request = search_pb2.SearchRequest(queries=[world.entities[0].names["en"]], corpus=world.world_id)
            async with asyncio.timeout(10):
                while not service.context.serving[NAME] or not (await stub.Search(request)).results[0].hits:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            (status,) = (await client.status())[service.address]
            assert status.calls >= number


async def test_a_scholar_that_is_down_degrades_to_a_notice_and_a_spent_budget_to_words(
    index_root: Path, tmp_path: Path
) -> None:
    nobody = "http://127.0.0.1:9/"
    once = ProviderLimits(retry=RetryPolicy(attempts=1))
    poor = ProviderLimits(money=MoneyPolicy(prices={"search": 0.01}, daily=0.005))
    live = LiveWebSettings(
        providers=[{"provider": {"kind": "searxng", "url": nobody}, "limits": poor}],
        scholar=[{"provider": {"kind": "openalex", "url": nobody}, "limits": once}],
        ledger={"kind": "sqlite", "path": tmp_path / "ledger.db"},
    )
    settings = SearchSettings(live=live, environment=EnvironmentKind.LIVE)
    async with serving(settings) as (_, stub):
        scholar = (await stub.Scholar(search_pb2.ScholarRequest(queries=["graph"]))).observation
        assert (scholar.ok, scholar.error) == (False, DEGRADED.format(tool="scholar"))
        assert scholar.metadata["degraded"] == "true"
        search = (await stub.Search(search_pb2.SearchRequest(queries=["graph"]))).observation
        assert (search.ok, search.error) == (False, "today's budget for search is spent; go on without it")


async def test_a_visit_spends_no_more_than_its_caller_s_purse(index_root: Path) -> None:
    async with await loopback_web.start(PageIndex(index_root), Faults(0.0, 0.0)) as web:
        live = live_web(web, money={"prices": {"visit": 0.01}})
        async with serving(SearchSettings(live=live, environment=EnvironmentKind.LIVE)) as (_, stub):
            urls = [page.url for page in worlds()[0].pages("en")[:4]]
            budget = search_pb2.VisitBudget(max_cost=0.02)
            reply = await stub.Visit(search_pb2.VisitRequest(urls_or_titles=urls, corpus="w0001", budget=budget))
    assert sum(not page.error for page in reply.pages) == 2
    assert reply.observation.cost == 0.02


async def test_what_a_day_has_cost_survives_a_restart(index_root: Path, tmp_path: Path) -> None:
    async with await loopback_web.start(PageIndex(index_root), Faults(0.0, 0.0)) as web:
        search = {"kind": "searxng", "url": web.search_url}
        limits = ProviderLimits(money=MoneyPolicy(prices={"search": 0.01}, daily=0.02))
        live = LiveWebSettings(
            providers=[{"provider": search, "limits": limits}],
            cache={"kind": "none"},
            ledger={"kind": "sqlite", "path": tmp_path / "ledger.db"},
        )
        settings = SearchSettings(live=live, environment=EnvironmentKind.LIVE, default_corpus="w0001")
        answered = []
        for _ in range(3):
            async with serving(settings) as (_, stub):
                reply = await stub.Search(search_pb2.SearchRequest(queries=["born"]))
                answered.append(reply.observation.ok)
    assert answered == [True, True, False]


def test_a_budget_without_a_ledger_is_refused_at_start() -> None:
    money = MoneyPolicy(daily=1.0)
    row = {"provider": {"kind": "searxng", "url": "http://x/"}, "limits": ProviderLimits(money=money)}
    with pytest.raises(ValueError, match="ledger"):
        LiveWebSettings(providers=[row])


async def test_the_metrics_endpoint_shows_every_scheduler_from_its_own_thread(index_root: Path) -> None:
    async with serving(SearchSettings(index_root=index_root, default_corpus="w0001")) as (service, stub):
        await stub.Search(search_pb2.SearchRequest(queries=["x"]))
        shown = (await asyncio.to_thread(_exposition, service)).decode()
    for line in (
        'sindbad_tools_calls_total{environment="simulated"} 1.0',
        'sindbad_tools_attempts_total{environment="simulated",outcome="ok",provider="index"} 1.0',
        'sindbad_tools_breaker_state{environment="simulated",provider="index"} 0.0',
        'sindbad_tools_wait_seconds_count{environment="simulated",provider="index"} 1.0',
    ):
        assert line in shown
    assert "daily_budget_left_dollars{" not in shown


async def test_tools_status_prints_a_table_and_json_and_fails_when_nobody_answers(index_root: Path) -> None:
    async with serving(SearchSettings(index_root=index_root, default_corpus="w0001")) as (service, stub):
        await stub.Search(search_pb2.SearchRequest(queries=["x"], caller=common_pb2.Caller(run="grpo-1")))
        table = await asyncio.to_thread(_command, "tools", "status", "--address", service.address)
        plain = await asyncio.to_thread(_command, "tools", "status", "--address", service.address, "--json")
    assert table.exit_code == 0, table.output
    assert all(word in table.output for word in ("index", "closed", "1 calls", "grpo-1", "training"))
    (status,) = json.loads(plain.output)[service.address]
    assert (status["environment"], status["providers"][0]["outcomes"]) == ("simulated", {"ok": 1})
    gone = await asyncio.to_thread(_command, "tools", "status", "--address", "127.0.0.1:9")
    assert gone.exit_code == 1
    assert "no answer" in gone.output


def _command(*arguments: str) -> Any:
    from typer.testing import CliRunner

    from sindbad.cli.main import app

    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


async def test_an_opensearch_index_stands_where_the_embedded_one_does_and_its_faults_are_retried() -> None:
    node = await OpenSearchNode().start()
    cluster = OpenSearchSettings(urls=(node.url,), index="wiki")
    index = OpenSearchIndex(cluster)
    build = await index.begin("job")
    await build.add([Page("https://w.org/en/muscat", "Muscat", "Muscat is the capital of Oman.", "en", "w")])
    await build.publish({"read": 1})
    await index.close()
    async with serving(SearchSettings(opensearch=cluster, default_corpus="w")) as (service, stub):
        assert service.context.serving == {NAME: True}
        node.busy = 2
        reply = await stub.Search(search_pb2.SearchRequest(queries=["capital of Oman"]))
        assert (reply.results[0].hits[0].title, reply.observation.source) == ("Muscat", "opensearch")
        page = await stub.Visit(search_pb2.VisitRequest(urls_or_titles=["Muscat"], goal="capital"))
        assert page.pages[0].url == "https://w.org/en/muscat"
        (status,) = (await stub.Status(search_pb2.SearchStatusRequest())).environments
        assert (status.environment, status.providers[0].retries) == (common_pb2.ENVIRONMENT_SIMULATED, 2)
    await node.stop()


async def test_replicas_share_one_cache_and_one_purse_and_divide_the_rate(
    index_root: Path, tmp_path: Path, redis_url: str
) -> None:
    server = {"url": redis_url, "prefix": f"{tmp_path}:"}
    async with await loopback_web.start(PageIndex(index_root), Faults(0.0, 0.0)) as web:
        search = {"kind": "searxng", "url": web.search_url}
        money = {"prices": {"search": 0.01}, "daily": 0.02}
        limits = ProviderLimits.model_validate({"rate": {"per_second": 10}, "concurrency": 4, "money": money})
        live = LiveWebSettings.model_validate(
            {
                "providers": [{"provider": search, "limits": limits}],
                "cache": {"kind": "redis", "memory_entries": 0, "timeout_seconds": 10, **server},
                "ledger": {"kind": "redis", "timeout_seconds": 10, **server},
                "share": {"beat_seconds": 1.0, **server},
            }
        )
        settings = SearchSettings(live=live, environment=EnvironmentKind.LIVE, default_corpus="w0001")
        async with serving(settings) as (one, first), serving(settings) as (other, second):
            asked = [search_pb2.SearchRequest(queries=[query]) for query in ("born", "capital", "river")]
            seen = [
                (reply.observation.ok, reply.observation.source, reply.observation.cost)
                for stub, query in ((first, 0), (second, 0), (second, 1), (first, 2))
                for reply in [await stub.Search(asked[query])]
            ]
            async with ToolClient([one.address, other.address]) as client, asyncio.timeout(20):
                statuses = await client.status()
                while any(status[0].providers[0].rate_limit != 5.0 for status in statuses.values()):
                    await asyncio.sleep(0.1)
                    statuses = await client.status()
    assert seen == [(True, "searxng", 0.01), (True, "cache", 0.0), (True, "searxng", 0.01), (False, "searxng", 0.0)]
    assert [status[0].providers[0].concurrency_limit for status in statuses.values()] == [2, 2]
    assert all(status[0].providers[0].budget.left_today == 0 for status in statuses.values())


@asynccontextmanager
async def asking(
    service: RunningService, kind: EnvironmentKind = EnvironmentKind.SIMULATED
) -> AsyncIterator[ToolClient]:
    async with ToolClient(service.address, kind=kind) as client:
        yield client
