"""From an importer to a graph folder with its pages: stage, sort, word, write. One pass, memory bounded.

The streams of :class:`~sindbad.graph.importers.staging.Sorted` run side by side, entity by entity, so that no more than
one entity's facts are held; a page, its sentences and the provenance that quotes them are made together.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sindbad import atomic
from sindbad.errors import InvalidInput
from sindbad.graph.importers.compose import Composer, Outgoing, Subject, unsourced
from sindbad.graph.importers.facts import Importer
from sindbad.graph.importers.staging import Progress, Row, Sorted, Staging
from sindbad.graph.importers.wording import LANGUAGES
from sindbad.graph.knowledge import Attribute, Edge, Entity, RelationInfo
from sindbad.graph.store_format import MANIFEST, Manifest, TableFile
from sindbad.graph.store_write import StoreWriter

PAGES: Final = "pages.jsonl"
_NOTHING: Final = "NOTHING_USABLE"
_Take = Callable[[int], list[Row]]


def import_graph(
    importer: Importer,
    out: str | Path,
    *,
    memory_mb: int = 512,
    pages: bool = True,
    progress: Progress = lambda part, facts: None,
) -> Manifest:
    """Import into the folder ``out``. Killed, the same call goes on where the staging stands.

    Args:
        memory_mb: above this, sorting and joining spill to disk.
        pages: write the encyclopedia (``pages.jsonl``), too.
        progress: told the part's name and the number of facts staged.

    Raises:
        InvalidInput: ``out`` is something else than an earlier graph, nothing in the sources could be used, or
            ``memory_mb`` does not suffice.
        Unavailable: the disk is full. Corrupt: a source or what was staged is damaged.
    """
    target = Path(out)
    atomic.check_replaceable(target, MANIFEST)
    staging = Staging(target.with_name(f".{target.name}.staging"), importer)
    staging.fill(progress)
    progress("sorting", staging.facts)
    ordered = staging.sorted(memory_mb)
    try:
        manifest = _Assembly(importer, staging, ordered, target, pages).write()
    except InvalidInput as error:
        if error.reason == _NOTHING:  # to go on with
            shutil.rmtree(staging.folder, ignore_errors=True)
        raise
    finally:
        ordered.close()
    shutil.rmtree(staging.folder, ignore_errors=True)
    return manifest


class _Assembly:
    def __init__(self, importer: Importer, staging: Staging, ordered: Sorted, target: Path, pages: bool) -> None:
        self._importer, self._staging, self._ordered = importer, staging, ordered
        self._composer = Composer(importer.corpus, importer.wording)
        self._target, self._pages = target, pages
        self._seen = _Seen()

    def write(self) -> Manifest:
        """All tables and pages; the folder appears when it is whole."""
        relations = [RelationInfo(relation) for relation in self._ordered.relations()]
        with StoreWriter(self._target, self._importer.corpus, relations) as writer:
            with _Pages(writer.folder / PAGES if self._pages else None) as pages:
                for name, payload, links, values in self._entities():
                    self._entity(writer, pages, name, payload, links, values)
            if not self._seen.types:
                raise InvalidInput(f"nothing in the sources could be used: {self._why()}", reason=_NOTHING)
            return writer.finish(
                relations=[*self._seen.relations(self._importer), *self._seen.extras(self._importer)],
                made_by={"import": self._importer.kind, **self._importer.job()},
                licences=self._importer.licences,
                rejected=self._staging.rejected,
                examples=self._staging.examples,
                pages=pages.told,
            )

    def _why(self) -> str:
        reasons = [f"{count:,} × {reason}" for reason, count in self._staging.rejected.items()]
        return "; ".join([*reasons, *self._staging.examples[:2]]) or "they are empty"

    def _entities(self) -> Iterator[tuple[Row, list[Row], list[Row], list[Row]]]:
        """Every entity with what the other streams have of its number."""
        payload, links, values = (
            _taker(rows) for rows in (self._ordered.payloads(), self._ordered.links(), self._ordered.values())
        )
        for name in self._ordered.names():
            yield name, payload(name[0]), links(name[0]), values(name[0])

    def _entity(
        self, writer: StoreWriter, pages: _Pages, name: Row, told: list[Row], links: list[Row], values: list[Row]
    ) -> None:
        node, entity_id, entity_type, *words = name
        names = {code: text for code, text in zip(LANGUAGES, words, strict=True) if text}
        subject = Subject(entity_id, entity_type, names, _prose(told))
        attributes = [_attribute(row) for row in values]
        outgoing = [
            Outgoing(row[1], {"en": row[5], "ar": row[6]} if row[6] else {"en": row[5]}, row[7]) for row in links
        ]
        made = self._composer.compose(subject, attributes, outgoing)
        pages.add(made.pages)
        features = {"degree_out": len(links), "prose_chars": sum(map(len, subject.prose.values())), **_features(told)}
        aliases = _aliases(told, names)
        writer.node(Entity(entity_id, entity_type, names, aliases, made.introduction, features))
        for row, sources in zip(links, made.links, strict=True):
            if sources:
                writer.edge(Edge(entity_id, row[1], row[4], sources), node, row[2])
        for attribute, found in zip(attributes, made.values, strict=True):
            if found:
                sourced = Attribute(attribute.name, attribute.value, attribute.unit, attribute.kind, found)
                writer.attribute(entity_id, node, sourced)
        self._seen.entity(entity_type, links, attributes)
        if lost := unsourced([*made.links, *made.values]):
            self._staging.reject("a fact whose ends share no language", entity_id, lost)


def _taker(rows: Iterator[Row]) -> _Take:
    """Hands out the rows of one number after the other; numbers rise, some have none."""
    waiting: list[Row | None] = [next(rows, None)]

    def take(node: int) -> list[Row]:
        found: list[Row] = []
        while (row := waiting[0]) is not None and row[0] == node:
            found.append(row)
            waiting[0] = next(rows, None)
        return found

    return take


def _attribute(row: Row) -> Attribute:
    _, name, text, unit, kind = row
    value: Any = text
    if kind == "number":
        value = int(text) if text.lstrip("-").isdigit() else float(text)
    return Attribute(name, value, unit, kind)


def _prose(told: Sequence[Row]) -> dict[str, str]:
    """The prose of every part, in their order, what is repeated once."""
    texts = {code: dict.fromkeys(row[5 + at] for row in told if row[5 + at]) for at, code in enumerate(LANGUAGES)}
    return {code: "\n".join(found) for code, found in texts.items() if found}


def _features(told: Sequence[Row]) -> dict[str, Any]:
    features: dict[str, Any] = {}
    for row in reversed(told):
        if row[4] != "{}":
            features.update(json.loads(row[4]))
    return features


def _aliases(told: Sequence[Row], names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Other names that parts gave, and the bare name where brackets had to be added."""
    found: dict[str, dict[str, None]] = {}
    for row in told:
        given = json.loads(row[3]) if row[3] != "{}" else {}
        for at, code in enumerate(LANGUAGES):
            for text in (row[1 + at], *given.get(code, ())):
                if text and text != names.get(code) and code in names:
                    found.setdefault(code, {})[text] = None
    return {code: tuple(texts) for code, texts in found.items()}


