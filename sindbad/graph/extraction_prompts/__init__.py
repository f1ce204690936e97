"""What a language model that extracts facts is asked, as data: one YAML a set, worded by us, both languages beside.

``full`` asks any model for JSON lines under an ontology. ``demo`` is the numbered page alone, for the tiny extractor
that was trained on just that (``python -m sindbad.demo.extractor``) and answers in terse lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from string import Formatter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sindbad.configuration import load_shipped
from sindbad.graph.ontology import Ontology

_FIELDS = frozenset({"page", "fence", "types", "relations", "attributes"})


class ExtractionWording(BaseModel):
    """The wording of one language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: str
    """The whole request. ``{page}`` stands for the numbered sentences, ``{fence}`` for a line that none of them holds,
    ``{types}``, ``{relations}`` and ``{attributes}`` for what the ontology lists."""
    again: str
    """Follows the request where the first reply could not be read."""

    @model_validator(mode="after")
    def _only_known_fields(self) -> ExtractionWording:
        used = {name for _, name, _, _ in Formatter().parse(self.request) if name is not None}
        if "page" not in used or not used <= _FIELDS:
            raise ValueError(
                f"request must use {{page}}, and of the rest only {sorted(_FIELDS)}; it uses {sorted(used)}"
            )
        return self


class ExtractionPrompts(BaseModel):
    """An extractor's wording in every language it has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Recorded."""
    reply: Literal["json", "terse"]
    """JSON lines, or terse ones: "{number} {subject} {label}: {object}", the label in the ontology's English words."""
    number: str = "[{number}] "
    """What stands before a sentence."""
    fallback: str = "en"
    """Language whose wording is used when the page's own has none."""
    languages: dict[str, ExtractionWording] = Field(min_length=1)
    """Wording by language code."""

    @model_validator(mode="after")
    def _fallback_exists(self) -> ExtractionPrompts:
        if self.fallback not in self.languages:
            raise ValueError(f"fallback language {self.fallback!r} has no wording")
        return self

    @property
    def digest(self) -> str:
        """Of the content, for signatures."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def fill(self, language: str, sentences: Sequence[str], ontology: Ontology, *, again: bool = False) -> str:
        """The request. A sentence is one line and data: braces in it are text, and it cannot write the fence."""
        wording = self.languages.get(language) or self.languages[self.fallback]
        lines = (self.number.format(number=n) + " ".join(text.split()) for n, text in enumerate(sentences, 1))
        page = "\n".join(lines)
        types, relations, attributes = ontology.lines(language)
        request = wording.request.format(
            page=page, fence=_fence(page), types=types, relations=relations, attributes=attributes
        )
        return f"{request}\n\n{wording.again}" if again else request


def _fence(page: str) -> str:
    """A line that the page does not hold, and whose writer cannot foresee it: it depends on the whole page."""
    fence = f"===== {hashlib.sha256(page.encode('utf-8', 'replace')).hexdigest()[:12]} ====="
    return _fence(page + fence) if fence in page else fence


def load_extraction_prompts(name_or_path: str) -> ExtractionPrompts:
    """A shipped set by name ("demo", "full") or a YAML file by path. Raises NotFound, InvalidInput."""
    return load_shipped(ExtractionPrompts, __name__, name_or_path, "extraction prompts", known="demo, full")
