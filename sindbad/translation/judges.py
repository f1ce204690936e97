"""Bilingual judges: one verdict a pair, accept or reject; what can't be parsed is a rejection (papers §4.4).

``PromptJudge`` asks a language model for one word, as HALA did (its prompt is unknown: the wording is ours).
``LikelihoodJudge`` is our choice for a model too small to follow that instruction: the demo's teacher accepts a pair
if it might have written it, by mean and by worst token.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from sindbad.engines.protocol import Generator, SamplingParams, complete
from sindbad.translation.prompts import (
    PromptStyle,
    decode,
    language_name,
    render_prompt_ids,
    stop_ids,
    translation_prompt,
)

UNPARSABLE = "unparsable"
JUDGE_PROMPT = (
    "You are a strict bilingual judge. Is the {target} text a complete and faithful translation of the {source} text? "
    "Answer with one word, accept or reject.\n\n{source}: {text}\n\n{target}: {translation}"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` says why not; ``score`` is the judge's own number, higher is better, 0 where it has none."""

    accept: bool
    reason: str = ""
    score: float = 0.0

    @property
    def unparsable(self) -> bool:
        """It is a rejection because the judge said nothing, or something else."""
        return self.reason.startswith(UNPARSABLE)


class PairJudge(Protocol):
    """Judges pairs of source and translation."""

    async def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """One verdict a pair, in order. Raises what its engine raises."""
        ...


def parse_verdict(reply: str) -> Verdict:
    """Exactly one of the two words, whatever its case and punctuation; anything else is a rejection."""
    words = re.findall(r"[a-z]+", reply.lower())
    if words == ["accept"]:
        return Verdict(True, score=1.0)
    return Verdict(False, "model_reject" if words == ["reject"] else f"{UNPARSABLE}: {reply[:60]!r}")


class PromptJudge:
    """Asks a language model; greedy, one word."""

    def __init__(
        self, generator: Generator, tokenizer: Any, *, source: str = "en", target: str = "ar", concurrency: int = 64
    ) -> None:
        self._generator, self._tokenizer = generator, tokenizer
        self._names = {"source": language_name(source), "target": language_name(target)}
        self._slots = asyncio.Semaphore(concurrency)

    async def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """See :class:`PairJudge`."""
        from sindbad.translation.translator import all_or_first_error

        return await all_or_first_error(self._one(text, translation) for text, translation in pairs)

    async def _one(self, text: str, translation: str) -> Verdict:
        prompt = JUDGE_PROMPT.format(text=text, translation=translation, **self._names)
        sampling = SamplingParams(8, temperature=0.0, stop_token_ids=stop_ids(self._tokenizer))
        async with self._slots:
            reply = await complete(self._generator, render_prompt_ids(self._tokenizer, prompt), sampling)
        return parse_verdict(decode(self._tokenizer, reply.token_ids))


class LikelihoodSettings(BaseModel):
    """When the teacher believes a pair. Ours: on the demo's pool these separate good pairs from damaged ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean_logprob_min: float = -0.5
    """Least mean log-probability (nats a token) of the translation under the teacher."""
    worst_logprob_min: float = -6.0
    """Least log-probability of any single token: one wrong name is one bad token."""
    token_budget: int = 8192
    """Padded tokens of a forward pass."""


class LikelihoodJudge:
    """Scores pairs with a local model (torch, loaded here and not before)."""

    def __init__(self, model_dir: Path, settings: LikelihoodSettings | None = None) -> None:
        self._model_dir = model_dir
        self.settings = settings or LikelihoodSettings()

    async def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """See :class:`PairJudge`. The forward passes run on a thread of their own."""
        scores = await asyncio.to_thread(self._scores, list(pairs))
        return [self._verdict(mean, worst) for mean, worst in scores]

    def _verdict(self, mean: float, worst: float) -> Verdict:
        if mean < self.settings.mean_logprob_min:
            return Verdict(False, f"unlikely: mean log-probability {mean:.2f}", mean)
        if worst < self.settings.worst_logprob_min:
            return Verdict(False, f"unlikely_token: log-probability {worst:.2f}", mean)
        return Verdict(True, score=mean)

    def _scores(self, pairs: list[tuple[str, str]]) -> list[tuple[float, float]]:
        """(mean, least) log-probability of each translation, sentence by sentence where both sides have as many."""
        import torch
        from transformers import AutoTokenizer

        from sindbad.training.examples import examples_of_pairs
        from sindbad.training.logprobs import score
        from sindbad.training.packing import Sample, pack
        from sindbad.training.sft import load_causal_lm

        model, tokenizer = load_causal_lm(self._model_dir).eval(), AutoTokenizer.from_pretrained(self._model_dir)
        parts = [part for pair in pairs for part in aligned_sentences(*pair)]
        prompts = ((translation_prompt(en, PromptStyle.TEACHER), ar) for en, ar in parts)
        samples = [  # the weight carries the example's number through the packing
            Sample(example.input_ids, example.loss_mask, weight=float(number))
            for number, example in enumerate(examples_of_pairs(tokenizer, prompts))
        ]
        found = [(0.0, 0.0)] * len(samples)
        with torch.no_grad():
            for batch in pack(samples, self.settings.token_budget):
                logprobs = score(model, batch.input_ids_BT, batch.mask_BT).logprobs_N
                for number in set(batch.weight_N.tolist()):
                    own = logprobs[batch.weight_N == number]
                    found[int(number)] = (float(own.mean()), float(own.min()))
        return _by_pair(pairs, found)


def aligned_sentences(en: str, ar: str) -> list[tuple[str, str]]:
    """Sentence pairs where both sides have as many sentences, else the whole pair."""
    left, right = _bodies(en), _bodies(ar)
    return list(zip(left, right, strict=True)) if len(left) == len(right) and left else [(en, ar)]


def _bodies(text: str) -> list[str]:
    from sindbad.translation.segments import split
    from sindbad.translation.spans import find_spans

    return [text[part.start : part.end] for part in split(text, find_spans(text)) if part.end > part.start]


def _by_pair(pairs: Sequence[tuple[str, str]], found: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The worst sentence speaks for its pair."""
    position, scores = 0, []
    for pair in pairs:
        size = len(aligned_sentences(*pair))
        part = found[position : position + size]
        scores.append((min(mean for mean, _ in part), min(worst for _, worst in part)))
        position += size
    return scores
