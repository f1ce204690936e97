"""Answer pairs whose truth is known by construction: what the small local judge is trained and measured on.

Right answers repeat the name inside other words, in other case or punctuation, or with Arabic marks. Wrong ones are
other names, mostly close ones: a name that shares a part, half a name, the parts swapped, two names at once.
"""

from __future__ import annotations

import random

from sindbad.demo.names import FIRST_PIECES, NEXT_PIECES, arabic_name
from sindbad.judging.measure import LabelledCase
from sindbad.judging.verdict import JudgeRequest

_FRAMES = {
    "en": ("{}.", "It is {}.", "The answer is {}.", "The city of {}", "A company named {}", "“{}”", "{}, I think"),
    "ar": ("{}.", "هو {}.", "الجواب هو {}.", "مدينة {}", "شركة اسمها {}", "«{}»", "أظن أنه {}"),
}
_FATHA = "\u064e"


def answer_cases(count: int, seed: int) -> list[LabelledCase]:
    """``count`` cases, half right, both languages alike; deterministic."""
    rng = random.Random(f"judge:{seed}")
    return [_case(rng, language=("en", "ar")[index % 2], correct=index // 2 % 2 == 0) for index in range(count)]


def _case(rng: random.Random, *, language: str, correct: bool) -> LabelledCase:
    gold = _name(rng)
    told = gold if correct else _wrong(rng, gold)
    shown, answer = (_written(name, language) for name in (gold, told))
    if rng.random() < 0.5:
        answer = rng.choice(_FRAMES[language]).format(answer)
    elif rng.random() < 0.3:
        answer = _varied(rng, answer, language)
    question = {"en": "Which one is it?", "ar": "أي منها؟"}[language]
    return LabelledCase(JudgeRequest(question, shown, answer, language), correct)


def _name(rng: random.Random) -> str:
    """A city or company part ("Tavel"), or a person's two words ("Marota Lin")."""
    word = rng.choice(FIRST_PIECES) + rng.choice(NEXT_PIECES)
    return f"{word} {rng.choice(FIRST_PIECES)}" if rng.random() < 0.5 else word


def _wrong(rng: random.Random, gold: str) -> str:
    words = gold.split(" ")
    near = [
        words[0][:3] + rng.choice(NEXT_PIECES) + gold[len(words[0]) :],
        rng.choice(FIRST_PIECES) + gold[3:],
        _name(rng),
        f"{gold} {rng.choice(FIRST_PIECES)}" if len(words) == 1 else words[0],
    ]
    if len(words) == 2:
        near += [f"{words[0]} {rng.choice(FIRST_PIECES)}", words[1], f"{words[1]} {words[0]}"]
    return rng.choice([name for name in near if name != gold])


def _written(name: str, language: str) -> str:
    return name if language == "en" else arabic_name(name)


def _varied(rng: random.Random, answer: str, language: str) -> str:
    if language == "en":
        return answer.lower() if rng.random() < 0.5 else answer.upper()
    place = rng.randrange(1, len(answer) + 1)
    return answer[:place] + _FATHA + answer[place:]
