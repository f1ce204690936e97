"""What a task asks to transform stays; measured on a labelled set, with the counts in the assertion."""

from __future__ import annotations

import gzip
import json

import pytest

from sindbad.errors import Unavailable
from sindbad.translation.content import (
    NOTHING,
    Kept,
    LanguageModelJudge,
    kept_by_rule,
    kept_of_answer,
    read_judgement,
)
from tests.shared import shared
from tests.unit.translation.content_cases import ANSWERS, CASES


def parts(text: str, kept: Kept) -> tuple[str, ...]:
    return tuple(text[start:end] for start, end in kept.ranges)


def test_the_rules_agree_with_the_labels() -> None:
    assert len(CASES) >= 60
    wrong = [(text, parts(text, kept_by_rule(text, code))) for code, text, stay in CASES
             if parts(text, kept_by_rule(text, code)) != stay]  # fmt: skip
    assert len(CASES) - len(wrong) >= 0.98 * len(CASES), wrong
    # a false alarm leaves a text, and the whole answer, untranslated
    false_alarms = [text for code, text, stay in CASES if not stay and kept_by_rule(text, code).ranges]
    assert false_alarms == []


@pytest.mark.parametrize(("instruction", "answer", "stay"), ANSWERS)
def test_the_answer_to_such_a_task_stays_but_not_what_is_said_around_it(
    instruction: str, answer: str, stay: tuple[str, ...]
) -> None:
    asked = kept_by_rule(instruction, "en")
    kept = kept_of_answer(answer, asked, parts(instruction, asked))
    assert parts(answer, kept) == stay


def test_of_the_real_instructions_few_are_such_tasks_and_all_of_them_name_their_object() -> None:
    with gzip.open(shared("data", "instructions", "self_instruct_seed_tasks.jsonl.gz"), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = ["\n\n".join(filter(None, (row["instruction"], row["instances"][0]["input"]))) for row in rows]
    kept = {text: kept_by_rule(text, "en") for text in texts}
    tasks = {text for text, found in kept.items() if found.ranges}
    assert 3 <= len(tasks) <= len(texts) * 0.2
    with gzip.open(shared("data", "instructions", "gsm8k_train_sample.jsonl.gz"), "rt", encoding="utf-8") as file:
        sums = [json.loads(line)["instruction"] for line in file]
    assert sum(bool(kept_by_rule(text, "en").ranges) for text in sums) <= len(sums) * 0.003


class Replies:
    """A model that says what it was told to say."""

    def __init__(self, reply: str | Exception) -> None:
        self.reply_, self.prompts = reply, list[str]()

    async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
        self.prompts.append(prompt)
        if isinstance(self.reply_, Exception):
            raise self.reply_
        return self.reply_


async def test_a_judge_is_believed_where_it_quotes_the_text() -> None:
    text = "Make this sound {better}: he run fast"
    judge = LanguageModelJudge(model := Replies('Sure. {"task": "grammar", "keep": ["he run fast"]}'))
    kept = await judge.kept(text, "en")
    assert kept is not None
    assert (kept.task, parts(text, kept)) == ("grammar", ("he run fast",))
    assert text in model.prompts[0]
    assert await LanguageModelJudge(Replies(Unavailable("down"))).kept(text, "en") is None
    assert await LanguageModelJudge(Replies('{"task": "none", "keep": []}')).kept(text, "en") == Kept((), "", "keep")


@pytest.mark.parametrize("reply", ["", "no", "[]", '{"keep": "x"}', '{"keep": ["not there"]}', '{"keep": [""]}', "{"])
def test_a_judgement_that_cannot_be_read_is_none(reply: str) -> None:
    assert read_judgement(reply, "some text") is None


def test_without_an_instruction_nothing_is_kept() -> None:
    assert kept_by_rule("", "en") == NOTHING
    assert kept_by_rule("Fix the grammar: she go", "xx") == NOTHING
