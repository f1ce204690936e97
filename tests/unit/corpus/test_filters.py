"""Filters say keep, or the reason."""

from __future__ import annotations

import gzip
import json

import pytest

from sindbad.corpus.answered import evidence
from sindbad.corpus.duplicates import DuplicateFinder, DuplicateSettings, alike_apart
from sindbad.corpus.filters import (
    DEFAULT_FILTERS,
    FILTER_NAMES,
    FilterSettings,
    Pair,
    judge,
    length_range,
    script_share,
)
from sindbad.translation.glossary import Glossary
from sindbad.translation.numbers import differing
from tests.shared import shared

GOOD = Pair("Bofima Bin was born in Diramo.", "بوفيما بين ولد في ديرامو.")


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (GOOD.source, GOOD.target, ""),
        ("Bofima has 3 cats.", "بوفيما لديه ٣ قطط.", ""),
        ("Run `pip install x` now please.", "شغل `pip install x` الآن رجاء.", ""),
        (GOOD.source, "", "empty"),
        (GOOD.source, GOOD.source, "untranslated"),
        (GOOD.source, "بوفيما was born in Diramo.", "script"),
        (GOOD.source, "ولد.", "length_ratio"),
        (GOOD.source, "ولد ولد ولد ولد ولد ولد ولد", "repetition"),
        ("Bofima has 3 cats.", "بوفيما لديه ٤ قطط.", "numbers"),
        ("Run `pip install x` now please.", "شغل `pip` الآن رجاء يا صديق.", "protected"),
    ],
)
def test_a_pair_is_kept_or_the_first_reason_is_named(source: str, target: str, reason: str) -> None:
    assert judge(Pair(source, target)).reason == reason


def test_a_name_of_the_glossary_must_arrive_in_its_own_form() -> None:
    glossary = Glossary({"Bofima Bin": "بوفيما بين", "Diramo": "ديرامو"})
    assert judge(Pair(GOOD.source, GOOD.target, glossary=glossary)).keep
    assert judge(Pair(GOOD.source, "بوفيما بين ولد في مكان ما.", glossary=glossary)).reason == "names"


def test_every_score_is_recorded_also_behind_the_first_reason() -> None:
    verdict = judge(Pair(GOOD.source, ""))
    assert [score.name for score in verdict.scores] == list(FILTER_NAMES[:-1])  # the last is a conversation's
    assert not verdict.keep


def test_the_script_threshold_is_configurable() -> None:
    pair = Pair("The page of Bofima", "صفحة Bofima")
    assert judge(pair).reason == "script"
    assert judge(pair, FilterSettings(script_share_min=0.2)).keep


def test_digits_have_no_script() -> None:
    assert script_share("123 !", "ar") == 1.0


def test_another_language_in_the_same_script_is_told() -> None:
    source = "The weather is very good today and we will go to the city this evening."
    persian = "امروز هوا خیلی خوب است و ما می‌خواهیم عصر به شهر برویم و با دوستان خود گفتگو کنیم."
    verdict = judge(Pair(source, persian))
    assert verdict.reason == "language"
    assert judge(Pair(source, "الطقس جيد جدا اليوم وسنذهب إلى المدينة هذا المساء.")).keep


@pytest.mark.parametrize(
    ("source", "target", "answer"),
    [
        ("What is the capital of France?", "باريس هي عاصمة فرنسا.", ""),
        ("List three colours that a rainbow shows.", "بالتأكيد! الألوان هي 1 أحمر و2 أصفر و3 أزرق وهي جميلة.", ""),
        (
            "Tell me about Paris, please.",
            "باريس مدينة كبيرة تقع على نهر السين.",
            "باريس مدينة كبيرة تقع على نهر السين.",
        ),
    ],
)
def test_an_answer_is_no_translation(source: str, target: str, answer: str) -> None:
    assert evidence(Pair(source, target, answer=answer, source_answer="Paris is a big city on a river.")) > 0.6


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("What is the capital of France?", "ما هي عاصمة فرنسا؟"),
        ("Of course he came.", "بالطبع جاء."),
        ("Who wrote Hamlet?", "من كتب هاملت"),  # a question word is enough
    ],
)
def test_a_translated_question_is_not_taken_for_an_answer(source: str, target: str) -> None:
    assert evidence(Pair(source, target)) <= 0.6


@pytest.mark.slow
def test_answers_are_told_from_translations_on_professional_text() -> None:
    with gzip.open(shared("data", "arabic_eval", "xquad_en_ar.jsonl.gz"), "rt", encoding="utf-8") as file:
        asked = [question for line in list(file)[:120] for question in json.loads(line)["qas"]]
    false = sum(evidence(Pair(one["question_en"], one["question_ar"])) > 0.6 for one in asked)
    found = sum(evidence(Pair(one["question_en"], one["answer_ar"])) > 0.6 for one in asked)
    assert false / len(asked) < 0.02
    assert found / len(asked) > 0.9


