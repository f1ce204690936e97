"""Building a graph through the tools (papers.md test 10)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sindbad.agent.trajectory import EnvironmentKind
from sindbad.demo.world import World
from sindbad.errors import InvalidInput
from sindbad.graph.build import BuildBudget, BuildProgress, BuildResult, Growth, build_graph
from sindbad.graph.build_assembly import PageReading, assemble
from sindbad.graph.build_journal import BuildJournal
from sindbad.graph.build_names import Fits, Names, Open, entity_id_of, sibling_url
from sindbad.graph.build_report import compare, growing_only, table, to_record
from sindbad.graph.extraction import Extraction, ReadEntity
from sindbad.graph.ontology import encyclopedia
from sindbad.graph.reading import ReadFact
from sindbad.graph.statistics import components, describe, skeleton, tree_baseline
from sindbad.retrieval.page import Hit
from sindbad.tools.environment import Scope
from sindbad.tools.provider import Fetched, no_such_page
from sindbad.tools.simulated import simulated_environment
from sindbad.tools.toolbox import Toolbox
from tests.unit.graph.growing import grown


def test_the_whole_world_is_found_from_one_seed_and_nothing_else(built: BuildResult, world: World) -> None:
    assert {entity.entity_id for entity in built.graph.entities} == {entity.slug for entity in world.entities}
    assert {edge.triple for edge in built.graph.edges} == {(f.subject, f.relation, f.object) for f in world.facts}


def test_every_edge_says_query_url_and_sentence_in_both_languages(built: BuildResult, world: World) -> None:
    for edge in built.graph.edges:
        assert {source.language for source in edge.sources} == {"en", "ar"}
        for source in edge.sources:
            assert source.query
            assert source.url == world.url(edge.subject, source.language)
            assert world.name(edge.object, source.language) in source.sentence
            assert source.sentence in world.page(edge.subject, source.language).text


def test_every_node_has_features_and_names(built: BuildResult, world: World) -> None:
    for entity in built.graph.entities:
        assert {"degree", "clustering", "facts_in", "facts_out"} <= set(entity.features)
        assert entity.names == world.by_id[entity.entity_id].names
        assert entity.features["degree"] == len(built.graph.neighbours(entity.entity_id))


def test_every_component_has_a_cycle_and_the_graph_more_of_them_than_a_tree(built: BuildResult) -> None:
    adjacency = skeleton(built.graph)
    for part in components(adjacency):
        assert sum(len(adjacency[node]) for node in part) // 2 >= len(part)
    assert describe(built.graph).cycle_rank > tree_baseline(built.graph).cycle_rank == 0


async def test_a_budget_of_thirty_nodes_gives_a_dense_graph_of_thirty(environment: Toolbox, world: World) -> None:
    scope, seed = Scope(world.world_id, "en"), world.entities[0].names["en"]
    result = await build_graph(environment, [seed], scope, BuildBudget(max_nodes=30), languages=("en",))
    figures = describe(result.graph)
    assert figures.nodes == 30
    assert result.report.expanded + result.report.closed == 30
    assert result.report.closed > 0
    assert figures.mean_degree >= 2.5
    assert figures.edges >= figures.nodes


async def test_the_same_seed_builds_the_same_graph_again(environment: Toolbox, world: World) -> None:
    scope, seeds = Scope(world.world_id, "en"), [world.entities[3].names["en"]]
    budget = BuildBudget(max_nodes=20, search=0.3)
    results = [await build_graph(environment, seeds, scope, budget, languages=("en",), seed=s) for s in (1, 1, 2)]
    records = [list(result.graph.to_records()) for result in results]
    assert records[0] == records[1]
    assert records[0] != records[2]


async def test_arabic_seeds_read_the_arabic_encyclopedia(
    environment: Toolbox, world: World, built: BuildResult
) -> None:
    scope = Scope(world.world_id, "ar")
    result = await build_graph(environment, [world.entities[0].names["ar"]], scope)
    assert {edge.triple for edge in result.graph.edges} == {edge.triple for edge in built.graph.edges}


@pytest.mark.parametrize(
    ("url", "sibling"),
    [
        ("https://w.example/en/marota-lin", "https://w.example/ar/marota-lin"),
        ("https://w.example/en/wiki/Paris?x=1", "https://w.example/ar/wiki/Paris?x=1"),
        ("https://en.w.example/wiki/Paris", None),
        ("https://w.example/children/en", None),
        ("https://en/Paris", None),
        ("https://w.example/Paris", None),
    ],
)
def test_an_address_tells_of_another_language_only_by_a_folder_of_its_own(url: str, sibling: str | None) -> None:
    assert sibling_url(url, "en", "ar", {}) == sibling
    assert sibling_url(url, "en", "ar", {"AR": "https://a/", "fr": "https://f/"}) == "https://a/"
    assert sibling_url(url, "en", "pt", {"pt-BR": "https://b/"}) == "https://b/"


class Linked:
    """An encyclopedia with a host a language, and other names of pages in each, as Wikipedia has it."""

    name = "linked"

    def __init__(self, world: World, unlinked: str) -> None:
        self.asked: list[str] = []
        self._pages = {
            language: {entity.slug: world.page(entity.slug, language) for entity in world.entities}
            for language in ("en", "ar")
        }
        self._unlinked = unlinked

    async def search(self, query: str, scope: Scope, k: int) -> list[Hit]:
        return []

    async def fetch(self, target: str, scope: Scope) -> Fetched:
        self.asked.append(target)
        for slug, page in self._pages[scope.language].items():
            url = f"https://{scope.language}.wiki.example/wiki/{slug if scope.language == 'en' else f'صفحة_{slug}'}"
            if target in (url, page.title):
                linked = {} if slug == self._unlinked else {"ar": f"https://ar.wiki.example/wiki/صفحة_{slug}"}
                return Fetched(url, page.title, page.text, linked)
        raise no_such_page(target)

    async def close(self) -> None:
        """Holds nothing."""


async def test_pages_in_another_language_are_found_by_the_page_s_own_link_and_never_guessed(
    world: World, tmp_path: Path
) -> None:
    scope, seeds = Scope(world.world_id, "en"), [world.entities[0].names["en"]]
    unlinked, header = world.entities[0].slug, {"environment": "linked"}
    budget = BuildBudget(max_nodes=12, sweep=False, keep_trees=True)
    provider = Linked(world, unlinked)
    tools = Toolbox(EnvironmentKind.LIVE, provider)
    for again in (False, True):  # the second time the journal answers
        provider.asked.clear()
        with BuildJournal(tmp_path / "journal.jsonl", header) as journal:
            result = await build_graph(tools, seeds, scope, budget, journal=journal)
        names = {entity.entity_id: set(entity.names) for entity in result.graph.entities}
        assert names.pop(unlinked) == {"en"}
        assert set(map(frozenset, names.values())) == {frozenset({"en", "ar"})}
        assert result.report.untold_pages == {"ar": 1}
        assert result.report.missing_pages == {}
        arabic = [target for target in provider.asked if "/wiki/" in target]
        assert len(arabic) == (0 if again else len(names))


async def test_failing_tools_cost_facts_but_never_the_build(index_folder: Path, world: World) -> None:
    flaky = simulated_environment(index_folder, fault_rate=0.3, seed=1)
    scope = Scope(world.world_id, "en")
    seeds = [entity.names["en"] for entity in world.entities[:5]]
    result = await build_graph(flaky, seeds, scope, languages=("en",))
    assert result.report.failures > 0
    known = {(f.subject, f.relation, f.object) for f in world.facts}
    assert {edge.triple for edge in result.graph.edges} <= known
    assert len(result.graph) > 15


async def test_seeds_that_do_not_exist_are_an_error(environment: Toolbox, world: World) -> None:
    with pytest.raises(InvalidInput, match="seed"):
        await build_graph(environment, ["Nobody At All"], Scope(world.world_id, "en"))
    with pytest.raises(InvalidInput, match="seed"):
        await build_graph(environment, [], Scope(world.world_id, "en"))


async def test_a_target_of_degree_and_cycles_is_reached_with_fewer_nodes_than_the_limit(
    environment: Toolbox, world: World
) -> None:
    scope, seeds = Scope(world.world_id, "en"), [world.entities[0].names["en"]]
    budget = BuildBudget(target_nodes=16, target_mean_degree=3.0, target_cycle_rank=10, max_nodes=40)
    result = await build_graph(environment, seeds, scope, budget, languages=("en",), seed=2)
    figures = describe(result.graph)
    assert result.report.stopped == "target"
    assert 16 <= figures.nodes < 40
    assert figures.mean_degree >= 3.0
    assert figures.cycle_rank >= 10
    assert result.report.closed > 0


async def test_a_target_out_of_reach_ends_at_the_limit_and_the_report_says_which(
    environment: Toolbox, world: World
) -> None:
    scope, seeds = Scope(world.world_id, "en"), [world.entities[0].names["en"]]
    high = BuildBudget(target_nodes=10, target_mean_degree=30.0, max_nodes=20)
    assert (await build_graph(environment, seeds, scope, high, languages=("en",))).report.stopped == "nodes"
    whole = BuildBudget(target_nodes=10, target_mean_degree=30.0)
    found = await build_graph(environment, seeds, scope, whole, languages=("en",))
    assert found.report.stopped == "exhausted"
    assert len(found.graph) == len(world.entities)
    few = await build_graph(environment, seeds, scope, BuildBudget(max_calls=12), languages=("en",))
    assert few.report.stopped == "calls"
    assert 1 < len(few.graph) <= 12
    with pytest.raises(ValueError, match="above max_nodes"):
        BuildBudget(target_nodes=10, max_nodes=5)


async def test_closing_cycles_makes_the_graph_denser_than_growing_and_a_tree_has_none(
    environment: Toolbox, world: World
) -> None:
    scope, seeds = Scope(world.world_id, "en"), [world.entities[0].names["en"]]
    figures = {}
    for growth in Growth:
        budget = BuildBudget(max_nodes=20, growth=growth, keep_trees=True, newest=0.9)
        totals = [
            describe((await build_graph(environment, seeds, scope, budget, languages=("en",), seed=seed)).graph)
            for seed in range(5)
        ]
        assert {one.nodes for one in totals} == {20}
        figures[growth] = sum(one.cycle_rank for one in totals)
    assert figures[Growth.DENSE] > figures[Growth.EXPANDED] > figures[Growth.TREE] == 0


async def test_the_comparison_shows_the_built_graph_beside_one_that_grew_and_a_tree(
    environment: Toolbox, world: World
) -> None:
    scope, seeds = Scope(world.world_id, "en"), [world.entities[0].names["en"]]
    budget = BuildBudget(max_nodes=20, newest=0.9)
    result = await build_graph(environment, seeds, scope, budget, languages=("en",))
    beside = await build_graph(environment, seeds, scope, growing_only(budget, 20), languages=())
    columns = compare(result, beside)
    assert list(columns) == ["built", "expanded", "tree"]
    assert columns["tree"].nodes == columns["built"].nodes
    assert columns["tree"].cycle_rank == 0 < columns["built"].cycle_rank
    head, *rows = table(columns)
    assert list(head) == ["", *columns]
    assert ["independent cycles", *(str(one.cycle_rank) for one in columns.values())] in [list(row) for row in rows]
    assert to_record(result, columns)["types"]["person"] > 0


async def test_names_are_searched_for_where_titles_mean_nothing(environment: Toolbox, world: World) -> None:
    scope, seeds = Scope(world.world_id, "en"), [world.entities[0].names["en"]]
    budget = BuildBudget(max_nodes=15, look_up="search", width=4)
    result = await build_graph(environment, seeds, scope, budget, languages=("en",))
    known = {(f.subject, f.relation, f.object) for f in world.facts}
    assert len(result.graph) == 15
    assert {edge.triple for edge in result.graph.edges} <= known
    assert result.report.searches >= 14


async def test_progress_is_told_and_grows(environment: Toolbox, world: World) -> None:
    scope, seeds, seen = Scope(world.world_id, "en"), [world.entities[0].names["en"]], list[BuildProgress]()
    budget = BuildBudget(max_nodes=12)
    result = await build_graph(environment, seeds, scope, budget, languages=("en",), on_progress=seen.append)
    assert [one.nodes for one in seen] == sorted(one.nodes for one in seen)
    assert seen[-1].nodes == len(result.order) > 8
    assert {one.stage for one in seen} == {"expanding", "closing"}
    figures = describe(result.graph)
    assert (seen[-1].mean_degree, seen[-1].cycle_rank) == (pytest.approx(figures.mean_degree), figures.cycle_rank)


def page(url: str, name: str, kind: str, *objects: str, aliases: tuple[str, ...] = ()) -> PageReading:
    facts = tuple(ReadFact(name, "part_of", other, f"{name} is part of {other}.") for other in objects)
    main = ReadEntity(name, kind, f"{name} is a {kind}.", aliases)
    return PageReading.of(entity_id_of(url), main, url, "a query", "en", Extraction((main,), facts), 100)


def names_of(pages: Sequence[PageReading], fits: Fits) -> Names:
    names = Names("en", fits)
    for one in pages:
        names.add(one.entity_id, one.names, one.main.entity_type)
    return names


def test_names_mean_entities_by_alias_and_spelling_unless_two_are_meant() -> None:
    names = Names("ar")
    names.add("cairo", ["القاهرة"])
    names.add("giza", ["الجيزة"])
    assert names.find("القَاهِرة") == "cairo"
    assert names.find("قاهره") == "cairo"
    assert names.find("طنطا") is None
    twins = Names("en")
    twins.add("a", ["Paris"])
    twins.add("b", ["paris"])
    assert (twins.find("Paris"), twins.find("paris"), twins.find("PARIS")) == ("a", "b", None)
    assert Names("fr").normal(" Île  de France") == "île de france"


def test_facts_are_placed_by_alias_and_open_ones_are_counted() -> None:
    pages = [
        page("https://x.example/en/uk", "United Kingdom", "country", "Europe", aliases=("UK", "Great Britain")),
        page("https://x.example/en/wales", "Wales", "country", "the UK"),
        page("https://x.example/en/kent", "Kent", "county", "great britain"),
    ]
    graph, opened = assemble("c", pages, names_of(pages, encyclopedia().fits), [one.entity_id for one in pages])
    assert {edge.triple for edge in graph.edges} == {("wales", "part_of", "uk"), ("kent", "part_of", "uk")}
    assert opened == {Open.UNREAD: 1}
    assert graph.entity("uk").aliases == {"en": ("UK", "Great Britain")}


def test_the_shape_of_a_growing_graph_is_that_of_the_graph() -> None:
    pages = [
        page(f"https://x.example/en/n{n}", f"N{n}", "thing", f"N{(n + 1) % 5}", f"N{(n * n) % 5}") for n in range(5)
    ]
    pages += [page("https://x.example/en/a", "A", "thing", "B"), page("https://x.example/en/b", "B", "thing", "A")]
    _, whole, cyclic = grown(pages, Names("en"))
    assert (whole.nodes, cyclic.nodes) == (7, 5)
