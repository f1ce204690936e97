"""Translate-and-tune at miniature size, on files as a user has them, through KFP's own runner: whole, and it resumes.

The domain is the demo's and the translator starts from the demo's teacher: a few steps from random weights would
translate nothing, and the filters would rightly keep nothing.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import signal
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset

from pipelines.digest import ROOT
from pipelines.tune_recipe import COMPONENTS
from sindbad.demo.world import build_world
from sindbad.translation.domain import parallel_pairs
from sindbad.weights.card import front_matter
from tests.e2e.missions import Demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALL = {"steps": 20, "batch_size": 8, "checkpoint_every": 10, "validate_every": 10}


@dataclass(frozen=True)
class Tuned:
    """What a run left that was interrupted once and then finished; ``again``: stages of a third call."""

    run: Path
    data: Path
    first: list[str]
    second: list[str]
    again: list[str]
    text: str
    summary: dict[str, Any]
    page: str


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Write data and a recipe, interrupt the run when its corpus begins, and finish it."""
    folder = tmp_path_factory.mktemp("tune")
    data, run = folder / "data", folder / "run"
    write_data(data)
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE), "utf-8")
    words = ("tune", "--data", str(data), "--recipe", str(recipe))
    one = Demo(run, words=words)
    try:
        one.until_printed("▶ corpus")
        one.send(signal.SIGINT)
        assert one.end() == 130, one.text
    finally:
        one.kill_all()
    two, three = finish(run, words), finish(run, words)
    summary = json.loads((run / "tune.json").read_text("utf-8"))
    page = (run / "report.html").read_text("utf-8")
    return Tuned(run, data, one.began, two.began, three.began, two.text, summary, page)


def finish(run: Path, words: tuple[str, ...]) -> Demo:
    """Run the command to its end."""
    process = Demo(run, words=words)
    try:
        assert process.end() == 0, process.text
    finally:
        process.kill_all()
    return process


