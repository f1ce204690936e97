"""One number, however it is written; another number is another one; and no list of numbers takes long to compare."""

from __future__ import annotations

import pytest

from sindbad.translation.numbers import differing, value

SAME = [
    ("a dose of .5 mg", "جرعة 0.5 ملغ"),
    ("to .08% there", "إلى 0.08% هناك"),
    ("to .08% there", "و.08% هناك"),
    ("at -.5 degrees", "عند -0.5 درجة"),
    ("1 000 000 people", "1000000 شخص"),
    ("1 000 000 people", "١٬٠٠٠٬٠٠٠ شخص"),
    ("3.5 km", "٣،٥ كم"),
    ("1,000 people", "1،000 شخص"),
    ("-5 degrees", "٥- درجات"),
    ("10,000 people", "10 آلاف شخص"),
    ("375,000 dollars", "375 ألف دولار"),
    ("1,200,000 people", "1.2 مليون شخص"),
    ("5 million and 5,000", "5 ملايين و5 آلاف"),
    ("10^6 cells", "10⁶ خلية"),
    ("10^-6 of them", "10⁻⁶ منها"),
    ("x^3 here", "x³ هنا"),
    ("version 1.2.3", "الإصدار ١٫٢٫٣"),
]
OTHER = [
    ("a dose of .5 mg", "جرعة 5 ملغ"),
    ("a dose of 5 mg", "جرعة .5 ملغ"),
    ("1 000 000 people", "100000 شخص"),
    ("1,000 people", "1 و000 شخص"),
    ("12,000 people", "12 000 شخص"),
    ("3.5 km", "٣،٦ كم"),
    ("35 km", "٣،٥ كم"),
    ("3.5 km", "٣، ٥ كم"),
    ("-5 degrees", "٦- درجات"),
    ("-5 degrees", "٥-٦ درجات"),
    ("10,000 people", "10 مليون شخص"),
    ("10,000 people", "100 ألف شخص"),
    ("10,000 people and 10", "10 آلاف شخص"),
    ("10^6 cells", "10⁵ خلية"),
    ("10^6 cells", "10⁻⁶ خلية"),
    ("x^3 here", "x⁴ هنا"),
    ("version 1.2.3", "الإصدار ١٫٢٫٤"),
]


@pytest.mark.parametrize(("english", "arabic"), SAME)
def test_a_value_is_one_however_it_is_written(english: str, arabic: str) -> None:
    assert differing(english, arabic, "en", "ar") == []
    assert differing(arabic, english, "ar", "en") == []


@pytest.mark.parametrize(("english", "arabic"), OTHER)
def test_what_may_be_written_otherwise_must_still_be_the_same_value(english: str, arabic: str) -> None:
    assert differing(english, arabic, "en", "ar") != []
    assert differing(arabic, english, "ar", "en") != []


@pytest.mark.parametrize(("left", "right"), [(".5", "0.5"), ("-.5", "-٫٥"), ("1.2.3", "١٫٢٫٣")])
def test_a_leading_point_and_arabic_points_are_values(left: str, right: str) -> None:
    assert value(left) == value(right)


def test_the_end_of_a_row_of_groups_of_three_is_one_number_in_french() -> None:
    assert differing("In 2020 12,000 and 5 came.", "En 2020 12 000 et 5 sont venus.", "en", "fr") == []
    assert differing("Sort 100 200 300.", "Triez 100 200 300.", "en", "fr") == []
    assert differing("Sort 100 200 300.", "Triez 100 200 301.", "en", "fr") != []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("language", ["ar", "fr"])
@pytest.mark.parametrize(
    ("unit", "last", "other"),
    [(" 000", " 00", " 01"), (" 123 456", " 12", " 13"), ("1،", "2", "3"), (" 1 million", " 2", " 3"), ("2³", "", "4")],
)
def test_a_long_list_of_numbers_takes_no_square_of_its_length(unit: str, last: str, other: str, language: str) -> None:
    numbers = "1" + unit * (40_000 // len(unit))
    assert differing(f"Sort: {numbers}{last}", f": {numbers}{other}", "en", language) != []
