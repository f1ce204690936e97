"""What a model is asked: the prompt for one masked text, with what surrounds it.

The fixed templates (LIGHT, TEACHER) see the text alone, byte for byte as in training. INSTRUCT also tells who speaks,
what was said before, which terms were chosen, and what was wrong with the last answer.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from sindbad.translation.prompts import PromptStyle, pair_wording, translation_prompt
from sindbad.translation.speakers import Prompt


@dataclass(frozen=True, slots=True)
class Route:
    """Direction, sampling and caller of one request. ``caller`` is whom the slots are shared with."""

    source: str
    target: str
    temperature: float = 0.0
    seed: int = 0
    caller: Hashable = None

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds a text in its prompt.

    Attributes:
        role: of the turn; "" for a document. context: earlier turns as (role, source text, translation).
        terms: renderings to use again. addressee: see ``TranslationRequest``.
    """

    role: str = ""
    context: tuple[tuple[str, str, str], ...] = ()
    terms: Mapping[str, str] = field(default_factory=dict)
    addressee: str = ""


@dataclass(frozen=True, slots=True)
class Prompter:
    """Builds prompts in one style. ``context_characters``: most of the earlier turns that are shown, newest first."""

    style: PromptStyle
    context_characters: int = 6000

    def prompt(self, text: str, route: Route, frame: Frame, wrong: str = "") -> Prompt:
        """The prompt for ``text`` (masked); ``wrong`` says what was wrong with the last answer."""
        if self.style is not PromptStyle.INSTRUCT:
            return Prompt(translation_prompt(text, self.style, source=route.source, target=route.target))
        wording = pair_wording(route.source, route.target)
        system = [wording.system, wording.addressee.get(frame.addressee, "")]
        system.append(wording.system_turn if frame.role == "system" else "")
        asked = wording.turn.replace("{role}", frame.role) if frame.role else wording.document
        user = [self._context(route, frame), self._terms(route, frame)]
        user.append(wording.again.replace("{reason}", wrong) if wrong else "")
        return Prompt(_joined([*user, asked.replace("{text}", text)], "\n\n"), _joined(system, "\n"))

    def terms_prompt(self, terms: list[str], original: str, translated: str, route: Route) -> Prompt:
        """Asks how ``terms`` were rendered."""
        wording = pair_wording(route.source, route.target)
        parts = {"{terms}": "; ".join(terms), "{original}": original, "{translated}": translated}
        return Prompt(_filled(wording.find_terms, parts))

    def _terms(self, route: Route, frame: Frame) -> str:
        listed = "; ".join(f"{term} = {said}" for term, said in frame.terms.items())
        return pair_wording(route.source, route.target).terms.replace("{terms}", listed) if listed else ""

    def _context(self, route: Route, frame: Frame) -> str:
        wording, shown, left = pair_wording(route.source, route.target), list[str](), self.context_characters
        for role, original, translated in reversed(frame.context):
            left -= len(original) + len(translated)
            if left < 0:
                break
            parts = {"{role}": role or "text", "{original}": original, "{translated}": translated}
            shown.append(_filled(wording.context_turn, parts))
        return wording.context.replace("{turns}", "\n\n".join(reversed(shown))) if shown else ""


def _joined(parts: list[str], between: str) -> str:
    return between.join(part for part in parts if part)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """Every field in one pass: what is filled in is never searched for fields."""
    return re.sub("|".join(map(re.escape, parts)), lambda match: parts[match[0]], template)
