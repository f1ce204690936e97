"""Parallel text for a translator: sentence pairs from files, cleaned, without anything that a test set holds.

Pairs are cut into sentences where both sides have as many. What is left out is counted by reason: a filter of
:mod:`sindbad.corpus.filters`, ``duplicate``, ``in_tests``, ``spans`` (numbers, code or links that differ between the
two sides: a translator sees those as sentinels and would learn to lose them).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from sindbad.corpus import exported
from sindbad.corpus.filters import FilterSettings, judge
from sindbad.corpus.filters import Pair as JudgedPair
from sindbad.corpus.sources import HELD_OUT
from sindbad.errors import InvalidInput, NotFound
from sindbad.retrieval.analysis import evaluation
from sindbad.textfiles import json_lines, table_rows
from sindbad.translation.judges import aligned_sentences
from sindbad.translation.kinds import SpanKind
from sindbad.translation.numbers import value
from sindbad.translation.spans import Span, find_spans, mask_part, sentinel

Pair = tuple[str, str]
ENGLISH_ARABIC: Final = ("en", "ar")


class ParallelFile(BaseModel):
    """A TSV with a header, a JSONL (also .gz) or a Parquet with a column a language; or an exported corpus.

    Of an export (the folder, or a file of its ``pairs``) both pairs of every 4-tuple are read, whatever the columns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    """Below the folder of data."""
    licence: str
    """Of the file, from its card; the translator inherits it, and with it what an export's lineage names."""
    source_column: str | None = None
    """Text that is translated; null: the column that is called as its language ("en")."""
    target_column: str | None = None
    """Its translation; null: as its language ("ar")."""
    held_out: int = 0
    """Source sentences that are taken out of training as a test set of their own."""


