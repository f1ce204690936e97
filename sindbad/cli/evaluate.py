"""``sindbad evaluate``: a question file, two evaluations, several paradigms, or a judge, measured as the papers do.

Exit codes: 0 done, 1 something failed, 2 wrong usage, 4 (``compare --gate``) significantly worse, 130 interrupted; what
was finished is kept, and the same command goes on.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sindbad.cli.ask import EnvironmentChoice, ParadigmChoice
from sindbad.cli.failing import fail
from sindbad.cli.runs import LatestRun

if TYPE_CHECKING:
    from sindbad.cli.evaluate_setup import Options
    from sindbad.evaluation.folder import Result
    from sindbad.evaluation.paradigms import Grid
    from sindbad.evaluation.report import Table

T = TypeVar("T")

INTERRUPTED, WORSE = 130, 4
DEFAULT_ROOT = "evaluations"
app = typer.Typer(
    invoke_without_command=True, help="Measure an agent, compare two, or measure a judge, with intervals."
)


class FormatChoice(StrEnum):
    """As ``sindbad.evaluation.sets.SetFormat``, here so that ``--help`` need not import it."""

    AUTO = "auto"
    SINDBAD = "sindbad"
    BROWSECOMP = "browsecomp"
    GAIA = "gaia"
    HLE = "hle"
    PLAIN = "plain"


class StyleChoice(StrEnum):
    """As ``sindbad.judging.styles.STYLES``."""

    AUTO = "auto"
    GENERAL = "general"
    GAIA = "gaia"
    BROWSECOMP_EN = "browsecomp_en"
    BROWSECOMP_ZH = "browsecomp_zh"
    HLE = "hle"


class ModeChoice(StrEnum):
    """As ``sindbad.judging.verdict.JudgeMode``."""

    EXACT = "exact"
    LLM = "llm"
    EXACT_THEN_LLM = "exact_then_llm"
    BOTH = "both"


Questions = Annotated[
    Path | None, typer.Option("--questions", help="Sindbad's, BrowseComp's, GAIA's, HLE's or question/answer files.")
]
Format = Annotated[FormatChoice, typer.Option("--format", help="Of the file; auto tells by its columns.")]
Canary = Annotated[str, typer.Option("--canary", help="Key of an encrypted file, instead of its own column.")]
Language = Annotated[str, typer.Option("--language", help="Of every question; detected by script when left out.")]
Corpus = Annotated[str, typer.Option("--corpus", help="Corpus that the tools look in, for foreign questions.")]
First = Annotated[int | None, typer.Option("--first", min=1, help="Only the first ones, languages in turn.")]
Recipe = Annotated[
    Path | None, typer.Option("--recipe", help="Recipe with an evaluate stage; default: the run's agent.")
]
StageName = Annotated[str | None, typer.Option("--stage", help="Stage of the recipe; needed if it has several.")]
Model = Annotated[Path | None, typer.Option("--model", help="A folder (or store) with the policy's tokenizer.")]
Policy = Annotated[str, typer.Option("--policy", help="host:port of a policy service, instead of the run's.")]
Attempts = Annotated[int | None, typer.Option("--attempts", "-k", min=1, help="Runs: attempts at each question.")]
InFlight = Annotated[int | None, typer.Option("--in-flight", min=1, help="Attempts at once.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the sampling.")]
Temperature = Annotated[float | None, typer.Option("--temperature", min=0.0, help="0 is greedy.")]
TopP = Annotated[float | None, typer.Option("--top-p", help="Nucleus.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value of the agent's configuration.")]
Judge = Annotated[
    str,
    typer.Option(
        "--judge", help="rule, service, policy:HOST:PORT@FOLDER, openai:URL#MODEL, model:FOLDER, small:FOLDER"
    ),
]
JudgeMode = Annotated[ModeChoice | None, typer.Option("--judge-mode", help="Who decides at a judge service.")]
Style = Annotated[
    StyleChoice, typer.Option("--judge-style", help="Whose grading; auto: the question set's, or the judge's own.")
]
Environment = Annotated[EnvironmentChoice | None, typer.Option("--environment", help="Where tool calls go.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the evaluation; default: below the run.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on in the folder.")]
KeepText = Annotated[bool, typer.Option("--keep-text", help="Write protected questions and attempts in the clear.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]


@app.callback()
def evaluate(
    context: typer.Context,
    questions: Questions = None,
    run: LatestRun = None,
    form: Format = FormatChoice.AUTO,
    canary: Canary = "",
    language: Language = "",
    corpus: Corpus = "",
    first: First = None,
    recipe: Recipe = None,
    stage: StageName = None,
    model: Model = None,
    policy: Policy = "",
    attempts: Attempts = None,
    in_flight: InFlight = None,
    seed: Seed = None,
    paradigm: Annotated[ParadigmChoice | None, typer.Option(help="What to do about a full context.")] = None,
    limit: Annotated[int | None, typer.Option("--context-limit", min=16, help="Tokens of a context.")] = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    assignments: Settings = None,
    environment: Environment = None,
    judge: Judge = "service",
    judge_mode: JudgeMode = None,
    style: Style = StyleChoice.AUTO,
    out: Out = None,
    fresh: Fresh = False,
    keep_text: KeepText = False,
    json_file: JsonFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.")] = False,
) -> None:
    """Success of a served policy on a question file, with intervals; or see the commands below."""
    if context.invoked_subcommand is not None:
        return
    from sindbad.cli.evaluate_setup import Options

    values = {"paradigm": paradigm, "context_limit": limit, "temperature": temperature, "top_p": top_p}
    options = Options(
        run, questions, form, canary, language, corpus, first, recipe, stage, model, policy, attempts, in_flight, seed,
        _plain(values), assignments or [], environment, judge, judge_mode, style, fresh, keep_text,
    )  # fmt: skip
    if dry_run:
        _guarded(lambda: _print_setup(options))
        return
    result = _finish(_evaluate(options, out))
    _guarded(lambda: _tell_result(result, json_file))


async def _evaluate(options: Options, out: Path | None) -> Result:
    from sindbad.cli.evaluate_setup import evaluate_into

    setup = options.setup()
    found = options.question_set(setup)
    name = f"{found.name}-{setup.agent.paradigm.value}-{setup.agent.context_limit}"
    async with options.bench(found) as bench:
        return await evaluate_into(out or options.run_folder() / DEFAULT_ROOT / name, found, setup, bench, options)


def _print_setup(options: Options) -> None:
    import yaml

    setup = options.setup()
    told = {
        "agent": setup.agent.model_dump(mode="json"), "evaluation": setup.evaluation.model_dump(mode="json"),
        "prompts": setup.prompts, "environment": str(setup.environment), "tools": list(setup.tools),
        "tokenizer": str(setup.tokenizer), "questions": str(options.questions or setup.questions or ""),
    }  # fmt: skip
    typer.echo(yaml.safe_dump(told, sort_keys=False, allow_unicode=True), nl=False)


def _tell_result(result: Result, json_file: Path | None) -> None:
    from sindbad.evaluation.tables import notes_of, result_tables, write_result_pages

    write_result_pages(result)
    _tell(result_tables(result), notes_of(result), result.to_record(), json_file, result.folder)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished evaluation.")], json_file: JsonFile = None
) -> None:
    """Print (and write again) the figures of a finished evaluation, computed from its attempts."""
    from sindbad.evaluation.folder import read_result

    _guarded(lambda: _tell_result(read_result(folder), json_file))


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    after: Annotated[Path, typer.Argument(help="Folder of another, of the same questions.")],
    json_file: JsonFile = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with 4 where AFTER is worse and p (permutation) is below 0.05.")
    ] = False,
) -> None:
    """Paired tests of two evaluations: AFTER minus BEFORE, in all and by language."""
    _guarded(lambda: _compare(before, after, json_file, gate))


def _compare(before: Path, after: Path, json_file: Path | None, gate: bool) -> None:
    from sindbad.evaluation.comparison import ALL
    from sindbad.evaluation.comparison import compare as compared
    from sindbad.evaluation.folder import read_result
    from sindbad.evaluation.tables import comparison_tables

    found = compared(read_result(after), read_result(before))
    _tell(comparison_tables(found), [f"careful: {told}" for told in found.warnings], found.to_record(), json_file)
    test = found.pass_at_1[ALL]
    if gate and test.difference.value < 0 and test.p_permutation < 0.05:
        raise typer.Exit(WORSE)


@app.command()
def paradigms(
    questions: Questions = None,
    limits: Annotated[
        str, typer.Option("--limits", help="Context limits in tokens, with commas between.")
    ] = "112,160,256",
    names: Annotated[
        str, typer.Option("--paradigms", help="Of react, recent_history, resum; differences are to react.")
    ] = "react,recent_history,resum",
    calls: Annotated[
        str, typer.Option("--calls", help="Tool calls by limit; default: as configured, everywhere.")
    ] = "",
    run: LatestRun = None,
    form: Format = FormatChoice.AUTO,
    canary: Canary = "",
    language: Language = "",
    corpus: Corpus = "",
    first: First = None,
    recipe: Recipe = None,
    stage: StageName = None,
    model: Model = None,
    policy: Policy = "",
    attempts: Attempts = None,
    in_flight: InFlight = None,
    seed: Seed = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    assignments: Settings = None,
    environment: Environment = None,
    judge: Judge = "service",
    judge_mode: JudgeMode = None,
    style: Style = StyleChoice.AUTO,
    out: Out = None,
    fresh: Fresh = False,
    keep_text: KeepText = False,
    json_file: JsonFile = None,
) -> None:
    """ReAct, recent history and ReSum over the same questions and seeds at several limits: ReSum's tables 1 and 3."""
    from sindbad.cli.evaluate_setup import Options

    values = {"temperature": temperature, "top_p": top_p}
    options = Options(
        run, questions, form, canary, language, corpus, first, recipe, stage, model, policy, attempts, in_flight, seed,
        _plain(values), assignments or [], environment, judge, judge_mode, style, fresh, keep_text,
    )  # fmt: skip
    grid, folder = _finish(_paradigms(options, _names(names), _numbers(limits), _numbers(calls), out))
    _guarded(lambda: _tell_grid(grid, folder, json_file))


