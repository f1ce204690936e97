"""From the options of ``sindbad evaluate`` to an agent over services and a folder. Imported when a command runs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from sindbad.agent.config import AgentConfig
from sindbad.agent.policy_tokenizer import TokenizerSource
from sindbad.agent.prompts import load_prompts
from sindbad.agent.trajectory import EnvironmentKind, Trajectory
from sindbad.cli.ask import latest_run
from sindbad.cli.run_services import services_of
from sindbad.cli.train import existing
from sindbad.clients import PolicyClient
from sindbad.configuration import override, read_mapping, resolve
from sindbad.errors import InvalidInput, NoModel, NotFound
from sindbad.evaluation.agent import EvaluationConfig
from sindbad.evaluation.folder import Result, begin_anew, run_evaluation
from sindbad.evaluation.identity import Identity
from sindbad.evaluation.sets import QuestionSet, ReadOptions, SetFormat, read_question_set
from sindbad.evaluation.sets.question_set import CONTAMINATION
from sindbad.judging.opening import JudgeSpec, open_judge, parse_judge
from sindbad.judging.verdict import Judge, JudgeMode
from sindbad.supervisor.spec import default_specs
from sindbad.tools.environment import Caller, Purpose
from sindbad.tools.render import Style
from sindbad.training.recipe import EvaluateStage, load_recipe
from sindbad.training.remote import remote_episode
from sindbad.training.rollout import Episode, Ticket

SERVICES = ("search", "sandbox", "policy", "summarizer", "judge")


@dataclass(frozen=True, slots=True)
class Setup:
    """An agent and how it is asked; ``questions`` and ``tokenizer`` are those that a recipe names."""

    agent: AgentConfig
    prompts: str
    environment: EnvironmentKind
    tools: tuple[str, ...]
    style: Style | None
    top_k: int
    evaluation: EvaluationConfig
    tokenizer: Path
    questions: Path | None = None


def setup_of(run: Path, recipe: Path | None, stage: str | None) -> Setup:
    """A recipe's evaluate stage, or else the agent that the run's own agent service is.

    Raises NotFound, or InvalidInput as the configuration's readers do.
    """
    if recipe is not None:
        chosen: EvaluateStage = load_recipe(recipe).only("evaluate", stage)
        return Setup(
            chosen.agent, chosen.prompts, chosen.environment, chosen.tools, None, 0, chosen.evaluation,
            Path(chosen.model), Path(chosen.questions),
        )  # fmt: skip
    settings = _agent_service(run)
    agent = resolve(AgentConfig, settings.get("agent") or {}, source="the run's agent service")
    style = Style(settings["style"]) if settings.get("style") else None
    return Setup(
        agent, str(settings.get("prompts") or "full"), EnvironmentKind.SIMULATED, ("search", "visit"), style,
        int(settings.get("top_k") or 0), EvaluationConfig(), run / "models" / "policy",
    )  # fmt: skip


def _agent_service(run: Path) -> Mapping[str, Any]:
    """Settings of the run's agent service as it was last started; those of a laptop where it never was."""
    written = run / "services" / "agent-0.json"
    if written.is_file():
        return read_mapping(written)
    (spec,) = default_specs(["agent"])
    return spec.settings


