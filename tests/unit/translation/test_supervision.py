"""Bilingual supervision: papers §4 tests 3 to 6, and the judges."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest

from sindbad.corpus.records import instruction
from sindbad.demo.world import build_world
from sindbad.translation.domain import COMMON, RARE, masked_pair, parallel_pairs, relations_covered
from sindbad.translation.glossary import Glossary
from sindbad.translation.instructions import make_instructions
from sindbad.translation.judges import PromptJudge, Verdict, parse_verdict
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.segments import split
from sindbad.translation.spans import compare, find_spans, mask_part
from sindbad.translation.supervision import (
    Candidate,
    judge_pairs,
    make_parallel_pool,
    teacher_pairs,
    training_pairs,
)
from sindbad.translation.translator import Translator, TranslatorSettings
from tests.unit.translation.scripted import Scripted, into_arabic, tokenizer

WORLDS = [build_world(seed) for seed in (11, 12)]
GLOSSARIES = {world.world_id: Glossary(world.glossary()) for world in WORLDS}
TEACHER = TranslatorSettings(style=PromptStyle.TEACHER)


def teacher(answer=into_arabic) -> Translator:  # type: ignore[no-untyped-def]
    return Translator(Scripted(answer, style=PromptStyle.TEACHER), tokenizer(), TEACHER)


async def test_n_rows_give_n_four_tuples_and_two_n_pairs_in_row_order() -> None:
    rows = [row for row in make_instructions(WORLDS, 0, 60) if row.metadata["kind"] == "read"]
    made = await teacher_pairs(teacher(), rows)
    assert (len(made.tuples), len(made.rejected), len(made.pairs())) == (len(rows), 0, 2 * len(rows))
    asked, said = rows[0].prompt_and_completion()
    first = made.tuples[0]
    assert (first.instruction_en, first.response_en) == (asked, said)
    assert first.response_ar == into_arabic(said)
    assert [pair.en for pair in made.pairs()[:2]] == [asked, said]


def test_the_first_rows_are_a_prefix_whatever_the_number() -> None:
    assert make_instructions(WORLDS, 5, 40)[:15] == make_instructions(WORLDS, 5, 15)
    assert make_instructions(WORLDS, 5, 15) != make_instructions(WORLDS, 6, 15)


async def test_a_row_that_the_teacher_broke_is_rejected_with_a_reason_and_never_half_kept() -> None:
    def answer(text: str, attempt: int) -> str:
        return "" if text == "Let me search." else into_arabic(text)

    rows = [
        instruction(question, "I cannot find it.", source="t", source_id=question, licences=["MIT"])
        for question in ("Let me search.", "That failed, let me try again.")
    ]
    made = await teacher_pairs(teacher(answer), rows)
    assert len(made.tuples) == 1
    ((record_id, reason),) = made.rejected
    assert (record_id, reason.split(":")[0]) == (rows[0].record_id, "empty")


async def test_kept_and_rejected_are_all_the_candidates_and_the_rate_is_reported() -> None:
    pool = make_parallel_pool(WORLDS, 3, 500, noise_share=0.5)
    judged = await judge_pairs(pool)
    assert Counter(judged.kept) + Counter(pair for pair, _ in judged.rejected) == Counter(pool)
    assert all(reason for _, reason in judged.rejected)
    assert judged.keep_rate == len(judged.kept) / 500
    assert sum(judged.reasons.values()) == len(judged.rejected)
    assert judged.quality()["recall"] > 0.95  # the rule keeps what is right …
    assert {"untranslated", "script", "repetition"} <= set(judged.reasons)


async def test_the_model_judge_catches_what_no_rule_of_form_can_see() -> None:
    class KnowsTheDomain:
        async def judge(self, pairs):  # type: ignore[no-untyped-def]
            return [Verdict(into_arabic(en) == ar, "model_reject") for en, ar in pairs]

    pool = make_parallel_pool(WORLDS, 3, 300, noise_share=0.5, kinds=("sentence", "type"))
    alone, both = await judge_pairs(pool), await judge_pairs(pool, KnowsTheDomain())
    assert "shuffled" in {pair.fault for pair in alone.kept}
    assert {pair.fault for pair in both.kept} == {""}
    assert sum(both.agreement.values()) == 300
    assert both.agreement["rule_accept_model_reject"] > 0


@pytest.mark.parametrize(
    ("reply", "accepted"),
    [("accept", True), ("Accept.", True), ("reject", False), ("accept or reject", False), ("", False), ("yes", False)],
)
def test_a_verdict_is_one_word_and_anything_else_rejects(reply: str, accepted: bool) -> None:
    verdict = parse_verdict(reply)
    assert verdict.accept is accepted
    assert bool(verdict.reason) is not accepted


async def test_the_prompt_judge_shows_both_texts_and_rejects_chatter() -> None:
    model = Scripted(lambda text, attempt: "accept" if "ولد في" in text else "Well, I think so")
    verdicts = await PromptJudge(model, tokenizer()).judge([("A was born in B", "ا ولد في ب"), ("A", "ب")])
    assert [verdict.accept for verdict in verdicts] == [True, False]
    assert verdicts[1].reason.startswith("unparsable")
    assert "English: A was born in B" in model.asked[0]


async def test_the_supervision_is_two_pairs_a_row_plus_what_the_judge_kept() -> None:
    rows = [row for row in make_instructions(WORLDS, 1, 40) if row.metadata["kind"] == "read"]
    made, judged = await teacher_pairs(teacher(), rows), await judge_pairs(make_parallel_pool(WORLDS, 1, 100))
    supervision = [*made.pairs(), *judged.kept]
    assert len(supervision) == 2 * len(rows) + len(judged.kept)


def test_training_text_shows_names_in_the_open_and_as_sentinels_and_keeps_the_contract() -> None:
    pool = make_parallel_pool(WORLDS, 2, 200, noise_share=0.0)
    pairs = training_pairs(pool, GLOSSARIES, seed=0)
    masked = [(en, ar) for en, ar in pairs if "⟦" in en]
    assert 0.25 < len(masked) / len(pairs) < 0.6
    for en, ar in masked:
        source = mask_part(en, find_spans(en))  # sentinels are spans themselves: the contract in terms of the masker
        assert sorted(span.text for span in source.spans) == sorted(
            span.text for span in find_spans(ar) if span.kind == "sentinel"
        )


def test_a_teacher_that_spelt_a_name_differently_leaves_the_pair_in_the_open() -> None:
    name = next(iter(GLOSSARIES["w0011"].terms))
    pair = Candidate(f"{name} is a person.", "شخص آخر هو شخص.", "w0011")
    assert training_pairs([pair], GLOSSARIES, seed=0, masked_share=1.0) == [(pair.en, pair.ar)]


def test_the_domain_covers_every_relation_and_masks_reversibly() -> None:
    pairs = parallel_pairs(WORLDS, 0, 1500, kinds=COMMON + RARE, masked_share=0.0)
    assert len(relations_covered(pairs)) == 13
    assert {pair.kind for pair in pairs} == set(COMMON + RARE)
    for pair in pairs[:200]:
        masked = masked_pair(pair, GLOSSARIES[pair.world_id])
        source = mask_part(pair.en, find_spans(pair.en, GLOSSARIES[pair.world_id]))
        assert not compare(source, masked.ar)
    assert parallel_pairs(WORLDS, 0, 50) == parallel_pairs(WORLDS, 0, 50)


def test_what_the_committed_models_are_asked_is_byte_for_byte_what_they_were_trained_on() -> None:
    """The digest was made with the masker of their training ("spans-1")."""
    pairs = parallel_pairs(WORLDS, 5, 400, kinds=(*COMMON, *RARE), masked_share=0.3)
    asked = []
    for pair in pairs:
        glossary = GLOSSARIES[pair.world_id]
        for text, terms in ((pair.en, glossary), (pair.ar, glossary.reversed()), (pair.en, Glossary())):
            spans = find_spans(text, terms)
            asked += [mask_part(text, spans, start=part.start, end=part.end).text for part in split(text, spans)]
    digest = sha256("\n".join(asked).encode()).hexdigest()
    assert digest == "fdc9da8859f82dc5976d58af039576f159e26ed0471485dcb2b1e54edd690fc1"
