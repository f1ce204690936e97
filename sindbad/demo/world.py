"""A synthetic world: entities with names in both languages, dense cyclic facts, and an encyclopedia about them.

Everything follows from the seed. Names and facts are drawn afresh in every world, so nothing learnt in one helps in
another: an answer can only be read. A page states the facts whose *subject* it is about; who founded what is found on
the company's page, so a question about the inverse has to be searched.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sindbad.atomic import write_text
from sindbad.demo.names import FIRST_PIECES, NEXT_PIECES, arabic_name
from sindbad.demo.relations import ENTITY_TYPES
from sindbad.errors import InvalidInput, NotFound
from sindbad.languages import LANGUAGES, get_pack
from sindbad.retrieval.page import Page

SHARES = {"person": 0.44, "city": 0.28, "country": 0.12, "company": 0.16}
MINIMUM_ENTITIES = 24
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Entity:
    """``names``: language -> name. ``slug`` is ASCII, the same in every language, and the id (a URL tells it)."""

    entity_id: str
    entity_type: str
    slug: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Triple:
    """One fact between two entity ids."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True)
class World:
    """``facts`` stand in page order: all facts of one subject together."""

    world_id: str
    seed: int
    entities: tuple[Entity, ...]
    facts: tuple[Triple, ...]

    @cached_property
    def by_id(self) -> dict[str, Entity]:
        """Entity id -> entity."""
        return {entity.entity_id: entity for entity in self.entities}

    @cached_property
    def facts_of(self) -> dict[str, tuple[Triple, ...]]:
        """Entity id -> facts with this subject, in page order."""
        grouped: dict[str, list[Triple]] = {entity.entity_id: [] for entity in self.entities}
        for fact in self.facts:
            grouped[fact.subject].append(fact)
        return {subject: tuple(facts) for subject, facts in grouped.items()}

    @cached_property
    def subjects_of(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """(relation, object) -> subjects."""
        grouped: dict[tuple[str, str], list[str]] = {}
        for fact in self.facts:
            grouped.setdefault((fact.relation, fact.object), []).append(fact.subject)
        return {key: tuple(subjects) for key, subjects in grouped.items()}

    def objects(self, subject: str, relation: str) -> tuple[str, ...]:
        """Objects of one relation of one subject."""
        return tuple(fact.object for fact in self.facts_of[subject] if fact.relation == relation)

    def name(self, entity_id: str, language: str) -> str:
        """The entity's name. Raises NotFound for an id of another world."""
        try:
            return self.by_id[entity_id].names[language]
        except KeyError:
            raise NotFound(f"world {self.world_id} has no entity {entity_id!r} named in {language!r}") from None

    def names(self, language: str) -> dict[str, str]:
        """Entity id -> name."""
        return {entity.entity_id: entity.names[language] for entity in self.entities}

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], str]:
        return {(code, entity.names[code]): entity.entity_id for entity in self.entities for code in LANGUAGES}

    def find(self, name: str, language: str) -> str | None:
        """The id of the entity with exactly this name."""
        return self._by_name.get((language, name))

    def url(self, entity_id: str, language: str) -> str:
        """Canonical URL; the live environment maps its host to the loopback web."""
        return f"https://{self.world_id}.encyclopedia.example/{language}/{self.by_id[entity_id].slug}"

    def sentence(self, fact: Triple, language: str) -> str:
        """The fact as the encyclopedia states it."""
        names = self.by_id
        return get_pack(language).sentence(
            names[fact.subject].names[language], fact.relation, names[fact.object].names[language]
        )

    def page(self, entity_id: str, language: str) -> Page:
        """Type sentence, then one sentence a fact."""
        entity = self.by_id[entity_id]
        title = entity.names[language]
        opening = get_pack(language).type_sentence(title, entity.entity_type)
        text = " ".join([opening, *(self.sentence(fact, language) for fact in self.facts_of[entity_id])])
        return Page(self.url(entity_id, language), title, text, language, self.world_id)

    def pages(self, language: str) -> list[Page]:
        """One page an entity."""
        return [self.page(entity.entity_id, language) for entity in self.entities]

    def glossary(self) -> dict[str, str]:
        """English name -> Arabic name."""
        return {entity.names["en"]: entity.names["ar"] for entity in self.entities}


def world_id_of(seed: int) -> str:
    """The corpus id of the world with this seed."""
    return f"w{seed:04d}"


def build_world(seed: int, entities: int = 100) -> World:
    """The world of ``seed``: about ``entities`` entities. Raises InvalidInput below 24 (matchings need partners)."""
    if entities < MINIMUM_ENTITIES:
        raise InvalidInput(f"a world needs at least {MINIMUM_ENTITIES} entities, not {entities}")
    rng = random.Random(f"world-{seed}")
    people = _population(rng, entities)
    by_type = {kind: [entity.entity_id for entity in people if entity.entity_type == kind] for kind in ENTITY_TYPES}
    facts = _facts(rng, by_type)
    ordered = [
        fact for entity in people for fact in _shuffled(rng, [f for f in facts if f.subject == entity.entity_id])
    ]
    return World(world_id_of(seed), seed, tuple(people), tuple(ordered))