def write_data(folder: Path, language: str = "en") -> None:
    """Parallel text (TSV, gzipped TSV), instructions (JSONL) in ``language``, native text of the other one and multiple
    choice, all of the demo."""
    folder.mkdir()
    pairs = [(one.en, one.ar) for one in parallel_pairs([build_world(71_001)], 3, 160, masked_share=0.0)]
    tsv = "en\tar\n" + "".join(f"{en}\t{ar}\n" for en, ar in pairs[:120])
    with gzip.open(folder / "train.tsv.gz", "wt", encoding="utf-8") as file:
        file.write(tsv)
    (folder / "test.tsv").write_text("en\tar\n" + "".join(f"{en}\t{ar}\n" for en, ar in pairs[120:130]), "utf-8")
    drawn = parallel_pairs([build_world(71_002)], 4, 60, kinds=("sentence",), masked_share=0.0)
    sentences = [one.en if language == "en" else one.ar for one in drawn]
    rows = [
        {"instruction": asked, "input": "", "output": said}
        for asked, said in zip(sentences[::2], sentences[1::2], strict=True)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    chats = [
        {
            "messages": [
                {"role": role, "content": text} for role, text in zip(ROLES, sentences[at : at + 5], strict=True)
            ]
        }
        for at in range(0, 20, 5)
    ]
    (folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats), "utf-8")
    native = [{"title": text.split()[0], "text": text} for text in (pair[language == "en"] for pair in pairs[130:150])]
    (folder / "native.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in native), "utf-8")
    chance = random.Random(0)
    items = [
        {"id": f"acva-{n}", "question": ar, "answer": chance.choice(("صح", "خطأ"))}
        for n, (_, ar) in enumerate(pairs[150:158])
    ]
    (folder / "choice.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in items), "utf-8")


ROLES = ("system", "user", "assistant", "user", "assistant")
TEACHER = str(ROOT / "sindbad" / "demo" / "models" / "teacher")
RECIPE: dict[str, Any] = {
    "name": "miniature",
    "stages": {
        "parallel": {
            "settings": {
                "train": {"own": {"path": "train.tsv.gz", "licence": "CC0", "held_out": 10}},
                "tests": {"news": {"path": "test.tsv", "licence": "CC0"}},
            }
        },
        "translator": {
            "settings": {
                "training": {
                    "start_from": TEACHER, "style": "teacher",
                    "sft": {**SMALL, "steps": 4, "optimiser": {"lr": 1e-5}}, "held_back": 8,
                },
                "sentences": 6,
            }
        },
        "corpus": {
            "settings": {
                "sources": ["alpaca=rows.jsonl@cc-by-nc-4.0", "messages=chats.jsonl@cc-by-sa-4.0"],
                "duplicates": None, "held_out": 0.2,
            }
        },
        "base": {"settings": {"model": {"hidden_size": 64, "layers": 2, "inner_size": 96}, "sft": SMALL}},
        "sft": {"settings": SMALL},
        "merge": {"settings": {"t": 0.5}},
        "evaluate": {
            "settings": {
                "texts": {"native": {
                    "path": "native.jsonl", "licence": "CC0", "source_column": "title", "target_column": "text",
                }},
                "choice": {"acva": "choice.jsonl"}, "sweep": [0.0, 0.5, 1.0], "samples": 2,
            }
        },
        "report": {},
    },
}  # fmt: skip


def test_an_interrupted_run_goes_on_at_the_step_that_was_cut_short(tuned: Tuned) -> None:
    assert tuned.first == ["parallel", "translator", "corpus"]
    assert tuned.second[0] == "corpus"
    assert set(tuned.first) | set(tuned.second) == set(COMPONENTS)
    assert tuned.again == []


def test_the_summary_tells_every_step(tuned: Tuned) -> None:
    summary = tuned.summary
    assert set(summary["translation"]) == {"own", "news"}
    assert summary["translation"]["news"]["raw"]["chrf"]["value"] > 60  # the demo's teacher knows this domain
    assert summary["corpus"]["records"] == 34
    assert 2 <= summary["corpus"]["kept"] <= 34
    assert summary["corpus"]["kept"] + sum(summary["corpus"]["dropped"].values()) == 34
    assert set(summary["losses"]) == {"base", "tuned", "merged"}
    assert set(summary["losses"]["base"]) == {"held-out rows, English", "held-out rows, translated", "native"}
    assert set(summary["choice"]["merged"]["acva"]) == {"letters", "text"}
    assert set(summary["wall_seconds"]) >= set(COMPONENTS) - {"report"}


def test_the_sweep_starts_at_the_base_ends_at_the_tuned_model_and_meets_the_merge(tuned: Tuned) -> None:
    losses, sweep = tuned.summary["losses"], tuned.summary["sweep"]
    assert [row["t"] for row in sweep] == [0.0, 0.5, 1.0]
    for row, name in zip(sweep, ("base", "merged", "tuned"), strict=True):
        for kind, loss in losses[name].items():
            assert row[kind] == pytest.approx(loss, abs=1e-4), (name, kind)


def test_tuning_on_translated_rows_teaches_their_language(tuned: Tuned) -> None:
    losses = tuned.summary["losses"]
    assert losses["tuned"]["held-out rows, translated"] < losses["base"]["held-out rows, translated"]


def test_the_licence_of_the_source_is_inherited(tuned: Tuned) -> None:
    assert any("Non-commercial" in sentence for sentence in tuned.summary["corpus"]["obligations"])
    card = next(tuned.run.glob("kfp/artifacts/**/dataset/README.md")).read_text("utf-8")
    assert "license: cc-by-nc-sa-4.0" in card
    assert "Non-commercial" in tuned.page


def test_every_model_says_what_it_was_made_of_and_owes_all_of_it(tuned: Tuned) -> None:
    cards = {
        path.parent.parent.name: front_matter(path.parent)
        for path in tuned.run.glob("kfp/artifacts/**/model/README.md")
    }
    assert set(cards) == {"text-translator", "small-base", "tune", "slerp-merge"}
    rows = {"alpaca": "cc-by-nc-4.0", "messages": "cc-by-sa-4.0"}
    for name, head in cards.items():
        parts = {(part["kind"], part["name"]): part["licences"] for part in head["lineage"]}
        if name == "text-translator":
            assert head["license"] == "cc-by-4.0"
            assert ("parallel text", "own") in parts
            continue
        assert head["license"] == "cc-by-nc-sa-4.0", name
        assert all(any(licence in parts["data set", source] for source in rows) for licence in rows.values()), name
        assert ("translator" in {kind for kind, _ in parts}) is (name != "small-base"), name


def test_a_conversation_is_trained_on_whole(tuned: Tuned) -> None:
    folder = next(tuned.run.glob("kfp/artifacts/**/dataset")).parent
    rows = [
        json.loads(line) for name in ("untranslated", "held_out_source") for line in _lines(folder / f"{name}.jsonl")
    ]
    whole = [[turn["role"] for turn in row["messages"]] for row in rows if "messages" in row]
    assert whole == [list(ROLES)] * 4
    assert {tuple(row) for row in rows if "messages" not in row} == {("prompt", "completion")}
    translated = [json.loads(line) for line in _lines(folder / "instructions.jsonl")]
    assert any("messages" in row for row in translated)


def test_the_data_set_opens_and_no_held_out_row_is_trained_on(tuned: Tuned) -> None:
    folder = next(tuned.run.glob("kfp/artifacts/**/dataset")).parent
    rows = load_dataset(str(folder / "dataset"), split="train", cache_dir=str(tuned.run / "opened"))
    assert len(rows) == tuned.summary["corpus"]["kept"]
    trained = {line for name in ("instructions", "untranslated") for line in _lines(folder / f"{name}.jsonl")}
    held_out = {line for side in ("source", "target") for line in _lines(folder / f"held_out_{side}.jsonl")}
    assert held_out
    assert not trained & held_out


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_the_page_shows_texts_side_by_side_in_their_own_direction(tuned: Tuned) -> None:
    assert '<td lang="ar" dir="rtl">' in tuned.page
    assert '<td lang="en" dir="ltr">' in tuned.page
    for heading in ("Waterfall of the instruction rows", "Loss before and after", "Instruction rows side by side"):
        assert heading in tuned.page
    assert (tuned.run / "waterfall" / "waterfall.html").is_file()
    assert not re.search(r"(?:src|href)=.?https?:|url\((?!#)", tuned.page)  # works offline


def test_the_end_is_printed(tuned: Tuned) -> None:
    assert "34 instruction rows kept" in tuned.text
    assert "Loss on held-out text" in tuned.text
    assert str(tuned.run / "report.html") in tuned.text.replace("\n", "")


def test_the_other_direction_is_two_words_of_the_recipe(tmp_path: Path) -> None:
    """Arabic rows become English: what translates, filters, trains and reports follows the direction of the pairs."""
    data, run, recipe = tmp_path / "data", tmp_path / "run", deepcopy(RECIPE)
    write_data(data, "ar")
    stages = recipe["stages"]
    stages["parallel"]["settings"] |= {"source": "ar", "target": "en"}
    stages["evaluate"]["settings"] |= {"choice": {}, "sweep": []}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    finish(run, ("tune", "--data", str(data), "--recipe", str(tmp_path / "recipe.yaml")))
    summary, page = json.loads((run / "tune.json").read_text("utf-8")), (run / "report.html").read_text("utf-8")
    assert summary["translation"]["news"]["raw"]["chrf"]["value"] > 60
    assert summary["corpus"]["kept"] >= 2
    assert set(summary["losses"]["base"]) == {"held-out rows, Arabic", "held-out rows, translated", "native"}
    assert "instr_ar, instr_en" in next(run.glob("kfp/artifacts/**/dataset/README.md")).read_text("utf-8")
    assert '<td lang="ar" dir="rtl">' in page
