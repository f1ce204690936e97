"""The search index: embedded Tantivy, memory-mapped, one writer, many readers.

Invariant: a reader sees one snapshot, complete, for as long as it is open; :func:`build` makes the next one beside it
and swaps the folder when it is finished. A snapshot gives equal answers to equal queries, and so does a rebuild from
the same pages in the same order: ties are broken by URL, never by where a document happens to lie.

Ranking is two-staged: BM25 over all terms of title and text finds candidates, then each candidate's best sentence is
scored by the query terms and adjacent pairs that it carries (the page's title counts for every sentence, because a
page calls its subject "she"). The best sentence is also the snippet.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import tantivy

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.retrieval import analysis
from sindbad.retrieval.page import Hit, Page

SCHEMA_VERSION: Final = 1
MANIFEST: Final = "sindbad-index.json"
MAX_QUERY_TERMS: Final = 64
SENTENCE_WEIGHT: Final = 4.0
"""Of the best sentence beside BM25. From 3 on, a reverse question of the demo finds its subject first (400 of 400)."""
_STORED: Final = ("url", "title", "text", "language", "corpus")
_HEAP_BYTES: Final = 64_000_000
_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What a snapshot holds. ``corpora`` maps a corpus to its pages a language."""

    pages: int
    corpora: dict[str, dict[str, int]]
    build_seconds: float


def build(
    pages: Iterable[Page], target: str | Path, *, progress: Callable[[int], None] | None = None, every: int = 1000
) -> IndexInfo:
    """Write a snapshot of ``pages`` to ``target``, replacing what was there in one step at the end.

    Args:
        pages: streamed once; two pages with one URL are an error (InvalidInput).
        progress: called with the number of pages so far, every ``every`` pages and at the end.
    """
    goal = Path(target)
    goal.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{goal.name}.", dir=goal.parent))
    try:
        info = _write(pages, temporary, progress or (lambda _: None), every)
        os.chmod(temporary, 0o755)
        atomic.replace_dir(temporary, goal)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return info


def _write(pages: Iterable[Page], folder: Path, progress: Callable[[int], None], every: int) -> IndexInfo:
    started = time.monotonic()
    writer = _open(folder, create=True).writer(_HEAP_BYTES, 1)  # one thread: documents stay in the caller's order
    try:
        count, corpora = _add_all(pages, writer, progress, every)
        writer.commit()
    except BaseException:
        writer.rollback()
        writer.wait_merging_threads()  # or it goes on writing into a folder that is being removed
        raise
    writer.wait_merging_threads()
    progress(count)
    info = IndexInfo(count, corpora, time.monotonic() - started)
    atomic.write_json(folder / MANIFEST, _manifest(info))
    return info


def _add_all(
    pages: Iterable[Page], writer: tantivy.IndexWriter, progress: Callable[[int], None], every: int
) -> tuple[int, dict[str, dict[str, int]]]:
    """Add every page; returns their number and the pages of each corpus and language."""
    corpora: dict[str, dict[str, int]] = {}
    urls: set[str] = set()
    for page in pages:
        if page.url in urls:
            raise InvalidInput(f"Two pages share the URL {page.url}; give each page its own.", reason="DUPLICATE_URL")
        urls.add(page.url)
        writer.add_document(_document(page))
        languages = corpora.setdefault(page.corpus, {})
        languages[page.language] = languages.get(page.language, 0) + 1
        if len(urls) % every == 0:
            progress(len(urls))
    return len(urls), corpora


def _manifest(info: IndexInfo) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "analysis": analysis.VERSION,
        "pages": info.pages,
        "corpora": info.corpora,
        "build_seconds": round(info.build_seconds, 3),
    }


def _document(page: Page) -> tantivy.Document:
    stored = {name: [getattr(page, name)] for name in _STORED}
    return tantivy.Document(
        **stored,
        body=[" ".join(analysis.terms(f"{page.title}\n{page.text}"))],
        key=[page.url],
        scope=[_scope(page.corpus, page.language)],
        name=[_name(page.corpus, page.language, page.title)],
    )


def _scope(corpus: str, language: str) -> str:
    return f"{corpus}{_SEPARATOR}{language}"


def _name(corpus: str, language: str, title: str) -> str:
    return f"{corpus}{_SEPARATOR}{language}{_SEPARATOR}{analysis.title_key(title)}"


