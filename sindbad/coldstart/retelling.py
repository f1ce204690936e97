"""A recorded attempt told again with other thoughts: the same calls, observations and restarts, new token ids.

Goes through the agent's own state machine, so masks, segments and limits are the agent's. Told again with its own
thoughts, an attempt whose turns are in canonical form comes out with equal ids. Nobody sampled what comes out: no
log-probabilities, weight version -1.
"""

from __future__ import annotations

from collections.abc import Sequence

from sindbad.agent.chat import IM_END, ChatTokenizer
from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.agent.parsing import split_tags
from sindbad.agent.react import Episode, Task
from sindbad.agent.recorded import RecordedEpisode
from sindbad.agent.summarize import Summary, Writer
from sindbad.agent.trajectory import Step, Trajectory
from sindbad.engines.protocol import Completion, FinishReason
from sindbad.errors import PolicyFailure
from sindbad.tools.environment import Observation, ToolSpec


class DoesNotFit(PolicyFailure):
    """Told with these thoughts the attempt runs into a limit, or its parts no longer follow each other."""

    default_reason = "DOES_NOT_FIT"


def retell(
    source: Trajectory,
    tokenizer: ChatTokenizer,
    config: AgentConfig,
    tools: Sequence[ToolSpec],
    thoughts: Sequence[str | None] | None = None,
) -> Trajectory:
    """The attempt with ``thoughts`` in the place of its own.

    Args:
        thoughts: one a step (None keeps the step's own; a summary's is not looked at); None keeps all.

    Raises:
        DoesNotFit: see there. Also for recent_history, whose segments are no restarts that a recording names.
    """
    if config.paradigm is Paradigm.RECENT_HISTORY and len(source.segments) > 1:
        raise DoesNotFit(f"{source.trajectory_id}: a cut history can't be told again")
    episode = RecordedEpisode(_task(source), tokenizer, config, environment=source.environment, tools=tools)
    chosen = list(thoughts) if thoughts is not None else [None] * len(source.steps)
    for index, step in enumerate(episode.follow(source)):
        if episode.done:
            raise DoesNotFit(f"{source.trajectory_id}: ended early by {episode.trajectory.termination.value}")
        _say(episode, step, chosen[index])
    if not episode.done or episode.trajectory.termination is not source.termination:
        raise DoesNotFit(f"{source.trajectory_id}: told again it ends by {episode.trajectory.termination.value}")
    return _as_judged(episode.trajectory, source)


def _task(source: Trajectory) -> Task:
    return Task(
        trajectory_id=source.trajectory_id,
        question=source.question,
        language=source.language,
        corpus=source.world_id,
        question_id=source.question_id,
        group_id=source.group_id,
        gold_answer=source.gold_answer,
        world_id=source.world_id,
        question_kind=source.question_kind,
    )


def _say(episode: Episode, step: Step, thought: str | None) -> None:
    if step.kind == "summary":
        if not episode.wants_summary or not episode.accept_summary(Summary(step.text, Writer(step.tool))):
            raise DoesNotFit(f"{episode.task.trajectory_id}: its summary no longer fits")
        return
    episode.accept_turn(_completion(turn_with(step, thought), episode.tokenizer))
    if episode.pending_call is not None:
        seen = Observation(step.observation, ok=step.ok, source="recorded", latency_seconds=step.latency_seconds)
        episode.accept_observation(seen)


def turn_with(step: Step, thought: str | None) -> str:
    """The turn's text, tags written out, with another thought where one is given and the turn has one."""
    head, closing, rest = step.text.partition("</think>")
    if thought is None or not closing or not head.startswith("<think>"):
        return step.text
    return f"<think>{thought}</think>{rest}"


def _completion(text: str, tokenizer: ChatTokenizer) -> Completion:
    pieces = [piece for piece in split_tags(text) if piece.tag != IM_END]
    ids = (*tokenizer.encode_marked(pieces), tokenizer.end_of_turn_id)
    return Completion(ids, (0.0,) * len(ids), (-1,) * len(ids), FinishReason.STOP)


def _as_judged(made: Trajectory, source: Trajectory) -> Trajectory:
    """With the source's verdict and costs: its answer and its calls are the source's."""
    made.reward, made.verdict, made.verdict_by = source.reward, source.verdict, source.verdict_by
    made.wall_seconds, made.cost, made.environment_reason = source.wall_seconds, source.cost, source.environment_reason
    return forget_sampling(made)


def forget_sampling(made: Trajectory) -> Trajectory:
    """Mark every token as sampled by nobody, in place: what a teacher wrote has no behaviour log-probability here."""
    for segment in made.segments:
        segment.logprobs = [None] * len(segment.token_ids)
        segment.weight_versions = [-1] * len(segment.token_ids)
    return made
