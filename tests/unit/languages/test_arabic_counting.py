"""Arabic nouns, numbers, units and times by lists: what a speaker writes, form by form."""

from __future__ import annotations

import math

import pytest

from sindbad.graph.importers.tables import REAL
from sindbad.languages import get_grammar, get_pack
from sindbad.languages.ar.counting import UNITS
from sindbad.languages.ar.nouns import NOUNS
from sindbad.languages.grammar import Form, Measure, Noun

AR = get_grammar("ar")
COUNTRY, ELEMENT, FILM = NOUNS["دولة"], NOUNS["عنصر كيميائي"], NOUNS["فيلم"]
COAST = Measure("طول الساحل", "طول ساحلها", "km", is_date=False)
AREA = Measure("المساحة", "مساحتها", "km²", is_date=False)
AGE = Measure("العمر الوسيط", "العمر الوسيط لسكانها", "years", is_date=False)
LATITUDE = Measure("خط العرض", "يقع على خط العرض", "°", is_date=False)
PEOPLE = Measure("عدد السكان", "عدد سكانها", "", is_date=False)
BORN = Measure("تاريخ الميلاد", "ولد في", "", is_date=True)


def of_type(name: str) -> Noun:
    words = REAL.type(name)
    return AR.noun(name, words.label_ar, words.phrase_ar)


@pytest.mark.parametrize(
    ("kind", "definite", "counted"),
    [
        ("person", "الشخص", "شخصًا"), ("country", "الدولة", "دولةً"), ("city", "المدينة", "مدينةً"),
        ("language", "اللغة", "لغةً"), ("currency", "العملة", "عملةً"), ("region", "الإقليم", "إقليمًا"),
        ("continent", "القارة", "قارةً"), ("subdivision", "القسم الإداري", "قسمًا إداريًا"),
        ("occupation", "المهنة", "مهنةً"), ("organization", "المنظمة", "منظمةً"), ("university", "الجامعة", "جامعةً"),
        ("institution", "المؤسسة", "مؤسسةً"), ("record label", "شركة التسجيلات", "شركة تسجيلات"),
        ("genre", "النوع الفني", "نوعًا فنيًا"), ("instrument", "الآلة الموسيقية", "آلةً موسيقيةً"),
        ("disease", "المرض", "مرضًا"), ("religion", "الدين", "دينًا"),
        ("ethnic group", "المجموعة العرقية", "مجموعةً عرقيةً"), ("field", "المجال الدراسي", "مجالًا دراسيًا"),
        ("period", "الحقبة التاريخية", "حقبةً تاريخيةً"), ("place", "المكان", "مكانًا"),
        ("work", "العمل الإبداعي", "عملًا إبداعيًا"), ("concept", "المفهوم", "مفهومًا"), ("prize", "الجائزة", "جائزةً"),
        ("prize category", "فئة الجوائز", "فئة جوائز"), ("element", "العنصر الكيميائي", "عنصرًا كيميائيًا"),
        ("element category", "فئة العناصر", "فئة عناصر"), ("element period", "الدورة", "دورةً"),
        ("element group", "المجموعة", "مجموعةً"), ("discoverer", "المكتشف", "مكتشفًا"), ("article", "المقالة", "مقالةً"),
        ("subject", "الموضوع", "موضوعًا"), ("movie", "الفيلم", "فيلمًا"), ("tag", "الوسم", "وسمًا"),
    ],
)  # fmt: skip
def test_every_type_of_the_importers_has_its_article_and_its_accusative(kind: str, definite: str, counted: str) -> None:
    noun = of_type(kind)
    assert AR.mention(noun, "أ") == f"{definite} (أ)"
    assert AR.how_many(noun, ["كذا"]) == f"كم {counted} كذا؟"


def test_no_type_of_the_importers_is_left_to_the_rule() -> None:
    assert [name for name, words in REAL.types.items() if words.label_ar and words.label_ar not in NOUNS] == []
    for noun in NOUNS.values():
        forms = (noun.definite, noun.accusative, noun.one, noun.dual, noun.oblique, noun.plural, noun.definite_plural)
        assert all(forms), noun.singular