@dataclass(slots=True)
class _Seen:
    """What the relations turned out to be: functional or not, and between which types."""

    types: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    subject_types: dict[str, Counter[str]] = field(default_factory=dict)
    targets: dict[str, Counter[str]] = field(default_factory=dict)
    fans: set[str] = field(default_factory=set)

    def entity(self, entity_type: str, links: Sequence[Row], attributes: Sequence[Attribute]) -> None:
        self.types[entity_type] += 1
        for attribute in attributes:
            self.attributes[attribute.name] += 1
        last = None
        for row in links:  # by relation
            relation = row[1]
            if relation not in self.targets:
                self.targets[relation], self.subject_types[relation] = Counter(), Counter()
            self.targets[relation][row[8]] += 1
            self.subject_types[relation][entity_type] += 1
            if relation == last:
                self.fans.add(relation)
            last = relation

    def relations(self, importer: Importer) -> list[RelationInfo]:
        found = []
        for name in sorted(self.subject_types):
            words = importer.wording.relation(name)
            ends = [_prevailing(counts[name]) for counts in (self.subject_types, self.targets)]
            found.append(RelationInfo(name, words.labels, words.phrases, name not in self.fans, ends[0], ends[1]))
        return found

    def extras(self, importer: Importer) -> list[RelationInfo]:
        return importer.wording.infos(self.types, self.attributes)


def _prevailing(counts: Counter[str]) -> str:
    """The type of more than half; "" where none prevails."""
    kind, most = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return kind if 2 * most > counts.total() else ""


class _Pages:
    """The encyclopedia as ``sindbad index build`` reads it, hashed while it is written."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("wb") if path else None
        self._digest = hashlib.sha256()
        self._rows = self._bytes = 0

    def __enter__(self) -> _Pages:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, pages: Sequence[Any]) -> None:
        """One page a line."""
        if self._file is None:
            return
        for page in pages:
            record = {
                "url": page.url, "title": page.title, "text": page.text, "language": page.language,
                "corpus": page.corpus,
            }  # fmt: skip
            line = (json.dumps(record, ensure_ascii=False) + "\n").encode()
            self._file.write(line)
            self._digest.update(line)
            self._rows, self._bytes = self._rows + 1, self._bytes + len(line)

    @property
    def told(self) -> TableFile | None:
        """For the manifest; None where no pages were asked for."""
        return TableFile(rows=self._rows, bytes=self._bytes, sha256=self._digest.hexdigest()) if self._file else None
