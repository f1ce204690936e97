"""The agent's loop as a state machine without tasks, clocks or sockets: ReAct, and the seams for the other paradigms.

The shell (:mod:`sindbad.agent.agent`) samples what :meth:`Episode.sampling` asks for, hands the tokens to
:meth:`Episode.accept_turn`, carries out :attr:`Episode.pending_call`, hands the result to
:meth:`Episode.accept_observation`, and summarises when :attr:`Episode.wants_summary`.

Invariants: ids once appended never change; a segment holds exactly what the policy saw, so an observation that no turn
followed (budget gone, context gone, or summarised at once) is in ``steps`` but not in ``token_ids``; every tool call,
malformed ones included, counts against one budget that no restart resets; an attempt that ends in anything but an
answer, or that broke the format, has reward 0 without asking a judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import AgentConfig, OnFormatViolation, OnMalformedCall, OnNoAction
from sindbad.agent.parsing import Turn, TurnKind, parse_turn
from sindbad.agent.summarize import ConversationTurn, Role, Summary
from sindbad.agent.trajectory import EnvironmentKind, Segment, Step, Termination, Trajectory
from sindbad.engines.protocol import Completion, FinishReason, SamplingParams
from sindbad.errors import InvalidInput
from sindbad.tools.environment import Caller, Observation, Scope, ToolCall, ToolSpec
from sindbad.tools.record_format import attempt_name

PROMPT_TOO_LONG = "PROMPT_TOO_LONG"
"""Reason of the InvalidInput for a question that does not fit under its limits: it fails alone, its batch goes on."""
LONGEST_TOKEN_CHARS = 64
"""No tokenizer makes longer tokens on average: of an observation nothing beyond can be shown, so none is encoded."""


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt to be made. ``gold_answer`` is recorded for the judge and never shown to the policy.

    ``attempt`` tells this attempt apart from others at the same trajectory that were lost halfway: a recording keeps
    their tool calls apart by it.
    """

    trajectory_id: str
    question: str
    language: str
    corpus: str
    question_id: str = ""
    group_id: str = ""
    gold_answer: str = ""
    world_id: str = ""
    question_kind: str = ""
    attempt: str = ""

    @property
    def scope(self) -> Scope:
        """What its tool calls may see, and who makes them."""
        episode = attempt_name(self.trajectory_id, self.attempt) if self.attempt else self.trajectory_id
        return Scope(self.corpus, self.language, trace_id=self.trajectory_id, caller=Caller(episode=episode))