async def _paradigms(
    options: Options, names: Sequence[str], limits: Sequence[int], calls: Sequence[int], out: Path | None
) -> tuple[Grid, Path]:
    from dataclasses import replace

    from sindbad.agent.config import Paradigm
    from sindbad.cli.evaluate_setup import evaluate_into
    from sindbad.errors import InvalidInput
    from sindbad.evaluation.paradigms import arms_of, grid_of

    if unknown := set(names) - {one.value for one in Paradigm}:
        raise InvalidInput(f"no paradigm {', '.join(sorted(unknown))}; there are {', '.join(Paradigm)}")
    setup = options.setup()
    arms = arms_of(setup.agent, [Paradigm(name) for name in names], limits, calls)
    found = options.question_set(setup)
    folder = out or options.run_folder() / DEFAULT_ROOT / f"{found.name}-paradigms"
    results: dict[int, dict[Paradigm, Result]] = {}
    async with options.bench(found) as bench:
        for arm in arms:
            asked = replace(setup, agent=arm.agent)
            made = await evaluate_into(folder / arm.name, found, asked, bench, options, arm.name)
            results.setdefault(arm.limit, {})[arm.paradigm] = made
    return grid_of(results), folder


def _tell_grid(grid: Grid, folder: Path, json_file: Path | None) -> None:
    from sindbad.atomic import write_json, write_text
    from sindbad.evaluation.paradigms import grid_curve, grid_tables
    from sindbad.evaluation.report import Report, write_report
    from sindbad.evaluation.tables import DEFINITIONS, as_markdown, write_result_pages

    tables, record = grid_tables(grid), grid.to_record()
    for row in grid.results.values():
        for result in row.values():
            write_result_pages(result)

    title = "Paradigms at several context limits"
    write_text(folder / "paradigms.md", as_markdown(title, tables, [DEFINITIONS]))
    write_report(
        Report(title, "", tables=tables, curves=[grid_curve(grid)], limits=[DEFINITIONS]), folder / "paradigms.html"
    )
    write_json(folder / "paradigms.json", record)
    _tell(tables, [DEFINITIONS], record, json_file, folder)


