"""HALA's step 2 on real text: a teacher's translations and judged parallel text, as one file that a translator learns.

Two counts, and both add up. *Pairs*, as the paper counts: two of every translated row, and every candidate is either
kept or rejected with a reason (a teacher's, where a part of it stays in the source language). *Lines*, what is trained
on: a pair is cut into sentences where both sides have as many (so the translator is asked), spans that a translator
never sees are sentinels; a sentence that stands in a test set, was there before, or whose spans differ is left out and
counted.

What costs is kept where it was made (the job's ledger, the judge's verdicts) and is never paid for twice; the files
themselves are written anew and whole at the end. Memory: digests of what was seen, and one batch of candidates.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from sindbad import atomic
from sindbad.corpus.bilingual_settings import TEACHER, CandidatesSettings, PairsSettings
from sindbad.corpus.export import four_tuple
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.filters import Pair as Judged
from sindbad.corpus.filters import judge as by_rule
from sindbad.corpus.job import Job, batches
from sindbad.corpus.licences import obligations
from sindbad.corpus.parallel import (
    ENGLISH_ARABIC,
    Pair,
    ParallelFile,
    held,
    licences_of,
    read_parallel,
    texts_of,
    with_sentinels,
)
from sindbad.corpus.schemas import SCHEMAS
from sindbad.corpus.sources import SourceRequest, read_pairs
from sindbad.corpus.translate import kept, report
from sindbad.corpus.verdicts import reason_of
from sindbad.errors import InvalidInput, Overloaded
from sindbad.journal import NO_LOCKS
from sindbad.translation.judges import Verdict, aligned_sentences
from sindbad.translation.prompts import translation_prompt

PAIRS: Final = "pairs.jsonl"
REJECTED: Final = "rejected.jsonl"
COUNTS: Final = "counts.json"
STAYS: Final = "kept"
"""Why a teacher's pair is rejected of which a part stays in the source language."""
BATCH: Final = 4096
"""Candidates that are looked at together."""

Ask = Callable[[Sequence[Pair]], Awaitable[list[Verdict]]]
"""One verdict a pair, in order."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """One source of parallel text."""

    name: str
    licences: tuple[str, ...]
    pairs: Iterable[Pair]


def candidates_of(text: str, limit: int | None = None, languages: tuple[str, str] = ENGLISH_ARABIC) -> Candidates:
    """See :attr:`CandidatesSettings.sources`. Raises InvalidInput for a file without a licence, NotFound for none."""
    if text.partition("=")[0].partition("@")[0].partition("#")[0] in SCHEMAS:
        asked = SourceRequest.parse(text, limit, languages[0])
        if not SCHEMAS[asked.name].parallel:
            raise InvalidInput(f"source {asked.name} holds instructions, not parallel text; give it to the teacher")
        licence = asked.licence or SCHEMAS[asked.name].licence
        return Candidates(asked.name, (licence,), ((text, said) for _, text, said in read_pairs(asked, languages[1])))
    body, _, licence = text.rpartition("@")
    name, _, place = body.partition("=")
    if not place or not licence:
        raise InvalidInput(f"{text!r} is no parallel source: opus100, opus100=FILE or NAME=FILE@LICENCE")
    if name == TEACHER:
        raise InvalidInput(f"a parallel source cannot be called {TEACHER}")
    file = ParallelFile(path=Path(place), licence=licence)
    found = read_parallel(Path(), file, training=True, languages=languages)
    return Candidates(name, tuple(licences_of(Path(), file)), found[:limit])


def parallel_sources(settings: PairsSettings, limit: int | None) -> list[Candidates]:
    """All that the settings name, each cut at ``limit``. Raises as :func:`candidates_of`, and for two of one name."""
    sources = settings.parallel.sources if settings.parallel is not None else ()
    found = [candidates_of(text, limit, settings.languages) for text in sources]
    if len({one.name for one in found}) < len(found):
        raise InvalidInput("two parallel sources have one name; their counts could not be told apart")
    return found


def read_tests(texts: Iterable[str], languages: tuple[str, str] = ENGLISH_ARABIC) -> set[str]:
    """What the test sets hold. Raises InvalidInput, NotFound."""
    named = (text.partition("=")[::2] for text in texts)
    files = {name: ParallelFile(path=Path(path), licence="") for name, path in named}
    found = {n: read_parallel(Path(), file, training=False, languages=languages) for n, file in files.items()}
    return texts_of(found)


@dataclass(slots=True)
class Half:
    """One origin: ``candidates`` = ``kept`` + all ``rejected``, in pairs; ``lines`` of training text came of it."""

    candidates: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    licences: list[str] = field(default_factory=list)

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form, the most frequent reason first."""
        counts = {"rejected": dict(self.rejected.most_common()), "left_out": dict(self.left_out.most_common())}
        return {
            "candidates": self.candidates, "kept": self.kept, "lines": self.lines, **counts, "licences": self.licences
        }  # fmt: skip


