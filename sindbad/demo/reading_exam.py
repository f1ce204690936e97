"""How well does a model read pages? Beside the rule and beside the truth, on worlds that no training uses.

``python -m sindbad.demo.reading_exam --model DIR``. The model reads through :class:`ModelReader` and the engine that
serves it; what the reader hands back is judged, the rule's replacement of a useless reply included (and counted).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sindbad.demo.exam_table import markdown, share
from sindbad.demo.readings import Case, draw_cases
from sindbad.engines.threads import calm_threads
from sindbad.languages import LANGUAGES, get_pack
from sindbad.retrieval.visit import DEFAULT_BUDGET_CHARS, GAP
from sindbad.tools.model_reader import ModelReader, ReaderBudget
from sindbad.tools.reader import ExcerptReader, PageReader, Reading

READING_SEEDS: Final = range(910_000, 910_010)
"""Worlds of the exam; no training uses seeds from 900,000 on."""
BUDGET: Final = ReaderBudget(
    page_tokens=512, reply_tokens=96, context_tokens=1024, retries=1, seconds=600.0, min_grounding=0.9
)
"""As recipes/reader.yaml has it, but for the seconds: pages have less than 100 tokens, true replies less than 70."""


@dataclass(frozen=True, slots=True)
class Score:
    """Shares over the pages of one language.

    Attributes:
        pages, stated: how many, and how many of them state what the goal asks.
        by_model: read by the model, not by the rule in its place.
        states: of the stated, the evidence holds every true sentence.
        exact: of the stated, it holds nothing else either.
        silent: of the others, the evidence is empty.
        summary: the summary is the true one, word for word.
        rule_exact: as ``exact``, of the rule with as much room as the truth takes.
        agreement: of the stated, model and rule show the same sentences.
        only_model, only_rule: pages of the stated on which only one of them is exact.
    """

    pages: int
    stated: int
    by_model: float
    states: float
    exact: float
    silent: float
    summary: float
    rule_exact: float
    agreement: float
    only_model: int
    only_rule: int


@dataclass(frozen=True, slots=True)
class ReadingReport:
    """Scores by language code."""

    scores: dict[str, Score]

    def table(self) -> str:
        """Markdown, a column a language."""
        return markdown({get_pack(code).name: score for code, score in self.scores.items()}, _ROWS)


_ROWS: Final = {
    "pages": "pages",
    "stated": "of them state what the goal asks",
    "by_model": "read by the model (else the rule stepped in)",
    "states": "stated: evidence holds every true sentence",
    "exact": "stated: and nothing else",
    "silent": "not stated: evidence is empty",
    "summary": "summary is the true one",
    "rule_exact": "stated: the rule shows exactly the true sentences",
    "agreement": "stated: model and rule show the same sentences",
    "only_model": "stated: only the model is exact (pages)",
    "only_rule": "stated: only the rule is exact (pages)",
}


async def measure(reader: PageReader, cases: Sequence[Case]) -> Score:
    """``reader`` beside rule and truth; ``cases`` are of one language."""
    rule = ExcerptReader()
    readings = await asyncio.gather(*(_read(reader, case, DEFAULT_BUDGET_CHARS) for case in cases))
    by_rule = await asyncio.gather(*(_read(rule, case, _room(case)) for case in cases))
    return score(cases, readings, by_rule)


def score(cases: Sequence[Case], readings: Sequence[Reading], by_rule: Sequence[Reading]) -> Score:
    """The pure part of :func:`measure`."""
    said = [_sentences(reading.evidence, case.language) for reading, case in zip(readings, cases, strict=True)]
    theirs = [_sentences(reading.evidence, case.language) for reading, case in zip(by_rule, cases, strict=True)]
    stated = [number for number, case in enumerate(cases) if case.stated]
    others = [number for number, case in enumerate(cases) if not case.stated]
    right = {number: said[number] == list(cases[number].evidence) for number in stated}
    rule_right = {number: theirs[number] == list(cases[number].evidence) for number in stated}
    return Score(
        pages=len(cases),
        stated=len(stated),
        by_model=share([reading.by == "model" for reading in readings]),
        states=share([set(cases[number].evidence) <= set(said[number]) for number in stated]),
        exact=share(list(right.values())),
        silent=share([not said[number] for number in others]),
        summary=share([reading.summary == case.summary for reading, case in zip(readings, cases, strict=True)]),
        rule_exact=share(list(rule_right.values())),
        agreement=share([said[number] == theirs[number] for number in stated]),
        only_model=sum(right[number] and not rule_right[number] for number in stated),
        only_rule=sum(rule_right[number] and not right[number] for number in stated),
    )


def examine_reader(model_dir: Path, *, pages: int, seed: int = 0, threads: int = 1) -> ReadingReport:
    """``pages`` held-out pages a language, read greedily by the model in ``model_dir`` under the prompts `demo`."""
    cases = {code: draw_cases(READING_SEEDS, pages, seed=seed, languages=(code,)) for code in LANGUAGES}
    return ReadingReport(asyncio.run(_examine(model_dir, cases, threads)))


async def _examine(model_dir: Path, cases: dict[str, list[Case]], threads: int) -> dict[str, Score]:
    from sindbad.agent.chat import ChatTokenizer
    from sindbad.agent.config import Sampling
    from sindbad.agent.prompts import load_prompts
    from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
    from sindbad.tools.reader_prompts import load_reader_prompts

    engine = TransformersEngine(TransformersEngineSettings(threads=threads, max_context=1024))
    await engine.start()
    try:
        await engine.load(model_dir, 1)
        chat = ChatTokenizer.from_dir(model_dir, load_prompts("demo"))
        reader = ModelReader(
            engine, lambda: chat, load_reader_prompts("demo"), BUDGET, Sampling(temperature=0.0), parallel=32
        )
        return {code: await measure(reader, drawn) for code, drawn in cases.items()}
    finally:
        await engine.close()


async def _read(reader: PageReader, case: Case, max_chars: int) -> Reading:
    return await reader.read(case.page, case.goal, language=case.language, max_chars=max_chars)


def _room(case: Case) -> int:
    """As many characters as the truth takes, joints included."""
    return sum(len(sentence) + len(GAP) for sentence in case.evidence) or 1


def _sentences(evidence: str, language: str) -> list[str]:
    return [part for chunk in evidence.split(GAP.strip()) for part in get_pack(language).split_sentences(chunk)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how far a page reader agrees with the rule and with the truth."""
    parser = argparse.ArgumentParser(prog="python -m sindbad.demo.reading_exam", description=main.__doc__)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "models" / "page-reader")
    parser.add_argument("--pages", type=int, default=1000, help="held-out pages a language")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    calm_threads(given.threads)
    print(examine_reader(given.model, pages=given.pages, seed=given.seed, threads=given.threads).table())


if __name__ == "__main__":
    main()