def derive_seed(run_seed: int, trajectory_id: str, turn: int) -> int:
    """31-bit seed of one turn: a function of the run, the attempt and the turn only, whatever else runs beside it."""
    digest = hashlib.blake2b(f"{run_seed}/{trajectory_id}/{turn}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 33


def _at_most(completion: Completion, tokens: int) -> Completion:
    if len(completion.token_ids) <= tokens:
        return completion
    return Completion(
        completion.token_ids[:tokens],
        completion.logprobs[:tokens],
        completion.weight_versions[:tokens],
        FinishReason.LENGTH,
    )


class Episode:
    """One attempt in progress.

    Raises:
        InvalidInput: the question is empty, or its prompt alone does not fit under its limits.
    """

    def __init__(
        self,
        task: Task,
        tokenizer: ChatTokenizer,
        config: AgentConfig,
        *,
        environment: EnvironmentKind,
        tools: Sequence[ToolSpec] = (),
        seed: int = 0,
    ) -> None:
        if not task.question.strip():
            raise InvalidInput("The question is empty; ask something.")
        self.task, self.tokenizer, self.config, self.tools, self.seed = task, tokenizer, config, tuple(tools), seed
        self.turns = 0
        self.done = False
        self.pending_call: ToolCall | None = None
        self.refusal: Observation | None = None
        self.conversation: list[ConversationTurn] = []
        prompt = tokenizer.segment_prompt(task.question, task.language, tools=tools)
        if len(prompt) > config.longest_prompt:
            raise InvalidInput(
                f"The prompt takes {len(prompt)} tokens and leaves no room under the limit of {config.context_limit}; "
                f"it may take {config.longest_prompt}. Shorten the question, or raise those limits.",
                reason=PROMPT_TOO_LONG,
                metadata={"environment": environment.value},
            )
        self.trajectory = self._new_trajectory(environment)
        self.trajectory.segments.append(Segment(prompt))
        self._block: list[int] = []

    def _new_trajectory(self, environment: EnvironmentKind) -> Trajectory:
        task = self.task
        return Trajectory(
            trajectory_id=task.trajectory_id,
            question_id=task.question_id,
            group_id=task.group_id or task.question_id,
            environment=environment,
            language=task.language,
            question=task.question,
            gold_answer=task.gold_answer,
            world_id=task.world_id or task.corpus,
            question_kind=task.question_kind,
        )

    # -- what the shell reads ----------------------------------------------------------------------------------------

    @property
    def segment(self) -> Segment:
        """The context window in use."""
        return self.trajectory.segments[-1]

    @property
    def context_ids(self) -> list[int]:
        """Everything the policy sees now."""
        return self.segment.prompt_ids + self.segment.token_ids

    @property
    def limit(self) -> int:
        """Longest context of the segment in use."""
        return self.config.segment_limit(len(self.segment.prompt_ids))

    @property
    def wants_summary(self) -> bool:
        """The trigger fired after the last observation; only ReSum ever says so."""
        return False

    def sampling(self) -> SamplingParams:
        """How to sample the next turn: never over the context limit, with the seed of this turn."""
        room = self.limit - len(self.segment)
        how = self.config.sampling
        return SamplingParams(
            max_tokens=min(self.config.max_turn_tokens, room),
            temperature=how.temperature,
            top_p=how.top_p,
            top_k=how.top_k,
            stop_token_ids=(self.tokenizer.end_of_turn_id,),
            seed=derive_seed(self.seed, self.task.trajectory_id, self.turns),
        )

    # -- turns -------------------------------------------------------------------------------------------------------

    def accept_turn(self, completion: Completion) -> Turn:
        """Append what the policy sampled and decide what follows: a call, an error observation, or the end.

        More tokens than :meth:`sampling` asked for are cut off: no driver or engine can exceed the context limit.
        """
        completion = _at_most(completion, self.sampling().max_tokens)
        ids = list(completion.token_ids)
        self.refusal = None
        self.segment.append_sampled(ids, list(completion.logprobs), list(completion.weight_versions))
        self.turns += 1
        turn = parse_turn(self.tokenizer.pieces(ids))
        text = self.tokenizer.spoken([token_id for token_id in ids if token_id != self.tokenizer.end_of_turn_id])
        self.conversation.append(ConversationTurn(Role.ASSISTANT, text))
        if completion.finish_reason is not FinishReason.STOP:
            return self._cut_turn(turn, text, completion.finish_reason)
        turn = self._known_tool(turn)
        self._record(turn, text)
        if turn.violations:
            self.trajectory.format_ok = False
        if turn.violations and self.config.on_format_violation is OnFormatViolation.TERMINATE:
            self._finish(Termination.FORMAT)
        else:
            self._follow(turn)
        return turn

    def _cut_turn(self, turn: Turn, text: str, reason: FinishReason) -> Turn:
        """A turn without its end: the context was full, the turn too long, or the caller went away."""
        self.trajectory.steps.append(Step("malformed", self._index, text, thought=turn.thought, ok=False))
        full = len(self.segment) >= self.limit
        cut = Termination.CONTEXT_EXHAUSTED if full else Termination.TURN_TOO_LONG
        self._finish(cut if reason is FinishReason.LENGTH else Termination.ABORTED)
        return Turn(TurnKind.NO_ACTION, turn.thought, reason="the turn was cut off")

    def _known_tool(self, turn: Turn) -> Turn:
        names = {tool.name for tool in self.tools}
        if turn.call is None or not names or turn.call.name in names:
            return turn
        reason = f"there is no tool named {turn.call.name[:40]}"
        return replace(turn, kind=TurnKind.MALFORMED, call=None, reason=reason)

    def _record(self, turn: Turn, text: str) -> None:
        kinds = {TurnKind.CALL: "act", TurnKind.ANSWER: "answer"}
        self.trajectory.steps.append(
            Step(
                kind=kinds.get(turn.kind, "malformed"),
                segment=self._index,
                text=text,
                thought=turn.thought,
                tool=turn.call.name if turn.call else "",
                arguments=turn.raw_call,
                ok=turn.kind in kinds,
            )
        )

    def _follow(self, turn: Turn) -> None:
        if turn.kind is TurnKind.ANSWER:
            self.trajectory.answer = turn.answer
            self._finish(Termination.ANSWER)
        elif turn.kind is TurnKind.CALL:
            self.trajectory.tool_calls += 1
            self.pending_call = turn.call
        elif turn.kind is TurnKind.MALFORMED and self.config.on_malformed_call is OnMalformedCall.OBSERVE:
            self.trajectory.tool_calls += 1
            self._refuse(turn.reason)
        elif turn.kind is TurnKind.NO_ACTION and self.config.on_no_action is OnNoAction.OBSERVE:
            self._refuse(turn.reason)
        else:
            self.trajectory.format_ok = False
            self._finish(Termination.FORMAT)

    def _refuse(self, reason: str) -> None:
        wording = self.tokenizer.prompts.for_language(self.task.language).malformed_call
        self.refusal = Observation(wording.replace("{reason}", reason), ok=False, error=reason, source="agent")
        self.accept_observation(self.refusal)

    # -- observations ------------------------------------------------------------------------------------------------

    def accept_observation(self, observation: Observation) -> None:
        """Take in a tool's answer; afterwards the episode is done, wants a summary, or is ready for the next turn."""
        self.pending_call = None
        text = self.tokenizer.quoted(observation.text[: self.config.max_observation_tokens * LONGEST_TOKEN_CHARS])
        ids = self.tokenizer.encode_text(text)
        shown = ids[: self.config.max_observation_tokens]
        self._block = self.tokenizer.observation_block(shown)
        seen = text if len(shown) == len(ids) else self.tokenizer.text(shown)
        self.conversation.append(ConversationTurn(Role.TOOL, seen))
        step = self.trajectory.steps[-1]
        step.observation, step.ok = text, step.ok and observation.ok
        step.latency_seconds = observation.latency_seconds
        self.trajectory.cost += observation.cost
        if self.trajectory.tool_calls >= self.config.max_tool_calls:
            self._finish(Termination.CALLS_EXHAUSTED)
        elif self.turns >= self.config.max_turns:
            self._finish(Termination.TURNS_EXHAUSTED)
        else:
            self._make_room()

    def _make_room(self) -> None:
        """ReAct does nothing about a full context: the attempt fails there (ReSum App. D.1)."""
        self._continue()

    def _continue(self) -> None:
        """Show the pending observation to the policy, or fail when no turn fits after it."""
        if len(self.segment) + len(self._block) + self.config.min_turn_tokens > self.limit:
            self._finish(Termination.CONTEXT_EXHAUSTED)
            return
        self.segment.append_observed(self._block)
        self._block = []

    def accept_summary(self, summary: Summary | None) -> bool:
        """Restart from ``summary``; False when the history stays as it is. Only ReSum is ever asked."""
        raise NotImplementedError

    # -- the end -----------------------------------------------------------------------------------------------------

    @property
    def _index(self) -> int:
        return len(self.trajectory.segments) - 1

    def _finish(self, termination: Termination) -> None:
        self.done = True
        self.trajectory.termination = termination
        if termination is not Termination.ANSWER or not self.trajectory.format_ok:
            self.trajectory.reward = 0.0
            self.trajectory.verdict_by = "format" if not self.trajectory.format_ok else "termination"
