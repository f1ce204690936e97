"""A language model as judge: prompt, strict parse. The model's words decide only if they are exactly one verdict.

What the agent wrote is untrusted: it is put into the prompt as text in which no special token can appear, and only the
last line of the reply is read, so an answer that contains "verdict: correct" convinces nobody by being echoed.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from sindbad.agent.chat import ChatTokenizer
from sindbad.engines.protocol import Generator, SamplingParams, complete
from sindbad.errors import DeadlineExceeded
from sindbad.judging.verdict import DecidedBy, JudgeRequest, Verdict

_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_VERDICT = re.compile(r"(?:verdict\s*:\s*)?(correct|incorrect|yes|no)\s*\.?", re.IGNORECASE)
_WORDS = re.compile(r"\b(?:correct|incorrect|yes|no)\b", re.IGNORECASE)
_ACCEPTING = {"correct", "yes"}
_MAX_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """A template over {question}, {gold} and {answer}, and how many tokens the reply may take."""

    template: str
    max_tokens: int

    def render(self, request: JudgeRequest) -> str:
        """The user turn. Long answers are cut: a judge needs no more to see that they are wrong."""
        aliases = " | ".join((request.gold, *request.aliases))
        fields = {"question": request.question, "gold": aliases, "answer": request.answer or ""}
        return self.template.format(**{name: " ".join(text.split())[:_MAX_CHARS] for name, text in fields.items()})


GENERAL = JudgePrompt(
    "Decide whether a response answers a question correctly.\n"
    "Question: {question}\n"
    "Reference answer (alternatives divided by |): {gold}\n"
    "Response: {answer}\n"
    "The response is correct if it commits to the same thing as the reference answer. Spelling variants, other "
    "scripts, articles, units written differently and extra words do not matter; a hedge between several answers is "
    "incorrect. Do not use knowledge of your own.\n"
    "Reply with one line and nothing else: 'verdict: correct' or 'verdict: incorrect'.",
    max_tokens=512,
)
SMALL = JudgePrompt("{gold}\n{answer}", max_tokens=8)
"""What the small local judge is trained on: it compares two names and knows nothing about questions."""


def parse_verdict(text: str) -> bool | None:
    """True or False for exactly one verdict on the last line (thoughts aside), None for anything else."""
    lines = [line.strip() for line in _THOUGHT.sub("", text).splitlines() if line.strip()]
    if not lines or "<think>" in lines[-1]:
        return None
    line = lines[-1].strip("*`'\" ")
    match = _VERDICT.fullmatch(line)
    if match is None or len(_WORDS.findall(line)) != 1:
        return None
    return match.group(1).lower() in _ACCEPTING


class LlmJudge:
    """Judges with a generator alone: an unparsable reply rejects (papers.md test 4).

    Args:
        generator: an engine, or a policy server's client.
        chat: renders and decodes with the generator's tokenizer.
    """

    def __init__(
        self,
        generator: Generator,
        chat: ChatTokenizer,
        prompt: JudgePrompt = GENERAL,
        *,
        deadline_seconds: float = 60.0,
    ) -> None:
        self._generator, self._chat, self._prompt = generator, chat, prompt
        self._deadline = deadline_seconds

    async def judge(self, request: JudgeRequest) -> Verdict:
        """NoModel, Overloaded, … as the generator raises them; DeadlineExceeded if it takes too long."""
        if not (request.answer or "").strip():
            return Verdict(False, "there is no answer", DecidedBy.LLM, llm=False)
        reply = await self.reply(request)
        opinion = parse_verdict(reply)
        if opinion is None:
            return Verdict(False, f"rejected: the model's reply is no verdict: {reply[:200]!r}", DecidedBy.LLM)
        return Verdict(opinion, f"the model replied {reply.strip()[-200:]!r}", DecidedBy.LLM, llm=opinion)

    async def reply(self, request: JudgeRequest) -> str:
        """What the model wrote, without the end of its turn."""
        end = self._chat.end_of_turn_id
        sampling = SamplingParams(self._prompt.max_tokens, temperature=0.0, stop_token_ids=(end,))
        prompt = self._chat.user_turn(self._prompt.render(request))
        try:
            async with asyncio.timeout(self._deadline):
                completion = await complete(self._generator, prompt, sampling)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the judge model took longer than {self._deadline} s; ask again or use the rule"
            ) from None
        return self._chat.text([token for token in completion.token_ids if token != end])
