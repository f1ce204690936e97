"""Questions as constraint queries over a graph: the solver, and when two logical forms ask the same.

A variable starts with "?". Beside relations, a clue may state an attribute: ``Clue("?a", "@type", "city")`` and
``Clue("?a", "@initial:en", "T")`` (first letter of the name in a language).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from sindbad.graph.knowledge import GraphView, Triple
from sindbad.questions.question import Clue

TYPE = "@type"
INITIAL = "@initial:"
_BUCKETS = (0, 3, 6, 9, 12, 15, 20)
Binding = dict[str, str]


def is_variable(term: str) -> bool:
    """Whether a clue's end is an unknown."""
    return term.startswith("?")


def is_attribute(clue: Clue) -> bool:
    """Whether the clue states an attribute of its subject instead of a fact between two entities."""
    return clue.relation.startswith("@")


def constants(clues: Sequence[Clue]) -> list[str]:
    """The entities that the clues name, in order, each once."""
    ends = (end for clue in clues for end in ((clue.subject,) if is_attribute(clue) else (clue.subject, clue.object)))
    return [end for end in dict.fromkeys(ends) if not is_variable(end)]


def solve(graph: GraphView, clues: Sequence[Clue], target: str, *, limit: int = 0) -> set[str]:
    """All bindings of ``target`` under which every clue holds somewhere in the graph.

    Args:
        limit: stop once more than this many different answers are found; 0 finds all.
    """
    found: set[str] = set()
    for binding in solutions(graph, clues):
        found.add(binding[target])
        if limit and len(found) > limit:
            break
    return found


def solutions(graph: GraphView, clues: Sequence[Clue]) -> Iterator[Binding]:
    """Every full binding, by backtracking; the clue with the fewest possibilities is settled first."""
    yield from _extend(graph, list(clues), {})


def _extend(graph: GraphView, left: list[Clue], binding: Binding) -> Iterator[Binding]:
    if not left:
        yield dict(binding)
        return
    choice = min(range(len(left)), key=lambda index: _fan_out(graph, left[index], binding))
    clue = left[choice]
    rest = left[:choice] + left[choice + 1 :]
    for subject, object_ in sorted(matches(graph, clue, binding)):
        added = {end: value for end, value in ((clue.subject, subject), (clue.object, object_)) if is_variable(end)}
        if clue.subject == clue.object and subject != object_:
            continue
        yield from _extend(graph, rest, {**binding, **added})


def _fan_out(graph: GraphView, clue: Clue, binding: Mapping[str, str]) -> int:
    subject, object_ = _value(clue.subject, binding), _value(clue.object, binding)
    if is_attribute(clue):
        return 0 if subject is not None else len(graph)
    if subject is not None:
        return 0 if object_ is not None else len(graph.objects(subject, clue.relation))
    if object_ is not None:
        return len(graph.subjects(clue.relation, object_))
    return len(graph.pairs(clue.relation))


def matches(graph: GraphView, clue: Clue, binding: Mapping[str, str]) -> set[tuple[str, str]]:
    """(subject, object) of every way to satisfy one clue under a partial binding."""
    subject, object_ = _value(clue.subject, binding), _value(clue.object, binding)
    if is_attribute(clue):
        chosen = [entity.entity_id for entity in graph.entities] if subject is None else [subject]
        return {(item, clue.object) for item in chosen if _has_attribute(graph, item, clue)}
    if subject is not None and object_ is not None:
        return {(subject, object_)} if graph.has(subject, clue.relation, object_) else set()
    if subject is not None:
        return {(subject, item) for item in graph.objects(subject, clue.relation)}
    if object_ is not None:
        return {(item, object_) for item in graph.subjects(clue.relation, object_)}
    return set(graph.pairs(clue.relation))


def _value(term: str, binding: Mapping[str, str]) -> str | None:
    return binding.get(term) if is_variable(term) else term


def _has_attribute(graph: GraphView, entity_id: str, clue: Clue) -> bool:
    if entity_id not in graph:
        return False
    entity = graph.entity(entity_id)
    if clue.relation == TYPE:
        return entity.entity_type == clue.object
    language = clue.relation.removeprefix(INITIAL)
    return entity.names.get(language, "")[:1] == clue.object


def ground(clues: Sequence[Clue], binding: Mapping[str, str]) -> list[Triple]:
    """The facts that the relational clues state under a full binding, in order."""
    facts = [clue for clue in clues if not is_attribute(clue)]
    return [(binding.get(c.subject, c.subject), c.relation, binding.get(c.object, c.object)) for c in facts]


def signature(facts: Sequence[Triple], answer_id: str, symmetric: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Equal for near-duplicates: the same facts in any order, read in either direction if symmetric, same answer."""
    texts = []
    for subject, relation, object_ in facts:
        low, high = sorted((subject, object_)) if relation in symmetric else (subject, object_)
        texts.append(f"{low} {relation} {high}")
    return (answer_id, *sorted(texts))


def difficulty(graph: GraphView, clues: Sequence[Clue], binding: Mapping[str, str]) -> float:
    """Clues, plus the bits of choice that a reader faces who takes them in order.

    A functional hop offers one candidate (0 bits); "a person born in Tavel" offers as many as were born there. A clue
    read against its direction (known object, unknown subject) has to be searched rather than read: 1 on top.
    """
    known: Binding = {}
    total = 0.0
    for clue in clues:
        options = matches(graph, clue, known)
        backwards = not is_attribute(clue) and is_variable(clue.subject) and clue.subject not in known
        total += 1.0 + math.log2(max(1, len(options))) + (1.0 if backwards else 0.0)
        known.update({end: binding[end] for end in (clue.subject, clue.object) if is_variable(end)})
    return round(total, 3)


def difficulty_bucket(value: float) -> str:
    """The range of a :func:`difficulty` ("06-09") for tables; names sort as their numbers do."""
    low = max((edge for edge in _BUCKETS if value >= edge), default=_BUCKETS[0])
    higher = [edge for edge in _BUCKETS if edge > low]
    return f"{low:02d}-{higher[0]:02d}" if higher else f"{low:02d}+"


def functional_relations(graph: GraphView) -> frozenset[str]:
    """Relations with at most one object a subject in the whole graph: the ones a question may follow forward."""
    return frozenset(
        relation
        for relation in graph.relations
        if len({subject for subject, _ in graph.pairs(relation)}) == len(graph.pairs(relation))
    )


def symmetric_relations(graph: GraphView) -> frozenset[str]:
    """Relations of which every fact also stands in the other direction."""
    return frozenset(
        relation
        for relation in graph.relations
        if all(graph.has(object_, relation, subject) for subject, object_ in graph.pairs(relation))
    )
