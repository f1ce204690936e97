"""``sindbad ask``: the trained agent answers a question and shows its steps as they happen.

Exit codes: 0 answered, 1 something failed, 3 the attempt ended without an answer, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sindbad.cli.runs import LatestRun

if TYPE_CHECKING:
    from rich.console import Console

    from sindbad.clients.agent import ResearchOptions

NO_ANSWER = 3
INTERRUPTED = 130
SERVICES = ("search", "sandbox", "policy", "summarizer", "judge", "agent")
READY_SECONDS = 120.0


class ParadigmChoice(StrEnum):
    """As ``sindbad.agent.config.Paradigm``, here so that ``--help`` need not import it."""

    REACT = "react"
    RESUM = "resum"
    RECENT_HISTORY = "recent_history"


class EnvironmentChoice(StrEnum):
    """As ``sindbad.agent.trajectory.EnvironmentKind``."""

    SIMULATED = "simulated"
    REPLAY = "replay"
    LIVE = "live"


def ask(
    question: Annotated[str, typer.Argument(help="The question, in English or Arabic.")],
    language: Annotated[str, typer.Option(help="Language code; detected by script when left out.")] = "",
    run: LatestRun = None,
    corpus: Annotated[str, typer.Option(help="Corpus to search; found by the names in the question by default.")] = "",
    paradigm: Annotated[ParadigmChoice | None, typer.Option(help="What to do about a full context.")] = None,
    environment: Annotated[EnvironmentChoice | None, typer.Option(help="Where tool calls go.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Makes the attempt reproducible.")] = None,
    address: Annotated[str, typer.Option(help="host:port of an agent service, instead of a run's.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds until the attempt is given up.")] = 300.0,
) -> None:
    """Ask the trained agent; its thoughts, tool calls and summaries appear as they happen."""
    import asyncio

    from sindbad.agent.config import Paradigm
    from sindbad.clients.agent import ResearchOptions
    from sindbad.errors import SindbadError

    options = ResearchOptions(paradigm=Paradigm(paradigm) if paradigm else None, temperature=temperature, seed=seed)
    try:
        answered = asyncio.run(_ask(question, language, run, corpus, environment, options, address, timeout))
    except SindbadError as error:
        typer.echo(f"sindbad: {error.message} [{error.reason}]", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if not answered:
        raise typer.Exit(NO_ANSWER)


async def _ask(
    question: str,
    language: str,
    run: Path | None,
    corpus: str,
    environment: EnvironmentChoice | None,
    options: ResearchOptions,
    address: str,
    seconds: float,
) -> bool:
    from contextlib import AsyncExitStack, aclosing

    from rich.console import Console

    from sindbad.agent.trajectory import EnvironmentKind
    from sindbad.cli.telling import Teller
    from sindbad.clients.agent import AgentClient
    from sindbad.clients.replicas import AWAY_SECONDS
    from sindbad.languages.detect import detect_language

    console = Console(highlight=False)
    async with AsyncExitStack() as stack:
        addresses = [address]
        if not address:
            folder = run or latest_run(Path("runs"))
            corpus = corpus or corpus_of(folder, question, language or detect_language(question))
            addresses = await stack.enter_async_context(_agent_of(folder, console))
        client = await stack.enter_async_context(
            AgentClient(addresses, deadline_seconds=seconds, patience_seconds=AWAY_SECONDS)
        )
        teller = Teller(console)
        events = client.research(
            question,
            language=language,
            corpus=corpus,
            environment=EnvironmentKind(environment) if environment else None,
            options=options,
        )
        async with aclosing(events):  # type: ignore[type-var]  # an async generator, typed as what it promises
            async for event in events:
                teller.tell(event)
        return teller.answered


def latest_run(root: Path) -> Path:
    """The run below ``root`` whose services were started last. Raises NotFound when there is none."""
    from sindbad.errors import NotFound

    found = [path for path in root.glob("*/services.json") if path.is_file()]
    if not found:
        raise NotFound(f"There is no run in {root.resolve()}; `make demo` makes one, or give --run or --address.")
    return max(found, key=lambda path: path.stat().st_mtime).parent


def corpus_of(run: Path, question: str, language: str) -> str:
    """The corpus with the most page titles in ``question``; empty (the server's default) when none occurs."""
    import json
    from collections import Counter

    pages = run / "worlds" / f"pages-{language}.jsonl"
    if not pages.is_file():
        return ""
    named: Counter[str] = Counter()
    with pages.open(encoding="utf-8") as lines:
        for line in lines:
            page = json.loads(line)
            if page["title"] in question:
                named[page["corpus"]] += 1
    return named.most_common(1)[0][0] if named else ""


@asynccontextmanager
async def _agent_of(run: Path, console: Console) -> AsyncIterator[list[str]]:
    """Addresses of the run's agent; where its services are down, they are up for as long as the question takes."""
    from sindbad.supervisor.registry import addresses_in, read_registry, running_supervisor

    if running_supervisor(run) is not None:
        yield addresses_in(read_registry(run), "agent")
        return
    from sindbad.cli.checkout import need_checkout
    from sindbad.errors import NotFound
    from sindbad.supervisor import Supervisor
    from sindbad.supervisor.spec import default_specs

    need_checkout()
    if not (run / "models" / "policy").is_dir():
        raise NotFound(f"{run} holds no trained policy; finish `make demo` first, or give --address.")
    console.print(f"Starting the services of {run} …", style="dim")
    async with Supervisor(run, default_specs(SERVICES)) as supervisor:
        await _ready(supervisor.addresses("policy"), "sindbad.v1.Policy")
        await _ready(supervisor.addresses("agent"), "sindbad.v1.Agent")
        yield supervisor.addresses("agent")


async def _ready(addresses: list[str], service: str) -> None:
    """Return once every replica is SERVING. Raises Unavailable after a while."""
    import asyncio

    import grpc.aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from sindbad.errors import Unavailable

    async def serving(stub: health_pb2_grpc.HealthStub) -> bool:
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        except grpc.aio.AioRpcError:
            return False  # too busy to answer, or being started again
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    try:
        async with asyncio.timeout(READY_SECONDS):
            for address in addresses:
                async with grpc.aio.insecure_channel(address) as channel:
                    stub = health_pb2_grpc.HealthStub(channel)
                    while not await serving(stub):  # noqa: ASYNC110  (another process's state)
                        await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise Unavailable(f"{service} did not become ready; see the logs of the run.") from error
