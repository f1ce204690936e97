"""HALA step 2 on real data: sentence pairs for the light translator, cleaned, and a tokenizer of both languages.

With ``judge``, parallel text is kept only where a model accepts it; with ``teacher``, a teacher's translations of
instruction rows join it. Both are off unless a recipe names them, and both go on where a killed run was.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from sindbad.corpus.bilingual_settings import TEACHER, JudgeConnection, RowsSettings
from sindbad.corpus.connect import Connection
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.parallel import ParallelFile
from sindbad.translation.bilingual_tokenizer import VOCABULARY

if TYPE_CHECKING:
    from pipelines.stage import Stage
    from sindbad.corpus.parallel import Pair, ParallelText


class TeacherSettings(RowsSettings):
    """Rows whose question and answer a teacher translates; its prompt and limits stand in ``translator``."""

    connection: Connection
    """Where the teacher is: a translator service, an endpoint or a model folder."""
    revision: str = ""
    """Names its weights, where neither a folder nor a service does: two teachers must never share one."""
    licence: str
    """Of the teacher; what it writes, and so the translator, inherits it."""
    quantisation: str = ""
    """"FP8_DYNAMIC", for example."""


class ParallelSettings(BaseModel):
    """Which pairs, and what is kept of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = "en"
    """Language that is translated, in the whole run."""
    target: str = "ar"
    """Language that is wanted, in the whole run."""
    train: dict[str, ParallelFile] = {}
    """Name -> file below the data."""
    tests: dict[str, ParallelFile] = {}
    """Name -> file; nothing of them is trained on."""
    public: tuple[str, ...] = ("opus100",)
    """Parallel sources of the Hub that are trained on where no data is given."""
    public_limit: int = Field(default=1_000_000, ge=1)
    """Pairs of each of those (HALA judged about a million of OPUS-100)."""
    public_held_out: int = Field(default=1000, ge=1)
    """Sentences of each of those that become a test set."""
    from_hub: bool = False
    """Read ``public`` instead of ``train``."""
    filters: FilterSettings = FilterSettings()
    """Thresholds; the defaults are those of translations."""
    judge: JudgeConnection | None = None
    """A model that says of every sentence pair of parallel text whether it is kept, after the rules: none."""
    teacher: TeacherSettings | None = None
    """A teacher's translations beside the parallel text: none. Paths of its sources are below the data."""
    vocabulary: int = Field(default=VOCABULARY, ge=512)
    """Pieces of the tokenizer."""
    seed: int = 0
    """Of what is held out."""


SETTINGS = ParallelSettings


def write(stage_json: str, data_path: str, text_path: str) -> dict[str, float]:
    """Write train.jsonl, tests/NAME.jsonl, tokenizer/ and about.json below ``text_path``."""
    from pathlib import Path

    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.corpus.licences import obligations
    from sindbad.corpus.parallel import licences_of, prepare, read_parallel, write_pairs
    from sindbad.corpus.schemas import SCHEMAS
    from sindbad.corpus.sources import SourceRequest, read_pairs
    from sindbad.translation.bilingual_tokenizer import train_tokenizer

    with running(stage_json, data_path) as stage:
        settings, root, out = stage.parse(ParallelSettings), Path(data_path), Path(text_path)
        languages = (settings.source, settings.target)

        def read(files: dict[str, ParallelFile], *, training: bool) -> dict[str, list[Pair]]:
            found = files.items()
            return {n: read_parallel(root, file, training=training, languages=languages) for n, file in found}

        tests = read(settings.tests, training=False)
        taught, owed = _taught(stage, settings.teacher, root, languages) if settings.teacher else ([], [])
        if settings.from_hub:
            requests = [SourceRequest.parse(text, settings.public_limit, settings.source) for text in settings.public]
            train = {one.name: [(old, new) for _, old, new in read_pairs(one, settings.target)] for one in requests}
            held_out = {name: settings.public_held_out for name in train}
            licences = [one.licence or SCHEMAS[one.name].licence for one in requests]
        else:
            train = read(settings.train, training=True)
            held_out = {name: file.held_out for name, file in settings.train.items()}
            licences = list(dict.fromkeys(one for file in settings.train.values() for one in licences_of(root, file)))
        if taught:
            train, licences = {**train, TEACHER: taught}, list(dict.fromkeys((*licences, *owed)))
        text = prepare(
            train, tests, held_out=held_out, filters=settings.filters, seed=settings.seed, languages=languages
        )
        if settings.judge is not None:
            text = _judged(stage, settings.judge, text, languages)
        stage.say(f"{len(text.train):,} sentence pairs, left out: {dict(text.dropped.most_common())}")
        out.mkdir(parents=True, exist_ok=True)
        train_tokenizer(
            (side for pair in text.train for side in pair), out / "tokenizer", vocabulary=settings.vocabulary
        )
        for name, pairs in text.tests.items():
            write_pairs(out / "tests" / f"{name}.jsonl", pairs)
        write_pairs(out / "train.jsonl", text.train)
        about = {
            "pairs": len(text.train), "dropped": dict(text.dropped.most_common()), "sources": dict(text.sources),
            "languages": list(languages), "tests": {name: len(pairs) for name, pairs in text.tests.items()},
            "licence": obligations(licences).card_licence, "licences": licences,
        }  # fmt: skip
        atomic.write_json(out / "about.json", about)
        return {"pairs": len(text.train), "dropped": sum(text.dropped.values())}


