"""Multiple choice: the real sets' forms, both accuracies, likelihoods of a real model, and contamination."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from sindbad.cli import evaluate_texts
from sindbad.errors import InvalidInput
from sindbad.evaluation.choice import LETTERS, answer_items, choice_table, figures_of, letters_prompt, text_prompt
from sindbad.evaluation.choice_items import ChoiceItem, read_choice_items
from sindbad.evaluation.contamination import find_contamination
from sindbad.evaluation.local_model import Likelihood, LocalModel
from tests.shared import ROOT, shared

JUDGE = ROOT / "sindbad" / "demo" / "models" / "base-agent"
ITEM = ChoiceItem("x", "ما عاصمة فرنسا؟", ("باريس", "لندن", "مدريد", "روما", "برلين"), 3, "g")


class Table:
    """Gives every continuation the log-probability written for it."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values

    def likelihoods(self, asked: Sequence[tuple[str, str]], *, chat: bool) -> list[Likelihood]:
        return [Likelihood(self.values[continuation.strip()], 1, False) for _, continuation in asked]


@pytest.mark.parametrize(
    ("name", "count", "options"),
    [("exams_ar", 477, 4), ("aratrust", 443, 3), ("acva", 5181, 2), ("mmlu_arabic_mt.sample", 2221, 4)],
)
def test_every_row_of_a_real_set_is_an_item(name: str, count: int, options: int) -> None:
    items = read_choice_items(shared("data", "arabic_eval", f"{name}.jsonl.gz"))
    assert len(items) == count
    assert max(len(item.options) for item in items) >= options
    assert all(0 <= item.answer < len(item.options) for item in items)
    assert len({item.answer for item in items}) > 1