def test_a_cut_text_and_missing_paragraphs_are_told() -> None:
    source = "The committee met on Monday. It talked about the budget for the coming year, and then about the staff."
    assert judge(Pair(source, "اجتمعت اللجنة يوم الاثنين وتحدثت عن")).reason in ("truncated", "length_ratio")
    assert judge(Pair("One thing.\n\nAnother thing.\n\nA third.", "شيء واحد وشيء آخر وشيء ثالث.")).reason == "truncated"


ENGLISH = (
    "The committee met on Monday and talked about the budget for the coming year.",
    "Nobody wanted to say how much the new bridge over the river had cost in the end.",
    "In the evening the mayor read a letter of the engineers, who asked for more time.",
    "The next meeting takes place in spring, when the snow on the roads is gone.",
)
ARABIC = (
    "اجتمعت اللجنة يوم الاثنين وتحدثت عن ميزانية العام المقبل.",
    "لم يرغب أحد في أن يقول كم بلغت تكلفة الجسر الجديد فوق النهر في النهاية.",
    "في المساء قرأ رئيس البلدية رسالة من المهندسين الذين طلبوا مزيدا من الوقت.",
    "يعقد الاجتماع القادم في الربيع حين تختفي الثلوج عن الطرق.",
)
CODE = "def area(width, height):\n    return width * height if width > 0 else None"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (ARABIC, ""),
        ((f"{ARABIC[0]} {ARABIC[1]}", *ARABIC[2:]), ""),
        (("\n".join(ARABIC),), ""),
        (ARABIC[:2], "truncated"),
        (ARABIC[:3], "truncated"),
        (ARABIC[1:], "truncated"),
        ((ARABIC[0], ARABIC[1], ARABIC[3]), "truncated"),
        ((*ARABIC[:3], ENGLISH[3]), "untranslated"),
        ((ARABIC[0], ENGLISH[1], *ARABIC[2:]), "untranslated"),
        ((*ARABIC[:3], "The next meeting will be in spring, once there is no more snow."), "script"),
    ],
)
def test_no_paragraph_may_be_missing_or_stay_in_the_source_language(target: tuple[str, ...], reason: str) -> None:
    assert judge(Pair("\n\n".join(ENGLISH), "\n\n".join(target))).reason == reason


def test_a_paragraph_of_code_or_of_titles_may_stay() -> None:
    for part in (CODE, "Led Zeppelin, Deep Purple, The Beatles, Black Sabbath"):
        pair = Pair("\n\n".join([*ENGLISH, part]), "\n\n".join([*ARABIC, part]))
        assert judge(pair).reason == ""
        assert judge(pair, FilterSettings(script_share_min=0.9)).reason == "script"  # the whole text's share


def test_a_paragraph_that_stays_is_told_between_languages_of_one_script() -> None:
    french = [
        "Le comité s'est réuni lundi et a parlé du budget de l'année à venir.",
        "Personne ne voulait dire combien le nouveau pont sur le fleuve avait coûté.",
    ]
    source = "\n\n".join(ENGLISH[:2])
    assert judge(Pair(source, "\n\n".join(french), "en", "fr")).keep
    assert judge(Pair(source, f"{french[0]}\n\n{ENGLISH[1]}", "en", "fr")).reason == "untranslated"


@pytest.mark.slow
def test_of_professional_paragraphs_the_lost_are_told_and_the_joined_are_kept() -> None:
    with gzip.open(shared("data", "parallel", "docs_markdown_en_ar.jsonl.gz"), "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["block_type"] == "p"]
    plain = [(row["en"], row["ar"]) for row in rows if not set("`[<0123456789") & set(row["en"])]
    fours = [plain[start : start + 4] for start in range(0, len(plain) - 3, 4)]
    truncated = next(one for one in DEFAULT_FILTERS if one.name == "truncated")

    def told(made: list[list[str]]) -> float:
        sources = ("\n\n".join(english for english, _ in four) for four in fours)
        found = [truncated.check(Pair(one, "\n\n".join(target))) for one, target in zip(sources, made, strict=True)]
        return sum(reason is not None for reason in found) / len(found)

    texts = [[arabic for _, arabic in four] for four in fours]
    assert told(texts) == 0
    assert told([[f"{four[0]} {four[1]}", *four[2:]] for four in texts]) < 0.03
    assert told([four[:2] for four in texts]) > 0.85
    assert told([four[:3] for four in texts]) > 0.7


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("سلام دنیا چطوری", False),
        ("میں ٹھیک ہوں", False),
        ("مرحبا كيف حالك", True),
        ("بيتر پان هنا الآن", True),
    ],
)
def test_letters_that_arabic_does_not_have_tell_a_few_words_of_persian_and_urdu(target: str, kept: bool) -> None:
    assert judge(Pair("Hello world how", target)).reason == ("" if kept else "language")


