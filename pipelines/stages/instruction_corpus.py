"""HALA step 4 on real data: instruction rows through the translator and the filters, with ledger and waterfall."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from sindbad.corpus.connect import Examination
from sindbad.corpus.duplicates import DuplicateSettings
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.schemas import HALA
from sindbad.translation.settings import TranslatorSettings

if TYPE_CHECKING:
    from sindbad.corpus.records import InstructionRecord


class InstructionSettings(BaseModel):
    """Which rows, and what is kept of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[str, ...] = ()
    """NAME=PATH below the data, with @LICENCE behind it where it differs from the schema's."""
    public: tuple[str, ...] = tuple(name for name in HALA if name != "opus100")
    """Sources of the Hub that are translated where no data is given: HALA's."""
    from_hub: bool = False
    """Read ``public`` instead of ``sources``."""
    limit: int | None = Field(default=None, ge=1)
    """Most rows of each source."""
    translator: TranslatorSettings = TranslatorSettings(max_tokens=128)
    """How the translator is asked."""
    filters: FilterSettings = FilterSettings()
    """Thresholds."""
    examiners: Examination = Examination()
    """Models that are asked about what the rules keep (round trip, judge, quality estimation): none."""
    duplicates: DuplicateSettings | None = DuplicateSettings()
    """What is dropped before anything is translated."""
    held_out: float = Field(default=0.08, gt=0, lt=1)
    """Share of the kept rows, and of the untranslated ones, that no model is trained on."""


SETTINGS = InstructionSettings


async def translate(
    stage_json: str, data_path: str, translator_path: str, translated_path: str, page_path: str
) -> dict[str, float]:
    """Write the data set (Parquet with card), training files and waterfall below ``translated_path``.

    Raises InvalidInput when no row survives.
    """
    import json
    import shutil
    from dataclasses import replace

    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.corpus.connect import Connection, connected, examiners
    from sindbad.corpus.export import export, inherited
    from sindbad.corpus.identify import Named, examiner_names, identify, owed
    from sindbad.corpus.job import Job, JobSpec, local_store
    from sindbad.corpus.ledger import Attempt
    from sindbad.corpus.records import write_training_rows
    from sindbad.corpus.sources import Reading, SourceRequest, read_sources
    from sindbad.corpus.translate import kept, planned, translate_corpus
    from sindbad.corpus.waterfall import measure
    from sindbad.corpus.waterfall import write as write_waterfall
    from sindbad.corpus.worker import Tally
    from sindbad.errors import InvalidInput

    with running(stage_json, data_path, translator_path) as stage:
        settings, model, out = stage.parse(InstructionSettings), Path(translator_path), Path(translated_path)
        said = json.loads((model / "licence.json").read_text("utf-8"))
        known, wanted = said["languages"]
        names = settings.public if settings.from_hub else settings.sources
        requests = [SourceRequest.parse(text, settings.limit, known) for text in names]
        requests = [replace(one, path=Path(data_path) / one.path) if one.path else one for one in requests]
        connection = Connection(model=model, settings=settings.translator)
        named = Named(**owed(said.get("from") or [said["licence"]]), unit="message", source=known, target=wanted)
        identity, _ = await identify(connection, named)
        source = {"sources": [one.describe() for one in requests]}
        spec = JobSpec(
            identity=identity, filters=settings.filters, duplicates=settings.duplicates, source=source,
            examiners=await examiner_names(settings.examiners, known, wanted),
        )  # fmt: skip
        job, reading, tally = Job(local_store(stage.folder("corpus")), spec), Reading(), Tally()

        def progress(attempt: Attempt) -> None:
            tally.add(attempt)
            if tally.attempts % 100 == 0:
                stage.say(f"{tally.attempts:,} rows translated, {tally.accepted:,} kept")

        asked = settings.examiners
        async with connected(connection, identity) as translator, examiners(asked, identity) as models:
            rows_in = read_sources(requests, reading)
            report = await translate_corpus(job, rows_in, translator, examiners=models, progress=progress)
        stage.say(f"{report.kept:,} of {report.records:,} rows kept, dropped: {report.dropped}")
        if report.kept < 2:
            raise InvalidInput(
                f"{report.kept} of {report.records} rows survived translation ({report.dropped}); "
                "train the translator longer (stages.translator.settings.training.sft.steps)"
            )
        contents = export(job, out / "dataset")
        write_waterfall(measure(job, examples=4), stage.run / "waterfall")
        shutil.copytree(stage.run / "waterfall", out / "waterfall", dirs_exist_ok=True)
        shutil.copyfile(out / "waterfall" / "waterfall.html", page_path)
        rows = [(row.original, row.translation) for row in kept(job)]
        away = {old.record_id for old, _ in rows[:: max(2, round(1 / settings.held_out))]}
        untranslated = [row for row in planned(job) if row.record_id not in away]
        write_training_rows(out / "instructions.jsonl", [new for old, new in rows if old.record_id not in away])
        write_training_rows(out / "held_out_target.jsonl", [new for old, new in rows if old.record_id in away])
        write_training_rows(out / "untranslated.jsonl", untranslated)
        write_training_rows(out / "held_out_source.jsonl", [old for old, _ in rows if old.record_id in away])
        pairs = ((old.first_exchange(), new.first_exchange()) for old, new in rows if _short(old))
        samples = [[*asked, *said] for asked, said in pairs if asked is not None and said is not None]
        about = {
            "records": report.records, "kept": report.kept, "dropped": report.dropped, "samples": samples[:12],
            "obligations": inherited(contents).sentences(), "languages": [identity.source, identity.target],
            "source_licences": _source_licences(untranslated),
            "left_out": {f"{name}: {reason}": count for (name, reason), count in sorted(reading.skipped.items())},
        }  # fmt: skip
        atomic.write_json(out / "about.json", about)
        return {"rows": report.records, "kept": report.kept, "held_out": len(away), "untranslated": len(untranslated)}


def _short(record: InstructionRecord) -> bool:
    return sum(len(message.content) for message in record.messages) <= 600


def _source_licences(records: Iterable[InstructionRecord]) -> dict[str, list[str]]:
    """The licences of every source's own rows: what a model inherits that is trained on them untranslated."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        found.setdefault(record.provenance.source, {}).update(dict.fromkeys(record.provenance.licences))
    return {source: list(licences) for source, licences in sorted(found.items())}
