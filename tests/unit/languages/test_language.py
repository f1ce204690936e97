"""What translating knows of languages without a pack: it comes from CLDR, for every language that CLDR has."""

from __future__ import annotations

import pytest
from babel.localedata import locale_identifiers

from sindbad.errors import InvalidInput
from sindbad.languages import LANGUAGES, get_language, get_pack, is_rtl
from sindbad.languages.language import cldr_language

SAID = {
    "fr": "Où se trouve la clé ?", "de": "Wo ist der Schlüssel?", "ru": "Где находится ключ?",
    "el": "Πού είναι το κλειδί;",
    "he": "איפה המפתח?", "fa": "کلید کجاست؟", "ur": "چابی کہاں ہے؟", "hi": "चाबी कहाँ है?", "zh": "钥匙在哪里？",
    "ja": "カギはどこですか。", "ko": "열쇠는 어디에 있습니까?", "am": "ቁልፉ የት ነው?",
    "th": "กุญแจอยู่ที่ไหน", "ka": "სად არის გასაღები?",
}  # fmt: skip
"""Where is the key?"""


@pytest.mark.parametrize("code", SAID)
def test_a_sentence_is_in_the_script_of_its_language_and_in_no_other(code: str) -> None:
    language = get_language(code)
    assert language.script_share(SAID[code]) == 1.0
    assert language.looks_native(SAID[code])
    assert not language.looks_native("مفتاح" if language.latin else "key")
    assert language.script_share("123 !") == 0.0


@pytest.mark.parametrize(
    ("code", "english", "rtl", "comma"),
    [("fr", "French", False, True), ("ur", "Urdu", True, False), ("sw", "Swahili", False, False),
     ("pt-BR", "Portuguese (Brazil)", False, True), ("zh-Hant", "Chinese (Traditional)", False, False)],
)  # fmt: skip
def test_name_direction_and_numbers_are_cldrs(code: str, english: str, rtl: bool, comma: bool) -> None:
    language = get_language(code)
    assert (language.english_name, language.rtl, language.decimal_comma) == (english, rtl, comma)
    assert is_rtl(code) is rtl


def test_every_language_of_cldr_can_be_asked_for_and_has_a_range_of_lengths() -> None:
    codes = [code.replace("_", "-") for code in locale_identifiers() if "_" not in code]
    assert len(codes) > 200
    for code in codes:
        language = get_language(code)
        low, high = language.length_ratio
        assert language.english_name
        assert 0 < low <= high
        assert 0 <= language.script_share("Sindbad sailed") <= 1


@pytest.mark.parametrize("code", ["", "xx", "enar", "../en", "e n", "français"])
def test_what_is_no_language_is_refused_with_examples(code: str) -> None:
    with pytest.raises(InvalidInput, match="no language is called"):
        get_language(code)
    assert not is_rtl(code)


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_pack_says_what_cldr_says_and_its_length_lies_within_the_estimate(code: str) -> None:
    pack, estimate = get_pack(code), cldr_language(code)
    assert get_language(code) is pack
    assert (pack.english_name, pack.name, pack.rtl, pack.latin) == (
        estimate.english_name, estimate.name, estimate.rtl, estimate.latin
    )  # fmt: skip
    middle = sum(pack.length_ratio) / 2
    assert estimate.length_ratio[0] <= middle <= estimate.length_ratio[1] or code == "en"