def changed(setup: Setup, values: Mapping[str, Any], assignments: Sequence[str]) -> Setup:
    """The setup with other values of the agent's configuration, then ``key=value`` assignments on top."""
    merged = setup.agent.model_dump(mode="json")
    sampling = {name: values[name] for name in ("temperature", "top_p") if name in values}
    plain = {
        name: value for name, value in values.items() if name not in ("temperature", "top_p") and value is not None
    }
    merged = override({**merged, **plain, "sampling": {**merged["sampling"], **sampling}}, assignments)
    return replace(setup, agent=resolve(AgentConfig, merged, source="--set"))


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said about an evaluation."""

    run: Path | None
    questions: Path | None
    form: str
    canary: str
    language: str
    corpus: str
    first: int | None
    recipe: Path | None
    stage: str | None
    model: Path | None
    policy: str
    attempts: int | None
    in_flight: int | None
    seed: int | None
    agent: Mapping[str, Any]
    assignments: Sequence[str]
    environment: str | None
    judge: str
    judge_mode: str | None
    style: str
    fresh: bool
    keep_text: bool

    def run_folder(self) -> Path:
        """The run named, or the latest. Raises NotFound."""
        return self.run or latest_run(Path("runs"))

    def setup(self) -> Setup:
        """The agent and how it is asked. Raises InvalidInput, NotFound."""
        made = changed(setup_of(self.run_folder(), self.recipe, self.stage), self.agent, self.assignments)
        config = {"attempts": self.attempts, "in_flight": self.in_flight, "seed": self.seed}
        given = {name: value for name, value in config.items() if value is not None}
        return replace(
            made,
            evaluation=resolve(EvaluationConfig, {**made.evaluation.model_dump(), **given}, source="evaluation"),
            environment=EnvironmentKind(self.environment) if self.environment else made.environment,
            tokenizer=self.model or (existing(made.tokenizer) if self.recipe else self._policy_of_run(made.tokenizer)),
        )

    def _policy_of_run(self, folder: Path) -> Path:
        run = self.run_folder()
        if not run.is_dir():
            raise NotFound(f"There is no run in {run.resolve()}; `make demo` makes one, or give another --run.")
        if not folder.exists():
            raise NotFound(f"{run} has no policy yet ({folder}); finish the run, or name a model folder with --model")
        return folder

    def question_set(self, setup: Setup) -> QuestionSet:
        """The questions to ask. Raises NotFound, InvalidInput, Corrupt."""
        path = self.questions or setup.questions
        if path is None:
            raise InvalidInput("name a question file with --questions (or a recipe with --recipe)")
        form = None if self.form == "auto" else SetFormat(self.form)
        options = ReadOptions(form, self.canary, self.language, self.corpus)
        found = read_question_set(existing(path), options).first(self.first)
        if found.left_out:
            tell("left out: " + ", ".join(f"{count} {reason}" for reason, count in found.left_out.items()))
        if found.protected:
            tell(f"protected benchmark: {CONTAMINATION}")
        return found

    def style_for(self, questions: QuestionSet) -> str:
        """Whose grading a judge's model follows."""
        return questions.judge_style if self.style == "auto" else self.style

    def bench(self, questions: QuestionSet) -> AbstractAsyncContextManager[Bench]:
        """See :func:`open_bench`."""
        mode = JudgeMode(self.judge_mode) if self.judge_mode else None
        spec = parse_judge(self.judge)
        return open_bench(self.run_folder(), spec, self.style_for(questions), policy=self.policy, judge_mode=mode)


@dataclass(frozen=True, slots=True)
class Bench:
    """Services and a judge that are up, and the policy as it describes itself."""

    services: Mapping[str, list[str]]
    judge: Judge
    judge_name: str
    judge_style: str
    policy: dict[str, Any]
    run: Path

    @property
    def version(self) -> int:
        """Of the weights that are evaluated."""
        return int(self.policy["version"])


@asynccontextmanager
async def open_bench(
    run: Path, judge: JudgeSpec, style: str, *, policy: str = "", judge_mode: JudgeMode | None = None
) -> AsyncIterator[Bench]:
    """Services of the run (``policy`` instead of its own, where given), and the judge.

    Raises NoModel where the policy serves nothing.
    """
    async with AsyncExitStack() as stack:
        services = dict(await stack.enter_async_context(services_of(run, SERVICES, tell)))
        if policy:
            services["policy"] = [policy]
        opened = await stack.enter_async_context(
            open_judge(judge, style, service=services.get("judge", ()), mode=judge_mode)
        )
        name = f"{judge} ({judge_mode})" if judge_mode else str(judge)
        yield Bench(services, opened, name, style, await _policy_info(services), run)


