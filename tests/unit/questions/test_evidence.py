"""A stored sentence supports a fact where it names both ends as whole words."""

from __future__ import annotations

import pytest

from sindbad.graph.knowledge import Edge, Entity, KnowledgeGraph, Source
from sindbad.languages import get_pack
from sindbad.questions.compact import compact
from sindbad.questions.evidence import Witness, names_both
from sindbad.questions.forms import LogicalForm
from sindbad.questions.question import Clue, Evidence
from sindbad.questions.wording import Worder


def entity(entity_id: str, name: str, language: str = "en", *aliases: str) -> Entity:
    page = Source("w", f"https://w.example/{entity_id}", "As it is.", language)
    return Entity(entity_id, "article", {language: name}, {language: aliases} if aliases else {}, (page,))


def supported(object_: Entity, sentence: str, language: str = "en") -> bool:
    subject = entity("subject", "Monet", language)
    source = Source("w", "https://w.example/subject", sentence, language)
    return names_both(source, subject, object_, get_pack(language))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("World War I", "Until World War II, it was customary to refer to areas centered around Turkey."),
        ("Gold", "Golden Medal Ribbon"),
        ("Drama", "A Dramatic Poem"),
        ("Animal", "Animalia are many."),
        ("Art", "Arthur came by."),
        ("Oman", "Romania is far."),
        ("Niger", "Nigeria lies in Africa."),
    ],
)
def test_a_name_inside_another_word_is_not_named(name: str, sentence: str) -> None:
    assert not supported(entity("object", name), sentence)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("World War I", "World War II came after World War I."),
        ("Gold", "Golden are things of gold."),
        ("Oman", "Romania is far from Oman's coast."),
        ("São Tomé", "It is (São Tomé)."),
        ("Yahoo!", "It works for Yahoo! Inc."),
        ("Côte d'Ivoire", "It borders Côte d'Ivoire, 12 km."),
    ],
)
def test_a_whole_word_is_found_wherever_it_stands(name: str, sentence: str) -> None:
    assert supported(entity("object", name), sentence)


@pytest.mark.parametrize(
    "sentence", ["زار فرنسا.", "سافر إلى إيطاليا وفرنسا.", "عاش بفرنسا", "وبفرنسا متاحف", "فرنسا،"]
)
def test_arabic_clitics_may_be_written_onto_a_name(sentence: str) -> None:
    assert supported(entity("object", "فرنسا", "ar"), sentence, "ar")


def test_to_and_the_article_melt_into_one_before_an_arabic_name() -> None:
    assert supported(entity("object", "السعودية", "ar"), "ينتمي للسعودية", "ar")
    assert not supported(entity("object", "مصر", "ar"), "آثار مصرية", "ar")
    assert not supported(entity("object", "عمان", "ar"), "عثمان سلطان", "ar")


def test_a_code_counts_in_its_own_case_only() -> None:
    object_ = entity("object", "United States", "en", "US")
    assert supported(object_, "It lies in the US.")
    assert not supported(object_, "It was told to us.")


def test_of_several_sentences_the_first_with_the_whole_word_is_the_evidence() -> None:
    graph, page = KnowledgeGraph("w"), "https://w.example/middle"
    middle, war = entity("middle", "Middle East"), entity("war", "World War I")
    graph.add_entity(middle)
    graph.add_entity(war)
    said = ("Until World War II, it was near.", "Articles that this page links to: World War I.", "World War I ended.")
    graph.add_edge(Edge("middle", "links_to", "war", tuple(Source("w", page, text, "en") for text in said)))
    numbers = compact(graph)
    solution = {"?0": numbers.number["middle"]}
    form = LogicalForm("reverse", (Clue("?0", "links_to", "war"),), ("?0",), solution, 0, answer=solution["?0"])
    found = Witness(graph, numbers).evidence(form, Worder(graph, numbers, "en"))
    assert isinstance(found, tuple)
    (item,) = found
    assert isinstance(item, Evidence)
    assert (item.url, item.sentence) == (page, said[1])
