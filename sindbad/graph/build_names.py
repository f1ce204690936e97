"""Which entity a name means: as it is written, else as the language pack normalises it, if only one entity is meant.

A page's own entity is meant where the subject of a fact has the page's names. Of several who bear another end's name
those count whose type the relation joins; where that does not leave one, the fact stays open: nothing is guessed.

Pure. Also here: identities of pages, and the shape of a graph that grows by pages whose facts name what is unread yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import count
from typing import Final
from urllib.parse import unquote, urlsplit

from sindbad.errors import InvalidInput
from sindbad.graph.reading import ReadFact
from sindbad.languages import get_pack

_REMEMBERED: Final = 65_536
"""Normalised names that are kept."""
_NOBODY: Final = frozenset[str]()
Fits = Callable[[str, str, str], bool]
"""Relation, type of its subject, type of its object ("" where it is not asked about) -> may it join them?"""


class Open(StrEnum):
    """Why a fact became no edge."""

    UNREAD = "unread"
    """An end is no entity of the graph."""
    SEVERAL = "several"
    """Several entities bear the name of an end, and the ontology's types do not tell which is meant."""
    TYPE = "type"
    """Who bears the name of an end is of a type that the relation does not join."""
    ITSELF = "itself"
    """Both ends are one entity."""


def _anything(relation: str, subject_type: str, object_type: str) -> bool:
    return True


class Names:
    """Who bears which names in one language; what a name means does not depend on the order in which they came.

    Args:
        fits: the ontology's word on the types of a relation's ends; by default it has none.
    """

    def __init__(self, language: str, fits: Fits = _anything) -> None:
        try:
            normal = get_pack(language).normalise_answer
        except InvalidInput:
            normal = _folded
        self._normal, self._fits = lru_cache(maxsize=_REMEMBERED)(normal), fits
        self._exact: dict[str, set[str]] = {}
        self._alike: dict[str, set[str]] = {}
        self._types: dict[str, str] = {}

    def normal(self, name: str) -> str:
        """The form under which two spellings are one name; the name itself where nothing would be left of it."""
        return self._normal(name) or name

    def add(self, entity_id: str, names: Iterable[str], entity_type: str = "") -> None:
        """Names of an entity, more of them in a later call; its type is what the first call says."""
        self._types.setdefault(entity_id, entity_type)
        for name in names:
            self._exact.setdefault(name, set()).add(entity_id)
            self._alike.setdefault(self.normal(name), set()).add(entity_id)

    def find(self, name: str) -> str | None:
        """The one entity that bears it as written, else in another spelling; None for an unknown name, and where
        several do."""
        return _only(self._bearers(name, _any_type))

    def namesake(self, name: str, entity_type: str) -> str | None:
        """The one entity of that type that bears the name."""
        return _only(self._bearers(name, lambda given: given == entity_type))

    def place(self, fact: ReadFact, page: str, own: Collection[str]) -> tuple[str, str] | Open:
        """Subject and object that a fact joins, or why it stays open.

        Its subject is the page's own entity where it is called so; any other end is whoever bears the name and has a
        type that the relation joins, if that is one entity only.

        Args:
            page: id of the entity that the page is about; ``own``: its names there.
        """
        joins, relation = self._fits, fact.relation
        subject = self.own(fact.subject, page, own)
        subject = subject or self._end(fact.subject, lambda given: joins(relation, given, ""))
        object_ = self._end(fact.object, lambda given: joins(relation, "", given))
        reasons = [end for end in (subject, object_) if isinstance(end, Open)]
        if reasons:
            return Open.UNREAD if Open.UNREAD in reasons else reasons[0]
        return Open.ITSELF if subject == object_ else (subject, object_)

    def holder(self, name: str, page: str, own: Collection[str]) -> str | Open:
        """Whose value a page states, or why that stays open; ``page`` and ``own`` as in :meth:`place`."""
        return self.own(name, page, own) or self._end(name, _any_type)

    def own(self, name: str, page: str, own: Collection[str]) -> str | None:
        """The page's entity, if it is called so there, or alike and nobody else is called so as written."""
        alike = name not in self._exact and self.normal(name) in map(self.normal, own)
        return page if name in own or alike else None

    def _end(self, name: str, fits: Callable[[str], bool]) -> str | Open:
        fitting = self._bearers(name, fits)
        if not fitting:
            return Open.TYPE if self.normal(name) in self._alike else Open.UNREAD
        return _only(fitting) or Open.SEVERAL

    def _bearers(self, name: str, fits: Callable[[str], bool]) -> set[str]:
        """Entities of a type that fits: those who bear the name as written, else those who bear it in any spelling."""
        exact, alike = self._exact.get(name, _NOBODY), self._alike.get(self.normal(name), _NOBODY)
        return {one for one in exact if fits(self._types[one])} or {one for one in alike if fits(self._types[one])}


