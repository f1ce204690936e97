"""From a model's reply to facts: strict parsing, and the check that the page says what the reply claims.

Invariant: nothing passes that is outside the ontology, or whose sentence is not the page's, or whose object (value) is
not in that sentence; what is refused is counted by reason. A subject may stand in an earlier sentence ("He was born in
Ulm."), but on the page. Pure: no model, no clock. Not covered: whether the sentence *means* what the reply says.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sindbad.graph import stated_numbers
from sindbad.graph.extraction import ReadAttribute, ReadEntity
from sindbad.graph.ontology import Ontology
from sindbad.graph.reading import ReadFact

MAX_NAME_CHARS: Final = 200
_DATE: Final = re.compile(r"-?\d{4}(-\d{2}(-\d{2})?)?")
_TERSE: Final = re.compile(r"(\d+) (.+)")
_FORMS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "entity": (frozenset({"entity", "type", "sentence"}), frozenset({"aliases"})),
    "fact": (frozenset({"subject", "relation", "object", "sentence"}), frozenset()),
    "attribute": (frozenset({"entity", "attribute", "value", "sentence"}), frozenset({"unit"})),
}
"""Form -> keys that must be there, keys that may."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of a reply, as it was written: ``sentence`` is a number from 1 or a quotation."""

    form: str
    fields: dict[str, Any]
    sentence: int | str


@dataclass(frozen=True, slots=True)
class Reply:
    """Lines that could be read, and how many could not."""

    statements: tuple[Statement, ...]
    malformed: int


def parse_reply(reply: str, style: Literal["json", "terse"], ontology: Ontology) -> Reply:
    """Line by line; blank lines and the fence of a code block count for nothing."""
    lines = [line.strip() for line in reply.splitlines()]
    lines = [line for line in lines if line and not line.startswith("```")]
    read = [_from_json(line) if style == "json" else _from_terse(line, ontology) for line in lines]
    return Reply(tuple(item for item in read if item is not None), read.count(None))


def _from_json(line: str) -> Statement | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    for form, (needed, possible) in _FORMS.items():
        if needed <= value.keys() <= needed | possible:
            sentence = value["sentence"]
            good = isinstance(sentence, (int, str)) and not isinstance(sentence, bool)
            return Statement(form, value, sentence) if good else None
    return None


def _from_terse(line: str, ontology: Ontology) -> Statement | None:
    """ "2 Marota Lin was born in: Tavel", "1 Marota Lin is a person": the label is the ontology's English wording."""
    found = _TERSE.fullmatch(line)
    if found is None:
        return None
    number, said = int(found[1]), found[2]
    for relation, part in ontology.relations.items():
        subject, label, object_ = said.partition(f" {part.phrases.get('en', relation)}: ")
        if label and subject and object_:
            return Statement("fact", {"subject": subject, "relation": relation, "object": object_}, number)
    for entity_type, words in ontology.types.items():
        label = f" {words.get('en', entity_type)}"
        if said.endswith(label) and len(said) > len(label):
            return Statement("entity", {"entity": said.removesuffix(label), "type": entity_type}, number)
    return None


