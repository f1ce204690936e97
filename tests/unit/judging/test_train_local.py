"""The script that makes the small judge learns, and the committed one is what its card says."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from sindbad.judging.synthetic import answer_cases
from sindbad.judging.train_local import JudgeTraining, encode, evaluate, loss_of, new_judge, run

COMMITTED = Path(__file__).parents[3] / "sindbad" / "demo" / "models" / "judge"


@pytest.mark.slow
def test_a_few_steps_of_training_lower_the_loss_and_leave_a_model_that_loads(tmp_path: Path) -> None:
    from sindbad.demo.tokenizer import build_tokenizer

    config = JudgeTraining(steps=30, batch=16, held_out=20)
    tokenizer = build_tokenizer()
    batch = encode(answer_cases(64, seed=99), tokenizer)
    before = float(loss_of(new_judge(config, tokenizer), batch, config.copying))
    report = run(config, tmp_path / "judge", progress=False)
    from transformers import Lfm2ForCausalLM

    trained = Lfm2ForCausalLM.from_pretrained(tmp_path / "judge").float()
    assert float(loss_of(trained, batch, config.copying)) < 0.8 * before
    assert report.cases == 20
    assert "kappa" in (tmp_path / "judge" / "MODEL_CARD.md").read_text()


def test_only_replies_and_right_answers_carry_loss() -> None:
    from sindbad.demo.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    cases = answer_cases(16, seed=1)
    ids, copied, reply = encode(cases, tokenizer)
    for row, case in enumerate(cases):
        told = tokenizer.decode(ids[row][copied[row] > 0]).strip()
        assert told == (case.request.answer if case.correct else "")
        assert tokenizer.decode(ids[row][reply[row] > 0][:-1]).strip() == ("yes" if case.correct else "no")
        assert reply[row].max() == 1


@pytest.mark.slow
def test_the_committed_judge_is_small_and_reaches_the_accuracy_on_its_card() -> None:
    size = sum(file.stat().st_size for file in COMMITTED.iterdir())
    assert size <= 700_000
    stated = re.search(r"accuracy of this model \| ([0-9.]+)", (COMMITTED / "MODEL_CARD.md").read_text())
    assert stated
    report = asyncio.run(evaluate(COMMITTED, answer_cases(300, seed=123)))
    assert report.model_accuracy == pytest.approx(float(stated.group(1)), abs=0.07)
    assert report.model_accuracy > 0.6
