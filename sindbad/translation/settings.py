"""How to translate. The defaults are those of the demo's small models; INSTRUCT brings its own where none is set."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from sindbad.translation.kinds import ALL_KINDS, FORMAL_KINDS, SpanKind
from sindbad.translation.prompts import PromptStyle

_INSTRUCT_SENTENCES, _INSTRUCT_TOKENS, _INSTRUCT_SOURCE = -1, 4096, 16_384


class TranslatorSettings(BaseModel):
    """How to translate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    style: PromptStyle = PromptStyle.LIGHT
    """The prompt the model was trained on; the service prefers what the model's config.json says. "instruct" is for a
    general language model and brings other defaults for the next five fields."""
    sentences: int = Field(default=1, ge=-1)
    """Sentences a request; 0 sends whole lines, -1 whole paragraphs (instruct: -1). Small models know single sentences
    only."""
    whole: bool = False
    """Ask for a whole document or turn at once, and for its segments only where that fails (instruct: true)."""
    mask_numbers: bool = True
    """Numbers are sentinels; else the model writes them, and they are compared by value (instruct: false)."""
    max_tokens: int = Field(default=128, ge=1)
    """Most tokens one unit may become (instruct: 4096)."""
    max_source_tokens: int = Field(default=512, ge=1)
    """Longest prompt that is sent (instruct: 16384)."""
    retries: int = Field(default=2, ge=0)
    """Sampled attempts after the greedy one broke the structure contract."""
    retry_temperature: float = 0.5
    """Temperature of those attempts; their seeds are fixed."""
    concurrency: int = Field(default=64, ge=1)
    """Segments in flight at once, shared fairly between callers."""
    cache_size: int = 4096
    """Masked segments remembered per weight version; 0 asks the model every time."""
    check_replies: bool = True
    """Reject echoes, chatter, additional lines and other numbers; the spans are checked always."""
    context_characters: int = Field(default=6000, ge=0)
    """Most characters of earlier turns in a prompt (instruct)."""
    remember_terms: bool = True
    """Ask how the terms of a turn were rendered, for the turns after it (instruct, conversations)."""

    @model_serializer(mode="wrap")
    def _as_said(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Of INSTRUCT only what was set: written out, another style's default would come back as somebody's wish."""
        said = whole(self).items()
        return {name: value for name, value in said if name == "style" or self._said(name)}

    def decoding(self) -> str:
        """Names all that decides a reply or whether it is taken, for the ledger's key; also what is at its default,
        because a default may change. ``concurrency`` and ``cache_size`` decide neither."""
        named = [
            "greedy",
            f"max_tokens={self.most_tokens}",
            f"max_source_tokens={self.longest_source}",
            f"sentences={self.unit}",
            f"retries={self.retries}@{self.retry_temperature}",
            "numbers=masked" if SpanKind.NUMBER in self.kinds else "numbers=compared",
            "replies=checked" if self.check_replies else "replies=taken",
            *(["whole"] if self.asks_whole else []),
        ]
        if self.instructs:
            named += [f"context={self.context_characters}", *(["terms"] if self.remember_terms else [])]
        return ";".join(named)

    @property
    def unit(self) -> int:
        """``sentences``, with INSTRUCT's default."""
        return self.sentences if self._said("sentences") else _INSTRUCT_SENTENCES

    @property
    def asks_whole(self) -> bool:
        """``whole``, with INSTRUCT's default."""
        return self.whole if self._said("whole") else True

    @property
    def most_tokens(self) -> int:
        """``max_tokens``, with INSTRUCT's default."""
        return self.max_tokens if self._said("max_tokens") else _INSTRUCT_TOKENS

    @property
    def longest_source(self) -> int:
        """``max_source_tokens``, with INSTRUCT's default."""
        return self.max_source_tokens if self._said("max_source_tokens") else _INSTRUCT_SOURCE

    @property
    def kinds(self) -> frozenset[SpanKind]:
        """The kinds that are masked."""
        masked = self.mask_numbers if self._said("mask_numbers") else False
        return ALL_KINDS if masked else FORMAL_KINDS

    @property
    def instructs(self) -> bool:
        """Whether prompts carry context."""
        return self.style is PromptStyle.INSTRUCT

    def _said(self, name: str) -> bool:
        return not self.instructs or name in self.model_fields_set
