"""Exact and near duplicates of a corpus by MinHash, in memory that grows by a few dozen bytes a row.

Signatures lie in a memory-mapped file; one band at a time is sorted (24 bytes a row). A row is compared with the first
row of each bucket it falls into, so what is dropped always resembles an EARLIER row, which is reported; the result
depends on the rows' order and on nothing else. Jaccard similarity is over 5-grams of words and signs,
estimated from 96 permutations (standard error below 0.05).

A long task definition makes texts alike that ask different things: whether they do is :func:`alike_apart`'s to say, of
the few that were found.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TOKEN = re.compile(r"\w+|[^\w\s]")
"""Signs count as words do: "x > 5" and "x < 5" are two questions."""
_PIECE_END = re.compile(r"(?<=[.!?:؟。])\s+|\n")
_PRIME: Final = (1 << 61) - 1
NEAR: Final = "near_duplicate"
OWN: Final = 0.5
"""Least share of words that near duplicates have in common where they differ: our choice; one in three may change."""


class DuplicateSettings(BaseModel):
    """What counts as the same row twice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exact: bool = True
    """Drop rows whose messages are equal but for case, spaces and Unicode form."""
    near: float | None = Field(default=0.85, gt=0.0, le=1.0)
    """Drop rows at least this similar to an earlier one; null keeps them."""
    words: int = Field(default=5, ge=1)
    """Words and signs of a shingle."""
    bands: int = Field(default=12, ge=1)
    """Bands; more of them find more distant pairs."""
    rows: int = Field(default=8, ge=1)
    """Permutations a band. 12 bands of 8 find a pair of similarity 0.85 with probability 0.98, of 0.6 with 0.18."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Row ``row`` resembles the earlier row ``of``. ``kind``: "exact_duplicate" or "near_duplicate"."""

    row: int
    of: int
    similarity: float
    kind: str


def normal_form(text: str) -> str:
    """Equal for texts that differ in case, spaces and Unicode form only."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def alike_apart(one: str, other: str) -> bool:
    """Whether two texts are alike in what they do not share, sentence by sentence and line by line: "…Tweet: A" and
    "…Tweet: B" are not, however long the definition before it."""
    left, right = _pieces(one), _pieces(other)
    mine, theirs = ({word for piece in own for word in _TOKEN.findall(piece)} for own in (left - right, right - left))
    return len(mine & theirs) >= OWN * len(mine | theirs)


def _pieces(text: str) -> set[str]:
    return {normal_form(piece) for piece in _PIECE_END.split(text)}


class DuplicateFinder:
    """Give it every row's text in order with :meth:`add`, then read :meth:`found` once. Use as a context manager.

    Args:
        folder: for the memory-mapped signatures; a temporary folder when absent.
    """

    def __init__(self, settings: DuplicateSettings, folder: Path | None = None) -> None:
        import numpy as np

        self.settings, self.count = settings, 0
        self._temporary = tempfile.TemporaryDirectory(prefix="sindbad-minhash-", dir=folder)
        self._path = Path(self._temporary.name) / "signatures"
        self._file: Any = self._path.open("wb")
        self._exact = (Path(self._temporary.name) / "exact").open("wb")
        size = settings.bands * settings.rows
        random = np.random.default_rng(20250914)
        self._a = random.integers(1, _PRIME, size, dtype=np.uint64) | np.uint64(1)
        self._b = random.integers(0, _PRIME, size, dtype=np.uint64)

    def __enter__(self) -> DuplicateFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._exact.close()
        self._temporary.cleanup()

    def add(self, text: str, near: str | None = None) -> None:
        """The next row. ``near``: what of it makes near duplicates; all of it unless given."""
        plain = normal_form(text)
        self._exact.write(blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest())
        if self.settings.near is not None:
            self._file.write(self._signature(plain if near is None else normal_form(near)).tobytes())
        self.count += 1

    def _signature(self, plain: str) -> NDArray[np.uint32]:
        import numpy as np

        words, size = _TOKEN.findall(plain), self.settings.words
        shingles = {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}
        hashes = np.fromiter((zlib.crc32(s.encode("utf-8", "replace")) for s in shingles), np.uint64, len(shingles))
        least = np.full(len(self._a), np.iinfo(np.uint64).max, np.uint64)
        for start in range(0, len(hashes), 512):  # a long row must not need a large matrix
            mixed = self._a[:, None] * hashes[None, start : start + 512] + self._b[:, None]
            least = np.minimum(least, mixed.min(axis=1))
        return (least >> np.uint64(32)).astype(np.uint32)

    def found(self) -> Iterator[Duplicate]:
        """Duplicates, exact ones first, each row at most once, rows in order within their kind."""
        import numpy as np

        self._file.flush()
        self._exact.flush()
        dropped = np.zeros(self.count, dtype=bool)
        if self.settings.exact:
            yield from self._exact_ones(dropped)
        if self.settings.near is not None and self.count:
            yield from self._near_ones(dropped)

    def _exact_ones(self, dropped: NDArray[np.bool_]) -> Iterator[Duplicate]:
        import numpy as np

        hashes = np.fromfile(self._exact.name, np.uint64)
        first = _first_of(hashes)
        for row in np.flatnonzero(first != np.arange(self.count)):
            dropped[row] = True
            yield Duplicate(int(row), int(first[row]), 1.0, "exact_duplicate")

    def _near_ones(self, dropped: NDArray[np.bool_]) -> Iterator[Duplicate]:
        import numpy as np

        size = len(self._a)
        signatures = np.memmap(self._path, np.uint32, "r", shape=(self.count, size))
        best = np.zeros(self.count, np.float32)
        of = np.full(self.count, -1, np.int64)
        for band in range(self.settings.bands):
            part = np.ascontiguousarray(signatures[:, band * self.settings.rows : (band + 1) * self.settings.rows])
            first = _first_of(_row_hash(part))
            candidates = np.flatnonzero((first != np.arange(self.count)) & ~dropped)
            for start in range(0, len(candidates), 65_536):
                rows = candidates[start : start + 65_536]
                likeness = (signatures[rows] == signatures[first[rows]]).mean(axis=1).astype(np.float32)
                better = likeness > best[rows]
                best[rows[better]], of[rows[better]] = likeness[better], first[rows[better]]
        limit = self.settings.near or 1.0
        for row in np.flatnonzero((best >= limit) & ~dropped):
            yield Duplicate(int(row), int(of[row]), float(best[row]), NEAR)


def _first_of(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For every row the first row with an equal hash."""
    import numpy as np

    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    begins = np.concatenate(([True], ordered[1:] != ordered[:-1])) if len(ordered) else np.zeros(0, bool)
    leaders = order[np.flatnonzero(begins)]
    first = np.empty(len(hashes), np.int64)
    first[order] = leaders[np.cumsum(begins) - 1]
    return first


def _row_hash(part: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """One 64-bit number a row (FNV-1a over the row's words)."""
    import numpy as np

    mixed = np.full(len(part), 0xCBF29CE484222325, np.uint64)
    for column in range(part.shape[1]):
        mixed = (mixed ^ part[:, column].astype(np.uint64)) * np.uint64(0x100000001B3)
    return mixed
