"""Translate an instruction corpus through a translator, resumably: every unit is accepted, or rejected with a reason.

A record comes out whole or not at all: same message count, roles and order. Units that were accepted before (in any
run, with the same masker, prompt, model and decoding) are read from the ledger; failed ones are tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from sindbad.corpus.filters import FilterSettings, Pair, Verdict, judge
from sindbad.corpus.ledger import Attempt, Ledger
from sindbad.corpus.records import InstructionRecord, translated
from sindbad.translation.glossary import Glossary
from sindbad.translation.prompts import PromptStyle, translation_prompt
from sindbad.translation.protocol import TextTranslator, Translation
from sindbad.translation.translator import content_key

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TranslatorIdentity:
    """What the ledger's key and the lineage need to know. ``revision`` names weights and quantisation."""

    revision: str
    decoding: str
    style: PromptStyle = PromptStyle.LIGHT
    licence: str = "Apache-2.0"
    source: str = "en"
    target: str = "ar"

    def key(self, text: str, glossary: Glossary | None) -> str:
        """Key of one unit. Only the glossary terms that occur in ``text`` count."""
        used = "" if glossary is None else "|".join(f"{name}={glossary[name]}" for name in glossary.names_in(text))
        prompt = translation_prompt("", self.style, source=self.source, target=self.target)
        return content_key(f"{text}\x1e{used}", prompt=prompt, model_revision=self.revision, decoding=self.decoding)


@dataclass(slots=True)
class CorpusReport:
    """Records in, records out, and why the others are missing: each counts once, by its first reason."""

    records: int = 0
    kept: int = 0
    from_ledger: int = 0
    translated_units: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count one record."""
        name = reason.split(":")[0]
        self.dropped[name] = self.dropped.get(name, 0) + 1


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(frozen=True, slots=True)
class _Unit:
    """One message of one record."""

    record: InstructionRecord
    number: int
    text: str
    key: str


async def translate_corpus(
    records: Iterable[InstructionRecord],
    translator: TextTranslator,
    ledger: Ledger,
    identity: TranslatorIdentity,
    *,
    glossary: Glossary | None = None,
    filters: FilterSettings | None = None,
    batch_records: int = 32,
) -> tuple[list[InstructionRecord], CorpusReport]:
    """Translate ``records``; the ledger is written after every batch. See the module's docstring."""
    report, kept = CorpusReport(), list[InstructionRecord]()
    for batch in batches(records, batch_records):
        units = [
            _Unit(record, number, message.content, identity.key(message.content, glossary))
            for record in batch
            for number, message in enumerate(record.messages)
        ]
        outputs = ledger.accepted([unit.key for unit in units])
        report.from_ledger += sum(unit.key in outputs for unit in units)
        reasons = await _translate_missing(units, outputs, translator, ledger, identity, glossary, filters, report)
        for record in batch:
            _collect(
                record, [unit for unit in units if unit.record is record], outputs, reasons, identity, report, kept
            )
    return kept, report


async def _translate_missing(
    units: Sequence[_Unit],
    outputs: dict[str, str],
    translator: TextTranslator,
    ledger: Ledger,
    identity: TranslatorIdentity,
    glossary: Glossary | None,
    filters: FilterSettings | None,
    report: CorpusReport,
) -> dict[str, str]:
    """Translate what ``outputs`` lacks, extend it, write the ledger; returns key -> reason of what was rejected."""
    missing = list({unit.key: unit for unit in units if unit.key not in outputs}.values())
    if not missing:
        return {}
    results = await translator.translate(
        [unit.text for unit in missing], source=identity.source, target=identity.target, glossary=glossary
    )
    report.translated_units += len(missing)
    reasons: dict[str, str] = {}
    attempts = []
    for unit, result in zip(missing, results, strict=True):
        pair = Pair(unit.text, result.text, identity.source, identity.target, glossary)
        verdict = judge(pair, filters) if result.accepted else Verdict(result.reason, ())
        attempts.append(_attempt(unit, result, verdict, identity))
        if verdict.keep:
            outputs[unit.key] = result.text
        else:
            reasons[unit.key] = verdict.reason
    ledger.write(attempts)
    return reasons


def _attempt(unit: _Unit, result: Translation, verdict: Verdict, identity: TranslatorIdentity) -> Attempt:
    return Attempt(
        key=unit.key,
        record_id=unit.record.record_id,
        unit=unit.number,
        accepted=verdict.keep,
        reason=verdict.reason,
        output=result.text,
        prompt_tokens=result.prompt_tokens,
        output_tokens=result.output_tokens,
        generations=result.attempts,
        model_revision=identity.revision,
        licences=(*unit.record.provenance.licences, identity.licence),
        scores={score.name: score.value for score in verdict.scores},
    )


def _collect(
    record: InstructionRecord,
    units: Sequence[_Unit],
    outputs: dict[str, str],
    reasons: dict[str, str],
    identity: TranslatorIdentity,
    report: CorpusReport,
    kept: list[InstructionRecord],
) -> None:
    report.records += 1
    failed = next((unit for unit in units if unit.key not in outputs), None)
    if failed is not None:
        report.drop(reasons[failed.key])
        return
    contents = [outputs[unit.key] for unit in units]
    kept.append(
        translated(record, contents, language=identity.target, translator=identity.revision, licence=identity.licence)
    )
    report.kept += 1
