"""Readers of the HALA sources and of real samples: real columns in, the source's order kept, drift told by name."""

from __future__ import annotations

import gzip
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from sindbad.corpus.code_rows import READ, about_code
from sindbad.corpus.export import four_tuple, pairs_of
from sindbad.corpus.job import local_store
from sindbad.corpus.records import InstructionRecord
from sindbad.corpus.schemas import HALA, SCHEMAS
from sindbad.corpus.sources import Reading, SourceRequest, path_in, read_pairs, read_sources
from sindbad.corpus.translate import Kept, translate_corpus
from sindbad.errors import InvalidInput, NotFound
from tests.shared import shared
from tests.unit.corpus.jobs import FAST, Perfect, job

ROWS: dict[str, Any] = {
    "openorca": {"id": "niv.1", "system_prompt": "You are an AI assistant.", "question": "Q?", "response": "A."},
    "hermes3": {"conversations": [{"from": "system", "value": ""}, {"from": "human", "value": "Hi"},
                                  {"from": "gpt", "value": "Hello"}]},
    "scp116k": {"domain": "Physics", "problem": "P", "matched_solution": "S", "o1_solution": None},
    "realign_alpaca": {"id": "0", "items": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    "lamini": {"instruction": "I", "response": "R", "instruction_source": "alpaca"},
    "tulu3": {"id": "x", "source": "ai2-adapt-dev/flan_v2", "messages": [{"role": "user", "content": "Hi there"},
                                                                       {"role": "assistant", "content": "Hello"}]},
    "synthetic_gptj": {"prompt": "P", "chosen": "C", "rejected": "R"},
}  # fmt: skip


def written(folder: Path, rows: list[Any], name: str = "part-0.jsonl") -> Path:
    """Rows as a JSONL file."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(name: str, path: Path, limit: int | None = None) -> list[InstructionRecord]:
    """All records of one source."""
    return list(read_sources([SourceRequest(name, path, limit)]))


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_source_of_hala_is_read_by_its_columns(tmp_path: Path, name: str) -> None:
    (record,) = read(name, written(tmp_path, [ROWS[name]]))
    assert [message.role for message in record.messages][-2:] == ["user", "assistant"]
    assert record.provenance.licences[0] == SCHEMAS[name].licence
    assert SCHEMAS[name].hub


def test_the_eight_sources_are_there_and_one_is_parallel(tmp_path: Path) -> None:
    assert set(HALA) <= set(SCHEMAS)
    path = written(tmp_path, [{"translation": {"ar": "مرحبا", "en": "Hello"}}])
    assert list(read_pairs(SourceRequest("opus100", path))) == [("0", "Hello", "مرحبا")]
    with pytest.raises(InvalidInput, match="not parallel"):
        list(read_pairs(SourceRequest("lamini", path)))


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_renamed_column_is_an_error_that_names_source_column_and_row(tmp_path: Path, name: str) -> None:
    required = next(iter(SCHEMAS[name].columns[0]))
    broken = {("text_v2" if key == required else key): value for key, value in ROWS[name].items()}
    path = written(tmp_path, [ROWS[name], broken])
    with pytest.raises(
        InvalidInput, match=rf"schema of source {name} has changed.*'{required}' is missing.*row 1"
    ) as told:
        read(name, path)
    assert told.value.reason == "SCHEMA_DRIFT"


def test_another_type_is_drift_too(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'response' is list, expected text"):
        read("openorca", written(tmp_path, [{**ROWS["openorca"], "response": ["A."]}]))


def test_the_first_n_rows_are_a_prefix_of_the_first_m_across_files(tmp_path: Path) -> None:
    for part in (1, 0):
        rows = [{**ROWS["openorca"], "id": f"{part}-{n}", "question": f"Q{part}{n}?"} for n in range(5)]
        written(tmp_path, rows, f"part-{part}.jsonl")
    all_of_them = read("openorca", tmp_path)
    assert [record.provenance.source_id for record in all_of_them[:6]] == ["0-0", "0-1", "0-2", "0-3", "0-4", "1-0"]
    assert read("openorca", tmp_path, limit=7) == all_of_them[:7]


def test_n_rows_give_n_four_tuples_and_twice_as_many_pairs(tmp_path: Path) -> None:
    originals = read("openorca", written(tmp_path, [{**ROWS["openorca"], "id": str(n)} for n in range(9)]), limit=6)
    rows = [Kept(n, "k", one, one) for n, one in enumerate(originals)]
    assert len([four_tuple(row.original, row.translation) for row in rows]) == 6
    assert len(list(pairs_of(iter(rows)))) == 12


@pytest.mark.parametrize(
    "messages",
    [["Write a poem", "```python\nprint()\n```"], ["Write a Python function that adds two numbers", "It adds."],
     ["Show me", "~~~\nx = 1\n~~~"],
     ["Implement quicksort.", "def quicksort(a):\n    if len(a) < 2:\n        return a"],
     ["Sort it", "#include <stdio.h>\nint main() { return 0; }"],
     ["Sort it", "using System;\nclass P { static void Main() { } }"],
     ["Sort it", "fun main() { for (i in 2..9) println(i) }"],
     ["Sort it", "func add(a: Int, b: Int) -> Int {\n    return a + b\n}"],
     ["Sort it", "x = 3;\ny = x + 4;\ndisp(y);"],
     ["Sort it", "public static int f(int n) {\n  return n;\n}"],
     ["Who is old?", "SELECT name\nFROM people WHERE age > 60;"],
     ["Write some code in C to sort", "It sorts."], ["Create a Matlab program that prints primes", "It prints."]],
)  # fmt: skip
def test_code_of_hermes_is_left_out_and_counted(tmp_path: Path, messages: list[str]) -> None:
    turns = [{"from": role, "value": text} for role, text in zip(("human", "gpt"), messages, strict=True)]
    reading = Reading()
    path = written(tmp_path, [{"conversations": turns}, ROWS["hermes3"]])
    assert len(list(read_sources([SourceRequest("hermes3", path)], reading))) == 1
    assert reading.skipped == {("hermes3", "code"): 1}


@pytest.mark.parametrize(
    "messages",
    [["Explain how the Java Sea trade class of ships shaped Indonesia's programs", "It was a long story."],
     ["What does rust do to a car, and which program of the workshop is best against it?", "It eats it."],
     ["Write an essay on Swift's satire and the class system", "He wrote (as a dean) of it."],
     ["Write a script for a play in Java, Indonesia", "print (verb)\nfunction (noun)"],
     ["Write a program for a concert in C major", "String quartet (op. 3)\nfun facts (many)"],
     ["Write a poem", "The rose is red;\nthe violet's blue;\nhoney is sweet;\nand so are you."],
     ["Explain", "Let x = 3. Then y = 4.\nIf you want to know:\nfrom here import duties rise."],
     ["Give me JSON", '{\n "a": 1\n}']],
)  # fmt: skip
def test_prose_of_hermes_that_looks_a_little_like_code_stays(tmp_path: Path, messages: list[str]) -> None:
    turns = [{"from": role, "value": text} for role, text in zip(("human", "gpt"), messages, strict=True)]
    (record,) = read("hermes3", written(tmp_path, [{"conversations": turns}]))
    assert [message.content for message in record.messages] == messages


def test_a_hostile_turn_is_looked_through_for_code_in_time() -> None:
    for piece in (" ", "\t\n", "public ", "public\n", "SELECT a\n", "x = ", "def a(", "write a ", "in C ", "</p "):
        begun = time.process_time()
        about_code([("user", piece * (READ // len(piece)))])
        assert time.process_time() - begun < 2.0, piece


def test_real_instructions_that_are_no_code_are_not_taken_for_it() -> None:
    folder = shared("data") / "instructions"
    asked = [SourceRequest("alpaca", folder / f"{name}.jsonl.gz")
             for name in ("gsm8k_train_sample", "gpteacher_roleplay_sample")]  # fmt: skip
    rows = [[(message.role, message.content) for message in one.messages] for one in read_sources(asked)]
    assert len(rows) > 1500
    assert [turns for turns in rows if about_code(turns)] == []


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [("tulu3", {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": None}], "source": "s"},
      r"messages\[1\]\.content is null, expected text in row 1"),
     ("tulu3", {"messages": [{"role": "user"}], "source": "s"}, r"messages\[0\]\.content is missing"),
     ("tulu3", {"messages": [{"role": "user", "content": "q"}, "a"], "source": "s"}, r"messages\[1\] is str"),
     ("openorca", {**ROWS["openorca"], "response": None}, r"column 'response' is null, expected text"),
     ("oasst_trees", {"prompt": {"role": "prompter", "text": None}}, r"prompt\.text is null")],
)  # fmt: skip
def test_a_null_is_named_by_its_key(tmp_path: Path, name: str, row: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read(name, written(tmp_path, [ROWS.get(name) or {"prompt": {"role": "prompter", "text": "Hi"}}, row]))


def test_other_languages_of_tulu_are_left_out(tmp_path: Path) -> None:
    aya = {**ROWS["tulu3"], "source": "ai2-adapt-dev/tulu_v3.9_aya_100k"}
    russian = {**ROWS["tulu3"], "messages": [{"role": "user", "content": "Привет, как дела?"},
                                             {"role": "assistant", "content": "Хорошо"}]}  # fmt: skip
    assert len(read("tulu3", written(tmp_path, [aya, russian, ROWS["tulu3"]]))) == 1


def test_parquet_and_gzip_give_the_same_records_as_plain_lines(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{**ROWS["tulu3"], "id": str(n)} for n in range(3)]
    plain = read("tulu3", written(tmp_path, rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    with gzip.open(tmp_path / "x.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    assert read("tulu3", tmp_path / "x.parquet") == read("tulu3", tmp_path / "x.jsonl.gz") == plain


async def test_half_a_surrogate_pair_is_read_as_the_sign_for_what_is_unreadable(tmp_path: Path) -> None:
    row = [{"role": "user", "content": "What is \ud83d here? 😀"}, {"role": "assistant", "content": "An emoji \udc00."}]
    whole = tmp_path / "rows.json"
    whole.write_text(json.dumps([{"messages": row}]), "utf-8")
    for file in (written(tmp_path, [{"messages": row}]), whole):
        (record,) = read("messages", file)
        assert [message.content for message in record.messages] == ["What is \ufffd here? 😀", "An emoji \ufffd."]
    done = await translate_corpus(job(local_store(tmp_path / "job")), [record], Perfect(), settings=FAST)
    assert done.records == 1


def test_what_the_hub_writes_about_a_data_set_is_none_of_its_rows(tmp_path: Path) -> None:
    written(tmp_path, [ROWS["lamini"]], "train.jsonl")
    for name in ("dataset_info.json", "dataset_infos.json"):
        (tmp_path / name).write_text('{"default": {"description": "", "splits": {}}}', "utf-8")
    assert len(read("lamini", tmp_path)) == 1
    assert SourceRequest("lamini", tmp_path).describe()["files"][0][0] == "train.jsonl"
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(NotFound, match="no data file"):
        read("lamini", tmp_path)


@pytest.mark.parametrize("text", ['{"instruction": "I", "response": "R"}', '["a"]', '"a"', "3", '{"a"'])
def test_a_json_file_that_is_no_list_of_objects_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text, "utf-8")
    with pytest.raises(InvalidInput, match=r"rows\.json is (no list of JSON objects|not JSON)"):
        read("lamini", tmp_path / "rows.json")


def test_held_out_files_are_refused_and_absent_ones_told(tmp_path: Path) -> None:
    path = written(tmp_path, [ROWS["openorca"]], "test.EVAL_ONLY.jsonl")
    with pytest.raises(InvalidInput, match="must not be trained on"):
        read("openorca", path)
    with pytest.raises(NotFound, match="no data file"):
        read("openorca", tmp_path / "nothing.jsonl")
    with pytest.raises(InvalidInput, match="known: openorca"):
        SourceRequest.parse("orca")


def test_a_source_on_the_command_line_has_a_name_a_path_and_a_licence(tmp_path: Path) -> None:
    path = written(tmp_path, [ROWS["openorca"]])
    request = SourceRequest.parse(f"openorca={path}@cc-by-nc-4.0", limit=3)
    (record,) = read_sources([request])
    assert record.provenance.licences == ("cc-by-nc-4.0",)
    before = request.describe()
    written(tmp_path, [{**ROWS["openorca"], "response": "B."}])
    assert request.describe() != before  # another content is another source


def test_an_at_sign_of_a_path_is_no_licence(tmp_path: Path) -> None:
    folder = tmp_path / "me@host"
    folder.mkdir()
    path = written(folder, [ROWS["openorca"]], "rows@2.jsonl")
    for text, licence in ((f"openorca={path}", SCHEMAS["openorca"].licence), (f"openorca={path}@mit", "mit"),
                          (f"openorca={folder}/@cc0-1.0", "cc0-1.0"), (f"openorca={folder}/", "mit")):  # fmt: skip
        (record,) = read_sources([SourceRequest.parse(text)])
        assert record.provenance.licences == (licence,)
        assert Path(path_in(text)) in (path, folder)
    assert SourceRequest.parse("openorca@cc0-1.0").licence == "cc0-1.0"


def test_a_source_of_the_hub_is_read_at_the_revision_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def load(name: str, *_: Any, **options: Any) -> list[Any]:
        asked.append({"name": name, **options})
        return [ROWS["openorca"]]

    monkeypatch.setattr("datasets.load_dataset", load)
    named, plain = (SourceRequest.parse(text) for text in ("openorca#refs/pr/1@cc0-1.0", "openorca"))
    for request in (named, plain):
        assert len(list(read_sources([request]))) == 1
    assert [one["revision"] for one in asked] == ["refs/pr/1", "main"]
    assert named.describe() == {"name": "openorca", "limit": None, "licence": "cc0-1.0", "revision": "refs/pr/1"}
    for text in ("openorca#abc=rows.jsonl", "openorca#"):
        with pytest.raises(InvalidInput, match="revision"):
            SourceRequest.parse(text)


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("alpaca", "gsm8k_train_sample.jsonl.gz", 1700),
        ("alpaca", "gpteacher_roleplay_sample.jsonl.gz", 510),
        ("self_instruct", "self_instruct_seed_tasks.jsonl.gz", 148),
        ("self_instruct", "self_instruct_user_oriented.jsonl.gz", 200),
        ("oasst_trees", "oasst1_en_100_trees.jsonl.gz", 60),
    ],
)
def test_the_real_samples_are_read(name: str, file: str, count: int) -> None:
    found = list(islice(read_sources([SourceRequest(name, shared("data", "instructions", file))]), 2000))
    assert len(found) >= count * 0.9
    assert len({record.record_id for record in found}) >= 0.9 * len(found)
