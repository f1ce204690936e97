"""What an extractor does: text of a page in, typed entities, facts and attributes out, each with the page's sentence.

Implementations: the parser of templated sources here, a language model in :mod:`sindbad.graph.extraction_model`.
Invariant: extracting never raises but for cancellation; what went wrong is in :attr:`Extraction.failure`, what was
refused in :attr:`Extraction.dropped`. Every sentence that is handed on stands on the page (an extractor checks that).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from sindbad.graph.knowledge import AttributeKind, RelationInfo
from sindbad.graph.ontology import encyclopedia
from sindbad.graph.reading import IS_A, ReadFact, TemplateReader
from sindbad.languages import get_pack


@dataclass(frozen=True, slots=True)
class ReadEntity:
    """Something that the page introduces, as the page names it; ``sentence`` says of what type it is."""

    name: str
    entity_type: str
    sentence: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadAttribute:
    """A literal fact about ``entity``, a name; the rest as in :class:`sindbad.graph.knowledge.Attribute`."""

    entity: str
    name: str
    value: int | float | str
    unit: str
    kind: AttributeKind
    sentence: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a page says.

    Attributes:
        entities: in the order of the page; the first is what the page is about.
        facts: with names at both ends, in the order of the page; none is an "is_a".
        dropped: what was refused, by reason ("not_on_page", "unknown_relation", …).
        failure: why nothing (more) could be read, in the words of an error's reason; "" where all went well.
        malformed: lines of a model's replies that could not be read, retries included.
        calls: how often a model was asked, every try counted.
    """

    entities: tuple[ReadEntity, ...] = ()
    facts: tuple[ReadFact, ...] = ()
    attributes: tuple[ReadAttribute, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    failure: str = ""
    malformed: int = 0
    calls: int = 0

    @property
    def main(self) -> ReadEntity | None:
        """What the page is about."""
        return self.entities[0] if self.entities else None

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Extraction:
        """Inverse of :meth:`to_record`, also after a way through JSON."""
        entities = (ReadEntity(**{**item, "aliases": tuple(item["aliases"])}) for item in record["entities"])
        return cls(
            entities=tuple(entities),
            facts=tuple(ReadFact(**item) for item in record["facts"]),
            attributes=tuple(ReadAttribute(**item) for item in record["attributes"]),
            **{key: value for key, value in record.items() if key not in {"entities", "facts", "attributes"}},
        )


class Extractor(Protocol):
    """Anything that reads facts out of pages, in one language or several."""

    @property
    def signature(self) -> str:
        """Whoever has the same signature extracts the same: finished work is kept under it."""
        ...

    async def extract(self, text: str, *, language: str) -> Extraction:
        """Read one page.

        Args:
            text: the page's main text as a visit shows it; untrusted, data and nothing else.
            language: of the page, a BCP 47 code.
        """
        ...

    def inverse_queries(self, name: str, entity_type: str, language: str) -> list[str]:
        """Searches that find pages which mention ``name`` as the object of a fact."""
        ...

    def fits(self, relation: str, subject_type: str, object_type: str) -> bool:
        """Whether the relation may join ends of these types as far as the extractor knows; "" stands for any type."""
        ...

    def relation_info(self, relation: str) -> RelationInfo | None:
        """How a relation is worded, for graphs that do not know; None where the extractor does not know either."""
        ...

    async def close(self) -> None:
        """Give back connections; idempotent."""
        ...


class ParserExtractor:
    """Reads a language pack's sentences: exact on text written from its templates, blind to everything else."""

    def __init__(self, languages: Sequence[str]) -> None:
        self._readers = {language: TemplateReader(get_pack(language)) for language in languages}

    @property
    def signature(self) -> str:
        """A parser costs nothing, so its work is not worth keeping; the languages tell two of them apart."""
        return f"parser:{','.join(self._readers)}"

    async def extract(self, text: str, *, language: str) -> Extraction:
        """See :class:`Extractor`; a language without templates is a failure."""
        if language not in self._readers:
            return Extraction(failure="NO_TEMPLATES")
        return as_extraction(self._readers[language].read(text))

    def inverse_queries(self, name: str, entity_type: str, language: str) -> list[str]:
        """One query a relation whose range is ``entity_type``, worded as pages word it."""
        return self._readers[language].inverse_queries(name, entity_type)

    def fits(self, relation: str, subject_type: str, object_type: str) -> bool:
        """As the synthetic encyclopedia has it, whose relations these are."""
        return encyclopedia().fits(relation, subject_type, object_type)

    def relation_info(self, relation: str) -> RelationInfo | None:
        """Graphs know the language packs' wording themselves."""
        return None

    async def close(self) -> None:
        """Holds nothing."""


def as_extraction(read: Sequence[ReadFact]) -> Extraction:
    """Facts and type statements in one list, as a parser reads them, taken apart."""
    entities: dict[str, ReadEntity] = {}
    for fact in read:
        if fact.relation == IS_A:
            entities.setdefault(fact.subject, ReadEntity(fact.subject, fact.object, fact.sentence))
    return Extraction(tuple(entities.values()), tuple(fact for fact in read if fact.relation != IS_A))
