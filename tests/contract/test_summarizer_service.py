"""The summarizer service over real gRPC, with each of its three writers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.policy.service import PolicyServicer
from services.runtime import RunningService, start_service
from services.summarizer.service import SummarizerServicer, SummarizerSettings, Writers, build
from sindbad.agent.summarize import ConversationTurn, Role, Summary, Writer
from sindbad.clients import SummarizerClient
from sindbad.errors import InvalidInput, NoModel
from sindbad.v1 import policy_pb2_grpc
from tests.contract.malformed import assert_survives_malformed
from tests.contract.test_agent_service import ScriptedEngine, serve, until
from tests.tiny_models import save_tiny_lfm2
from tests.unit.agent.scripted import byte_tokenizer, make_chat, visit

QUESTION = "Korim Sel was founded by a person who was born in which city?"
FACT = "Korim Sel was founded by Marota Lin."
TURNS = (
    ConversationTurn(Role.ASSISTANT, visit("", "Korim Sel", "was founded by")),
    ConversationTurn(Role.TOOL, f"{FACT} Korim Sel competes with Vano Pel."),
)


@asynccontextmanager
async def summarizer(**settings: Any) -> AsyncIterator[RunningService]:
    service = await start_service("summarizer", SummarizerSettings(drain_seconds=0, **settings), build)
    async with service:
        yield service


async def ask(address: str, writer: Writer | None = None, **changes: Any) -> Summary:
    asked: dict[str, Any] = {"question": QUESTION, "conversation": TURNS, "last_summary": "", "language": "en"}
    async with SummarizerClient(address, writer=writer, deadline_seconds=10) as client:
        return await client.summarize(**{**asked, **changes}, deadline_seconds=10)


async def test_the_rules_answer_by_default_and_are_ready_at_once() -> None:
    async with summarizer() as service:
        assert service.context.serving == {"sindbad.v1.Summarizer": True}
        assert await ask(service.address) == Summary(FACT, Writer.RULES)


async def test_a_model_that_is_not_there_is_no_model_and_not_the_rules() -> None:
    async with summarizer() as service:
        for writer in (Writer.MODEL, Writer.POLICY):
            with pytest.raises(NoModel):
                await ask(service.address, writer)


async def test_the_policy_writes_when_asked_and_the_rules_step_in_for_nonsense(tmp_path: Path) -> None:
    byte_tokenizer().save(str(tmp_path / "tokenizer.json"))
    replies = ["<think>so</think><summary>Founded by Lin.</summary>", "", "", ""]
    engine = ScriptedEngine(lambda _: replies.pop(0))
    policy = await serve(
        policy_pb2_grpc.add_PolicyServicer_to_server,
        PolicyServicer(engine),  # type: ignore[arg-type]
        "sindbad.v1.Policy",
    )
    settings = {"writer": "policy", "policy": (policy.address,), "policy_tokenizer": tmp_path}
    async with policy, summarizer(**settings) as service:
        first = await ask(service.address)
        assert (first.text, first.by, first.weight_version, first.fallback_reason) == (
            "Founded by Lin.",
            Writer.POLICY,
            5,
            "",
        )
        assert first.completion_tokens > 0
        second = await ask(service.address)
        assert (second.text, second.by, second.fallback_reason) == (FACT, Writer.RULES, "EMPTY_SUMMARY")


async def test_a_model_of_its_own_writes_with_its_own_tokenizer() -> None:
    settings = SummarizerSettings()
    writers = Writers(settings, engine=ScriptedEngine(lambda _: "<summary>Mine.</summary>"))  # type: ignore[arg-type]
    writers.own_chat = make_chat()
    servicer = SummarizerServicer(settings, writers)
    from sindbad.v1 import summarizer_pb2_grpc

    service = await serve(summarizer_pb2_grpc.add_SummarizerServicer_to_server, servicer, "sindbad.v1.Summarizer")
    async with service:
        summary = await ask(service.address, Writer.MODEL)
        assert (summary.text, summary.by, summary.weight_version) == ("Mine.", Writer.MODEL, 5)


async def test_the_last_summary_is_carried_on_over_the_wire() -> None:
    born = ConversationTurn(Role.ASSISTANT, visit("", "Marota Lin", "was born in"))
    page = ConversationTurn(Role.TOOL, "Marota Lin was born in Tavel.")
    async with summarizer() as service:
        summary = await ask(service.address, conversation=(born, page), last_summary=FACT)
        assert summary.text == f"{FACT} Marota Lin was born in Tavel."


async def test_an_empty_question_is_refused() -> None:
    async with summarizer() as service:
        with pytest.raises(InvalidInput, match="question"):
            await ask(service.address, question=" ")


def test_a_default_writer_that_can_not_exist_is_a_configuration_error() -> None:
    for settings in ({"writer": "policy"}, {"writer": "model"}, {"policy": ("127.0.0.1:1",)}):
        with pytest.raises(ValueError, match=r"policy|engine"):
            SummarizerSettings(**settings)


async def test_two_hundred_malformed_requests_leave_it_standing() -> None:
    async with summarizer() as service:
        seen = await assert_survives_malformed(service.address, ["sindbad.v1.Summarizer"])
        assert seen["INVALID_ARGUMENT"] > 100
        assert (await ask(service.address)).text == FACT


@pytest.mark.slow
async def test_a_published_model_makes_the_service_ready_and_writes(tmp_path: Path) -> None:
    from sindbad.weights import WeightStore

    store = WeightStore(tmp_path / "store")
    settings = {
        "writer": "model",
        "engine": {"kind": "transformers", "threads": 1},
        "model": {"store": store.root, "poll_seconds": 0.05},
        "context_limit": 400,
        "max_tokens": 24,
        "attempts": 1,
    }
    async with summarizer(**settings) as service:
        assert service.context.serving["sindbad.v1.Summarizer"] is False
        with pytest.raises(NoModel):
            await ask(service.address)
        folder = save_tiny_lfm2(tmp_path / "model")
        byte_tokenizer().save(str(folder / "tokenizer.json"))
        store.publish(folder)
        await until(lambda: service.context.serving["sindbad.v1.Summarizer"])
        summary = await ask(service.address)
        assert summary.by is Writer.MODEL or summary.fallback_reason == "EMPTY_SUMMARY"
        assert 0 < summary.completion_tokens <= 24
        assert 0 < summary.prompt_tokens < 400
