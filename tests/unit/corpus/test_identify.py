"""The content address holds all that decides a translation; jobs of before keep theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sindbad.cli.corpus import _connected_before
from sindbad.clients.openai import OpenAISettings
from sindbad.corpus.address import Identity
from sindbad.corpus.connect import Connection, Examination, JudgeConfig, texts
from sindbad.corpus.identify import Named, examiner_names, identify
from sindbad.corpus.job import Job, JobSpec, local_store
from sindbad.errors import InvalidInput
from sindbad.translation import described, prompts
from sindbad.translation.described import describe, folder_licence, weights_of
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.protocol import TranslationRequest, Turn
from sindbad.translation.settings import TranslatorSettings
from sindbad.translation.train_teacher import FOLDER
from sindbad.translation.translator import Translator
from sindbad.translation.wording import get_wording
from tests.unit.corpus.endpoint import endpoint, translated
from tests.unit.corpus.jobs import records

NAMED = Named(licence="mit", revision="one")
INSTRUCT = {"endpoint": "http://nowhere/v1", "endpoint_model": "m"}
JUDGE = OpenAISettings(base_url="http://nowhere/v1", model="judge")


async def address(**connection: Any) -> tuple[str, str]:
    """Key of one record, and a plan's id."""
    identity, _ = await identify(Connection(**{**INSTRUCT, **connection}).checked(), NAMED)
    return identity.key(records(1)[0]), JobSpec(identity=identity).plan_id


DECIDING = {
    "mask_numbers": True, "check_replies": False, "max_source_tokens": 99, "remember_terms": False, "max_tokens": 99,
    "retries": 0, "retry_temperature": 0.9, "sentences": 1, "whole": False, "context_characters": 7, "style": "light",
}  # fmt: skip
"""Every setting that decides a translation, at a value that is not INSTRUCT's default."""


def test_a_new_setting_is_one_that_decides_or_one_that_does_not() -> None:
    assert set(TranslatorSettings.model_fields) == {*DECIDING, "concurrency", "cache_size"}


@pytest.mark.parametrize("name", sorted(DECIDING))
async def test_every_setting_that_decides_a_translation_is_in_the_key(name: str) -> None:
    base = {"style": "instruct"}
    before, after = await address(settings=base), await address(settings={**base, name: DECIDING[name]})
    assert before[0] != after[0]
    assert before[1] != after[1]


async def test_settings_that_decide_none_are_not_in_it_nor_where_the_endpoint_is() -> None:
    plain = await address()
    assert await address(settings={"style": "instruct", "concurrency": 3, "cache_size": 0}) == plain
    assert await address(endpoint="http://elsewhere/v1", in_flight=3) == plain


async def test_what_an_endpoint_is_told_beside_the_prompt_and_a_content_judge_are_in_the_key() -> None:
    thinking = {"chat_template_kwargs": {"enable_thinking": False}}
    other = JUDGE.model_copy(update={"model": "other"})
    found = [await address(), await address(extra=thinking), await address(content_judge=JUDGE),
             await address(content_judge=other)]  # fmt: skip
    assert len(set(found)) == 4


async def test_a_changed_prompt_file_wording_or_judges_prompt_is_another_address_and_another_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, judged = await address(), await address(content_judge=JUDGE)
    wording = prompts.pair_wording("en", "ar")
    with monkeypatch.context() as patch:
        patch.setattr(described, "pair_wording", lambda *_: replace(wording, system="Be brief."))
        assert not set(before) & set(await address())
    with monkeypatch.context() as patch:
        patch.setattr(described, "get_wording", lambda language: replace(get_wording(language), above=("oben",)))
        assert not set(before) & set(await address())
    with monkeypatch.context() as patch:
        patch.setattr(described, "judge_prompt", lambda: "What stays? {text}")
        assert before == await address()
        assert not set(judged) & set(await address(content_judge=JUDGE))


async def test_an_examiners_name_holds_its_prompt_and_how_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def names(asked: OpenAISettings) -> tuple[str, ...]:
        return await examiner_names(Examination(judge=JudgeConfig(endpoint=asked)), "en", "ar")

    (before,) = await names(JUDGE)
    assert before.startswith("judge:judge+")
    assert await names(JUDGE.model_copy(update={"temperature": 1.0})) != (before,)
    assert await names(JUDGE.model_copy(update={"base_url": "http://elsewhere/v1", "parallel": 2})) == (before,)
    monkeypatch.setattr("sindbad.corpus.connect.JUDGE_PROMPT", "Is it good? {text} {translation}")
    assert await names(JUDGE) != (before,)


async def test_two_models_of_one_endpoint_have_two_addresses_under_one_revision() -> None:
    one, other = await address(), await address(endpoint_model="other")
    assert not set(one) & set(other)
    identity, _ = await identify(Connection(**INSTRUCT), NAMED)
    assert identity.model == "one@m"


async def test_a_model_folder_says_its_own_weights_prompt_and_licence(tmp_path: Path) -> None:
    connection = Connection(model=FOLDER)
    identity, licence = await identify(connection, Named(licence="mit"))
    assert (identity.revision, identity.style) == (weights_of(FOLDER).revision, PromptStyle.TEACHER)
    assert licence == folder_licence(FOLDER) == "apache-2.0"
    named, _ = await identify(connection, NAMED)
    assert named.revision == "one"
    (tmp_path / "licence.json").write_text('{"licence": "cc-by-nc-4.0"}', encoding="utf-8")
    assert folder_licence(tmp_path) == "cc-by-nc-4.0"


