"""The set on disk: exact masks, a chat export that renders to the same ids, a card whose numbers are the counts."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sindbad.agent.trajectory import Trajectory
from sindbad.coldstart.configuration import ColdStartSettings, FilterSettings
from sindbad.coldstart.dataset import MESSAGES, TOOL_MESSAGES, Lineage, read_dataset, write_dataset
from sindbad.coldstart.export import ChatStyle, records_of, segment_of
from sindbad.coldstart.journal import AttemptJournal
from sindbad.coldstart.make import JOURNAL, Counts, make
from sindbad.demo.base_model import BASE_AGENT
from sindbad.errors import InvalidInput
from sindbad.training.examples import examples_of_trajectories
from tests.unit.coldstart.attempts import ids_of, place, played, restarted

LINEAGE = Lineage("a run", {"teacher": "oracle"}, {"questions": "abc"}, {"attempts": 2})


@cache
def made(folder: Path) -> tuple[Counts, tuple[Trajectory, ...]]:
    settings = ColdStartSettings(filters=FilterSettings(more_calls_than=0, max_repeats=0))
    shop = place().shop(settings)

    async def run() -> tuple[Counts, tuple[Trajectory, ...]]:
        with AttemptJournal(folder / JOURNAL, shop.journal_key()) as journal:
            found = await make(place().questions, place().questions[:2], shop, journal)
            return found.counts, tuple(found.trajectories())

    return asyncio.run(run())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    counts, kept = made(folder)
    return write_dataset(folder / "dataset", kept, counts, LINEAGE, place().chat, place().environment.tools)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_parquet_gives_back_what_was_kept(dataset: Path) -> None:
    _, kept = made(dataset.parent)
    assert [ids_of(one) for one in read_dataset(dataset)] == [ids_of(one) for one in kept]


def test_loss_lies_on_turns_alone_and_on_all_of_them(dataset: Path) -> None:
    """papers.md §4 test 15: wrong answers never reach SFT, observation tokens have loss 0."""
    chat = place().chat
    for one in read_dataset(dataset):
        assert one.reward == 1.0
        turns = [step.text + "<|im_end|>" for step in one.steps if step.kind in {"act", "answer"}]
        trained = [i for s in one.segments for i, m in zip(s.token_ids, s.loss_mask, strict=True) if m]
        masked = [i for s in one.segments for i, m in zip(s.token_ids, s.loss_mask, strict=True) if not m]
        assert chat.text(trained) == "".join(turns)
        assert chat.text(masked).count("<tool_response>") == chat.text(masked).count("</tool_response>")
        assert "<think>" not in chat.text(masked)
        assert "<answer>" not in chat.text(masked)
    for example in examples_of_trajectories(read_dataset(dataset)):
        assert "<summary>" not in chat.text([i for i, m in zip(example.input_ids, example.loss_mask, strict=True) if m])


def test_a_record_of_the_chat_export_renders_to_the_ids_and_the_mask_of_its_segment(dataset: Path) -> None:
    records = iter(lines(dataset / MESSAGES))
    for one in read_dataset(dataset):
        for segment in one.segments:
            again = segment_of(next(records), place().chat, place().environment.tools)
            assert again.prompt_ids == segment.prompt_ids
            assert again.token_ids == segment.token_ids
            assert again.loss_mask == segment.loss_mask
    assert next(records, None) is None


def test_the_models_own_chat_template_renders_the_messages_to_the_very_string_of_the_ids(dataset: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE_AGENT, local_files_only=True)
    records = iter(lines(dataset / MESSAGES))
    for one in read_dataset(dataset):
        for segment in one.segments:
            messages = [{key: m[key] for key in ("role", "content")} for m in next(records)["messages"]]
            whole = place().chat.text([*segment.prompt_ids, *segment.token_ids])
            assert tokenizer.apply_chat_template(messages, tokenize=False) == whole


def test_the_tools_style_holds_thought_call_and_answer_in_fields_of_their_own() -> None:
    made = restarted(played())[0]
    text = list(records_of(made, place().chat, place().environment.tools))
    tools = list(records_of(made, place().chat, place().environment.tools, ChatStyle.TOOLS))
    assert len(text) == len(tools) == len(made.segments)
    said = [message for record in tools for message in record["messages"] if message["role"] == "assistant"]
    turns = [step for step in made.steps if step.kind in {"act", "answer"}]
    assert [message["reasoning_content"] for message in said] == [step.thought for step in turns]
    for message, step in zip(said, turns, strict=True):
        if step.kind == "act":
            function = message["tool_calls"][0]["function"]
            assert {"name": function["name"], "arguments": json.loads(function["arguments"])} == json.loads(
                step.arguments
            )
        else:
            assert (message["content"], message["tool_calls"]) == (made.answer, [])
    assert "<" not in json.dumps([m["content"] for r in tools for m in r["messages"] if m["role"] == "tool"])
    offered = json.loads(tools[0]["tools"])
    assert [tool["function"]["name"] for tool in offered] == [tool.name for tool in place().environment.tools]


@pytest.mark.parametrize("name", [MESSAGES, TOOL_MESSAGES])
def test_hugging_face_datasets_loads_both_exports(dataset: Path, name: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset("json", data_files=str(dataset / name), split="train", cache_dir=str(tmp_path))
    rows = lines(dataset / name)
    assert loaded.num_rows == len(rows)
    assert loaded[0]["messages"] == rows[0]["messages"]
    assert loaded[0]["id"] == rows[0]["id"]


def test_the_card_tells_every_count_and_the_lineage(dataset: Path) -> None:
    counts, kept = made(dataset.parent)
    card = (dataset / "README.md").read_text("utf-8")
    assert counts.filters.refused
    for name, number in counts.filters.refused.items():
        assert f"| {name} | {number} |" in card
    assert f"| all | {len(kept)} | {counts.segments} |" in card
    assert f"| attempts |  |  | {counts.filters.attempts} |" in card
    left = [line for line in card.splitlines() if line.startswith("| quotes a test question")]
    assert left[0].endswith(f"| {counts.kept} |")
    assert counts.decontamination.removed
    assert all(f"| {name} | {number} |" in card for name, number in counts.decontamination.removed.items())
    assert '"questions": "abc"' in card
    assert json.loads((dataset / "counts.json").read_text())["kept"] == len(kept)
    assert json.loads((dataset / "lineage.json").read_text())["teacher"] == {"teacher": "oracle"}


def test_equal_input_gives_equal_bytes_and_an_older_set_is_replaced(dataset: Path, tmp_path: Path) -> None:
    counts, kept = made(dataset.parent)
    again = tmp_path / "dataset"
    for _ in range(2):
        write_dataset(again, kept, counts, LINEAGE, place().chat, place().environment.tools)
    names = sorted(str(path.relative_to(dataset)) for path in dataset.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(again)) for path in again.rglob("*") if path.is_file())
    assert all((dataset / name).read_bytes() == (again / name).read_bytes() for name in names)
    assert list(tmp_path.iterdir()) == [again]


def test_a_set_of_nothing_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nothing was kept.*no attempt was made"):
        write_dataset(tmp_path / "dataset", [], Counts(), LINEAGE, place().chat, ())
    counts = Counts(refused={"teacher_silent": 2})
    counts.filters.add("a", {"correct": "'X' is wrong"})
    for name in "bcd":
        counts.filters.add(name, {"finished": "ended by budget", "correct": "'' is wrong"})
    said = (
        r"refused by finished: 3 \(b: ended by budget\); given up, teacher_silent: 2; refused by correct: 1 \(a: 'X' is"
    )
    with pytest.raises(InvalidInput, match=said):
        write_dataset(tmp_path / "dataset", [], counts, LINEAGE, place().chat, ())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_never_replaced_by_a_set(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="another folder"):
        write_dataset(tmp_path, [], Counts(), LINEAGE, place().chat, ())
    assert (tmp_path / "thesis.txt").read_text() == "mine"
