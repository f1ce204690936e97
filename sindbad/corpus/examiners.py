"""Filters that a model stands behind: round trip, judge, quality estimation. Asked only about what rules would keep.

Each gives a number for a pair and a bound, and ends in the ledger as every filter does. One verdict a pair: a judge's
reply that is neither accept nor reject is a rejection (papers §4.4), and marked (:class:`NoVerdict`), because many of
them in succession say something about the judge (:mod:`sindbad.corpus.silence`). Quality estimation is an interface
with a working implementation for any sequence-regression model in the Hugging Face format; weights are the user's
choice, and a licence that is not permissive is refused unless asked for: the COMETKiwi weights are CC-BY-NC-SA, and it
is inherited.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from sindbad.clients.openai import NO_TEXT, TextModel
from sindbad.corpus.filters import Pair, Score, prose
from sindbad.corpus.licences import obligations
from sindbad.errors import EngineFailure, InvalidInput
from sindbad.translation.judges import JUDGE_PROMPT, PairJudge, Verdict, parse_verdict
from sindbad.translation.prompts import language_name
from sindbad.translation.protocol import TextTranslator


class NoVerdict(Score):
    """A rejection because there was no verdict; ``reason`` says what came instead."""

    __slots__ = ()


class Examiner(Protocol):
    """Scores pairs with a model."""

    @property
    def name(self) -> str:
        """Stable, for people ("round_trip>=30"); its first word names its scores. Which model it is, the job's settings
        say (:func:`sindbad.corpus.identify.examiner_names`)."""
        ...

    @property
    def licences(self) -> tuple[str, ...]:
        """What the verdicts are derived from; they join no lineage, but a report names them."""
        ...

    async def score(self, pairs: Sequence[Pair]) -> list[Score]:
        """One score a pair, in order. Raises what its engine raises; InvalidInput means these pairs, and no others."""
        ...


class RoundTripSettings(BaseModel):
    """Back into the source language, and compared with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chrf_min: float = Field(default=30.0, ge=0.0, le=100.0)
    """Least chrF (sacrebleu's, of the prose) of the way back."""


class RoundTrip:
    """Translates back and compares by chrF: far from proof, but a translation of something else does not survive it."""

    licences: tuple[str, ...] = ()

    def __init__(self, translator: TextTranslator, settings: RoundTripSettings | None = None) -> None:
        self._translator, self.settings = translator, settings or RoundTripSettings()
        self.name = f"round_trip>={self.settings.chrf_min:g}"

    async def score(self, pairs: Sequence[Pair]) -> list[Score]:
        """See :class:`Examiner`; a way back that its translator rejects scores 0, and is no verdict."""
        scores: list[Score] = []
        for pair in pairs:
            (back,) = await self._translator.translate(
                [pair.target], source=pair.target_language, target=pair.source_language,
                glossary=pair.glossary.reversed() if pair.glossary else None,
            )  # fmt: skip
            least = self.settings.chrf_min
            if not back.accepted:
                scores.append(NoVerdict("round_trip", 0.0, f"round_trip: no way back: {back.reason}", least))
                continue
            value = chrf(prose(back.text), prose(pair.source))
            scores.append(Score("round_trip", value, "round_trip" if value < least else "", least))
        return scores


def chrf(text: str, reference: str) -> float:
    """Sentence chrF of sacrebleu (character 6-grams, beta 2), 0 to 100; 100 for two empty texts."""
    if not text.strip() and not reference.strip():
        return 100.0
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().sentence_score(text, [reference]).score)


class JudgeExaminer:
    """A bilingual judge's one verdict: 1 accept, 0 reject or unparsable."""

    licences: tuple[str, ...] = ()

    def __init__(self, judge: PairJudge, name: str = "judge") -> None:
        self._judge, self.name = judge, name

    async def score(self, pairs: Sequence[Pair]) -> list[Score]:
        """See :class:`Examiner`."""
        verdicts = await self._judge.judge([(pair.source, pair.target) for pair in pairs])
        return [
            (NoVerdict if one.unparsable else Score)(
                "judge", float(one.accept), "" if one.accept else f"judge: {one.reason}", 1.0
            )
            for one in verdicts
        ]