@pytest.mark.parametrize(
    ("label", "phrase", "definite", "accusative"),
    [
        ("نادي", "", "النادي", "ناديًا"), ("نادي رياضي", "", "النادي الرياضي", "ناديًا رياضيًا"),
        ("قناة تلفزيونية", "", "القناة التلفزيونية", "قناةً تلفزيونيةً"), ("محطة قطار", "", "محطة القطار", "محطة قطار"),
        ("لاعب كرة قدم", "", "لاعب كرة القدم", "لاعب كرة قدم"),
        ("عضو مجلس محلي", "", "عضو المجلس المحلي", "عضو مجلس محلي"), ("رئيس نادي", "", "رئيس النادي", "رئيس نادي"),
        ("لغة البرمجة", "", "لغة البرمجة", "لغة البرمجة"), ("مستشفى", "", "المستشفى", "مستشفى"),
    ],
)  # fmt: skip
def test_a_label_of_no_table_takes_article_and_ending_where_they_belong(
    label: str, phrase: str, definite: str, accusative: str
) -> None:
    noun = AR.noun("x", label, phrase)
    assert (noun.definite, noun.accusative) == (definite, accusative)


def test_a_graph_s_own_label_counts_before_the_table_s_word_for_the_type() -> None:
    assert AR.noun("region", "إقليم", "هو إقليم").definite == "الإقليم"
    assert AR.noun("region", "", "").definite == "المنطقة"
    assert AR.noun("city", "بلدية", "هي بلدية").definite == "البلدية"


@pytest.mark.parametrize(
    ("phrase", "kind", "text"),
    [
        ("تقع في إقليم", "region", "(أ)"), ("يقع في دولة", "place", "(أ)"), ("يقع في قارة", "region", "(أ)"),
        ("ينتمي إلى حركة", "concept", "(أ)"), ("ينتمي إلى فئة", "element category", "(أ)"),
        ("يتحدث أو يكتب بلغة", "language", "(أ)"), ("تجاور", "country", "الدولة (أ)"),
        ("من عناصر", "element group", "المجموعة (أ)"), ("ولد في", "city", "المدينة (أ)"),
    ],
)  # fmt: skip
def test_a_place_is_not_named_twice(phrase: str, kind: str, text: str) -> None:
    assert AR.mention_after(phrase, of_type(kind), "أ") == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("language", "للغة (أ)"), ("country", "للدولة (أ)"), ("record label", "لشركة التسجيلات (أ)"),
        ("ethnic group", "للمجموعة العرقية (أ)"), ("region", "للإقليم (أ)"),
    ],
)  # fmt: skip
def test_to_contracts_with_the_article(kind: str, text: str) -> None:
    speakers = Measure("عدد المتحدثين", "", "", is_date=False)
    assert AR.value_of(speakers, AR.mention(of_type(kind), "أ")) == f"ما هو عدد المتحدثين {text}؟"


@pytest.mark.parametrize(
    ("value", "coast", "age", "area"),
    [
        (0, "0 كيلومتر", "0 سنة", "0 كيلومتر مربع"),
        (1, "كيلومتر واحد", "سنة واحدة", "كيلومتر مربع واحد"),
        (2, "كيلومتران", "سنتان", "كيلومتران مربعان"),
        (3, "3 كيلومترات", "3 سنوات", "3 كيلومترات مربعة"),
        (10, "10 كيلومترات", "10 سنوات", "10 كيلومترات مربعة"),
        (11, "11 كيلومترًا", "11 سنةً", "11 كيلومترًا مربعًا"),
        (25, "25 كيلومترًا", "25 سنةً", "25 كيلومترًا مربعًا"),
        (99, "99 كيلومترًا", "99 سنةً", "99 كيلومترًا مربعًا"),
        (100, "100 كيلومتر", "100 سنة", "100 كيلومتر مربع"),
        (102, "102 كيلومتر", "102 سنة", "102 كيلومتر مربع"),
        (103, "103 كيلومترات", "103 سنوات", "103 كيلومترات مربعة"),
        (1000, "1,000 كيلومتر", "1,000 سنة", "1,000 كيلومتر مربع"),
        (1411, "1,411 كيلومترًا", "1,411 سنةً", "1,411 كيلومترًا مربعًا"),
        (90_000, "90,000 كيلومتر", "90,000 سنة", "90,000 كيلومتر مربع"),
        (66.5, "66.5 كيلومتر", "66.5 سنة", "66.5 كيلومتر مربع"),
    ],
)  # fmt: skip
def test_a_unit_follows_its_number(value: float, coast: str, age: str, area: str) -> None:
    said = [AR.bounded(measure, "exact", value, value, COUNTRY) for measure in (COAST, AGE, AREA)]
    assert said == [f"طول ساحلها {coast}", f"العمر الوسيط لسكانها {age}", f"مساحتها {area}"]


