"""Importing: every sentence stands on its page, nothing is lost silently, a killed import goes on, and kinds join."""

from __future__ import annotations

import gzip
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sindbad.errors import Corrupt, InvalidInput, NotFound, Unavailable
from sindbad.graph.importers import assemble
from sindbad.graph.importers.assemble import PAGES, import_graph
from sindbad.graph.importers.compose import Composer, Outgoing, Subject
from sindbad.graph.importers.encyclopedias import REAL_IMPORTERS
from sindbad.graph.importers.facts import Fact, Link, Node, Part, Unusable, Value
from sindbad.graph.importers.staging import Row, Sorted, Staging
from sindbad.graph.importers.tables import REAL
from sindbad.graph.importers.triples import Triples
from sindbad.graph.importers.wording import Wording, date_text, from_name
from sindbad.graph.knowledge import GraphView
from sindbad.graph.store import open_graph
from sindbad.graph.store_format import Licence
from tests.shared import shared


def pages_of(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / PAGES).read_text(encoding="utf-8").splitlines()
    pages = [json.loads(line) for line in lines]
    assert len({page["url"] for page in pages}) == len(pages)
    return {page["url"]: page for page in pages}


def check_provenance(graph: GraphView, pages: dict[str, dict[str, Any]]) -> None:
    """Every sentence stands on the page at its URL, in its language; the query names the page's subject."""
    for entity in graph.entities:
        sources = [
            *entity.sources,
            *(source for value in graph.attributes(entity.entity_id) for source in value.sources),
        ]
        check_sources(entity.names, sources, pages)
    for edge in graph.edges:
        assert edge.sources
        check_sources(graph.entity(edge.subject).names, edge.sources, pages)


def check_sources(names: Any, sources: Any, pages: dict[str, dict[str, Any]]) -> None:
    for source in sources:
        page = pages[source.url]
        assert source.sentence in page["text"]
        assert source.language == page["language"]
        assert page["title"] == names[source.language]
        assert source.query.startswith(page["title"])


class Several:
    """An importer with parts of its own."""

    kind, corpus, wording, implied = "several", "small", REAL, False
    licences = (Licence(source="test", licence="CC0"),)

    def __init__(self, facts: list[Fact], die_after: int = -1) -> None:
        self._facts, self._die_after = facts, die_after
        self.made = 0

    def job(self) -> dict[str, object]:
        return {"facts": len(self._facts)}

    def parts(self) -> list[Part]:
        middle = len(self._facts) // 3
        return [("one", lambda: self._part(self._facts[:middle])), ("two", lambda: self._part(self._facts[middle:]))]

    def _part(self, facts: list[Fact]) -> Iterator[Fact]:
        for fact in facts:
            if self.made == self._die_after:
                raise KeyboardInterrupt
            self.made += 1
            yield fact


def world() -> list[Fact]:
    facts: list[Fact] = [
        Node("FR", "country", {"en": "France", "ar": "فرنسا"}, prose={"en": "France is old. Paris is in France."}),
        Node("PA", "city", {"en": "Paris", "ar": "باريس"}),
        Node("TX", "city", {"en": "Paris"}, distinct={"en": "Texas"}),
        Node("P3", "city", {"en": "Paris"}),
        Node("FR", "place", {"en": "French Republic"}, {"en": ["République française"]}, {"area": 5}),
        Link("FR", "capital", "PA"),
        Link("PA", "city_in", "FR", quote="Paris is in France."),
        Link("FR", "capital", "PA"),
        Link("FR", "links_to", "TX"),
        Link("FR", "capital", "nobody"),
        Value("FR", "population", 68_000_000),
        Value("FR", "foundation_date", "0843-08", kind="date"),
        Value("nowhere", "population", 1),
        Unusable("test: a row without a name", "line 7"),
    ]
    return facts


def test_an_import_states_every_fact_on_a_page_in_each_language_that_both_ends_have(tmp_path: Path) -> None:
    manifest = import_graph(Several(world()), tmp_path / "g")
    graph, pages = open_graph(tmp_path / "g", verify=True), pages_of(tmp_path / "g")
    check_provenance(graph, pages)
    assert manifest.pages is not None
    assert manifest.pages.rows == len(pages) == 6
    capital = graph.edge("FR", "capital", "PA")
    assert capital is not None
    assert [source.sentence for source in capital.sources] == [
        "France has its capital at Paris.",
        "فرنسا عاصمتها باريس.",
    ]
    link = graph.edge("FR", "links_to", "TX")
    assert link is not None
    assert [source.language for source in link.sources] == ["en"]
    france = pages["https://small.encyclopedia.example/en/FR"]["text"].split("\n")
    assert france[0] == "France is old. Paris is in France."
    assert "France has a population of 68000000." in france
    assert "France was founded on August 843." in france
    assert {name for name, _ in ((v.name, v.value) for v in graph.attributes("FR"))} == {
        "foundation_date",
        "population",
    }


