"""What models say about a pair: the way back, the judge, the estimator; and what a job does with it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from sindbad.corpus.connect import Examination
from sindbad.corpus.examiners import (
    EndpointJudge,
    JudgeExaminer,
    QualityExaminer,
    RoundTrip,
    SequenceRegressionEstimator,
    chrf,
    segments,
)
from sindbad.corpus.filters import Pair
from sindbad.corpus.identify import examiner_names
from sindbad.corpus.job import local_store
from sindbad.corpus.translate import translate_corpus
from sindbad.errors import InvalidInput, NotFound
from sindbad.translation.glossary import Glossary
from sindbad.translation.protocol import Translation
from tests.unit.corpus.jobs import FAST, Perfect, job, records

PAIR = Pair("The city lies by the sea.", "تقع المدينة على البحر.")


class Back:
    """Translates back by a table; what is not in it is rejected."""

    def __init__(self, table: dict[str, str]) -> None:
        self.table = table

    async def translate(
        self, texts: Sequence[str], *, source: str = "en", target: str = "ar", glossary: Glossary | None = None
    ) -> list[Translation]:
        assert (source, target) == ("ar", "en")
        return [Translation(self.table.get(text, ""), text in self.table, "" if text in self.table else "empty")
                for text in texts]  # fmt: skip


async def test_the_way_back_is_compared_by_chrf_and_a_rejected_one_is_nothing() -> None:
    (good,) = await RoundTrip(Back({PAIR.target: "The town lies by the sea."})).score([PAIR])
    (bad,) = await RoundTrip(Back({PAIR.target: "Bananas are yellow."})).score([PAIR])
    (none,) = await RoundTrip(Back({})).score([PAIR])
    assert good.reason == ""
    assert good.value > 60
    assert (bad.reason, none.reason, none.value) == ("round_trip", "round_trip: no way back: empty", 0.0)
    assert chrf("", "") == 100.0


@pytest.mark.parametrize(
    ("reply", "kept", "said"),
    [("Accept.", True, ""), ("reject", False, "model_reject"), ("accept or reject", False, "unparsable"),
     ("I think it is fine", False, "unparsable"), ("", False, "unparsable")],
)  # fmt: skip
async def test_a_judge_has_one_verdict_and_what_cannot_be_parsed_is_a_rejection(
    reply: str, kept: bool, said: str
) -> None:
    class Model:
        async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
            assert PAIR.source in prompt
            assert PAIR.target in prompt
            return reply

    (score,) = await JudgeExaminer(EndpointJudge(Model())).score([PAIR])
    assert (score.value == 1.0, said in score.reason) == (kept, True)


def test_an_estimator_whose_weights_are_not_free_is_refused_unless_that_is_wanted(tmp_path: Path) -> None:
    kiwi = SequenceRegressionEstimator(tmp_path, "cc-by-nc-sa-4.0")
    with pytest.raises(InvalidInput, match="Non-commercial"):
        QualityExaminer(kiwi, 0.5)
    with pytest.raises(InvalidInput, match="unknown"):
        QualityExaminer(SequenceRegressionEstimator(tmp_path, ""), 0.5)
    assert QualityExaminer(kiwi, 0.5, any_licence=True).licences == ("cc-by-nc-sa-4.0",)


def test_paragraphs_are_scored_apart_so_that_nothing_is_cut_in_silence() -> None:
    assert segments(Pair("a\n\nb", "x\ny")) == [("a", "x"), ("b", "y")]
    assert segments(Pair("a\nb", "x")) == [("a\nb", "x")]


@pytest.mark.slow
async def test_any_sequence_regression_model_is_an_estimator(tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "city", "lies", "by", "sea", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    shape = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=16, num_labels=1, max_position_embeddings=64)  # fmt: skip
    BertForSequenceClassification(shape).save_pretrained(tmp_path)
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    estimator = SequenceRegressionEstimator(tmp_path, "apache-2.0", longest=32)
    values = await estimator.estimate([("the city", "city"), ("by the sea .", "sea")])
    assert len(set(values)) == 2
    assert all(math.isfinite(value) for value in values)
    limit = sum(values) / 2
    scores = await QualityExaminer(estimator, limit).score([Pair("the city", "city"), Pair("by the sea .", "sea")])
    assert [score.reason for score in scores].count("quality") == 1
    with pytest.raises(InvalidInput, match="longer than the 32 tokens"):
        await estimator.estimate([("sea " * 60, "city")])


async def test_examiners_are_asked_after_the_rules_and_their_verdict_is_in_the_ledger(tmp_path: Path) -> None:
    asked: list[str] = []

    class Model:
        async def reply(self, prompt: str, *, max_tokens: int = 512) -> str:
            asked.append(prompt)
            return "reject" if "Bokadi was" in prompt else "accept"

    one = job(local_store(tmp_path), examiners=("judge",))
    lazy = Perfect(lambda text: "" if text.startswith("بوكاديادي ولد") else text)
    done = await translate_corpus(
        one, records(3), lazy, settings=FAST, examiners=[JudgeExaminer(EndpointJudge(Model()))]
    )
    assert (done.kept, done.dropped) == (1, {"empty": 1, "judge": 1})
    assert not any("Bokadiadi was" in prompt for prompt in asked)  # what a rule rejects is not paid for again
    with one.ledger() as ledger:
        (attempt,) = ledger.why(records(1)[0].record_id)
    assert (attempt.stage, attempt.reason, attempt.detail) == ("examine", "judge", "model_reject")


async def test_an_examination_names_what_decides() -> None:
    def asked(model: str, url: str = "http://x/v1", **more: object) -> Examination:
        return Examination.model_validate(
            {"judge": {"endpoint": {"base_url": url, "model": "qwen"}},
             "round_trip": {"translator": {"endpoint": url, "endpoint_model": model, **more},
                            "settings": {"chrf_min": 40}}}
        )  # fmt: skip

    async def names(examination: Examination, target: str = "ar") -> tuple[str, ...]:
        return await examiner_names(examination, "en", target)

    back, judge = await names(asked("small"))
    assert re.fullmatch(r"round_trip:small\+[0-9a-f]{16}>=40", back)
    assert judge.startswith("judge:qwen+")
    assert await names(asked("small", "http://elsewhere/v1")) == (back, judge)
    changes = [{"extra": {"top_k": 1}}, {"settings": {"style": "instruct", "retries": 0}}]
    found = [await names(asked("small", **change)) for change in changes]
    found += [await names(asked("other")), await names(asked("small"), "fr")]
    assert len({back, *(one for one, _ in found)}) == 5


async def test_an_estimator_is_named_by_its_weights_and_not_by_its_folders_name(tmp_path: Path) -> None:
    async def name(folder: str, weights: bytes) -> str:
        place = tmp_path / folder / "qe"
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
        (place / "pytorch_model.bin").write_bytes(weights)
        (place / "README.md").write_text(folder)
        asked = {"quality": {"model": str(place), "licence": "apache-2.0", "minimum": 0.4}}
        (found,) = await examiner_names(Examination.model_validate(asked), "en", "ar")
        return found

    one, copy, other = await name("a", b"1"), await name("b", b"1"), await name("c", b"2")
    assert re.fullmatch(r"quality:qe\+[0-9a-f]{16}>=0\.4", one)
    assert one == copy != other
    gone = {"quality": {"model": str(tmp_path / "gone"), "licence": "apache-2.0", "minimum": 0.4}}
    with pytest.raises(NotFound, match="gone"):
        await examiner_names(Examination.model_validate(gone), "en", "ar")
