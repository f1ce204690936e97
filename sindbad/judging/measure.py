"""How far two judges agree over a list of cases: what a model card and a report say about a model judge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sindbad.judging.agreement import Agreement, AgreementTally
from sindbad.judging.verdict import Judge, JudgeRequest, Verdict

_PARALLEL = 64


@dataclass(frozen=True, slots=True)
class LabelledCase:
    """An answer with the truth about it, known by construction or from a person."""

    request: JudgeRequest
    correct: bool


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """Accuracy of both judges against the truth, and their agreement with each other.

    ``model_accepts_wrong`` / ``model_rejects_right``: shares of the wrong / right answers that the model gets wrong.
    """

    cases: int
    rule_accuracy: float
    model_accuracy: float
    model_accepts_wrong: float
    model_rejects_right: float
    agreement: Agreement

    def to_record(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "cases": self.cases,
            "rule_accuracy": self.rule_accuracy,
            "model_accuracy": self.model_accuracy,
            "model_accepts_wrong": self.model_accepts_wrong,
            "model_rejects_right": self.model_rejects_right,
            "agreement": self.agreement.to_record(),
        }


async def measure(rule: Judge, model: Judge, cases: Sequence[LabelledCase]) -> JudgeReport:
    """Ask both about every case. An unparsable reply of the model counts as wrong, and as unparsed."""
    requests = [case.request for case in cases]
    ruled, modelled = await judge_all(rule, requests), await judge_all(model, requests)
    tally = AgreementTally()
    for exact, llm in zip(ruled, modelled, strict=True):
        tally.add(exact.correct, llm.llm)
    right_rule = sum(verdict.correct == case.correct for verdict, case in zip(ruled, cases, strict=True))
    right_model = sum(verdict.llm == case.correct for verdict, case in zip(modelled, cases, strict=True))
    total = max(1, len(cases))
    wrong = [verdict.correct for verdict, case in zip(modelled, cases, strict=True) if not case.correct]
    right = [verdict.correct for verdict, case in zip(modelled, cases, strict=True) if case.correct]
    return JudgeReport(
        cases=len(cases),
        rule_accuracy=right_rule / total,
        model_accuracy=right_model / total,
        model_accepts_wrong=sum(wrong) / max(1, len(wrong)),
        model_rejects_right=1 - sum(right) / max(1, len(right)),
        agreement=tally.snapshot(),
    )


async def judge_all(judge: Judge, requests: Iterable[JudgeRequest], *, parallel: int = _PARALLEL) -> list[Verdict]:
    """All verdicts in order, at most ``parallel`` at a time; the first failure cancels the rest."""
    gate = asyncio.Semaphore(parallel)

    async def one(request: JudgeRequest) -> Verdict:
        async with gate:
            return await judge.judge(request)

    tasks = [asyncio.create_task(one(request)) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
