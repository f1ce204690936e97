"""A tokenizer for small models of real text: byte-level BPE over both languages, with ChatML.

Byte-level, so that any text round-trips; a word after a blank is another piece than the word alone, as in LFM2's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from sindbad.demo.tokenizer import BEGIN, CHAT_TEMPLATE, IM_END, IM_START, PAD

VOCABULARY: Final = 8000
"""Pieces, the alphabet of bytes and the chat tokens included."""


def train_tokenizer(texts: Iterable[str], folder: Path, *, vocabulary: int = VOCABULARY) -> Any:
    """Train on ``texts`` (deterministic for their order) and write the tokenizer's files into ``folder``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BEGIN, IM_START, IM_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, pad_token=PAD, bos_token=BEGIN, eos_token=IM_END, extra_special_tokens=[IM_START],
        chat_template=CHAT_TEMPLATE, clean_up_tokenization_spaces=False,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(str(folder))
    return tokenizer
