"""Names and terms whose translation is given, not guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from sindbad.errors import InvalidInput

MAX_TERMS = 20_000
MAX_TERM_CHARACTERS = 200
_BLANK = r"(?:[^\S\n]+|[^\S\n]*\n[^\S\n]*)"
"""Between the words of a term: blanks, or the end of a line; no blank line."""


class Glossary:
    """Source term -> target term. The longest term wins; terms match whole words only, case-sensitively, and over the
    end of a line as well.

    Immutable; ``digest`` names the content, because a cached translation is valid for one glossary replacement only.
    """

    def __init__(self, terms: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._terms = dict(terms)
        if len(self._terms) > MAX_TERMS:
            raise InvalidInput(f"a glossary holds at most {MAX_TERMS} terms, this one has {len(self._terms)}.")
        for source, target in self._terms.items():
            if not source.strip() or not target.strip():
                raise InvalidInput("a glossary term and its translation must not be empty.")
            if max(len(source), len(target)) > MAX_TERM_CHARACTERS:
                raise InvalidInput(f"a glossary term has at most {MAX_TERM_CHARACTERS} characters.")

    @property
    def terms(self) -> dict[str, str]:
        """A copy of the mapping."""
        return dict(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    def __contains__(self, term: str) -> bool:
        return _form(term) in self._by_form

    def __getitem__(self, term: str) -> str:
        return self._terms[self._by_form[_form(term)]]

    def get(self, term: str, default: str = "") -> str:
        """Target of ``term``, or ``default``."""
        known = self._by_form.get(_form(term))
        return default if known is None else self._terms[known]

    @cached_property
    def _by_form(self) -> dict[str, str]:
        return {_form(term): term for term in self._terms}

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """Matches any term, longest first; None for an empty glossary."""
        if not self._terms:
            return None
        terms = sorted(self._terms, key=len, reverse=True)
        alternatives = "|".join(_BLANK.join(map(re.escape, term.split())) for term in terms)
        return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")

    def reversed(self) -> Glossary:
        """Target -> source; where two terms share a target the first stays."""
        flipped: dict[str, str] = {}
        for source, target in self._terms.items():
            flipped.setdefault(target, source)
        return Glossary(flipped)

    def names_in(self, text: str) -> list[str]:
        """Source terms in order of appearance, repeats included."""
        return [self._by_form[_form(found)] for found in self.pattern.findall(text)] if self.pattern else []


def _form(term: str) -> str:
    """Equal for a term and for what :attr:`Glossary.pattern` finds of it."""
    return " ".join(term.split())
