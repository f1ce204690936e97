"""What the agent is told, as data: one YAML a prompt set, worded by us after the roles that the papers describe.

``demo`` is terse (a tiny model pays for every token); ``full`` is for real models (ReSum App. C: a web researcher that
cross-checks; a summariser that keeps only explicit, certain, relevant facts and is *not* asked for gaps or plans).
"""

from __future__ import annotations

import hashlib
from string import Formatter

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.configuration import load_shipped

ALLOWED_FIELDS = {
    "system": {"tools"},
    "first_turn": {"question"},
    "restart_turn": {"question", "notice", "summary"},
    "summary_request": {"question", "conversation"},
    "summary_request_again": {"question", "conversation", "last_summary"},
    "malformed_call": {"reason"},
}


class LanguagePrompts(BaseModel):
    """The wording of one language. Fields in braces are filled with token ids, so no text can inject a template."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    """The agent's role; ``{tools}`` becomes the tool schema as JSON lines."""
    first_turn: str = "{question}"
    """The user turn of the first segment."""
    restart_turn: str = "{question}{notice}{summary}"
    """The user turn after a summary (ReSum's q' = (q, s)); ``{summary}`` brings its own tags."""
    restart_notice: str = ""
    """Fixed notice between question and summary."""
    summary_system: str
    """The summariser's role."""
    summary_request: str = "{question}{conversation}"
    """What a language model that summarises is asked the first time."""
    summary_request_again: str = "{question}{last_summary}{conversation}"
    """The same from the second summary on: the last one stands in its own slot."""
    malformed_call: str = "error: {reason}"
    """The observation that answers a malformed tool call."""

    @model_validator(mode="after")
    def _only_known_fields(self) -> LanguagePrompts:
        for name, allowed in ALLOWED_FIELDS.items():
            used = {field for _, field, _, _ in Formatter().parse(getattr(self, name)) if field is not None}
            if not used <= allowed:
                raise ValueError(f"{name} uses {sorted(used - allowed)}; it may use {sorted(allowed)}")
        for name in ("first_turn", "restart_turn", "summary_request", "summary_request_again"):
            if "{question}" not in getattr(self, name):
                raise ValueError(f"{name} must contain {{question}}: the original question is never lost")
        return self


class PromptSet(BaseModel):
    """Every text that the agent's side contributes to a context, in every language it speaks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Recorded in the digest."""
    tool_role: str = "tool"
    """The ChatML role of an observation turn ("user" for Qwen-style models)."""
    fallback: str = "en"
    """Language whose prompts are used when the question's own has none."""
    conversation_thoughts_only: bool = False
    """Show a language-model summariser thoughts and observations without the tool calls' JSON."""
    languages: dict[str, LanguagePrompts] = Field(min_length=1)
    """Prompts by language code."""

    @model_validator(mode="after")
    def _fallback_exists(self) -> PromptSet:
        if self.fallback not in self.languages:
            raise ValueError(f"fallback language {self.fallback!r} has no prompts")
        return self

    def for_language(self, language: str) -> LanguagePrompts:
        """The prompts of ``language``, or those of the fallback."""
        return self.languages.get(language) or self.languages[self.fallback]

    def digest(self) -> str:
        """SHA-256 (hex) of the whole set: what a cache key or a manifest records."""
        return hashlib.sha256(self.model_dump_json().encode("utf-8")).hexdigest()


def load_prompts(name_or_path: str) -> PromptSet:
    """Load a shipped set by name ("demo", "full") or any YAML file by path. Raises NotFound, InvalidInput."""
    return load_shipped(PromptSet, __name__, name_or_path, "prompts", known="demo, full")
