"""Writing an index: open or create, add pages, commit with the source's position, publish.

    with IndexWriter.open(root, job="wikipedia-en-20251101") as writer:
        for page, position in pages_from(writer.source):        # {} at the very beginning
            writer.add(page)
            if enough:
                writer.commit({"position": position})           # durable; readers see nothing yet
        writer.publish({"position": position})                  # readers see all of it, in one step

Invariant: after a crash at any point, :meth:`IndexWriter.open` with the same job stands exactly at the last commit,
with that commit's ``source``, no page lost and none twice; readers have the old snapshot until
:meth:`IndexWriter.publish` returns. Memory does not grow with the pages written, only with those since the last commit
(their URLs).
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import tantivy

from sindbad import atomic
from sindbad.errors import Corrupt, InvalidInput, NotFound, Unavailable
from sindbad.retrieval import analysis, snapshots
from sindbad.retrieval.page import Page
from sindbad.retrieval.pagestore import DATA, ROWS, PageStore, PageStoreWriter
from sindbad.retrieval.ranking import Ranking
from sindbad.retrieval.schema import document, open_index
from sindbad.retrieval.snapshots import CURRENT, MANIFEST, UNFINISHED, WORK, WriterLock

SCHEMA_VERSION: Final = 3
CHECKPOINT_PAGES: Final = 100_000
"""Pages between the commits of :func:`build`; bounds the URLs in memory (some 15 MB)."""
_HEAP_BYTES: Final = 64_000_000
_META: Final = "meta.json"
_LINK_ATTEMPTS: Final = 20


class Duplicates(StrEnum):
    """What :meth:`IndexWriter.add` does with a page whose URL the index has."""

    ERROR = "error"
    KEEP = "keep"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What a snapshot holds. ``corpora`` maps a corpus to its pages a language; ``source`` is the writer's own note.

    ``job`` names the build that wrote it last (:meth:`IndexWriter.open`).
    """

    pages: int
    corpora: dict[str, dict[str, int]]
    build_seconds: float
    source: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""
    arabic: analysis.Profile = analysis.Profile.EVAL
    ranking: Ranking = Ranking.PASSAGES


@dataclass(frozen=True, slots=True)
class Manifest:
    """``sindbad-index.json``. ``records`` and ``store_bytes`` say how much of the page store is the snapshot's."""

    info: IndexInfo
    records: int
    store_bytes: int
    base: str = ""
    """Snapshot that an append started from."""

    def write(self, folder: Path) -> None:
        """Write it into ``folder``, synced."""
        info = self.info
        value = {
            "schema": SCHEMA_VERSION, "analysis": analysis.VERSION, "arabic": info.arabic.value,
            "ranking": info.ranking.value, "pages": info.pages,
            "corpora": info.corpora, "build_seconds": round(info.build_seconds, 3), "records": self.records,
            "store_bytes": self.store_bytes, "job": info.job, "base": self.base, "source": dict(info.source),
        }  # fmt: skip
        atomic.write_json(folder / MANIFEST, value)


def read_manifest(folder: Path) -> Manifest:
    """Raises NotFound when there is none, Corrupt when it is damaged or of another version."""
    try:
        value = json.loads((folder / MANIFEST).read_text("utf-8"))
        versions = (value.get("schema"), value.get("analysis"))
    except FileNotFoundError as error:
        raise snapshots.no_index(folder) from error
    except (OSError, ValueError, AttributeError) as error:
        raise Corrupt(f"The index manifest at {folder} can't be read; build the index again.") from error
    ours = (SCHEMA_VERSION, analysis.VERSION)
    if versions != ours:
        raise Corrupt(f"The index at {folder} has version {versions}, not {ours}; rebuild.")
    try:
        profile, ranking = analysis.Profile(value["arabic"]), Ranking(value["ranking"])
        seconds, source, job = value["build_seconds"], value["source"], value["job"]
        info = IndexInfo(value["pages"], value["corpora"], seconds, source, job, profile, ranking)
        return Manifest(info, value["records"], value["store_bytes"], value["base"])
    except (KeyError, ValueError) as error:
        raise Corrupt(f"The index manifest at {folder} lacks {error}; build the index again.") from error