@app.command()
def judge(
    cases: Annotated[
        str, typer.Option("--cases", help="Labelled answers, runs, or question/answer pairs (a file), or synthetic.")
    ] = "synthetic",
    judges: Annotated[
        list[str] | None,
        typer.Option("--judge", help="As for evaluate; several for several rows. Default: the rule."),
    ] = None,
    style: Annotated[
        StyleChoice, typer.Option("--judge-style", help="Whose grading; auto is the judge's own.")
    ] = StyleChoice.AUTO,
    mode: JudgeMode = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Most answers to judge.")] = 400,
    seed: Annotated[int, typer.Option(help="Of what is drawn and made.")] = 0,
    parallel: Annotated[int, typer.Option(min=1, help="Answers judged at once.")] = 32,
    run: LatestRun = None,
    json_file: JsonFile = None,
) -> None:
    """Accuracy and kappa of a judge on labelled answers, by language, with intervals."""
    chosen = "" if style is StyleChoice.AUTO else str(style.value)
    tables, record = _finish(_judge(cases, judges or ["rule"], chosen, mode, count, seed, parallel, run))
    _tell(tables, [], record, json_file)


async def _judge(
    cases: str, judges: Sequence[str], style: str, mode: str | None, count: int, seed: int, parallel: int,
    run: Path | None,
) -> tuple[list[Table], dict[str, Any]]:  # fmt: skip
    from sindbad.cli.ask import latest_run
    from sindbad.cli.train import existing
    from sindbad.evaluation.judges import judge_table, measure_judge
    from sindbad.evaluation.labelled import SYNTHETIC, labelled_set
    from sindbad.judging.opening import open_judge, parse_judge
    from sindbad.judging.verdict import JudgeMode as Mode
    from sindbad.training.remote import read_services

    specs = [parse_judge(text) for text in judges]
    source = cases if cases == SYNTHETIC else str(existing(Path(cases)))
    labelled = labelled_set(source, count, seed=seed, style=style)
    own = [one for one in specs if one.kind == "service" and not one.target]
    addresses = read_services(run or latest_run(Path("runs"))).get("judge", []) if own else []
    found = {}
    for spec in specs:
        async with open_judge(spec, style, service=addresses, mode=Mode(mode) if mode else None) as opened:
            found[str(spec)] = await measure_judge(opened, labelled, parallel=parallel)
    table = judge_table(f"Judges on {len(labelled.cases)} answers of {labelled.name}", found, labelled)
    figures = {name: {language: one.to_record() for language, one in rows.items()} for name, rows in found.items()}
    record = {"set": labelled.name, "truth": labelled.truth, "style": style or "own", "judges": figures}
    return [table], record


