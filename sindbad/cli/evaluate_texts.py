"""``sindbad evaluate translation``, ``choice`` and ``contamination``: texts and local model folders, no services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sindbad.cli.failing import fail

if TYPE_CHECKING:
    from sindbad.evaluation.report import Table

JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]
First = Annotated[int | None, typer.Option("--first", min=1, help="Only the first ones.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Torch threads.")]


class Tokeniser(StrEnum):
    """Of BLEU, by sacrebleu's names."""

    INTL = "intl"
    LATIN = "13a"
    CHAR = "char"


class Wording(StrEnum):
    """How a local model is asked to translate."""

    AUTO = "auto"
    LIGHT = "light"
    TEACHER = "teacher"
    INSTRUCT = "instruct"


class ChoiceStyle(StrEnum):
    """What is scored."""

    LETTERS = "letters"
    TEXT = "text"
    BOTH = "both"


def register(app: typer.Typer) -> None:
    """Add the three commands to ``sindbad evaluate``."""
    app.command()(translation)
    app.command()(choice)
    app.command()(contamination)


def translation(
    references: Annotated[
        Path, typer.Argument(help="Text with one line a sentence, TSV with a header, or JSONL (also .gz).")
    ],
    hypotheses: Annotated[
        list[Path] | None, typer.Option("--hypotheses", help="A file of a system's lines; twice to compare two.")
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option("--model", help="A local model folder that translates the sources; twice to compare."),
    ] = None,
    source: Annotated[str, typer.Option("--source-column", help="Of a TSV or JSONL.")] = "en",
    target: Annotated[str, typer.Option("--target-column", help="Of a TSV or JSONL.")] = "ar",
    wording: Annotated[
        Wording, typer.Option("--prompt", help="How a model is asked; auto: as its config.json says, else light.")
    ] = Wording.AUTO,
    tokeniser: Annotated[Tokeniser, typer.Option("--tokeniser", help="Of BLEU.")] = Tokeniser.INTL,
    resamples: Annotated[int, typer.Option("--resamples", min=10, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of the resampling.")] = 0,
    first: First = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Of one translation.")] = 256,
    threads: Threads = 1,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the models' lines.")] = None,
    json_file: JsonFile = None,
) -> None:
    """BLEU and chrF++ under three Arabic profiles, with signatures and intervals; two systems are compared in pairs."""

    def work() -> tuple[list[Table], dict[str, Any]]:
        from sindbad.errors import InvalidInput
        from sindbad.evaluation.translation_report import measure_translations, translation_tables

        if not 1 <= len(hypotheses or []) + len(models or []) <= 2:
            raise InvalidInput("give one or two systems: --hypotheses FILE, --model FOLDER")
        wanted = _column(references, target, first)
        systems: dict[str, Sequence[str]] = {str(file): _column(file, target, first) for file in hypotheses or []}
        for number, folder in enumerate(models or [], start=1):
            lines = _translated(
                folder, _column(references, source, first), wording.value, (source, target), max_tokens, threads
            )
            systems[str(folder)] = lines
            if out is not None:
                from sindbad.atomic import write_text

                name = f"{folder.resolve().name}-{number}" if len(models or []) > 1 else folder.resolve().name
                write_text(out / f"{name}.txt", "".join(line.replace("\n", " ") + "\n" for line in lines))
        found = measure_translations(systems, wanted, tokeniser=tokeniser.value, resamples=resamples, seed=seed)
        return translation_tables(found), found.to_record()

    _tell(work, json_file)


def _translated(
    folder: Path, sources: Sequence[str], wording: str, direction: tuple[str, str], max_tokens: int, threads: int
) -> list[str]:
    from sindbad.evaluation.local_model import LocalModel
    from sindbad.translation.prompts import PromptStyle, translation_prompt
    from sindbad.translation.small_models import prompt_style

    model = LocalModel(folder, threads=threads)
    style = prompt_style(folder, PromptStyle.LIGHT) if wording == Wording.AUTO else PromptStyle(wording)
    prompts = [translation_prompt(text, style, source=direction[0], target=direction[1]) for text in sources]
    return model.generate(prompts, max_tokens=max_tokens)


def choice(
    items: Annotated[
        list[Path],
        typer.Argument(
            help="JSONL (also .gz) of EXAMS, AraTrust, ArabicMMLU, ArbMMLU-HT, AlGhafa, MadinahQA, ACVA or MMLU."
        ),
    ],
    model: Annotated[Path, typer.Option("--model", help="A local model folder.")],
    style: Annotated[
        ChoiceStyle, typer.Option("--style", help="Score letters, or the options' words.")
    ] = ChoiceStyle.BOTH,
    chat: Annotated[bool, typer.Option("--chat/--plain", help="As a user turn, or as plain text.")] = True,
    first: First = None,
    threads: Threads = 1,
    json_file: JsonFile = None,
) -> None:
    """Multiple choice by log-likelihood: raw beside length-normalised accuracy, with intervals."""

    def work() -> tuple[list[Table], dict[str, Any]]:
        from sindbad.evaluation.choice import answer_items, choice_table, figures_of
        from sindbad.evaluation.choice_items import read_choice_items
        from sindbad.evaluation.local_model import LocalModel

        sets = {path.name.split(".")[0]: read_choice_items(path, first=first) for path in items}
        asked = LocalModel(model, threads=threads)
        styles = ("letters", "text") if style is ChoiceStyle.BOTH else (style.value,)
        found = {
            name: [figures_of(one, rows, answer_items(asked, rows, one, chat=chat)) for one in styles]
            for name, rows in sets.items()
        }
        figures = {name: [one.to_record() for one in rows] for name, rows in found.items()}
        return [choice_table(found)], {"model": str(model), "chat": chat, "sets": figures}

    _tell(work, json_file)


def contamination(
    items: Annotated[Path, typer.Argument(help="Multiple-choice items, as for `choice`.")],
    training: Annotated[
        list[Path],
        typer.Option("--training", help="JSONL, TSV, Parquet or text, every string of it; or an exported corpus."),
    ],
    n: Annotated[int, typer.Option("--n", min=2, help="Words of a run.")] = 8,
    share: Annotated[float, typer.Option("--share", min=0.01, max=1.0, help="Of an item's runs in one text.")] = 0.5,
    options: Annotated[
        bool, typer.Option("--options/--question-only", help="Join the options to the question.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Which benchmark items stand in the training data, by runs of words in the eval profile."""

    def work() -> tuple[list[Table], dict[str, Any]]:
        from sindbad.evaluation.choice_items import read_choice_items
        from sindbad.evaluation.contamination import find_contamination
        from sindbad.evaluation.report import Table

        asked = [
            (one.item_id, " ".join([one.question, *(one.options if options else ())]))
            for one in read_choice_items(items)
        ]
        texts = (
            (f"{path.name}:{number}", text) for path in training for number, text in enumerate(_texts(path), start=1)
        )
        found = find_contamination(asked, texts, n=n, share=share)
        rows = [[hit.item_id, hit.text_id, f"{hit.share:.0%}", str(hit.texts), hit.example] for hit in found.hits[:20]]
        note = f"{len(found.hits)} of {found.items} items ({found.rate:.2%}) in {found.texts} texts; the first 20"
        header = ["item", "text", "share", "texts", "a shared run"]
        return [Table(f"Contamination, runs of {n} words", note, header, rows)], found.to_record()

    _tell(work, json_file)


def _lines(path: Path) -> Iterator[str]:
    from sindbad.textfiles import open_text

    with open_text(path) as file:
        for line in file:
            yield line.rstrip("\n")


def _column(path: Path, name: str, first: int | None) -> list[str]:
    """One text a row: a column of TSV or JSONL, or whole lines. Raises InvalidInput when there is no such column."""
    from sindbad.errors import InvalidInput
    from sindbad.textfiles import json_lines

    form = path.name.removesuffix(".gz").rpartition(".")[2]
    if form == "jsonl":
        records = [record for _, record in json_lines(path)]
        if any(not isinstance(record.get(name), str) for record in records):
            raise InvalidInput(f"{path} has rows without a text {name!r}")
        return [record[name] for record in records][:first]
    lines = list(_lines(path))
    if form == "tsv" and lines:
        header = lines[0].split("\t")
        if name not in header:
            raise InvalidInput(f"{path} has no column {name!r}; it has {', '.join(header)}")
        place = header.index(name)
        rows = [line.split("\t") for line in lines[1:]]
        if short := [number for number, row in enumerate(rows, start=2) if len(row) <= place]:
            raise InvalidInput(f"{path}:{short[0]} has no column {name!r}")
        return [row[place] for row in rows][:first]
    return lines[:first]


def _texts(path: Path) -> Iterator[str]:
    """What is said in a row of an exported corpus, in both languages; every string of a record joined; or the line."""
    from sindbad.corpus import exported
    from sindbad.textfiles import json_lines

    if path.is_dir() or exported.holds_conversations(path):
        for translated, original in exported.read_conversations(path):
            yield " ".join(text for _, text in (*translated, *original))
        return
    if path.suffix == ".parquet":
        for row in exported.parquet_rows(path):
            yield " ".join(_strings(row))
        return
    if ".jsonl" not in path.name:
        yield from _lines(path)
        return
    for _, record in json_lines(path):
        yield " ".join(_strings(record))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _tell(work: Callable[[], tuple[list[Table], dict[str, Any]]], json_file: Path | None) -> None:
    from sindbad.atomic import write_json
    from sindbad.errors import SindbadError
    from sindbad.evaluation.tables import as_text

    try:
        tables, record = work()
    except SindbadError as error:
        fail(error)
    typer.echo(as_text(tables))
    for table in tables:
        typer.echo(f"{table.title}: {table.note}", err=True)
    if json_file is not None:
        write_json(json_file, record)
