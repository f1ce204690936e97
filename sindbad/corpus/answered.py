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
from typing import TYPE_CHECKING, Final

from sindbad.languages import get_language
from sindbad.translation.numbers import values
from sindbad.translation.wording import get_wording

if TYPE_CHECKING:
    from sindbad.corpus.filters import Pair

SIGN: Final = 0.4
"""Weight of one sign; two and a half of them are certainty."""
LOST: Final = 0.7
"""Weight of a lost question."""

_LATIN = re.compile(r"[A-Za-z]{3,}")
_MARKS = ("?", "؟", "？")


def evidence(pair: Pair) -> float:
    """Signs against ``pair``, 0 (none) to 1 (certain)."""
    from sindbad.corpus.filters import prose

    source, target = prose(pair.source).strip(), prose(pair.target).strip()
    if not source or not target:
        return 0.0
    signs = (
        _opens_like_an_answer(source, target, pair),
        _grown(source, target, pair),
        _new_facts(pair),
        _is_the_answer(source, target, pair),
    )
    return min(1.0, LOST * _question_lost(source, target, pair.target_language) + SIGN * sum(signs))


def _question_lost(source: str, target: str, language: str) -> float:
    """The source asks in its last line, the target asks nowhere."""
    if not source.endswith(_MARKS) or any(mark in target for mark in _MARKS):
        return 0.0
    pattern = get_wording(language).question_pattern
    asks = bool(pattern and any(pattern.match(line.strip()) for line in re.split(r"[\n.!:،,。]", target)))
    return 0.0 if asks else 1.0


def _opens_like_an_answer(source: str, target: str, pair: Pair) -> float:
    def opens(text: str, language: str) -> bool:
        pattern = get_wording(language).opener_pattern
        return bool(pattern and pattern.match(text[:80]))

    begun = opens(target, pair.target_language) or opens(target, pair.source_language)
    assent = get_wording(pair.source_language).assent_pattern  # "Definitely! …" may begin with any yes
    own = opens(source, pair.source_language) or bool(assent and assent.match(source))
    return 1.0 if begun and not own else 0.0


def _grown(source: str, target: str, pair: Pair) -> float:
    """Half a sign at the pair's longest expected length, a whole one at twice that."""
    from sindbad.corpus.filters import length_range

    _, most = length_range(pair.source_language, pair.target_language)
    growth = len(target) / max(1, len(source)) / most
    return 0.0 if growth <= 1.3 or len(target) < 40 else min(1.5, growth - 0.8)


def _new_facts(pair: Pair) -> float:
    """Figures of the target that the source does not hold, and Latin words where the language has other letters."""
    from sindbad.corpus.filters import without_terms

    source, target = without_terms(pair)
    new = sum((values(target) - values(source)).values())
    if not get_language(pair.target_language).latin:
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
