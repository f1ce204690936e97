"""The parser of encyclopedias that an import worded: real entities, their links and values, a sentence a line.

Reads what :mod:`sindbad.graph.importers.compose` writes, in the words of the graph's own ontology: a line that says the
type, then "{name} {phrase} {object}." Blind to prose, also where an import quotes prose as a link's source.
Invariant: what it reads stands on one line of the page, and that line is the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from sindbad.graph.extraction import Extraction, ReadAttribute, ReadEntity
from sindbad.graph.importers.wording import date_text
from sindbad.graph.knowledge import RelationInfo
from sindbad.graph.ontology import Ontology, OntologyAttribute, OntologyRelation
from sindbad.graph.reading import ReadFact
from sindbad.languages import get_grammar
from sindbad.retrieval.extraction import canonical
from sindbad.retrieval.visit import GAP

_NUMBER: Final = re.compile(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(\D*)")


class WordedParser:
    """Implements :class:`sindbad.graph.extraction.Extractor` by an ontology's phrases."""

    def __init__(self, ontology: Ontology) -> None:
        self._ontology = ontology
        self._phrases = lru_cache(maxsize=8)(self._longest_first)

    @property
    def signature(self) -> str:
        return f"worded:{self._ontology.digest}"

    async def extract(self, text: str, *, language: str) -> Extraction:
        """See :class:`sindbad.graph.extraction.Extractor`."""
        lines = [line.strip() for part in canonical(text).split(GAP.strip()) for line in part.splitlines()]
        main = self._main(lines, language)
        if main is None:
            return Extraction()
        facts, attributes = list[ReadFact](), list[ReadAttribute]()
        for line in lines:
            if line.startswith(f"{main.name} ") and line.endswith(".") and line != main.sentence:
                said = self._read(line.removeprefix(f"{main.name} ")[:-1], main.name, line, language)
                facts += [said] if isinstance(said, ReadFact) else []
                attributes += [said] if isinstance(said, ReadAttribute) else []
        return Extraction((main,), tuple(facts), tuple(attributes))

    def _main(self, lines: list[str], language: str) -> ReadEntity | None:
        """Who is given a type, and spoken of most."""
        found = []
        for entity_type, words in self._ontology.types.items():
            ending = f" {words.get(language, '')}."
            found += [
                ReadEntity(line.removesuffix(ending), entity_type, line)
                for line in lines
                if len(ending) > 2 and line.endswith(ending) and len(line) > len(ending)
            ]
        return max(found, key=lambda one: sum(line.startswith(f"{one.name} ") for line in lines), default=None)

    def _read(self, said: str, name: str, line: str, language: str) -> ReadFact | ReadAttribute | None:
        for phrase, relation in self._phrases(language).items():
            if said.startswith(f"{phrase} "):
                rest = said[len(phrase) + 1 :].strip()
                if relation in self._ontology.relations:
                    return ReadFact(name, relation, rest, line) if rest != name else None
                return self._value(relation, rest, name, line, language)
        return None

    def _value(self, attribute: str, rest: str, name: str, line: str, language: str) -> ReadAttribute | None:
        part = self._ontology.attributes[attribute]
        if part.kind == "text":
            return ReadAttribute(name, attribute, rest, part.unit, part.kind, line)
        if part.kind == "date":
            date = read_date(rest, language)
            return ReadAttribute(name, attribute, date, "", part.kind, line) if date else None
        number = _NUMBER.fullmatch(rest)
        if number is None:
            return None
        value = float(number[1]) if re.search(r"[.e]", number[1]) else int(number[1])
        return ReadAttribute(name, attribute, value, part.unit, part.kind, line)

    def _longest_first(self, language: str) -> Mapping[str, str]:
        """Phrase -> relation or attribute: "is the head of state of" before "is the head of"."""
        parts: list[tuple[str, OntologyRelation | OntologyAttribute]]
        parts = [*self._ontology.relations.items(), *self._ontology.attributes.items()]
        own = {part.phrases[language]: name for name, part in parts if part.phrases.get(language)}
        if not own:
            return own
        genders = get_grammar(language).genders
        known = {form: name for phrase, name in own.items() for form in genders(phrase)} | own
        return {phrase: known[phrase] for phrase in sorted(known, key=lambda phrase: (-len(phrase), phrase))}

    def inverse_queries(self, name: str, entity_type: str, language: str) -> list[str]:
        """As the ontology words them."""
        return self._ontology.inverse_queries(name, entity_type, language)

    def fits(self, relation: str, subject_type: str, object_type: str) -> bool:
        """As the ontology has it."""
        return self._ontology.fits(relation, subject_type, object_type)

    def relation_info(self, relation: str) -> RelationInfo | None:
        """As the ontology words it."""
        return self._ontology.relation_info(relation)

    async def close(self) -> None:
        """Holds nothing."""


def read_date(text: str, language: str) -> str:
    """Inverse of :func:`sindbad.graph.importers.wording.date_text`; "" for what is no date."""
    months = {date_text(f"2000-{n:02d}", language).split(" ")[0]: n for n in range(1, 13)}
    era = date_text("-0001", language).removeprefix("1").strip()
    before, words = text.endswith(f" {era}"), text.removesuffix(f" {era}").split(" ")
    numbers = [months.get(word, int(word) if word.isascii() and word.isdigit() else 0) for word in words]
    good = 0 < len(words) <= 3 and all(numbers) and all(word in months for word in words[-2:-1])
    if not good or words[-1] in months:
        return ""
    year, *rest = reversed(numbers)
    return "-".join([f"{'-' if before else ''}{year:04d}", *(f"{number:02d}" for number in rest)])