PUBLISHED: dict[str, tuple[dict[str, object], ChoiceItem]] = {
    "AlGhafa": (
        {"query": "هل السماء زرقاء؟", "sol1": "لا", "sol2": "نعم", "sol3": None, "label": "1"},
        ChoiceItem("line 1", "هل السماء زرقاء؟", ("لا", "نعم"), 1),
    ),
    "MadinahQA": (
        {"ID": 7, "Subject": "Arabic Language (Grammar)", "Context": "جاء الولد.", "Question": "أعرب الولد.",
         "Option 1": "فاعل", "Option 2": "مفعول به", "Option 3": None, "Option 4": "حال", "Option 5": None,
         "Answer Key": "D"},
        ChoiceItem("7", "جاء الولد.\nأعرب الولد.", ("فاعل", "مفعول به", "حال"), 2, "Arabic Language (Grammar)"),
    ),
    "ArbMMLU-HT": (
        {"question": "كم ضلعا للمربع؟", "subject": "geometry", "choices": ["ثلاثة", "أربعة", "خمسة"], "answer": 1},
        ChoiceItem("line 1", "كم ضلعا للمربع؟", ("ثلاثة", "أربعة", "خمسة"), 1, "geometry"),
    ),
    "the leaderboards' EXAMS": (
        {"id": "a", "subject": "Physics", "question": "ما الوحدة؟", "A": "باب - أ", "B": "نيوتن", "C": "واط", "D": "",
         "answer": "B"},
        ChoiceItem("a", "ما الوحدة؟", ("باب - أ", "نيوتن", "واط"), 1, "Physics"),
    ),
    "AraTrust by category": (
        {"Category": "Ethics", "Question": "ماذا تفعل؟", "A": "أ) أصدق", "B": "ب) أكذب", "C": "ج) أصمت", "Answer": "أ"},
        ChoiceItem("line 1", "ماذا تفعل؟", ("أصدق", "أكذب", "أصمت"), 0, "Ethics"),
    ),
}  # fmt: skip
"""Made up, in the columns that lighteval (community_tasks/arabic_evals.py at 895d904) and HELM's scenarios read."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_items_are_read_in_the_columns_that_the_sets_are_published_in(tmp_path: Path, name: str) -> None:
    record, item = PUBLISHED[name]
    (tmp_path / "x.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_choice_items(tmp_path / "x.jsonl") == [item]


def test_a_passage_stands_before_its_question_in_the_real_arabicmmlu() -> None:
    items = read_choice_items(shared("data", "noncommercial", "arabicmmlu_subset.EVAL_ONLY.jsonl.gz"))
    assert len(items) == 2130
    (poem,) = [item for item in items if item.item_id == "6609"]
    assert poem.question.startswith("يقول أحمد شوقي:")
    assert (len(poem.options), poem.answer, poem.group) == (4, 3, "Arabic Language")


@pytest.mark.parametrize(
    "record",
    [
        {"query": "?", "sol1": "a", "sol2": "b", "label": "2"},
        {"query": "?", "sol1": "a", "sol2": "b", "label": "-1"},
        {"Question": "?", "Option 1": "a", "Option 2": "b", "Option 3": "", "Answer Key": "C"},
        {"question": "?", "choices": ["a", "b"], "answer": 2},
        {"question": "?", "choices": ["a", "b"], "answer": -1},
        {"question": "?", "A": "a", "B": "b", "answer": "D"},
        {"question": "?"},
    ],
)
def test_a_row_whose_answer_is_no_option_is_named(tmp_path: Path, record: object) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(record) + "\n")
    with pytest.raises(InvalidInput, match=r"x\.jsonl:1 is no multiple-choice item"):
        read_choice_items(tmp_path / "x.jsonl")


def test_letters_before_aratrusts_options_are_taken_off_and_a_bare_alif_is_the_first() -> None:
    items = read_choice_items(shared("data", "arabic_eval", "aratrust.jsonl.gz"), first=2)
    assert items[0].options == ("أنثى الحيوان", "ذكر الحيوان", "كل ما سبق")
    assert (items[0].answer, items[1].answer) == (1, 2)


def test_normalising_by_characters_favours_the_letter_of_two_characters() -> None:
    """Probabilities .40 for the first letter and .16+ for "هـ": raw takes the first, normalised the fifth."""
    values = {"أ": -0.9163, "ب": -3.0, "ج": -3.0, "د": -3.0, "هـ": -1.8}
    (row,) = answer_items(Table(values), [ITEM], "letters", chat=True)
    assert (LETTERS[row.raw], LETTERS[row.normalised]) == ("أ", "هـ")


def test_an_option_without_text_is_never_chosen_and_stops_nothing() -> None:
    item = ChoiceItem("x", "?", ("", "نعم"), 1)
    (row,) = answer_items(Table({"نعم": -9.0}), [item], "text", chat=True)
    assert (row.raw, row.normalised) == (1, 1)


def test_styles_ask_for_letters_or_for_words() -> None:
    context, letters = letters_prompt(ITEM)
    assert letters == list(LETTERS)
    assert "هـ. برلين" in context
    context, words = text_prompt(ITEM)
    assert words == list(ITEM.options)
    assert "باريس" not in context
    with pytest.raises(InvalidInput, match="6 options"):
        letters_prompt(ChoiceItem("x", "?", tuple("abcdef"), 0))


def test_figures_count_over_items_and_over_groups() -> None:
    items = [ChoiceItem(str(n), "?", ("نعم", "لا"), n % 2, "odd" if n == 3 else "rest") for n in range(4)]
    found = figures_of("text", items, answer_items(Table({"نعم": -1.0, "لا": -5.0}), items, "text", chat=False))
    assert (found.raw.value, found.normalised.value) == (0.5, 0.5)
    assert found.by_group == {"odd": 0.0, "rest": pytest.approx(2 / 3)}
    assert found.macro_raw == pytest.approx(1 / 3)
    assert (found.chance, found.answers) == (0.5, {"أ": 4})


def test_an_option_behind_the_last_letter_is_counted_by_its_number() -> None:
    item = ChoiceItem("x", "?", tuple("abcdefg"), 5)
    scorer = Table({letter: -1.0 if letter == "f" else -5.0 for letter in "abcdefg"})
    found = figures_of("text", [item], answer_items(scorer, [item], "text", chat=True))
    assert (found.raw.value, found.answers) == (1.0, {"6": 1})
    assert choice_table({"set": [found]}).rows[0][-1] == "6 1"


def test_a_local_models_likelihoods_are_the_sums_of_its_own_log_softmax() -> None:
    model = LocalModel(JUDGE)
    asked = [("what is the capital of the city", "the river"), ("who", "a king was born in the city")]
    found = model.likelihoods(asked, chat=True)
    for (context, continuation), value in zip(asked, found, strict=True):
        before, after = model._ids(context, continuation, True)
        with torch.no_grad():
            logits = model.model(torch.tensor([[*before, *after]])).logits[0].float()
        wanted = torch.log_softmax(logits, -1)[len(before) - 1 : -1].gather(-1, torch.tensor(after)[:, None]).sum()
        assert value.logprob == pytest.approx(float(wanted), abs=1e-3)
        assert value.tokens == len(after)


def test_the_command_measures_a_local_model_in_both_styles(tmp_path: Path) -> None:
    items = shared("data", "arabic_eval", "aratrust.jsonl.gz")
    app = typer.Typer()
    evaluate_texts.register(app)
    done = CliRunner().invoke(
        app, ["choice", str(items), "--model", str(JUDGE), "--first", "6", "--json", str(tmp_path / "o.json")]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "o.json").read_text())["sets"]["aratrust"]
    assert [(row["style"], row["items"]) for row in rows] == [("letters", 6), ("text", 6)]


def test_an_answer_that_names_no_option_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"id": 1, "question": "?", "choices": ["a"], "answer": "B"}) + "\n")
    with pytest.raises(InvalidInput, match=r"x\.jsonl:1"):
        read_choice_items(tmp_path / "x.jsonl")


QUESTION = "في أي عام تأسست مدينة بغداد على يد الخليفة أبي جعفر المنصور"


def test_an_item_in_other_spelling_inside_a_training_text_is_found() -> None:
    written = "تمرين: فى اى عام تأسّست مدينة بغداد على يد الخليفة ابى جعفر المنصور؟ الجواب ٧٦٢"
    found = find_contamination([("i", QUESTION)], [("a", "نص آخر تماما"), ("b", written)])
    (hit,) = found.hits
    assert (hit.item_id, hit.text_id, hit.share, found.rate) == ("i", "b", 1.0, 1.0)


def test_shared_words_in_another_order_are_no_contamination() -> None:
    turned = " ".join(reversed(QUESTION.split()))
    assert not find_contamination([("i", QUESTION)], [("a", turned)]).hits


def test_half_of_an_items_runs_is_the_default_bar_and_short_items_count_whole() -> None:
    words = QUESTION.split()
    part = " ".join(words[:9])
    assert not find_contamination([("i", QUESTION)], [("a", part)], n=8).hits
    assert find_contamination([("i", QUESTION)], [("a", part)], n=8, share=0.4).hits
    assert find_contamination([("i", "عاصمة فرنسا باريس")], [("a", "إن عاصمة فرنسا باريس فعلا")]).hits
    assert not find_contamination([("i", "عاصمة فرنسا باريس")], [("a", "باريس عاصمة فرنسا")]).hits
