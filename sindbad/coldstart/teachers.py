"""Who writes the attempts: the graph oracle, a policy service, or any OpenAI-compatible endpoint.

A teacher makes one attempt at one question and gives it its verdict; the same question and number always give the same
trajectory id, and for the oracle the same attempt. An endpoint and a policy with a tokenizer of its own are told our
dialogue as text, and what they write becomes ids of OUR tokenizer; a policy that shares it keeps its sampled ids.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sindbad.agent.agent import Agent
from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig
from sindbad.agent.parsing import split_tags
from sindbad.agent.react import Task
from sindbad.agent.summarize import Summarizer
from sindbad.agent.trajectory import Termination, Trajectory
from sindbad.coldstart.retelling import forget_sampling
from sindbad.demo.oracle import HEADS, OracleNoise
from sindbad.engines.protocol import FinishReason, Generator, SamplingParams, TokenChunk, complete
from sindbad.errors import InvalidInput, Unavailable
from sindbad.judging.verdict import Judge
from sindbad.questions.question import Question
from sindbad.tools.environment import Environment
from sindbad.training.episode import judge_trajectory
from sindbad.training.rollout import episode_seed

Names = Callable[[Question], Mapping[str, str]]
"""Entity id -> name in the question's language, for the oracle."""


class Teacher(Protocol):
    """Makes attempts."""

    @property
    def name(self) -> str:
        """For ids and the card: "oracle", a model's name."""
        ...

    @property
    def prefix(self) -> str:
        """Of the ids of its attempts."""
        ...

    def identity(self) -> dict[str, str]:
        """What decides what it writes, for the journal's key and the lineage. Holds no secrets."""
        ...

    async def attempt(self, question: Question, number: int) -> Trajectory:
        """One attempt, judged.

        Raises:
            InvalidInput: this question can't be attempted (its kind is unknown, it does not fit): final.
            SindbadError: the platform failed: the same attempt may be made again.
        """
        ...


def trajectory_id(prefix: str, question: Question, number: int) -> str:
    """The id of an attempt: one a question, language and number."""
    return f"{prefix}-{question.question_id}-{number}"


@dataclass(frozen=True, slots=True)
class OracleTeacher:
    """The noisy graph oracle of the demo, offline: no model at all. Judged by normalised exact match.

    Covered: the question kinds and sentence templates that :mod:`sindbad.demo.oracle` reads.

    Args:
        about: further identity (tools and what they search, where names come from, who summarises).
    """

    names: Names
    environment: Environment
    tokenizer: ChatTokenizer
    config: AgentConfig
    summarizer: Summarizer | None = None
    noise: OracleNoise = field(default_factory=OracleNoise)
    prefix: str = "demo"
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """See :class:`Teacher`."""
        return "oracle"

    def identity(self) -> dict[str, str]:
        """See :class:`Teacher`."""
        own = {"teacher": self.name, "noise": repr(self.noise), **self.about}
        return own | agent_identity(self.config, self.tokenizer)

    async def attempt(self, question: Question, number: int) -> Trajectory:
        """See :class:`Teacher`."""
        from sindbad.demo.rollouts import play

        if question.kind not in HEADS:
            raise InvalidInput(f"the oracle knows no questions of kind {question.kind!r}", reason="UNKNOWN_KIND")
        names = self.names(question)
        if not {clue.object for clue in question.clues if not clue.object.startswith("?")} <= names.keys():
            raise InvalidInput("the oracle has no name for an entity of the question", reason="UNKNOWN_ENTITY")
        made = await play(
            question, names, self.environment, self.tokenizer, self.config,
            summarizer=self.summarizer, noise=self.noise, attempt=number,
        )  # fmt: skip
        return forget_sampling(made)


@dataclass(frozen=True, slots=True)
class AgentTeacher:
    """Any agent: its generator may be a policy service, an engine in this process, or an endpoint.

    Args:
        sampled: the ids were sampled by a policy with our tokenizer, so they keep log-probabilities and versions.
        about: further identity (model, address, version).
    """

    agent: Agent
    judge: Judge
    model: str
    seed: int = 0
    sampled: bool = False
    about: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "teacher"

    @property
    def name(self) -> str:
        """See :class:`Teacher`."""
        return self.model

    def identity(self) -> dict[str, str]:
        """See :class:`Teacher`."""
        own = {"teacher": self.model, "seed": str(self.seed), **self.about}
        return own | agent_identity(self.agent.config, self.agent.tokenizer)

    async def attempt(self, question: Question, number: int) -> Trajectory:
        """See :class:`Teacher`."""
        name = trajectory_id(self.prefix, question, number)
        task = Task(
            trajectory_id=name,
            question=question.text,
            language=question.language,
            corpus=question.world_id,
            question_id=question.question_id,
            gold_answer=question.answer,
            world_id=question.world_id,
            question_kind=question.kind,
        )
        made = await self.agent.run(task, seed=episode_seed(self.seed, name))
        if made.termination is Termination.ABORTED:
            raise Unavailable(f"{self.model} stopped {name} halfway; run it again")
        await judge_trajectory(made, question, self.judge)
        return made if self.sampled else forget_sampling(made)


def agent_identity(config: AgentConfig, tokenizer: ChatTokenizer) -> dict[str, str]:
    """Limits and wording that decide the ids."""
    return {"agent": config.model_dump_json(), "prompts": tokenizer.prompt_digest()}


@dataclass(frozen=True, slots=True)
class ForeignPolicy:
    """A policy with a tokenizer of its own as a generator in OUR ids: told the dialogue, its words are written anew.

    ``max_tokens`` counts its own tokens. Nobody sampled what comes out (see :mod:`sindbad.engines.chat_endpoint`).
    """

    generator: Generator
    theirs: ChatTokenizer
    ours: ChatTokenizer
    max_tokens: int = 4096

    async def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        """One chunk: the whole reply. Raises as the policy does."""
        from sindbad.engines.chat_endpoint import turn_ids

        asked = SamplingParams(
            self.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k,
            (self.theirs.end_of_turn_id,), sampling.seed,
        )  # fmt: skip
        reply = await complete(self.generator, self._prompt(prompt_ids), asked, min_version=min_version)
        written = [token_id for token_id in reply.token_ids if token_id != self.theirs.end_of_turn_id]
        ids = turn_ids(self.theirs.text(written), self.ours)
        ids = ids if reply.finish_reason is FinishReason.STOP else ids[:-1]
        yield TokenChunk(tuple(ids), (0.0,) * len(ids), (-1,) * len(ids), reply.finish_reason)

    def _prompt(self, prompt_ids: Sequence[int]) -> list[int]:
        from sindbad.engines.chat_endpoint import messages_of

        turns = []
        for message in messages_of(prompt_ids, self.ours):
            role, content = message["role"], message["content"]
            marked = role != "system"  # the system prompt shows tags as text
            ids = self.theirs.encode_marked(split_tags(content)) if marked else self.theirs.encode_text(content)
            turns.append((role, ids))
        return self.theirs.dialogue(turns)
