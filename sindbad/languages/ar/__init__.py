"""Arabic (Modern Standard)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import ClassVar

from sindbad.languages.pack import AgentWording, LanguagePack, squeeze

_MARKS = re.compile(r"[\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0640]")  # harakat, Koranic marks, tatweel
_FORMS = str.maketrans(
    {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ة": "ه", "ؤ": "و", "ئ": "ي", "ک": "ك", "ی": "ي"}
)
_ARTICLE = re.compile(r"\bال(?=\w{2,})")
_EASTERN = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789")
_NOUNS = {
    "person": ("شخص", "الشخص الذي", "وهو"),
    "city": ("مدينة", "المدينة التي", "وهي"),
    "country": ("دولة", "الدولة التي", "وهي"),
    "company": ("شركة", "الشركة التي", "وهي"),
}


class Arabic(LanguagePack):
    """Diacritics, tatweel, hamza and alef forms, ta marbuta, the article and digit style do not tell answers apart.

    An indefinite noun takes its relative clause without a pronoun ("مدينة تقع في"), so a chain reads in hop order as in
    English. Countries, cities and companies are feminine, invented persons take the masculine form.
    """

    code = "ar"
    name = "العربية"
    english_name = "Arabic"
    rtl = True
    scripts = ((0x0620, 0x064A), (0x066E, 0x06D3), (0x0750, 0x077F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC))
    letter_share = (0.7, 1.0)
    length_ratio = (0.6, 1.4)
    digits = "٠١٢٣٤٥٦٧٨٩"
    question_mark = "؟"
    phrases: ClassVar[Mapping[str, str]] = {
        "born_in": "ولد في",
        "works_for": "يعمل لدى",
        "spouse": "متزوج من",
        "studied_under": "درس على يد",
        "located_in": "تقع في",
        "mayor": "يديرها",
        "twin": "متوأمة مع",
        "capital": "عاصمتها",
        "leader": "يقودها",
        "borders": "تجاور",
        "founder": "أسسها",
        "based_in": "مقرها في",
        "rival": "تنافس",
    }
    kinds: ClassVar[Mapping[str, str]] = {
        "person": "هو شخص",
        "city": "هي مدينة",
        "country": "هي دولة",
        "company": "هي شركة",
    }
    agent = AgentWording(
        opening="لأقرأ عن",
        searching="لأبحث عن ذلك.",
        retry="فشل ذلك، سأحاول مرة أخرى.",
        give_up="لا أستطيع العثور عليه.",
    )

    def normalise_answer(self, text: str) -> str:
        """One form for alef, ya and ta marbuta; no marks, tatweel, punctuation or definite article."""
        folded = _MARKS.sub("", unicodedata.normalize("NFKC", text)).translate(_FORMS).translate(_EASTERN).casefold()
        words = squeeze("".join(" " if unicodedata.category(char)[0] in "PSC" else char for char in folded))
        return squeeze(_ARTICLE.sub("", words))

    def _some(self, entity_type: str) -> str:
        return _NOUNS[entity_type][0]

    def _which(self, entity_type: str) -> str:
        return f"أي {_NOUNS[entity_type][0]}"

    def _which_opening(self, entity_type: str) -> str:
        return f"أي {_NOUNS[entity_type][0]}"

    def _the(self, entity_type: str) -> str:
        return _NOUNS[entity_type][1]

    def _and(self, entity_type: str) -> str:
        return _NOUNS[entity_type][2]


PACK: LanguagePack = Arabic()
