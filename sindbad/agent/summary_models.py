"""Summaries written by a language model: the policy itself, or a model trained for it (ReSumTool).

One class for both; only generator, tokenizer and label differ. As ReSum's code does: the think block is stripped, only
text inside summary tags is kept, without tags the whole text counts, the second call gets the last summary. A reply
that is empty or cut off is tried again with another seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sindbad.agent.chat import ChatTokenizer
from sindbad.agent.config import Sampling
from sindbad.agent.parsing import extract_summary, parse_turn
from sindbad.agent.react import derive_seed
from sindbad.agent.summarize import ConversationTurn, Role, Summarizer, Summary, Writer
from sindbad.engines.protocol import Completion, Generator, SamplingParams, complete
from sindbad.errors import DeadlineExceeded, EngineFailure, InvalidInput, NoModel


@dataclass(frozen=True, slots=True)
class LanguageModelSummarizer:
    """Asks ``generator`` for a summary.

    ``context_limit`` bounds prompt and reply together: the oldest observations are left out first, then the oldest
    thoughts, so a policy that summarises for itself never sees more than its own limit. Defaults are ReSum's.
    """

    generator: Generator
    tokenizer: ChatTokenizer
    by: Writer
    context_limit: int = 32 * 1024
    max_tokens: int = 4096
    attempts: int = 3
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.6, top_p=0.95))

    async def summarize(
        self,
        question: str,
        conversation: Sequence[ConversationTurn],
        *,
        last_summary: str,
        language: str,
        deadline_seconds: float,
    ) -> Summary:
        """See :class:`sindbad.agent.summarize.Summarizer`; text is empty when every attempt came back empty."""
        prompt = self.prompt_ids(question, conversation, last_summary=last_summary, language=language)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._ask(prompt, question)
        except TimeoutError as error:
            raise DeadlineExceeded("The summary was not written in time; see summary_deadline_seconds.") from error

    async def _ask(self, prompt: list[int], question: str) -> Summary:
        written, text, version = 0, "", None
        for attempt in range(self.attempts):
            reply = await complete(self.generator, prompt, self._params(question, attempt, len(prompt)))
            written += len(reply.token_ids)
            version = reply.weight_versions[-1] if reply.weight_versions else None
            text = self._text(reply)
            if text:
                break
        return Summary(text, self.by, len(prompt), written, version)

    def _text(self, reply: Completion) -> str:
        return extract_summary(
            [piece for piece in self.tokenizer.pieces(reply.token_ids) if not piece.tag.startswith("<|")]
        )

    def _params(self, question: str, attempt: int, used: int) -> SamplingParams:
        return SamplingParams(
            max_tokens=min(self.max_tokens, self.context_limit - used),
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            top_k=self.sampling.top_k,
            stop_token_ids=(self.tokenizer.end_of_turn_id,),
            seed=derive_seed(attempt, question, used),
        )

    def prompt_ids(
        self, question: str, conversation: Sequence[ConversationTurn], *, last_summary: str, language: str
    ) -> list[int]:
        """The summary call's prompt, shortened to leave room for a reply. Raises InvalidInput when it can't be."""
        turns = [self._turn_ids(turn) for turn in conversation]
        tools = [index for index, turn in enumerate(conversation) if turn.role is Role.TOOL]
        order = [*tools, *(index for index in range(len(turns)) if index not in set(tools))]
        frame = self.tokenizer.summary_prompt(question, [], language, last_summary=last_summary)
        room = self.context_limit - len(frame) - min(self.max_tokens, self.context_limit // 4)
        if room <= 0:
            raise InvalidInput("Question and last summary leave the summariser no room; raise its context_limit.")
        for index in order:
            if sum(map(len, turns)) <= room:
                break
            turns[index] = []
        kept = [token_id for ids in turns for token_id in ids]
        return self.tokenizer.summary_prompt(question, kept, language, last_summary=last_summary)

    def _turn_ids(self, turn: ConversationTurn) -> list[int]:
        if turn.role is Role.TOOL:
            return self.tokenizer.conversation_ids("", "", turn.text)
        parsed = parse_turn(turn.text)
        return self.tokenizer.conversation_ids(parsed.thought, parsed.raw_call, "")


@dataclass(frozen=True, slots=True)
class FallbackSummarizer:
    """``first`` writes; where its output is unusable (empty, failed, late) ``second`` steps in and says why.

    A missing model is no unusable output: NoModel is raised, because whoever asked for a model must know.
    """

    first: Summarizer
    second: Summarizer

    async def summarize(
        self,
        question: str,
        conversation: Sequence[ConversationTurn],
        *,
        last_summary: str,
        language: str,
        deadline_seconds: float,
    ) -> Summary:
        """See :class:`sindbad.agent.summarize.Summarizer`; ``fallback_reason`` is set when ``second`` wrote."""
        try:
            summary = await self.first.summarize(
                question,
                conversation,
                last_summary=last_summary,
                language=language,
                deadline_seconds=deadline_seconds,
            )
            reason = "" if summary.text else "EMPTY_SUMMARY"
        except NoModel:
            raise
        except (EngineFailure, DeadlineExceeded, InvalidInput) as error:
            summary, reason = Summary("", Writer.RULES), error.reason
        if not reason:
            return summary
        other = await self.second.summarize(
            question, conversation, last_summary=last_summary, language=language, deadline_seconds=deadline_seconds
        )
        return Summary(
            other.text, other.by, summary.prompt_tokens, summary.completion_tokens, other.weight_version, reason
        )
