"""Benchmark files: what is read is what was written, a wrong key or a torn file is an error, shared samples load."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.errors import Corrupt, InvalidInput, NotFound
from sindbad.evaluation.sets import ReadOptions, SetFormat, read_question_set
from sindbad.evaluation.sets.cipher import WRONG_CANARY, seal, unseal
from sindbad.evaluation.sets.writing import write_browsecomp
from sindbad.questions.question import Clue, Question
from sindbad.questions.store import save_questions
from tests.shared import shared

CANARY = "a canary of our own 7f3a"


def asked(text: str, answer: str, name: str = "q", language: str = "en") -> Question:
    return Question(name, "w", language, text, "chain", (Clue("a", "r", "?0"),), "?0", "b", answer)


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))), st.text(min_size=1))
def test_what_was_sealed_comes_back(text: str, canary: str) -> None:
    assert unseal(seal(text, canary), canary) == text


def test_the_cipher_is_the_benchmarks_own() -> None:
    """By hand: exclusive or with the digest of the canary, which repeats after 32 bytes."""
    key = hashlib.sha256(b"k").digest()
    text = ("0123456789" * 5).encode()
    expected = bytes(byte ^ key[index % 32] for index, byte in enumerate(text))
    assert base64.b64decode(seal(text.decode(), "k")) == expected


def test_a_browsecomp_file_is_read_decrypted_and_its_text_is_protected(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    write_browsecomp(path, [asked("Which city, founded by someone?", "Tavel"), asked("من هو؟", "لين")], CANARY)
    assert "Which city" not in path.read_text("utf-8")
    found = read_question_set(path)
    assert (found.format, found.judge_style, found.protected, found.canary) == (
        "browsecomp",
        "browsecomp_en",
        True,
        CANARY,
    )
    assert [(q.text, q.answer, q.language) for q in found.questions] == [
        ("Which city, founded by someone?", "Tavel", "en"),
        ("من هو؟", "لين", "ar"),
    ]
    assert CANARY not in repr(found)


def test_other_spellings_of_an_answer_are_sealed_and_come_back(tmp_path: Path) -> None:
    bare = asked("Which one?", "Tavel")
    several = replace(bare, text="Which city, founded by someone?", aliases=("Tavel City", "تافل"))
    path = write_browsecomp(tmp_path / "set.csv", [several, bare], CANARY)
    assert "Tavel City" not in path.read_text("utf-8")
    assert [one.aliases for one in read_question_set(path).questions] == [("Tavel City", "تافل"), ()]
    alone = write_browsecomp(tmp_path / "alone.csv", [bare], CANARY)  # BrowseComp's own columns where they do
    assert alone.read_text("utf-8").splitlines()[0] == "problem,answer,problem_topic,canary"


def test_sealing_replaces_neither_the_question_file_nor_another_one(tmp_path: Path) -> None:
    save_questions(tmp_path / "q.jsonl", [asked("Which one?", "Tavel")])
    (tmp_path / "notes.csv").write_text("mine\n")
    before = (tmp_path / "q.jsonl").read_bytes()

    def seal_into(name: str) -> Any:
        words = ["evaluate", "seal", str(tmp_path / "q.jsonl"), str(tmp_path / name), "--canary", CANARY]
        return CliRunner().invoke(app, words)

    assert "is the question file itself" in seal_into("q.jsonl").output
    assert "is there already and no sealed file" in seal_into("notes.csv").output
    assert (tmp_path / "q.jsonl").read_bytes() == before
    assert (tmp_path / "notes.csv").read_text() == "mine\n"
    assert seal_into("sealed.csv").exit_code == seal_into("sealed.csv").exit_code == 0


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("Lutetia", ("Lutetia",)),
        (["Lutetia", " Lutèce ", None, ""], ("Lutetia", "Lutèce")),
        ('["Lutetia", "Lutèce"]', ("Lutetia", "Lutèce")),
        ("[sic]", ("[sic]",)),
        (1789, ("1789",)),
        (None, ()),
    ],
)
def test_a_plain_text_is_one_alias_and_no_list_of_letters(tmp_path: Path, given: Any, read: tuple[str, ...]) -> None:
    plain = {"question": "Which?", "answer": "Paris"}
    own = asked("Which?", "Paris").to_record()
    for row in (plain, own):
        (found,) = read_question_set(jsonl(tmp_path / "q.jsonl", {**row, "aliases": given})).questions
        assert found.aliases == read
    if isinstance(given, str):
        quoted = given.replace('"', '""')
        (tmp_path / "q.csv").write_text(f'question,answer,Aliases\nWhich?,Paris,"{quoted}"\n', "utf-8")
        (found,) = read_question_set(tmp_path / "q.csv").questions
        assert found.aliases == read


@pytest.mark.parametrize(
    "wrong",
    [{"difficulty": "hard"}, {"difficulty": "nan"}, {"difficulty": -1}, {"hops": "two"}, {"hops": 1.5},
     {"aliases": {"en": "Lutetia"}}, {"aliases": [["Lutetia"]]}],
)  # fmt: skip
def test_what_is_no_number_or_no_text_is_an_error_that_names_the_place(tmp_path: Path, wrong: dict[str, Any]) -> None:
    for row in ({"question": "Which?", "answer": "Paris"}, asked("Which?", "Paris").to_record()):
        path = jsonl(tmp_path / "q.jsonl", row, {**row, **wrong})
        with pytest.raises(Corrupt, match=r"q\.jsonl:2"):
            read_question_set(path)


def test_numbers_are_read_from_text_and_empty_cells_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,answer,difficulty,hops\nWhich?,Paris,0.5,3\nWho?,Lin,,\n", "utf-8")
    found = read_question_set(tmp_path / "q.csv").questions
    assert [(one.difficulty, one.hops) for one in found] == [(0.5, 3), (0.0, 1)]
    (told,) = read_question_set(
        jsonl(tmp_path / "w.jsonl", {"question": "Which?", "answer": "x", "formalization": "V@X", "hops": 2})
    ).questions
    assert told.hops == 2


def test_chinese_questions_have_chinese_columns_a_chinese_judge_and_their_language(tmp_path: Path) -> None:
    path = tmp_path / "zh.csv"
    cells = [seal(text, CANARY) for text in ("哪座城市由一位航海家建立？", "塔维尔")]
    path.write_text(f"Topic,Question,Answer,canary\n历史,{cells[0]},{cells[1]},{CANARY}\n", "utf-8")
    found = read_question_set(path)
    assert (found.judge_style, found.questions[0].language, found.questions[0].answer) == (
        "browsecomp_zh",
        "zh",
        "塔维尔",
    )


@pytest.mark.parametrize("text", ["Who wrote\u0085this?", "a\x0bb?", f"Which{chr(0)} city {'was founded ' * 10}?"])
def test_a_stray_control_character_is_no_wrong_canary(text: str, tmp_path: Path) -> None:
    path = write_browsecomp(tmp_path / "set.csv", [asked(text, "Tavel")], CANARY)
    assert [one.text for one in read_question_set(path).questions] == [text]


def test_many_control_characters_are_a_wrong_canary() -> None:
    with pytest.raises(Corrupt, match="canary") as wrong:
        unseal(seal("a\x01b\x02c\x03d", CANARY), CANARY)
    assert wrong.value.reason == WRONG_CANARY


@pytest.mark.parametrize("withheld", ["", " ", "?"])
def test_an_encrypted_answer_that_is_withheld_is_left_out_and_counted(withheld: str, tmp_path: Path) -> None:
    path = write_browsecomp(tmp_path / "set.csv", [asked("Which city?", withheld), asked("Who?", "Lin")], CANARY)
    found = read_question_set(path)
    assert [one.answer for one in found.questions] == ["Lin"]
    assert found.left_out == {"with a withheld answer": 1}


def test_a_wrong_canary_is_told_from_a_torn_file(tmp_path: Path) -> None:
    path = write_browsecomp(
        tmp_path / "set.csv", [asked(f"Which city number {n}?", f"Tavel {n}") for n in range(5)], CANARY
    )
    with pytest.raises(Corrupt, match="canary") as wrong:
        read_question_set(path, ReadOptions(canary="another"))
    assert wrong.value.reason == WRONG_CANARY
    whole = path.read_text("utf-8")
    for cut in range(len(whole) - 2, len(whole) - 200, -9):
        path.write_text(whole[:cut], "utf-8")
        if whole[cut - 1] == "\n" or whole[cut] == "\n":
            continue
        with pytest.raises(Corrupt, match=r"torn|canary|base64"):
            read_question_set(path)


def test_ids_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    asking = [asked(f"Which city number {n}?", f"Tavel {n}") for n in range(4)]
    one = read_question_set(write_browsecomp(tmp_path / "a.csv", asking, CANARY))
    two = read_question_set(write_browsecomp(tmp_path / "b.csv", asking[::-1], CANARY))
    assert {q.question_id for q in one.questions} == {q.question_id for q in two.questions}
    assert one.digest != two.digest


def test_gaia_metadata_is_read_from_json_lines_and_parquet_without_files_and_withheld_answers(tmp_path: Path) -> None:
    row = {"task_id": "t1", "Question": "How many?", "Level": 2, "Final answer": "17", "file_name": ""}
    rows = [row, {**row, "task_id": "t2", "file_name": "a.xlsx"}, {**row, "task_id": "t3", "Final answer": "?"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "metadata.parquet")
    for path in (jsonl(tmp_path / "metadata.jsonl", *rows), tmp_path / "metadata.parquet"):
        found = read_question_set(path)
        assert [(q.question_id, q.kind, q.answer) for q in found.questions] == [("t1", "gaia level 2", "17")]
        assert found.questions[0].difficulty == pytest.approx(2 / 3)
        assert (found.judge_style, found.protected) == ("gaia", True)
        assert found.left_out == {"with an attached file": 1, "with a withheld answer": 1}


def test_hle_leaves_images_out_and_tells_choices_from_exact_answers(tmp_path: Path) -> None:
    row = {
        "id": "h1",
        "question": "Which?",
        "answer": "B",
        "answer_type": "multipleChoice",
        "image": "",
        "canary": CANARY,
    }
    path = jsonl(tmp_path / "hle.jsonl", row, {**row, "id": "h2", "image": "data:image/png;base64,xx"})
    found = read_question_set(path)
    assert [(q.question_id, q.kind) for q in found.questions] == [("h1", "hle choice")]
    assert (found.canary, found.judge_style) == (CANARY, "hle")


def test_sindbads_own_questions_come_as_they_were_saved(tmp_path: Path) -> None:
    asking = [asked("Which?", "Tavel", "q1"), asked("أي؟", "لين", "q2", "ar")]
    save_questions(tmp_path / "q.jsonl", asking)
    (tmp_path / "artifact").write_bytes((tmp_path / "q.jsonl").read_bytes())  # a pipeline's files have no suffix
    for name in ("q.jsonl", "artifact"):
        found = read_question_set(tmp_path / name)
        assert list(found.questions) == asking
        assert not found.protected
    (tmp_path / "table").write_text("question\tanswer\n")
    with pytest.raises(InvalidInput, match="ends in none of"):
        read_question_set(tmp_path / "table")


def test_faults_name_the_place_and_unknown_columns_the_formats(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_question_set(tmp_path / "none.jsonl")
    with pytest.raises(InvalidInput, match="browsecomp"):
        read_question_set(jsonl(tmp_path / "odd.jsonl", {"x": 1}))
    path = jsonl(tmp_path / "torn.jsonl", {"question": "a?", "answer": "b"})
    path.write_text(path.read_text() + '{"question": "c', "utf-8")
    with pytest.raises(Corrupt, match=r"torn\.jsonl:2"):
        read_question_set(path)
    squeezed = tmp_path / "cut.jsonl.gz"
    squeezed.write_bytes(gzip.compress(b'{"question": "a?", "answer": "b"}\n' * 50)[:-12])
    with pytest.raises(Corrupt, match="cut off"):
        read_question_set(squeezed)
    with pytest.raises(InvalidInput, match="no question to ask"):
        read_question_set(jsonl(tmp_path / "held.jsonl", {"question": "a?", "answer": "?"}))


@pytest.mark.parametrize(
    ("file", "count"),
    [("webshaper_500.jsonl.gz", 425), ("sailorfog_qa_sample.jsonl.gz", 17), ("webdancer_sample_qa.jsonl.gz", 169)],
)
def test_the_authors_samples_load(file: str, count: int) -> None:
    found = read_question_set(shared("data", "agent", file))
    assert (found.format, len(found.questions)) == (SetFormat.PLAIN, count)
    if file.startswith("webshaper"):
        assert max(q.hops for q in found.questions) > 3
        assert found.questions[0].hops == 3  # V@M, V@X, V@Y


def test_the_first_questions_take_the_languages_in_turn(tmp_path: Path) -> None:
    rows = [{"id": f"e{n}", "question": f"Which {n}?", "answer": "x"} for n in range(4)]
    rows += [{"id": "a0", "question": "أي واحدة؟", "answer": "س"}]
    found = read_question_set(jsonl(tmp_path / "q.jsonl", *rows)).first(3)
    assert [q.question_id for q in found.questions] == ["a0", "e0", "e1"]
