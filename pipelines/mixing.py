"""A stage whose episodes run in a mix of environments: the controller over this run's services, and the gap it knows.

What was decided and why stands on every trajectory and, with the controller's state, in the stage's scratch folder
(`mix/<stage>-…/journal.jsonl`), so that a killed stage goes on where it was. A measured gap is `gaps/<stage>.json`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pipelines.crew import CrewSettings, crews, tool_client
from pipelines.stage import Stage
from sindbad import atomic
from sindbad.agent.agent import Agent
from sindbad.agent.store import append, stored_ids
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.clients import ToolClient
from sindbad.errors import InvalidInput
from sindbad.evaluation.agent import EvaluationConfig
from sindbad.evaluation.gap import measure_gap
from sindbad.evaluation.sets.question_set import evenly_by_language
from sindbad.judging.verdict import Judge
from sindbad.questions.question import Question
from sindbad.tools.environment import Purpose
from sindbad.tools.gap import Gap, read_gap
from sindbad.tools.mix import LIVE, SIMULATED, LiveSample, MixController, MixSettings
from sindbad.tools.mix_look import LiveLook, available
from sindbad.training.episode import agent_episode
from sindbad.training.mixed import MixedEpisodes, MixJournal, watching
from sindbad.training.remote import Arm


@asynccontextmanager
async def mixed_episode(
    stage: Stage,
    settings: CrewSettings,
    model_dir: str | Path,
    judge: Judge,
    purpose: Purpose,
    paired: Sequence[Question] = (),
) -> AsyncIterator[MixedEpisodes]:
    """An episode that runs each attempt where the stage's mix decides; the gap is measured on ``paired`` first.

    Raises InvalidInput when the search service has none of the environments that the mix plans.
    """
    mix = settings.mix or MixSettings()
    async with AsyncExitStack() as stack:
        asking = await stack.enter_async_context(tool_client(stage, settings, LIVE, purpose))
        look = _Look(asking, stage.run.name, settings.tools)
        kinds = await look.begin()
        if not kinds:
            raise InvalidInput("the search service offers no environment; see its settings")
        agents = await stack.enter_async_context(crews(stage, settings, model_dir, sorted(kinds), purpose))
        journal = MixJournal(stage.scratch("mix") / "journal.jsonl")
        stack.callback(journal.close)
        controller = MixController(mix, available=kinds)
        episodes = {kind: agent_episode(agent, judge) for kind, agent in agents.items()}
        mixed = MixedEpisodes(episodes, controller, journal, look.sample)
        if (gap := await _gap(stage, settings, mix, agents, judge, paired)) is not None:
            controller.measured(gap.reward)
            mixed.measured(gap.to_record())
            stage.say(f"sim-to-real gap, {controller.verdict}: {gap}")
        yield await stack.enter_async_context(watching(mixed))


class _Look:
    """Asks every replica of the search service."""

    def __init__(self, client: ToolClient, run: str, tools: Sequence[str]) -> None:
        self._client = client
        self._look = LiveLook(run, [tool for tool in tools if tool != "python"])

    async def begin(self) -> frozenset[EnvironmentKind]:
        """What was counted before now is not ours; returns what is available."""
        replicas = await self._client.status()
        self._look.skip(replicas)
        return available(replicas)

    async def sample(self) -> LiveSample:
        """What was new since the last look."""
        return self._look.sample(await self._client.status())


async def _gap(
    stage: Stage,
    settings: CrewSettings,
    mix: MixSettings,
    agents: Mapping[EnvironmentKind, Agent],
    judge: Judge,
    paired: Sequence[Question],
) -> Gap | None:
    """Measured now, or by an earlier attempt at this very stage, or read from the file that the mix names."""
    folder = stage.scratch("gap")
    if (folder / "gap.json").exists():
        return read_gap(folder / "gap.json")
    if not mix.gap.questions or not paired or not {SIMULATED, LIVE} <= agents.keys():
        return read_gap(mix.gap.file) if mix.gap.file else None
    simulated, live = (Arm(agent_episode(agents[kind], judge), agents[kind].environment) for kind in (SIMULATED, LIVE))
    config = EvaluationConfig(attempts=mix.gap.attempts, in_flight=mix.gap.in_flight, seed=mix.seed)
    chosen = evenly_by_language(paired, mix.gap.questions)
    gap, *made = await measure_gap(
        simulated, live, chosen, config, name=f"{stage.name}-gap", journals=folder / "journals",
        deadline_seconds=settings.agent.tool_deadline_seconds,
    )  # fmt: skip
    for kind, attempts in zip((SIMULATED, LIVE), made, strict=True):
        if not stored_ids(folder / str(kind)):
            append(folder / str(kind), attempts)
    atomic.write_json(stage.folder("gaps") / f"{stage.name}.json", gap.to_record())
    atomic.write_json(folder / "gap.json", gap.to_record())
    return gap