TERMS = Glossary(
    {"Python": "بايثون", "Boeing 747": "بوينغ جمبو", "7-Eleven": "سفن إيلفن", "machine learning": "تعلم الآلة"}
)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("Python is a language. Type `Python` to start it.", "بايثون لغة. اكتب `Python` لتبدأها.", ""),
        ("Python is a language. Type `Python` to start it.", "هذه لغة. اكتب `Python` لتبدأها الآن.", "names"),
        ("See https://python.org/Python for Python.", "انظر https://python.org/Python من أجل بايثون.", ""),
        ("The Boeing 747 is a very large aircraft.", "البوينغ جمبو طائرة كبيرة جدا، بوينغ جمبو.", ""),
        ("The Boeing 747 has 4 engines and 2 decks.", "لدى بوينغ جمبو 4 محركات وطابقان.", ""),
        ("The Boeing 747 has 4 engines and 2 decks.", "لدى بوينغ جمبو 5 محركات وطابقان.", "numbers"),
        ("I went to 7-Eleven for some milk.", "ذهبت إلى سفن إيلفن لشراء بعض الحليب.", ""),
        ("We study machine\nlearning here today.", "ندرس تعلم الآلة هنا اليوم.", ""),
        ("We study machine\nlearning here today.", "ندرس تعليم الآلات هنا اليوم.", "names"),
        ("We use a machine.\n\nlearning is fine.", "نستخدم آلة.\n\nالتعلم جيد.", ""),
    ],
)
def test_a_term_counts_where_it_is_prose_and_takes_its_numbers_with_it(source: str, target: str, reason: str) -> None:
    assert judge(Pair(source, target, glossary=TERMS)).reason == reason


WRAPPED = (
    "The river rises in the northern hills and\nflows south through three provinces until\n"
    "it reaches the sea near the old harbour,\nwhere fishing boats still leave at dawn."
)
JOINED = (
    "ينبع النهر من التلال الشمالية ويجري جنوبا عبر ثلاث مقاطعات حتى يصل إلى البحر قرب الميناء القديم، "
    "حيث لا تزال قوارب الصيد تبحر عند الفجر."
)


@pytest.mark.parametrize(
    ("source", "target", "cut"),
    [
        (WRAPPED, JOINED, False),
        (f"{WRAPPED}\n\n{WRAPPED}", f"{JOINED}\n{JOINED}", False),
        (f"{WRAPPED}\n\n{WRAPPED}\n\n{WRAPPED}", f"{JOINED} {JOINED} {JOINED}", True),
        (WRAPPED, f"{JOINED[:50]}.", True),
        ("- two apples\n- three pears\n- a loaf of bread\n- some milk", "- تفاحتان.", True),
        (
            "- two apples\n- three pears\n- a loaf of bread\n- some milk",
            "تفاحتان، ثلاث كمثرات، رغيف خبز، بعض الحليب",
            False,
        ),
    ],
)
def test_a_wrapped_paragraph_may_come_back_as_one_line_and_missing_lines_are_told(
    source: str, target: str, cut: bool
) -> None:
    truncated = next(one for one in DEFAULT_FILTERS if one.name == "truncated")
    assert bool(truncated.check(Pair(source, target))) is cut


@pytest.mark.parametrize(
    ("source", "target", "same"),
    [
        ("The line passes through the point (3,4).", "يمر الخط بالنقطة (3، 4).", True),
        ("Choose from 3,5,7.", "اختر من 3 و5 و7.", True),
        ("He is 5'10 tall.", "طوله 5 أقدام و10 بوصات.", True),
        ("Choose from 100,200,300.", "اختر من 100 و200 و300.", True),
        ("From (3,4) to (-5,6).", "من (٣،٤) إلى (-٥،٦).", True),
        ("Both (3,4) and (5,6).", "كل من (3، 4) و(5,6).", True),
        ("The point (3,4) here.", "النقطة (3، 5) هنا.", False),
        ("The point (3,4) here.", "النقطة 34 هنا.", False),
        ("The point (3,3) here.", "النقطة (3) هنا.", False),
        ("For 1,234 people.", "لعدد 1 و234 شخصا.", False),
    ],
)
def test_numbers_with_a_comma_between_may_be_several(source: str, target: str, same: bool) -> None:
    assert (differing(source, target, "en", "ar") == []) is same
    assert (differing(target, source, "ar", "en") == []) is same


