"""``sindbad curate``: why attempts fail, what to ask the generator for, and which data set was trained on.

Reads what a run left behind; nothing here needs a service. ``refresh`` and ``extend`` change a curator by hand, and
only one that is not at work.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli.failing import fail
from sindbad.cli.runs import DEMO, Run

if TYPE_CHECKING:
    from sindbad.curation.feedback import FailureTally
    from sindbad.curation.runs import CuratedStage
    from sindbad.curation.versions import Manifest
    from sindbad.questions.question import Question

app = typer.Typer(help="The data-policy loop: why attempts fail, what to ask for, data sets.", no_args_is_help=True)

StageName = Annotated[str | None, typer.Option("--stage", help="Stage of the run; default: the one curated last.")]
Attempts = Annotated[
    Path | None, typer.Option("--trajectories", help="A folder of stored attempts, instead of the run's.")
]
QuestionFiles = Annotated[
    list[Path] | None, typer.Option("--questions", help="JSONL of the questions asked, instead of the run's data set.")
]
Steps = Annotated[int, typer.Option("--steps", min=0, help="Only the newest training steps; 0 takes all.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write it here, too.")]


@app.command()
def report(
    run: Run = DEMO,
    stage: StageName = None,
    trajectories: Attempts = None,
    questions: QuestionFiles = None,
    steps: Steps = 20,
    json_file: JsonFile = None,
) -> None:
    """Count failures by cause, and by kind of question."""
    tally, left_out = _tally(run, stage, trajectories, questions, steps)
    record = tally.to_record()
    failed = tally.judged - tally.solved
    typer.echo(f"{tally.judged} attempts, {tally.solved} solved ({_share(tally.solved, tally.judged)})")
    if left_out:
        typer.echo(f"{left_out} left out: of other questions, or not judged")
    rows = [
        (cause, count, _share(count, failed))
        for cause, count in sorted(record["causes"].items(), key=lambda item: -item[1])
    ]
    _table(("cause", "failures", "share"), rows)
    typer.echo()
    _table(
        ("kind", "hops", "uncertainty", "attempts", "failed", "mostly"),
        [
            (
                cell["kind"], cell["hops"], cell["uncertainty"] or "-", cell["attempts"],
                _share(sum(cell["failures"].values()), cell["attempts"]), next(iter(cell["failures"]), "-"),
            )
            for cell in record["cells"]
        ],
    )  # fmt: skip
    _write(json_file, record)


@app.command()
def demand(
    run: Run = DEMO,
    stage: StageName = None,
    trajectories: Attempts = None,
    questions: QuestionFiles = None,
    steps: Steps = 20,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of new questions that follow it.")] = 0.5,
    min_attempts: Annotated[int, typer.Option(min=1, help="Attempts a kind of question needs to count.")] = 8,
    out: Annotated[Path | None, typer.Option("--out", help="Write it here, for `sindbad questions`.")] = None,
) -> None:
    """What to ask the generator for: more of what fails."""
    from sindbad.curation.feedback import DemandConfig, demand_of

    tally, _ = _tally(run, stage, trajectories, questions, steps)
    made = demand_of(tally, DemandConfig(share=share, min_attempts=min_attempts))
    _table(
        ("kind", "hops", "uncertainty", "weight", "why"),
        [
            (want.kind, want.hops, want.uncertainty or "-", f"{want.weight:.3f}", want.why)
            for want in sorted(made.wants, key=lambda want: -want.weight)
        ],
    )
    if not made.wants:
        typer.echo("nothing fails often enough to ask for more of it")
    _write(out, made.to_record())


@app.command()
def log(run: Run = DEMO, stage: StageName = None, json_file: JsonFile = None) -> None:
    """Every version of the run's data set, with its parent, its reason and the weights behind it."""
    from dataclasses import asdict

    from sindbad.curation.runs import DATASETS
    from sindbad.curation.versions import DataSetStore
    from sindbad.errors import SindbadError

    try:
        found = DataSetStore(run / DATASETS).log()
    except SindbadError as error:
        fail(error)
    chosen = [item for item in found if stage in (None, item.stage, item.writer)]
    if not chosen:
        fail(f"there is no data set below {run / DATASETS}" + (f" of stage {stage}" if stage else ""))
    names = ("version", "parent", "stage", "reason", "step", "weights", "D", "D'", "reserve", "change", "D is", "made")
    _table(names, [_line(item) for item in chosen])
    _write(json_file, [asdict(item) for item in chosen])


