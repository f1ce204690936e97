"""Was a task done instead of translated? The commonest fault of a language model that is asked to translate a question.

Length alone misses it ("What is 2+2?" -> "4"), and an answer may be as long as its question. So several weak signs are
added up, each readable: a question that is no question any more; an opening that only an answer has ("Sure, here is");
a text that grew past what the language pair allows; figures and Latin words that the source does not hold; a message
that reads like the conversation's own reply. A lost question is enough (of 621 professionally translated questions
1.3 % lose their form), of the others two are. Rules, no model: the same text always has the same score.

Not covered: an answer worded as a question, and tasks that are answered by one word in the source's own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sindbad.translation.numbers import values

if TYPE_CHECKING:
    from sindbad.corpus.filters import Pair

SIGN: Final = 0.4
"""Weight of one sign; two and a half of them are certainty."""
LOST: Final = 0.7
"""Weight of a lost question."""

_OPENERS: Final[Mapping[str, str]] = {
    "en": r"sure|certainly|of course|here (?:is|are)|as an ai|i(?:'m| am) sorry|i can(?:'t|not)|the answer is|"
    r"to answer|translation\s*:|let me|happy to help",
    "ar": r"بالتأكيد|بالطبع|طبع[اًا]+|حسن[اًا]+|إليك|اليك|إليكم|تفضل|كنموذج|بصفتي|أنا آسف|آسف|عذر[اًا]+|أعتذر|"
    r"لا أستطيع|لا يمكنني|الجواب|الإجابة|جواب|الترجمة\s*:|يسعدني|دعني|هذه بعض|فيما يلي",
}
"""How answers begin, and questions or tasks do not."""
_QUESTION: Final[Mapping[str, str]] = {
    "ar": r"^(?:هل|ما|ماذا|من|متى|أين|اين|كيف|لماذا|لم|كم|أي|أية|في أي|بأي|إلى أي|من أي|إلام|علام)(?:\s|$)",
    "en": r"^(?:what|who|whom|whose|when|where|why|how|which|is|are|was|were|do|does|did|can|could|will|would"
    r"|should)\b",
}
_LATIN = re.compile(r"[A-Za-z]{3,}")
_MARKS = ("?", "؟")


def evidence(pair: Pair) -> float:
    """Signs against ``pair``, 0 (none) to 1 (certain)."""
    from sindbad.corpus.filters import prose

    source, target = prose(pair.source).strip(), prose(pair.target).strip()
    if not source or not target:
        return 0.0
    signs = (
        _opens_like_an_answer(source, target, pair),
        _grown(source, target, pair),
        _new_facts(pair.source, pair.target),
        _is_the_answer(source, target, pair),
    )
    return min(1.0, LOST * _question_lost(source, target, pair.target_language) + SIGN * sum(signs))


def _question_lost(source: str, target: str, language: str) -> float:
    """The source asks in its last line, the target asks nowhere."""
    if not source.endswith("?") or any(mark in target for mark in _MARKS):
        return 0.0
    pattern = _QUESTION.get(language)
    asks = bool(pattern and any(re.match(pattern, line.strip(), re.I) for line in re.split(r"[\n.!:،,]", target)))
    return 0.0 if asks else 1.0


def _opens_like_an_answer(source: str, target: str, pair: Pair) -> float:
    def opens(text: str, language: str) -> bool:
        pattern = _OPENERS.get(language)
        return bool(pattern and re.match(rf"\W*(?:{pattern})", text[:80], re.I))

    begun = opens(target, pair.target_language) or opens(target, pair.source_language)
    return 1.0 if begun and not opens(source, pair.source_language) else 0.0


def _grown(source: str, target: str, pair: Pair) -> float:
    """Half a sign at the pair's longest expected length, a whole one at twice that."""
    from sindbad.corpus.filters import length_range

    _, most = length_range(pair.source_language, pair.target_language)
    growth = len(target) / max(1, len(source)) / most
    return 0.0 if growth <= 1.3 or len(target) < 40 else min(1.5, growth - 0.8)


def _new_facts(source: str, target: str) -> float:
    """Figures and Latin words of the target that the source does not hold."""
    new = sum((values(target) - values(source)).values())
    known = {word.lower() for word in _LATIN.findall(source)}
    new += sum(word.lower() not in known for word in _LATIN.findall(target))
    return min(1.2, 0.6 * new)


def _is_the_answer(source: str, target: str, pair: Pair) -> float:
    """The translation consists of its reply's wording (4-grams of characters), while the source does not."""
    left, right = _grams(target), _grams(pair.answer)
    if min(len(left), len(right)) < 16:
        return 0.0
    asked, replied = _grams(source), _grams(pair.source_answer)
    before = len(asked & replied) / max(1, len(asked))
    return 1.6 if len(left & right) / len(left) > 0.75 and before < 0.5 else 0.0


def _grams(text: str) -> set[str]:
    plain = " ".join(text.split())
    return {plain[i : i + 4] for i in range(len(plain) - 3)}
