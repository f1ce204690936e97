"""Pairs for a summariser out of restarts: full prompt and teacher summary, format-checked, every restart counted."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sindbad.agent.chat import TAGS
from sindbad.agent.store import append, read
from sindbad.agent.summarize import Writer
from sindbad.agent.summary_pairs import SummaryPair
from sindbad.cli.main import app
from sindbad.coldstart.pairs import PairCounts, PairSettings, asker, checked, fault, recorded, taught, write_pairs
from sindbad.demo.base_model import BASE_AGENT
from sindbad.errors import InvalidInput
from tests.unit.agent.scripted import ScriptedSummarizer
from tests.unit.coldstart.attempts import place, played, restarted

SETTINGS = PairSettings()


def pairs(counts: PairCounts | None = None, settings: PairSettings = SETTINGS) -> list[SummaryPair]:
    return list(recorded(played(), settings, counts or PairCounts()))


def test_every_restart_of_a_right_attempt_is_a_pair_and_the_others_are_counted() -> None:
    counts = PairCounts()
    found = pairs(counts)
    assert len(found) == sum(made.summaries for made in restarted(played()))
    assert counts.restarts == sum(made.summaries for made in played()) == len(found) + counts.refused["wrong_attempt"]
    everything = list(recorded(played(), PairSettings(only_correct=False), PairCounts()))
    assert len(everything) == counts.restarts


def test_a_record_is_the_full_prompt_and_the_summary_in_its_tags(tmp_path: Path) -> None:
    """papers.md §4 test 35."""
    counts = PairCounts()
    kept = list(checked(pairs(counts), SETTINGS, counts))
    write_pairs(tmp_path / "pairs", kept, asker(place().chat, 512, 96), counts, {"run": "r"})
    rows = [json.loads(line) for line in (tmp_path / "pairs" / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == len(kept) == counts.kept > 0
    for row, pair in zip(rows, kept, strict=True):
        assert row["completion"] == f"<summary>{pair.summary}</summary><|im_end|>"
        assert pair.question in row["prompt"]
        assert all(turn.text in row["prompt"] for turn in pair.conversation if turn.role == "tool")
        assert f"<summary>{pair.last_summary}</summary>" in row["prompt"] or not pair.last_summary
        assert row["by"] == "rules"
    told = json.loads((tmp_path / "pairs" / "counts.json").read_text())
    assert told["kept"] == len(rows)
    assert told["lineage"]["run"] == "r"


def test_an_example_carries_loss_on_the_summary_alone(tmp_path: Path) -> None:
    counts = PairCounts()
    kept = list(checked(pairs(counts), SETTINGS, counts))
    write_pairs(tmp_path / "pairs", kept, asker(place().chat, 512, 96), counts, {})
    for example, pair in zip(read(tmp_path / "pairs" / "examples"), kept, strict=True):
        segment = example.segments[0]
        assert place().chat.text(segment.token_ids) == f"<summary>{pair.summary}</summary><|im_end|>"
        assert set(segment.loss_mask) == {1}
        assert place().chat.text(segment.prompt_ids).endswith("<|im_start|>assistant\n")


def test_what_fails_a_check_is_left_out_with_its_reason() -> None:
    good = pairs()[0]
    bad = {
        "format": [replace(good, summary=" "), *(replace(good, summary=f"x {tag}") for tag in TAGS)],
        "not_shorter": [replace(good, summary="word " * 500)],
        "written_by_rules": [good],
    }
    for why, examples in bad.items():
        settings = PairSettings(only_models=why == "written_by_rules")
        assert {fault(pair, settings) for pair in examples} == {why}
    assert fault(good, SETTINGS) is None


def test_a_conversation_that_leaves_no_room_is_counted_as_too_long(tmp_path: Path) -> None:
    counts = PairCounts()
    kept = list(checked(pairs(counts), SETTINGS, counts))
    endless = replace(kept[0], question="word " * 300)
    write_pairs(tmp_path / "pairs", [*kept[1:], endless], asker(place().chat, 256, 96), counts, {})
    assert counts.refused["too_long"] == 1
    assert counts.kept == sum(counts.writers.values()) == len(kept) - 1


def test_a_writer_of_whom_nothing_is_left_is_no_writer_of_the_set() -> None:
    counts = PairCounts()
    one = next(iter(checked(pairs(counts), SETTINGS, counts)))
    counts.drop(one, "too_long")
    assert (counts.kept, counts.writers, counts.refused["too_long"]) == (0, {}, 1)


def test_a_folder_of_something_else_is_never_replaced_by_pairs(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="another folder"):
        write_pairs(tmp_path, [], asker(place().chat, 512, 96), PairCounts(), {})
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_no_pair_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="resum"):
        write_pairs(tmp_path / "pairs", [], asker(place().chat, 512, 96), PairCounts(), {})
    assert list(tmp_path.iterdir()) == []


async def test_a_second_teacher_writes_the_recorded_conversations_anew_in_order() -> None:
    found, counts = pairs(), PairCounts()
    teacher = ScriptedSummarizer([f"Summary {number}." for number in range(len(found))])
    new = [pair async for pair in taught(found, teacher, PairSettings(in_flight=1), counts)]
    assert [pair.summary for pair in new] == list(teacher.texts)
    assert [pair.conversation for pair in new] == [pair.conversation for pair in found]
    assert [asked[2] for asked in teacher.asked] == [pair.last_summary for pair in found]
    assert {pair.by for pair in new} == {Writer.RULES}


async def test_a_teacher_that_fails_is_counted_and_a_lost_platform_raises() -> None:
    class Odd(ScriptedSummarizer):
        async def summarize(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            raise InvalidInput("no room")

    counts = PairCounts()
    assert [pair async for pair in taught(pairs(), Odd([]), SETTINGS, counts)] == []
    assert counts.refused["no_summary"] == len(pairs())
    assert len(asyncio.all_tasks()) == 1


def test_the_command_writes_pairs_from_shards(tmp_path: Path) -> None:
    append(tmp_path / "trajectories", list(played()))
    arguments = [
        "--from",
        str(tmp_path / "trajectories"),
        "--out",
        str(tmp_path / "pairs"),
        "--student",
        str(BASE_AGENT),
    ]
    done = CliRunner().invoke(app, ["coldstart", "pairs", *arguments, "--prompts", "demo", "--context-limit", "512",
                                    "--max-tokens", "96"])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert f"{len(pairs())} pairs" in done.output
    assert (tmp_path / "pairs" / "pairs.jsonl").exists()
