"""French, which has no pack: numbers in its notation, its wording's instructions, and how a model is asked."""

from __future__ import annotations

import pytest

from sindbad.corpus.answered import evidence
from sindbad.corpus.filters import Pair, judge
from sindbad.translation.numbers import differing
from sindbad.translation.prompts import PromptStyle, pair_wording, translation_prompt
from sindbad.translation.wording import get_wording


@pytest.mark.parametrize(
    ("english", "other", "language"),
    [
        ("It costs 1,234.5 euros.", "Cela coûte 1 234,5 euros.", "fr"),
        ("It costs 1,234.5 euros.", "Cela coûte 1\u202f234,5 euros.", "fr"),
        ("12,000 people in 2020", "12 000 personnes en 2020", "fr"),
        ("1.234 km", "1,234 km", "fr"),
        ("12,000 people", "12.000 Menschen", "de"),
        ("1.5 km", "1,5 km", "de"),
        ("In 2020 300 people came.", "En 2020 300 personnes sont venues.", "fr"),
        ("3 items and the 2nd", "trois articles et le deuxième", "fr"),
        ("-5 degrees", "moins 5 degrés", "fr"),
    ],
)
def test_a_number_in_the_other_languages_notation_is_the_same_number(english: str, other: str, language: str) -> None:
    assert differing(english, other, "en", language) == []
    assert differing(other, english, language, "en") == []


@pytest.mark.parametrize(
    ("english", "french"),
    [("1,234 km", "1,235 km"), ("12,000 people", "12 100 personnes"), ("7 items", "six articles"), ("1.5", "15")],
)
def test_another_number_is_another_one_in_every_notation(english: str, french: str) -> None:
    assert differing(english, french, "en", "fr")


def test_in_english_and_arabic_a_number_has_one_reading() -> None:
    assert differing("1.234 km", "1,234 كم", "en", "ar") == ["+1234", "-1.234"]
    assert differing("12,000 people", "12 000 شخص", "en", "ar")


def test_a_model_is_asked_in_the_languages_names_and_with_frenchs_own_notes() -> None:
    assert (
        translation_prompt("Hi", PromptStyle.LIGHT, target="fr")
        == "Translate everything that follows into French:\n\nHi"
    )
    assert translation_prompt("Salut", PromptStyle.TEACHER, source="fr", target="sw").startswith(
        "Translate from French to Swahili: "
    )
    assert "« »" in pair_wording("en", "fr").system
    assert "« »" not in pair_wording("en", "sw").system
    assert "from English to Swahili" in pair_wording("en", "sw").system


def test_a_region_has_the_wording_of_its_language_and_an_unknown_language_none() -> None:
    assert get_wording("fr-CA").tasks == get_wording("fr").tasks != ()
    assert get_wording("sw").tasks == ()


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Corrige les fautes d'orthographe : « Je mange une pome. »", "grammar"),
        ("Traduis cette phrase en anglais : Bonjour.", "translation"),
        ("Mets cette phrase au passé composé : Il mange.", "form"),
        ("Donne un synonyme de rapide.", "words"),
        ("Quelle est la nature grammaticale de ce mot ?", "analysis"),
    ],
)
def test_an_instruction_about_french_is_known_and_a_plain_one_is_not(text: str, task: str) -> None:
    assert task in {one.name for one in get_wording("fr").tasks if one.pattern.search(text)}
    plain = "Écris un court poème sur la mer et le vent."
    assert not [one for one in get_wording("fr").tasks if one.pattern.search(plain)]


def french(source: str, target: str, reason: str = "") -> tuple[Pair, str]:
    return Pair(source, target, "en", "fr"), reason


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        french("Where is the key to the old house?", "Où se trouve la clé de la vieille maison ?"),
        french("Write a poem about the sea and the wind.", "Écris un poème sur la mer et le vent."),
        french("Where is the key to the old house?", "Where is the key to the old house?", "untranslated"),
        french("Where is the key to the old house?", "Wo ist der Schlüssel zum alten Haus geblieben?", "language"),
        french("Where is the key to the old house?", "أين مفتاح البيت القديم؟", "script"),
        french("Where is the key to the old house?", "La clé est sous le tapis de la porte d'entrée.", "answered"),
        french("The house has 12 windows.", "La maison a 13 fenêtres.", "numbers"),
        french("Where is the key to the old house, and who has it?", "Où ?", "length_ratio"),
    ],
)
def test_the_filters_keep_good_french_and_say_why_the_rest_goes(pair: Pair, reason: str) -> None:
    assert judge(pair).reason == reason


def test_a_regions_text_is_judged_as_its_languages() -> None:
    said = "Onde está a chave da casa velha que fica perto do rio?"
    assert judge(Pair("Where is the key to the old house by the river?", said, "en", "pt-BR")).keep
    assert judge(Pair("Where is the key to the old house by the river?", said, "en", "fr-CA")).reason == "language"


def test_latin_words_are_new_facts_in_arabic_and_plain_words_in_a_latin_language() -> None:
    said = "The old man lives in the house."
    assert evidence(Pair(said, "يعيش Hassan Boubakri في البيت.")) > 0
    assert evidence(Pair(said, "Le vieil homme vit dans la maison.", "en", "fr")) == 0
    assert evidence(Pair("يعيش الرجل العجوز في البيت.", said, "ar", "en")) == 0
