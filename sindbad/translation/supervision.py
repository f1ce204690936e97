"""HALA's bilingual supervision: a teacher's translations (2N pairs from N rows) and judged parallel text.

``make_parallel_pool`` stands in for a crawled parallel corpus: real pairs of the domain, a share of them damaged the
way crawled pairs are. Each candidate remembers its damage in ``fault``, which no judge sees and which says how good a
judge is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sindbad.corpus.filters import FilterSettings, Pair, judge
from sindbad.corpus.records import InstructionRecord
from sindbad.demo.world import World
from sindbad.translation.domain import COMMON, POOL_WEIGHTS, ParallelPair, masked_pair, parallel_pairs
from sindbad.translation.glossary import Glossary
from sindbad.translation.judges import PairJudge, Verdict, aligned_sentences
from sindbad.translation.protocol import TextTranslator


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair to be judged. ``fault``: "" for a good one, else what was done to it (hidden from judges)."""

    en: str
    ar: str
    world_id: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class FourTuple:
    """One translated instruction row (papers §1, step 2a)."""

    instruction_en: str
    instruction_ar: str
    response_en: str
    response_ar: str
    world_id: str = ""

    def pairs(self) -> tuple[Candidate, Candidate]:
        """Question and answer count separately."""
        return (
            Candidate(self.instruction_en, self.instruction_ar, self.world_id),
            Candidate(self.response_en, self.response_ar, self.world_id),
        )


@dataclass(frozen=True, slots=True)
class TeacherOutput:
    """N rows give N tuples; a row that the teacher broke is in ``rejected`` with a reason instead."""

    tuples: tuple[FourTuple, ...]
    rejected: tuple[tuple[str, str], ...]

    def pairs(self) -> list[Candidate]:
        """2 pairs a tuple, in row order."""
        return [pair for row in self.tuples for pair in row.pairs()]


async def teacher_pairs(
    translator: TextTranslator, rows: Sequence[InstructionRecord], *, batch: int = 64
) -> TeacherOutput:
    """Translate the user and assistant message of each row with the teacher, names in the open, as HALA did."""
    tuples: list[FourTuple] = []
    rejected: list[tuple[str, str]] = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        texts = [text for row in part for text in row.prompt_and_completion()]
        outcomes = await translator.translate(texts)
        for row, question, answer in zip(part, outcomes[::2], outcomes[1::2], strict=True):
            if question.accepted and answer.accepted:
                asked, said = row.prompt_and_completion()
                tuples.append(FourTuple(asked, question.text, said, answer.text, row.metadata.get("world_id", "")))
            else:
                rejected.append((row.record_id, question.reason or answer.reason))
    return TeacherOutput(tuple(tuples), tuple(rejected))


# -- the parallel pool -------------------------------------------------------------------------------------------------


def make_parallel_pool(
    worlds: Sequence[World], seed: int, count: int, *, noise_share: float = 0.4, kinds: Sequence[str] = COMMON
) -> list[Candidate]:
    """``count`` candidates over ``worlds``; about ``noise_share`` of them are damaged."""
    pairs = parallel_pairs(worlds, seed, count, masked_share=0.0, kinds=kinds, weights=POOL_WEIGHTS)
    rng = random.Random(f"pool-{seed}")
    others = rng.sample(pairs, len(pairs))
    pool = []
    for pair, other in zip(pairs, others, strict=True):
        candidate = Candidate(pair.en, pair.ar, pair.world_id)
        pool.append(_damaged(candidate, other, rng) if rng.random() < noise_share else candidate)
    return pool


def _damaged(candidate: Candidate, other: ParallelPair, rng: random.Random) -> Candidate:
    fault = rng.choice(sorted(_FAULTS))
    ar = _FAULTS[fault](candidate, other, rng)
    return candidate if ar == candidate.ar else replace(candidate, ar=ar, fault=fault)


def _scrambled(candidate: Candidate, rng: random.Random) -> str:
    words = candidate.ar.split()
    rng.shuffle(words)
    return " ".join(words)


