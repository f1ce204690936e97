"""A name in a text: whole words, and in Arabic with what is written onto them."""

from __future__ import annotations

import pytest

from sindbad.languages.words import has_words


@pytest.mark.parametrize(
    ("text", "name", "language", "stands"),
    [
        ("Gold, too.", "Gold", "en", True),
        ("Goldsmiths like Gold.", "Gold", "en", True),  # the second time it is a word
        ("Golden Medal Ribbon", "Gold", "en", False),
        ("Until World War II, it was customary", "World War I", "en", False),
        ("a Marigold", "gold", "en", False),
        ("تقع في فرنسا", "فرنسا", "ar", True),
        ("وبفرنسا", "فرنسا", "ar", True),
        ("كلفرنسا", "فرنسا", "en", False),
        ("الفرنساوي", "فرنسا", "ar", False),
    ],
)
def test_a_name_stands_as_words_of_its_own(text: str, name: str, language: str, stands: bool) -> None:
    assert has_words(text, name, language) is stands
