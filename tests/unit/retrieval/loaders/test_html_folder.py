"""Folders of HTML: real pages in place, addresses from an index or a template, unreadable files counted."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sindbad.errors import InvalidInput, NotFound
from sindbad.retrieval.loaders.open import Format, open_loader
from sindbad.retrieval.loaders.record import Document, Record, Rejected
from tests.shared import shared

HTML = "<html lang='{lang}'><title>{title}</title><body><article><h1>{title}</h1><p>{text}</p></article></body></html>"


def page(title: str, text: str, lang: str = "en") -> bytes:
    return HTML.format(title=title, text=text, lang=lang).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("x.org/b/two.html", "x.org/b.html", "x.org/a.html", "y.org/index.htm"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(page(name, f"Words of {name}."))
    (tmp_path / "x.org" / "packed.html.gz").write_bytes(gzip.compress(page("packed", "نص عربي هنا.", "ar")))
    (tmp_path / "x.org" / "empty.html").write_bytes(b"")
    (tmp_path / "x.org" / "torn.html.gz").write_bytes(gzip.compress(page("torn", "x" * 999))[:60])
    (tmp_path / "x.org" / "style.css").write_text("p {}", "utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "hidden.html").write_bytes(page("hidden", "words"))
    (tmp_path / "outside.html").symlink_to("/etc/passwd")
    return tmp_path


def titles(records: list[Record]) -> list[str]:
    return [record.outcome.title for record in records if isinstance(record.outcome, Document)]


def test_every_page_is_read_once_in_order_and_unreadable_ones_say_why(folder: Path) -> None:
    records = list(open_loader(folder, Format.HTML, corpus="c").records())
    assert titles(records) == ["x.org/a.html", "x.org/b/two.html", "x.org/b.html", "packed", "y.org/index.htm"]
    rejected = {record.at: record.outcome.reason for record in records if isinstance(record.outcome, Rejected)}
    assert rejected == {"x.org/empty.html": "the page is not HTML", "x.org/torn.html.gz": "damaged gzip"}


def test_a_reader_goes_on_behind_any_file(folder: Path) -> None:
    loader = open_loader(folder, Format.HTML, corpus="c")
    records = list(loader.records())
    for number, record in enumerate(records, start=1):
        assert list(loader.records(record.after)) == records[number:]
    assert records[-1].done == loader.total


def test_a_mirrors_paths_are_addresses_and_without_a_template_nobody_answers_there(folder: Path) -> None:
    def urls(template: str) -> list[str]:
        loader = open_loader(folder, Format.HTML, corpus="c", url_template=template)
        return [r.outcome.url for r in loader.records() if isinstance(r.outcome, Document)]

    assert urls("https://{path}")[1] == "https://x.org/b/two.html"
    assert urls("https://{path}")[3] == "https://x.org/packed.html"
    assert urls("")[0] == "https://c.invalid/x.org/a.html"


def test_an_index_says_where_pages_came_from(folder: Path) -> None:
    rows = [
        {"file": "x.org/a.html", "url": "https://real.org/a", "title": "A\u2028B\u0085C"},
        {"file": "x.org/packed.html", "url": "https://real.org/p", "lang": "fa"},
    ]
    (folder / "index.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    found = [r.outcome for r in open_loader(folder, corpus="c").records() if isinstance(r.outcome, Document)]
    assert (found[0].url, found[3].url, found[3].language) == ("https://real.org/a", "https://real.org/p", "fa")
    (folder / "index.jsonl").write_text('{"file": 1}', "utf-8")
    with pytest.raises(InvalidInput, match="Line 1"):
        open_loader(folder, corpus="c")


def test_a_small_file_that_unpacks_without_end_is_cut(tmp_path: Path) -> None:
    (tmp_path / "bomb.html.gz").write_bytes(gzip.compress(b"<p>" + b"word " * 20_000_000, 9))
    (record,) = open_loader(tmp_path, corpus="c").records()
    assert isinstance(record.outcome, Document)
    assert len(record.outcome.sections[0].text) <= 4_000_000


def test_options_that_do_not_apply_and_folders_without_pages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_loader(tmp_path, Format.HTML, corpus="c")
    (tmp_path / "a.html").write_bytes(page("a", "words"))
    with pytest.raises(InvalidInput, match="--map does not apply"):
        open_loader(tmp_path, corpus="c", mapping="text=x")


@pytest.mark.slow
def test_the_real_pages_are_read_with_their_addresses_titles_and_languages() -> None:
    records = list(open_loader(shared("data", "html_pages"), corpus="c").records())
    found = [record.outcome for record in records if isinstance(record.outcome, Document)]
    assert len(found) == len(records) == 55
    assert sum(page.language.startswith("ar") for page in found) == 9
    assert all(page.title for page in found)
    assert sum(page.url.startswith("https://c.invalid/") for page in found) == 2, "those without a URL in the index"