@pytest.mark.parametrize(
    ("unit", "one", "two", "four", "eleven", "asked"),
    [
        ("km²", "كيلومتر مربع واحد", "كيلومتران مربعان", "4 كيلومترات مربعة", "11 كيلومترًا مربعًا",
         "بالكيلومتر المربع"),
        ("km", "كيلومتر واحد", "كيلومتران", "4 كيلومترات", "11 كيلومترًا", "بالكيلومتر"),
        ("m", "متر واحد", "متران", "4 أمتار", "11 مترًا", "بالمتر"),
        ("K", "1 كلفن", "2 كلفن", "4 كلفن", "11 كلفن", "بالكلفن"),
        ("u", "وحدة كتل ذرية واحدة", "وحدتا كتل ذرية", "4 وحدات كتل ذرية", "11 وحدة كتل ذرية", "بوحدة الكتل الذرية"),
        ("°", "درجة واحدة", "درجتان", "4 درجات", "11 درجةً", "بالدرجات"),
        ("years", "سنة واحدة", "سنتان", "4 سنوات", "11 سنةً", "بالسنوات"),
        ("minutes", "دقيقة واحدة", "دقيقتان", "4 دقائق", "11 دقيقةً", "بالدقائق"),
        ("min", "دقيقة واحدة", "دقيقتان", "4 دقائق", "11 دقيقةً", "بالدقائق"),
        ("people", "نسمة واحدة", "نسمتان", "4 نسمات", "11 نسمةً", "بالنسمة"),
        ("%", "1 بالمئة", "2 بالمئة", "4 بالمئة", "11 بالمئة", "بالنسبة المئوية"),
        ("g/L", "غرام واحد لكل لتر", "غرامان لكل لتر", "4 غرامات لكل لتر", "11 غرامًا لكل لتر", "بالغرام لكل لتر"),
        ("g/cm³", "غرام واحد لكل سنتيمتر مكعب", "غرامان لكل سنتيمتر مكعب", "4 غرامات لكل سنتيمتر مكعب",
         "11 غرامًا لكل سنتيمتر مكعب", "بالغرام لكل سنتيمتر مكعب"),
        ("fathoms", "1 fathoms", "2 fathoms", "4 fathoms", "11 fathoms", "(fathoms)"),
    ],
)  # fmt: skip
def test_every_unit_has_its_forms(unit: str, one: str, two: str, four: str, eleven: str, asked: str) -> None:
    assert [AR.quantity(value, unit) for value in (1, 2, 4, 11)] == [one, two, four, eleven]
    assert AR.value_of(Measure("الطول", "", unit, is_date=False), "الدولة (أ)") == f"ما هو الطول {asked} للدولة (أ)؟"


@pytest.mark.parametrize(
    ("measure", "form", "low", "high", "text"),
    [
        (COAST, "over", 2, math.inf, "طول ساحلها ما لا يقل عن كيلومترين"),
        (COAST, "under", -math.inf, 50, "طول ساحلها ما لا يزيد على 50 كيلومترًا"),
        (COAST, "about", 3.6, 4.4, "طول ساحلها نحو 4 كيلومترات"),
        (COAST, "span", 3, 9, "طول ساحلها ما بين 3 و9 كيلومترات"),
        (AREA, "over", 2e6, math.inf, "مساحتها ما لا يقل عن مليوني كيلومتر مربع"),
        (AREA, "over", 1e6, math.inf, "مساحتها ما لا يقل عن مليون كيلومتر مربع"),
        (AREA, "under", -math.inf, 4e6, "مساحتها ما لا يزيد على 4 ملايين كيلومتر مربع"),
        (AREA, "about", 13.5e6, 16.5e6, "مساحتها نحو 15 مليون كيلومتر مربع"),
        (AREA, "about", 1.44e6, 1.76e6, "مساحتها نحو 1.6 مليون كيلومتر مربع"),
        (PEOPLE, "over", 2e6, math.inf, "عدد سكانها ما لا يقل عن مليونين"),
        (PEOPLE, "over", 20e6, math.inf, "عدد سكانها ما لا يقل عن 20 مليونًا"),
        (PEOPLE, "about", 99e6, 121e6, "عدد سكانها نحو 110 ملايين"),
        (PEOPLE, "over", 100e6, math.inf, "عدد سكانها ما لا يقل عن 100 مليون"),
        (PEOPLE, "over", 2e9, math.inf, "عدد سكانها ما لا يقل عن مليارين"),
        (PEOPLE, "exact", 25_950_000, 25_950_000, "عدد سكانها 25,950,000"),
        (LATITUDE, "exact", 2, 2, "تقع على خط العرض درجتين"),
        (LATITUDE, "exact", 7.5, 7.5, "تقع على خط العرض 7.5 درجة"),
        (LATITUDE, "about", 14, 16, "تقع على خط العرض البالغ نحو 15 درجةً"),
        (LATITUDE, "exact", -7, -7, "تقع على خط العرض -7 درجات"),
        (LATITUDE, "exact", -2, -2, "تقع على خط العرض -2 درجة"),
        (LATITUDE, "high", 50, math.inf, "تقع ضمن الخُمس الأعلى من حيث خط العرض"),
    ],
)
def test_amounts(measure: Measure, form: Form, low: float, high: float, text: str) -> None:
    assert AR.bounded(measure, form, low, high, COUNTRY) == text


