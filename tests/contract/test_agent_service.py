"""The agent service over real gRPC: real agent, clients and runtime; the policy's words come from a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.agent.service import AgentSettings, build
from services.policy.service import PolicyServicer
from services.runtime import RunningService, RuntimeSettings, ServiceContext, start_service
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.parsing import split_tags
from sindbad.clients.agent import (
    AgentClient,
    Answered,
    Failed,
    Judged,
    Observed,
    ResearchEvent,
    ResearchOptions,
    Started,
    Summarised,
    Thought,
    ToolCalled,
    Used,
)
from sindbad.engines.protocol import FinishReason, SamplingParams, TokenChunk
from sindbad.errors import InvalidInput, NoModel, Overloaded
from sindbad.v1 import common_pb2, policy_pb2_grpc, search_pb2, search_pb2_grpc
from tests.contract.malformed import assert_survives_malformed
from tests.unit.agent.scripted import answer, byte_tokenizer, make_chat, visit

CHAT = make_chat()
PAGE = "Marota Lin was born in Tavel."
Script = Callable[[str], str]
"""The context as text -> the next turn as text."""


def reader(context: str) -> str:
    """Visits, quotes, answers; after a restart it answers from the summary."""
    return answer(PAGE, "Tavel") if PAGE in context else visit("Let me read.", "Marota Lin")


class ScriptedEngine:
    """An engine whose words come from a script; one token a chunk, so that a cancellation hits a running stream."""

    version, max_context, vocabulary_size, name = 5, 4096, 300, "scripted"

    def __init__(self, script: Script, pause: float = 0.0) -> None:
        self.script, self.pause = script, pause
        self.running = self.sampled = 0

    async def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        ids = [*CHAT.encode_marked(split_tags(self.script(CHAT.text(prompt_ids)))), CHAT.end_of_turn_id]
        self.running += 1
        try:
            for index, token_id in enumerate(ids):
                await asyncio.sleep(self.pause)
                self.sampled += 1
                reason = FinishReason.STOP if index == len(ids) - 1 else None
                yield TokenChunk((token_id,), (-0.5,), (self.version,), reason)
        finally:
            self.running -= 1


class OnePageSearch(search_pb2_grpc.SearchServicer):
    async def Visit(self, request: search_pb2.VisitRequest, context: Any) -> search_pb2.VisitResponse:
        assert request.corpus == "w0000"
        return search_pb2.VisitResponse(observation=common_pb2.Observation(text=PAGE, ok=True, urls=["Marota Lin"]))


async def serve(add: Any, servicer: Any, name: str) -> RunningService:
    async def wire(_: RuntimeSettings, context: ServiceContext) -> None:
        context.add_servicer(add, servicer, service_name=name)
        context.set_serving(name, True)

    return await start_service(name, RuntimeSettings(drain_seconds=0), wire)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  (what is watched belongs to the other side of a connection)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def research(
    tmp_path: Path, engine: ScriptedEngine, **settings: Any
) -> AsyncIterator[tuple[AgentClient, RunningService]]:
    byte_tokenizer().save(str(tmp_path / "tokenizer.json"))
    policy = await serve(
        policy_pb2_grpc.add_PolicyServicer_to_server,
        PolicyServicer(engine),  # type: ignore[arg-type]
        "sindbad.v1.Policy",
    )
    search = await serve(search_pb2_grpc.add_SearchServicer_to_server, OnePageSearch(), "sindbad.v1.Search")
    defaults: dict[str, Any] = {
        "policy": (policy.address,),
        "search": (search.address,),
        "tokenizer": tmp_path,
        "corpus": "w0000",
        "agent": AgentConfig(paradigm=Paradigm.REACT, context_limit=2000),
        "drain_seconds": 0,
    }
    agent = await start_service("agent", AgentSettings(**{**defaults, **settings}), build)
    client = AgentClient(agent.address, deadline_seconds=20)
    try:
        yield client, agent
    finally:
        await client.close()
        await asyncio.gather(*(service.stop(grace=0) for service in (agent, policy, search)))


async def happenings(client: AgentClient, question: str = "Where was Marota Lin born?", **kwargs: Any) -> list[Any]:
    return [event.happening async for event in client.research(question, **kwargs)]


async def test_a_question_is_answered_and_every_step_is_told_in_order(tmp_path: Path) -> None:
    async with research(tmp_path, ScriptedEngine(reader)) as (client, _):
        told = await happenings(client, gold_answer="Tavel")
    kinds = [Started, Thought, ToolCalled, Observed, Thought, Answered, Judged, Used]
    assert [type(one) for one in told] == kinds
    assert (told[0].language, told[0].tools) == ("en", ("search", "visit"))
    assert told[2].arguments == {"urls": ["Marota Lin"], "goal": "was born in"}
    assert told[3].observation.text == PAGE
    assert told[5].text == "Tavel"
    assert told[6].correct is True
    assert (told[7].tool_calls, told[7].summaries) == (1, 0)
    assert told[7].completion_tokens > 0


async def test_a_full_context_is_summarised_and_the_attempt_restarts(tmp_path: Path) -> None:
    tight = AgentConfig(paradigm=Paradigm.RESUM, context_limit=2000, trigger_fraction=0.05)
    async with research(tmp_path, ScriptedEngine(reader), agent=tight) as (client, _):
        events: list[ResearchEvent] = [event async for event in client.research("Where was Marota Lin born?")]
    summary = next(event for event in events if isinstance(event.happening, Summarised))
    assert isinstance(summary.happening, Summarised)
    assert (summary.happening.text, summary.happening.by, summary.segment) == (PAGE, "rules", 1)
    assert [event.happening.text for event in events if isinstance(event.happening, Answered)] == ["Tavel"]
    elapsed = [event.elapsed_seconds for event in events]
    assert elapsed == sorted(elapsed)


async def test_a_failed_attempt_is_an_outcome_and_not_an_error(tmp_path: Path) -> None:
    async with research(tmp_path, ScriptedEngine(lambda _: "<think>t</think>nothing")) as (client, _):
        told = await happenings(client, gold_answer="Tavel")
    assert [type(one) for one in told] == [Started, Thought, Failed, Judged, Used]
    assert told[2].termination == "format"
    assert "neither a tool call nor an answer" in told[2].message
    assert told[3].correct is False


async def test_a_malformed_call_is_shown_raw_with_its_error_observation(tmp_path: Path) -> None:
    def clumsy(context: str) -> str:
        return answer("t", "Tavel") if "error" in context else "<think>t</think><tool_call>{oops</tool_call>"

    async with research(tmp_path, ScriptedEngine(clumsy)) as (client, _):
        told = await happenings(client)
    assert [type(one) for one in told] == [Started, Thought, ToolCalled, Observed, Thought, Answered, Used]
    assert (told[2].tool, told[2].arguments_json) == ("", "{oops")
    assert told[3].observation.ok is False


async def test_an_arabic_question_is_recognised_by_its_script(tmp_path: Path) -> None:
    async with research(tmp_path, ScriptedEngine(lambda _: answer("فكرة", "تافل"))) as (client, _):
        told = await happenings(client, question="أين ولدت ماروتا لن؟", gold_answer="تافل")
    assert told[0].language == "ar"
    assert told[1].text == "فكرة"
    assert told[3].correct is True


async def test_options_lower_the_servers_limits_and_never_raise_them(tmp_path: Path) -> None:
    config = AgentConfig(paradigm=Paradigm.REACT, context_limit=2000, max_tool_calls=3)
    async with research(tmp_path, ScriptedEngine(lambda _: visit("again", "Marota Lin")), agent=config) as (client, _):
        for asked, used in ((1, 1), (50, 3), (0, 3)):
            told = await happenings(client, options=ResearchOptions(max_tool_calls=asked))
            assert told[-1].tool_calls == used
            assert told[-2].termination == "calls_exhausted"


async def test_bad_requests_are_refused_before_any_token(tmp_path: Path) -> None:
    engine = ScriptedEngine(reader)
    async with research(tmp_path, engine) as (client, _):
        for kwargs in (
            {"question": "   "},
            {"question": "x" * 30_000},
            {"question": "long " * 1000},
            {"options": ResearchOptions(summary_trigger=7.0)},
            {"options": ResearchOptions(temperature=-1.0)},
        ):
            with pytest.raises(InvalidInput):
                await happenings(client, **kwargs)
    assert engine.sampled == 0


async def test_cancelling_the_call_stops_the_tokens(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: "<think>" + "and so on " * 100, pause=0.005)
    async with research(tmp_path, engine) as (client, _):
        events = client.research("Where was Marota Lin born?")
        async with aclosing(events), asyncio.timeout(10):
            assert isinstance((await anext(events)).happening, Started)
            await until(lambda: engine.sampled >= 5)
        await until(lambda: engine.running == 0)
        sampled = engine.sampled
        await asyncio.sleep(0.1)
        assert engine.sampled == sampled < 200


async def test_concurrent_research_is_bounded(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda _: "<think>" + "and so on " * 100, pause=0.01)
    async with research(tmp_path, engine, max_concurrency=1, queue_limit=0) as (client, agent):
        first = client.research("Where was Marota Lin born?")
        await anext(first)
        async with AgentClient(agent.address, deadline_seconds=0.5) as impatient:
            with pytest.raises(Overloaded):
                await happenings(impatient)
        await first.aclose()


async def test_without_a_tokenizer_it_is_live_and_says_that_there_is_no_model(tmp_path: Path) -> None:
    async with research(tmp_path, ScriptedEngine(reader), tokenizer=tmp_path / "later") as (client, agent):
        assert agent.context.serving == {"sindbad.v1.Agent": False}
        with pytest.raises(NoModel):
            await happenings(client)
        (tmp_path / "later").mkdir()
        byte_tokenizer().save(str(tmp_path / "later" / "tokenizer.json"))
        await until(lambda: agent.context.serving["sindbad.v1.Agent"])
        assert (await happenings(client))[-2].text == "Tavel"


async def test_two_hundred_malformed_requests_leave_it_standing(tmp_path: Path) -> None:
    async with research(tmp_path, ScriptedEngine(lambda _: answer("t", "x"))) as (client, agent):
        seen = await assert_survives_malformed(agent.address, ["sindbad.v1.Agent"])
        assert seen["INVALID_ARGUMENT"] > 100
        assert (await happenings(client))[-2].text == "x"
