"""The ontology of the synthetic encyclopedia: entity types and typed relations.

Each relation has ONE sentence template a language, with the object last (``sindbad.languages``), because a tiny model
learns to read pages where a thought that quotes a sentence up to its object can be completed by copying.
``functional`` relations have one object per subject: only they may be followed forward in a question. Symmetric
functional relations form perfect matchings; ``borders`` is the one multi-valued relation and makes the graph dense.
"""

from __future__ import annotations

from dataclasses import dataclass

ENTITY_TYPES = ("person", "city", "country", "company")


@dataclass(frozen=True, slots=True)
class Relation:
    """``relation_id`` from ``domain`` to ``range`` (entity types)."""

    relation_id: str
    domain: str
    range: str
    functional: bool = True
    symmetric: bool = False


RELATIONS: tuple[Relation, ...] = (
    Relation("born_in", "person", "city"),
    Relation("works_for", "person", "company"),
    Relation("spouse", "person", "person", symmetric=True),
    Relation("studied_under", "person", "person"),
    Relation("located_in", "city", "country"),
    Relation("mayor", "city", "person"),
    Relation("twin", "city", "city", symmetric=True),
    Relation("capital", "country", "city"),
    Relation("leader", "country", "person"),
    Relation("borders", "country", "country", functional=False, symmetric=True),
    Relation("founder", "company", "person"),
    Relation("based_in", "company", "city"),
    Relation("rival", "company", "company", symmetric=True),
)
BY_ID = {relation.relation_id: relation for relation in RELATIONS}
