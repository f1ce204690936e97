"""A corpus through a real translator service and its client: what it kept on purpose is not held against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime import start_service
from services.translator.service import TranslatorServiceSettings, build
from sindbad.clients import TranslatorClient
from sindbad.corpus.job import local_store
from sindbad.corpus.translate import kept, translate_corpus
from sindbad.corpus.translators import ByConversation, ByMessage
from tests.unit.clients.test_openai import endpoint
from tests.unit.corpus.jobs import FAST, job
from tests.unit.corpus.test_kept_content import ARABIC, RIGHT, TASK, WRONG, last


@pytest.mark.parametrize("way", [ByConversation, ByMessage])
async def test_a_grammar_task_is_kept_in_english_and_accepted(
    tmp_path: Path, way: type[ByConversation] | type[ByMessage]
) -> None:
    choice = {"message": {"role": "assistant", "content": f"{ARABIC}⟦0⟧"}, "finish_reason": "stop"}
    async with endpoint((200, {"choices": [choice]})) as (url, asked):
        settings = TranslatorServiceSettings.model_validate(
            {"drain_seconds": 0.2, "endpoint": {"base_url": url, "model": "m"}, "translator": {"style": "instruct",
             "remember_terms": False}}
        )  # fmt: skip
        one = job(local_store(tmp_path))
        async with (
            await start_service("translator", settings, build) as running,
            TranslatorClient(running.address) as client,
        ):
            done = await translate_corpus(one, [TASK], way(client), settings=FAST)
    assert (done.kept, done.dropped) == (1, {})
    (row,) = kept(one)
    assert [message.content for message in row.translation.messages] == [f"{ARABIC}{WRONG}", RIGHT]
    assert len(asked) == 1
    assert not any(WRONG in str(prompt) for prompt in asked)
    assert last(one, TASK).notes[-2:] == (f"kept: turn 0: {WRONG}", f"kept: turn 1: {RIGHT}")
