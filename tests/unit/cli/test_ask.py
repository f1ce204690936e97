from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from sindbad.agent.config import AgentConfig, Paradigm
from sindbad.cli.ask import ask, corpus_of, latest_run
from sindbad.cli.telling import Teller, printable
from sindbad.clients.agent import Answered, Failed, Observed, ResearchEvent, Thought, ToolCalled
from sindbad.errors import NotFound
from sindbad.tools.environment import Observation
from tests.contract.test_agent_service import Script, ScriptedEngine, reader, research
from tests.unit.agent.scripted import answer

app = typer.Typer()
app.command()(ask)


@contextmanager
def agent_service(tmp_path: Path, script: Script) -> Iterator[str]:
    """The agent service in a thread with a loop of its own, as the command has its own too."""
    loop = asyncio.new_event_loop()
    started, address = threading.Event(), [""]
    stop = asyncio.Event()

    async def serve() -> None:
        config = AgentConfig(paradigm=Paradigm.RESUM, context_limit=2000)
        async with research(tmp_path, ScriptedEngine(script), agent=config) as (_, agent):
            address[0] = agent.address
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert started.wait(20)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_steps_and_answer_are_printed_and_the_exit_code_is_0(tmp_path: Path) -> None:
    with agent_service(tmp_path, reader) as address:
        result = run("Where was Marota Lin born?", "--address", address, "--corpus", "w0000")
    assert result.exit_code == 0, result.output
    steps = [line.split()[0] for line in result.output.splitlines() if line.strip()]
    assert steps == ["begins", "thinks", "visit", "reads", "thinks", "answers", "took"]
    assert "Marota Lin → was born in" in result.output
    assert "answers  Tavel" in result.output


def test_an_attempt_without_an_answer_exits_with_3(tmp_path: Path) -> None:
    with agent_service(tmp_path, lambda _: "<think>t</think>hm") as address:
        result = run("Where?", "--address", address)
    assert result.exit_code == 3
    assert "no answer" in result.output


def test_an_arabic_answer_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    with agent_service(tmp_path, lambda _: answer("ولدت في تافل", "تافل")) as address:
        result = run("أين ولدت ماروتا لن؟", "--address", address)
    assert result.exit_code == 0, result.output
    assert "ar · tools" in result.output
    assert "\u2067تافل\u2069" in [line.strip() for line in result.output.splitlines()]


def test_an_agent_that_is_not_there_is_one_clear_line() -> None:
    result = run("Where?", "--address", "127.0.0.1:1", "--timeout", "0.5")
    assert result.exit_code == 1
    assert "[UNAVAILABLE]" in result.stderr
    assert "Traceback" not in result.output


def test_without_any_run_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("Where?")
    assert result.exit_code == 1
    assert "make demo" in result.stderr


def test_a_run_without_a_policy_says_so_and_starts_nothing(tmp_path: Path) -> None:
    result = run("Where?", "--run", str(tmp_path))
    assert result.exit_code == 1
    assert "holds no trained policy" in result.stderr


def test_the_latest_run_is_the_one_whose_services_started_last(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "older", "oldest")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "services.json").write_text("{}")
        os.utime(tmp_path / name / "services.json", (1e9 - age, 1e9 - age))
    assert latest_run(tmp_path).name == "newest"
    with pytest.raises(NotFound):
        latest_run(tmp_path / "older")


def test_the_corpus_is_found_by_the_names_in_the_question(tmp_path: Path) -> None:
    (tmp_path / "worlds").mkdir()
    pages = [
        {"title": "Marota Lin", "corpus": "w1"},
        {"title": "Lin", "corpus": "w2"},
        {"title": "Tavel", "corpus": "w1"},
    ]
    lines = "\n".join(json.dumps(page) for page in pages)
    (tmp_path / "worlds" / "pages-en.jsonl").write_text(lines)
    assert corpus_of(tmp_path, "Was Marota Lin born in Tavel?", "en") == "w1"
    assert corpus_of(tmp_path, "Who?", "en") == ""
    assert corpus_of(tmp_path, "من؟", "ar") == ""


def shown(*happenings: Any) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    teller = Teller(console)
    for happening in happenings:
        teller.tell(ResearchEvent(happening, 0, 0, 0.0))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_page_can_neither_style_nor_steer_the_terminal() -> None:
    output = shown(Observed(Observation("[bold]x[/bold] \x1b[2Jgone \u202eevil")))
    assert "[bold]x[/bold]" in output
    assert "\x1b[2J" not in output
    assert "\u202e" not in output
    assert printable("a" * 5000).endswith(" …")


def test_only_an_answer_counts_as_answered() -> None:
    teller = Teller(Console(file=io.StringIO()))
    for happening in (Thought("t"), ToolCalled("", "{bad"), Failed("format", "broke")):
        teller.tell(ResearchEvent(happening, 0, 0, 0.0))
    assert teller.answered is False
    teller.tell(ResearchEvent(Answered("x"), 0, 0, 0.0))
    assert teller.answered is True


def test_an_address_where_nobody_is_is_told_long_before_the_attempt_would_be_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sindbad.clients.replicas.AWAY_SECONDS", 0.3)
    done = run("hi", "--address", "127.0.0.1:9", "--timeout", "100000")
    assert done.exit_code == 1
    assert "127.0.0.1:9" in done.output


def test_importing_the_command_takes_under_a_third_of_a_second_and_no_torch() -> None:
    code = (
        "import sys, time; import typer; t = time.perf_counter(); import sindbad.cli.ask; d = time.perf_counter() - t;"
        "assert d < 0.3, d; assert not {'torch', 'transformers', 'grpc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