@dataclass(slots=True)
class Grounding:
    """Collects what stands the check.

    Attributes:
        page: one page's sentences, in order. language: theirs; "" reads no words that multiply a number.
    """

    ontology: Ontology
    page: Sequence[str]
    language: str = ""
    entities: dict[str, ReadEntity] = field(default_factory=dict)
    facts: dict[tuple[str, str, str], ReadFact] = field(default_factory=dict)
    attributes: dict[tuple[str, str, str], ReadAttribute] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    _whole: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._whole = "\n".join(self.page)

    def take(self, statements: Sequence[Statement], sentences: Sequence[str]) -> None:
        """Check statements about ``sentences``, a part of the page; entities first, since facts go by their types."""
        for form, check in (("entity", self._entity), ("fact", self._fact), ("attribute", self._attribute)):
            for statement in statements:
                if statement.form == form:
                    sentence = _sentence(statement.sentence, sentences)
                    reason = check(statement.fields, sentence) if sentence else "not_on_page"
                    self.dropped.update([reason] if reason else [])

    def _entity(self, said: dict[str, Any], sentence: str) -> str:
        name, kind = _name(said["entity"]), said["type"]
        if not name or name not in sentence:
            return "not_in_sentence"
        if not isinstance(kind, str) or not self.ontology.knows_type(kind):
            return "unknown_type"
        others = said.get("aliases")
        named = [_name(other) for other in others] if isinstance(others, list) else []
        aliases = tuple(dict.fromkeys(other for other in named if other and other != name and other in self._whole))
        self.entities.setdefault(name, ReadEntity(name, kind, sentence, aliases))
        return ""

    def _fact(self, said: dict[str, Any], sentence: str) -> str:
        subject, relation, object_ = _name(said["subject"]), said["relation"], _name(said["object"])
        if not subject or not object_ or object_ not in sentence or subject not in self._whole:
            return "not_in_sentence"
        if not isinstance(relation, str) or not self.ontology.knows_relation(relation):
            return "unknown_relation"
        if subject == object_:
            return "self_loop"
        if not self.ontology.fits(relation, self._type(subject), self._type(object_)):
            return "wrong_type"
        self.facts.setdefault((subject, relation, object_), ReadFact(subject, relation, object_, sentence))
        return ""

    def _type(self, name: str) -> str:
        known = self.entities.get(name)
        return known.entity_type if known else ""

    def _attribute(self, said: dict[str, Any], sentence: str) -> str:
        entity, name = _name(said["entity"]), said["attribute"]
        if not entity or entity not in self._whole:
            return "not_in_sentence"
        known = self.ontology.attributes.get(name) if isinstance(name, str) else None
        if known is None:
            return "unknown_attribute"
        value = _value(said["value"], known.kind)
        if value is None:
            return "bad_value"
        if not _stated(value, known.kind, sentence, self.language):
            return "not_in_sentence"
        unit = said.get("unit")
        unit = unit if isinstance(unit, str) and len(unit) < 20 and unit in sentence else known.unit
        self.attributes.setdefault(
            (entity, name, str(value)), ReadAttribute(entity, name, value, unit, known.kind, sentence)
        )
        return ""


def _sentence(said: int | str, sentences: Sequence[str]) -> str:
    """The page's sentence that a number or a quotation stands for; "" where there is none."""
    if isinstance(said, int):
        return sentences[said - 1] if 1 <= said <= len(sentences) else ""
    quoted = " ".join(said.split())
    return quoted if quoted in sentences else ""


def _name(said: object) -> str:
    """A name on one line, or "" for what is none."""
    if not isinstance(said, str) or len(said) > MAX_NAME_CHARS:
        return ""
    return " ".join(said.split()) if said.isprintable() else ""


def _value(said: object, kind: str) -> int | float | str | None:
    """Of the kind that the ontology wants, or None."""
    if kind == "number":
        return said if isinstance(said, (int, float)) and not isinstance(said, bool) and abs(said) < 1e30 else None
    if kind == "date":
        text = str(said) if isinstance(said, int) and not isinstance(said, bool) else said
        return text if isinstance(text, str) and _DATE.fullmatch(text) else None
    return _name(said) or None


def _stated(value: int | float | str, kind: str, sentence: str, language: str) -> bool:
    """Numbers by their value; dates by their year, and their day where they have one; texts as they are."""
    if kind == "number":
        assert not isinstance(value, str)  # by :func:`_value`
        return stated_numbers.states(value, sentence, language)
    if kind == "text":
        return str(value) in sentence
    year, *rest = str(value).lstrip("-").split("-")
    return {int(year), *map(int, rest[1:])} <= stated_numbers.figures(sentence)
