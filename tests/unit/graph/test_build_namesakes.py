"""Pages whose addresses end alike, and entities of one name: nothing melts, nothing is guessed, no build dies of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sindbad.agent.trajectory import EnvironmentKind
from sindbad.graph.build import BuildBudget, BuildResult, build_graph
from sindbad.graph.build_assembly import PageReading, assemble
from sindbad.graph.build_journal import BuildJournal
from sindbad.graph.build_names import Names, Open, address, entity_id_of, ids_of
from sindbad.graph.extraction import Extraction, ReadAttribute, ReadEntity
from sindbad.graph.extraction_worded import WordedParser
from sindbad.graph.ontology import Ontology, OntologyAttribute, OntologyRelation
from sindbad.graph.reading import ReadFact
from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.provider import Fetched, no_such_page
from sindbad.tools.toolbox import Toolbox
from tests.unit.graph.growing import grown

TYPES = ("city", "country", "film", "song", "person", "museum")
RELATIONS = {
    "capital": ("country", "city"),
    "capital_of": ("city", "country"),
    "directed": ("person", "film"),
    "located_in": ("", "city"),
    "mentions": ("", ""),
}
ONTOLOGY = Ontology(
    name="namesakes",
    types={kind: {"en": f"is a {kind}", "ar": f"نوعه {kind}"} for kind in TYPES},
    relations={
        key: OntologyRelation(
            phrases={"en": key.replace("_", " "), "ar": f"علاقة {key}"}, subject=ends[0], object=ends[1]
        )
        for key, ends in RELATIONS.items()
    },
    attributes={
        "length": OntologyAttribute(
            labels={"en": "length"}, phrases={"en": "has a length of"}, unit="min", kind="number"
        )
    },
)


@dataclass(frozen=True, slots=True)
class Written:
    """A page: what it is about, and what it says of that after the name (or, in whole lines, of anything)."""

    name: str
    kind: str
    said: tuple[str, ...] = ()
    language: str = "en"

    @property
    def text(self) -> str:
        is_a = ONTOLOGY.types[self.kind][self.language]
        return "\n".join(f"{self.name} {said}." for said in (is_a, *self.said))


class Site:
    """Pages by URL; a title leads to the first page that has it. What was asked is kept."""

    name = "site"

    def __init__(self, pages: dict[str, Written], moved: dict[str, str] | None = None) -> None:
        self._pages, self._moved = pages, moved or {}
        self.asked: list[str] = []
        self.die_at = 0

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        return []

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        self.asked.append(target)
        if len(self.asked) == self.die_at:
            raise KilledError
        target = self._moved.get(target, target)
        for url, page in self._pages.items():
            if page.language == scope.language and target in (url, page.name):
                return Fetched(url, page.name, page.text, {})
        raise no_such_page(target)

    async def close(self) -> None:
        """Holds nothing."""


class KilledError(BaseException):
    """Stands for the end of the process."""


async def build(site: Site, *seeds: str, journal: BuildJournal | None = None, **limits: object) -> BuildResult:
    budget = BuildBudget.model_validate({"max_nodes": 40, "keep_trees": True, **limits})
    tools, scope = Toolbox(EnvironmentKind.LIVE, site), Scope("t", "en")
    languages = ("en", "ar")
    return await build_graph(
        tools, seeds, scope, budget, languages=languages, extractor=WordedParser(ONTOLOGY), journal=journal
    )


def triples(result: BuildResult) -> set[tuple[str, str, str]]:
    """Edges with the entities' addresses instead of ids."""
    graph = result.graph
    where = {one.entity_id: one.sources[0].url.split("example", 1)[1] for one in graph.entities}
    return {(where[edge.subject], edge.relation, where[edge.object]) for edge in graph.edges}


ALIKE = {
    f"https://w.example/en/{folder}/overview": Written(name, kind, said)
    for folder, name, kind, said in (
        ("hub", "Hub", "museum", ("mentions Sofa", "mentions Lima", "mentions Ant", "mentions Bee", "mentions Cod")),
        ("film", "Sofa", "film", ("mentions Hub",)),
        ("city", "Lima", "city", ("mentions Hub", "mentions Sofa")),
        ("song", "Ant", "song", ("mentions Hub", "mentions Lima")),
        ("film-2", "Bee", "film", ("mentions Hub", "mentions Ant")),
        ("film-3", "Cod", "film", ("mentions Hub", "mentions Bee")),
    )
}


