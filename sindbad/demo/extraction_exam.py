"""How well does a model extract facts? Beside the parser and beside the truth, on worlds that no training uses.

``python -m sindbad.demo.extraction_exam --model DIR``. The model is asked through :class:`ModelExtractor` and the
engine that serves it; what is left after the check against the page is judged (and what was refused is counted).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sindbad.demo.exam_table import markdown, share
from sindbad.demo.extractions import ExtractionCase, draw_cases
from sindbad.engines.threads import calm_threads
from sindbad.graph.extraction import Extraction, Extractor, ParserExtractor
from sindbad.graph.reading import IS_A, ReadFact
from sindbad.languages import LANGUAGES, get_pack

EXTRACTION_SEEDS: Final = range(920_000, 920_010)
"""Worlds of the exam; no training uses seeds from 900,000 on."""
EXTRACTOR: Final = Path(__file__).parent / "models" / "extractor"
"""The committed model."""
PROMPTS: Final = "demo"
"""The prompt set that it follows."""
_Fact = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ExtractionScore:
    """Over the pages of one language and kind; shares of facts, type statements left out unless said.

    Attributes:
        pages, facts: how many, and how many facts they state.
        precision, recall, f1: of the model against the truth.
        parser_precision, parser_recall, parser_f1: of the parser against the truth.
        agreement: facts that model and parser both read, of those that either reads.
        agreed_sentence: of the facts that both read, with the same sentence.
        sentence: of the model's true facts, with the true sentence.
        main: pages whose main entity has the true name and type.
        refused: statements that the check refused, a page.
        unread: replies that could not be read at all (after the retry).
    """

    pages: int
    facts: int
    precision: float
    recall: float
    f1: float
    parser_precision: float
    parser_recall: float
    parser_f1: float
    agreement: float
    agreed_sentence: float
    sentence: float
    main: float
    refused: float
    unread: float


@dataclass(frozen=True, slots=True)
class ExtractionReport:
    """Scores by (language code, "plain" or "prose")."""

    scores: dict[tuple[str, str], ExtractionScore]

    def table(self) -> str:
        """Markdown, a column a language and kind of page."""
        return markdown({f"{get_pack(code).name}, {kind}": score for (code, kind), score in self.scores.items()}, _ROWS)


_ROWS: Final = {
    "pages": "pages",
    "facts": "facts that they state",
    "precision": "precision of the model's facts",
    "recall": "recall of the model's facts",
    "f1": "F1 of the model's facts",
    "parser_f1": "F1 of the parser's facts",
    "agreement": "facts that both read, of those that either reads",
    "agreed_sentence": "of the facts that both read: same sentence",
    "sentence": "of the model's true facts: the true sentence",
    "main": "pages whose entity has the true name and type",
    "refused": "statements refused by the check, a page",
    "unread": "pages whose reply could not be read",
}


async def measure(extractor: Extractor, cases: Sequence[ExtractionCase]) -> ExtractionScore:
    """``extractor`` beside parser and truth."""
    parser = ParserExtractor(LANGUAGES)
    ours = await asyncio.gather(*(extractor.extract(case.page, language=case.language) for case in cases))
    theirs = await asyncio.gather(*(parser.extract(case.page, language=case.language) for case in cases))
    return score(cases, ours, theirs)


def score(cases: Sequence[ExtractionCase], ours: Sequence[Extraction], theirs: Sequence[Extraction]) -> ExtractionScore:
    """The pure part of :func:`measure`: a fact counts once a page."""
    truth = [_facts(fact for fact in case.statements if fact.relation != IS_A) for case in cases]
    model, parser = [_facts(one.facts) for one in ours], [_facts(one.facts) for one in theirs]
    precision, recall, f1 = _prf(truth, model)
    parser_precision, parser_recall, parser_f1 = _prf(truth, parser)
    both = [(left[key], right[key]) for left, right in zip(model, parser, strict=True) for key in left.keys() & right]
    true = [(left[key], right[key]) for left, right in zip(model, truth, strict=True) for key in left.keys() & right]
    either = sum(len(left.keys() | right.keys()) for left, right in zip(model, parser, strict=True))
    return ExtractionScore(
        pages=len(cases),
        facts=sum(map(len, truth)),
        precision=precision,
        recall=recall,
        f1=f1,
        parser_precision=parser_precision,
        parser_recall=parser_recall,
        parser_f1=parser_f1,
        agreement=len(both) / either if either else 0.0,
        agreed_sentence=share([left == right for left, right in both]),
        sentence=share([left == right for left, right in true]),
        main=share([_main(one) == _true_main(case) for one, case in zip(ours, cases, strict=True)]),
        refused=sum(sum(one.dropped.values()) for one in ours) / max(1, len(cases)),
        unread=share([bool(one.failure) for one in ours]),
    )


def _facts(facts: Iterable[ReadFact]) -> dict[_Fact, str]:
    """Fact -> the first sentence that states it."""
    found: dict[_Fact, str] = {}
    for fact in facts:
        found.setdefault((fact.subject, fact.relation, fact.object), fact.sentence)
    return found


def _prf(truth: Sequence[dict[_Fact, str]], found: Sequence[dict[_Fact, str]]) -> tuple[float, float, float]:
    right = sum(len(left.keys() & right.keys()) for left, right in zip(truth, found, strict=True))
    precision = right / max(1, sum(map(len, found)))
    recall = right / max(1, sum(map(len, truth)))
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def _main(one: Extraction) -> tuple[str, str]:
    return (one.main.name, one.main.entity_type) if one.main else ("", "")


def _true_main(case: ExtractionCase) -> tuple[str, str]:
    first = case.statements[0]
    return first.subject, first.object


def examine_extractor(
    model_dir: Path, *, pages: int, seed: int = 0, threads: int = 1, seeds: Sequence[int] = EXTRACTION_SEEDS
) -> ExtractionReport:
    """``pages`` held-out pages a language and kind, read greedily by the model in ``model_dir``."""
    drawn = {
        (code, kind): draw_cases(seeds, pages, seed=seed, languages=(code,), prose=float(kind == "prose"))
        for code in LANGUAGES
        for kind in ("plain", "prose")
    }
    return ExtractionReport(asyncio.run(_examine(model_dir, drawn, threads)))


async def _examine(
    model_dir: Path, drawn: dict[tuple[str, str], list[ExtractionCase]], threads: int
) -> dict[tuple[str, str], ExtractionScore]:
    from sindbad.graph.extractors import local_extractor

    extractor = await local_extractor(model_dir, prompts=PROMPTS, threads=threads, parallel=32, seconds=600.0)
    try:
        return {key: await measure(extractor, cases) for key, cases in drawn.items()}
    finally:
        await extractor.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how far an extractor agrees with the parser and with the truth."""
    parser = argparse.ArgumentParser(prog="python -m sindbad.demo.extraction_exam", description=main.__doc__)
    parser.add_argument("--model", type=Path, default=EXTRACTOR)
    parser.add_argument("--pages", type=int, default=500, help="held-out pages a language and kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    calm_threads(given.threads)
    print(examine_extractor(given.model, pages=given.pages, seed=given.seed, threads=given.threads).table())


if __name__ == "__main__":
    main()
