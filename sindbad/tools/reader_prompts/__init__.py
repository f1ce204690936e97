"""What a language model that reads pages is asked, as data: one YAML a set, worded by us (the role: papers.md §2a).

``full`` asks any model for JSON (rationale, evidence, summary). ``demo`` is page and goal alone, for the tiny reader
that was trained on just that (``python -m sindbad.demo.page_reader``) and answers under two headings.
"""

from __future__ import annotations

from string import Formatter

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.configuration import load_shipped


class ReaderWording(BaseModel):
    """The wording of one language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: str
    """The whole request; ``{page}`` and ``{goal}`` stand for the page's text and what is wanted of it."""
    no_goal: str
    """Stands for the goal where there is none."""
    evidence: str
    """Heading of the evidence in a reply without JSON."""
    summary: str
    """Heading of the summary."""

    @model_validator(mode="after")
    def _only_known_fields(self) -> ReaderWording:
        used = {name for _, name, _, _ in Formatter().parse(self.request) if name is not None}
        if used != {"page", "goal"}:
            raise ValueError(f"request must use {{page}} and {{goal}}, and nothing else; it uses {sorted(used)}")
        return self


class ReaderPrompts(BaseModel):
    """A reader's wording in every language it has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Recorded."""
    fallback: str = "en"
    """Language whose wording is used when the question's own has none."""
    languages: dict[str, ReaderWording] = Field(min_length=1)
    """Wording by language code."""

    @model_validator(mode="after")
    def _fallback_exists(self) -> ReaderPrompts:
        if self.fallback not in self.languages:
            raise ValueError(f"fallback language {self.fallback!r} has no wording")
        return self

    def fill(self, language: str, *, page: str, goal: str) -> str:
        """The request. Braces in page or goal are text: they are filled in, never parsed."""
        wording = self._of(language)
        return wording.request.format(page=page, goal=goal.strip() or wording.no_goal)

    def headings(self, language: str) -> tuple[str, str]:
        """Those of evidence and summary."""
        wording = self._of(language)
        return wording.evidence, wording.summary

    def _of(self, language: str) -> ReaderWording:
        return self.languages.get(language) or self.languages[self.fallback]


def load_reader_prompts(name_or_path: str) -> ReaderPrompts:
    """A shipped set by name ("demo", "full") or a YAML file by path. Raises NotFound, InvalidInput."""
    return load_shipped(ReaderPrompts, __name__, name_or_path, "reader prompts", known="demo, full")
