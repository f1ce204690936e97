"""From a short description to a judge: the rule, a judge service, a policy service, an endpoint, a local model folder.

    rule                          normalised exact match; needs nothing
    service[:host:port]           a judge service (the run's own), which decides by its mode
    policy:host:port@FOLDER       a policy service; FOLDER holds its tokenizer
    openai:http://host/v1#MODEL   an OpenAI-compatible endpoint; the key is in $OPENAI_API_KEY
    model:FOLDER                  a model in this process, on the Transformers engine
    small:FOLDER                  the same for a model that was trained on the small judge's prompt

A model decides alone; what it says that is no verdict is a doubt, and rejects. The style of a benchmark's grading is
put on every request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sindbad.errors import InvalidInput, NotFound
from sindbad.judging.exact import ExactJudge
from sindbad.judging.styles import GENERAL, SMALL, style_named
from sindbad.judging.verdict import Judge, JudgeMode, JudgeRequest, Verdict

_INFO_SECONDS = 60.0
KINDS = ("rule", "service", "policy", "openai", "model", "small")


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """Which judge. ``target``: address, URL or folder; ``extra``: the tokenizer's folder or the model's name."""

    kind: str
    target: str = ""
    extra: str = ""

    def __str__(self) -> str:
        mark = {"policy": "@", "openai": "#"}.get(self.kind, "")
        told = f":{self.target}" if self.target else ""
        return f"{self.kind}{told}{mark}{self.extra}" if self.extra else f"{self.kind}{told}"


def parse_judge(text: str) -> JudgeSpec:
    """Raises InvalidInput naming the forms that there are."""
    kind, _, rest = text.partition(":")
    mark = {"policy": "@", "openai": "#"}.get(kind)
    target, _, extra = rest.partition(mark) if mark else (rest, "", "")
    complete = {"rule": not rest, "service": True}.get(kind, bool(target) and (not mark or bool(extra)))
    if kind not in KINDS or not complete:
        forms = (
            "rule, service, service:HOST:PORT, policy:HOST:PORT@FOLDER, openai:URL#MODEL, model:FOLDER, small:FOLDER"
        )
        raise InvalidInput(f"{text!r} is no judge; use one of {forms}")
    return JudgeSpec(kind, target, extra)


class StyledJudge:
    """Puts a style (and who may decide) on every request that names none."""

    def __init__(self, judge: Judge, style: str, mode: JudgeMode | None = None) -> None:
        if style:
            style_named(style)
        self._judge, self._style, self._mode = judge, style, mode

    async def judge(self, request: JudgeRequest) -> Verdict:
        """As the judge inside."""
        style, mode = request.style or self._style, request.mode or self._mode
        return await self._judge.judge(replace(request, style=style, mode=mode))


@asynccontextmanager
async def open_judge(
    spec: JudgeSpec, style: str = "", *, service: Sequence[str] = (), mode: JudgeMode | None = None
) -> AsyncIterator[Judge]:
    """The judge, asked in ``style``; whatever it holds is given back at the end.

    Args:
        service: addresses that a spec of kind "service" without a target means.
        mode: who may decide at a judge service; None leaves it to the service.

    Raises:
        NotFound: no address, or no model folder.
    """
    async with _opened(spec, service) as judge:
        yield StyledJudge(judge, style, mode if spec.kind == "service" else None)


@asynccontextmanager
async def _opened(spec: JudgeSpec, service: Sequence[str]) -> AsyncIterator[Judge]:
    if spec.kind == "rule":
        yield ExactJudge()
    elif spec.kind == "service":
        async with _service(spec, service) as judge:
            yield judge
    elif spec.kind == "policy":
        async with _policy(spec) as judge:
            yield judge
    elif spec.kind == "openai":
        async with _endpoint(spec) as judge:
            yield judge
    else:
        async with _local(spec) as judge:
            yield judge


@asynccontextmanager
async def _service(spec: JudgeSpec, addresses: Sequence[str]) -> AsyncIterator[Judge]:
    from sindbad.clients import JudgeClient

    chosen = [spec.target] if spec.target else list(addresses)
    if not chosen:
        raise NotFound("no judge service is running; start it with `sindbad up`, or judge with --judge rule")
    async with JudgeClient(chosen) as client:
        yield client


@asynccontextmanager
async def _policy(spec: JudgeSpec) -> AsyncIterator[Judge]:
    from sindbad.agent.policy_tokenizer import TokenizerSource
    from sindbad.agent.prompts import load_prompts
    from sindbad.clients import PolicyClient
    from sindbad.clients.replicas import AWAY_SECONDS
    from sindbad.judging.llm import LlmJudge

    chat = TokenizerSource(Path(spec.extra), load_prompts("demo")).get()
    async with PolicyClient(spec.target, patience_seconds=AWAY_SECONDS) as probe:
        await probe.info(deadline_seconds=_INFO_SECONDS)
    async with PolicyClient(spec.target) as client:  # patient again: it may be restarted while a long work goes on
        yield LlmJudge(client, chat)


@asynccontextmanager
async def _endpoint(spec: JudgeSpec) -> AsyncIterator[Judge]:
    from sindbad.clients.openai import ChatCompletions, OpenAISettings
    from sindbad.judging.llm import TextJudge

    async with ChatCompletions(OpenAISettings(base_url=spec.target, model=spec.extra)) as model:
        await model.check_there()
        # the client ends first: it knows why there was no reply
        yield TextJudge(model, deadline_seconds=2 * model.settings.deadline_seconds)


@asynccontextmanager
async def _local(spec: JudgeSpec) -> AsyncIterator[Judge]:
    from sindbad.agent.chat import ChatTokenizer
    from sindbad.agent.prompts import load_prompts
    from sindbad.engines.transformers_engine import TransformersEngine
    from sindbad.judging.llm import LlmJudge

    folder = Path(spec.target)
    chat = ChatTokenizer.from_dir(folder, load_prompts("demo"))
    engine = TransformersEngine()
    await engine.start()
    try:
        await engine.load(folder, 1)
        yield LlmJudge(engine, chat, SMALL if spec.kind == "small" else GENERAL)
    finally:
        await engine.close()
