"""The translator's prompts: fixed templates, byte-equal in training and inference (papers §4.6).

``LIGHT`` is the template every public user of HALA's released translator sends as its only user turn; ``TEACHER`` is
the one the authors gave to their teacher. ``INSTRUCT`` is for a general language model: its wording stands in a file a
direction (``pairs/``), and it carries context, terms and who is spoken to. The demo's tiny tokenizer holds the
templates' words and the sentinels as whole pieces (:func:`translation_words`, :func:`sentinels`), so a prompt costs
ten tokens instead of sixty bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sindbad.languages import get_language
from sindbad.translation import frames
from sindbad.translation.spans import MAX_PIECE_SENTINELS, sentinel


class PromptStyle(StrEnum):
    """Whose template. Teacher and light translator each see their own only."""

    LIGHT = "light"
    TEACHER = "teacher"
    INSTRUCT = "instruct"


_TEMPLATES = {
    PromptStyle.LIGHT: "Translate everything that follows into {target}:\n\n",
    PromptStyle.TEACHER: "Translate from {source} to {target}: ",
}


def language_name(code: str) -> str:
    """English name of a language code. Raises InvalidInput for one that is none."""
    return get_language(code).english_name


def translation_prompt(text: str, style: PromptStyle, *, source: str = "en", target: str = "ar") -> str:
    """The user turn for ``text`` (already masked). The text is appended, never formatted: braces are safe."""
    if style is PromptStyle.INSTRUCT:
        wording = pair_wording(source, target)
        return f"{wording.system}\n\n{wording.document.replace('{text}', text)}"
    template = _TEMPLATES[style].format(source=language_name(source), target=language_name(target))
    return template + text


@dataclass(frozen=True, slots=True)
class PairWording:
    """How a general language model is asked in one direction; see ``pairs/default.yaml`` for the fields."""

    system: str
    document: str
    turn: str
    context: str
    context_turn: str
    terms: str
    addressee: Mapping[str, str]
    system_turn: str
    again: str
    find_terms: str


@cache
def pair_wording(source: str, target: str) -> PairWording:
    """``pairs/default.yaml`` with the entries of ``pairs/SOURCE-TARGET.yaml`` in their place.

    Raises InvalidInput for a language without a name.
    """
    folder = Path(__file__).with_name("pairs")
    entries: dict[str, Any] = yaml.safe_load((folder / "default.yaml").read_text(encoding="utf-8"))
    names = {"{source}": language_name(source), "{target}": language_name(target)}
    own = folder / f"{source}-{target}.yaml"
    if own.is_file():
        entries |= yaml.safe_load(own.read_text(encoding="utf-8"))
    notes = entries.pop("target_notes")
    entries["system"] = f"{entries['system']}\n{notes}".strip()
    for key, entry in entries.items():
        if isinstance(entry, str):
            for name, word in names.items():
                entry = entry.replace(name, word)
            entries[key] = entry
    return PairWording(**entries)


def translation_words() -> list[str]:
    """Words of templates and frames, which a small tokenizer should hold whole."""
    prompts = " ".join(template.format(source="English", target="Arabic") for template in _TEMPLATES.values())
    return list(dict.fromkeys([*re.findall(r"\w+", prompts), *frames.words("en"), *frames.words("ar")]))


def sentinels() -> list[str]:
    """The first sentinels: one piece each in a small tokenizer, so that copying one is copying one id."""
    return [sentinel(index) for index in range(MAX_PIECE_SENTINELS)]


def render_prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """ChatML ids of one user turn, up to where the assistant begins; the text can't become a special token."""
    from sindbad.agent.chat import user_turn_ids  # the renderer that training uses: equal by identity

    return user_turn_ids(tokenizer, prompt)


def stop_ids(tokenizer: Any) -> tuple[int, ...]:
    """The end-of-turn token. Raises InvalidInput for a tokenizer without ChatML."""
    from sindbad.agent.chat import plain_chat

    return (plain_chat(tokenizer).end_of_turn_id,)


def decode(tokenizer: Any, token_ids: Sequence[int]) -> str:
    """Text of sampled ids without special tokens."""
    return str(tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()
