"""The translator service: real server, real client, the committed teacher as its model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime import start_service
from services.translator.service import SERVICE_NAME, TranslatorServiceSettings, build
from sindbad.clients import ModelControlClient, TranslatorClient
from sindbad.demo.world import build_world
from sindbad.errors import NoModel
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import SegmentPair, TranslationRequest, Turn
from sindbad.translation.train_teacher import FOLDER
from sindbad.v1 import translator_pb2, translator_pb2_grpc
from sindbad.weights import WeightStore
from tests.contract.malformed import assert_survives_malformed
from tests.unit.translation.documents import pseudo_arabic

WORLD = build_world(31, entities=24)
GLOSSARY = Glossary(WORLD.glossary())
WITH_MODEL = {"model": {"directory": FOLDER, "version": 4}, "engine": {"kind": "transformers", "threads": 1}}
Request = translator_pb2.TranslateRequest


@asynccontextmanager
async def service(**settings: Any) -> AsyncIterator[Any]:
    chosen = TranslatorServiceSettings.model_validate({"drain_seconds": 0.2, **settings})
    async with await start_service("translator", chosen, build) as running:
        yield running


async def failure(address: str, request: Request) -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await translator_pb2_grpc.TranslatorStub(channel).Translate(request, timeout=10)
        return caught.value


async def test_without_a_model_it_is_live_not_serving_and_says_so() -> None:
    async with service() as running, TranslatorClient(running.address) as client:
        async with grpc.aio.insecure_channel(running.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            reply = await health.Check(health_pb2.HealthCheckRequest(service=SERVICE_NAME))
            assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(NoModel):
            await client.translate(["Let me search."])


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(source_language="en", target_language="ar"), "texts"),
        (Request(texts=["a"], source_language="en", target_language="tlh"), "tlh"),
        (Request(texts=["a"], source_language="ar", target_language="en"), "en-ar"),
        (Request(texts=["a" * 5001], source_language="en", target_language="ar"), "5000"),
        (Request(texts=["a"] * 9, source_language="en", target_language="ar"), "8"),
        (Request(texts=["a"], source_language="en", target_language="ar", temperature=9), "temperature"),
        (
            Request(
                texts=["a"],
                source_language="en",
                target_language="ar",
                glossary=[translator_pb2.GlossaryEntry(source="", target="x")],
            ),
            "glossary",
        ),
    ],
)
async def test_what_will_stay_wrong_is_an_invalid_argument_that_names_it(request_: Request, words: str) -> None:
    async with service(max_texts=8, max_characters=5000) as running:
        error = await failure(running.address, request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in (error.details() or "")


@pytest.mark.slow
async def test_names_come_from_the_glossary_and_structure_comes_back() -> None:
    fact = next(fact for fact in WORLD.facts if fact.relation == "born_in")
    english, arabic = WORLD.sentence(fact, "en"), WORLD.sentence(fact, "ar")
    async with service(**WITH_MODEL) as running, TranslatorClient(running.address) as client:
        whole = f"# {english}\n\n- {english}\n- `code` https://x.org/a?b=1\n"
        outcomes = await client.translate([english, whole], glossary=GLOSSARY)
        (unaided,) = await client.translate([english])
    assert [outcome.accepted for outcome in outcomes] == [True, True]
    assert outcomes[0].text == arabic
    assert outcomes[1].text == f"# {arabic}\n\n- {arabic}\n- `code` https://x.org/a?b=1\n"
    assert outcomes[0].model_version == 4
    assert unaided.text == arabic  # the teacher spells names it has never seen


@pytest.mark.slow
async def test_a_text_that_cannot_be_kept_whole_is_an_entry_with_problems_and_not_a_status() -> None:
    limits = {"translator": {"max_source_tokens": 24, "retries": 0}}
    async with service(**WITH_MODEL, **limits) as running, TranslatorClient(running.address) as client:
        outcomes = await client.translate(["Let me search.", "the page says " * 40])
    assert [outcome.accepted for outcome in outcomes] == [True, False]
    assert outcomes[1].reason.startswith("too_long")
    assert outcomes[1].text == ""


@pytest.mark.slow
async def test_a_published_version_is_loaded_through_model_control_and_brings_its_prompt(tmp_path: Path) -> None:
    published = WeightStore(tmp_path / "store").publish(FOLDER)
    async with (
        service(model={"root": str(tmp_path)}) as running,
        TranslatorClient(running.address) as client,
        ModelControlClient(running.control_address) as control,
    ):
        await control.load(published.uri, published.number)
        (outcome,) = await client.translate(["Let me search."])
    assert outcome.text == "لأبحث عن ذلك."
    assert outcome.model_version == published.number


@pytest.mark.slow
async def test_conversations_keep_their_roles_and_documents_stream_their_segments_in_order() -> None:
    fact = next(fact for fact in WORLD.facts if fact.relation == "born_in")
    english, arabic = WORLD.sentence(fact, "en"), WORLD.sentence(fact, "ar")
    turns = (Turn("user", english, {"id": "7"}), Turn("assistant", f"- {english}"), Turn("tool", "as it is", keep=True))
    chat = TranslationRequest(turns, glossary=GLOSSARY, request_id="chat")
    page = TranslationRequest.document(f"# {english}\n\nLet me search.\n", glossary=GLOSSARY, request_id="page")
    async with service(**WITH_MODEL) as running, TranslatorClient(running.address) as client:
        outcomes = await client.translate_requests([chat, page])
        events = [event async for event in client.stream([chat, page])]
        one = await client.translate_request(page)
    assert [turn.content for turn in outcomes[0].turns] == [arabic, f"- {arabic}", "as it is"]
    assert [(turn.role, turn.metadata) for turn in outcomes[0].turns] == [(t.role, t.metadata) for t in turns]
    assert outcomes[1].text == one.text == f"# {arabic}\n\nلأبحث عن ذلك.\n"
    assert [outcome.request_id for outcome in outcomes] == ["chat", "page"]
    assert outcomes[1].records[0].finish_reason == "stop"
    assert outcomes[1].records[0].model_version == 4
    told: dict[int, list[SegmentPair]] = {0: [], 1: []}
    for index, event in events:
        if isinstance(event, SegmentPair):
            told[index].append(event)
        else:  # the last word on an item, after all of its segments
            assert event.accepted
            assert tuple(told.pop(index)) == event.segment_map[: 3 - index]
    assert not told


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "items"),
        ([translator_pb2.TranslationItem(id="x")], "turns"),
        ([translator_pb2.TranslationItem(turns=[translator_pb2.Turn(content="a" * 5001)])], "5000"),
        ([translator_pb2.TranslationItem(turns=[translator_pb2.Turn(content="a")])] * 9, "8"),
        ([translator_pb2.TranslationItem(turns=[translator_pb2.Turn(content="a")] * 4)], "3"),
    ],
)
async def test_items_that_will_stay_wrong_are_named(items: list[Any], words: str) -> None:
    request = translator_pb2.TranslateItemsRequest(items=items, source_language="en", target_language="ar")
    async with (
        service(max_texts=8, max_characters=5000, max_turns=3) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        stub = translator_pb2_grpc.TranslatorStub(channel)
        for method in (stub.TranslateItems, stub.StreamItems):
            streamed = method is stub.StreamItems
            message = translator_pb2.StreamItemsRequest(request=request) if streamed else request
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                _ = [event async for event in method(message)] if streamed else await method(message)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert words in (caught.value.details() or "")


async def test_a_model_behind_an_endpoint_serves_and_many_callers_share_it() -> None:
    """A real HTTP server that speaks the protocol; what it says is the test's."""
    running_now = most = 0
    together = asyncio.Event()

    async def chat(request: web.Request) -> web.Response:
        nonlocal running_now, most
        body = await request.json()
        running_now += 1
        most = max(most, running_now)
        if most >= 4:
            together.set()
        with contextlib.suppress(TimeoutError):  # who comes late on a busy machine is waited for
            async with asyncio.timeout(10):
                await together.wait()
        running_now -= 1
        text = pseudo_arabic(body["messages"][-1]["content"].rpartition(" into Arabic:\n\n")[2])
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        endpoint = {"base_url": f"http://127.0.0.1:{port}/v1", "model": "m", "parallel": 8}
        async with (
            service(endpoint=endpoint, translator={"style": "instruct"}) as running,
            TranslatorClient(running.address) as first,
            TranslatorClient(running.address) as second,
        ):
            text = "Use `pip install x` and see https://x.org/a now."
            request = TranslationRequest.document(text)
            outcomes = await asyncio.gather(*(client.translate_request(request) for client in (first, second) * 3))
    finally:
        await runner.cleanup()
    expected = "`pip install x`", "https://x.org/a"
    assert all(outcome.accepted and all(span in outcome.text for span in expected) for outcome in outcomes)
    assert outcomes[0].model_version == -1
    assert most >= 4