def test_entities_of_one_name_are_told_apart_and_the_first_told_keeps_it(tmp_path: Path) -> None:
    import_graph(Several(world()), tmp_path / "g")
    graph = open_graph(tmp_path / "g")
    assert [graph.entity(one).names["en"] for one in ("PA", "TX", "P3")] == ["Paris", "Paris (Texas)", "Paris (city)"]
    assert graph.entity("TX").aliases["en"] == ("Paris",)
    france = graph.entity("FR")
    assert france.entity_type == "country"
    assert france.aliases["en"] == ("French Republic", "République française")
    assert france.features["area"] == 5


def test_what_cannot_be_used_is_counted_and_named(tmp_path: Path) -> None:
    manifest = import_graph(Several(world()), tmp_path / "g")
    assert manifest.rejected == {
        "a fact about an entity that no row introduces": 1,
        "a fact that an earlier row stated": 1,
        "a value of an entity that no row introduces": 1,
        "test: a row without a name": 1,
    }
    assert any("FR · capital · nobody" in example for example in manifest.rejected_examples)
    assert manifest.licences == Several.licences


@pytest.mark.parametrize("die_after", [0, 3, 7, 12])
def test_a_killed_import_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, die_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = import_graph(Several(world()), tmp_path / "whole")
    fill = Staging.fill
    monkeypatch.setattr(Staging, "fill", lambda self, progress: fill(self, progress, shard_facts=2))
    with pytest.raises(KeyboardInterrupt):
        import_graph(Several(world(), die_after), tmp_path / "g")
    assert not (tmp_path / "g").exists()
    staged: list[int] = []
    again = import_graph(Several(world()), tmp_path / "g", progress=lambda part, facts: staged.append(facts))
    assert again.digest == whole.digest
    assert again.pages == whole.pages
    assert again.rejected == whole.rejected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g", "whole"]


def test_a_kill_while_the_tables_are_written_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = import_graph(Several(world()), tmp_path / "whole")
    compose, calls = assemble.Composer.compose, [0]

    def dies(self: Composer, *given: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return compose(self, *given)

    monkeypatch.setattr(assemble.Composer, "compose", dies)
    with pytest.raises(KeyboardInterrupt):
        import_graph(Several(world()), tmp_path / "g")
    resumed = Several(world(), die_after=0)  # reading anything anew would end it
    assert import_graph(resumed, tmp_path / "g").digest == whole.digest


def test_sorting_without_memory_or_disk_is_an_error_of_ours_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match="--memory-mb 2") as short:
        import_graph(Several(world()), tmp_path / "g", memory_mb=2)
    assert "\n" not in short.value.message
    resumed = Several(world(), die_after=0)  # reading anything anew would end it
    whole, limits = Staging.sorted, resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(self: Staging, memory_mb: int) -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
        try:
            return whole(self, memory_mb)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(Staging, "sorted", full)
    with pytest.raises(Unavailable, match="Once there is room"):
        import_graph(resumed, tmp_path / "g")
    monkeypatch.undo()
    assert import_graph(resumed, tmp_path / "g").edges == 3


def test_a_query_that_runs_out_of_memory_while_tables_are_written_keeps_what_is_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Sorted) -> Iterator[Row]:
        with self._asking():
            raise duckdb.OutOfMemoryException("failed to pin block of size 256.0 KiB\nPossible solutions: …")
        yield

    monkeypatch.setattr(Sorted, "links", fails)
    with pytest.raises(InvalidInput, match=r"failed to pin block of size 256\.0 KiB\)"):
        import_graph(Several(world()), tmp_path / "g")
    monkeypatch.undo()
    assert import_graph(Several(world(), die_after=0), tmp_path / "g").edges == 3


def test_a_damaged_shard_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "s", Several(world()))
    staging.fill()
    shard = next((tmp_path / "s").glob("nodes-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(Corrupt, match="import again"):
        staging.sorted(256)


def write(path: Path, *lines: str) -> Path:
    path.write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))
    return path