async def _policy_info(services: Mapping[str, list[str]]) -> dict[str, Any]:
    if not services.get("policy"):
        raise NotFound("no policy service is running; start it with `sindbad up`, or name one with --policy")
    async with PolicyClient(services["policy"]) as client:
        info = await client.info(deadline_seconds=60.0)
    if info.version is None:
        raise NoModel("the policy service holds no model; publish one before evaluating")
    return {"version": info.version, "engine": info.engine, "tokenizer": info.tokenizer_sha256}


@asynccontextmanager
async def episodes(bench: Bench, setup: Setup, tokenizer: Path) -> AsyncIterator[tuple[Episode, str]]:
    """Judged attempts by weights of at least the version that is evaluated, and the digest of the prompts."""
    chat = TokenizerSource(tokenizer, load_prompts(setup.prompts)).get()
    async with remote_episode(
        bench.services, _tokenizer_folder(tokenizer), setup.agent, prompts=setup.prompts, kind=setup.environment,
        style=setup.style, tools=setup.tools, top_k=setup.top_k,
        caller=Caller(bench.run.name, Purpose.EVALUATION), judge=bench.judge,
    ) as attempt:  # fmt: skip

        async def episode(ticket: Ticket) -> Trajectory:
            return await attempt(replace(ticket, min_version=max(ticket.min_version, bench.version)))

        yield episode, chat.prompt_digest()


def _tokenizer_folder(location: Path) -> Path:
    """A model folder, or the current version of a weight store."""
    from sindbad.weights import WeightStore

    if (location / "tokenizer.json").is_file():
        return location
    current = WeightStore(location).current() if location.is_dir() else None
    if current is None:
        raise NotFound(f"{location} holds no tokenizer; name a model folder with --model")
    return current.path


async def evaluate_into(
    folder: Path, questions: QuestionSet, setup: Setup, bench: Bench, options: Options, label: str = ""
) -> Result:
    """Evaluate into ``folder`` or go on there, telling how far it is. Errors as :func:`run_evaluation`."""
    if options.fresh:
        begin_anew(folder)
    async with episodes(bench, setup, setup.tokenizer) as (episode, digest):
        identity = identity_of(questions, setup, bench, digest)
        progress = Progress(len(questions.questions) * setup.evaluation.attempts, label)
        return await run_evaluation(
            episode, questions, setup.evaluation, identity, folder, keep_text=options.keep_text,
            on_attempt=progress.count,
        )  # fmt: skip


def identity_of(questions: QuestionSet, setup: Setup, bench: Bench, prompts_digest: str) -> Identity:
    """What is evaluated. The name, of which attempts' seeds derive, is the question set's: arms share their seeds."""
    return Identity(
        name=questions.name, question_set=questions.name, set_format=str(questions.format),
        questions=len(questions.questions), questions_digest=questions.digest,
        corpora=tuple(sorted({question.world_id for question in questions.questions})),
        protected=questions.protected, agent=setup.agent.model_dump(mode="json"), prompts_digest=prompts_digest,
        environment=str(setup.environment), tools=setup.tools, policy=bench.policy, judge=bench.judge_name,
        judge_style=bench.judge_style, seed=setup.evaluation.seed,
    )  # fmt: skip


class Progress:
    """Tells on stderr how far an evaluation is: at every tenth of it, or after half a minute of silence."""

    def __init__(self, total: int, label: str = "") -> None:
        self._total, self._label = total, f"{label}: " if label else ""
        self._made = self._right = self._told = 0
        self._began = self._last = time.monotonic()

    def count(self, trajectory: Trajectory) -> None:
        """One more attempt."""
        self._made += 1
        self._right += (trajectory.reward or 0.0) > 0.5
        now = time.monotonic()
        if 10 * self._made // self._total > self._told or now - self._last > 30.0:
            self._told, self._last = 10 * self._made // self._total, now
            rate = self._made / max(1e-6, now - self._began)
            tell(
                f"{self._label}{self._made} of at most {self._total} attempts, {self._right} right, {rate:.1f} a second"
            )


def tell(text: str) -> None:
    """A line for people, beside the figures."""
    typer.echo(text, err=True)
