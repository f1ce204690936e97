"""Corpora in other directions than English to Arabic: from the first row to the translator's training file and back.

The model is a server that knows some real translations; everything else is the code that Arabic uses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sindbad.cli.main import app
from sindbad.corpus.bilingual_settings import PairsSettings
from sindbad.corpus.exported import read_pairs
from sindbad.corpus.job import Job
from sindbad.corpus.sources import SourceRequest
from sindbad.corpus.store import JobStore
from sindbad.corpus.translate import kept
from sindbad.corpus.waterfall import measure, write
from sindbad.errors import InvalidInput
from tests.unit.corpus.endpoint import Endpoint, endpoint

FRENCH = {
    "Where is the key to the old house?": "Où se trouve la clé de la vieille maison ?",
    "The key to the old house lies under the blue stone.":
        "La clé de la vieille maison se trouve sous la pierre bleue.",
    "How many people lived in the village last year?": "Combien de personnes vivaient dans le village l'an dernier ?",
    "About 12,000 people lived there, which is 1.5 times as many as before.":
        "Environ 12 000 personnes y vivaient, soit 1,5 fois plus qu'auparavant.",
    "Why does ⟦0⟧ print nothing when the list is empty?": "Pourquoi ⟦0⟧ n'affiche-t-il rien quand la liste est vide ?",
    "Because the loop never runs, as ⟦0⟧ explains.": "Parce que la boucle ne s'exécute jamais, comme l'explique ⟦0⟧.",
    "Who wrote the letter to the mayor?": "Wer hat den Brief an den Bürgermeister geschrieben?",
    "The old teacher wrote it.": "C'est le vieux professeur qui l'a écrite.",
}  # fmt: skip
ROWS = [
    ("Where is the key to the old house?", "The key to the old house lies under the blue stone."),
    ("How many people lived in the village last year?",
     "About 12,000 people lived there, which is 1.5 times as many as before."),
    ("Why does `for x in items` print nothing when the list is empty?",
     "Because the loop never runs, as https://docs.python.org/3/ explains."),
    ("Who wrote the letter to the mayor?", "The old teacher wrote it."),  # the server answers in German
]  # fmt: skip
SETTINGS = "duplicates: null\ntranslator: {settings: {mask_numbers: false}}\n"
URDU = {"Where is the key to the old house?": "پرانے گھر کی چابی کہاں ہے؟",
        "The key to the old house lies under the blue stone.": "پرانے گھر کی چابی نیلے پتھر کے نیچے ہے۔",
        "How many people lived in the village last year?": "كم شخصا كان يعيش في القرية في العام الماضي؟",
        "The old teacher wrote it.": "لقد كتبها المعلم العجوز في البيت."}  # fmt: skip
"""The last two are Arabic."""


def knowing(said: dict[str, str], language: str) -> Any:
    """The reply to a prompt of the light style; "?" for what the server does not know."""
    opening = f"Translate everything that follows into {language}:\n\n"

    def answer(prompt: str) -> str:
        assert prompt.startswith(opening), prompt
        return said.get(prompt.removeprefix(opening), "?")

    return answer


def command(*words: str) -> str:
    """What ``sindbad corpus`` prints; it must succeed."""
    done = CliRunner().invoke(app, ["corpus", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return str(done.output)


def translated(
    folder: Path, server: Endpoint, rows: list[tuple[str, str]], source: str, target: str
) -> tuple[Path, str]:
    """A job over ``rows``, and what its command printed."""
    (folder / "rows.jsonl").write_text("".join(
        json.dumps({"messages": [{"role": "user", "content": one}, {"role": "assistant", "content": two}]}) + "\n"
        for one, two in rows
    ), "utf-8")  # fmt: skip
    (folder / "job.yaml").write_text(SETTINGS, "utf-8")
    told = command(
        "translate", str(folder / "job"), "--source", f"messages={folder / 'rows.jsonl'}@mit", "--licence", "cc-by-4.0",
        "--endpoint", server.url, "--endpoint-model", "m", "--revision", "one", "--from", source, "--to", target,
        "--config", str(folder / "job.yaml"), "--unit", "message",
    )  # fmt: skip
    return folder / "job", told


def test_rows_become_french_with_their_code_and_numbers_and_what_is_not_french_is_dropped(tmp_path: Path) -> None:
    with endpoint(knowing(FRENCH, "French")) as server:
        job, told = translated(tmp_path, server, ROWS, "en", "fr")
    assert "4 rows, 3 kept" in told, told
    assert "language" in told
    command("export", str(job), "--out", str(tmp_path / "set"))
    (file,) = (tmp_path / "set" / "pairs").glob("*.parquet")
    table = pq.read_table(file)
    assert table.column_names == ["instr_en", "instr_fr", "resp_en", "resp_fr"]
    assert table["instr_fr"][2].as_py() == "Pourquoi `for x in items` n'affiche-t-il rien quand la liste est vide ?"
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert 'language: ["fr", "en"]' in card
    assert "(instr_en, instr_fr, resp_en, resp_fr)" in card
    there, back = (list(read_pairs(tmp_path / "set", both)) for both in (("en", "fr"), ("fr", "en")))
    assert there == [(one, two) for two, one in back]
    with pytest.raises(InvalidInput, match="no column instr_ar"):
        list(read_pairs(tmp_path / "set"))
    assert {(row.original.language, row.translation.language) for row in kept(Job.open(JobStore(str(job))))} == {
        ("en", "fr")
    }


def test_a_french_teacher_and_french_parallel_text_become_one_training_file(tmp_path: Path) -> None:
    with endpoint(knowing(FRENCH, "French")) as server:
        job, _ = translated(tmp_path, server, ROWS, "en", "fr")
    (tmp_path / "own.tsv").write_text(
        "en\tfr\nThe sea is calm today.\tLa mer est calme aujourd'hui.\n"
        "The sea is wild and the boats stay home.\tDas Meer ist heute sehr wild und die Boote bleiben zu Hause.\n",
        "utf-8",
    )
    (tmp_path / "opus.jsonl").write_text(
        json.dumps({"translation": {"en": "The wind is strong.", "fr": "Le vent est fort."}}) + "\n", "utf-8"
    )
    told = command(
        "pairs", str(tmp_path / "out"), "--teacher", str(job), "--parallel", f"own={tmp_path / 'own.tsv'}@CC0",
        "--parallel", f"opus100={tmp_path / 'opus.jsonl'}", "--from", "en", "--to", "fr",
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").read_text("utf-8").splitlines()]
    assert {line["prompt"].partition("\n")[0] for line in lines} == {"Translate everything that follows into French:"}
    said = [line["completion"] for line in lines]
    assert "La mer est calme aujourd'hui." in said
    assert "Le vent est fort." in said
    assert not any("Meer" in text for text in said)
    assert "own: 1 of 2 pairs" in told
    with pytest.raises(InvalidInput, match="translates en-fr; the file's prompt is for en-ar"):
        command("pairs", str(tmp_path / "other"), "--teacher", str(job))


def test_the_same_parallel_text_serves_the_other_direction(tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("en\tar\nThe sea is calm today.\tالبحر هادئ اليوم.\n", "utf-8")
    command(
        "pairs", str(tmp_path / "out"), "--parallel", f"own={tmp_path / 'own.tsv'}@CC0", "--from", "ar", "--to", "en"
    )
    (line,) = (tmp_path / "out" / "pairs.jsonl").read_text("utf-8").splitlines()
    made = json.loads(line)
    assert made["prompt"] == "Translate everything that follows into English:\n\nالبحر هادئ اليوم."
    assert made["completion"] == "The sea is calm today."


def test_a_waterfall_sets_the_text_of_a_right_to_left_language_right_to_left(tmp_path: Path) -> None:
    with endpoint(knowing(URDU, "Urdu")) as server:
        job, told = translated(tmp_path, server, [ROWS[0], (ROWS[1][0], ROWS[3][1])], "en", "ur")
    assert "2 rows, 1 kept" in told, told
    write(measure(Job.open(JobStore(str(job))), examples=2), tmp_path / "fall")
    assert "lang=ur dir=rtl" in (tmp_path / "fall" / "waterfall.html").read_text("utf-8")


def test_what_is_published_in_one_language_is_not_taken_for_another() -> None:
    with pytest.raises(InvalidInput, match=r"openorca is published in 'en' and 'fr' is to be translated"):
        SourceRequest.parse("openorca", language="fr")
    assert SourceRequest.parse("openorca=rows.jsonl", language="fr").language == "fr"
    assert SourceRequest.parse("messages=rows.jsonl", language="fr").language == "fr"


def test_a_job_into_what_is_no_language_ends_before_anything_is_asked(tmp_path: Path) -> None:
    with endpoint(knowing({}, "?")) as server, pytest.raises(InvalidInput, match="no language is called 'klingon'"):
        translated(tmp_path, server, ROWS, "en", "klingon")
    assert server.bodies == []


def test_both_halves_of_the_supervision_have_one_direction() -> None:
    teacher = {"sources": ["openorca"]}
    with pytest.raises(ValueError, match="the teacher translates en-ar and the file is for en-fr"):
        PairsSettings.model_validate({"target": "fr", "teacher": teacher})
    made = PairsSettings.model_validate({"target": "fr", "teacher": {**teacher, "target": "fr"}})
    assert made.languages == ("en", "fr")
