"""The services as a pipeline step uses them: found through the run's `services.json`, reached through the clients."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.stage import Stage
from sindbad.agent.agent import Agent
from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.prompts import load_prompts
from sindbad.agent.summarize import Writer
from sindbad.agent.trajectory import EnvironmentKind, Trajectory
from sindbad.clients import (
    JudgeClient,
    ModelControlClient,
    PolicyClient,
    SummarizerClient,
    ToolClient,
    TranslatorClient,
)
from sindbad.errors import DeadlineExceeded, NotFound
from sindbad.supervisor.registry import read_registry
from sindbad.tools.render import Style
from sindbad.training.episode import agent_episode
from sindbad.training.rollout import Episode, Ticket
from sindbad.weights import WeightStore, WeightVersion

SWAP_SECONDS = 120.0
SERVICES_VARIABLE, WEIGHTS_VARIABLE = "SINDBAD_SERVICES", "SINDBAD_WEIGHTS_ROOT"
"""Set by the chart's ConfigMap for a pipeline in the cluster: addresses as in services.json, and the shared volume."""


class CrewSettings(BaseModel):
    """How a step's agent is put together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent: AgentConfig
    """Limits and choices of an attempt."""
    environment: EnvironmentKind = EnvironmentKind.SIMULATED
    """Where tool calls go."""
    prompts: str = "demo"
    """The prompt set (sindbad/agent/prompts)."""
    style: Literal["compact", "full"] = "compact"
    """How search results are shown."""
    summary_writer: Writer = Writer.RULES
    """Who writes the summaries."""
    tools: tuple[str, ...] = ("search", "visit")
    """Tools on offer."""
    top_k: int = Field(default=4, ge=1)
    """Results a query."""


def addresses(run: Path, service: str, kind: str = "address") -> list[str]:
    """Every replica of a service: of this run, or those that the environment names (on a cluster, by the chart).

    Raises NotFound when the services are not up.
    """
    elsewhere = os.environ.get(SERVICES_VARIABLE)
    table = json.loads(elsewhere) if elsewhere else read_registry(run)
    found = [replica[kind] for replica in table.get(service, []) if replica.get(kind)]
    if not found:
        raise NotFound(f"no {kind} of the service {service}; start it with `sindbad up --run {run.name}`")
    return found


async def serve(stage: Stage, service: str, model_dir: str | Path) -> WeightVersion:
    """Make ``service`` serve ``model_dir``: publish it as the newest version and wait for every replica.

    Weights that are the current version already are not published again.
    """
    store = weight_store(stage, service)
    current = store.current()
    if current is None or not _same_files(current, Path(model_dir)):
        current = await asyncio.to_thread(store.publish, model_dir, metadata={"stage": stage.name})
    await wait_for_version(stage.run, service, current.number)
    store.collect_garbage(keep=4)
    return current


def weight_store(stage: Stage, service: str) -> WeightStore:
    """The store that the replicas of ``service`` follow: the run's, or the one on the cluster's shared volume."""
    root = os.environ.get(WEIGHTS_VARIABLE)
    return WeightStore(Path(root) / service if root else stage.folder("models", service))


async def wait_for_version(run: Path, service: str, number: int) -> None:
    """Return once every replica serves at least version ``number``. Raises DeadlineExceeded naming who does not."""
    async with AsyncExitStack() as stack:
        for address in addresses(run, service, "control_address"):
            control = await stack.enter_async_context(ModelControlClient(address))
            try:
                async with asyncio.timeout(SWAP_SECONDS):
                    await _reach(control, number)
            except TimeoutError as error:
                message = f"{service} at {address} did not load version {number} in {SWAP_SECONDS:.0f} s; see its log"
                raise DeadlineExceeded(message) from error


async def _reach(control: ModelControlClient, number: int) -> None:
    while ((await control.get()).version or 0) < number:  # noqa: ASYNC110 - it waits for another process
        await asyncio.sleep(0.1)


def _same_files(version: WeightVersion, folder: Path) -> bool:
    from sindbad.weights.manifest import record_files

    return record_files(folder) == version.manifest.files


@asynccontextmanager
async def crew(stage: Stage, settings: CrewSettings, model_dir: str | Path) -> AsyncIterator[Agent]:
    """An agent over this run's services; ``model_dir`` holds the policy's tokenizer."""
    run = stage.run
    chat = ChatTokenizer.from_dir(model_dir, load_prompts(settings.prompts))
    async with AsyncExitStack() as stack:
        policy = await stack.enter_async_context(PolicyClient(addresses(run, "policy")))
        tools = ToolClient(
            addresses(run, "search"),
            kind=settings.environment,
            tools=settings.tools,
            style=Style(settings.style),
            top_k=settings.top_k,
        )
        stack.push_async_callback(tools.close)
        summarizer = None
        if settings.agent.paradigm is Paradigm.RESUM:
            client = SummarizerClient(addresses(run, "summarizer"), writer=settings.summary_writer)
            summarizer = await stack.enter_async_context(client)
        yield Agent(policy, tools, chat, settings.agent, summarizer)


@asynccontextmanager
async def judged_episode(
    stage: Stage, settings: CrewSettings, model_dir: str | Path, *, min_version: int = 0
) -> AsyncIterator[Episode]:
    """One attempt with its verdict, for collectors: the agent of :func:`crew` and the judge service.

    ``min_version`` holds for every attempt, so that a replica restarted with older weights is never asked.
    """
    async with crew(stage, settings, model_dir) as agent, JudgeClient(addresses(stage.run, "judge")) as judge:
        attempt = agent_episode(agent, judge)

        async def episode(ticket: Ticket) -> Trajectory:
            return await attempt(replace(ticket, min_version=max(min_version, ticket.min_version)))

        yield episode


@asynccontextmanager
async def translator(stage: Stage) -> AsyncIterator[TranslatorClient]:
    """The translator service."""
    async with TranslatorClient(addresses(stage.run, "translator")) as client:
        yield client