class EndpointJudge:
    """A ``PairJudge`` over any model that answers a prompt with text; one word is asked for, one verdict taken."""

    def __init__(self, model: TextModel, *, source: str = "en", target: str = "ar") -> None:
        self._model = model
        self._names = {"source": language_name(source), "target": language_name(target)}

    async def judge(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """See ``PairJudge``."""
        return [await self._one(text, translation) for text, translation in pairs]

    async def _one(self, text: str, translation: str) -> Verdict:
        asked = JUDGE_PROMPT.format(text=text, translation=translation, **self._names)
        try:
            return parse_verdict(await self._model.reply(asked, max_tokens=16))
        except EngineFailure as error:
            if error.reason != NO_TEXT:
                raise
            return parse_verdict("")


class QualityEstimator(Protocol):
    """Predicts how good a translation is without a reference, higher is better."""

    @property
    def name(self) -> str: ...
    @property
    def licence(self) -> str: ...

    async def estimate(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One number for each (source, translation). Raises what its engine raises."""
        ...


class QualityExaminer:
    """Keeps what an estimator scores at least ``minimum``.

    Raises:
        InvalidInput: the estimator's licence is not a permissive one and ``any_licence`` is not set.
    """

    def __init__(self, estimator: QualityEstimator, minimum: float, *, any_licence: bool = False) -> None:
        asked = obligations([estimator.licence])
        if not any_licence and (asked.non_commercial or asked.unclear or asked.share_alike or asked.no_derivatives):
            raise InvalidInput(
                f"{estimator.name} is under {estimator.licence or 'an unknown licence'}: {asked.sentences()[0]} "
                "Set any_licence to use it all the same."
            )
        self._estimator, self.minimum = estimator, minimum
        self.name = f"quality:{estimator.name}>={minimum:g}"
        self.licences: tuple[str, ...] = (estimator.licence,)

    async def score(self, pairs: Sequence[Pair]) -> list[Score]:
        """See :class:`Examiner`. Segments are scored, the worst speaks: long texts must not be cut silently.

        Raises InvalidInput where the estimator's number is none.
        """
        scores = []
        for pair in pairs:
            parts = segments(pair)
            values = await self._estimator.estimate(parts) if parts else []
            if any(map(math.isnan, values)):
                raise InvalidInput(f"{self._estimator.name} gives NaN for a segment")
            value = min(values, default=math.nan)
            bad = value < self.minimum
            scores.append(Score("quality", value, "quality" if bad else "", self.minimum))
        return scores


def segments(pair: Pair) -> list[tuple[str, str]]:
    """Paragraph pairs where both sides have as many, else the whole: an encoder reads 512 tokens of both together."""
    left, right = ([line.strip() for line in text.split("\n") if line.strip()] for text in (pair.source, pair.target))
    if len(left) == len(right):
        return list(zip(left, right, strict=True))
    return [(pair.source, pair.target)]


class SequenceRegressionEstimator:
    """Any Hugging Face sequence-classification model with one output, from a local folder (torch, when first used).

    Args:
        licence: of the weights, from their card; it is checked by :class:`QualityExaminer`.
        longest: tokens of source and translation together; a longer pair is an error, never cut in silence.
    """

    def __init__(self, model_dir: Path, licence: str, *, longest: int = 512, batch_size: int = 16) -> None:
        self.model_dir, self.licence, self.longest, self.batch_size = model_dir, licence, longest, batch_size
        self.name = model_dir.name
        self._loaded: tuple[Any, Any] | None = None
        self._lock = asyncio.Lock()

    async def estimate(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """See :class:`QualityEstimator`. Raises InvalidInput for a pair that is too long for the model."""
        async with self._lock:
            return await asyncio.to_thread(self._estimate, list(pairs))

    def _estimate(self, pairs: list[tuple[str, str]]) -> list[float]:
        import torch

        model, tokenizer = self._model()
        values: list[float] = []
        for start in range(0, len(pairs), self.batch_size):
            batch = pairs[start : start + self.batch_size]
            inputs = tokenizer([a for a, _ in batch], [b for _, b in batch], return_tensors="pt", padding=True)
            if inputs["input_ids"].shape[1] > self.longest:
                raise InvalidInput(f"a segment is longer than the {self.longest} tokens that {self.name} reads")
            with torch.no_grad():
                values += model(**inputs).logits[:, 0].float().tolist()
        return values

    def _model(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer

            model = AutoModelForSequenceClassification.from_pretrained(str(self.model_dir), local_files_only=True)
            if model.config.num_labels != 1:
                raise EngineFailure(f"{self.model_dir} has {model.config.num_labels} outputs; an estimator has one")
            tokenizer = AutoTokenizer.from_pretrained(str(self.model_dir), local_files_only=True)
            self._loaded = (model.eval(), tokenizer)
        return self._loaded