@dataclass(slots=True)
class _Stated:
    """A fact of a growing graph: the page's entity and its names there, and the pair that the fact joins now."""

    fact: ReadFact
    page: str
    own: tuple[str, ...]
    pair: tuple[str, str] | None = None


class GrowingShape:
    """Skeleton of a graph under construction, after every page and without building it.

    A name that one more entity turns out to bear may mean another one from then on, or none: facts that use it are
    placed again, so that the shape is always that of the graph which the pages up to now assemble to.

    ``keep_trees`` False looks at components with a cycle alone, as the graph will hold no others.
    """

    def __init__(self, names: Names, *, keep_trees: bool = True) -> None:
        self._names, self._keep_trees = names, keep_trees
        self._parent: dict[str, str] = {}
        self._held: dict[str, tuple[int, int]] = {}  # root -> nodes and edges of its component
        self._pairs: dict[tuple[str, str], int] = {}  # -> how many facts join them
        self._degree: dict[str, int] = {}
        self._borne: set[tuple[str, str]] = set()  # entity and name
        self._using: dict[str, list[_Stated]] = {}  # normalised name of an end -> facts that use it
        self._lost = False  # a pair that was joined is so no more: components have to be found again
        self._nodes = self._edges = self._components = 0

    @property
    def nodes(self) -> int:
        """V."""
        self._find_components()
        return self._nodes

    @property
    def edges(self) -> int:
        """E, of the skeleton."""
        self._find_components()
        return self._edges

    @property
    def mean_degree(self) -> float:
        """2E/V."""
        return 2 * self.edges / max(1, self.nodes)

    @property
    def cycle_rank(self) -> int:
        """E - V + components."""
        return self.edges - self.nodes + self._components

    def degree(self, entity_id: str) -> int:
        return self._degree.get(entity_id, 0)

    def add(self, entity_id: str, names: Sequence[str], facts: Iterable[ReadFact]) -> None:
        """A page of an entity whose ``names`` the resolver knows already."""
        if entity_id not in self._parent:
            self._parent[entity_id] = entity_id
            self._hold(entity_id, 1, 0)
        new = [name for name in names if (entity_id, name) not in self._borne]
        self._borne.update((entity_id, name) for name in new)
        concerned = [stated for name in map(self._names.normal, new) for stated in self._using.get(name, ())]
        for fact in facts:
            concerned.append(_Stated(fact, entity_id, tuple(names)))
            for name in dict.fromkeys(map(self._names.normal, (fact.subject, fact.object))):
                self._using.setdefault(name, []).append(concerned[-1])
        for stated in concerned:
            self._place(stated)

    def _place(self, stated: _Stated) -> None:
        ends = self._names.place(stated.fact, stated.page, stated.own)
        pair = None if isinstance(ends, Open) else (min(ends), max(ends))
        if pair != stated.pair:
            if stated.pair is not None:
                self._part(stated.pair)
            if pair is not None:
                self._unite(pair)
            stated.pair = pair

    def _unite(self, pair: tuple[str, str]) -> None:
        self._pairs[pair] = self._pairs.get(pair, 0) + 1
        if self._pairs[pair] == 1:
            for end in pair:
                self._degree[end] = self._degree.get(end, 0) + 1
            if not self._lost:
                self._join(self._root(pair[0]), self._root(pair[1]))

    def _part(self, pair: tuple[str, str]) -> None:
        self._pairs[pair] -= 1
        if not self._pairs[pair]:
            del self._pairs[pair]
            for end in pair:
                self._degree[end] -= 1
            self._lost = True

    def _find_components(self) -> None:
        """From the pairs, where some were lost."""
        if not self._lost:
            return
        self._lost, self._held = False, {}
        self._nodes = self._edges = self._components = 0
        for node in self._parent:
            self._parent[node] = node
            self._hold(node, 1, 0)
        for left, right in self._pairs:
            self._join(self._root(left), self._root(right))

    def _join(self, left: str, right: str) -> None:
        held = [self._drop(root) for root in dict.fromkeys((left, right))]
        self._parent[left] = right
        self._hold(right, sum(nodes for nodes, _ in held), sum(edges for _, edges in held) + 1)

    def _hold(self, root: str, nodes: int, edges: int) -> None:
        self._held[root] = nodes, edges
        self._count(nodes, edges, 1)

    def _drop(self, root: str) -> tuple[int, int]:
        nodes, edges = self._held.pop(root)
        self._count(nodes, edges, -1)
        return nodes, edges

    def _count(self, nodes: int, edges: int, sign: int) -> None:
        if self._keep_trees or edges >= nodes:
            self._nodes, self._edges = self._nodes + sign * nodes, self._edges + sign * edges
            self._components += sign

    def _root(self, node: str) -> str:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node


