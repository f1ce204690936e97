"""A model folder on this machine, asked for likelihoods and greedy answers: what evaluations of texts need.

Prompts are rendered exactly as training renders them (one user turn, the assistant header): a model is asked as it was
taught. Rows are right-padded for likelihoods (a causal model cannot look there). One process, no server; for throughput
serve the model. Not covered: models that rescale their logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sindbad.errors import InvalidInput

if TYPE_CHECKING:
    from sindbad.training.examples import Conversation

TOKEN_BUDGET = 4096
"""Padded tokens of one forward pass."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of one continuation: sum of log-probabilities (nats), its tokens, and whether greedy decoding would write it."""

    logprob: float
    tokens: int
    greedy: bool


class LocalModel:
    """Tokenizer and float32 weights of a Hugging Face folder. Never touches the network."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        from transformers import AutoTokenizer
        from transformers.utils import logging

        from sindbad.engines.threads import calm_threads
        from sindbad.training.sft import load_causal_lm
        from sindbad.weights.folder import check_model_folder

        check_model_folder(folder)
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        calm_threads(threads)
        self.folder = folder
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self.model: Any = load_causal_lm(folder)
        self.model.eval()

    def pair_loss(self, pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
        """Mean negative log-likelihood (nats a token) and teacher-forced accuracy of (prompt, completion) pairs."""
        from sindbad.training.examples import of_pair

        return self.conversation_loss([of_pair(prompt, completion) for prompt, completion in pairs])

    def conversation_loss(self, conversations: Sequence[Conversation]) -> tuple[float, float]:
        """As :meth:`pair_loss`, over every assistant turn of whole conversations."""
        from sindbad.training.examples import examples_of_conversations
        from sindbad.training.sft import evaluate_examples

        examples = list(examples_of_conversations(self.tokenizer, conversations))
        return evaluate_examples(self.model, examples, TOKEN_BUDGET)

    def likelihoods(self, asked: Sequence[tuple[str, str]], *, chat: bool) -> list[Likelihood]:
        """Of each continuation after its context: the context as a user turn (``chat``), or as plain text.

        Raises:
            InvalidInput: a continuation without a token.
        """
        from sindbad.training.packing import Sample, bucket, collate

        samples = []
        for context, continuation in asked:
            before, after = self._ids(context, continuation, chat)
            if not after:
                raise InvalidInput(f"the continuation {continuation!r} has no token")
            samples.append(Sample((*before, *after), (0,) * len(before) + (1,) * len(after)))
        found: list[Likelihood | None] = [None] * len(samples)
        for rows in bucket([len(sample) for sample in samples], TOKEN_BUDGET):
            for row, value in zip(rows, self._score(collate([samples[row] for row in rows])), strict=True):
                found[row] = value
        return [value for value in found if value is not None]

    def _score(self, batch: Any) -> list[Likelihood]:
        import torch

        from sindbad.training.logprobs import score

        with torch.inference_mode():
            scores = score(self.model, batch.input_ids_BT, batch.mask_BT)
        counts = batch.mask_BT.sum(dim=1).tolist()
        parts = zip(torch.split(scores.logprobs_N, counts), torch.split(scores.correct_N, counts), counts, strict=True)
        return [Likelihood(float(logprobs.sum()), count, bool(right.all())) for logprobs, right, count in parts]

    def _ids(self, context: str, continuation: str, chat: bool) -> tuple[list[int], list[int]]:
        from sindbad.agent.chat import plain_chat, user_turn_ids

        if chat:
            return user_turn_ids(self.tokenizer, context), list(plain_chat(self.tokenizer).encode_text(continuation))
        begin = self.tokenizer.bos_token_id
        start = [] if begin is None else [int(begin)]
        before = self.tokenizer(context, add_special_tokens=False)["input_ids"]
        whole = self.tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
        cut = len(before) if whole[: len(before)] == before else -1
        after = whole[cut:] if cut >= 0 else self.tokenizer(continuation, add_special_tokens=False)["input_ids"]
        return [*start, *before] or [0], list(after)

    def generate(self, prompts: Sequence[str], *, max_tokens: int = 256, batch: int = 16) -> list[str]:
        """Greedy answers, each to its own prompt as one user turn."""
        import torch

        from sindbad.agent.chat import plain_chat, user_turn_ids

        chat = plain_chat(self.tokenizer)
        asked = [user_turn_ids(self.tokenizer, prompt) for prompt in prompts]
        order = sorted(range(len(asked)), key=lambda index: len(asked[index]))
        answers = [""] * len(asked)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            width = max(len(asked[row]) for row in rows)
            ids = torch.tensor([[0] * (width - len(asked[row])) + asked[row] for row in rows])
            mask = torch.tensor([[0] * (width - len(asked[row])) + [1] * len(asked[row]) for row in rows])
            with torch.inference_mode():
                made = self.model.generate(
                    input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False,
                    eos_token_id=chat.end_of_turn_id, pad_token_id=chat.end_of_turn_id,
                )  # fmt: skip
            for row, line in zip(rows, made[:, width:].tolist(), strict=True):
                answers[row] = self.tokenizer.decode(_until(line, chat.end_of_turn_id), skip_special_tokens=True)
        return [answer.strip() for answer in answers]


def _until(ids: list[int], stop: int) -> list[int]:
    return ids[: ids.index(stop)] if stop in ids else ids
