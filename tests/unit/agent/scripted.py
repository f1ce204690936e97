"""A small tokenizer, a policy that reads its turns off a script, and tools that answer from a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tokenizers import AddedToken, Tokenizer, decoders, models

from sindbad.agent.chat import TAGS, ChatTokenizer
from sindbad.agent.parsing import render_call, split_tags
from sindbad.agent.prompts import PromptSet, load_prompts
from sindbad.agent.react import Task
from sindbad.agent.summarize import ConversationTurn, Summary, Writer
from sindbad.agent.trajectory import EnvironmentKind
from sindbad.engines.protocol import FinishReason, SamplingParams, TokenChunk
from sindbad.tools.environment import Observation, Scope, ToolCall, ToolSpec
from sindbad.tools.specs import WEB_TOOLS

SPECIALS = ("<|pad|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>", *TAGS)


def byte_tokenizer() -> Tokenizer:
    """One id a byte, behind the specials: lengths in tests can be counted by hand."""
    vocabulary = [("<unk>", 0.0), *((f"<0x{byte:02X}>", -1.0) for byte in range(256))]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return tokenizer


def make_chat(prompts: PromptSet | None = None) -> ChatTokenizer:
    return ChatTokenizer(byte_tokenizer(), prompts or load_prompts("demo"))


def visit(thought: str, title: str, goal: str = "was born in") -> str:
    return f"<think>{thought}</think><tool_call>{render_call('visit', {'urls': [title], 'goal': goal})}</tool_call>"


def answer(thought: str, text: str) -> str:
    return f"<think>{thought}</think><answer>{text}</answer>"


def make_task(question: str = "Where was Marota Lin born?", name: str = "t0") -> Task:
    return Task(name, question, "en", "w0000", question_id="q0", group_id="g0", gold_answer="Tavel")


@dataclass
class ScriptedPolicy:
    """Writes ``turns`` one after the other; log-probability i of a turn is -i/10, so that alignment can be checked."""

    chat: ChatTokenizer
    turns: Sequence[str]
    prompts: list[list[int]] = field(default_factory=list)
    params: list[SamplingParams] = field(default_factory=list)
    chunk: int = 7
    version: int = 3
    open_streams: int = 0
    endless: bool = False
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        text = self.turns[len(self.prompts)]
        self.prompts.append(list(prompt_ids))
        self.params.append(sampling)
        ids = [*self.chat.encode_marked(split_tags(text)), self.chat.end_of_turn_id]
        reason = FinishReason.STOP if len(ids) <= sampling.max_tokens else FinishReason.LENGTH
        ids = ids[: sampling.max_tokens]
        self.open_streams += 1
        self.began.set()
        try:
            for start in range(0, len(ids), self.chunk):
                await asyncio.sleep(0)
                part = tuple(ids[start : start + self.chunk])
                logprobs = tuple(-(start + offset) / 10 for offset in range(len(part)))
                last = start + self.chunk >= len(ids)
                yield TokenChunk(part, logprobs, (self.version,) * len(part), reason if last else None)
            if self.endless:
                await asyncio.sleep(3600)
        finally:
            self.open_streams -= 1


@dataclass
class DictionaryTools:
    """``pages[title]`` is what visiting a title shows; everything else is not found."""

    pages: Mapping[str, str]
    offered: tuple[ToolSpec, ...] = WEB_TOOLS
    calls: list[ToolCall] = field(default_factory=list)
    kind: EnvironmentKind = EnvironmentKind.SIMULATED
    on_call: Callable[[ToolCall], None] | None = None

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        return self.offered

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        self.calls.append(call)
        if self.on_call:
            self.on_call(call)
        title = str(call.arguments.get("urls", ["?"])[0])
        if title not in self.pages:
            return Observation("error: no such page", ok=False, error="no such page")
        return Observation(self.pages[title], urls=(title,), source="test", cost=0.5)


@dataclass
class ScriptedSummarizer:
    """Hands out ``texts`` one after the other and remembers what it was given."""

    texts: Sequence[str]
    asked: list[tuple[str, tuple[ConversationTurn, ...], str]] = field(default_factory=list)

    async def summarize(
        self,
        question: str,
        conversation: Sequence[ConversationTurn],
        *,
        last_summary: str,
        language: str,
        deadline_seconds: float,
    ) -> Summary:
        self.asked.append((question, tuple(conversation), last_summary))
        return Summary(self.texts[len(self.asked) - 1], Writer.RULES)
