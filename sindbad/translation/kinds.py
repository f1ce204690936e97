"""What kinds of protected span there are, and what may happen to each: data for the scanner and the verifier.

Three groups behave differently. *Structure* (marks of lists, headings, tables; code blocks) keeps its order and is
never sent to a model. *Inline* spans may move within their segment, because languages order clauses differently.
*Paired* spans (tags, links) may move too, but an opening one stays before its closing one and pairs never cross.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SpanKind(StrEnum):
    """Why a span is protected."""

    CODE = "code"
    """Fenced code of any fence and length, indented code, inline code, <pre>, <script>, <style>."""
    TOOL_CALL = "tool_call"
    """A tool call with its tags."""
    JSON = "json"
    """Everything of a JSON value but the prose in its strings: braces, keys, numbers, identifiers."""
    MATH = "math"
    """LaTeX: inline, display, environments."""
    URL = "url"
    EMAIL = "email"
    MARKUP = "markup"
    """HTML tags with their attributes, comments, character references, marks of footnotes."""
    LINK = "link"
    """What surrounds the text of a Markdown link or image, and reference definitions."""
    PLACEHOLDER = "placeholder"
    """{x} {{x}} {two words} %s %ld %(x)s <x> [[x]] [NAME] $X and their like."""
    SPECIAL = "special"
    """Special tokens of chat templates, with the role that follows one, and of tokenizers: [UNK], <0x0A>."""
    MARK = "mark"
    """Marks of headings, lists and their boxes, quotations, rules, notes; front matter."""
    TABLE = "table"
    """Pipes and delimiter rows of a table."""
    SENTINEL = "sentinel"
    """What looks like a sentinel of ours in the source."""
    CONTENT = "content"
    """What the task asks to transform, which therefore stays in the source language."""
    NAME = "name"
    """A term of the glossary."""
    NUMBER = "number"


ALL_KINDS = frozenset(SpanKind)
STRUCTURE = frozenset({SpanKind.MARK, SpanKind.TABLE})
WORDS = frozenset({SpanKind.NAME, SpanKind.NUMBER})
"""Kinds that are prose to a reader: filters measure them as text."""
FORMAL_KINDS = ALL_KINDS - {SpanKind.NUMBER}
"""What is masked for a language model that writes numbers itself, which are then compared by value."""


@dataclass(frozen=True, slots=True)
class Span:
    """``text`` is what stood in the source at [start, end); ``replacement`` what stands in the output.

    Attributes:
        block: it stands between segments and is copied; no model sees it, not even as a sentinel.
        role: "open" or "close" for one half of a pair, "positional" for what must keep its order among its like (%s),
            "" for all others.
    """

    start: int
    end: int
    kind: SpanKind
    text: str
    replacement: str
    block: bool = False
    role: str = ""
