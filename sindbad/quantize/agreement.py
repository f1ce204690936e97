"""How far a quantised model strays from its original on held-out rows; nothing differs but the eight bits.

Two views. *Told the reference* (teacher forcing): Kullback-Leibler divergence of the original's next-token distribution
to the quantised one's, in nats, and how often both hold the same token most likely. *Left alone* (greedy decoding):
identical outputs, tokens equal position by position, chrF++ of each against the reference and against each other.
Where a row has no reference, the original's own output stands in for the first view, and chrF++ is not computed.

Not covered: eight-bit kernels' accumulation; sampling. Intervals are paired bootstraps over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sindbad.errors import InvalidInput
from sindbad.evaluation.metrics import Interval, bootstrap_mean, paired_difference
from sindbad.evaluation.translation import score_translations
from sindbad.quantize.heldout import HeldOut
from sindbad.quantize.loading import load_quantised
from sindbad.translation.prompts import PromptStyle, stop_ids, translation_prompt
from sindbad.translation.small_models import prompt_style

SAMPLES = 5


class AgreementConfig(BaseModel):
    """How both models are asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    style: PromptStyle | Literal["auto", "none"] = "auto"
    """The translation prompt; ``auto`` asks config.json, else HALA's; ``none``: the source is the whole prompt."""
    source_language: str = "en"
    """Named in the prompt."""
    target_language: str = "ar"
    """Named in the prompt."""
    max_tokens: int = Field(default=192, ge=1)
    """Of an output."""
    batch: int = Field(default=16, ge=1)
    """Rows at once."""
    device: str = "cpu"
    """torch device."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row as both models answer it."""

    source: str
    reference: str | None
    original: str
    quantised: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """See the module. ``positions``: next-token distributions compared; shares are between 0 and 1."""

    rows: int
    positions: int
    kl_mean: Interval
    kl_p99: float
    kl_max: float
    top1: float
    identical: float
    token_agreement: float
    chrf_between: float
    chrf_original: float | None
    chrf_quantised: float | None
    chrf_row_difference: Interval | None
    """Mean over rows of the quantised row's chrF++ minus the original's."""
    bleu_original: float | None
    bleu_quantised: float | None
    signature: str
    bleu_signature: str
    samples: tuple[Sample, ...]

    @property
    def chrf_difference(self) -> float | None:
        """Corpus chrF++, quantised minus original."""
        if self.chrf_quantised is None or self.chrf_original is None:
            return None
        return self.chrf_quantised - self.chrf_original


def check_asking(config: AgreementConfig) -> None:
    """Raise InvalidInput for languages without a prompt and a device that is not here, before hours of work."""
    import torch

    from sindbad.translation.prompts import language_name

    if config.style != "none":
        language_name(config.source_language)
        language_name(config.target_language)
    try:
        torch.empty(1, device=config.device)
    except (RuntimeError, AssertionError) as error:  # torch's way of saying that it was built without CUDA
        raise InvalidInput(f"there is no device {config.device!r} here: {str(error).splitlines()[0]}") from error


