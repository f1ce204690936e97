"""What the agent is told, as data: one YAML a prompt set, worded by us after the roles that the papers describe.

``demo`` is terse (a tiny model pays for every token); ``full`` is for real models (ReSum App. C: a web researcher that
cross-checks; a summariser that keeps only explicit, certain, relevant facts and is *not* asked for gaps or plans).
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from string import Formatter

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.errors import InvalidInput, NotFound

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
    """Load a shipped set by name ("demo", "full") or any YAML file by path.

    Raises:
        NotFound: no such set. InvalidInput: the file is not a prompt set.
    """
    if Path(name_or_path).suffix in {".yaml", ".yml"}:
        text = _read_file(Path(name_or_path))
    else:
        resource = resources.files(__name__) / f"{name_or_path}.yaml"
        if not name_or_path.isidentifier() or not resource.is_file():
            raise NotFound(f"No prompt set named {name_or_path!r}; use demo, full or the path of a YAML file.")
        text = resource.read_text(encoding="utf-8")
    try:
        return PromptSet.model_validate(yaml.safe_load(text))
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"Prompt set {name_or_path!r} is not valid: {error}") from error


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"Prompt file {path} cannot be read: {error.strerror}.") from error