@dataclass(slots=True)
class Supervision:
    """What the file holds. ``teacher``: rows, how many were translated and why the others were not."""

    teacher: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Half] = field(default_factory=dict)
    judge: str = ""

    @property
    def pairs(self) -> int:
        """As the paper counts: two a translated row but for those of :data:`STAYS`, and what was kept of the parallel
        text."""
        return sum(half.kept for half in self.origins.values())

    @property
    def lines(self) -> int:
        """Of training text."""
        return sum(half.lines for half in self.origins.values())

    def licences(self) -> list[str]:
        """Of everything that has a line, without doubles."""
        return list(dict.fromkeys(name for half in self.origins.values() if half.lines for name in half.licences))

    def to_record(self) -> dict[str, Any]:
        """JSON-ready form."""
        owed = obligations(self.licences())
        return {
            "pairs": self.pairs, "lines": self.lines, "judge": self.judge or "none: rules only",
            "teacher": self.teacher, "origins": {name: half.to_record() for name, half in self.origins.items()},
            "licence": owed.card_licence, "licences": self.licences(), "obligations": owed.sentences(),
        }  # fmt: skip


def licences_beside(path: Path) -> dict[str, list[str]]:
    """Origin -> licences of a ``pairs.jsonl`` that :func:`make_pairs` wrote; {} for any other file."""
    try:
        counts = json.loads((path.parent / COUNTS).read_text("utf-8")) if path.name == PAIRS else {}
        return {name: list(half["licences"]) for name, half in counts.get("origins", {}).items() if half["lines"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


class _Writer:
    """Writes lines and counts them; ``known`` is what test sets hold."""

    def __init__(self, folder: Path, settings: PairsSettings, known: Set[str]) -> None:
        self._settings, self._known = settings, known
        self._seen: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lines = _alone(folder / f"{PAIRS}.new")
        self._away = (folder / f"{REJECTED}.new").open("w", encoding="utf-8")

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._away.close()
        for name in (PAIRS, REJECTED):
            (self._folder / f"{name}.new").unlink(missing_ok=True)

    def finish(self, counts: Mapping[str, Any]) -> None:
        """Put everything in its place; while there are no counts, the files are not to be trusted."""
        self._lines.close()
        self._away.close()
        (self._folder / COUNTS).unlink(missing_ok=True)
        for name in (PAIRS, REJECTED):
            atomic.sync_file(self._folder / f"{name}.new")
            os.replace(self._folder / f"{name}.new", self._folder / name)
        atomic.write_json(self._folder / COUNTS, dict(counts))

    def keep(self, half: Half, pair: Pair, origin: str, licences: Sequence[str]) -> None:
        """Write what can be trained on of a pair that counts."""
        half.kept += 1
        for one in aligned_sentences(*pair) if self._settings.cut else [pair]:
            shown = with_sentinels(*one)
            reason = "in_tests" if held(one, self._known) else "spans" if shown is None else ""
            if not reason and shown is not None and self._again(shown):
                reason = "duplicate"
            if reason or shown is None:
                half.left_out[reason] += 1
                continue
            half.lines += 1
            half.licences += [name for name in licences if name not in half.licences]
            prompt = translation_prompt(
                shown[0], self._settings.style, source=self._settings.source, target=self._settings.target
            )
            record = {"prompt": prompt, "completion": shown[1], "origin": origin, "licences": list(licences)}
            _write(self._lines, record)

    def reject(self, half: Half, pair: Pair, origin: str, reason: str, detail: str) -> None:
        """Write a pair that is not used, and why."""
        half.rejected[reason] += 1
        _write(self._away, {"source": pair[0], "target": pair[1], "origin": origin, "reason": reason, "detail": detail})

    def before(self, pair: Pair, known: Set[str], rules: FilterSettings | None) -> tuple[str, str]:
        """Reason and detail to reject a candidate that no judge needs to see; ("", "") for one that it must."""
        if held(pair, known):
            return "in_tests", ""
        if self._again(("whole", *pair)):
            return "duplicate", ""
        found = by_rule(Judged(*pair, *self._settings.languages), rules) if rules is not None else None
        return (found.reason, "") if found is not None else ("", "")

    def _again(self, texts: Sequence[str]) -> bool:
        """Whether the same texts came before; 60 bits of their hash are remembered."""
        from sindbad.corpus.address import digest

        mark = int(digest(list(texts))[:15], 16)
        if mark in self._seen:
            return True
        self._seen.add(mark)
        return False


def _alone(path: Path) -> IO[str]:
    """The file, empty and ours; the lock goes with the process. Raises Overloaded where another process writes it."""
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise Overloaded(f"{path} is written by another process; wait for it, or use another folder") from None
    except OSError as error:  # a file system without locks is written without
        if error.errno not in NO_LOCKS:
            file.close()
            raise
    file.truncate(0)
    return file


def _write(file: IO[str], record: Mapping[str, Any]) -> None:
    file.write(json.dumps(record, ensure_ascii=False) + "\n")


async def make_pairs(
    settings: PairsSettings,
    out: Path,
    *,
    jobs: Sequence[Job] = (),
    judge: Ask | None = None,
    judge_name: str = "",
    progress: Callable[[str, Half], None] | None = None,
) -> Supervision:
    """Write ``pairs.jsonl``, ``rejected.jsonl`` and ``counts.json`` in ``out``; earlier ones are replaced at the end.

    Args:
        jobs: the teacher's translation jobs, as far as they are.
        judge: null keeps what the rules keep.
        progress: told a source's name and counts after every batch.

    Raises:
        InvalidInput: no pair at all. What the judge raises; its verdicts until then are kept by whoever asked.
    """
    made, known = Supervision(judge=judge_name), read_tests(settings.tests, settings.languages)
    found = parallel_sources(settings, settings.parallel.candidates if settings.parallel else None)
    with _Writer(out, settings, known) as writer:
        if jobs:
            made.origins[TEACHER] = half = Half()
            made.teacher = _teacher_half(jobs, settings.languages, writer, half)
        for one in found:
            made.origins[one.name] = half = Half()
            await _judged_half(one, settings, writer, half, known, judge, progress)
        if not made.lines:
            raise InvalidInput(f"no pair was left: {json.dumps(made.to_record()['origins'], ensure_ascii=False)}")
        writer.finish(made.to_record())
    return made


def _teacher_half(jobs: Sequence[Job], languages: tuple[str, str], writer: _Writer, half: Half) -> dict[str, Any]:
    """Two pairs of every translated row, question and answer; the job says why a row has none. What a task works on
    stays in the source language: a pair with such a part would teach to copy."""
    rows, translated, dropped = 0, 0, Counter[str]()
    for job in jobs:
        direction = (job.spec.identity.source, job.spec.identity.target)
        if direction != languages:
            wanted = "-".join(languages)
            raise InvalidInput(f"{job.store.url} translates {'-'.join(direction)}; the file's prompt is for {wanted}")
        for row in kept(job):
            four, origin = four_tuple(row.original, row.translation, row.stays), row.translation.provenance
            if four is None:
                dropped["no_answer"] += 1
                continue
            translated += 1
            for pair, stays in zip(four.pairs(), four.stays, strict=True):
                half.candidates += 1
                if stays:
                    writer.reject(half, pair, f"{TEACHER}:{origin.source}", STAYS, "")
                else:
                    writer.keep(half, pair, f"{TEACHER}:{origin.source}", origin.licences)
        found = report(job)
        rows += found.records
        dropped.update(found.dropped)
    return {"rows": rows, "translated": translated, "dropped": dict(dropped.most_common())}


async def _judged_half(
    source: Candidates,
    settings: PairsSettings,
    writer: _Writer,
    half: Half,
    known: Set[str],
    judge: Ask | None,
    progress: Callable[[str, Half], None] | None,
) -> None:
    """Every candidate is kept or rejected. The judge sees a pair as it stands, once; the rules go before it."""
    chosen = settings.parallel or CandidatesSettings(sources=())
    rules = chosen.filters if chosen.rules else None
    for batch in batches(source.pairs, BATCH):
        found = [writer.before(pair, known, rules) for pair in batch]
        left = [pair for pair, (reason, _) in zip(batch, found, strict=True) if not reason]
        verdicts = iter(await judge(left) if judge is not None else [Verdict(True)] * len(left))
        for pair, (reason, detail) in zip(batch, found, strict=True):
            half.candidates += 1
            if not reason:
                verdict = next(verdicts)
                reason, detail = reason_of(verdict), verdict.reason
            if reason:
                writer.reject(half, pair, source.name, reason, detail)
            else:
                writer.keep(half, pair, source.name, source.licences)
        if progress is not None:
            progress(source.name, half)