def _judged(stage: Stage, chosen: JudgeConnection, text: ParallelText, languages: tuple[str, str]) -> ParallelText:
    """What the judge accepts, and what the teacher wrote, which no judge sees (papers §1, step 2)."""
    import asyncio

    from sindbad.corpus.verdicts import VerdictBook, judging, reason_of

    asked = [pair for name, pair in text.shown if name != TEACHER]

    async def work() -> list[str]:
        path, identity = stage.folder("verdicts") / "verdicts.jsonl", chosen.identity(*languages)
        with VerdictBook(path, identity, judge=chosen.name, silent=chosen.silent_pairs) as book:
            async with judging(chosen, source=languages[0], target=languages[1]) as judge:
                verdicts = iter(await book.judge(judge, asked, in_flight=chosen.at_once))
            stage.say(f"{chosen.name} was asked about {book.asked:,} of {len(asked):,} sentence pairs")
            return ["" if name == TEACHER else reason_of(next(verdicts)) for name, _ in text.shown]

    return text.without(asyncio.run(work()))


def _taught(
    stage: Stage, chosen: TeacherSettings, root: Path, languages: tuple[str, str]
) -> tuple[list[Pair], list[str]]:
    """Two pairs of every row that the teacher translated, and what licences they are under."""
    import asyncio
    from dataclasses import replace

    from sindbad.corpus.connect import connected
    from sindbad.corpus.export import pairs_of
    from sindbad.corpus.identify import Named, identify
    from sindbad.corpus.job import Job, JobSpec, local_store
    from sindbad.corpus.sources import SourceRequest, read_sources
    from sindbad.corpus.translate import kept, translate_corpus

    connection = chosen.connection.model_copy(update={"settings": chosen.translator}).checked()
    named = Named(
        licence=chosen.licence, revision=chosen.revision, quantisation=chosen.quantisation, unit=chosen.unit,
        source=languages[0], target=languages[1],
    )  # fmt: skip
    requests = [SourceRequest.parse(text, chosen.rows, languages[0]) for text in chosen.sources]
    requests = [replace(one, path=root / one.path) if one.path else one for one in requests]
    source = {"sources": [one.describe() for one in requests]}

    async def work() -> Job:
        identity, _ = await identify(connection, named)
        spec = JobSpec(identity=identity, filters=chosen.filters, duplicates=chosen.duplicates, source=source)
        job = Job(local_store(stage.folder("teacher")), spec)
        async with connected(connection, identity) as translator:
            report = await translate_corpus(job, read_sources(requests), translator)
        stage.say(f"teacher: {report.kept:,} of {report.records:,} rows translated, dropped: {report.dropped}")
        return job

    job = asyncio.run(work())
    rows = list(kept(job))
    owed = dict.fromkeys(name for row in rows for name in row.translation.provenance.licences)
    return list(pairs_of(iter(rows))), list(owed)
