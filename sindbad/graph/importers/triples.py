"""A user's own graph: a table of triples and, if there is one, a file of entities. The way in for millions of edges.

    triples.tsv[.gz|.bz2]    subject <tab> relation <tab> object, no header; further columns are refused
    entities.jsonl[.gz|.bz2] {"id", "type", "name" or "names": {"en", "ar"}, "aliases", "text" or "texts", "attributes"}
    relations.tsv            relation, label_en, phrase_en, label_ar, phrase_ar (with this header; Arabic may lack)

``attributes`` is {name: number or text, or {"value", "unit", "kind"}}. Without a file of entities they are named by
their ids; with one, triples with an end that it does not have are counted and left out. A relation without a line in
``relations.tsv`` is worded from its name, in English.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from sindbad.errors import InvalidInput
from sindbad.graph.importers.facts import Fact, Link, Node, Part, Unusable, Value
from sindbad.graph.importers.rows import Record, identities, jsonl, tsv
from sindbad.graph.importers.wording import LANGUAGES, Wording, Words
from sindbad.graph.knowledge import AttributeKind
from sindbad.graph.store_format import Licence

_MAX_ID_CHARS = 400
_WORDING = ("label_en", "phrase_en", "label_ar", "phrase_ar")


class Triples:
    """``licence`` and ``source`` are written into the graph; unknown ones are written as unknown."""

    kind = "triples"

    def __init__(
        self,
        triples: Path,
        entities: Path | None = None,
        relations: Path | None = None,
        *,
        corpus: str = "",
        source: str = "",
        licence: str = "unknown",
        share_alike: bool = False,
    ) -> None:
        self._triples, self._entities, self._relations = triples, entities, relations
        self.corpus = corpus or triples.name.split(".")[0]
        self.wording = _wording(relations) if relations is not None else Wording()
        self.licences = (Licence(source=source or triples.name, licence=licence, share_alike=share_alike),)

    def job(self) -> Mapping[str, Any]:
        """Files with their digests."""
        return {"files": identities(*filter(None, (self._triples, self._entities, self._relations)))}

    def parts(self) -> list[Part]:
        """Entities first: what they say of a node counts."""
        entities = [("entities", self._nodes)] if self._entities is not None else []
        return [*entities, ("triples", self._links)]

    @property
    def implied(self) -> bool:
        """Whether the ends of triples are entities without being told so."""
        return self._entities is None

    def _nodes(self) -> Iterator[Fact]:
        assert self._entities is not None
        for row in jsonl(self._entities, "id"):
            if isinstance(row, Unusable):
                yield row
                continue
            if not isinstance(row["id"], str | int):
                yield Unusable(f"{self._entities.name}: an id that is no text", f"{row['id']!r}"[:120])
                continue
            told = _Told(row)
            yield Node(told.own, told.text("type"), told.texts("name", "names"), told.aliases(),
                       prose=told.texts("text", "texts"))  # fmt: skip
            yield from told.slips
            yield from _values(told.own, row.get("attributes"))

    def _links(self) -> Iterator[Fact]:
        for row in tsv(self._triples, ("subject", "relation", "object")):
            if isinstance(row, Unusable):
                yield row
            elif not all(0 < len(value) <= _MAX_ID_CHARS for value in row.values()):
                yield Unusable(f"{self._triples.name}: an empty or endless cell", str(list(row.values()))[:120])
            else:
                yield Link(row["subject"], row["relation"], row["object"])


def _wording(path: Path) -> Wording:
    """What ``relations.tsv`` says. Raises InvalidInput: it is written by hand, so a slip is told, not passed over."""
    words: dict[str, Words] = {}
    for row in tsv(path):
        if isinstance(row, Unusable):
            raise InvalidInput(f"{row.reason} ({row.example})")
        if not {"relation", "label_en", "phrase_en"} <= row.keys() <= {"relation", *_WORDING}:
            raise InvalidInput(
                f"{path} needs the header relation, {', '.join(_WORDING)}, tabs between (the Arabic ones may lack); it "
                f"begins with {', '.join(row)[:80]!r}"
            )
        words[row["relation"]] = Words(*(row.get(key, "") for key in _WORDING))
    if not words:
        raise InvalidInput(f"{path} words no relation below its header")
    return Wording(words)


class _Told:
    """What a line says of an entity. What it says in another form than it should is passed over, and in ``slips``."""

    def __init__(self, row: Record) -> None:
        self.own = str(row["id"])
        self.slips: list[Unusable] = []
        self._row = row

    def text(self, key: str) -> str:
        """A text or a number; "" where there is none."""
        return self._text(key, self._row.get(key))

    def texts(self, one: str, many: str) -> dict[str, str]:
        """{"name": "X"} is the English name; {"names": {"ar": …}} says languages."""
        found = {code: self._text(many, given) for code, given in self._by_language(many).items()}
        if single := self.text(one):
            found = {"en": single, **found}
        return {code: text for code, text in found.items() if text}

    def aliases(self) -> dict[str, list[str]]:
        """By language, or English ones; a text is one alias."""
        given = self._row.get("aliases")
        if isinstance(given, str | list):
            given = {"en": given}
        found = {
            code: [self._text("aliases", one) for one in ([some] if isinstance(some, str) else some)]
            for code, some in self._by_language("aliases", given).items()
            if isinstance(some, str | list) or self._slip("aliases", some)
        }
        return {code: [text for text in some if text] for code, some in found.items()}

    def _by_language(self, key: str, given: Any = None) -> dict[str, Any]:
        given = given or self._row.get(key) or {}
        if not isinstance(given, dict):
            self._slip(key, given)
            return {}
        return {code: some for code, some in given.items() if code in LANGUAGES and some}

    def _text(self, key: str, given: Any) -> str:
        if isinstance(given, str | int | float) and not isinstance(given, bool):
            return str(given)
        if given is not None:
            self._slip(key, given)
        return ""

    def _slip(self, key: str, given: Any) -> bool:
        self.slips.append(Unusable(f"{key} in another form than it should have", f"{self.own}: {given!r}"[:120]))
        return False


def _values(own: str, given: Any) -> Iterator[Fact]:
    if given is None:
        return
    if not isinstance(given, dict):
        yield Unusable("attributes that are no mapping", f"{own}: {given!r}"[:120])
        return
    for name, item in given.items():
        told = item if isinstance(item, dict) else {"value": item}
        value = told.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
            yield Unusable("an attribute without a value", f"{own}: {name}")
            continue
        kind = told.get("kind") or ("text" if isinstance(value, str) else "number")
        if kind not in ("number", "date", "text") or (kind == "number" and isinstance(value, str)):
            yield Unusable("an attribute of an unknown kind", f"{own}: {name} {kind}")
            continue
        yield Value(own, str(name), value, str(told.get("unit") or ""), cast(AttributeKind, kind))
