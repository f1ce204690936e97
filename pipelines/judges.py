"""How far the rule and the language-model judge agree on a run's own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipelines.crew import addresses
from pipelines.stage import Stage
from sindbad.agent.trajectory import Trajectory
from sindbad.clients import JudgeClient
from sindbad.judging.agreement import Agreement, AgreementTally
from sindbad.judging.verdict import JudgeMode, JudgeRequest, Verdict

IN_FLIGHT = 32


async def judge_agreement(stage: Stage, trajectories: Sequence[Trajectory]) -> Agreement:
    """Ask the judge service for both opinions on every given answer. Unanswered attempts are nobody's to judge."""
    slots, tally = asyncio.Semaphore(IN_FLIGHT), AgreementTally()
    async with JudgeClient(addresses(stage.run, "judge")) as judge:

        async def ask(item: Trajectory) -> Verdict:
            async with slots:
                request = JudgeRequest(item.question, item.gold_answer, item.answer, item.language, mode=JudgeMode.BOTH)
                return await judge.judge(request)

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(item)) for item in trajectories if item.answer]
        for task in asked:
            tally.add(bool(task.result().exact), task.result().llm)
    return tally.snapshot()
