"""What the importers say of the real files as a whole: borders hold both ways, names are right, types fit relations."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from sindbad.graph.importers.assemble import PAGES, import_graph
from sindbad.graph.importers.codex import coarse_type
from sindbad.graph.importers.country_names import arabic_name
from sindbad.graph.importers.encyclopedias import REAL_IMPORTERS, Wikispeedia
from sindbad.graph.importers.facts import Fact, Link, Node, Unusable
from sindbad.graph.importers.rows import jsonl
from sindbad.graph.knowledge import Entity, GraphView
from sindbad.graph.store import open_graph
from tests.shared import shared
from tests.unit.graph.test_import import check_sources, pages_of

WORST = {
    "Türkiye": "تركيا", "Timor-Leste": "تيمور الشرقية", "Philippines": "الفلبين", "Hong Kong": "هونغ كونغ",
    "Saint Vincent and the Grenadines": "سانت فنسنت وجزر غرينادين", "Réunion": "روينيون", "Mexico": "المكسيك",
    "Serbia": "صربيا", "Uzbekistan": "أوزبكستان", "Montenegro": "الجبل الأسود", "Moldova": "مولدوفا",
    "Angola": "أنغولا", "DR Congo": "جمهورية الكونغو الديمقراطية", "Republic of the Congo": "جمهورية الكونغو",
    "Palestine": "فلسطين", "Macau": "ماكاو", "Cameroon": "الكاميرون", "Isle of Man": "جزيرة مان",
    "Turks and Caicos Islands": "جزر توركس وكايكوس", "Heard Island and McDonald Islands": "جزيرة هيرد وجزر ماكدونالد",
}  # fmt: skip
MACHINE_MADE = {
    "ديك رومى", "تيمور قراءة", "فيلبيني", "جمع شمل", "هونغ كونغ س.", "ماكاو س.", "المسكيك", "صيربيا", "أوزباكستان",
    "الجبل الاسود", "احتلت الأراضي الفلسطينية", "رجل (جزيرة)", "جزر الأتراك وكايكوس", "الكونغو",
    "سمعت جزيرة وجزر ماكدونالد", "القديس فنسنت وجرينادين",
}  # fmt: skip

BORDERS = ("border countries", "border sovereign base areas", "regional borders")


@cache
def told(kind: str) -> tuple[Fact, ...]:
    importer = REAL_IMPORTERS[kind](shared("data"))
    return tuple(fact for _, facts in importer.parts() for fact in facts())


def nodes(kind: str) -> dict[str, Node]:
    """The first word on each entity."""
    found: dict[str, Node] = {}
    for fact in told(kind):
        if isinstance(fact, Node):
            found.setdefault(fact.entity_id, fact)
    return found


def neighbours(kind: str) -> dict[str, set[str]]:
    """English name -> those of the neighbours."""
    entities, found = nodes(kind), defaultdict[str, set[str]](set)
    for fact in told(kind):
        if isinstance(fact, Link) and fact.relation == "borders":
            found[entities[fact.subject].names["en"]].add(entities[fact.object].names["en"])
    return found


def unused(kind: str) -> Counter[str]:
    return Counter(fact.reason for fact in told(kind) if isinstance(fact, Unusable))


def all_of_a_country(entity: Entity | Node) -> set[tuple[str, str]]:
    given = {(language, name) for language, name in entity.names.items() if name}
    return given | {(language, name) for language, some in entity.aliases.items() for name in some}


def without_brackets(countries: Iterable[Entity | Node]) -> Counter[tuple[str, str]]:
    return Counter(
        (language, re.sub(r"\s*\(.*?\)", "", name).casefold())
        for country in countries
        for language, name in country.names.items()
        if name
    )


@pytest.mark.parametrize("kind", ["countries", "factbook"])
def test_a_border_is_one_of_both_its_countries(kind: str) -> None:
    around, entities = neighbours(kind), nodes(kind)
    assert sum(map(len, around.values())) > 640
    assert all(own in around[there] for own, some in around.items() for there in some)
    links = [fact for fact in told(kind) if isinstance(fact, Link) and fact.relation == "borders"]
    assert {entities[end].entity_type for link in links for end in (link.subject, link.object)} == {"country"}


def test_the_factbook_s_neighbours_are_found_by_whatever_name_they_go() -> None:
    around = neighbours("factbook")
    assert len(around["Democratic Republic of the Congo"]) == 9
    assert around["Dominican Republic"] == {"Haiti"}
    assert around["Vatican City"] == {"Italy"}
    assert {"Lithuania", "Russia"} <= around["Poland"]
    assert "Senegal" in around["Mali"]
    assert around["Slovakia"] == {"Austria", "Czechia", "Hungary", "Poland", "Ukraine"}
    assert around["Palestine"] == {"Egypt", "Israel", "Jordan"}, "the Gaza Strip's and the West Bank's are its own"
    assert "Spain" in around["Morocco"]
    assert around["Suriname"] == {"Brazil", "French Guiana", "Guyana"}, "which has no page of its own"


def test_what_the_factbook_says_of_borders_is_used_or_counted() -> None:
    reasons = unused("factbook")
    assert reasons["factbook: a border with what is no country known"] == 1, "Guantanamo Bay"
    assert reasons["factbook: a border of what is no country"] == 18, "the European Union's"
    assert reasons["factbook: a side that does not state its border (the other one does)"] == 7
    rows = jsonl(shared("data", "factbook", "pages.jsonl.gz"))
    parts = [part for row in rows if not isinstance(row, Unusable) for part in row["sections"]]
    texts = [field["text"] for part in parts for field in part["fields"] if border(field)]
    items = sum(len(re.findall(r"\d km", re.sub(r"\(.*?\)", "", text))) for text in texts)
    stated = sum(fact.relation == "borders" for fact in told("factbook") if isinstance(fact, Link))
    assert items == stated - 7 + 18 + 1


def border(field: dict[str, str]) -> bool:
    return field["name"] in {f"Land boundaries / {kind}" for kind in BORDERS}


def test_unions_and_the_world_are_no_countries() -> None:
    entities = nodes("factbook").values()
    kinds = {entity.names["en"]: entity.entity_type for entity in entities}
    assert kinds["European Union"] == "organization"
    assert {kinds[name] for name in ("World", "Arctic Ocean", "Gaza Strip", "West Bank")} == {"place"}


def test_a_border_that_one_row_of_a_table_has_alone_is_a_slip_and_told() -> None:
    assert "India" not in neighbours("countries")["Sri Lanka"]
    (slip,) = [fact for fact in told("countries") if isinstance(fact, Unusable)]
    assert slip.example == "LKA IND"


@pytest.mark.parametrize("kind", ["countries", "factbook", "codex", "nobel"])
def test_no_country_bears_a_machine_s_name_and_no_two_bear_one_name(kind: str) -> None:
    countries = [entity for entity in nodes(kind).values() if entity.entity_type == "country"]
    assert max(without_brackets(countries).values()) == 1
    given = Counter(name for country in countries for name in all_of_a_country(country))
    assert [name for name, count in given.items() if count > 1] == []
    assert {name for _, name in given} & MACHINE_MADE == set()
    known = [fact for fact in told(kind) if isinstance(fact, Node) and fact.entity_type == "country"]
    assert {fact.names.get("ar") for fact in known} & MACHINE_MADE == set()


def test_every_country_has_its_arabic_name() -> None:
    countries = [entity for entity in nodes("countries").values() if entity.entity_type == "country"]
    assert len(countries) == 250
    in_arabic = {country.names["en"]: country.names["ar"] for country in countries}
    assert all(re.fullmatch(r"[\u0620-\u065f -]+", name) for name in in_arabic.values())
    assert {name: in_arabic[name] for name in WORST} == WORST
    assert arabic_name("JP") == "اليابان"
    assert arabic_name("??") == ""


def test_one_country_of_two_codes_is_one() -> None:
    kosovo = [entity for entity in nodes("countries").values() if "Kosovo" in entity.names["en"]]
    assert [entity.entity_id for entity in kosovo if entity.entity_type == "country"] == ["Q1246"]
    assert neighbours("countries")["Kosovo"] == {"Albania", "Montenegro", "North Macedonia", "Serbia"}
    assert nodes("factbook")["Q1246"].names["en"] == "Kosovo"
    assert nodes("codex")["Q219060"].names["ar"] == nodes("countries")["Q219060"].names["ar"] == "فلسطين"


@pytest.mark.parametrize(
    ("relation", "kind", "other"),
    [
        ("P106", "occupation", {"prose", "rock music", "bass guitar"}), ("P27", "country", set()),
        ("P140", "religion", {"Jewish people", "American Jews"}), ("P172", "ethnic group", {"Croatia"}),
        ("P1412", "language", {"Lithuania"}), ("P37", "language", set()), ("P136", "genre", {"philosophy"}),
        ("P1303", "instrument", {"vocalist", "pianist"}), ("P264", "record label", {"Warner Bros."}),
        ("P17", "country", {"Europe", "Commonwealth of Nations"}), ("P30", "continent", set()),
        ("P530", "country", {
            "European Union", "Holy See", "Africa", "Latin America", "African Union", "Arab League",
        }),
    ],
)  # fmt: skip
def test_objects_of_codex_are_what_their_relation_says(relation: str, kind: str, other: set[str]) -> None:
    entities = nodes("codex")
    objects = [fact.object for fact in told("codex") if isinstance(fact, Link) and fact.relation == relation]
    outside = {entities[one].names["en"] for one in objects if entities[one].entity_type != kind}
    assert objects
    assert outside == other, "Wikidata's own slips and oddities, by name"


def test_subjects_of_diplomatic_relations_are_countries_and_people_are_people() -> None:
    entities = nodes("codex")
    links = [fact for fact in told("codex") if isinstance(fact, Link)]
    assert {entities[link.subject].entity_type for link in links if link.relation == "P530"} == {"country"}
    assert {entities[link.subject].entity_type for link in links if link.relation in ("P27", "P106")} == {"person"}


def test_things_of_codex_that_a_pattern_alone_would_miss() -> None:
    kinds = {entity.names["en"]: entity.entity_type for entity in nodes("codex").values()}
    wanted = {
        "African Development Bank": "organization", "Organization of American States": "organization",
        "Boston": "city", "Göttingen": "city", "Singapore": "country", "Switzerland": "country",
        "Republic of the Congo": "country", "Weimar Republic": "country", "Jewish people": "ethnic group",
        "French people": "ethnic group", "screenwriter": "occupation", "lyricist": "occupation",
        "Catholic Church": "religion", "mathematics": "field", "voice": "instrument", "European Union": "organization",
        "Austrian Academy of Sciences": "organization", "Treaty on Open Skies": "concept", "Schengen Area": "place",
    }  # fmt: skip
    assert {name: kinds[name] for name in wanted} == wanted


def test_types_of_wikidata_are_grouped_into_few_by_whole_words() -> None:
    wanted = {
        "human": "person", "human voice": "instrument", "sovereign state": "country", "music genre": "genre",
        "private university": "university", "college town": "city", "international organization": "organization",
        "state or insular area capital in the United States": "city", "island nation": "country",
        "stateless thing": "concept",
    }  # fmt: skip
    assert {kind: coarse_type(kind) for kind in wanted} == wanted


@pytest.mark.slow
def test_quotes_of_the_school_encyclopedia_name_what_is_linked() -> None:
    importer = Wikispeedia(shared("data"))
    rows = [row for row in jsonl(importer.path(0)) if not isinstance(row, Unusable)]
    titles = defaultdict[str, set[str]](set)
    for row in rows:
        titles[importer.walk.article(row["id"])].add(row["title"])
    assert len(titles) == len(rows) - 1, "an article each, but for one that is there twice"
    (_, links) = importer.parts()[1]
    quotes = [(titles[fact.object], fact.quote) for fact in links() if isinstance(fact, Link) and fact.quote]
    assert len(quotes) > 38_000
    assert [pair for pair in quotes if not any(words(title, pair[1]) for title in pair[0])] == []


def words(title: str, sentence: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(title)}(?!\w)", sentence) is not None


def test_countries_have_borders_capitals_and_arabic_names(tmp_path: Path) -> None:
    import_graph(REAL_IMPORTERS["countries"](shared("data")), tmp_path / "g", pages=False)
    graph = open_graph(tmp_path / "g")
    jordan = next(entity for entity in graph.entities if entity.names.get("en") == "Jordan")
    assert jordan.names["ar"] == "الأردن"
    around = {graph.entity(one).names["en"] for one in graph.objects(jordan.entity_id, "borders")}
    assert around == {"Iraq", "Israel", "Palestine", "Saudi Arabia", "Syria"}
    (capital,) = graph.objects(jordan.entity_id, "capital")
    edge = graph.edge(jordan.entity_id, "capital", capital)
    assert edge is not None
    assert {source.sentence for source in edge.sources} == {"Jordan has its capital at Amman.", "الأردن عاصمتها عمّان."}
    assert not (tmp_path / "g" / PAGES).exists()


@pytest.mark.slow
def test_all_real_data_join_in_one_graph(tmp_path: Path) -> None:
    manifest = import_graph(REAL_IMPORTERS["all"](shared("data")), tmp_path / "g")
    assert manifest.edges > 280_000
    graph, pages = open_graph(tmp_path / "g"), pages_of(tmp_path / "g")
    edges = list(graph.edges)
    for edge in edges[:: len(edges) // 2_000]:
        check_sources(graph.entity(edge.subject).names, edge.sources, pages)
    (france,) = [one for one in graph.entities if one.names.get("en") == "France" and one.entity_type == "country"]
    around = {edge.relation for edge in edges if france.entity_id in (edge.subject, edge.object)}
    assert {"borders", "capital", "P27", "P530", "links_to"} <= around, "countries, CoDEx and Wikispeedia meet in it"
    values = {value.name for value in graph.attributes(france.entity_id)}
    assert {"area", "population", "life_expectancy"} <= values, "the factbook's among them"
    assert {"won", "directed_by", "discovered_by"} <= {edge.relation for edge in edges}, "prizes, MetaQA, elements"
    check_countries(graph)


def check_countries(graph: GraphView) -> None:
    """In all of them joined: borders hold both ways, between countries; no two countries share a name."""
    borders = {(edge.subject, edge.object) for edge in graph.edges if edge.relation == "borders"}
    assert {(there, own) for own, there in borders} == borders
    assert {graph.entity(own).entity_type for own, _ in borders} == {"country"}
    countries = [entity for entity in graph.entities if entity.entity_type == "country"]
    assert max(without_brackets(countries).values()) == 1
    assert {name for country in countries for _, name in all_of_a_country(country)} & MACHINE_MADE == set()
    assert {country.names["en"] for country in countries} & {"European Union", "World", "Abu Dhabi"} == set()
