"""Generators for tests: they answer a prompt's text by a function, through the real tokenizer and renderer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from typing import Any

from sindbad.engines.protocol import FinishReason, SamplingParams, TokenChunk
from sindbad.translation.prompts import PromptStyle, stop_ids, translation_prompt


@cache
def tokenizer() -> Any:
    """The demo's tiny tokenizer."""
    from sindbad.demo.tokenizer import build_tokenizer

    return build_tokenizer()


class Scripted:
    """``answer(text, attempt)``: what stands after the prompt's template, and the number of earlier askings of it."""

    def __init__(
        self,
        answer: Callable[[str, int], str],
        *,
        style: PromptStyle = PromptStyle.LIGHT,
        finish: FinishReason = FinishReason.STOP,
        delay: float = 0.0,
    ) -> None:
        self.answer, self.style, self.finish, self.delay = answer, style, finish, delay
        self.asked: list[str] = []
        self.running = 0
        self.cancelled = 0

    async def generate(
        self, prompt_ids: Sequence[int], sampling: SamplingParams, *, min_version: int = 0
    ) -> AsyncIterator[TokenChunk]:
        chat = tokenizer().decode(list(prompt_ids), skip_special_tokens=False)
        body = chat.split("<|im_start|>user\n", 1)[1].rsplit("<|im_end|>", 1)[0]
        text = body.removeprefix(translation_prompt("", self.style))
        attempt = self.asked.count(text)
        self.asked.append(text)
        self.running += 1
        try:
            await asyncio.sleep(self.delay)
            ids = (*tokenizer().encode(self.answer(text, attempt), add_special_tokens=False), *stop_ids(tokenizer()))
            yield TokenChunk(ids, (-0.5,) * len(ids), (3,) * len(ids), self.finish)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


def into_arabic(text: str, attempt: int = 0) -> str:
    """A perfect translator of the demo's domain, by the language packs: the test's reference, not a product."""
    import re

    from sindbad.demo.names import FIRST_PIECES, arabic_name
    from sindbad.languages import get_pack

    en, ar = get_pack("en"), get_pack("ar")
    pairs = {**{en.phrases[r]: ar.phrases[r] for r in en.phrases}, **{en.kinds[k]: ar.kinds[k] for k in en.kinds}}
    pairs |= {getattr(en.agent, slot): getattr(ar.agent, slot) for slot in ("opening", "searching", "retry", "give_up")}
    for kind in en.kinds:
        for form in ("_some", "_which", "_which_opening", "_the"):
            pairs[getattr(en, form)(kind)] = getattr(ar, form)(kind)
    for phrase in sorted(pairs, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(phrase)}(?!\w)", pairs[phrase], text)
    starts = "|".join(FIRST_PIECES)
    text = re.sub(rf"\b(?:{starts})[a-z]*\b", lambda match: arabic_name(match[0]), text)
    return text.replace("?", "؟")
