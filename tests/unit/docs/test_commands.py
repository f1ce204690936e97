"""Every `sindbad …` that a page shows is a command that exists, with options that it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from sindbad.cli.main import app
from tests.shared import ROOT

PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_LINE = re.compile(r"^(?:\s*\$ |\s{3,})(?:\.venv/bin/)?sindbad ((?:.*\\\n)*.*)$", re.MULTILINE)
_INLINE = re.compile(r"`sindbad ([^`]+)`")


def shown(text: str) -> list[str]:
    """Commands on a line of their own and in running text, continued lines joined, comments left out."""
    found = [re.sub(r"\\\n", " ", one) for one in _LINE.findall(text)]
    found += [re.sub(r"\s+", " ", one) for one in _INLINE.findall(text)]
    return [one for line in found if (one := re.split(r"\s#|\s\||\s>", line)[0].strip()) not in ("", "…")]


def problem(words: list[str]) -> str:
    """What is wrong with one command, "" where nothing is."""
    here: Any = typer.main.get_command(app)
    path = ["sindbad"]
    while words and words[0] in getattr(here, "commands", {}):
        path.append(words.pop(0))
        here = here.commands[path[-1]]
    if len(path) == 1:
        return f"there is no command {words[:1]}"
    options = {option for one in here.params for option in (*one.opts, *one.secondary_opts)}
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in {*options, "--help"}]
    return f"{' '.join(path)} has no {wrong}" if wrong else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    text = page.read_text("utf-8")
    wrong = {line: said for line in shown(text) if line and (said := problem(_plain(line)))}
    assert wrong == {}


def _plain(line: str) -> list[str]:
    """The words; of "sft|grpo" the first; what stands in quotes is one word, whose options are another command's."""
    return [word.rstrip(",.;:)").partition("|")[0] for word in re.sub(r"'[^']* [^']*'", "quoted", line).split()]


def test_commands_are_found_on_these_pages() -> None:
    assert sum(len(shown(page.read_text("utf-8"))) for page in PAGES) > 80