@pytest.mark.parametrize(
    ("value", "countries", "films", "also"),
    [
        (1, "دولة واحدة", "فيلم واحد", ("دولة واحدة", "فيلم واحد")),
        (2, "دولتان", "فيلمان", ("دولتين", "فيلمين")),
        (3, "3 دول", "3 أفلام", ("ثلاث دول", "ثلاثة أفلام")),
        (8, "8 دول", "8 أفلام", ("ثماني دول", "ثمانية أفلام")),
        (10, "10 دول", "10 أفلام", ("عشر دول", "عشرة أفلام")),
        (11, "11 دولةً", "11 فيلمًا", ("11 دولة", "11 فيلم")),
        (100, "100 دولة", "100 فيلم", ("100 دولة", "100 فيلم")),
    ],
)  # fmt: skip
def test_counted_things_and_their_words(value: int, countries: str, films: str, also: tuple[str, str]) -> None:
    for noun, main, other in zip((COUNTRY, FILM), (countries, films), also, strict=True):
        assert AR.counted(value, noun) == main
        assert other in (main, *AR.counted_forms(value, noun))


def test_words_from_three_to_ten_take_the_other_gender() -> None:
    assert "ثلاثة دول" not in AR.counted_forms(3, COUNTRY)
    assert "ثلاث أفلام" not in AR.counted_forms(3, FILM)
    channel = AR.noun("x", "قناة", "")
    assert (AR.counted(4, channel), AR.counted_forms(4, channel)) == ("4 قناة", ())  # no plural is known, none is made


@pytest.mark.parametrize(
    ("value", "unit", "given"),
    [
        (86_600, "km²", "86600 كم²"), (86_600, "km²", "٨٦٦٠٠ كيلومتر مربع"), (86_600, "km²", "86,600 km²"),
        (25, "years", "25 سنة"), (25, "years", "٢٥ عامًا"), (2, "years", "عامان"), (4, "years", "أربع سنوات"),
        (4, "km", "أربعة كيلومترات"), (2, "km", "كيلومترين"), (66.5, "km", "66.5 كم"),
        (15e6, "km²", "15 مليون كيلومتر مربع"),
        (14.01, "K", "14.01 K"), (-86.5, "°", "-86.5 درجة"), (5, "%", "5 في المئة"),
        (2e6, "km²", "مليونا كيلومتر مربع"),
    ],
)  # fmt: skip
def test_a_quantity_is_accepted_as_people_write_it(value: float, unit: str, given: str) -> None:
    main, others = AR.quantity(value, unit), AR.quantity_forms(value, unit)
    assert get_pack("ar").same_answer(given, main, others)
    assert not get_pack("ar").same_answer(f"3{given}", main, others)
    assert main not in others