@pytest.mark.slow
async def test_a_cancelled_call_frees_the_engine() -> None:
    from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings

    class Watched(TransformersEngine):
        running = 0

        async def generate(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            self.running += 1
            try:
                async for chunk in super().generate(*args, **kwargs):
                    yield chunk
            finally:
                self.running -= 1

    engine = Watched(TransformersEngineSettings(threads=1))
    import services.translator.service as module

    original, module.create_engine = module.create_engine, lambda settings: engine
    try:
        async with service(**WITH_MODEL) as running, TranslatorClient(running.address) as client:
            texts = [f"{name} lies in {name}." for name in GLOSSARY.terms] * 4
            call = asyncio.create_task(client.translate(texts))
            async with asyncio.timeout(10):
                while not engine.running:  # noqa: ASYNC110 - polls a plain counter
                    await asyncio.sleep(0.001)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            async with asyncio.timeout(10):
                while engine.running:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            (after,) = await client.translate(["Let me search."])
            assert after.accepted
    finally:
        module.create_engine = original


@pytest.mark.slow
async def test_two_hundred_malformed_requests_get_a_clean_status_and_the_server_stays_up() -> None:
    async with service(**WITH_MODEL) as running:
        seen = await assert_survives_malformed(running.address, [SERVICE_NAME])
        assert sum(seen.values()) == 200 * 4  # methods
        await assert_survives_malformed(running.control_address, ["sindbad.v1.ModelControl"])
        async with TranslatorClient(running.address) as client:
            (outcome,) = await client.translate(["I cannot find it."])
    assert outcome.text == "لا أستطيع العثور عليه."
