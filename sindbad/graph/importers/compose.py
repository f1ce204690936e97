"""Facts of one entity into its pages and its provenance: every sentence that a source quotes is a line of its page.

A page opens with the source's own prose, then states the entity's type, its values and its links, a sentence a line.
There is a page in each language in which the entity has a name; a link is stated in the languages in which both ends
have one. The query of a source is the one that a researcher would ask for the fact: the subject's name and the
relation's label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sindbad.graph.importers.wording import LANGUAGES, Wording, value_text
from sindbad.graph.knowledge import Attribute, Source
from sindbad.languages import get_grammar
from sindbad.retrieval.extraction import canonical
from sindbad.retrieval.loaders.addresses import url_name
from sindbad.retrieval.page import Page


@dataclass(frozen=True, slots=True)
class Subject:
    """One entity as its pages see it: names are final (unique in each language)."""

    entity_id: str
    entity_type: str
    names: Mapping[str, str]
    prose: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One link of the subject; ``names`` are the object's."""

    relation: str
    names: Mapping[str, str]
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Composed:
    """The pages, and the sources of the entity, of each value and of each link, in the order they were given."""

    pages: list[Page]
    introduction: tuple[Source, ...]
    values: list[tuple[Source, ...]]
    links: list[tuple[Source, ...]]


class Composer:
    """Words pages for one corpus. ``{corpus}.encyclopedia.example`` is a reserved name: nobody answers there."""

    def __init__(self, corpus: str, wording: Wording) -> None:
        self._corpus, self._wording = corpus, wording
        self._host = f"https://{corpus}.encyclopedia.example"
        self._words: dict[tuple[str, str, str], tuple[str, str] | None] = {}

    def url(self, entity_id: str, language: str) -> str:
        """The page's address; its last part is the entity's id."""
        return f"{self._host}/{language}/{url_name(entity_id)}"

    def compose(self, subject: Subject, values: Sequence[Attribute], links: Sequence[Outgoing]) -> Composed:
        """Everything about one entity."""
        made = Composed([], (), [() for _ in values], [() for _ in links])
        introduction: tuple[Source, ...] = ()
        for language in LANGUAGES:
            if language in subject.names:
                page = _Page(self, subject, language, canonical(subject.prose.get(language, "")))
                introduction += page.introduce()
                for number, value in enumerate(values):
                    made.values[number] += page.value(value)
                for number, link in enumerate(links):
                    made.links[number] += page.link(link)
                made.pages.append(page.finish(self._corpus))
        return Composed(made.pages, introduction, made.values, made.links)

    def words(self, name: str, language: str, subject_type: str) -> tuple[str, str] | None:
        """(label, phrase) of a relation, of a type ("@type/city") or of a value ("@population"); None for none.

        The phrase is as it is said of a subject of that type.
        """
        key = (name, language, subject_type)
        if key not in self._words:
            if name.startswith("@type/"):
                found = self._wording.type(name.removeprefix("@type/"))
            elif name.startswith("@"):
                found = self._wording.attribute(name.removeprefix("@"))
            else:
                found = self._wording.relation(name)
            phrase = found.phrases.get(language)
            said = self._said(phrase, language, subject_type) if phrase else ""
            self._words[key] = (found.labels.get(language, name), said) if said else None
        return self._words[key]

    def _said(self, phrase: str, language: str, subject_type: str) -> str:
        grammar, kind = get_grammar(language), self._wording.type(subject_type)
        noun = grammar.noun(subject_type, kind.labels.get(language, ""), kind.phrases.get(language, ""))
        return grammar.agreeing(phrase, noun)


class _Page:
    """One page in the making."""

    def __init__(self, composer: Composer, subject: Subject, language: str, prose: str) -> None:
        self._composer, self._subject, self._language = composer, subject, language
        self._name = subject.names[language]
        self._url = composer.url(subject.entity_id, language)
        self._prose = prose
        self._lines: list[str] = [prose] if prose else []

    def introduce(self) -> tuple[Source, ...]:
        kind = self._subject.entity_type
        words = self._composer.words(f"@type/{kind}", self._language, kind) if kind else None
        return self._stated(f"{self._name} {words[1]}.", self._name) if words else ()

    def value(self, value: Attribute) -> tuple[Source, ...]:
        words = self._composer.words(f"@{value.name}", self._language, self._subject.entity_type)
        if words is None:
            return ()
        text = " ".join(value_text(value, self._language).split())
        return self._stated(f"{self._name} {words[1]} {text}.", f"{self._name} {words[0]}")

    def link(self, link: Outgoing) -> tuple[Source, ...]:
        object_ = link.names.get(self._language)
        kind = self._subject.entity_type
        words = self._composer.words(link.relation, self._language, kind) if object_ else None
        if words is None:
            return ()
        query = f"{self._name} {words[0]}"
        if self._language == "en" and link.quote and link.quote in self._prose:
            return (Source(query, self._url, link.quote, self._language),)
        return self._stated(f"{self._name} {words[1]} {object_}.", query)

    def _stated(self, sentence: str, query: str) -> tuple[Source, ...]:
        self._lines.append(sentence)
        return (Source(query, self._url, sentence, self._language),)

    def finish(self, corpus: str) -> Page:
        return Page(self._url, self._name, "\n".join(self._lines or [f"{self._name}."]), self._language, corpus)


def cleaned(names: Mapping[str, str]) -> dict[str, str]:
    """Names as an index keeps them: one line, single blanks, no control characters; empty ones gone."""
    lines = {language: " ".join(canonical(name).split()) for language, name in names.items()}
    return {language: name for language, name in lines.items() if name}


def unsourced(composed: Iterable[tuple[Source, ...]]) -> int:
    """Facts that no page states (an end has no name in any language they are worded in)."""
    return sum(1 for sources in composed if not sources)
