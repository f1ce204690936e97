"""The pages that a graph's provenance was quoted from."""

from __future__ import annotations

from itertools import chain

from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.retrieval.page import Page


def pages_of(graph: KnowledgeGraph) -> list[Page]:
    """One page an entity and language, of all its sentences."""
    said: dict[tuple[str, str], list[str]] = {}
    names = {source.url: entity.names[source.language] for entity in graph.entities for source in entity.sources}
    for entity in graph.entities:
        facts = (edge.sources for edge in graph.edges if edge.subject == entity.entity_id)
        amounts = (item.sources for item in graph.attributes(entity.entity_id))
        for source in chain(entity.sources, *facts, *amounts):
            said.setdefault((source.url, source.language), []).append(source.sentence)
    return [Page(url, names[url], " ".join(text), language, "films") for (url, language), text in said.items()]