def test_a_user_s_own_graph_with_entities_wording_and_bad_rows(tmp_path: Path) -> None:
    triples = write(
        tmp_path / "mine.tsv",
        "a\tmade by\tb",
        "a\tmade by",
        "b\tmade by\ta",
        "\tmade by\ta",
        "a\tmade by\t\udcff",
        "a\tx\tc",
    )
    entities = write(
        tmp_path / "mine.jsonl",
        '{"id": "a", "type": "toy", "names": {"en": "Ant", "ar": "نملة"}, '
        '"attributes": {"weight": {"value": 3.5, "unit": "g"}}}',
        '{"id": "b", "name": "Bee", "names": {"ar": "نحلة"}, "text": "A bee.", "attributes": {"odd": []}}',
        "{broken",
        '{"name": "no id"}',
    )
    words = "relation\tlabel_en\tphrase_en\tlabel_ar\tphrase_ar", "made by\tmaker\twas made by\tالصانع\tصنعه"
    relations = write(tmp_path / "words.tsv", *words)
    manifest = import_graph(Triples(triples, entities, relations, licence="CC0"), tmp_path / "g")
    graph = open_graph(tmp_path / "g", verify=True)
    check_provenance(graph, pages_of(tmp_path / "g"))
    assert [edge.triple for edge in graph.edges] == [("a", "made by", "b"), ("b", "made by", "a")]
    edge = graph.edge("a", "made by", "b")
    assert edge is not None
    assert edge.source("ar").sentence == "نملة صنعه نحلة."  # type: ignore[union-attr]
    assert [(value.name, value.value, value.unit) for value in graph.attributes("a")] == [("weight", 3.5, "g")]
    assert sum(manifest.rejected.values()) == 7
    assert graph.relation_info("made by").functional


def test_dates_that_cannot_be_read_and_numbers_that_are_none_stay_out_of_a_graph(tmp_path: Path) -> None:
    triples = write(tmp_path / "t.tsv", "a\tknows\tb")
    dated = '{"id": "a", "attributes": {"born": {"value": "1912/05/22", "kind": "date"}, "size": NaN, "width": 1e999}}'
    known = '{"id": "b", "attributes": {"born": {"value": "1912-05", "kind": "date"}, "size": 2, "width": 1%s}}'
    entities = write(tmp_path / "t.jsonl", dated, known % ("0" * 400))
    manifest = import_graph(Triples(triples, entities), tmp_path / "g")
    graph = open_graph(tmp_path / "g")
    assert graph.attributes("a") == ()
    assert [(value.name, value.value) for value in graph.attributes("b")] == [("born", "1912-05"), ("size", 2)]
    assert sum(manifest.rejected.values()) == 4
    assert any("a: born 1912/05/22" in example for example in manifest.rejected_examples)


def test_values_of_an_attribute_are_in_its_commonest_unit_and_the_rest_is_told(tmp_path: Path) -> None:
    triples = write(tmp_path / "t.tsv", "a\tknows\tb", "b\tknows\tc")
    weights = {"a": (800, "g"), "b": (5, "kg"), "c": (7, "kg")}
    entities = write(
        tmp_path / "t.jsonl",
        *(
            json.dumps(
                {
                    "id": key,
                    "attributes": {"weight": {"value": value, "unit": unit}, "motto": {"value": "x", "unit": key}},
                }
            )
            for key, (value, unit) in weights.items()
        ),
    )
    manifest = import_graph(Triples(triples, entities), tmp_path / "g")
    graph = open_graph(tmp_path / "g")
    check_provenance(graph, pages_of(tmp_path / "g"))
    assert [(key, value.value, value.unit) for key, value in graph.with_attribute("weight")] == [
        ("b", 5, "kg"),
        ("c", 7, "kg"),
    ]
    assert manifest.rejected == {"a value in another unit than most of its attribute": 1}
    assert "a: weight 800 g, not kg" in manifest.rejected_examples[0]
    assert len(list(graph.with_attribute("motto"))) == 3, "texts are compared with nothing"


def told_of(tmp_path: Path, *rows: dict[str, Any]) -> list[Fact]:
    """What the importer makes of entities."""
    entities = write(tmp_path / "t.jsonl", *map(json.dumps, rows))
    (_, nodes), _ = Triples(write(tmp_path / "t.tsv", "a\tr\tb"), entities).parts()
    return list(nodes())


