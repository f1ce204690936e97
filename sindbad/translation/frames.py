"""The rarer forms of the demo's prose, as parallel frames around a fact: data, no logic.

Pages, questions and thoughts are worded by the language packs; these frames are what the teacher knows beyond them and
what makes an instruction corpus more than question and answer. ``{fact}`` is a fact's sentence without its full stop,
``{name}`` an entity, ``{first}`` and ``{second}`` two facts about one subject, the second without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One parallel form. ``slots`` are the fields in braces, the same in both languages."""

    en: str
    ar: str

    @property
    def slots(self) -> frozenset[str]:
        """Names of the fields."""
        return frozenset(re.findall(r"\{(\w+)\}", self.en))


FRAMES: tuple[Frame, ...] = (
    Frame("Is it true that {fact}?", "هل صحيح أن {fact}؟"),
    Frame("It is true that {fact}.", "صحيح أن {fact}."),
    Frame("It is not true that {fact}.", "ليس صحيحا أن {fact}."),
    Frame("We know that {fact}.", "نعلم أن {fact}."),
    Frame("Yes, {fact}.", "نعم، {fact}."),
    Frame("No, {fact}.", "لا، {fact}."),
    Frame("The page says that {fact}.", "تقول الصفحة إن {fact}."),
    Frame("What does the page say about {name}?", "ماذا تقول الصفحة عن {name}؟"),
    Frame("Read the page about {name}.", "اقرأ الصفحة عن {name}."),
    Frame("Answer with one name.", "أجب باسم واحد."),
    Frame("{first} and {second}.", "{first} و{second}."),
    Frame("The answer is {name}.", "الجواب هو {name}."),
)


def words(language: str) -> list[str]:
    """Distinct words of the frames in one language, without slots and punctuation, in order of appearance."""
    texts = (re.sub(r"\{\w+\}", " ", getattr(frame, language)) for frame in FRAMES)
    return list(dict.fromkeys(word for text in texts for word in re.findall(r"\w+", text)))
