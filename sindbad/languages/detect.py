"""Which language a text is written in, by script alone: enough for a question in English or Arabic."""

from __future__ import annotations

from sindbad.languages import LANGUAGES, get_pack


def detect_language(text: str) -> str:
    """The pack with the largest share of its own letters in ``text``; the first one ("en") where there are none."""
    return max(LANGUAGES, key=lambda code: get_pack(code).script_share(text))
