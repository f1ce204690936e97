"""`sindbad graph import | info | stats | sample`, as a user types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.errors import InvalidInput, NotFound
from sindbad.retrieval.index import PageIndex
from tests.shared import shared


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ring of forty with chords, imported from a user's table."""
    folder = tmp_path_factory.mktemp("own")
    lines = [f"n{i}\tnext_to\tn{(i + 1) % 40}\nn{i}\tacross\tn{(i * 7 + 3) % 40}\n" for i in range(40)]
    (folder / "own.tsv").write_text("".join(lines))
    done = run("graph", "import", "--triples", folder / "own.tsv", "--out", folder / "g", "--licence", "CC0")
    assert done.exit_code == 0, done.output
    assert "40 entities, 80 edges" in done.stderr
    assert "sindbad index build" in done.stderr
    return folder / "g"


def test_the_printed_command_builds_an_index_that_finds_the_edges_sources(own: Path) -> None:
    out = own.with_name("g-index")
    built = run("index", "build", "--source", own / "pages.jsonl", "--corpus", "own", "--words", 0, "--out", out)
    assert built.exit_code == 0, built.output
    page = PageIndex(out).page("own", "en", "https://own.encyclopedia.example/en/n3")
    assert page is not None
    assert "n3 has next to n4." in page.text
    assert page.title in {hit.title for hit in PageIndex(out).search("own", "en", "n3 next to", 5)}


def test_info_verifies_and_names_licences(own: Path) -> None:
    told = run("graph", "info", own, "--verify")
    assert told.exit_code == 0
    assert "licence: own.tsv: CC0" in told.stderr
    assert "verified" in told.stderr
    assert "next_to: 40 (any → any, functional) has next to" in told.stderr


def test_stats_stand_beside_a_tree_and_make_a_page(own: Path, tmp_path: Path) -> None:
    done = run("graph", "stats", own, "--nodes", "5-8", "--attempts", 40, "--html", tmp_path / "g.html")
    assert done.exit_code == 0, done.output
    rows = {line[:40].strip(): line[40:].split() for line in done.stdout.splitlines()}
    assert any("cycle rank" in name for name in rows)
    page = (tmp_path / "g.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "next_to" in page
    record = json.loads(run("graph", "stats", own, "--nodes", "5-8", "--attempts", 40, "--json").stdout)
    assert record["figures"]["tree"]["cycle_rank"] == 0 < record["figures"]["graph"]["cycle_rank"]
    assert record["sample"]["subgraphs"] > 20


def test_samples_are_written_connected_and_the_same_for_a_seed(own: Path, tmp_path: Path) -> None:
    words = ("graph", "sample", own, "--nodes", "5-8", "--attempts", 30, "--shapes", "chain=1,cycle=2", "--seed", 3)
    for name in ("one", "two"):
        assert run(*words, "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = [json.loads(line) for line in (tmp_path / "one").read_text().splitlines()]
    assert {one["shape"] for one in found} == {"chain", "cycle"}
    for one in found:
        assert {end for subject, _, object_ in one["edges"] for end in (subject, object_)} == set(one["nodes"])


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("import", "--out", "x"), "Name one of"),
        (("import", "planets", "--out", "x", "--data", "."), "planets"),
        (("import", "nobel", "--out", "x", "--data", "nowhere"), "nowhere"),
        (("stats", "nowhere"), "sindbad graph import"),
        (("sample", "{own}", "--nodes", "9-3"), "min_nodes"),
        (("sample", "{own}", "--nodes", "5:9"), "is not like 24-36"),
        (("sample", "{own}", "--shapes", "star=1"), "star"),
    ],
)
def test_what_a_user_gets_wrong_is_one_sentence(own: Path, words: tuple[str, ...], error: str) -> None:
    done = run("graph", *(word.format(own=own) for word in words))
    assert done.exit_code == 1
    assert isinstance(done.exception, InvalidInput | NotFound)
    assert error in done.exception.message


def test_a_kind_is_imported_from_the_data_folder(tmp_path: Path) -> None:
    done = run("graph", "import", "elements", "--data", shared("data"), "--out", tmp_path / "g")
    assert done.exit_code == 0, done.output
    assert "CC BY-SA 3.0, share-alike" in done.stderr
    assert "not used: 6 × discovered_by: not a name" in done.stderr


def test_a_graph_replaces_a_graph_and_nothing_else(own: Path, tmp_path: Path) -> None:
    table = tmp_path / "own.tsv"
    table.write_text("a\tnear\tb\n")
    diary = tmp_path / "papers" / "diary.txt"
    diary.parent.mkdir()
    diary.write_text("dear diary")
    index, seeds = own.with_name("seeds-index"), tmp_path / "seeds.txt"
    seeds.write_text("n3\n")
    assert run("index", "build", "--source", own / "pages.jsonl", "--corpus", "own", "--out", index).exit_code == 0
    for out in (table, diary.parent):
        for words in (("import", "--triples", table), ("build", "--seeds", seeds, "--index", index, "--corpus", "own")):
            done = run("graph", *words, "--out", out)
            assert done.exit_code == 1
            assert isinstance(done.exception, InvalidInput), done.output
            assert "give a" in done.exception.message
    assert table.read_text() == "a\tnear\tb\n"
    assert diary.read_text() == "dear diary"
    for _ in range(2):
        assert run("graph", "import", "--triples", table, "--out", tmp_path / "g").exit_code == 0


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"triples": b"\xff\xfe\x00"}, "nothing in the sources could be used: 1 .* columns"),
        ({"triples": b""}, "they are empty"),
        ({"triples": b"a\tr\tb\n", "entities": b'{"id": '}, "not JSON"),
        ({"triples": b"a\tr\tb\n", "relations": b"r\tr\thas r\ns\ts\thas s\n"}, "needs the header relation, label_en"),
        ({"triples": b"a\tr\tb\n", "relations": b"relation\tlabel_en\tphrase_en\nr has r\n"}, "1 columns, not 3"),
        ({"triples": b"a\tr\tb\n", "relations": b"relation\tlabel_en\tphrase_en\n"}, "words no relation"),
    ],
)
def test_an_import_of_nothing_usable_is_refused_and_leaves_nothing(
    tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    words: list[object] = []
    for option, content in files.items():
        (tmp_path / option).write_bytes(content)
        words += [f"--{option}", tmp_path / option]
    done = run("graph", "import", *words, "--out", tmp_path / "g")
    assert done.exit_code == 1
    assert isinstance(done.exception, InvalidInput), done.output
    assert re.search(said, done.exception.message)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