def write_encyclopedia(directory: str | Path, seeds: Iterable[int], entities: int = 100) -> list[World]:
    """Write ``pages-en.jsonl``, ``pages-ar.jsonl``, ``facts.jsonl`` and ``glossary.jsonl`` for some worlds.

    Atomic and deterministic: equal arguments write equal bytes. Returns the worlds.
    """
    worlds = [build_world(seed, entities) for seed in seeds]
    folder = Path(directory)
    for language in LANGUAGES:
        pages = (asdict(page) for world in worlds for page in world.pages(language))
        _write_lines(folder / f"pages-{language}.jsonl", pages)
    _write_lines(folder / "facts.jsonl", ({"corpus": w.world_id, **asdict(fact)} for w in worlds for fact in w.facts))
    _write_lines(folder / "glossary.jsonl", ({"corpus": w.world_id, **_entry(e)} for w in worlds for e in w.entities))
    return worlds


def read_pages(path: str | Path) -> list[Page]:
    """Pages of one file that :func:`write_encyclopedia` wrote."""
    with Path(path).open(encoding="utf-8") as lines:
        return [Page(**json.loads(line)) for line in lines]


def _entry(entity: Entity) -> dict[str, str]:
    return {"entity_id": entity.entity_id, "entity_type": entity.entity_type, **entity.names}


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _population(rng: random.Random, entities: int) -> list[Entity]:
    counts = {kind: max(4, 2 * round(entities * share / 2)) for kind, share in SHARES.items()}
    stems = [first + rest for first in FIRST_PIECES for rest in NEXT_PIECES]
    rng.shuffle(stems)
    people = []
    companies = iter(rng.sample([(a, b) for a in FIRST_PIECES for b in FIRST_PIECES if a != b], counts["company"]))
    for kind in ENTITY_TYPES:
        for _ in range(counts[kind]):
            name = " ".join(next(companies)) if kind == "company" else stems.pop()
            if kind == "person":
                name = f"{name} {rng.choice(FIRST_PIECES)}"
            slug = name.lower().replace(" ", "-")
            people.append(Entity(slug, kind, slug, {"en": name, "ar": arabic_name(name)}))
    return people


def _facts(rng: random.Random, by_type: Mapping[str, Sequence[str]]) -> list[Triple]:
    persons, cities, countries, companies = (by_type[kind] for kind in ENTITY_TYPES)
    home = dict(
        zip(_shuffled(rng, cities), [*countries, *rng.choices(countries, k=len(cities) - len(countries))], strict=True)
    )
    facts = [Triple(city, "located_in", country) for city, country in home.items()]
    facts += [Triple(land, "capital", rng.choice([c for c in cities if home[c] == land])) for land in countries]
    for relation, subjects in (("mayor", cities), ("leader", countries), ("founder", companies)):
        facts += _injective(rng, relation, subjects, persons)
    for relation, subjects, objects in (
        ("born_in", persons, cities),
        ("works_for", persons, companies),
        ("based_in", companies, cities),
        ("studied_under", persons, persons),
    ):
        facts += [Triple(s, relation, rng.choice([o for o in objects if o != s])) for s in subjects]
    for relation, members in (("spouse", persons), ("twin", cities), ("rival", companies)):
        facts += _matching(rng, relation, members)
    return facts + _ring(rng, "borders", countries)


def _injective(rng: random.Random, relation: str, subjects: Sequence[str], objects: Sequence[str]) -> list[Triple]:
    """No two subjects share an object while there are enough of them: the inverse question has one answer."""
    pool = _shuffled(rng, objects)
    return [Triple(subject, relation, pool[number % len(pool)]) for number, subject in enumerate(subjects)]


def _matching(rng: random.Random, relation: str, members: Sequence[str]) -> list[Triple]:
    order = _shuffled(rng, members)
    pairs = zip(order[::2], order[1::2], strict=True)
    return [Triple(*ends) for a, b in pairs for ends in ((a, relation, b), (b, relation, a))]


def _ring(rng: random.Random, relation: str, members: Sequence[str]) -> list[Triple]:
    order = _shuffled(rng, members)
    edges = zip(order, [*order[1:], order[0]], strict=True)
    return [Triple(*ends) for a, b in edges for ends in ((a, relation, b), (b, relation, a))]


def _shuffled(rng: random.Random, items: Sequence[_Item]) -> list[_Item]:
    return rng.sample(items, len(items))
