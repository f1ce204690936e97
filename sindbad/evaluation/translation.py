"""Translation metrics by sacrebleu, each with the signature that makes it comparable.

BLEU splits words by "intl": sacrebleu's default leaves Arabic punctuation on its word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sindbad.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TranslationScores:
    """Corpus scores between 0 and 100. A signature names tokeniser, smoothing, n-gram orders and version."""

    chrf: float
    bleu: float
    exact: float
    sentences: int
    chrf_signature: str
    bleu_signature: str


def score_translations(hypotheses: Sequence[str], references: Sequence[str]) -> TranslationScores:
    """chrF++ (word order 2), BLEU (intl, exponential smoothing), and the share of exact matches in percent.

    Raises:
        InvalidInput: nothing to score, or lists of different length.
    """
    if not hypotheses or len(hypotheses) != len(references):
        raise InvalidInput(f"{len(hypotheses)} translations and {len(references)} references cannot be compared")
    chrf, bleu = _metrics()
    listed = [list(references)]
    chrf_score, bleu_score = chrf.corpus_score(list(hypotheses), listed), bleu.corpus_score(list(hypotheses), listed)
    same = sum(1 for left, right in zip(hypotheses, references, strict=True) if left.strip() == right.strip())
    return TranslationScores(
        chrf=float(chrf_score.score),
        bleu=float(bleu_score.score),
        exact=100.0 * same / len(hypotheses),
        sentences=len(hypotheses),
        chrf_signature=str(chrf.get_signature()),
        bleu_signature=str(bleu.get_signature()),
    )


def signatures() -> tuple[str, str]:
    """Of chrF++ and BLEU, as :func:`score_translations` computes them against one reference."""
    scores = score_translations(["a"], ["a"])
    return scores.chrf_signature, scores.bleu_signature


def _metrics() -> tuple[Any, Any]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=2), BLEU(tokenize="intl")