@pytest.mark.parametrize(
    ("form", "low", "high", "text"),
    [
        ("exact", 1943, 1943, "في عام 1943"), ("exact", -144, -144, "في عام 144 ق.م"),
        ("century", 1, 100, "في القرن الأول"), ("century", 1001, 1100, "في القرن الحادي عشر"),
        ("century", 1901, 2000, "في القرن العشرين"), ("century", 2001, 2100, "في القرن الحادي والعشرين"),
        ("century", 2101, 2200, "في القرن الثاني والعشرين"), ("century", 2901, 3000, "في القرن الثلاثين"),
        ("century", 8801, 8900, "في القرن التاسع والثمانين"), ("century", 9901, 10000, "في القرن المئة"),
        ("century", 10001, 10100, "في القرن الـ101"), ("century", -200, -101, "في القرن الثاني قبل الميلاد"),
        ("century", -100, -1, "في القرن الأول قبل الميلاد"),
        ("century", -2100, -2001, "في القرن الحادي والعشرين قبل الميلاد"),
        ("decade", 1910, 1919, "في العقد الثاني من القرن العشرين"),
        ("decade", 2000, 2009, "في العقد الأول من القرن الحادي والعشرين"),
        ("decade", 2110, 2119, "في العقد الثاني من القرن الثاني والعشرين"),
        ("early", 2250, 2253, "في أوائل خمسينيات القرن الثالث والعشرين"),
        ("decade", -149, -140, "في أربعينيات القرن الثاني قبل الميلاد"),
        ("early", -149, -147, "في أوائل أربعينيات القرن الثاني قبل الميلاد"),
        ("decade", -109, -100, "في العقد الذي بدأ عام 109 ق.م"),
        ("span", -200, -100, "بين عامي 200 ق.م و100 ق.م"), ("span", -10, 10, "بين عامي 10 ق.م و10"),
    ],
)  # fmt: skip
def test_times_of_any_century(form: Form, low: float, high: float, text: str) -> None:
    assert AR.bounded(BORN, form, low, high, NOUNS["شخص"]) == f"ولد {text}"


@pytest.mark.parametrize(
    ("year", "given"),
    [(-144, "144 ق.م"), (-144, "١٤٤ ق.م."), (-144, "144 قبل الميلاد"), (-144, "-144"), (1922, "١٩٢٢م"),
     (1922, "1922 ميلادي")],
)  # fmt: skip
def test_a_year_is_accepted_as_people_write_it(year: int, given: str) -> None:
    assert get_pack("ar").same_answer(given, AR.year(year), AR.year_forms(year))


def test_the_attribute_of_a_thing_is_asked_for_as_a_speaker_would() -> None:
    assert AR.value_of(AREA, "الدولة (أ)") == "ما هي المساحة الإجمالية بالكيلومتر المربع للدولة (أ)؟"
    assert AR.value_of(AGE, "الدولة (أ)") == "ما هو العمر الوسيط بالسنوات لسكان الدولة (أ)؟"
    assert AR.value_of(LATITUDE, "الدولة (أ)") == "ما هو خط العرض بالدرجات لموقع الدولة (أ)؟"
    said = AR.difference_of(COAST, "الدولة (أ)", "الدولة (ب)")
    assert said == "ما الفرق بالكيلومتر بين طول الساحل في الدولة (أ) وطول الساحل في الدولة (ب)؟"


def test_what_has_no_verb_takes_a_pronoun_within_a_question() -> None:
    assert AR.the_one(COUNTRY, ["عضو في كذا", "تجاور كذا"]) == "الدولة التي هي عضو في كذا وتجاور كذا"
    assert AR.how_many(COUNTRY, ["عضو في كذا"]) == "كم دولةً هي عضو في كذا؟"
    assert AR.which_fits(ELEMENT, ["كذا", "من عناصر كذا"]) == "أي عنصر كيميائي كذا وهو من عناصر كذا؟"
    assert AR.which_fits(ELEMENT, ["من عناصر كذا"]) == "أي عنصر كيميائي من عناصر كذا؟"


def test_a_superlative_is_asked_of_a_plural_that_its_clues_agree_with_or_of_each() -> None:
    said = AR.which_extreme(COUNTRY, ["تجاور فرنسا"], AREA, largest=True)
    assert said == "من بين الدول التي تجاور فرنسا، ما هي الأعلى من حيث المساحة؟"
    number = Measure("العدد الذري", "عدده الذري", "", is_date=False)
    said = AR.which_extreme(ELEMENT, ["مكتشفه هو ديفي"], number, largest=False)
    assert said == "إذا نظرنا إلى كل عنصر كيميائي مكتشفه هو ديفي، فما هو الأدنى من حيث العدد الذري؟"


def test_all_units_are_asked_for_after_a_preposition() -> None:
    assert all(unit.asked.startswith("ب") for unit in UNITS.values())
