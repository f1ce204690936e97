"""What the guide to translation shows is what the programs take."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import yaml

from services.translator.service import TranslatorServiceSettings
from sindbad.translation.kinds import SpanKind
from sindbad.translation.protocol import TranslationRequest, Turn
from tests.unit.translation.content_cases import CASES

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "translation.md").read_text("utf-8")


def test_the_settings_in_the_guide_are_taken() -> None:
    block = next(part for part in re.findall(r"(?:^ {4}.*\n)+", GUIDE, flags=re.MULTILINE) if "endpoint:" in part)
    settings = TranslatorServiceSettings.model_validate(yaml.safe_load(textwrap.dedent(block)))
    assert settings.remote
    assert settings.translator.asks_whole


def test_the_request_in_the_guide_can_be_made_and_every_kind_is_explained() -> None:
    wanted = re.search(r"TranslationRequest\(\(Turn.*\)", GUIDE)
    assert wanted
    assert "addressee" in wanted[0]
    assert TranslationRequest((Turn("user", "Hello"),), addressee="feminine").addressee == "feminine"
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*?\|", GUIDE, flags=re.MULTILINE))))
    assert {kind.value for kind in SpanKind} - named == {"sentinel"}


def test_the_counts_in_the_guide_are_those_of_the_labelled_set() -> None:
    traps = sum(not stay for _, _, stay in CASES)
    assert f"the {len(CASES)} labelled" in " ".join(GUIDE.split())
    assert f"({traps} of them traps;" in GUIDE
