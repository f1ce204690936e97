"""Labelled answers and a judge's figures on them: truth by construction, kappa by the textbook, files by columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sindbad.clients import openai
from sindbad.errors import Corrupt, InvalidInput, Unavailable
from sindbad.evaluation.judges import ALL, judge_figures, judge_table, kappa, measure_judge
from sindbad.evaluation.labelled import LabelledSet, labelled_set
from sindbad.judging import ExactJudge, JudgeRequest, Verdict
from sindbad.judging.exact import normaliser
from sindbad.judging.measure import LabelledCase
from sindbad.judging.opening import JudgeSpec, StyledJudge, open_judge, parse_judge
from sindbad.judging.verdict import DOUBT
from tests.shared import shared


def case(name: str, correct: bool, language: str = "en") -> LabelledCase:
    return LabelledCase(JudgeRequest(name, "Tavel", "Tavel", language), correct)


def said(correct: bool, reason: str = "") -> Verdict:
    return Verdict(correct, reason)


def test_kappa_is_the_textbooks() -> None:
    """20 both yes, 5 and 10 apart, 15 both no: observed 0.7, by chance 0.5, kappa 0.4."""
    assert kappa(np.array([[20.0, 5.0, 10.0, 15.0]]))[0] == pytest.approx(0.4)
    assert kappa(np.array([[5.0, 0.0, 0.0, 0.0]]))[0] == 0.0
    assert kappa(np.array([[5.0, 0.0, 0.0, 5.0]]))[0] == 1.0


def test_figures_count_both_kinds_of_error_doubts_and_languages() -> None:
    cases = [case(f"q{n}", n % 2 == 0, "ar" if n < 10 else "en") for n in range(40)]
    verdicts = [said(n % 2 == 0 and n != 0, f"{DOUBT}hm" if n == 0 else "") for n in range(40)]
    verdicts[1] = said(True)
    found = judge_figures(cases, verdicts)
    assert set(found) == {ALL, "ar", "en"}
    assert (found[ALL].cases, found[ALL].doubts) == (40, 1)
    assert found[ALL].accuracy.value == pytest.approx(38 / 40)
    assert found[ALL].kappa.value == pytest.approx(0.9)
    assert found["ar"].accepts_wrong is not None
    assert found["ar"].accepts_wrong.value == pytest.approx(1 / 5)
    assert found["ar"].rejects_right is not None
    assert found["ar"].rejects_right.value == pytest.approx(1 / 5)
    assert found["en"].accuracy.low < 1.0 == found["en"].accuracy.value


def test_answers_to_one_question_stay_together_in_the_interval() -> None:
    """Ten questions, each judged alike ten times over: as uncertain as ten answers, not as a hundred."""
    together = [case(f"q{n // 10}", True) for n in range(100)]
    apart = [case(f"q{n}", True) for n in range(100)]
    verdicts = [said((n // 10) % 2 == 0) for n in range(100)]
    wide, narrow = (judge_figures(cases, verdicts)[ALL].accuracy for cases in (together, apart))
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)


@pytest.mark.parametrize("language", ["en", "ar", "zh"])
def test_made_answers_are_true_by_construction(tmp_path: Path, language: str) -> None:
    names = {"en": ("Tavel", "Korin Lake", "Mesto", "Ardan"), "ar": ("تافل", "كورين", "مستو", "أردان"),
             "zh": ("塔维尔", "科林湖", "梅斯托", "阿丹")}[language]  # fmt: skip
    path = tmp_path / "pairs.jsonl"
    rows = [{"id": str(n), "question": f"{n}?", "answer": name, "language": language} for n, name in enumerate(names)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    found = labelled_set(str(path), 16)
    assert (len(found.cases), sum(one.correct for one in found.cases)) == (16, 8)
    fold = normaliser(language)
    for one in found.cases:
        others = [name for name in names if name != one.request.gold]
        named = fold(one.request.gold) in fold(one.request.answer or "")
        assert one.correct == (named and not any(fold(name) in fold(one.request.answer or "") for name in others))


def test_files_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    row = {"question": "Where?", "gold": "Tavel", "answer": "in Tavel", "correct": True}
    labels.write_text(json.dumps(row) + "\n" + json.dumps({**row, "answer": "Korin", "correct": False}) + "\n")
    assert [one.correct for one in labelled_set(str(labels), 9).cases] == [True, False]
    labels.write_text(json.dumps({**row, "correct": "yes"}) + "\n")
    with pytest.raises(Corrupt, match="true or false"):
        labelled_set(str(labels), 9)
    styled = labelled_set("synthetic", 4, style="gaia")
    assert {one.request.style for one in styled.cases} == {"gaia"}


async def test_a_gold_answer_that_is_a_plain_text_is_no_list_of_letters(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    row = {"question": "Which city?", "gold": "Paris", "aliases": "Lutetia", "language": "en"}
    rows = [{**row, "answer": "Lutetia", "correct": True}, {**row, "answer": "e", "correct": False}]
    labels.write_text("".join(json.dumps(item) + "\n" for item in rows))
    found = labelled_set(str(labels), 9)
    assert [one.request.aliases for one in found.cases] == [("Lutetia",)] * 2
    assert (await measure_judge(ExactJudge(), found))[ALL].accuracy.value == 1.0
    labels.write_text(json.dumps({**rows[0], "aliases": {"en": "Lutetia"}}) + "\n")
    with pytest.raises(Corrupt, match=r"labels\.jsonl:1"):
        labelled_set(str(labels), 9)
    for answers in ("Lutetia", {"text": "Lutetia"}, {"text": ["Lutetia"]}, [{"text": "Lutetia"}], ["Lutetia"]):
        other = {"question": "What?", "answers": ["Baghdad"]}
        labels.write_text(json.dumps({"qas": [{"question": "Which?", "answers": answers}, other]}) + "\n")
        assert {one.request.gold for one in labelled_set(str(labels), 8).cases} == {"Lutetia", "Baghdad"}


async def test_the_rule_is_measured_on_real_labelled_answers_in_both_languages() -> None:
    runs = labelled_set(str(shared("data", "agent", "reflexion_react_hotpot_runs.jsonl.gz")), 1_000)
    assert (len(runs.cases), runs.left_out) == (303, 73)
    found = await measure_judge(ExactJudge(), runs)
    assert found[ALL].accuracy.value > 0.95  # their labels are exact match, too, with another normalisation
    both = labelled_set(str(shared("data", "arabic_eval", "xquad_en_ar.jsonl.gz")), 400)
    assert {one.request.language for one in both.cases} == {"en", "ar"}
    rule = await measure_judge(ExactJudge(), both)
    assert rule[ALL].accepts_wrong is not None
    assert rule[ALL].accepts_wrong.value == 0.0
    assert 0.5 < rule["ar"].accuracy.value < 1.0
    table = judge_table("t", {"rule": rule}, both)
    assert [row[0] for row in table.rows] == ["rule, all", "rule, ar", "rule, en"]


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("rule", JudgeSpec("rule")),
        ("service", JudgeSpec("service")),
        ("service:127.0.0.1:70", JudgeSpec("service", "127.0.0.1:70")),
        ("policy:host:70@models/policy", JudgeSpec("policy", "host:70", "models/policy")),
        ("openai:http://host:8000/v1#qwen", JudgeSpec("openai", "http://host:8000/v1", "qwen")),
        ("small:sindbad/demo/models/judge", JudgeSpec("small", "sindbad/demo/models/judge")),
    ],
)
def test_a_judge_is_named_in_a_few_words_and_told_the_same_way(text: str, spec: JudgeSpec) -> None:
    assert parse_judge(text) == spec
    assert str(spec) == text


@pytest.mark.parametrize("text", ["", "rule:x", "policy:host:70", "openai:http://h/v1", "model:", "gpt"])
def test_an_incomplete_judge_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(InvalidInput, match="openai:URL#MODEL"):
        parse_judge(text)


async def test_a_style_is_put_on_requests_that_name_none() -> None:
    seen: list[str] = []

    class Keeps:
        async def judge(self, request: JudgeRequest) -> Verdict:
            seen.append(request.style)
            return Verdict(True, "")

    styled = StyledJudge(Keeps(), "hle")
    await styled.judge(JudgeRequest("?", "a", "a", "en"))
    await styled.judge(JudgeRequest("?", "a", "a", "en", style="gaia"))
    assert seen == ["hle", "gaia"]
    with pytest.raises(InvalidInput):
        StyledJudge(Keeps(), "nonsense")
    async with open_judge(parse_judge("rule"), "gaia") as judge:
        assert (await judge.judge(JudgeRequest("?", "Tavel", "tavel", "en"))).correct


def test_a_set_without_anything_to_judge_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({"question": "?", "final": None, "gold": "x", "status": "halted"}) + "\n")
    with pytest.raises(InvalidInput, match="no answer"):
        labelled_set(str(path), 5)
    assert LabelledSet("s", (), "t").left_out == 0


async def test_a_judge_at_an_endpoint_that_is_down_says_that_it_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai, "AWAY_SECONDS", 0.5)
    with pytest.raises(Unavailable, match=r"nothing answers at http://127\.0\.0\.1:9/v1"):
        async with open_judge(parse_judge("openai:http://127.0.0.1:9/v1#m")):
            pytest.fail("a judge that is away was opened")


async def test_a_judge_at_a_policy_service_that_is_away_is_told_when_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sindbad.clients.replicas.AWAY_SECONDS", 0.3)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        async with open_judge(parse_judge("policy:127.0.0.1:9@sindbad/demo/models/judge")):
            pytest.fail("a judge that is away was opened")
