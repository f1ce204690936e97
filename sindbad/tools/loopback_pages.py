"""What the loopback web's pages look like: a site's frame, boilerplate in two languages, links between pages."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sindbad.languages import is_rtl
from sindbad.retrieval.extraction import canonical
from sindbad.retrieval.page import Hit, Page

WORDS: Final = {
    "en": {
        "site": "Free Encyclopedia", "tagline": "From the free encyclopedia, which anyone may edit", "search": "Search",
        "contents": "Contents", "random": "Random page", "login": "Log in", "related": "Related pages",
        "licence": "Text is available under a free licence; additional terms may apply.", "privacy": "Privacy",
        "about": "About", "cookies": "This site uses cookies to remember your preferences.", "accept": "Accept all",
        "found": "Search results", "none": "Nothing was found.", "worlds": "Corpora",
    },
    "ar": {
        "site": "الموسوعة الحرة", "tagline": "من الموسوعة الحرة التي يمكن لأي شخص تحريرها", "search": "بحث",
        "contents": "المحتويات", "random": "صفحة عشوائية", "login": "تسجيل الدخول", "related": "صفحات ذات صلة",
        "licence": "النصوص منشورة برخصة حرة؛ قد تنطبق شروط إضافية.", "privacy": "الخصوصية",
        "about": "حول", "cookies": "يستخدم هذا الموقع ملفات تعريف الارتباط لحفظ تفضيلاتك.", "accept": "قبول الكل",
        "found": "نتائج البحث", "none": "لم يُعثر على شيء.", "worlds": "المجموعات",
    },
}  # fmt: skip


class Linker:
    """Turns the titles of other pages, where a text mentions them, into links."""

    def __init__(self, titles: Iterable[tuple[str, str]]) -> None:
        self._urls = dict(titles)
        longest_first = sorted(self._urls, key=len, reverse=True)
        alternatives = "|".join(re.escape(title) for title in longest_first) or r"(?!)"
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")

    def apply(self, text: str, own_url: str, prefix: str) -> str:
        """Escaped HTML of ``text`` with links; a page does not link to itself."""
        parts, position = [], 0
        for match in self._pattern.finditer(text):
            parts.append(html.escape(text[position : match.start()]))
            title, position = match.group(), match.end()
            url = self._urls[title]
            parts.append(html.escape(title) if url == own_url else link(url, title, prefix))
        return "".join([*parts, html.escape(text[position:])])

    def mentioned(self, text: str, own_url: str) -> list[tuple[str, str]]:
        """Title and URL of every other page that ``text`` mentions, once."""
        titles = dict.fromkeys(self._pattern.findall(text))
        return [(title, self._urls[title]) for title in titles if self._urls[title] != own_url]


def words_of(language: str) -> dict[str, str]:
    return WORDS.get(language, WORDS["en"])


def link(url: str, title: str, prefix: str) -> str:
    return f'<a href="{html.escape(prefix + urlsplit(url).path)}">{html.escape(title)}</a>'


@lru_cache(maxsize=1)
def _style() -> str:
    return Path(__file__).with_name("loopback.css").read_text("utf-8")


def encyclopedia(page: Page, linker: Linker, prefix: str) -> str:
    """A page of the encyclopedia, whole."""
    words, lines = words_of(page.language), canonical(page.text).split("\n")
    paragraphs = "".join(f"<p>{linker.apply(line, page.url, prefix)}</p>" for line in lines)
    head = f'<header><h1>{html.escape(page.title)}</h1><p class="tagline">{words["tagline"]}</p></header>'
    related = "".join(f"<li>{link(url, title, prefix)}</li>" for title, url in linker.mentioned(page.text, page.url))
    aside = f"<aside><h2>{words['related']}</h2><ul>{related}</ul></aside>" if related else ""
    article = f"<article>{head}{paragraphs}</article>"
    return frame(page.language, page.title, article, prefix, page.corpus, aside)


def frame(language: str, title: str, body: str, prefix: str, corpus: str, aside: str = "") -> str:
    """A whole page of the site around ``body``."""
    words, code = words_of(language), html.escape(language)
    direction = "rtl" if is_rtl(language) else "ltr"
    hidden = f'<input type="hidden" name="corpus" value="{html.escape(corpus)}">'
    return f"""<!doctype html>
<html lang="{code}" dir="{direction}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)} - {words["site"]}</title><style>{_style()}</style></head>
<body><header class="top"><a class="site" href="/">{words["site"]}</a>
<nav><ul><li><a href="{prefix}/{code}/">{words["contents"]}</a></li>
<li>{words["random"]}</li><li>{words["login"]}</li></ul></nav>
<form action="/search">{hidden}<input type="hidden" name="language" value="{code}">
<input name="q" placeholder="{words["search"]}" aria-label="{words["search"]}">
<button>{words["search"]}</button></form></header>
<div class="cookies">{words["cookies"]} <button>{words["accept"]}</button></div>
<main class="sheet">{body}</main>{aside}
<footer class="foot"><p>{words["licence"]} <a href="#">{words["privacy"]}</a> · <a href="#">{words["about"]}</a></p>
</footer>
</body></html>
"""


def results(query: str, language: str, hits: list[Hit], prefix: str, corpus: str) -> str:
    words = words_of(language)
    rows = "".join(
        f'<div class="hit">{link(hit.url, hit.title, prefix)}<p>{html.escape(hit.snippet)}</p></div>' for hit in hits
    )
    head = f'<h1>{words["found"]}</h1><p class="tagline">{html.escape(query)}</p>'
    return frame(language, words["found"], head + (rows or f"<p>{words['none']}</p>"), prefix, corpus)
