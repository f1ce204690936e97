"""A question with its logical form, so that it can be verified, answered by an oracle and worded in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Clue:
    """A triple pattern. ``subject`` / ``object`` are entity ids or variables ("?0", "?1", …); ``relation`` an id."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The stored sentence that supports one clue, and where it stands.

    Attributes:
        clue: the clue's place among the question's; None for the attribute that the operation reads of ``entity``.
        entity: of a count or superlative, which of the things that fit takes the target's place; "" where it is the
            solution's. Questions of the demo, and files of earlier versions, say neither.
    """

    url: str
    sentence: str
    clue: int | None = None
    entity: str = ""

    @property
    def says_of_what(self) -> bool:
        """Whether it is known what it is the evidence of."""
        return self.clue is not None or bool(self.entity)


@dataclass(frozen=True, slots=True)
class Question:
    """One question in one language over one world.

    Attributes:
        kind: "chain" (anchor -> hop -> ... -> target, in reading order), "reverse" (find the subject of one known
            fact, then perhaps hops), "intersection" (two clues on one variable, then perhaps hops), "constraint" (any
            connected pattern of clues), "numeric" (an attribute of what the clues describe, or the sum or difference
            of two), "comparison" (which of two described things has more, or is earlier), "count" (how many),
            "superlative" (the one with the most or least among those that fit).
        clues: in the order in which the wording states them.
        target: the variable asked for; ``answer_id`` is its only binding in the whole graph ("=12" where the answer is
            a number; of "count" and "superlative" the clues have several solutions, and the operation decides).
        uncertainty: labels of WebSailor-V2 §3 ("semantic", "distractor", "structural"); empty for none.
        distractors: facts that the wording mentions as hearsay; each is false against the graph.
        topology: isomorphism class of the bare subgraph that the question came from; ``orbit`` is the focus's orbit
            in it, ``subgraph_hash`` the subgraph's WL hash with features.
        split: "train" or "test"; disjoint by world, or, within one graph, by entity and by subgraph.
        operation: what is done with what the clues describe: "" (name it), "value", "sum", "difference", "count",
            "more", "less" (comparison), "most", "least" (superlative).
        attribute: the attribute that the operation reads; ``operands``: the variables it is read of, in order.
        value: the number asked for, where the answer is one; ``unit`` is the attribute's.
        solution: (variable, entity id) of the intended solution; () in files written before there was one.
        wording: who worded it: "template", or "model" (checked against the clues).
    """

    question_id: str
    world_id: str
    language: str
    text: str
    kind: str
    clues: tuple[Clue, ...]
    target: str
    answer_id: str
    answer: str
    aliases: tuple[str, ...] = ()
    hops: int = 1
    uncertainty: tuple[str, ...] = ()
    difficulty: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    split: str = "train"
    orbit: int = 0
    subgraph_hash: str = ""
    topology: str = ""
    distractors: tuple[Clue, ...] = ()
    operation: str = ""
    attribute: str = ""
    operands: tuple[str, ...] = ()
    value: float | None = None
    unit: str = ""
    solution: tuple[tuple[str, str], ...] = ()
    wording: str = "template"

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form; what a later version added is left out where it says nothing."""
        record = asdict(self)
        for item in record["evidence"]:
            for name in [name for name, unsaid in (("clue", None), ("entity", "")) if item[name] == unsaid]:
                del item[name]
        return {name: value for name, value in record.items() if name not in _LATER or value != _LATER[name]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Question:
        """Inverse of :meth:`to_record`; unknown keys raise TypeError."""
        given = dict(record)
        given["clues"] = tuple(Clue(**clue) for clue in given["clues"])
        given["distractors"] = tuple(Clue(**clue) for clue in given.get("distractors", ()))
        given["evidence"] = tuple(Evidence(**item) for item in given.get("evidence", ()))
        given["solution"] = tuple((variable, value) for variable, value in given.get("solution", ()))
        for name in ("aliases", "uncertainty", "operands"):
            value = given.get(name, ())
            given[name] = (value,) if isinstance(value, str) else tuple(value)
        return cls(**given)


_LATER = {
    field.name: field.default
    for field in fields(Question)
    if field.default is not MISSING
    and field.name in ("operation", "attribute", "operands", "value", "unit", "solution", "wording")
}
