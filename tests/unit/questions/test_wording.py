"""An Arabic question says of a she what is said of a she."""

from __future__ import annotations

import pytest

from sindbad.graph.importers.tables import REAL
from sindbad.graph.knowledge import Edge, Entity, KnowledgeGraph, RelationInfo, Source
from sindbad.questions.compact import compact
from sindbad.questions.forms import LogicalForm
from sindbad.questions.question import Clue
from sindbad.questions.wording import Worder

SOURCES = (Source("q", "u", "s", "ar"),)


@pytest.mark.parametrize(
    ("kind", "relation", "text"),
    [
        ("country", "links_to", "أي دولة تشير صفحتها إلى باء؟"),
        ("article", "links_to", "أي مقالة تشير صفحتها إلى باء؟"),
        ("element", "links_to", "أي عنصر كيميائي تشير صفحته إلى باء؟"),
        ("university", "P740", "أي جامعة تأسست في باء؟"),
        ("work", "P740", "أي عمل إبداعي تأسس في باء؟"),
        ("subdivision", "capital", "أي قسم إداري عاصمته باء؟"),
    ],
)
def test_what_is_said_of_an_unknown_thing_agrees_with_its_noun(kind: str, relation: str, text: str) -> None:
    graph = KnowledgeGraph("real")
    for entity_id, name in (("a", "ألف"), ("b", "باء")):
        graph.add_entity(Entity(entity_id, kind, {"ar": name}))
    graph.add_edge(Edge("a", relation, "b", SOURCES))
    graph.set_relation_info(RelationInfo(relation, REAL.relation(relation).labels, REAL.relation(relation).phrases))
    graph.set_relation_info(RelationInfo(f"@type/{kind}", REAL.type(kind).labels, REAL.type(kind).phrases))
    numbers = compact(graph, ["ar"])
    clue = Clue("?x", relation, "b")
    form = LogicalForm("chain", (clue,), ("?x",), {"?x": numbers.number["a"]}, focus=0)
    worded = Worder(graph, numbers, "ar").word(form)
    assert worded.text == text
    assert all(phrase in text for phrase in worded.phrases)