@pytest.mark.parametrize("given", ["Lutetia", ["Lutetia"], {"en": "Lutetia"}, {"en": ["Lutetia", ""], "xx": ["?"]}])
def test_a_text_is_one_alias(tmp_path: Path, given: Any) -> None:
    (node,) = told_of(tmp_path, {"id": "a", "name": "Paris", "aliases": given})
    assert isinstance(node, Node)
    assert node.aliases == {"en": ["Lutetia"]}


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("names", "Ant"), ("names", ["Ant"]), ("names", {"ar": ["x"]}), ("texts", "An ant."), ("text", ["An ant."]),
        ("aliases", 5), ("aliases", {"en": 5}), ("aliases", [["x"]]), ("type", {"en": "toy"}),
    ],
)  # fmt: skip
def test_what_an_entity_says_in_another_form_is_passed_over_and_told(tmp_path: Path, key: str, given: Any) -> None:
    node, slip = told_of(tmp_path, {"id": "a", "name": "Ant", key: given})
    assert isinstance(node, Node)
    assert isinstance(slip, Unusable)
    assert node.names == {"en": "Ant"}
    assert slip.reason.startswith(f"{key} in another form")
    assert slip.example.startswith("a: ")


def test_an_id_is_a_text_or_a_number(tmp_path: Path) -> None:
    first, second = told_of(tmp_path, {"id": ["a"]}, {"id": 7})
    assert isinstance(first, Unusable)
    assert isinstance(second, Node)
    assert second.entity_id == "7"


def test_triples_alone_are_enough(tmp_path: Path) -> None:
    triples = write(tmp_path / "t.tsv", "x y\tlikes_to_see\tz", "z\tlikes_to_see\tz")
    import_graph(Triples(triples), tmp_path / "g")
    graph = open_graph(tmp_path / "g")
    check_provenance(graph, pages_of(tmp_path / "g"))
    assert [entity.entity_id for entity in graph.entities] == ["x y", "z"]
    assert graph.edges_between("x y", "z")[0].sources[0].sentence == "x y has likes to see z."


def test_a_missing_or_damaged_source_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.tsv"):
        import_graph(Triples(tmp_path / "gone.tsv"), tmp_path / "g")
    path = tmp_path / "cut.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tr\tb\n" * 1000)[:-9])
    with pytest.raises(Corrupt, match=r"cut\.tsv"):
        import_graph(Triples(path), tmp_path / "g")
    with pytest.raises(NotFound, match="--data"):
        import_graph(REAL_IMPORTERS["elements"](tmp_path), tmp_path / "g")


def test_dates_are_worded_as_far_as_they_are_known() -> None:
    told = [date_text(date, "en") for date in ("1922-06-19", "1922-06", "1922", "-0044-03-15", "long ago")]
    assert told == ["19 June 1922", "June 1922", "1922", "15 March 44 BC", "long ago"]
    assert date_text("1922-06-19", "ar") == "19 يونيو 1922"


def test_an_unknown_relation_is_worded_in_english_only() -> None:
    assert from_name("/film/starring_actor").phrases == {"en": "has film starring actor"}
    page = Composer("c", REAL).compose(
        Subject("a", "", {"en": "A", "ar": "أ"}, {}), [], [Outgoing("unknown_one", {"en": "B", "ar": "ب"})]
    )
    assert [source.language for source in page.links[0]] == ["en"]


def test_every_worded_relation_and_type_has_both_languages_and_an_own_phrase() -> None:
    for table in (REAL.relations, REAL.types):
        assert all({"en", "ar"} <= set(words.phrases) for words in table.values())
    assert len([name for name in REAL.relations if name[0] == "P"]) == 42


@pytest.mark.parametrize(
    ("kind", "nodes", "edges"), [("elements", 220, 580), pytest.param("nobel", 2_000, 5_000, marks=pytest.mark.slow)]
)
def test_real_data_becomes_a_graph_and_an_encyclopedia(tmp_path: Path, kind: str, nodes: int, edges: int) -> None:
    manifest = import_graph(REAL_IMPORTERS[kind](shared("data")), tmp_path / "g")
    assert manifest.nodes >= nodes
    assert manifest.edges >= edges
    assert manifest.licences
    graph = open_graph(tmp_path / "g", verify=True)
    check_provenance(graph, pages_of(tmp_path / "g"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [("university", "a university"), ("hour", "an hour"), ("island", "an island"), ("house", "a house"),
     ("uninhabited_place", "an uninhabited place"), ("european_union", "a european union"), ("uncle", "an uncle")],
)  # fmt: skip
def test_a_type_that_nobody_worded_has_the_article_that_is_spoken(kind: str, said: str) -> None:
    assert Wording().type(kind).phrase == f"is {said}"