class IndexWriter:
    """The one writer of an index; a context manager. Leaving it without :meth:`publish` keeps the last commit."""

    def __init__(self, root: Path, lock: WriterLock, start: Manifest, from_snapshot: Path | None) -> None:
        """Use :meth:`open`."""
        self._root, self._lock, self._work = root, lock, root / WORK
        self._start, self._from = start, from_snapshot
        self._info = start.info
        self._corpora = {corpus: dict(languages) for corpus, languages in start.info.corpora.items()}
        self._pages = start.info.pages
        self._since = time.monotonic()
        self._pending: dict[str, tuple[str, str]] = {}
        self._tantivy: Any = None
        self._committed: PageStore | None = None
        self._committed_records, self._committed_bytes = start.records, start.store_bytes
        self._clear_work()
        self._index = open_index(self._work, create=from_snapshot is None)
        self._searcher = self._index.searcher()
        self._store = PageStoreWriter(self._work, start.records, start.store_bytes)

    @classmethod
    def open(
        cls,
        root: str | Path,
        *,
        job: str,
        append: bool = False,
        arabic: analysis.Profile | None = None,
        ranking: Ranking | None = None,
    ) -> IndexWriter:
        """Start writing, or go on where a killed writer of the same ``job`` made its last commit.

        Args:
            job: names what is being built from what (source file, settings). An unfinished build of another job, or
                on top of a snapshot that is no longer the current one, is discarded.
            append: add to the current snapshot instead of beginning with nothing. Costs what is added.
            arabic: how Arabic words become terms; default: EVAL, and the snapshot's own when appending.
            ranking: how the index ranks; default: PASSAGES, and the snapshot's own when appending.

        Raises:
            Unavailable: another writer is at work.
            Corrupt: to append to a damaged index, or to one of another version.
            InvalidInput: to append with another ``arabic`` or ``ranking``.
        """
        folder = Path(root)
        lock = WriterLock(folder)
        try:
            return cls(folder, lock, *_beginning(folder, job, append, arabic, ranking))
        except BaseException:
            lock.release()
            raise

    @property
    def source(self) -> Mapping[str, Any]:
        """What the last commit was given (of the snapshot, when appending); {} at the very beginning."""
        return self._info.source

    @property
    def pages(self) -> int:
        """Pages in the index, those since the last commit included."""
        return self._pages

    @property
    def uncommitted(self) -> int:
        """Pages since the last commit: what a crash now would make the next writer add again."""
        return len(self._pending)

    def add(self, page: Page, *, duplicates: Duplicates = Duplicates.ERROR) -> bool:
        """Add a page; returns whether it was added. Raises InvalidInput for a URL that the index has (see above)."""
        known = page.url in self._pending or (self._info.pages > 0 and self._searcher.doc_freq("key", page.url) > 0)
        if known and duplicates is Duplicates.ERROR:
            raise InvalidInput(f"Two pages share the URL {page.url}; give each page its own.", reason="DUPLICATE_URL")
        if known and duplicates is Duplicates.KEEP:
            return False
        if known:
            self._remove(page.url)
        clean = _encodable(page)
        analysed = analysis.page(clean.title, clean.text, self._info.arabic)
        number = self._store.append(clean, analysed)
        self._writer.add_document(document(clean, analysed, number))
        self._count(clean)
        self._pending[page.url] = (clean.corpus, clean.language)
        return True

    def commit(self, source: Mapping[str, Any] | None = None) -> None:
        """Make everything added durable, with ``source`` (JSON; default: as before). Readers see nothing of it yet."""
        self._checkpoint(source, UNFINISHED)

    def publish(self, source: Mapping[str, Any] | None = None) -> IndexInfo:
        """Commit, and let readers see it: they keep what they have open and find this from now on."""
        self._stop_tantivy(commit=True)
        self._checkpoint(source, CURRENT)
        snapshots.unpoint(self._root, UNFINISHED)
        snapshots.remove_unused(self._root, {self._from})
        return self._info

    def abandon(self) -> None:
        """Give up what was not published, commits included; readers keep their snapshot. Ends the writer."""
        snapshots.unpoint(self._root, UNFINISHED)
        snapshots.remove_unused(self._root, set())
        self.close()

    def close(self) -> None:
        """End the writer; what was committed but not published waits for the next one of this job. Idempotent."""
        self._stop_tantivy(commit=False)
        self._store.close()
        shutil.rmtree(self._work, ignore_errors=True)
        self._lock.release()

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- one commit
    def _checkpoint(self, source: Mapping[str, Any] | None, pointer: str) -> None:
        if self._tantivy is not None:
            self._tantivy.commit()
        self._store.sync()
        self._info = self._current_info(self._info.source if source is None else source)
        folder = snapshots.new_snapshot(self._root)
        _link_segments(self._work, folder)
        for name in (DATA, ROWS):
            snapshots.link(self._work / name, folder / name)
        Manifest(self._info, self._store.records, self._store.size, self._start.base).write(folder)
        snapshots.point(self._root, pointer, folder)
        snapshots.remove_unused(self._root, {self._from})
        self._index.reload()
        self._searcher = self._index.searcher()
        self._committed = None
        self._committed_records, self._committed_bytes = self._store.records, self._store.size
        self._pending.clear()

    def _current_info(self, source: Mapping[str, Any]) -> IndexInfo:
        corpora = {corpus: dict(languages) for corpus, languages in self._corpora.items()}
        seconds = self._start.info.build_seconds + time.monotonic() - self._since
        return replace(self._info, pages=self._pages, corpora=corpora, build_seconds=seconds, source=dict(source))

    # ---- Tantivy
    def _clear_work(self) -> None:
        """The working folder as of the last commit: links to its files, and whatever came after is cut off."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        if self._from is not None:
            _link_segments(self._from, self._work)
            for name in (DATA, ROWS):
                snapshots.link(self._from / name, self._work / name)

    @property
    def _writer(self) -> Any:
        if self._tantivy is None:
            self._tantivy = self._index.writer(_HEAP_BYTES, 1)  # one thread: documents stay in the caller's order
        return self._tantivy

    def _stop_tantivy(self, *, commit: bool) -> None:
        """End the threads that write segments and merge them, or they go on in a folder that is being removed."""
        writer, self._tantivy = self._tantivy, None
        if writer is None:
            return
        if commit:
            writer.commit()
        else:
            writer.rollback()
        writer.wait_merging_threads()

    def _remove(self, url: str) -> None:
        corpus, language = self._pending.get(url) or self._committed_scope(url)
        self._writer.delete_documents_by_term("key", url)
        self._corpora[corpus][language] -= 1
        self._pages -= 1

    def _committed_scope(self, url: str) -> tuple[str, str]:
        query = tantivy.Query.term_query(self._index.schema, "key", url, "basic")
        (_, address), *_ = self._searcher.search(query, 1, False).hits
        (number,) = self._searcher.fast_field_values("number", [address])
        if self._committed is None:
            self._committed = PageStore(self._work, self._committed_records, self._committed_bytes)
        page = self._committed.page(int(number or 0))
        return page.corpus, page.language

    def _count(self, page: Page) -> None:
        languages = self._corpora.setdefault(page.corpus, {})
        languages[page.language] = languages.get(page.language, 0) + 1
        self._pages += 1


def _beginning(
    root: Path, job: str, append: bool, arabic: analysis.Profile | None, ranking: Ranking | None
) -> tuple[Manifest, Path | None]:
    """Where a writer starts: the unfinished build if it is this one, else the current snapshot or nothing."""
    here = snapshots.current(root) if append else None
    base = here.name if here else ""
    found = _unfinished(root)
    if found is not None and (found[0].info.job, found[0].base) == (job, base):
        return found
    snapshots.unpoint(root, UNFINISHED)
    snapshots.remove_unused(root, {here})
    if here is None:
        profile, ranks = arabic or analysis.Profile.EVAL, ranking or Ranking.PASSAGES
        return Manifest(IndexInfo(0, {}, 0.0, job=job, arabic=profile, ranking=ranks), 0, 0), None
    manifest = read_manifest(here)
    info = manifest.info
    if arabic not in (None, info.arabic) or ranking not in (None, info.ranking):
        raise InvalidInput(
            f"The index at {root} has the Arabic profile {info.arabic.value} and ranks {info.ranking.value}; keep them."
        )
    return replace(manifest, info=replace(info, job=job), base=base), here


def _unfinished(root: Path) -> tuple[Manifest, Path] | None:
    folder = snapshots.pointed(root, UNFINISHED)
    try:
        return (read_manifest(folder), folder) if folder else None
    except (Corrupt, NotFound):
        return None  # of another version: begin anew


def _link_segments(source: Path, target: Path) -> None:
    """Link the files of the segments that ``meta.json`` names.

    Tantivy merges segments meanwhile and removes those that it has merged, but only after it has replaced the file: if
    that is as it was, so were they.
    """
    for _ in range(_LINK_ATTEMPTS):
        meta = (source / _META).read_bytes()
        names = {segment["segment_id"].replace("-", "") for segment in json.loads(meta)["segments"]}
        try:
            for path in source.iterdir():
                if path.name.split(".")[0] in names:
                    snapshots.link(path, target / path.name)
        except FileNotFoundError:
            continue
        if (source / _META).read_bytes() == meta:
            atomic.write_bytes(target / _META, meta)
            return
    raise Unavailable(f"The segments at {source} would not hold still; try again.")


def _encodable(page: Page) -> Page:
    """Lone surrogates, which no UTF-8 file can hold, become question marks."""
    try:
        for text in (page.url, page.title, page.text, page.language, page.corpus):
            text.encode()
    except UnicodeEncodeError:
        texts = (page.url, page.title, page.text, page.language, page.corpus)
        return Page(*(text.encode("utf-8", "replace").decode() for text in texts))
    return page


def build(
    pages: Iterable[Page],
    target: str | Path,
    *,
    progress: Callable[[int], None] | None = None,
    every: int = 1000,
    ranking: Ranking = Ranking.FACTS,
) -> IndexInfo:
    """Write an index of ``pages`` to ``target``; readers of what was there see the new one in one step at the end.

    For what fits in one sitting, such as the demo's encyclopedia; ``sindbad index build`` takes corpora of any size.

    Args:
        pages: streamed once; two pages with one URL are an error (InvalidInput), and the old index stays.
        progress: called with the number of pages so far, every ``every`` pages and at the end.
    """
    say = progress or (lambda _: None)
    with IndexWriter.open(target, job=f"build-{uuid.uuid4().hex}", ranking=ranking) as writer:
        try:
            for page in pages:
                writer.add(page)
                if writer.pages % every == 0:
                    say(writer.pages)
                if writer.uncommitted >= CHECKPOINT_PAGES:
                    writer.commit()
            info = writer.publish()
        except BaseException:
            writer.abandon()
            raise
    say(info.pages)
    return info
