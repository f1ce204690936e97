from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from sindbad.demo.base_model import BASE_AGENT, save_model
from sindbad.demo.course import BaseModelConfig, Course
from sindbad.demo.drills import Drills
from sindbad.demo.exam import ExamConfig, examine
from sindbad.demo.practice import Practice, attempts, demo_tokenizer
from sindbad.demo.tokenizer import build_tokenizer
from sindbad.demo.world import build_world
from sindbad.errors import InvalidInput
from sindbad.training.checkpoint import save_checkpoint
from sindbad.training.logprobs import score
from sindbad.training.packing import Sample, collate

SMALL = BaseModelConfig(
    drill_facts=1, drill_steps=4, drill_batch=4, page_steps=3, page_batch=2, attempt_steps=3, attempt_batch=2,
    worlds=2, threads=1, checkpoint_every=2,
)  # fmt: skip


def small_practice() -> Practice:
    return attempts(range(100_000, 100_002), 6)


def test_a_drill_repeats_its_facts_with_loss_on_what_can_be_known() -> None:
    tokenizer = demo_tokenizer()
    for facts in (1, 3):
        drill = Drills(tokenizer, 1).recall(facts)
        text = tokenizer.text(drill.input_ids)
        sentences = [sentence for sentence in text.split(".") if sentence]
        assert sorted(s.strip() for s in sentences[:facts]) == sorted(s.strip() for s in sentences[facts:])
    page = Drills(tokenizer, 1).pages(build_world(1), 2)
    assert 0 < sum(page.loss_mask) < len(page.loss_mask) / 3


def test_an_interrupted_course_resumes_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    practice = small_practice()
    whole = Course(SMALL, tmp_path / "whole", lambda _: None)
    whole.run(lambda: practice)

    class Stopped(Exception):
        pass

    def stop() -> Practice:
        raise Stopped

    first = Course(SMALL, tmp_path / "cut", lambda _: None)
    with pytest.raises(Stopped):
        first.run(stop)
    second = Course(SMALL, tmp_path / "cut", lambda _: None)
    assert second.progress.step == 7
    second.run(lambda: practice)
    assert second.progress.step == whole.progress.step
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


def test_a_course_of_other_settings_does_not_go_on_from_these_checkpoints(tmp_path: Path) -> None:
    course = Course(SMALL, tmp_path, lambda _: None)
    save_checkpoint(tmp_path / "checkpoints", 0, course.model, torch.optim.AdamW(course.model.parameters()), {})
    with pytest.raises(InvalidInput, match="earlier version"):
        Course(SMALL, tmp_path, lambda _: None)
    course._enter(1)
    Course(SMALL.model_copy(update={"threads": 3}), tmp_path, lambda _: None)
    with pytest.raises(InvalidInput, match="not the same: settings"):
        Course(SMALL.model_copy(update={"lr": 2e-3}), tmp_path, lambda _: None)


def test_a_saved_model_loads_and_is_half_the_size(tmp_path: Path) -> None:
    course = Course(SMALL, tmp_path / "work", lambda _: None)
    save_model(course.model, tmp_path / "model", "# card")
    assert (tmp_path / "model" / "MODEL_CARD.md").read_text() == "# card"
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    original = course.model.state_dict()["model.embed_tokens.weight"]
    assert torch.allclose(loaded.state_dict()["model.embed_tokens.weight"], original, atol=1e-3)
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 2_100_000


def test_the_committed_model_is_small_and_has_todays_tokenizer() -> None:
    assert (BASE_AGENT / "model.safetensors").stat().st_size <= 2_100_000
    assert AutoTokenizer.from_pretrained(BASE_AGENT).get_vocab() == build_tokenizer().get_vocab()
    weights = load_file(BASE_AGENT / "model.safetensors")
    assert all(torch.isfinite(tensor.float()).all() for tensor in weights.values())
    assert "python -m sindbad.demo.base_model" in (BASE_AGENT / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_the_committed_model_answers_held_out_english_questions() -> None:
    result = examine(BASE_AGENT, ExamConfig(questions=60))
    assert result.success > 0.3


@pytest.mark.slow
def test_recall_forms_from_random_weights_far_above_chance(tmp_path: Path) -> None:
    config = BaseModelConfig(drill_facts=1, drill_steps=140, page_steps=0, attempt_steps=0, threads=1, worlds=1)
    course = Course(config, tmp_path, lambda _: None)
    fresh = Drills(demo_tokenizer(), 12345)
    rows = collate([Sample(e.input_ids, e.loss_mask) for e in (fresh.recall(1) for _ in range(64))])

    def accuracy() -> float:
        with torch.no_grad():
            return float(score(course.model, rows.input_ids_BT, rows.mask_BT).correct_N.float().mean())

    before = accuracy()
    course.run(lambda: Practice(()))
    assert before < 0.05
    assert accuracy() > 0.5
