"""What an import words into pages is read back from them, in both languages, and prose is passed over."""

from __future__ import annotations

import pytest

from sindbad.graph.extraction_worded import WordedParser, read_date
from sindbad.graph.importers.compose import Composer, Outgoing, Subject
from sindbad.graph.importers.tables import REAL
from sindbad.graph.importers.wording import Wording, Words, date_text
from sindbad.graph.knowledge import Attribute, Edge, Entity, KnowledgeGraph, RelationInfo, Source
from sindbad.graph.ontology import of_graph
from sindbad.languages import get_grammar

WORDING = Wording(
    relations={
        "capital": Words("capital", "has the capital", "العاصمة", "عاصمتها"),
        "capital_of": Words("former capital", "has the capital city of old at", "", ""),
        "borders": Words("neighbour", "shares a border with", "الجوار", "لها حدود مع"),
    },
    types={
        "country": Words("country", "is a country", "دولة", "هي دولة"),
        "city": Words("city", "is a city", "مدينة", "هي مدينة"),
    },
    attributes={
        "area": Words("area", "has an area of", "المساحة", "مساحتها"),
        "founded": Words("foundation", "was founded on", "التأسيس", "تأسست في"),
        "motto": Words("motto", "has the motto", "", ""),
    },
)
VALUES = (Attribute("area", 301336, "km²"), Attribute("founded", "1861-03-17", "", "date"))
NAMES = {"italy": {"en": "Italy", "ar": "إيطاليا"}, "rome": {"en": "Rome", "ar": "روما"}}
PROSE = "Italy is a peninsula that is a country. Everybody says that Rome is a city."


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    """The graph that the wording belongs to, as an import makes it."""
    made, source = KnowledgeGraph("real"), (Source("q", "u", "s", "en"),)
    for entity_id, kind in (("italy", "country"), ("rome", "city"), ("oslo", "city")):
        made.add_entity(Entity(entity_id, kind, NAMES.get(entity_id, {"en": "Oslo"})))
    for relation in ("capital", "capital_of", "borders"):
        made.add_edge(Edge("italy", relation, "rome", source))
        words = WORDING.relation(relation)
        made.set_relation_info(RelationInfo(relation, words.labels, words.phrases, False, "country", "city"))
    for value in VALUES:
        made.add_attribute("italy", Attribute(value.name, value.value, value.unit, value.kind, source))
    for info in WORDING.infos({"country": 1, "city": 2}, {"area": 1, "founded": 1}):
        made.set_relation_info(info)
    return made


async def test_every_line_that_was_composed_is_read_back_with_its_sentence(graph: KnowledgeGraph) -> None:
    subject = Subject("italy", "country", NAMES["italy"], {"en": PROSE})
    links = [Outgoing("capital", NAMES["rome"]), Outgoing("borders", {"en": "San Marino", "ar": "سان مارينو"})]
    made, parser = Composer("real", WORDING).compose(subject, VALUES, links), WordedParser(of_graph(graph))
    for page in made.pages:
        found = await parser.extract(page.text, language=page.language)
        assert found.main is not None
        assert (found.main.name, found.main.entity_type) == (page.title, "country")
        stated = {source.sentence for sources in (*made.values, *made.links) for source in sources}
        read = {fact.sentence for fact in found.facts} | {value.sentence for value in found.attributes}
        assert read == {text for text in stated if text in page.text}
        objects = [(fact.relation, fact.object) for fact in found.facts]
        assert objects == [(link.relation, link.names[page.language]) for link in links]
        values = [(item.name, item.value, item.unit) for item in found.attributes]
        assert values == [(value.name, value.value, value.unit) for value in VALUES]


async def test_the_longer_phrase_wins_and_prose_alone_is_no_entity(graph: KnowledgeGraph) -> None:
    parser = WordedParser(of_graph(graph))
    found = await parser.extract("Italy is a country.\nItaly has the capital city of old at Turin.", language="en")
    assert [(fact.relation, fact.object) for fact in found.facts] == [("capital_of", "Turin")]
    assert (await parser.extract("Nothing of the kind.", language="en")).main is None
    assert (await parser.extract("Italy is a country.", language="fr")).main is None
    assert parser.inverse_queries("Rome", "city", "en")[0] == "shares a border with Rome"


@pytest.mark.parametrize("date", ["1943", "1943-05", "1943-05-21", "-0044", "-0044-03-15"])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_dates_are_read_as_they_are_written(date: str, language: str) -> None:
    assert read_date(date_text(date, language), language) == date
    for wrong in ("soon", "May", "21 May", "1943 1943", ""):
        assert read_date(wrong, language) == ""


async def test_a_phrase_is_written_and_read_in_the_gender_of_its_subject(graph: KnowledgeGraph) -> None:
    composer = Composer("real", REAL)
    parser = WordedParser(of_graph(_worded("links_to", "capital")))
    for kind, said in (("country", "تشير صفحتها إلى روما"), ("element", "تشير صفحته إلى روما")):
        page = composer.compose(
            Subject("x", kind, {"ar": "سين"}, {}), (), [Outgoing("links_to", NAMES["rome"])]
        ).pages[0]  # fmt: skip
        assert f"سين {said}." in page.text
        read = await parser.extract(page.text, language="ar")
        assert [(fact.relation, fact.object) for fact in read.facts] == [("links_to", "روما")]
    untyped = composer.compose(Subject("x", "", {"ar": "سين"}, {}), (), [Outgoing("capital", NAMES["rome"])])
    assert "سين عاصمتها روما." in untyped.pages[0].text


def _worded(*relations: str) -> KnowledgeGraph:
    """Two relations as an import words them."""
    made = KnowledgeGraph("real")
    for entity_id, kind in (("a", "country"), ("b", "element")):
        made.add_entity(Entity(entity_id, kind, {"en": entity_id}))
        made.set_relation_info(RelationInfo(f"@type/{kind}", REAL.type(kind).labels, REAL.type(kind).phrases))
    for relation in relations:
        made.add_edge(Edge("a", relation, "b", (Source("q", "u", "s", "en"),)))
        made.set_relation_info(RelationInfo(relation, REAL.relation(relation).labels, REAL.relation(relation).phrases))
    return made


def test_every_arabic_phrase_of_the_real_graphs_has_its_other_gender_or_needs_none() -> None:
    neutral = {"جزء من", "عضو في", "مدينة في", "من عناصر", "من بطولة"}
    phrases = {words.phrase_ar for table in (REAL.relations, REAL.attributes) for words in table.values()} - {""}
    same = {phrase for phrase in phrases if len(set(get_grammar("ar").genders(phrase))) == 1}
    assert same == neutral