@lru_cache(maxsize=1)
def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in _STORED:
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("body", tokenizer_name="blanks", index_option="freq")
    for name in ("key", "scope", "name"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    return builder.build()


def _open(folder: Path, *, create: bool = False) -> tantivy.Index:
    index = tantivy.Index(_schema(), str(folder)) if create else tantivy.Index.open(str(folder))
    blanks = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer("blanks", blanks)
    return index


class PageIndex:
    """A snapshot, open for reading. Safe to use from several threads; answers never change while it is open."""

    def __init__(self, folder: str | Path) -> None:
        """Raises NotFound when there is no index, Corrupt when it is damaged or of another version."""
        self.folder = Path(folder)
        self.info = _read_manifest(self.folder)
        try:
            self._index = _open(self.folder)
            self._searcher = self._index.searcher()
        except Exception as error:
            raise Corrupt(f"The index at {self.folder} can't be opened ({error}); build it again.") from error
        self._sentences = lru_cache(maxsize=20_000)(self._analysed_sentences)
        self._weight = lru_cache(maxsize=50_000)(self._idf)

    def search(self, corpus: str, language: str, query: str, k: int = 10) -> list[Hit]:
        """At most ``k`` hits within one corpus and language, best first. A query without terms finds nothing."""
        wanted = analysis.terms(query)[:MAX_QUERY_TERMS]
        if not wanted or k < 1:
            return []
        candidates = self._candidates(corpus, language, wanted, max(32, 4 * k))
        hits = [self._scored(wanted, score, address) for score, address in candidates]
        exact = analysis.title_key(query)
        hits.sort(key=lambda hit: (analysis.title_key(hit.title) != exact, -round(hit.score, 4), hit.url))
        return hits[:k]

    def search_many(self, corpus: str, language: str, queries: Sequence[str], k: int = 10) -> list[list[Hit]]:
        """One list of hits a query, in order; equal queries are searched once."""
        found = {query: self.search(corpus, language, query, k) for query in dict.fromkeys(queries)}
        return [found[query] for query in queries]

    def page(self, corpus: str, language: str, url_or_title: str) -> Page | None:
        """The page with this URL in this corpus, or with this title (``analysis.title_key``) in corpus and language.

        Where several pages share a title, the one with the smallest URL.
        """
        if "://" in url_or_title:
            found = [page for page in self._term("key", url_or_title.strip()) if page.corpus == corpus]
        else:
            found = self._term("name", _name(corpus, language, url_or_title))
        return min(found, key=lambda page: page.url, default=None)

    def page_at(self, url: str) -> Page | None:
        """The page with this URL in any corpus: what a web server needs."""
        return next(iter(self._term("key", url)), None)

    def pages(self, corpus: str, language: str) -> Iterator[Page]:
        """All pages of a corpus in one language, by URL."""
        return iter(sorted(self._term("scope", _scope(corpus, language), 1_000_000), key=lambda page: page.url))

    def _term(self, field: str, value: str, limit: int = 16) -> list[Page]:
        query = tantivy.Query.term_query(self._index.schema, field, value, "basic")
        limit = min(limit, max(1, self._searcher.num_docs))
        return [self._page(address) for _, address in self._searcher.search(query, limit, False).hits]

    def _page(self, address: tantivy.DocAddress) -> Page:
        document = self._searcher.doc(address)
        return Page(**{name: str(document.get_first(name) or "") for name in _STORED})

    def _candidates(
        self, corpus: str, language: str, wanted: list[str], limit: int
    ) -> list[tuple[float, tantivy.DocAddress]]:
        schema, query = self._index.schema, tantivy.Query
        scope = query.const_score_query(query.term_query(schema, "scope", _scope(corpus, language), "basic"), 0.0)
        words = query.boolean_query(
            [(tantivy.Occur.Should, query.term_query(schema, "body", term, "freq")) for term in dict.fromkeys(wanted)]
        )
        both = query.boolean_query([(tantivy.Occur.Must, scope), (tantivy.Occur.Must, words)])
        hits: list[tuple[float, tantivy.DocAddress]] = self._searcher.search(both, limit, False).hits
        return hits

    def _scored(self, wanted: list[str], score: float, address: tantivy.DocAddress) -> Hit:
        page_url, title, title_terms, rows = self._sentences(address.segment_ord, address.doc)
        best, snippet = 0.0, rows[0][0] if rows else ""
        for sentence, words, pairs in rows:
            value = self._overlap(wanted, words | title_terms, pairs)
            if value > best:
                best, snippet = value, sentence
        return Hit(page_url, title, snippet, float(score) + SENTENCE_WEIGHT * best)

    def _overlap(self, wanted: list[str], words: frozenset[str], pairs: frozenset[tuple[str, str]]) -> float:
        """Weight of the query's terms, and half the weight of its adjacent pairs, that the sentence carries."""
        single = sum(self._weight(term) for term in dict.fromkeys(wanted) if term in words)
        together = (pair for pair in itertools.pairwise(wanted) if pair in pairs)
        return single + sum(self._weight(left) + self._weight(right) for left, right in together) / 2

    def _idf(self, term: str) -> float:
        """BM25's inverse document frequency over the whole snapshot."""
        seen, total = self._searcher.doc_freq("body", term), self._searcher.num_docs
        return math.log(1 + (total - seen + 0.5) / (seen + 0.5))

    def _analysed_sentences(
        self, segment: int, doc: int
    ) -> tuple[str, str, frozenset[str], list[tuple[str, frozenset[str], frozenset[tuple[str, str]]]]]:
        """URL, title, the title's terms, and of each sentence the text, its terms and its adjacent pairs."""
        page = self._page(tantivy.DocAddress(segment, doc))
        rows = []
        for sentence in analysis.sentences(page.text):
            words = analysis.terms(sentence)
            rows.append((sentence, frozenset(words), frozenset(itertools.pairwise(words))))
        return page.url, page.title, frozenset(analysis.terms(page.title)), rows


def _read_manifest(folder: Path) -> IndexInfo:
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"There is no index at {folder}; build one first.", reason="NO_INDEX") from error
    except (OSError, ValueError) as error:
        raise Corrupt(f"The index manifest at {folder} can't be read; build the index again.") from error
    versions = (manifest.get("schema"), manifest.get("analysis"))
    if versions != (SCHEMA_VERSION, analysis.VERSION):
        raise Corrupt(
            f"The index at {folder} has version {versions}, not {(SCHEMA_VERSION, analysis.VERSION)}; rebuild."
        )
    return IndexInfo(manifest["pages"], manifest["corpora"], manifest["build_seconds"])