def entity_id_of(url: str) -> str:
    """The last part of the path: the page's slug, which is the same in every language; the host where there is none."""
    return url.rstrip("/").rsplit("/", 1)[-1]


def ids_of(url: str) -> Iterator[str]:
    """Ids for a page's entity, the plainest first, without an end: some are others' already. They depend on the address
    alone: its slug, with the host, then with a digest of the whole address as well."""
    slug = entity_id_of(url)
    named = f"{slug}@{urlsplit(url).netloc}"
    yield from (slug, named)
    for number in count():
        yield f"{named}-{hashlib.sha256(f'{number} {url}'.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def address(url: str) -> tuple[str, str]:
    """Host, and what is behind it: equal where two spellings lead to one page (scheme, last slash, percent signs)."""
    parts = urlsplit(url)
    rest = f"?{parts.query}" * bool(parts.query) + f"#{parts.fragment}" * bool(parts.fragment)
    return parts.netloc.lower(), unquote(parts.path.rstrip("/")) + rest


def _only(found: Collection[str]) -> str | None:
    return next(iter(found)) if len(found) == 1 else None


def _any_type(entity_type: str) -> bool:
    return True


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def sibling_url(url: str, language: str, other: str, translations: Mapping[str, str]) -> str | None:
    """The same entity's page in another language: what the page says of it, else by an address that holds the language.

    …/en/marota-lin -> …/ar/marota-lin. A host of the language (en.wikipedia.org) does not tell: there the entity's page
    has another name, and a guess might be another entity's. None where nothing tells.

    Args:
        translations: language code -> URL, as the page links them.
    """
    told = {code.lower(): there for code, there in translations.items()}
    near = [told[code] for code in sorted(told) if code == other.lower() or code.startswith(f"{other.lower()}-")]
    if near:
        return near[0]
    parts = urlsplit(url)
    head, _, slug = parts.path.rstrip("/").rpartition("/")
    folders = head.split("/")
    if language not in folders[1:] or not slug:
        return None
    folders[len(folders) - 1 - folders[::-1].index(language)] = other
    return parts._replace(path=f"{'/'.join(folders)}/{slug}").geturl()