def compare_folders(
    original: Path, quantised: Path, rows: Sequence[HeldOut], config: AgreementConfig | None = None
) -> Agreement:
    """Compare the quantised folder (weights and activations in eight bits) with the original, both in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = config or AgreementConfig()
    tokenizer = AutoTokenizer.from_pretrained(str(original), local_files_only=True)
    exact: Any = AutoModelForCausalLM.from_pretrained(str(original), dtype=torch.float32, local_files_only=True)
    models = (exact.eval().to(config.device), load_quantised(quantised).to(config.device))
    style = prompt_style(original, PromptStyle.LIGHT) if config.style == "auto" else config.style
    prompts = [_prompt_ids(tokenizer, row.source, style, config) for row in rows]
    return compare_models(models, tokenizer, prompts, rows, config)


def compare_models(
    models: tuple[Any, Any], tokenizer: Any, prompts: list[list[int]], rows: Sequence[HeldOut], config: AgreementConfig
) -> Agreement:
    """Original and quantised model on the same prompts."""
    if not rows:
        raise InvalidInput("there are no held-out rows to compare on")
    stops = _stops(tokenizer)
    outputs = [greedy(model, prompts, stops, config) for model in models]
    told = [
        [*tokenizer.encode(row.reference, add_special_tokens=False), stops[0]] if row.reference else out or [stops[0]]
        for row, out in zip(rows, outputs[0], strict=True)
    ]
    by_row = divergences(models, prompts, told, config)
    kls = sorted(kl for row in by_row for kl, _ in row)
    same = [equal for row in by_row for _, equal in row]
    texts = [[tokenizer.decode(ids, skip_special_tokens=True) for ids in side] for side in outputs]
    between = score_translations(texts[1], [text or " " for text in texts[0]])
    scored = _against_references(texts, rows)
    pairs = list(zip(*outputs, strict=True))
    return Agreement(
        rows=len(rows),
        positions=len(kls),
        kl_mean=bootstrap_mean([sum(kl for kl, _ in row) / len(row) for row in by_row]),
        kl_p99=kls[min(len(kls) - 1, int(0.99 * len(kls)))],
        kl_max=kls[-1],
        top1=sum(same) / len(same),
        identical=sum(left == right for left, right in pairs) / len(pairs),
        token_agreement=sum(token_share(left, right) for left, right in pairs) / len(pairs),
        chrf_between=between.chrf,
        signature=between.chrf_signature,
        bleu_signature=between.bleu_signature,
        samples=_samples(rows, texts),
        **scored,
    )


def token_share(left: Sequence[int], right: Sequence[int]) -> float:
    """Share of positions of the longer one at which both have the same token; 1 for two empty ones."""
    longer = max(len(left), len(right))
    return sum(a == b for a, b in zip(left, right, strict=False)) / longer if longer else 1.0


def greedy(model: Any, prompts: list[list[int]], stops: tuple[int, ...], config: AgreementConfig) -> list[list[int]]:
    """Most likely continuations, without the stop token."""
    import torch

    outputs: list[list[int]] = [[]] * len(prompts)
    for numbers in _batches(prompts, config.batch):
        width = max(len(prompts[number]) for number in numbers)
        padded = [[stops[0]] * (width - len(prompts[number])) + prompts[number] for number in numbers]
        mask = [[0] * (width - len(prompts[number])) + [1] * len(prompts[number]) for number in numbers]
        with torch.inference_mode():
            made = model.generate(
                input_ids=torch.tensor(padded, device=config.device),
                attention_mask=torch.tensor(mask, device=config.device),
                do_sample=False, num_beams=1, max_new_tokens=config.max_tokens,
                eos_token_id=list(stops), pad_token_id=stops[0],
            )  # fmt: skip
        for number, ids in zip(numbers, made[:, width:].tolist(), strict=True):
            outputs[number] = ids[: next((place for place, token in enumerate(ids) if token in stops), len(ids))]
    return outputs


def divergences(
    models: tuple[Any, Any], prompts: list[list[int]], told: list[list[int]], config: AgreementConfig
) -> list[list[tuple[float, bool]]]:
    """For every token of ``told``: KL(original || quantised) of the distribution it is drawn from, and equal argmax."""
    import torch

    found: list[list[tuple[float, bool]]] = [[]] * len(prompts)
    whole = [[*prompt, *target] for prompt, target in zip(prompts, told, strict=True)]
    for numbers in _batches(whole, config.batch):
        width = max(len(whole[number]) for number in numbers)
        ids = torch.tensor([whole[n] + [0] * (width - len(whole[n])) for n in numbers], device=config.device)
        mask = torch.tensor(
            [[1] * len(whole[n]) + [0] * (width - len(whole[n])) for n in numbers], device=config.device
        )
        with torch.inference_mode():
            both = [model(input_ids=ids, attention_mask=mask, use_cache=False).logits for model in models]
        for row, number in enumerate(numbers):
            start = len(prompts[number]) - 1
            left, right = (side[row, start : start + len(told[number])].float().log_softmax(-1) for side in both)
            kl = (left.exp() * (left - right)).sum(-1).clamp(min=0)
            found[number] = list(zip(kl.tolist(), (left.argmax(-1) == right.argmax(-1)).tolist(), strict=True))
    return found


def _batches(rows: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """Row numbers, rows of like length together."""
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _prompt_ids(tokenizer: Any, source: str, style: PromptStyle | str, config: AgreementConfig) -> list[int]:
    """One user turn in the model's own chat form; plain text for a tokenizer without one."""
    from sindbad.agent.chat import user_turn_ids

    languages = {"source": config.source_language, "target": config.target_language}
    text = source if style == "none" else translation_prompt(source, PromptStyle(style), **languages)
    if "<|im_end|>" in tokenizer.get_vocab():
        return user_turn_ids(tokenizer, text)
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": text}]
        return list(tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False))
    return list(tokenizer.encode(text))


def _stops(tokenizer: Any) -> tuple[int, ...]:
    if "<|im_end|>" in tokenizer.get_vocab():
        return stop_ids(tokenizer)
    if tokenizer.eos_token_id is None:
        raise InvalidInput("the tokenizer has no end-of-text token, so outputs would have no end")
    return (int(tokenizer.eos_token_id),)


def _against_references(texts: list[list[str]], rows: Sequence[HeldOut]) -> dict[str, Any]:
    """chrF++ and BLEU of both sides over the rows that have a reference."""
    from sacrebleu.metrics.chrf import CHRF

    numbers = [number for number, row in enumerate(rows) if row.reference]
    names = ("chrf_original", "chrf_quantised", "bleu_original", "bleu_quantised", "chrf_row_difference")
    if not numbers:
        return dict.fromkeys(names)
    references = [str(rows[number].reference) for number in numbers]
    sides = [[side[number] for number in numbers] for side in texts]
    original, quantised = (score_translations(side, references) for side in sides)
    chrf = CHRF(word_order=2)
    single = [
        [float(chrf.sentence_score(text, [reference]).score) for text, reference in zip(side, references, strict=True)]
        for side in sides
    ]
    difference = paired_difference(single[1], single[0], bound=None)
    return dict(zip(names, (original.chrf, quantised.chrf, original.bleu, quantised.bleu, difference), strict=True))


def _samples(rows: Sequence[HeldOut], texts: list[list[str]]) -> tuple[Sample, ...]:
    """The first rows on which the two differ, then the first of all."""
    order = sorted(range(len(rows)), key=lambda number: texts[0][number] == texts[1][number])[:SAMPLES]
    return tuple(Sample(rows[n].source, rows[n].reference, texts[0][n], texts[1][n]) for n in order)
