from __future__ import annotations

import pytest

from sindbad.demo.relations import BY_ID, ENTITY_TYPES, RELATIONS
from sindbad.errors import InvalidInput
from sindbad.languages import LANGUAGES, get_pack
from sindbad.questions.question import Clue

TYPES = {"?0": "company", "?1": "person", "?2": "city", "?3": "country"}


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_relation_and_type_is_worded_and_read_back(code: str) -> None:
    pack = get_pack(code)
    assert set(pack.phrases) == set(BY_ID)
    assert len(set(pack.phrases.values())) == len(RELATIONS)
    assert set(pack.kinds) == set(ENTITY_TYPES)
    for relation in pack.phrases:
        fact = pack.parse(pack.sentence("Korim Sel", relation, "Tavel"))
        assert fact is not None
        assert (fact.subject, fact.relation, fact.object) == ("Korim Sel", relation, "Tavel")
        assert pack.relation_of(pack.phrase(relation)) == relation
    assert pack.parse("Nothing of the kind.") is None


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_phrase_contains_another_so_that_reading_back_is_unambiguous(code: str) -> None:
    phrases = [f" {phrase} " for phrase in get_pack(code).phrases.values()]
    assert not [(a, b) for a in phrases for b in phrases if a != b and a in b]


def test_a_chain_is_worded_in_hop_order() -> None:
    clues = (Clue("c1", "founder", "?1"), Clue("?1", "born_in", "?2"), Clue("?2", "located_in", "?3"))
    names = {"c1": "Korim Sel"}
    assert get_pack("en").ask("chain", clues, TYPES, names) == (
        "Korim Sel was founded by a person who was born in a city that lies in which country?"
    )
    assert get_pack("ar").ask("chain", clues, TYPES, {"c1": "كوريم"}) == "كوريم أسسها شخص ولد في مدينة تقع في أي دولة؟"


def test_reverse_and_intersection_questions_name_what_is_known() -> None:
    reverse = (Clue("?0", "founder", "p"), Clue("?0", "rival", "?4"))
    types = {**TYPES, "?4": "company"}
    en = get_pack("en")
    assert en.ask("reverse", reverse[:1], types, {"p": "Marota Lin"}) == "Which company was founded by Marota Lin?"
    assert en.ask("reverse", reverse, types, {"p": "Marota Lin"}) == (
        "The company that was founded by Marota Lin competes with which company?"
    )
    both = (Clue("?1", "born_in", "t"), Clue("?1", "works_for", "k"))
    names = {"t": "Tavel", "k": "Korim Sel"}
    assert en.ask("intersection", both, TYPES, names) == "Which person was born in Tavel and works for Korim Sel?"
    with pytest.raises(InvalidInput):
        en.ask("riddle", both, TYPES, names)


@pytest.mark.parametrize(("given", "gold"), [("the Tavel.", "tavel"), ("TAVEL", "Tavel"), ("Korim-Sel", "korim sel")])
def test_english_answers_are_compared_without_case_articles_and_punctuation(given: str, gold: str) -> None:
    assert get_pack("en").same_answer(given, gold)


@pytest.mark.parametrize(
    ("given", "gold"),
    [("إسكندريّة", "اسكندريه"), ("مـــدى", "مدي"), ("الرياض", "رياض"), ("سنة ١٩٩٩", "سنه 1999"), ("«كوريم»", "كوريم")],
)
def test_arabic_answers_are_compared_without_marks_letter_forms_and_article(given: str, gold: str) -> None:
    assert get_pack("ar").same_answer(given, gold)


def test_different_answers_stay_different_and_empty_matches_nothing() -> None:
    assert not get_pack("ar").same_answer("كوريم", "كوري")
    assert not get_pack("en").same_answer("", "")
    assert get_pack("en").same_answer("Tav", "Tavel", aliases=("Tav",))


def test_script_share_tells_the_languages_apart() -> None:
    assert get_pack("ar").looks_native("ولد في مدينة")
    assert not get_pack("ar").looks_native("born in a city")
    assert get_pack("en").script_share("123") == 0.0
    with pytest.raises(InvalidInput):
        get_pack("xx")
