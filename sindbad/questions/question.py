"""A question with its logical form, so that it can be verified, answered by an oracle and worded in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Clue:
    """A triple pattern. ``subject`` / ``object`` are entity ids or variables ("?0", "?1", …); ``relation`` an id."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The stored sentence that supports one clue, and where it stands."""

    url: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question in one language over one world.

    Attributes:
        kind: "chain" (anchor -> hop -> ... -> target, in reading order), "reverse" (find the subject of one known
            fact, then perhaps hops), "intersection" (two clues on one variable, then perhaps hops).
        clues: in the order in which the wording states them.
        target: the variable asked for; ``answer_id`` is its only binding in the whole graph.
        uncertainty: labels of WebSailor-V2 §3 ("semantic", "distractor", "structural"); empty for none.
        distractors: facts that the wording mentions as hearsay; each is false against the graph.
        topology: isomorphism class of the bare subgraph that the question came from; ``orbit`` is the focus's orbit
            in it, ``subgraph_hash`` the subgraph's WL hash with features.
        split: "train" or "test"; disjoint by world, entity and subgraph.
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

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Question:
        """Inverse of :meth:`to_record`; unknown keys raise TypeError."""
        fields = dict(record)
        fields["clues"] = tuple(Clue(**clue) for clue in fields["clues"])
        fields["distractors"] = tuple(Clue(**clue) for clue in fields.get("distractors", ()))
        fields["evidence"] = tuple(Evidence(**item) for item in fields.get("evidence", ()))
        for name in ("aliases", "uncertainty"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)
