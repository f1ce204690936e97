"""Searching an index: embedded Tantivy, memory-mapped, one writer (:mod:`sindbad.retrieval.writer`), many readers.

Invariant: a reader sees one snapshot, complete, for as long as it is open. A snapshot gives equal answers to equal
queries; ties are broken by URL.

Ranking is two-staged: BM25 over all terms of title and text finds candidates, then each candidate's best sentence
counts as well (:mod:`sindbad.retrieval.ranking`), and is the snippet.

What makes it quick: candidates are scored on terms that were analysed when the page was written, titles and snippets
are read for the first k only, and a scope that holds most of the index is searched without a filter, which lets Tantivy
skip blocks of postings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import numpy as np
import tantivy

from sindbad.errors import Corrupt, NotFound
from sindbad.retrieval import analysis, schema, snapshots
from sindbad.retrieval.page import Hit, Page
from sindbad.retrieval.pagestore import PageStore, term_id
from sindbad.retrieval.ranking import QueryTerms, Ranking, best
from sindbad.retrieval.snapshots import MANIFEST
from sindbad.retrieval.snippets import snippet
from sindbad.retrieval.writer import Duplicates, IndexInfo, IndexWriter, Manifest, build, read_manifest

__all__ = ["MANIFEST", "Duplicates", "IndexInfo", "IndexWriter", "PageIndex", "Ranking", "build"]

MAX_QUERY_TERMS: Final = 64
_UNFILTERED_SHARE: Final = 0.3
"""A scope with at least this share of the pages is first searched without the filter."""
_WHOLE_SHARE: Final = 0.9
"""A scope with at least this share of the pages is weighed like the whole index."""
_OPEN_ATTEMPTS: Final = 5
Weight: TypeAlias = Callable[[str], float]
"""Inverse document frequency of a term."""
Candidates: TypeAlias = tuple[list[float], list[int]]
"""BM25 scores and record numbers."""


Opened: TypeAlias = tuple[Manifest, tantivy.Index, TemporaryDirectory[str] | None, PageStore]
"""A snapshot; the folder lives as long as the index, see :func:`sindbad.retrieval.schema.open_to_read`."""


@dataclass(frozen=True, slots=True)
class Found:
    """What :meth:`PageIndex.find` leaves for :meth:`PageIndex.rank`."""

    query: str
    wanted: list[str]
    weight: Weight
    scores: list[float]
    numbers: list[int]
    k: int


class PageIndex:
    """A snapshot, open for reading. Safe to use from several threads; answers never change while it is open."""

    def __init__(self, folder: str | Path) -> None:
        """Raises NotFound when there is no index, Corrupt when it is damaged or of another version."""
        self.folder = Path(folder)
        self.snapshot, manifest, self._index, self._links, self._store = _open_current(self.folder)
        self.info = manifest.info
        self._searcher = self._index.searcher()
        self._schema = self._index.schema
        self._weight: Weight = lru_cache(maxsize=50_000)(self._idf)
        self._scope_weight = lru_cache(maxsize=200_000)(self._scope_idf)

    def search(self, corpus: str, language: str, query: str, k: int = 10) -> list[Hit]:
        """At most ``k`` hits within one corpus and language, best first. A query without terms finds nothing.

        ``language`` "mul" searches all languages of the corpus.
        """
        return self.rank(self.find(corpus, language, query, k))

    def find(self, corpus: str, language: str, query: str, k: int) -> Found:
        """The first stage of :meth:`search`: nearly all of it in Tantivy, where other Python threads can run."""
        wanted = analysis.terms(query, self.info.arabic)[:MAX_QUERY_TERMS]
        weight = self._weights(corpus, language)
        nothing = not wanted or k < 1
        scores, numbers = ([], []) if nothing else self._candidates(corpus, language, wanted, weight, max(32, 4 * k))
        return Found(query, wanted, weight, scores, numbers, k)

    def rank(self, found: Found) -> list[Hit]:
        """The second stage: a fraction of a millisecond of Python."""
        numbers = found.numbers
        if not numbers:
            return []
        pages, title = self._store.candidates(numbers), term_id(analysis.title_key(found.query))
        url, heaviness = (lambda row: self._store.url(numbers[row])), self.info.ranking.sentence_weight
        terms = QueryTerms(found.wanted, found.weight)
        rows = best(terms, found.scores, pages, pages.title_ids == title, url, found.k, heaviness)
        return [self._hit(found, numbers[row], sentence, score) for row, sentence, score in rows]

    def _hit(self, found: Found, number: int, sentence: int, score: float) -> Hit:
        url, title, text = self._store.shown(number, sentence)
        return Hit(url, title, snippet(text, found.wanted, self.info.arabic), score)

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
            found = self._term("name", schema.name(corpus, language, analysis.title_key(url_or_title)))
        return min(found, key=lambda page: page.url, default=None)

    def page_at(self, url: str) -> Page | None:
        """The page with this URL in any corpus: what a web server needs."""
        return next(iter(self._term("key", url)), None)

    def pages(self, corpus: str, language: str) -> Iterator[Page]:
        """All pages of a corpus in one language, by URL; one page in memory at a time."""
        numbers = self._numbers("scope", schema.scope(corpus, language), self._searcher.num_docs)
        for number in sorted(numbers, key=self._store.url):
            yield self._store.page(number)

    def _term(self, field: str, value: str, limit: int = 16) -> list[Page]:
        return [self._store.page(number) for number in self._numbers(field, value, limit)]

    def _numbers(self, field: str, value: str, limit: int) -> list[int]:
        query = tantivy.Query.term_query(self._schema, field, value, "basic")
        return self._numbered(self._searcher.search(query, max(1, limit), False).hits)

    def _numbered(self, hits: Sequence[tuple[Any, tantivy.DocAddress]]) -> list[int]:
        addresses = [address for _, address in hits]
        numbers: Any = self._searcher.fast_field_values("number", addresses)
        return list(numbers)

    # ---- first stage: BM25
    def _candidates(self, corpus: str, language: str, wanted: list[str], weight: Weight, k: int) -> Candidates:
        """More than ``k`` pages of the scope, if so many match, by BM25 scores and record numbers, best first."""
        terms, limit = self.info.ranking.telling(wanted, weight, self.info.pages), max(32, 4 * k)
        found = self._with_any(corpus, language, terms, weight, limit)
        if len(found[1]) < k and len(terms) < len(wanted):
            return self._with_any(corpus, language, wanted, weight, limit)
        return found

    def _with_any(self, corpus: str, language: str, terms: list[str], weight: Weight, limit: int) -> Candidates:
        words = tantivy.Query.boolean_query([(tantivy.Occur.Should, self._term_query(t, weight)) for t in terms])
        return self._unfiltered(corpus, language, words, limit) or self._filtered(corpus, language, words, limit)

    def _term_query(self, term: str, weight: Weight) -> tantivy.Query:
        """Tantivy weighs a term by the whole index; where ``weight`` is another one, the query makes up for it."""
        query = tantivy.Query.term_query(self._schema, "body", term, "freq")
        if weight is self._weight or not (usual := self._weight(term)):
            return query
        return tantivy.Query.boost_query(query, weight(term) / usual)

    def _unfiltered(self, corpus: str, language: str, words: tantivy.Query, limit: int) -> Candidates | None:
        """As :meth:`_filtered`, by searching all scopes; None where that may miss one, or does not pay."""
        scopes = self._scopes(corpus, language)
        share = sum(scopes.values()) / max(1, self.info.pages)
        if share < _UNFILTERED_SHARE:
            return None
        enough = limit if share == 1 else math.ceil(1.25 * limit / share) + 8
        scores, numbers = self._best(words, enough)
        if share < 1:
            inside = np.isin(self._store.scope_ids(numbers), list(scopes))
            if inside.sum() < limit and len(numbers) == enough:
                return None
            kept = np.flatnonzero(inside)[:limit].tolist()
            return [scores[i] for i in kept], [numbers[i] for i in kept]
        return scores, numbers

    def _filtered(self, corpus: str, language: str, words: tantivy.Query, limit: int) -> Candidates:
        query = tantivy.Query
        scope = query.term_query(self._schema, "scope", schema.scope(corpus, language), "basic")
        inside = query.const_score_query(scope, 0.0)
        return self._best(query.boolean_query([(tantivy.Occur.Must, inside), (tantivy.Occur.Must, words)]), limit)

    def _best(self, query: tantivy.Query, limit: int) -> Candidates:
        hits: Any = self._searcher.search(query, limit, False).hits
        return [score for score, _ in hits], self._numbered(hits)

    def _scopes(self, corpus: str, language: str) -> dict[int, int]:
        """Ids of the scopes that a search in ``language`` sees, with their pages."""
        languages = self.info.corpora.get(corpus, {})
        seen = languages if language == schema.ANY_LANGUAGE else {language: languages.get(language, 0)}
        return {term_id(schema.scope(corpus, code)): pages for code, pages in seen.items()}

    # ---- how rare a term is
    def _weights(self, corpus: str, language: str) -> Weight:
        """Weights of terms for a scope: its own where the index ranks so and the scope is but a part of it."""
        pages = sum(self._scopes(corpus, language).values())
        if not self.info.ranking.scope_statistics or not 0 < pages < _WHOLE_SHARE * self.info.pages:
            return self._weight
        return lambda term: self._scope_weight(corpus, language, term)

    def _idf(self, term: str) -> float:
        """BM25's inverse document frequency over the whole snapshot."""
        return _inverse(self._searcher.doc_freq("body", term), self._searcher.num_docs)

    def _scope_idf(self, corpus: str, language: str, term: str) -> float:
        """The same over the pages of a scope."""
        query = tantivy.Query
        inside = query.term_query(self._schema, "scope", schema.scope(corpus, language), "basic")
        both = query.boolean_query(
            [
                (tantivy.Occur.Must, query.term_query(self._schema, "body", term, "freq")),
                (tantivy.Occur.Must, query.const_score_query(inside, 0.0)),
            ]
        )
        found: Any = self._searcher.search(both, 1, True)
        seen: int = found.count
        return _inverse(seen, sum(self._scopes(corpus, language).values()))


def _inverse(seen: int, total: int) -> float:
    return math.log(1 + (total - seen + 0.5) / (seen + 0.5))


def _open_current(root: Path) -> tuple[Path, *Opened]:
    """Open the current snapshot; again, if it was replaced and removed between the pointer and the files."""
    for attempt in range(_OPEN_ATTEMPTS):
        folder = snapshots.current(root)
        if folder is None:
            raise snapshots.no_index(root)
        try:
            return folder, *_open_snapshot(folder)
        except (Corrupt, NotFound):
            if attempt == _OPEN_ATTEMPTS - 1 or snapshots.current(root) == folder:
                raise
    raise AssertionError("the loop returns or raises")


def _open_snapshot(folder: Path) -> Opened:
    manifest = read_manifest(folder)
    try:
        store = PageStore(folder, manifest.records, manifest.store_bytes)
        return manifest, *schema.open_to_read(folder), store
    except Exception as error:
        raise Corrupt(f"The index at {folder} can't be opened ({error}); build it again.") from error
