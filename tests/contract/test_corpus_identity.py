"""A corpus through translator services: each says what decides its translations, and the content address holds that."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from typer.testing import CliRunner

from services.runtime import start_service
from services.translator.service import TranslatorServiceSettings, build
from sindbad.cli.corpus import join
from sindbad.cli.main import app
from sindbad.clients import TranslatorClient
from sindbad.corpus.connect import Connection, Examination
from sindbad.corpus.identify import Named, examiner_names, identify
from sindbad.corpus.job import Job
from sindbad.corpus.store import JobStore
from sindbad.errors import InvalidInput, NoModel, NotFound
from sindbad.translation.described import weights_of
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.spans import MASKER_VERSION
from sindbad.translation.train_teacher import FOLDER
from sindbad.v1 import translator_pb2
from tests.unit.corpus.endpoint import Endpoint, endpoint

NAMED = Named(licence="mit", revision="one")
CONFIG = "duplicates: null\nfilters: {without: [language, script, length_ratio, repetition, truncated]}\n"


@asynccontextmanager
async def service(**settings: Any) -> AsyncIterator[Any]:
    chosen = TranslatorServiceSettings.model_validate({"drain_seconds": 0.2, **settings})
    async with await start_service("translator", chosen, build) as running:
        yield running


def behind(model: Endpoint | None, **translator: Any) -> dict[str, Any]:
    """Settings of a service whose model is behind an endpoint; none is asked where it is only described."""
    url = model.url if model else "http://127.0.0.1:1/v1"
    return {"endpoint": {"base_url": url, "model": "m"}, "translator": translator}


@asynccontextmanager
async def an_old_server() -> AsyncIterator[str]:
    """A translator of before: it has the other methods only."""

    async def nothing(request: Any, context: Any) -> Any:
        return translator_pb2.TranslateItemsResponse()

    method = grpc.unary_unary_rpc_method_handler(
        nothing,
        request_deserializer=translator_pb2.TranslateItemsRequest.FromString,
        response_serializer=translator_pb2.TranslateItemsResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("sindbad.v1.Translator", {"TranslateItems": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_a_services_own_style_and_limits_are_in_the_address_and_not_the_clients() -> None:
    async with service(**behind(None, max_tokens=99)) as running:
        identity, _ = await identify(Connection(service=(running.address,)), NAMED)
    assert identity.style is PromptStyle.LIGHT
    assert "max_tokens=99" in identity.decoding
    assert (identity.masker, identity.revision) == (MASKER_VERSION, "one@m")
    assert identity.wordings
    assert identity.prompt


@pytest.mark.parametrize(
    "change",
    [{"translator": {"style": "instruct"}}, {"translator": {"check_replies": False}},
     {"content_judge": {"base_url": "http://127.0.0.1:1/v1", "model": "j"}},
     {"endpoint": {"base_url": "http://127.0.0.1:1/v1", "model": "other"}},
     {"endpoint": {"base_url": "http://127.0.0.1:1/v1", "model": "m", "extra": {"top_k": 1}}}],
)  # fmt: skip
async def test_services_that_translate_otherwise_have_other_addresses_and_share_no_job(change: dict[str, Any]) -> None:
    async with (
        service(**behind(None)) as one,
        service(**behind(None)) as two,
        service(**behind(None) | change) as other,
    ):
        alone, _ = await identify(Connection(service=(one.address,)), NAMED)
        both, _ = await identify(Connection(service=(one.address, two.address)), NAMED)
        changed, _ = await identify(Connection(service=(other.address,)), NAMED)
        with pytest.raises(InvalidInput, match="do not translate alike") as told:
            await identify(Connection(service=(one.address, two.address, other.address)), NAMED)
    assert alone == both
    assert alone.differences(changed)
    assert one.address in told.value.message
    assert other.address in told.value.message


async def test_a_direction_that_is_not_there_and_a_service_without_a_model_are_told() -> None:
    async with service(**behind(None)) as running, service() as empty:
        with pytest.raises(InvalidInput, match="en-ar"):
            await identify(
                Connection(service=(running.address,)), NAMED.model_copy(update={"source": "ar", "target": "en"})
            )
        with pytest.raises(InvalidInput, match="--revision"):  # its endpoint's weights are somebody else's
            await identify(Connection(service=(running.address,)), Named(licence="mit"))
        with pytest.raises(NoModel):
            await identify(Connection(service=(empty.address,)), NAMED)


async def test_a_service_for_another_language_says_that_languages_prompt() -> None:
    french = NAMED.model_copy(update={"target": "fr"})
    async with service(**behind(None), directions=["en-ar", "en-fr"]) as running:
        connection = Connection(service=(running.address,))
        (arabic, _), (other, _) = [await identify(connection, named) for named in (NAMED, french)]
    assert (other.source, other.target) == ("en", "fr")
    assert other.prompt != arabic.prompt
    assert other.wordings != arabic.wordings


async def test_a_server_that_is_too_old_to_say_it_is_an_error_unless_the_user_says_it() -> None:
    async with an_old_server() as address:
        async with TranslatorClient(address) as client:
            with pytest.raises(NotFound):
                await client.describe()
        connection = Connection(service=(address,))
        with pytest.raises(InvalidInput, match="--translator-identity"):
            await identify(connection, NAMED)
        found = [await identify(connection, NAMED.model_copy(update={"declared": name})) for name in ("a", "a", "b")]
    (first, _), (again, _), (other, _) = found
    assert first == again
    assert first.differences(other)


async def test_who_translates_back_is_asked_who_it_is() -> None:
    def asked(address: str, **more: Any) -> Examination:
        return Examination.model_validate({"round_trip": {"translator": {"service": [address]}, **more}})

    backwards = {"directions": ["ar-en"]}
    async with (
        service(**behind(None), **backwards) as one,
        service(**behind(None), **backwards) as two,
        service(**behind(None, max_tokens=99), **backwards) as slower,
        an_old_server() as old,
    ):
        names = [await examiner_names(asked(running.address), "en", "ar") for running in (one, two, slower)]
        assert names[0] == names[1] != names[2]
        assert re.fullmatch(r"round_trip:m\+[0-9a-f]{16}>=30", names[0][0])
        with pytest.raises(InvalidInput, match=r"en-ar|ar-en"):
            await examiner_names(asked(one.address), "ar", "en")
        with pytest.raises(InvalidInput, match=r"older than this client.*examiners\.round_trip\.revision"):
            await examiner_names(asked(old), "en", "ar")
        assert await examiner_names(asked(old, revision="mine"), "en", "ar") == ("round_trip:mine>=30",)


@pytest.mark.slow
async def test_a_service_with_its_own_weights_says_what_the_folder_would(tmp_path: Path) -> None:
    own = {"model": {"directory": FOLDER, "version": 4}, "engine": {"kind": "transformers", "threads": 1}}
    async with service(**own) as running, TranslatorClient(running.address) as client:
        said = await client.describe()
        served, licence = await identify(Connection(service=(running.address,)), Named(licence="mit"))
        named, _ = await identify(Connection(service=(running.address,)), NAMED)
    settings = TranslatorServiceSettings().translator
    local, _ = await identify(Connection(model=FOLDER, settings=settings), Named(licence="mit"))
    assert served == local
    assert (said.version, said.licence, licence) == (4, "apache-2.0", "apache-2.0")
    assert named.revision == f"one@{weights_of(FOLDER).revision}"


# -- the command -------------------------------------------------------------------------------------------------------


async def sindbad(*arguments: str) -> str:
    """What ``sindbad corpus`` prints, run beside the services of this loop; it must succeed."""
    result = await asyncio.to_thread(lambda: CliRunner().invoke(app, ["corpus", *arguments], catch_exceptions=False))
    assert result.exit_code == 0, result.output
    return result.output


def begin(tmp_path: Path, texts: list[str], *options: str) -> list[str]:
    """The command that begins a job over ``texts``."""
    file, config = tmp_path / "rows.jsonl", tmp_path / "job.yaml"
    answers = ("It is so.", "Nobody knows it.")  # nothing of two rows shares a translation, whoever is faster
    turns = [
        [{"role": "user", "content": text}, {"role": "assistant", "content": said}]
        for text, said in zip(texts, answers, strict=True)
    ]
    lines = [json.dumps({"id": str(n), "messages": one}) for n, one in enumerate(turns)]
    file.write_text("\n".join(lines), encoding="utf-8")
    config.write_text(CONFIG, encoding="utf-8")
    return ["translate", str(tmp_path / "job"), "--source", f"messages={file}@mit", "--licence", "mit", "--revision",
            "one", "--config", str(config), *options]  # fmt: skip


def pinned(address: str) -> dict[str, Any]:
    """Settings that put a service on the address of one that is gone."""
    host, _, port = address.rpartition(":")
    return {"host": host, "port": int(port)}


@pytest.mark.slow
async def test_a_service_that_changed_reruns_its_rows_at_resume_and_says_why(tmp_path: Path) -> None:
    job = str(tmp_path / "job")
    with endpoint() as model:
        async with service(**behind(model)) as running:
            address = running.address
            told = await sindbad(*begin(tmp_path, ["Who is there?", "Where is it?"], "--translator", address))
            assert "2 rows, 2 kept" in told
            assert "nothing is missing" in await sindbad("resume", job)
        paid = len(model.bodies)
        async with service(**behind(model, max_tokens=99), **pinned(address)):
            with pytest.raises(InvalidInput, match=r"not what this round was planned for.*max_tokens=99"):
                await join(job, 0, "")
            assert "nothing is missing" in await sindbad("resume", job, "--as-begun")
            assert len(model.bodies) == paid
            told = await sindbad("resume", job)
            assert "is not what it was when this job was last begun" in told
            assert "max_tokens=99" in told
            assert "round 2: 2 rows" in told
            assert len(model.bodies) == 2 * paid
            assert "nothing is missing" in await sindbad("resume", job)
            assert (await join(job, 2, "")).attempts == 0  # a worker whose round is finished
    assert Job.open(JobStore(job)).spec.identity.style is PromptStyle.LIGHT


def returned(prompt: str) -> str:
    """A way back that any threshold of 0 keeps."""
    _, _, text = prompt.rpartition(" into English:\n\n")
    return re.sub(r"[\u0600-\u06ff]", "a", text)


@pytest.mark.slow
async def test_another_back_translator_judges_again_and_so_does_a_job_of_before_once_and_nothing_is_translated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = str(tmp_path / "job")
    with endpoint() as model, endpoint(returned) as back:
        command = begin(tmp_path, ["Who is there?", "Where is it?"], "--endpoint", model.url, "--endpoint-model", "m")

        def examined_by(name: str) -> None:
            asked = {"round_trip": {"translator": {"endpoint": back.url, "endpoint_model": name},
                                    "settings": {"chrf_min": 0}}}  # fmt: skip
            (tmp_path / "job.yaml").write_text(f"{CONFIG}examiners: {json.dumps(asked)}\n", encoding="utf-8")

        async def of_before(*_: Any, **__: Any) -> tuple[str, ...]:
            return ("round_trip>=0",)

        examined_by("one")
        with monkeypatch.context() as patch:
            patch.setattr("sindbad.corpus.identify.examiner_names", of_before)
            assert "2 rows, 2 kept" in await sindbad(*command)
            assert "nothing is missing" in await sindbad(*command)
        translated, judged = len(model.bodies), len(back.bodies)
        with pytest.raises(InvalidInput, match=r"examiners are not what.*\(round_trip>=0; now round_trip:one\+"):
            await join(job, 0, "")
        for change in (lambda: None, lambda: examined_by("two")):
            change()
            told = await sindbad(*command)
            assert "other examiners: what is translated is judged again" in told
            assert "2 rows, 2 kept" in told
            assert "nothing is missing" in await sindbad("resume", job)
        assert len(model.bodies) == translated
        assert len(back.bodies) == 3 * judged


async def test_the_glossary_reaches_every_worker_and_a_changed_term_pays_for_its_rows_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, terms = str(tmp_path / "job"), tmp_path / "terms.tsv"
    terms.write_text("Diramo\tديرامو\n", encoding="utf-8")
    with endpoint() as model:
        command = begin(tmp_path, ["Where is Diramo?", "Who is there?"], "--endpoint", model.url, "--endpoint-model",
                        "m", "--glossary", str(terms))  # fmt: skip

        async def away(*_: Any) -> Any:
            raise ConnectionError("the first worker died before its first row")

        with monkeypatch.context() as patch:
            patch.setattr("sindbad.cli.corpus._work", away)
            with pytest.raises(ConnectionError):
                await sindbad(*command)
        assert (await join(job, 0, "")).accepted == 2  # another worker finds the terms in the job
        first = len(model.bodies)
        assert "nothing is missing" in await sindbad("resume", job)
        terms.write_text("Diramo\tدرامة\n", encoding="utf-8")
        told = await sindbad(*command)
        assert "another glossary" in told
        assert "round 2: 1 rows" in told
        assert len(model.bodies) < 2 * first
        rows = await sindbad("query", job, "SELECT messages[1].content AS said FROM final ORDER BY row", "--json")
    assert ["درامة" in line for line in rows.splitlines()] == [True, False]
