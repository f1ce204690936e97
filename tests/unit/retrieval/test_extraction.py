"""Main text out of hostile bytes, and evidence out of a page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sindbad.retrieval import visit
from sindbad.retrieval.extraction import PageUnreadable, canonical, extract

ARTICLE = """<!doctype html><html lang="ar" dir="rtl"><head><title>x - Site</title></head><body>
<nav>Contents Log in</nav><div class="cookies">Cookies! <button>Accept</button></div>
<main><article><header><h1>مروتا لين</h1><p>From the free encyclopedia</p></header>
<p>مروتا لين شخص. ولدت في <a href="/t">تافل</a>.</p><p>Second  paragraph.</p></article></main>
<aside><p>Related</p></aside><footer><p>Licence</p></footer></body></html>"""


def test_a_marked_article_is_read_exactly_and_boilerplate_is_left_out() -> None:
    page = extract(ARTICLE.encode())
    assert page.title == "مروتا لين"
    assert page.text == "مروتا لين شخص. ولدت في تافل.\nSecond paragraph."
    assert page.language == "ar"


def test_a_page_without_an_article_goes_through_trafilatura() -> None:
    words = "The committee published a long report about the harbour and its many ships. " * 12
    markup = (
        f"<html><head><title>Harbour</title></head><body><div class='menu'><a>Home</a></div><div><p>{words}</p></div>"
    )
    page = extract(markup.encode())
    assert page.title == "Harbour"
    assert "long report about the harbour" in page.text
    assert "Home" not in page.text


def test_teaser_cards_are_not_taken_for_the_article() -> None:
    cards = "<article><p>Teaser one.</p></article><article><p>Teaser two.</p></article>"
    body = "<p>" + "The real text of this page is here and it is long enough to be kept. " * 8 + "</p>"
    assert "real text" in extract(f"<html><body>{cards}<div>{body}</div></body></html>".encode()).text


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ("<p>café</p>".encode("latin-1"), "text/html; charset=latin-1"),
        (b"<meta charset='windows-1252'><p>caf\xe9</p>", "text/html"),
        ("<p>café</p>".encode("utf-16"), "text/html"),
        ("<p>café</p>".encode(), "text/html; charset=no-such-thing"),
        ("café".encode(), "text/plain"),
    ],
)
def test_encodings_are_found_in_header_mark_and_meta(body: bytes, header: str) -> None:
    assert extract(body, header).text == "café"


@pytest.mark.parametrize(
    ("body", "header"), [(b"%PDF-1.7", "application/pdf"), (b"", "text/html"), (b" \n", "text/plain")]
)
def test_what_is_no_text_says_so(body: bytes, header: str) -> None:
    with pytest.raises(PageUnreadable):
        extract(body, header)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=400) | st.text(alphabet="<>/pdiv&;#x0\"' abc!-[]", max_size=200).map(str.encode))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        page = extract(body)
    except PageUnreadable:
        return
    assert page.text == canonical(page.text)


def test_links_to_the_page_in_other_languages_are_kept_and_other_links_are_not() -> None:
    markup = """<html lang="en"><head><link rel="alternate" hreflang="fr" href="/fr/a"><link rel="stylesheet" href="x">
        <link rel="alternate" type="application/rss+xml" href="/feed"></head><body><p>A town.</p>
        <a class="interlanguage-link-target" hreflang="ar" href="https://ar.x.example/w/b">العربية</a>
        <a hreflang="de" href="https://de.x.example/">another page</a></body></html>"""
    assert extract(markup.encode()).translations == {"fr": "/fr/a", "ar": "https://ar.x.example/w/b"}


def test_deep_nesting_is_no_recursion() -> None:
    with pytest.raises(PageUnreadable):
        extract(b"<div>" * 50_000)


TEXT = "Marota Lin is a person. She was born in Tavel. " + "Filler stands here for length. " * 40 + "She works for Sel."


def test_a_page_that_fits_is_shown_whole() -> None:
    assert visit.excerpt("A.  B.\n\nC.", "x", 100) == visit.Excerpt("A. B.\nC.", False)


def test_evidence_for_the_goal_survives_a_tight_budget_in_page_order() -> None:
    part = visit.excerpt(TEXT, "works for, born in Tavel", 60)
    assert part.truncated
    assert part.text == "She was born in Tavel. … She works for Sel."


def test_an_empty_goal_reads_from_the_top() -> None:
    assert visit.excerpt(TEXT, "", 60).text.startswith("Marota Lin is a person. She was born in Tavel.")


@given(st.text(max_size=300), st.text(max_size=20), st.integers(1, 120))
def test_evidence_never_exceeds_its_budget(text: str, goal: str, most: int) -> None:
    part = visit.excerpt(text, goal, most)
    assert len(part.text) <= most
    assert part.truncated or part.text == canonical(text)