@app.command()
def seal(
    questions: Annotated[Path, typer.Argument(help="Any question file.")],
    out: Annotated[Path, typer.Argument(help="The CSV to write.")],
    canary: Annotated[str, typer.Option("--canary", help="Key, written beside the text; any unique words.")],
) -> None:
    """Write questions as a BrowseComp file, encrypted, so that no crawler of training data reads a held-out set."""

    def work() -> None:
        from sindbad.evaluation.sets import read_question_set
        from sindbad.evaluation.sets.writing import check_target, write_browsecomp

        check_target(out, questions)
        found = read_question_set(questions)
        write_browsecomp(out, found.questions, canary)
        typer.echo(f"{len(found.questions)} questions in {out}")

    _guarded(work)


# -- what all commands share ------------------------------------------------------------------------------------------


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Without what was not given, enumerations as their values."""
    return {name: getattr(value, "value", value) for name, value in values.items() if value is not None}


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in _names(text)]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not whole numbers with commas between") from None


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run it; Sindbad's errors become a line and code 1, Ctrl-C a line and code 130."""
    import asyncio

    from sindbad.errors import SindbadError

    try:
        return asyncio.run(work)
    except SindbadError as error:
        fail(error)
    except KeyboardInterrupt:
        typer.echo("interrupted; what was finished is kept, and the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _guarded(work: Any) -> None:
    from sindbad.errors import SindbadError

    try:
        work()
    except SindbadError as error:
        fail(error)


def _tell(
    tables: Sequence[Table],
    notes: Sequence[str],
    record: dict[str, Any],
    json_file: Path | None,
    folder: Path | None = None,
) -> None:
    """Tables on stdout, everything else on stderr."""
    from sindbad.atomic import write_json
    from sindbad.evaluation.tables import as_text

    typer.echo(as_text(tables))
    for note in notes:
        typer.echo(f"\n{note}", err=True)
    if folder is not None:
        typer.echo(f"\n{folder}", err=True)
    if json_file is not None:
        write_json(json_file, record)
