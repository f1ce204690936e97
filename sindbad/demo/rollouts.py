"""Oracle attempts through the agent's own state machine: their ids are exactly what the agent would have produced."""

from __future__ import annotations

from collections.abc import Mapping

from sindbad.agent.agent import EPISODES
from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig
from sindbad.agent.react import Episode, Task
from sindbad.agent.summarize import Summarizer
from sindbad.agent.trajectory import Trajectory
from sindbad.demo.oracle import OracleNoise, OraclePolicy, OracleTurn
from sindbad.engines.protocol import Completion, FinishReason
from sindbad.languages import get_pack
from sindbad.questions.question import Question
from sindbad.tools.environment import Environment

DEADLINE_SECONDS = 30.0


async def play(
    question: Question,
    names: Mapping[str, str],
    environment: Environment,
    tokenizer: ChatTokenizer,
    config: AgentConfig,
    *,
    summarizer: Summarizer | None = None,
    noise: OracleNoise | None = None,
    attempt: int = 0,
) -> Trajectory:
    """One oracle attempt, judged by normalised exact match (reward 0 or 1).

    Args:
        names: entity id -> name in the question's language.
        summarizer: needed where ``config`` says resum.
        attempt: seeds the noise and, through the trajectory id, the environment's faults.
    """
    oracle = OraclePolicy(question, names, noise, seed=attempt)
    task = task_of(question, attempt)
    episode = EPISODES[config.paradigm](task, tokenizer, config, environment=environment.kind, tools=environment.tools)
    observation: str | None = None
    summary = ""
    while not episode.done:
        episode.accept_turn(_completion(tokenizer, oracle.next_turn(observation, summary=summary)))
        summary = ""
        if episode.pending_call is not None:
            seen = await environment.call(episode.pending_call, task.scope, deadline_seconds=DEADLINE_SECONDS)
            observation = seen.text
            episode.accept_observation(seen)
        if episode.wants_summary and summarizer is not None:
            summary = await _restart(episode, summarizer)
    return judged(episode.trajectory, question)


async def _restart(episode: Episode, summarizer: Summarizer) -> str:
    """The summary that the next segment starts from; empty when the history stays."""
    summary = await summarizer.summarize(
        episode.task.question,
        episode.conversation,
        last_summary=episode.segment.summary,
        language=episode.task.language,
        deadline_seconds=DEADLINE_SECONDS,
    )
    return episode.segment.summary if episode.accept_summary(summary) else ""


def task_of(question: Question, attempt: int) -> Task:
    """The agent's task; ``attempt`` makes the trajectory id unique."""
    return Task(
        trajectory_id=f"demo-{question.question_id}-{attempt}",
        question=question.text,
        language=question.language,
        corpus=question.world_id,
        question_id=question.question_id,
        gold_answer=question.answer,
        world_id=question.world_id,
        question_kind=question.kind,
    )


def _completion(tokenizer: ChatTokenizer, turn: OracleTurn) -> Completion:
    ids = tokenizer.assistant_turn(turn.thought, tool_call=turn.tool_call, answer=turn.answer)
    return Completion(tuple(ids), (0.0,) * len(ids), (-1,) * len(ids), FinishReason.STOP)


def judged(trajectory: Trajectory, question: Question) -> Trajectory:
    """Reward 1 for a normalised exact match, unless the agent has scored it already."""
    if trajectory.reward is None:
        given = trajectory.answer or ""
        correct = get_pack(question.language).same_answer(given, question.answer, question.aliases)
        trajectory.reward, trajectory.verdict_by = float(correct), "exact"
    return trajectory
