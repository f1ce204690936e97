"""Facts extracted by a language model: any policy endpoint, any OpenAI-compatible one, or an engine in this process.

A page becomes numbered sentences, cut into parts of a few; each part is one question to the model, many in flight, and
a reply that cannot be read is asked for once more. Replies are checked against page and ontology
(:mod:`sindbad.graph.extraction_reply`): a page can't add what it does not state, however it words it, and the page's
text is data: numbered single lines between fences that it cannot foresee, with special tokens disabled on the way to a
policy. Not covered: what a page talks a model into leaving out.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from sindbad.clients.openai import TextModel
from sindbad.errors import SindbadError
from sindbad.graph.extraction import Extraction
from sindbad.graph.extraction_prompts import ExtractionPrompts
from sindbad.graph.extraction_reply import Grounding, Reply, parse_reply
from sindbad.graph.knowledge import RelationInfo, packed_relation
from sindbad.graph.ontology import Ontology
from sindbad.retrieval.analysis import sentences
from sindbad.retrieval.extraction import canonical
from sindbad.retrieval.visit import GAP

_EVIDENCE: Final = "\nEvidence:\n"
_HEAD: Final = "Page: "
_NOTHING: Final = Reply((), 0)
"""Before the first reply."""


class ExtractionBudget(BaseModel):
    """What one page may cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sentences: int = Field(default=40, ge=1)
    """Sentences a question."""
    sentence_chars: int = Field(default=1_000, ge=20)
    """A longer sentence is left out: it is a table or a list without stops."""
    parts: int = Field(default=8, ge=1)
    """Questions a page; what is further down is not read."""
    reply_tokens: int = Field(default=2_048, ge=8)
    """Longest reply."""
    retries: int = Field(default=1, ge=0)
    """How often a reply that cannot be read is asked for again."""
    seconds: float = Field(default=180.0, gt=0)
    """For one page, all questions and tries together."""
    parallel: int = Field(default=8, ge=1)
    """Questions in flight, all pages together."""


TINY: Final = ExtractionBudget(sentences=10, sentence_chars=200, reply_tokens=160)
"""For the tiny extractor, which was trained on pages of a few short sentences."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What came of one question; a failure leaves ``reply`` empty."""

    sentences: Sequence[str]
    reply: Reply
    calls: int
    malformed: int
    failure: str


class ModelExtractor:
    """See the module. ``name`` tells models apart (a digest of the weights, a model's name at its endpoint)."""

    def __init__(
        self,
        model: TextModel,
        ontology: Ontology,
        prompts: ExtractionPrompts,
        budget: ExtractionBudget | None = None,
        *,
        name: str,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._model, self._ontology, self._prompts = model, ontology, prompts
        self.budget = budget or ExtractionBudget()
        self._name, self._close = name, close
        self._gate = asyncio.Semaphore(self.budget.parallel)

    @property
    def signature(self) -> str:
        """Model, wording, ontology, and how pages are cut."""
        cut = self.budget.model_dump_json(exclude={"seconds", "parallel"})
        shape = hashlib.sha256(cut.encode()).hexdigest()[:8]
        return f"model:{self._name}:{self._prompts.digest}:{self._ontology.digest}:{shape}"

    async def extract(self, text: str, *, language: str) -> Extraction:
        """See :class:`sindbad.graph.extraction.Extractor`."""
        page = [one for one in page_sentences(text) if len(one) <= self.budget.sentence_chars]
        size = self.budget.sentences
        cut = [page[start : start + size] for start in range(0, len(page), size)][: self.budget.parts]
        asked = [asyncio.create_task(self._ask(part, language)) for part in cut]
        try:
            if asked:
                await asyncio.wait(asked, timeout=self.budget.seconds)
            late = _Part([], _NOTHING, 1, 0, "LATE")
            parts = [task.result() if task.done() else late for task in asked]
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return self._grounded(page, language, parts)

    def _grounded(self, page: Sequence[str], language: str, parts: Sequence[_Part]) -> Extraction:
        ground = Grounding(self._ontology, page, language)
        for part in parts:
            ground.take(part.reply.statements, part.sentences)
        return Extraction(
            entities=tuple(ground.entities.values()),
            facts=tuple(ground.facts.values()),
            attributes=tuple(ground.attributes.values()),
            dropped=dict(sorted(ground.dropped.items())),
            failure=next((part.failure for part in parts if part.failure), ""),
            malformed=sum(part.malformed for part in parts),
            calls=sum(part.calls for part in parts),
        )

    async def _ask(self, part: Sequence[str], language: str) -> _Part:
        """Asks until a reply can be read whole; of the best one, what can be read is kept."""
        reply, malformed = _NOTHING, 0
        for number in range(self.budget.retries + 1):
            prompt = self._prompts.fill(language, part, self._ontology, again=number > 0)
            try:
                async with self._gate:
                    said = await self._model.reply(prompt, max_tokens=self.budget.reply_tokens)
            except SindbadError as error:
                return _Part(part, reply, number + 1, malformed, error.reason)
            found = parse_reply(said, self._prompts.reply, self._ontology)
            reply, malformed = max(found, reply, key=_use), malformed + found.malformed
            if not found.malformed:
                break
        failure = "" if reply.statements or not reply.malformed else "MALFORMED_REPLY"
        return _Part(part, reply, number + 1, malformed, failure)

    def inverse_queries(self, name: str, entity_type: str, language: str) -> list[str]:
        """As the ontology words them."""
        return self._ontology.inverse_queries(name, entity_type, language)

    def fits(self, relation: str, subject_type: str, object_type: str) -> bool:
        """As the ontology has it."""
        return self._ontology.fits(relation, subject_type, object_type)

    def relation_info(self, relation: str) -> RelationInfo | None:
        """As the ontology words it; None for relations that graphs know from the language packs."""
        return None if packed_relation(relation) else self._ontology.relation_info(relation)

    async def close(self) -> None:
        """Close the model's connections, where they are ours."""
        if self._close is not None:
            await self._close()


def _use(reply: Reply) -> tuple[bool, int]:
    """What makes one of two replies the better one: that it can be read whole; else how much of it."""
    return (reply.malformed == 0 and reply is not _NOTHING, len(reply.statements))


def page_sentences(observation: str) -> list[str]:
    """Sentences of what a visit shows: the evidence without the lines around it, gaps between passages left out."""
    head, found, body = observation.partition(_EVIDENCE)
    text = body if found and head.startswith(_HEAD) else observation
    return [sentence for part in canonical(text).split(GAP.strip()) for sentence in sentences(part)]
