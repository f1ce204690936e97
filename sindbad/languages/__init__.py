"""Languages. Translation works in any that Unicode's CLDR knows (:func:`get_language`); agents, questions and the demo
need a pack: one folder a language, one protocol (:class:`LanguagePack`). English and Arabic have one.

Another pack is another folder with a ``PACK`` and a line in ``LANGUAGES``.
"""

from __future__ import annotations

from importlib import import_module

from sindbad.errors import InvalidInput
from sindbad.languages.grammar import Grammar
from sindbad.languages.language import Language, cldr_language
from sindbad.languages.pack import AgentWording, Fact, LanguagePack
from sindbad.languages.rewording import RewordingRules

LANGUAGES = ("en", "ar")

__all__ = ["LANGUAGES", "AgentWording", "Fact", "Grammar", "Language", "LanguagePack", "get_grammar", "get_language",
           "get_pack", "get_rewording", "is_rtl"]  # fmt: skip


def get_language(code: str) -> Language:
    """What translating needs to know: the pack where there is one, else CLDR. Raises InvalidInput for no language."""
    return get_pack(code) if code in LANGUAGES else cldr_language(code)


def get_pack(code: str) -> LanguagePack:
    """The pack of a language code. Raises InvalidInput for one that has no folder here."""
    if code not in LANGUAGES:
        raise InvalidInput(f"no language pack for {code!r}; known: {', '.join(LANGUAGES)}", reason="UNKNOWN_LANGUAGE")
    pack: LanguagePack = import_module(f"sindbad.languages.{code}").PACK
    return pack


def is_rtl(code: str) -> bool:
    """Whether a language runs from right to left; false for what is no language ("")."""
    try:
        return get_language(code).rtl
    except InvalidInput:
        return False


def get_grammar(code: str) -> Grammar:
    """How a language words puzzles. Raises InvalidInput for one that has no folder here."""
    get_pack(code)
    grammar: Grammar = import_module(f"sindbad.languages.{code}.grammar").GRAMMAR
    return grammar


def get_rewording(code: str) -> RewordingRules:
    """What a model may change in a question. Raises InvalidInput for a language that has no folder here."""
    get_pack(code)
    rules: RewordingRules = import_module(f"sindbad.languages.{code}.rewording").RULES
    return rules