async def test_pages_whose_addresses_end_alike_are_as_many_entities_with_their_own_facts() -> None:
    result = await build(Site(ALIKE), "Hub", keep_trees=False)
    assert {entity.names["en"] for entity in result.graph.entities} == {page.name for page in ALIKE.values()}
    assert all(len(entity.sources) == 1 for entity in result.graph.entities)
    stated = {url.split("example")[1]: page.said for url, page in ALIKE.items()}
    titles = {page.name: url.split("example")[1] for url, page in ALIKE.items()}
    expected = {(url, "mentions", titles[one.split()[1]]) for url, said in stated.items() for one in said}
    assert triples(result) == expected
    assert (result.report.open_facts, result.report.other_type) == (0, 0)


def test_ids_depend_on_the_address_alone_and_never_run_out() -> None:
    plain, with_host, *digests = itertools.islice(ids_of("https://w.example/a/overview"), 5)
    assert (plain, with_host) == ("overview", "overview@w.example")
    other = list(itertools.islice(ids_of("https://w.example/b/overview"), 5))
    assert other[:2] == [plain, with_host]
    assert not set(other[2:]) & set(digests)
    assert len(set(digests)) == 3
    assert all(one.startswith("overview@w.example-") for one in digests)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("https://w.example/en/a", "http://W.example/en/a/", True),
        ("https://w.example/en/%C3%A9", "https://w.example/en/é", True),
        ("https://w.example/en/a", "https://w.example/en/b", False),
        ("https://w.example/?a", "https://w.example/?b", False),
        ("https://w.example/#/a", "https://w.example/#/b", False),
        ("https://w.example/a", "https://v.example/a", False),
    ],
)
def test_two_spellings_of_an_address_are_one_and_two_addresses_are_two(left: str, right: str, same: bool) -> None:
    assert (address(left) == address(right)) is same


async def test_an_entity_of_two_types_costs_a_page_and_a_count_but_not_the_build() -> None:
    pages = {
        "https://w.example/en/hub": Written("Hub", "museum", ("mentions Lima", "mentions Ant")),
        "https://w.example/en/lima": Written("Lima", "city", ("mentions Hub",)),
        "https://w.example/en/lima/": Written("Lima", "song", ("mentions Hub",)),
        "https://w.example/en/ant": Written("Ant", "song", ("mentions Lima",)),
        "https://w.example/ar/lima": Written("ليما", "song", language="ar"),
        "https://w.example/ar/hub": Written("متحف", "museum", language="ar"),
    }
    song, city = "https://w.example/en/lima/", "https://w.example/en/lima"
    for first, second, kind, others in (
        (song, city, "song", 1),
        (city, song, "city", 2),
    ):  # 2: the Arabic page is a song
        result = await build(Site(pages), "Hub", second, first, newest=1.0, search=0.0)
        by_name = {one.names["en"]: one for one in result.graph.entities}
        assert {name: one.entity_type for name, one in by_name.items()} == {
            "Hub": "museum",
            "Lima": kind,
            "Ant": "song",
        }
        assert by_name["Lima"].names.get("ar") == ("ليما" if kind == "song" else None)
        assert result.report.other_type == others


async def test_an_address_in_another_language_that_leads_elsewhere_gives_an_entity_no_name_of_another() -> None:
    arabic = {
        "https://w.example/ar/film/overview": Written("أريكة", "film", language="ar"),
        "https://w.example/ar/city/overview": Written("ليما", "city", language="ar"),
    }
    moved = {f"https://w.example/ar/{there}/overview": "https://w.example/ar/film/overview" for there in ("film-2",)}
    result = await build(Site({**ALIKE, **arabic}, moved), "Hub")
    assert {one.names["ar"]: one.names["en"] for one in result.graph.entities if "ar" in one.names} == {
        "أريكة": "Sofa", "ليما": "Lima",
    }  # fmt: skip
    assert result.report.missing_pages == {"ar": 4}