@app.command()
def export(
    version: Annotated[int, typer.Argument(help="Number of the version; see `sindbad curate log`.")],
    out: Annotated[Path, typer.Argument(help="JSONL to write.")],
    run: Run = DEMO,
    active: Annotated[bool, typer.Option("--active", help="Only D', what was trained on.")] = False,
) -> None:
    """The questions of one version, checked against its digests."""
    from sindbad.curation.runs import DATASETS
    from sindbad.curation.versions import DataSetStore
    from sindbad.errors import SindbadError
    from sindbad.questions.store import save_questions

    try:
        data = DataSetStore(run / DATASETS).load(version)
    except SindbadError as error:
        fail(error)
    wanted = set(data.active)
    chosen = [question for question in data.questions if not active or question.question_id in wanted]
    save_questions(out, chosen)
    typer.echo(f"{len(chosen)} questions of version {version} in {out}")


@app.command()
def refresh(run: Run = DEMO, stage: StageName = None, questions: QuestionFiles = None) -> None:
    """Refresh the active set now: mastered questions leave, moderate ones come in from the backup pool."""
    from sindbad.errors import SindbadError

    try:
        chosen = _stage(run, stage)
        with chosen.open(_questions(chosen, questions)) as curator:
            done = curator.refresh("manual")
            typer.echo(
                f"{chosen.stage}: {len(done.removed)} mastered left, {len(done.added)} moderate came in, "
                f"{len(curator.active)} active of {len(curator.state.pool)}"
            )
    except SindbadError as error:
        fail(error)


@app.command()
def extend(
    new: Annotated[Path, typer.Argument(help="JSONL of new questions.")],
    run: Run = DEMO,
    stage: StageName = None,
    questions: QuestionFiles = None,
    reason: Annotated[str, typer.Option(help="Stands in the data set's lineage.")] = "manual",
) -> None:
    """New questions join D; background sampling measures them, and a refresh may train on them."""
    from sindbad.errors import SindbadError
    from sindbad.questions.store import load_questions

    try:
        chosen = _stage(run, stage)
        with chosen.open(_questions(chosen, questions)) as curator:
            joined = curator.extend(load_questions(new), reason=reason)
            typer.echo(f"{chosen.stage}: {joined} questions joined, D holds {len(curator.state.pool)}")
    except (SindbadError, FileNotFoundError) as error:
        fail(error if isinstance(error, SindbadError) else str(error))


def _stage(run: Path, stage: str | None) -> CuratedStage:
    from sindbad.curation.runs import find_stage

    return find_stage(run, stage)


def _questions(stage: CuratedStage, files: Sequence[Path] | None) -> tuple[Question, ...]:
    from sindbad.questions.store import load_questions

    if not files:
        return stage.questions()
    return tuple(question for file in files for question in load_questions(file))


def _tally(
    run: Path, stage: str | None, folder: Path | None, files: Sequence[Path] | None, steps: int
) -> tuple[FailureTally, int]:
    """Counts over the run's attempts, or over a folder's with the questions of files."""
    from sindbad.curation.runs import tally_of
    from sindbad.errors import SindbadError
    from sindbad.questions.store import load_questions

    try:
        if folder is not None and files:
            asked = tuple(question for file in files for question in load_questions(file))
            return tally_of(folder, asked, steps)
        chosen = _stage(run, stage)
        return tally_of(folder or run / "trajectories" / chosen.writer, _questions(chosen, files), steps)
    except (SindbadError, FileNotFoundError) as error:
        fail(error if isinstance(error, SindbadError) else str(error))


def _line(item: Manifest) -> tuple[Any, ...]:
    counts = item.counts
    change = f"-{counts['removed']} +{counts['added']}" + (f", {counts['joined']} joined D" if not item.base else "")
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(item.created))
    return (
        item.number, item.parent or "-", item.stage, item.reason, item.step, item.weight_version, counts["pool"],
        counts["active"], counts["reserve"], change, item.pool_digest[:12], made,
    )  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns aligned by their longest entry."""
    cells = [list(names), *([str(item) for item in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    for row in cells:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _write(file: Path | None, record: Any) -> None:
    if file is not None:
        from sindbad import atomic

        atomic.write_text(file, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
        typer.echo(f"wrote {file}")