async def test_weights_without_a_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="--revision"):
        await identify(Connection(**INSTRUCT), Named(licence="mit"))
    with pytest.raises(InvalidInput, match="only a service's"):
        await identify(Connection(**INSTRUCT), NAMED.model_copy(update={"declared": "x"}))


# Written by a version whose keys held neither wordings nor judge, with the ids and the key that it gave them.
OLD = {
    "identity": {
        "revision": "3f2a", "decoding": "greedy;max_tokens=4096;sentences=-1;retries=2@0.5;whole;context=6000",
        "licence": "mit", "quantisation": "", "style": "instruct", "prompt": "", "unit": "conversation",
        "source": "en", "target": "ar", "masker": "spans-2",
    },
    "source": {"sources": [{"name": "alpaca"}]}, "duplicates": None, "shard_rows": 4,
}  # fmt: skip


def test_a_job_of_before_is_opened_under_its_own_ids(tmp_path: Path) -> None:
    spec = JobSpec.model_validate_json(json.dumps(OLD))
    assert spec.plan_id == "01c23aca42c72712"
    before = Identity(revision="r", decoding="d", licence="mit", unit="message", masker="spans-2")
    assert before.key(records(1)[0]) == "16923931f02c4b10469bde5a392e6c57"
    store = local_store(tmp_path)
    store.write(f"specs/{spec.spec_id}.json", json.dumps(OLD).encode())
    store.write("rounds/0001.json", json.dumps({"spec": spec.spec_id}).encode())
    assert Job.open(store).spec == spec
    assert store.names("specs") == [f"{spec.spec_id}.json"]


def test_what_changed_is_told_by_name_and_the_licence_is_no_change() -> None:
    one = Identity(revision="r", decoding="d", licence="mit")
    assert one.differences(one.model_copy(update={"licence": "other"})) == []
    assert one.differences(one.model_copy(update={"decoding": "e"})) == ["decoding: 'd' is now 'e'"]


# -- what a connection is told -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": {"messages": []}}, "cannot set messages"),
        ({"service": ("a:1",), "endpoint": "", "extra": {"x": 1}}, "for an endpoint"),
        ({"service": ("a:1",), "endpoint": "", "content_judge": JUDGE}, "of its own"),
    ],
)
def test_a_field_that_nobody_would_read_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Connection(**{**INSTRUCT, **change}).checked()


async def test_extra_fields_reach_the_endpoint_and_a_content_judge_decides_what_stays() -> None:
    text = "How would a pirate put it? I like my tea hot."

    def judged(prompt: str) -> str:
        return json.dumps({"task": "form", "keep": ["I like my tea hot."]}) if text in prompt else "?"

    with endpoint() as model, endpoint(judged) as judge:
        asked = {**INSTRUCT, "endpoint": model.url, "extra": {"chat_template_kwargs": {"enable_thinking": False}}}
        judging = OpenAISettings(base_url=judge.url, model="j")
        request = TranslationRequest((Turn("user", text),))
        async with texts(Connection(**asked)) as alone:
            by_rule = await alone.translate_request(request)
        assert "I like my tea hot." not in by_rule.turns[0].content  # no rule of ours knows a pirate's wording
        async with texts(Connection(**asked, content_judge=judging)) as both:
            by_judge = await both.translate_request(request)
    assert "I like my tea hot." in by_judge.turns[0].content
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in model.bodies)
    assert "How would a pirate" in judge.bodies[0]["messages"][-1]["content"]


@pytest.mark.parametrize("said", [{}, {"style": "light"}, {"style": "instruct", "max_tokens": 128, "whole": False}])
def test_a_connection_that_is_written_down_and_read_again_asks_as_before(said: dict[str, Any]) -> None:
    chosen = Connection(**INSTRUCT, **({"settings": said} if said else {}))
    again = Connection(**json.loads(chosen.model_dump_json()))
    assert again == chosen
    assert again.settings.decoding() == chosen.settings.decoding()


def test_a_job_of_before_wrote_defaults_down_that_nobody_had_set() -> None:
    written = {**TranslatorSettings().model_dump(mode="json"), "style": "instruct", "retries": 5}
    before = {"connection": {**INSTRUCT, "settings": written}}
    wished = TranslatorSettings(style=PromptStyle.INSTRUCT, retries=5)
    assert _connected_before(before).settings.decoding() == wished.decoding()
    assert _connected_before({**before, "named": {}}).settings.decoding() != wished.decoding()


async def test_a_description_is_that_of_the_translator_that_a_connection_makes() -> None:
    settings = TranslatorSettings(style=PromptStyle.INSTRUCT, max_tokens=77)
    with endpoint(translated) as model:
        connection = Connection(endpoint=model.url, endpoint_model="m", settings=settings)
        async with texts(connection) as made:
            assert isinstance(made, Translator)
            said = describe(made.settings, source="en", target="ar", endpoint=connection.asked())
            await made.translate(["Hello there"])
    identity, _ = await identify(connection, NAMED)
    assert (identity.decoding, identity.prompt) == (said.decoding, said.prompt)
    assert model.bodies[0]["max_tokens"] == 77
    assert "max_tokens=77" in identity.decoding


async def test_an_endpoint_that_is_away_is_told_when_it_is_opened_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sindbad.clients.openai.AWAY_SECONDS", 0.3)
    async with texts(Connection(endpoint="http://127.0.0.1:9/v1", endpoint_model="m")):
        assert "nothing answers at http://127.0.0.1:9/v1" in caplog.text
        assert "It is waited for." in caplog.text