NAMESAKES = {
    "https://w.example/en/l/louvre": Written(
        "Louvre", "museum", ("located in Paris", "mentions Wim", "mentions Paris")
    ),
    "https://w.example/en/f/paris-1984-film": Written("Paris", "film", ("mentions Wim", "has a length of 90 min")),
    "https://w.example/en/p/wim": Written("Wim", "person", ("directed Paris", "mentions Louvre")),
    "https://w.example/en/c/paris-france": Written("Paris", "city", ("capital of France", "mentions Louvre")),
    "https://w.example/en/c/france": Written("France", "country", ("capital Paris", "mentions Louvre")),
    "https://w.example/ar/l/louvre": Written("اللوفر", "museum", ("علاقة located_in باريس",), "ar"),
    "https://w.example/ar/f/paris-1984-film": Written("باريس", "film", language="ar"),
    "https://w.example/ar/c/paris-france": Written("باريس", "city", ("علاقة capital_of فرنسا",), "ar"),
    "https://w.example/ar/c/france": Written("فرنسا", "country", ("علاقة capital باريس",), "ar"),
}
FILM, CITY = "/en/f/paris-1984-film", "/en/c/paris-france"
TRUE = {
    ("/en/l/louvre", "located_in", CITY),
    ("/en/l/louvre", "mentions", "/en/p/wim"),
    (FILM, "mentions", "/en/p/wim"),
    ("/en/p/wim", "directed", FILM),
    ("/en/p/wim", "mentions", "/en/l/louvre"),
    (CITY, "capital_of", "/en/c/france"),
    (CITY, "mentions", "/en/l/louvre"),
    ("/en/c/france", "capital", CITY),
    ("/en/c/france", "mentions", "/en/l/louvre"),
}


@pytest.mark.parametrize("first", [FILM, CITY])
async def test_facts_of_namesakes_are_their_own_whoever_was_read_first_and_what_types_do_not_tell_stays_open(
    first: str,
) -> None:
    seeds = [url for url, page in NAMESAKES.items() if page.language == "en"]
    seeds.sort(key=lambda url: not url.endswith(first))
    result = await build(Site(NAMESAKES), *seeds)
    assert triples(result) == TRUE
    assert (result.report.open_facts, result.report.open_reasons) == (1, {"several": 1})  # which Paris is mentioned
    film, city = (next(one for one in result.graph.entities if end.endswith(one.entity_id)) for end in (FILM, CITY))
    assert [one.value for one in result.graph.attributes(film.entity_id)] == [90]
    assert not result.graph.attributes(city.entity_id)
    both = {edge.triple for edge in result.graph.edges if {one.language for one in edge.sources} == {"en", "ar"}}
    assert both == {
        ("louvre", "located_in", "paris-france"),
        ("paris-france", "capital_of", "france"),
        ("france", "capital", "paris-france"),
    }


def page(url: str, name: str, kind: str, *said: tuple[str, str], aliases: tuple[str, ...] = ()) -> PageReading:
    """Said: relation and object, of the page's own subject."""
    main = ReadEntity(name, kind, f"{name} is a {kind}.", aliases)
    facts = tuple(ReadFact(name, relation, other, f"{name} {relation} {other}.") for relation, other in said)
    return PageReading.of(entity_id_of(url), main, url, "q", "en", Extraction((main,), facts), 100)


def names_of(pages: Sequence[PageReading]) -> Names:
    names = Names("en", ONTOLOGY.fits)
    for one in pages:
        names.add(one.entity_id, one.names, one.main.entity_type)
    return names


READ = [
    page("https://x/louvre", "Louvre", "museum", ("located_in", "Paris"), ("mentions", "PARIS"), ("mentions", "Wim")),
    page("https://x/film", "Paris", "film", ("mentions", "Wim")),
    page("https://x/wim", "Wim", "person", ("directed", "paris"), ("mentions", "Louvre")),
    page("https://x/city", "Paris", "city", ("capital_of", "France"), ("mentions", "Louvre")),
    page("https://x/france", "France", "country", ("capital", "the Paris"), ("mentions", "Paris")),
    page("https://x/song", "the paris", "song", ("mentions", "Paris"), ("mentions", "the Paris"), aliases=("PARIS",)),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(READ))))[::7])
def test_growth_sees_after_every_page_the_graph_that_assembly_makes_in_whatever_order_namesakes_come(
    order: Sequence[int],
) -> None:
    graph, _, _ = grown([READ[number] for number in order], Names("en", ONTOLOGY.fits))
    anyhow, _ = assemble("c", READ, names_of(READ), [one.entity_id for one in READ])
    assert list(graph.to_records()) == list(anyhow.to_records())


