"""From pages as read to a graph: entities, edges and attributes with their sources, names resolved.

Pure. A fact becomes an edge where both its names mean entities whose pages were read; others are counted as open, by
reason. What a name means depends on all pages that were read, also on those whose entities the graph does not keep.
For comparison there is the tree that keeps of every entity only the fact through which it was first reached, as graphs
grow that never look back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sindbad.graph.build_names import Names, Open
from sindbad.graph.extraction import Extraction, ReadAttribute, ReadEntity
from sindbad.graph.knowledge import Attribute, Edge, Entity, KnowledgeGraph, RelationInfo, Source
from sindbad.graph.reading import ReadFact
from sindbad.graph.statistics import components, skeleton

Triple = tuple[str, str, str]
Worded = Callable[[str], RelationInfo | None]


@dataclass(frozen=True, slots=True)
class PageReading:
    """One page as read: which entity, and what it states with names. ``url`` is the page's, ``query`` led there.

    ``translations``: language code -> where the page says that it is in that language.
    """

    entity_id: str
    main: ReadEntity
    url: str
    query: str
    language: str
    facts: tuple[ReadFact, ...]
    attributes: tuple[ReadAttribute, ...]
    length: int
    translations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, entity_id: str, main: ReadEntity, url: str, query: str, language: str, found: Extraction, length: int
    ) -> PageReading:
        return cls(entity_id, main, url, query, language, found.facts, found.attributes, length)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.main.name, *self.main.aliases)

    @property
    def mentioned(self) -> dict[str, None]:
        """Names of objects, each once, in the order of the page."""
        return dict.fromkeys(fact.object for fact in self.facts)

    def source(self, sentence: str) -> Source:
        return Source(self.query, self.url, sentence, self.language)


def assemble(
    corpus: str, pages: Sequence[PageReading], names: Names, kept: Iterable[str]
) -> tuple[KnowledgeGraph, Counter[Open]]:
    """The graph of the entities ``kept``, and how many facts of their pages became no edge, by reason.

    ``names`` are those of all ``pages``.
    """
    graph, wanted, opened = KnowledgeGraph(corpus), set(kept), Counter[Open]()
    ordered = sorted(pages, key=lambda page: (page.entity_id, page.url))
    for page in ordered:
        if page.entity_id in wanted:
            graph.add_entity(entity_of(page))
    for page in ordered:
        counted = add_facts(graph, page, names)
        opened.update(counted if page.entity_id in wanted else {})
    return graph, opened


def entity_of(page: PageReading) -> Entity:
    """The node that a page is about."""
    main, language = page.main, page.language
    features = {f"page_characters_{language}": page.length, f"facts_stated_{language}": len(page.facts)}
    aliases = {language: main.aliases} if main.aliases else {}
    source = page.source(main.sentence)
    return Entity(page.entity_id, main.entity_type, {language: main.name}, aliases, (source,), features)


def add_facts(graph: KnowledgeGraph, page: PageReading, names: Names, *, new: bool = True) -> Counter[Open]:
    """Add what a page states between entities of the graph; returns what could not be placed, values included.

    ``new=False`` only adds sources to what is known: another language confirms, and adds nothing.
    """
    opened = Counter[Open]()
    for fact in page.facts:
        ends = names.place(fact, page.entity_id, page.names)
        if isinstance(ends, Open):
            opened[ends] += 1
        elif not all(end in graph for end in ends):
            opened[Open.UNREAD] += 1
        elif new or graph.has(ends[0], fact.relation, ends[1]):
            graph.add_edge(Edge(ends[0], fact.relation, ends[1], (page.source(fact.sentence),)))
    for stated in page.attributes:
        holder = names.holder(stated.entity, page.entity_id, page.names)
        if isinstance(holder, Open):
            opened[holder] += 1
        elif holder in graph:
            _add_attribute(graph, holder, stated, page, new)
        else:
            opened[Open.UNREAD] += 1
    return opened


def _add_attribute(graph: KnowledgeGraph, entity_id: str, stated: ReadAttribute, page: PageReading, new: bool) -> None:
    known = {(item.name, str(item.value)) for item in graph.attributes(entity_id)}
    if new or (stated.name, str(stated.value)) in known:
        source = page.source(stated.sentence)
        graph.add_attribute(entity_id, Attribute(stated.name, stated.value, stated.unit, stated.kind, (source,)))


def in_cycles(graph: KnowledgeGraph) -> set[str]:
    """Nodes of the components that hold a cycle: questions need |E| >= |V|."""
    adjacency = skeleton(graph)
    cyclic = [part for part in components(adjacency) if sum(len(adjacency[n]) for n in part) // 2 >= len(part)]
    return {node for part in cyclic for node in part}


def discovery_tree(graph: KnowledgeGraph, order: Sequence[str]) -> KnowledgeGraph:
    """The same entities with one edge each at most: to the earliest-read of its neighbours, if that was read before."""
    tree, rank = KnowledgeGraph(graph.world_id), {entity_id: number for number, entity_id in enumerate(order)}
    for entity in graph.entities:
        tree.add_entity(entity)
    for entity_id in order:
        earlier = [other for other in graph.neighbours(entity_id) if rank[other] < rank[entity_id]]
        if earlier:
            parent = min(earlier, key=lambda other: rank[other])
            tree.add_edge(graph.edges_between(parent, entity_id)[0])
    return tree


def word_relations(graph: KnowledgeGraph, worded: Worded) -> None:
    """Say how the relations in use are worded, where the extractor's ontology knows."""
    for relation in graph.relations:
        info = worded(relation)
        if info is not None:
            graph.set_relation_info(info)


def merge_language(graph: KnowledgeGraph, pages: Mapping[str, PageReading], names: Names) -> None:
    """Names, introductions and confirming sentences from another language's pages, by entity. ``names``: so far none,
    in that language."""
    chosen = [pages[key] for key in sorted(pages)]
    for page in chosen:
        graph.add_entity(entity_of(page))
        names.add(page.entity_id, page.names, page.main.entity_type)
    for page in chosen:
        add_facts(graph, page, names, new=False)
