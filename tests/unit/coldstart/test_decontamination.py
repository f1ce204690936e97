"""What says something about a test question goes, with its reason; shared wording does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sindbad.coldstart.configuration import DecontaminationSettings, OnOverlap
from sindbad.coldstart.decontamination import Decontaminator, entities_of, words
from sindbad.errors import InvalidInput
from sindbad.questions.question import Clue, Evidence, Question
from tests.unit.coldstart.attempts import act, final, made_of

TEST = Question(
    "t1", "w1", "en", "In which quiet harbour town did the astronomer Marota Lin build her seventh brass telescope?",
    "chain", (Clue("lin", "born_in", "?0"),), "?0", "tavel", "Tavel", subgraph_hash="h1", split="test",
)  # fmt: skip
OTHER = replace(TEST, question_id="n1", world_id="w2", text="Who led Sumaria?", answer="Bel", subgraph_hash="h2")


def reasons(*train: Question, tests: tuple[Question, ...] = (TEST,), **settings: object) -> dict[str, int]:
    guard = Decontaminator(tests, DecontaminationSettings(**settings))  # type: ignore[arg-type]
    kept = guard.questions(train)
    assert len(kept) + sum(guard.report.removed.values()) == len(train)
    return guard.report.removed


def test_an_unrelated_question_stays_and_without_tests_everything_does() -> None:
    assert reasons(OTHER) == {}
    assert reasons(TEST, tests=()) == {}


def test_the_same_question_is_removed_by_its_id() -> None:
    assert reasons(replace(OTHER, question_id="t1")) == {"id": 1}


def test_what_a_count_runs_over_has_to_be_found_too() -> None:
    evidence = tuple(Evidence(f"u/{name}", "It is.", 0, name) for name in ("bel", "korim"))
    test = replace(TEST, kind="count", operation="count", answer_id="=2", answer="2", evidence=evidence)
    shares = replace(OTHER, world_id="w1", clues=(Clue("korim", "rival", "sen"),), answer_id="sen")
    assert reasons(shares, tests=(test,)) == {"entity": 1}
    assert reasons(shares, tests=(replace(test, evidence=evidence[:1]),)) == {}


def test_an_entity_of_the_same_graph_is_removed_and_of_another_graph_is_not() -> None:
    shares = replace(OTHER, world_id="w1", clues=(Clue("korim", "rival", "lin"),), answer_id="korim")
    assert reasons(shares) == {"entity": 1}
    assert reasons(shares, entities=False) == {}
    assert reasons(replace(shares, world_id="w3")) == {}


def test_entities_are_ids_and_no_variables_or_attribute_values() -> None:
    clues = (Clue("?0", "@initial", "M"), Clue("?0", "born_in", "tavel"))
    assert entities_of(replace(TEST, clues=clues, answer_id="lin")) == {("w1", "tavel"), ("w1", "lin")}


def test_an_entity_that_has_to_be_found_on_the_way_counts_and_so_does_one_named_as_hearsay() -> None:
    """A training question that teaches the hidden step of a test question gives it away, and the other way round."""
    chain = (Clue("lin", "pupil", "?0"), Clue("?0", "born_in", "?1"))
    test = replace(TEST, clues=chain, target="?1", solution=(("?0", "bel"), ("?1", "tavel")))
    about = replace(OTHER, world_id="w1", clues=(Clue("bel", "rival", "?0"),), answer_id="korim")
    assert reasons(about, tests=(test,)) == {"entity": 1}
    behind = replace(about, clues=(Clue("sen", "r", "?0"),), solution=(("?0", "bel"),))
    assert reasons(behind, tests=(test,)) == {"entity": 1}
    said = replace(about, clues=(Clue("sen", "r", "?0"),), distractors=(Clue("?0", "r", "lin"),))
    assert reasons(said, tests=(test,)) == {"entity": 1}
    assert reasons(replace(said, distractors=()), tests=(test,)) == {}


def test_an_answer_that_is_a_number_is_no_entity_and_its_questions_named_ones_still_are() -> None:
    """Counts are small: as entities, "3" and "4" of the test set took most count questions of the training set."""
    count = replace(OTHER, world_id="w1", kind="count", answer="3", answer_id="=3", value=3.0)
    test = replace(TEST, kind="count", answer="3", answer_id="=3", value=3.0)
    assert reasons(replace(count, clues=(Clue("?0", "rival", "korim"),)), tests=(test,)) == {}
    assert reasons(replace(count, clues=(Clue("?0", "rival", "lin"),)), tests=(test,)) == {"entity": 1}


def test_the_same_answer_over_the_same_subgraph_is_removed() -> None:
    assert reasons(replace(OTHER, answer="the tavel", subgraph_hash="h1")) == {"answer_subgraph": 1}
    assert reasons(replace(OTHER, answer="Tavel")) == {}


def test_a_near_duplicate_in_other_words_order_is_removed() -> None:
    text = "The astronomer Marota Lin did build her seventh brass telescope in which quiet harbour town?"
    filler = [replace(OTHER, question_id=f"f{n}", text=f"Which town saw event number {n}?") for n in range(20)]
    assert reasons(replace(OTHER, text=text), *filler, ngram=0) == {"near_duplicate": 1}


def test_a_long_shared_run_is_removed_unless_many_questions_share_it() -> None:
    def asked(name: str, number: int) -> Question:
        return replace(
            OTHER, question_id=f"a{number}", answer=f"A{number}",
            text=f"{name} works for a company that has its seat in a city that lies in which country?",
        )  # fmt: skip

    test = replace(asked("Solin Vash", 0), question_id="t2", world_id="w9", split="test")
    assert reasons(asked("Marota Lin", 1), tests=(test,), similarity=1.0) == {"ngram": 1}
    template = [asked(f"Name{n} Other{n}", n) for n in range(1, 30)]
    assert reasons(*template, tests=(test,)) == {}


def test_a_run_of_template_words_in_a_new_order_names_nobody_and_stays() -> None:
    def asked(middle: str, number: int) -> Question:
        text = f"Name{number} works for a company that {middle} a person who was born in which city?"
        return replace(OTHER, question_id=f"a{number}", answer=f"A{number}", text=text)

    rare = "is run by a city that lies in"
    common = [asked(middle, n) for n, middle in enumerate(["is run by", "lies in a city that"] * 20)]
    test = replace(asked(rare, 100), question_id="t2", world_id="w9", split="test")
    assert reasons(*common, asked(rare, 101), tests=(test,), ngram=8) == {}


def test_the_same_name_in_a_template_is_a_near_duplicate_and_another_is_none() -> None:
    def asked(name: str, number: int) -> Question:
        text = f"{name} was founded by a person who was born in which city?"
        return replace(OTHER, question_id=f"a{number}", answer=f"A{number}", text=text)

    test = replace(asked("Korim Sel", 0), question_id="t2", world_id="w9", split="test")
    train = [asked(f"Name{n} Other{n}", n) for n in range(1, 40)]
    assert reasons(*train, replace(asked("Korim Sel", 99), answer="B"), tests=(test,)) == {"near_duplicate": 1}


def test_arabic_is_compared_without_marks() -> None:
    assert words("وُلِدَ في تافِل؟") == words("ولد في تافل")


def test_an_overlap_may_be_refused_instead_and_names_the_two() -> None:
    guard = Decontaminator([TEST], DecontaminationSettings(on_overlap=OnOverlap.REFUSE))
    with pytest.raises(InvalidInput, match="t1") as caught:
        guard.questions([replace(OTHER, question_id="t1")])
    assert caught.value.reason == "TRAIN_TEST_OVERLAP"


def test_a_page_that_quotes_a_test_question_takes_the_attempt_with_it() -> None:
    guard = Decontaminator([TEST], DecontaminationSettings())
    call = '{"name": "visit", "arguments": {}}'
    leaked = made_of(act(call, f"Quiz: {TEST.text} Answer: Tavel."), final())
    clean = made_of(act(call, "Marota Lin was an astronomer of a quiet harbour town."), final())
    found = guard.trajectory(leaked)
    assert found is not None
    assert found.reason == "quotes_test"
    assert guard.trajectory(clean) is None
    assert guard.report.removed == {"quotes_test": 1}


def test_the_same_few_words_read_again_and_again_are_no_quotation() -> None:
    guard = Decontaminator([TEST], DecontaminationSettings())
    call = '{"name": "visit", "arguments": {}}'
    page = act(call, "In which quiet harbour town did the ferry stop?")
    assert guard.trajectory(made_of(*[page] * 12, final())) is None


def test_protected_test_questions_are_named_and_not_shown() -> None:
    guard = Decontaminator([TEST], DecontaminationSettings(), frozenset({"t1"}))
    guard.questions([replace(OTHER, text=TEST.text, answer="Else")])
    assert [one.shared for one in guard.report.examples] == ["(protected)"]
    assert "telescope" not in str(guard.report.to_record())


def test_only_the_first_examples_of_a_reason_are_kept() -> None:
    guard = Decontaminator([TEST], DecontaminationSettings(examples=2))
    guard.questions([replace(OTHER, question_id="t1")] * 5)
    assert guard.report.removed == {"id": 5}
    assert len(guard.report.examples) == 2