def test_a_name_does_not_come_to_mean_another_entity_because_its_own_is_dropped() -> None:
    kept = ["louvre", "wim", "city", "france"]
    graph, opened = assemble("c", READ, names_of(READ), kept)
    assert {edge.triple for edge in graph.edges} == {
        ("louvre", "located_in", "city"),
        ("louvre", "mentions", "wim"),
        ("wim", "mentions", "louvre"),
        ("city", "capital_of", "france"),
        ("city", "mentions", "louvre"),
        ("france", "capital", "city"),
    }
    assert opened == {Open.SEVERAL: 1, Open.UNREAD: 2}  # some Paris; the song is called PARIS, and the film is directed


def test_what_a_dropped_page_says_of_two_that_are_kept_is_kept_for_growth_has_counted_it() -> None:
    third = ReadFact("Wim", "mentions", "Louvre", "Wim mentions the Louvre.")
    pages = [
        page("https://x/louvre", "Louvre", "museum"),
        page("https://x/wim", "Wim", "person"),
        PageReading.of(
            "list", ReadEntity("List", "museum", "List is a museum."), "https://x/list", "q", "en",
            Extraction(facts=(third,), attributes=(ReadAttribute("Wim", "length", 1, "min", "number", "1."),)), 9,
        ),
    ]  # fmt: skip
    graph, opened = assemble("c", pages, names_of(pages), ["louvre", "wim"])
    assert [edge.triple for edge in graph.edges] == [("wim", "mentions", "louvre")]
    assert [one.value for one in graph.attributes("wim")] == [1]
    assert not opened


def test_an_end_of_the_only_entity_of_its_name_is_open_where_the_ontology_forbids_its_type() -> None:
    pages = [READ[0], READ[1]]
    graph, opened = assemble("c", pages, names_of(pages), ["louvre", "film"])
    assert {edge.triple for edge in graph.edges} == {("louvre", "mentions", "film")}
    assert opened == {Open.TYPE: 1, Open.UNREAD: 2}
    lenient = Names("en", ONTOLOGY.model_copy(update={"strict": False}).fits)
    for one in pages:
        lenient.add(one.entity_id, one.names, one.main.entity_type)
    graph, _ = assemble("c", pages, lenient, ["louvre", "film"])
    assert ("louvre", "located_in", "film") in {edge.triple for edge in graph.edges}


def test_a_type_that_the_ontology_does_not_list_contradicts_nothing() -> None:
    assert ONTOLOGY.fits("located_in", "museum", "capital city")
    assert not ONTOLOGY.fits("located_in", "museum", "film")


@pytest.mark.parametrize("die_at", range(1, 12, 2))
async def test_a_build_among_namesakes_killed_at_any_call_goes_on_to_the_same_graph(
    tmp_path: Path, die_at: int
) -> None:
    pages, seeds = {**ALIKE, **NAMESAKES}, ("Hub", "Louvre", "https://w.example/en/c/paris-france", "France")
    whole = Site(pages)
    expected = await build(whole, *seeds)
    path, header = tmp_path / "journal.jsonl", {"environment": "live", "corpus": "t"}
    killed = Site(pages)
    killed.die_at = die_at
    with pytest.raises(BaseExceptionGroup), BuildJournal(path, header) as journal:
        await build(killed, *seeds, journal=journal)
    again = Site(pages)
    with BuildJournal(path, header) as journal:
        result = await build(again, *seeds, journal=journal)
    assert list(result.graph.to_records()) == list(expected.graph.to_records())
    assert result.report == expected.report
    assert len(again.asked) <= len(whole.asked) - die_at + 1


async def test_a_journal_that_a_build_left_behind_which_died_of_alike_addresses_is_enough_to_finish_it(
    tmp_path: Path,
) -> None:
    """Its lines are as the first version of the journal wrote them; nothing is asked again."""
    lines = ['{"version": 1, "environment": "simulated", "corpus": "t"}']
    for url, written in ALIKE.items():
        answer = {"text": written.text, "ok": True, "error": "", "urls": [url], "failures": 0}
        asked = json.dumps(["visit", {"goal": "", "urls": [written.name]}, "t", "en", 1])
        lines.append(json.dumps({"k": asked, "v": answer}))
    path = tmp_path / "journal.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    site = Site({})
    with BuildJournal(path, {"environment": "simulated", "corpus": "t"}) as journal:
        result = await build(site, "Hub", journal=journal, search=0.0)
        assert journal.reused == len(ALIKE)
    assert len(result.graph) == len(ALIKE)
    assert all("/ar/" in asked for asked in site.asked)  # what the first build had not come to