def test_a_decimal_comma_parts_no_numbers() -> None:
    assert differing("Il pèse 1,5 kg.", "It weighs 1 and 5 kg.", "fr", "en")


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("It cost $5,000 to build.", "بلغت تكلفة بنائه ٥٬٠٠٠ دولار.", ""),
        ("It weighs 3.50 kilograms.", "يزن ٣٫٥ كيلوغرام.", ""),
        ("It weighs 3.50 kilograms.", "يزن 350 كيلوغرام.", "numbers"),
        ("Bofima has 3 cats at home.", "بوفيما لديه ثلاث قطط في البيت.", ""),
        ("Bofima has 13 cats at home.", "بوفيما لديه ثلاث قطط في البيت.", "numbers"),
        ("Take 6 of them away, please.", "استخدم بعضها وخذ الباقي معك من فضلك.", "numbers"),
    ],
)
def test_numbers_are_compared_by_value_and_may_be_spelled_out(source: str, target: str, reason: str) -> None:
    assert judge(Pair(source, target)).reason == reason


def test_the_length_of_a_translation_depends_on_the_languages() -> None:
    assert length_range("en", "ar") == (0.6, 1.4)
    low, high = length_range("ar", "en")
    assert low == pytest.approx(1 / 1.4)
    assert high == pytest.approx(1 / 0.6)


def test_each_filter_says_keep_or_the_reason() -> None:
    (numbers,) = [one for one in DEFAULT_FILTERS if one.name == "numbers"]
    assert numbers.check(Pair("3", "٣")) is None
    reason = numbers.check(Pair("3", "٤"))
    assert reason is not None
    assert (reason.name, reason.detail) == ("numbers", "2 outside -inf to 0")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Factor the quadratic expression x^2 + 3x - 4 completely and show the two factors.\n"
            "The expression factors as (x + 4)(x - 1), because 4 times 1 is 4 and the middle term is 3x.",
            "Factor the quadratic expression x^2 - 3x - 4 completely and show the two factors.\n"
            "The expression factors as (x - 4)(x + 1), because 4 times 1 is 4 and the middle term is 3x.",
        ),
        (
            "Is 7 > 5? Explain it in one sentence to a child, please.\nSee above, yes or no.",
            "Is 7 < 5? Explain it in one sentence to a child, please.\nSee above, yes or no.",
        ),
    ],
)
def test_another_operator_makes_another_question(one: str, other: str) -> None:
    with DuplicateFinder(DuplicateSettings()) as finder:
        for text in (one, other, f"{one} "):
            finder.add(text)
        assert [(found.row, found.of, found.kind) for found in finder.found()] == [(2, 0, "exact_duplicate")]


def test_near_duplicates_are_found_whatever_the_order_of_the_bands_and_memory_stays_bounded() -> None:
    words = [f"w{i}" for i in range(80)]
    texts = [" ".join(words), " ".join(["x", *words[1:]]), " ".join(reversed(words)), " ".join(words).upper()]
    with DuplicateFinder(DuplicateSettings()) as finder:
        for text in texts:
            finder.add(text)
        found = {one.row: (one.of, one.kind) for one in finder.found()}
    assert found == {3: (0, "exact_duplicate"), 1: (0, "near_duplicate")}


DEFINITION = (
    "Definition: In this task you are given a tweet. Your job is to decide if the tweet is positive or negative or "
    "neutral about the airline that it names. A tweet is positive when the writer praises the airline, its crew or its "
    "food; it is negative when the writer complains about delays, lost luggage, rude staff or a bad web site. Answer "
    "with one word and nothing else. Do not explain your answer."
)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (
            f"{DEFINITION}\n\nTweet: thanks united for the upgrade",
            f"{DEFINITION}\n\nTweet: delta lost my bag again",
            False,
        ),
        (f"{DEFINITION} Tweet: worst flight ever. Answer:", f"{DEFINITION} Tweet: best crew ever. Answer:", False),
        (f"Input: worst flight.\n{DEFINITION}", f"Input: kind crew.\n{DEFINITION}", False),
        (
            f"{DEFINITION}\nTweet: thanks united for the upgrade",
            f"{DEFINITION}\nTweet: Thanks, United for the upgrade!",
            True,
        ),
        (DEFINITION, DEFINITION.replace("complains about", "speaks of"), True),
        (DEFINITION, DEFINITION, True),
        (DEFINITION, f"{DEFINITION}\nTweet: worst flight ever", False),
    ],
)
def test_one_task_set_of_other_inputs_is_no_duplicate(one: str, other: str, alike: bool) -> None:
    assert alike_apart(one, other) is alike_apart(other, one) is alike
