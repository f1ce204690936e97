"""Which entity a name means: as it is written, else as the language pack normalises it, if only one entity is meant.

Pure. Also here: identities of pages, and the shape of a graph that grows by pages whose facts name what is unread yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from sindbad.errors import InvalidInput
from sindbad.graph.reading import ReadFact
from sindbad.languages import get_pack


class Names:
    """Names and aliases of entities in one language."""

    def __init__(self, language: str) -> None:
        try:
            self._normal = get_pack(language).normalise_answer
        except InvalidInput:
            self._normal = lambda text: " ".join(text.casefold().split())
        self._exact: dict[str, str] = {}
        self._meant: dict[str, set[str]] = {}

    def normal(self, name: str) -> str:
        """The form under which two spellings are one name; the name itself where nothing would be left of it."""
        return self._normal(name) or name

    def add(self, entity_id: str, names: Iterable[str]) -> None:
        """The first entity to take a name exactly as written keeps it."""
        for name in names:
            self._exact.setdefault(name, entity_id)
            self._meant.setdefault(self.normal(name), set()).add(entity_id)

    def find(self, name: str) -> str | None:
        """The entity's id; None for an unknown name, and for one that means several in another spelling."""
        exact = self._exact.get(name)
        if exact is not None:
            return exact
        meant = self._meant.get(self.normal(name), ())
        return next(iter(meant)) if len(meant) == 1 else None


class GrowingShape:
    """Skeleton of a graph under construction, after every page and without building it.

    ``keep_trees`` False looks at components with a cycle alone, as the graph will hold no others.
    """

    def __init__(self, names: Names, *, keep_trees: bool = True) -> None:
        self._names, self._keep_trees = names, keep_trees
        self._parent: dict[str, str] = {}
        self._held: dict[str, tuple[int, int]] = {}  # root -> nodes and edges of its component
        self._pairs: set[tuple[str, str]] = set()
        self._degree: dict[str, int] = {}
        self._open: dict[str, list[ReadFact]] = {}  # normalised name of an end -> facts that wait for it
        self.nodes = 0
        self.edges = 0
        self._components = 0

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

    def add(self, entity_id: str, names: Iterable[str], facts: Iterable[ReadFact]) -> None:
        """A page of an entity whose ``names`` the resolver knows already."""
        if entity_id not in self._parent:
            self._parent[entity_id] = entity_id
            self._hold(entity_id, 1, 0)
        waiting = [fact for name in names for fact in self._open.pop(self._names.normal(name), ())]
        for fact in [*waiting, *facts]:
            self._place(fact)

    def _place(self, fact: ReadFact) -> None:
        ends = self._names.find(fact.subject), self._names.find(fact.object)
        for name, end in zip((fact.subject, fact.object), ends, strict=True):
            if end is None:
                self._open.setdefault(self._names.normal(name), []).append(fact)
                return
        left, right = sorted(str(end) for end in ends)
        if left != right and (left, right) not in self._pairs and left in self._parent and right in self._parent:
            self._pairs.add((left, right))
            for end in (left, right):
                self._degree[end] = self._degree.get(end, 0) + 1
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
            self.nodes, self.edges = self.nodes + sign * nodes, self.edges + sign * edges
            self._components += sign

    def _root(self, node: str) -> str:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node


def entity_id_of(url: str) -> str:
    """The last part of the path: the page's slug, which is the same in every language; the host where there is none."""
    return url.rstrip("/").rsplit("/", 1)[-1]


def distinct_id(url: str) -> str:
    """For a page whose slug means another entity already: with its host."""
    return f"{entity_id_of(url)}@{urlsplit(url).netloc}"


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
