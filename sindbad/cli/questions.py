"""``sindbad questions``: make verified questions from a graph, verify a file again by DuckDB, reword it with a model.

Exit codes: 0 done (a shortfall is reported, not an error), 1 something failed or a question did not hold, 130 asked to
stop: the same command goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sindbad.errors import InvalidInput

if TYPE_CHECKING:
    from sindbad.graph.knowledge import GraphView
    from sindbad.questions.factory import Order
    from sindbad.questions.making import MakingConfig
    from sindbad.questions.question import Question

app = typer.Typer(no_args_is_help=True, help="Questions: make them from a graph, verify, reword.")
INTERRUPTED = 130
_LINE_SECONDS = 2.0

Graph = Annotated[Path, typer.Option("--graph", help="A graph folder (or a graph's JSONL file).", exists=True)]
Index = Annotated[
    Path | None, typer.Option(help="Look every clue up with the tools in this search index; make keeps what they find.")
]
QuestionFile = Annotated[Path, typer.Argument(help="JSONL of questions.", exists=True, dir_okay=False)]


@app.command()
def make(
    context: typer.Context,
    graph: Graph,
    out: Annotated[Path, typer.Option(help="Folder of the questions; the journal of the run is in it.")],
    count: Annotated[int, typer.Option(min=1, help="Logical forms; each is worded in every language that it can be.")],
    languages: Annotated[str, typer.Option(help="Codes, separated by commas.")] = "en,ar",
    mix: Annotated[str, typer.Option(help="kind:hops=weight,… instead of the default mix.")] = "",
    config: Annotated[
        Path | None, typer.Option(help="YAML of the whole configuration (`sindbad questions config` prints it).")
    ] = None,
    demand: Annotated[Path | None, typer.Option(help="JSON of what a run asks for (the curator writes it).")] = None,
    difficulty: Annotated[str, typer.Option(help="LOW:HIGH, either may be empty.")] = "",
    semantic: Annotated[float, typer.Option(min=0, max=1, help="Share tried with something vague.")] = 0.4,
    distractor: Annotated[float, typer.Option(min=0, max=1, help="Share with a false statement.")] = 0.2,
    structural: Annotated[bool, typer.Option("--structural", help="Only what lies behind a bridge or cut.")] = False,
    test_share: Annotated[float, typer.Option(min=0, max=0.5, help="Share of test questions.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 0,
    series: Annotated[
        int, typer.Option(min=0, help="Another number draws other questions; the test entities stay the same.")
    ] = 0,
    like: Annotated[
        Path | None,
        typer.Option(
            help="--out of an earlier run: its settings, other questions, its test entities aside.", exists=True
        ),
    ] = None,
    only: Annotated[str, typer.Option(help="train or test: make that side alone; --count is its.")] = "",
    known: Annotated[
        list[Path] | None, typer.Option(help="JSONL of questions that are there; make none like them.", exists=True)
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    index: Index = None,
) -> None:
    """Verified questions from any graph. Killed, the same command goes on; a larger --count extends the run."""
    from sindbad.configuration import read_mapping, resolve
    from sindbad.languages import get_pack
    from sindbad.questions.earlier import Earlier
    from sindbad.questions.factory import Order
    from sindbad.questions.making import MakingConfig

    there = tuple(known or ())
    if like is not None:
        _alone(context, "like", ("config", "seed", "test_share", *_SHORT))
        earlier = Earlier.read(like, graph)
        earlier.require(index)
        chosen, seed, test_share = earlier.config, earlier.seed, earlier.test_share
        series, there = series or earlier.series + 1, (*earlier.known, *there)
    elif config is not None:
        _alone(context, "config", _SHORT)
        chosen = resolve(MakingConfig, read_mapping(config), source=str(config))
    else:
        chosen = _config(languages, mix, difficulty, semantic, distractor, structural)
    for code in chosen.languages:
        get_pack(code)
    chosen = _demanded(chosen, demand)
    order = Order(graph, out, count, chosen, seed, test_share, workers, series, there, _split(only, test_share), index)
    _run(order)


_SHORT = ("languages", "mix", "difficulty", "semantic", "distractor", "structural")
"""Options that stand for a part of the configuration."""


def _alone(context: typer.Context, option: str, others: Sequence[str]) -> None:
    """Raises InvalidInput for options that would be ignored beside ``option``."""
    for name in others:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InvalidInput(f"--{option} holds --{name.replace('_', '-')} already; leave one of the two out")


def _split(only: str, test_share: float) -> Literal["train", "test"] | None:
    if only not in ("", "train", "test"):
        raise InvalidInput(f"--only is train or test, not {only!r}")
    if only == "test" and test_share == 0:
        raise InvalidInput("--only test makes nothing with --test-share 0")
    return "train" if only == "train" else "test" if only else None


def _run(order: Order) -> None:
    from sindbad.cli.index_progress import stopping
    from sindbad.questions.factory import open_any, run
    from sindbad.questions.publishing import publish

    started, shown = time.monotonic(), [0.0]

    def progress(split: str, kept: int, wanted: int) -> None:
        now = time.monotonic()
        if now - shown[0] >= _LINE_SECONDS or kept >= wanted:
            shown[0] = now
            _say(f"  {split}: {kept:,} of {wanted:,} · {now - started:.0f} s")

    with stopping() as stop:
        outcome = run(order, stop=stop, progress=progress)
    if outcome.stopped:
        _say("stopped; the same command goes on from here")
        raise typer.Exit(INTERRUPTED)
    summary = publish(outcome, open_any(order.graph))
    _say(f"{order.out}: {summary['forms']:,} forms, {summary['questions']:,} questions {summary['by_language']}")
    _say(f"  by kind {summary['by_kind']}; uncertainty {summary['by_uncertainty']}")
    _say(f"  rejected {summary['rejected']}")
    if summary["shortfall"] > 0:
        _say(f"  {summary['shortfall']:,} fewer than wanted: the graph gives no more of this mix")
    if order.index is not None:
        beyond = summary["rejected"].get("out_of_reach", 0)
        _say(f"  all are within reach of the tools; {beyond:,} were not and are not kept")
    _say(f"  report: {order.out / 'report.md'}")


def _config(
    languages: str, mix: str, difficulty: str, semantic: float, distractor: float, structural: bool
) -> MakingConfig:
    from sindbad.configuration import resolve
    from sindbad.questions.making import MakingConfig

    low, _, high = difficulty.partition(":")
    synthesis = MakingConfig().synthesis.model_dump()
    synthesis["uncertainty"] = {
        "semantic": semantic, "distractor": distractor, "structural": "require" if structural else "label",
    }  # fmt: skip
    synthesis |= {"min_difficulty": low or 0, "max_difficulty": high or 0}
    if mix:
        synthesis["mix"] = _mix(mix)
    codes = tuple(code.strip() for code in languages.split(",") if code.strip())
    return resolve(MakingConfig, {"languages": codes, "synthesis": synthesis}, source="the options")


def _demanded(chosen: MakingConfig, demand: Path | None) -> MakingConfig:
    """What a run asks for, laid over the configuration."""
    from sindbad.configuration import read_mapping
    from sindbad.questions.demand import Demand

    if demand is None:
        return chosen
    asked = read_mapping(demand)
    try:
        return chosen.model_copy(update={"synthesis": Demand.from_record(asked).applied(chosen.synthesis)})
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{demand} is no demand of `sindbad curate demand`: {error}") from error


def _mix(text: str) -> dict[str, dict[str, str]]:
    """``constraint:4=2,count:2=1``; what stands there is checked by the configuration."""
    made: dict[str, dict[str, str]] = {}
    for part in text.split(","):
        cell, _, weight = part.partition("=")
        kind, separator, hops = cell.strip().partition(":")
        if not separator:
            raise InvalidInput(f"--mix {text!r} is not like constraint:4=2,count:2=1")
        made.setdefault(kind, {})[hops] = weight or "1"
    return made


@app.command("config")
def show_config() -> None:
    """Print the default configuration as YAML, for --config."""
    import yaml

    from sindbad.questions.making import MakingConfig

    typer.echo(yaml.safe_dump(MakingConfig().model_dump(mode="json"), allow_unicode=True, sort_keys=False), nl=False)


@app.command()
def verify(file: QuestionFile, graph: Graph, index: Index = None) -> None:
    """Answer every question again by DuckDB, from its clues alone, and word it again; say which do not hold."""
    from sindbad.questions import verifying
    from sindbad.questions.factory import open_any
    from sindbad.questions.reference import Reference

    questions, opened = _some(file), open_any(graph)
    reference = Reference.of_folder(graph) if graph.is_dir() else Reference.of_graph(opened)
    started = time.monotonic()
    try:
        done = verifying.verify(questions, opened, reference)
    finally:
        reference.close()
    for line in done.lines():
        _say(f"  {line}")
    typer.echo(f"{done.answered:,} of {len(questions):,} hold by DuckDB, {time.monotonic() - started:.1f} s")
    worded, able = done.worded
    if able:
        typer.echo(f"{worded:,} of {able:,} are worded as their clues say")
    if done.unworded:
        typer.echo(f"{len(done.unworded):,} carry no solution, so that their wording could not be checked")
    missing = _check_tools(done.known, opened, index) if index is not None else 0
    if not done.ok or missing:
        raise typer.Exit(1)


def _some(file: Path) -> list[Question]:
    """The questions of a file. Raises InvalidInput where there is none."""
    from sindbad.questions.store import load_questions

    if not (found := load_questions(file)):
        raise InvalidInput(f"{file} holds no question")
    return found


def _check_tools(questions: list[Question], graph: GraphView, index: Path) -> int:
    """Questions of which some clue is not brought up by the tools; says which."""
    import asyncio

    from sindbad.questions.reach import out_of_reach

    missing = asyncio.run(out_of_reach(questions, graph, index))
    for item in missing[:20]:
        _say(f"  {item.question_id}: {item.said}")
    count = len({item.question_id for item in missing})
    typer.echo(f"{len(questions) - count:,} of {len(questions):,} are within reach of the tools")
    return count


@app.command()
def reword(
    file: QuestionFile,
    graph: Graph,
    out: Annotated[Path, typer.Option(help="Question file to write.")],
    model: Annotated[str, typer.Option(help="The model's name at its endpoint.")] = "",
    base_url: Annotated[str, typer.Option(help="OpenAI-compatible: URL up to the version.")] = "",
    key_variable: Annotated[str, typer.Option(help="Variable that holds the key.")] = "OPENAI_API_KEY",
    policy: Annotated[list[str] | None, typer.Option(help="host:port of a policy service, instead.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="policy: model folder or weight store.")] = None,
) -> None:
    """Let a language model word the questions; a wording that does not state exactly the clues is not taken.

    Every reply is kept in OUT.replies.jsonl: killed, the same command asks only for the others.
    """
    import asyncio

    from sindbad.questions.factory import open_any
    from sindbad.questions.replies import ReplyBook, policy_identity
    from sindbad.questions.rewording import policy_model, prompt_of, reword_all
    from sindbad.questions.store import save_questions

    questions, opened = _some(file), open_any(graph)
    kept = out.with_name(f"{out.name}.replies.jsonl")

    async def work() -> Any:
        from sindbad.clients.openai import ChatCompletions, OpenAISettings
        from sindbad.translation.described import model_name

        if policy and tokenizer is not None:
            async with policy_model(policy, tokenizer) as text:
                with ReplyBook(kept, await policy_identity(policy), text) as book:
                    return await reword_all(questions, opened, book)
        if not base_url or not model:
            raise InvalidInput("name a model: --base-url and --model, or --policy and --tokenizer")
        settings = OpenAISettings(base_url=base_url, model=model, key_variable=key_variable)
        async with ChatCompletions(settings) as chat:
            with ReplyBook(kept, model_name(settings, ""), chat) as book:
                if book.lacks(map(prompt_of, questions)):
                    await chat.check_there()
                return await reword_all(questions, opened, book)

    done = asyncio.run(work())
    save_questions(out, done.questions)
    typer.echo(f"{done.reworded:,} of {len(done.questions):,} reworded; kept the template's: {done.refused}")


def _say(message: str) -> None:
    typer.echo(message, err=True)