def _truncated(candidate: Candidate) -> str:
    words = candidate.ar.split()
    return " ".join(words[: len(words) // 2])


def _half_translated(candidate: Candidate) -> str:
    source, target = candidate.en.split(), candidate.ar.split()
    return " ".join([*target[: len(target) // 2], *source[len(source) // 2 :]])


_FAULTS: Mapping[str, Callable[[Candidate, ParallelPair, random.Random], str]] = {
    "shuffled": lambda candidate, other, rng: other.ar,
    "scrambled": lambda candidate, other, rng: _scrambled(candidate, rng),
    "truncated": lambda candidate, other, rng: _truncated(candidate),
    "untranslated": lambda candidate, other, rng: candidate.en,
    "half_translated": lambda candidate, other, rng: _half_translated(candidate),
    "repeated": lambda candidate, other, rng: " ".join([candidate.ar] * 4),
}


# -- judging ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """Every candidate is in exactly one of the two lists. ``agreement``: (rule keeps, model keeps) -> count; the
    model sees only what the rule keeps unless both were asked for."""

    kept: tuple[Candidate, ...]
    rejected: tuple[tuple[Candidate, str], ...]
    agreement: Mapping[str, int] = field(default_factory=dict)

    @property
    def keep_rate(self) -> float:
        """Share kept (HALA: 439,592 of about a million)."""
        return len(self.kept) / max(1, len(self.kept) + len(self.rejected))

    @property
    def reasons(self) -> dict[str, int]:
        """Rejections by reason."""
        return dict(Counter(reason.split(":")[0] for _, reason in self.rejected).most_common())

    def quality(self) -> dict[str, float]:
        """Precision and recall against the hidden faults; only for a pool of :func:`make_parallel_pool`."""
        good = sum(not candidate.fault for candidate in self.kept)
        lost = sum(not candidate.fault for candidate, _ in self.rejected)
        return {"precision": good / max(1, len(self.kept)), "recall": good / max(1, good + lost)}


async def judge_pairs(
    candidates: Sequence[Candidate], model: PairJudge | None = None, settings: FilterSettings | None = None
) -> JudgedPairs:
    """One verdict a candidate. The rule and (where given) the model both look at every one; both must accept.

    The rule is :func:`sindbad.corpus.filters.judge`; the model's verdict that can't be parsed is a rejection.
    """
    by_rule = [judge(Pair(candidate.en, candidate.ar), settings).reason for candidate in candidates]
    verdicts = await model.judge([(c.en, c.ar) for c in candidates]) if model else [Verdict(True)] * len(candidates)
    kept, rejected = [], []
    agreement: Counter[str] = Counter()
    for candidate, rule, verdict in zip(candidates, by_rule, verdicts, strict=True):
        agreement[f"rule_{'accept' if not rule else 'reject'}_model_{'accept' if verdict.accept else 'reject'}"] += 1
        if rule or not verdict.accept:
            rejected.append((candidate, rule or verdict.reason))
        else:
            kept.append(candidate)
    return JudgedPairs(tuple(kept), tuple(rejected), dict(agreement) if model else {})


# -- training text ----------------------------------------------------------------------------------------------------


def training_pairs(
    pairs: Sequence[Candidate],
    glossaries: Mapping[str, Glossary],
    seed: int,
    *,
    masked_share: float = 0.5,
    most_repeats: int = 8,
) -> list[tuple[str, str]]:
    """Source and target as the model will see them: cut into sentences where both sides have as many, and a share with
    sentinels for names (what the service sends when it has a glossary). Pairs whose names differ stay in the open.
    Of equal pairs (plain sentences with sentinels) ``most_repeats`` are kept, or they would crowd out the rest."""
    rng = random.Random(f"training-{seed}")
    found: list[tuple[str, str]] = []
    seen: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        for en, ar in aligned_sentences(pair.en, pair.ar):
            one = ParallelPair(en, ar, "", pair.world_id)
            if pair.world_id in glossaries and rng.random() < masked_share:
                one = _masked_or_open(one, glossaries[pair.world_id])
            seen[one.en, one.ar] += 1
            if seen[one.en, one.ar] <= most_repeats:
                found.append((one.en, one.ar))
    return found


def _masked_or_open(pair: ParallelPair, glossary: Glossary) -> ParallelPair:
    try:
        masked = masked_pair(pair, glossary)
    except (ValueError, IndexError, KeyError):  # the teacher wrote a name differently
        return pair
    return masked if any(character.isalpha() for character in masked.en) else pair
