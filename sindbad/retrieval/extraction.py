"""From bytes off the web to the main text of a page. Bytes are hostile: only PageUnreadable is raised.

HTML, plain text and PDF, told apart in :mod:`sindbad.retrieval.media`, decoded in :mod:`sindbad.retrieval.encodings`.

A page that marks its one article (``<article>``, ``<main>``) is believed when that holds most of the page's paragraphs:
exact also on pages of two lines, where trafilatura's length heuristics fall back to everything. Otherwise trafilatura
finds the main text, and what it refuses is read as blocks of visible text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import lxml.etree
import lxml.html

from sindbad.retrieval import media
from sindbad.retrieval.encodings import decode
from sindbad.retrieval.pdf import PdfUnreadable, pdf_text

MAX_BYTES: Final = 4_000_000
MAX_TEXT_CHARS: Final = 1_000_000
_MAX_TRANSLATIONS: Final = 400
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SKIPPED_TAGS = """
script style noscript template nav header footer aside form button select iframe svg math object head
"""
_BLOCK_TAGS = """
p div section article main li ul ol dl dt dd h1 h2 h3 h4 h5 h6 table tr pre blockquote figure figcaption br hr
"""
_SKIPPED: Final = frozenset(_SKIPPED_TAGS.split())
_BLOCKS: Final = frozenset(_BLOCK_TAGS.split())


class PageUnreadable(Exception):
    """The bytes hold no text that we can read; the message says why, in words an agent can act on."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """``text`` is canonical (:func:`canonical`); ``title`` and ``language`` are empty when the page names none.

    ``translations``: language code -> where the page says that it stands in that language, as written there.
    """

    title: str
    text: str
    language: str = ""
    translations: Mapping[str, str] = field(default_factory=dict)


def canonical(text: str) -> str:
    """One line a paragraph, blanks collapsed, empty lines and control characters gone. What index and web agree on."""
    lines = (" ".join(line.split()) for line in _CONTROL.sub("", text).splitlines())
    return "\n".join(line for line in lines if line)


def extract(body: bytes, content_type: str = "text/html") -> Extracted:
    """Main text of ``body``; ``content_type`` is the header. Raises PageUnreadable: not text, empty, undecodable."""
    try:
        kind = media.kind_of(body, media.media_type(content_type))
    except media.NotText as error:
        raise PageUnreadable(str(error)) from error
    page = _from_pdf(body) if kind is media.Kind.PDF else _from_text(body[:MAX_BYTES], content_type, kind)
    if not page.text:
        raise PageUnreadable("the page has no text")
    return replace(page, text=page.text[:MAX_TEXT_CHARS])


def _from_pdf(body: bytes) -> Extracted:
    try:
        title, text = pdf_text(body, MAX_TEXT_CHARS)
    except PdfUnreadable as error:
        raise PageUnreadable(str(error)) from error
    return Extracted(" ".join(_CONTROL.sub("", title).split()), canonical(text))


def _from_text(body: bytes, content_type: str, kind: media.Kind) -> Extracted:
    html = kind is media.Kind.HTML
    text = decode(body, content_type, html=html)
    return _from_html(text) if html else Extracted("", canonical(text))


def _from_html(markup: str) -> Extracted:
    tree = _parse(markup)
    if tree is None:
        raise PageUnreadable("the page is not HTML")
    article = _marked_article(tree)
    text = _visible_text(article) if article is not None else _by_trafilatura(markup) or _visible_text(tree)
    return Extracted(_title(tree, article), canonical(text), str(tree.get("lang") or ""), _translations(tree))


def _parse(markup: str) -> Any:
    """The tree, or None. NULs and an XML declaration would make lxml refuse a string."""
    cleaned = re.sub(r"^\s*<\?xml[^>]*\?>", "", _CONTROL.sub("", markup))
    try:
        return lxml.html.document_fromstring(cleaned)
    except (lxml.etree.LxmlError, ValueError, AssertionError):
        return None


def _marked_article(tree: Any) -> Any:
    """The one article or main element, if it holds most of the characters that stand in paragraphs."""
    total = sum(len(p.text_content()) for p in tree.iter("p"))
    for tag in ("article", "main"):
        found = list(tree.iter(tag))
        if len(found) == 1 and sum(len(p.text_content()) for p in found[0].iter("p")) * 2 > total:
            return found[0]
    return None


def _title(tree: Any, article: Any) -> str:
    """The article's only h1, else the page's only h1, else ``<title>``."""
    for place in (article, tree):
        heads = [] if place is None else list(place.iter("h1"))
        if len(heads) == 1:
            return " ".join(heads[0].text_content().split())
    return " ".join((tree.findtext(".//title") or "").split())


def _translations(tree: Any) -> dict[str, str]:
    """What links say ``hreflang`` and "alternate"; or are an encyclopedia's links between languages (MediaWiki)."""
    found: dict[str, str] = {}
    for item in tree.iter("link", "a"):
        code, there = str(item.get("hreflang") or "").strip(), str(item.get("href") or "").strip()
        alternate = "alternate" in str(item.get("rel") or "").split()
        if code and there and (alternate or "interlanguage-link" in str(item.get("class") or "")):
            found.setdefault(code, there)
        if len(found) == _MAX_TRANSLATIONS:
            break
    return found


def _by_trafilatura(markup: str) -> str:
    import trafilatura  # 0.3 s to import: only when a page needs it

    try:
        return trafilatura.extract(markup, include_comments=False, include_tables=True) or ""
    except Exception:  # any page may trip any heuristic: fall back to the visible text
        return ""


def _visible_text(root: Any) -> str:
    return "".join(_pieces(root))


def _pieces(root: Any) -> Iterator[str]:
    """Text in order, a line break around every block; iterative, because hostile pages nest a million deep.

    The top heading is the title and left out.
    """
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
            continue
        if not isinstance(item.tag, str) or item.tag in _SKIPPED or item.tag == "h1":
            continue
        edge = "\n" if item.tag in _BLOCKS else ""
        stack.append(edge)
        for child in reversed(item):
            stack.extend((child.tail or "", child))
        stack.append(edge + (item.text or "").replace("\n", " "))