@dataclass(slots=True)
class ParallelText:
    """``train`` as a translator sees it: protected spans are sentinels. ``tests``: name -> pairs in the open."""

    train: list[Pair] = field(default_factory=list)
    tests: dict[str, list[Pair]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    shown: list[tuple[str, Pair]] = field(default_factory=list)
    """For every pair of ``train`` the name of its source, and the pair in the open."""

    def without(self, reasons: Sequence[str]) -> ParallelText:
        """What is left where each pair of ``train`` that has a reason goes ("" keeps it), counted under it."""
        left = ParallelText(tests=self.tests, dropped=self.dropped.copy(), sources=self.sources.copy())
        for pair, one, reason in zip(self.train, self.shown, reasons, strict=True):
            if reason:
                left.dropped[reason] += 1
                left.sources[one[0]] -= 1
            else:
                left.train.append(pair)
                left.shown.append(one)
        return left


def read_parallel(
    root: Path, file: ParallelFile, *, training: bool, languages: tuple[str, str] = ENGLISH_ARABIC
) -> list[Pair]:
    """The pairs of one file in its order, from the first language into the second.

    Raises:
        NotFound: no such file.
        InvalidInput: a line without the columns, or a file that may not be trained on.
    """
    path = root / file.path
    if not path.exists():
        holder = f"; give the folder that holds {file.path}" if root != Path() else ""
        raise NotFound(f"there is no file {path}{holder}")
    if training and HELD_OUT in path.name:
        raise InvalidInput(f"{path} is marked {HELD_OUT}: it measures models and must not be trained on")
    if path.is_dir() or exported.holds_pairs(path):
        both = ((source.strip(), target.strip()) for source, target in exported.read_pairs(path, languages))
        return [pair for pair in both if all(pair)]
    found = []
    source, target = file.source_column or languages[0], file.target_column or languages[1]
    rows = exported.parquet_rows(path) if path.suffix == ".parquet" else table_rows(path)
    for number, row in enumerate(rows, start=1):
        pair = (row.get(source), row.get(target))
        if not all(isinstance(text, str) for text in pair):
            raise InvalidInput(
                f"{path}, row {number} has no texts {source!r} and {target!r}; "
                f"it has {', '.join(sorted(map(str, row)))}"
            )
        found.append((str(pair[0]).strip(), str(pair[1]).strip()))
    return [pair for pair in found if all(pair)]


def licences_of(root: Path, file: ParallelFile) -> list[str]:
    """The licence that is named, and those in the lineage of the export that it is or is part of."""
    folder = exported.export_of(root / file.path)
    return list(dict.fromkeys([file.licence, *(exported.licences_of(folder) if folder else ())]))


def prepare(
    train: Mapping[str, Sequence[Pair]],
    tests: Mapping[str, Sequence[Pair]],
    *,
    held_out: Mapping[str, int] | None = None,
    filters: FilterSettings | None = None,
    seed: int = 0,
    languages: tuple[str, str] = ENGLISH_ARABIC,
) -> ParallelText:
    """Clean ``train`` (name -> pairs) against ``tests``.

    Args:
        held_out: name -> how many source sentences of it become a test set ``name`` instead of training.
        seed: of that choice.
        languages: of all of them, from and into.
    """
    made = ParallelText(tests={name: list(pairs) for name, pairs in tests.items()})
    rest = {}
    for name, pairs in train.items():
        made.tests |= (taken := _held_out(name, pairs, (held_out or {}).get(name, 0), seed))
        sources = {source for source, _ in taken.get(name, ())}
        rest[name] = [pair for pair in pairs if pair[0] not in sources]
    known = texts_of(made.tests)
    seen: set[Pair] = set()
    for name, pairs in rest.items():
        for whole in pairs:
            if held(whole, known):
                made.dropped["in_tests"] += 1
                continue
            for pair in aligned_sentences(*whole):
                reason, shown = _judged(pair, known, filters, languages)
                if not reason and shown in seen:
                    reason = "duplicate"
                if reason:
                    made.dropped[reason] += 1
                    continue
                seen.add(shown)
                made.train.append(shown)
                made.shown.append((name, pair))
                made.sources[name] += 1
    return made


def _held_out(name: str, pairs: Sequence[Pair], count: int, seed: int) -> dict[str, list[Pair]]:
    """One translation a source sentence; a sentence may have several, and all of them leave training."""
    if not count:
        return {}
    first: dict[str, Pair] = {}
    for pair in pairs:
        first.setdefault(pair[0], pair)
    if count >= len(first):
        raise InvalidInput(f"{name} has {len(first)} sentences: {count} cannot be held out")
    chosen = random.Random(f"{name}-{seed}").sample(sorted(first), count)
    return {name: [first[source] for source in chosen]}


def _judged(
    pair: Pair, known: set[str], filters: FilterSettings | None, languages: tuple[str, str]
) -> tuple[str, Pair]:
    """The reason to leave a sentence pair out ("" keeps it), and the pair with sentinels."""
    if held(pair, known):
        return "in_tests", pair
    if reason := judge(JudgedPair(*pair, *languages), filters).reason:
        return reason, pair
    shown = with_sentinels(*pair)
    return ("spans", pair) if shown is None else ("", shown)


def texts_of(tests: Mapping[str, Sequence[Pair]]) -> set[str]:
    """Everything that test sets hold, in a spelling of its own: see :func:`held`."""
    return {_same(text) for pairs in tests.values() for pair in pairs for text in pair}


def held(pair: Pair, known: Set[str]) -> bool:
    """Whether one of the two texts stands in a test set, in any spelling."""
    return any(_same(text) in known for text in pair)


def _same(text: str) -> str:
    return evaluation(text).casefold().strip(" .!?؟،")


def with_sentinels(source: str, target: str) -> Pair | None:
    """Both sides with the spans that a translator never sees as sentinels; None where the two sides' spans differ.

    Numbers are the same by value, everything else letter by letter. A sentence that is nothing but spans teaches
    nothing: None, too.
    """
    spans, found = find_spans(source), find_spans(target)
    if not spans and not found:
        return source, target
    free = list(enumerate(found))
    order: list[Span] = []
    places: dict[int, int] = {}
    for index, span in enumerate(spans):
        match = next((place for place, other in free if _equal(span, other)), None)
        if match is None:
            return None
        free = [(place, other) for place, other in free if place != match]
        places[match] = index
        order.append(span)
    if free:
        return None
    masked = mask_part(source, order)
    if masked.only_spans:
        return None
    parts, at = [], 0
    for place, span in enumerate(found):
        parts += [target[at : span.start], sentinel(places[place])]
        at = span.end
    return masked.text, "".join([*parts, target[at:]])


def _equal(one: Span, other: Span) -> bool:
    if one.kind is SpanKind.NUMBER and other.kind is SpanKind.NUMBER:
        return value(one.text) == value(other.text)
    return one.kind is other.kind and one.text == other.text


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """JSONL of {"en", "ar"}-like rows under the names ``source`` and ``target``."""
    from sindbad import atomic

    rows = (json.dumps({"source": source, "target": target}, ensure_ascii=False) for source, target in pairs)
    atomic.write_text(path, "".join(f"{row}\n" for row in rows))


def load_pairs(path: Path) -> list[Pair]:
    """What :func:`write_pairs` wrote."""
    return [(row["source"], row["target"]) for _, row in json_lines(path)]
