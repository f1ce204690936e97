"""What comes out: a data set that Hugging Face opens, with inherited licences; a report that can be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sindbad.corpus.duplicates import DuplicateSettings
from sindbad.corpus.explain import explanation
from sindbad.corpus.export import export, inherited
from sindbad.corpus.filters import FilterSettings
from sindbad.corpus.job import Job, local_store
from sindbad.corpus.licences import obligations
from sindbad.corpus.records import InstructionRecord, instruction
from sindbad.corpus.translate import planned, translate_corpus
from sindbad.corpus.translators import Outcome
from sindbad.corpus.waterfall import markdown, measure, page, write
from sindbad.corpus.worker import prepare
from sindbad.errors import InvalidInput
from sindbad.translation.glossary import Glossary
from tests.unit.corpus.jobs import FAST, IDENTITY, Perfect, job, records


def mixed() -> list[InstructionRecord]:
    """Rows of two sources with different terms."""
    nc = instruction("Bokadi is a city.", "Let me search.", source="scp", source_id="x", licences=["cc-by-nc-sa-4.0"])
    return [*records(4), nc]


@pytest.mark.slow
async def test_the_data_set_opens_in_order_with_its_card(tmp_path: Path) -> None:
    from datasets import load_dataset

    one = job(local_store(tmp_path / "job"))
    await translate_corpus(one, mixed(), Perfect(), settings=FAST)
    contents = export(one, tmp_path / "set", name="demo-ar")
    rows = load_dataset(str(tmp_path / "set"), "default", split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["id"][:] == [record.record_id for record in mixed()]
    assert rows[0]["messages"][0]["role"] == "user"
    assert rows[0]["messages_source"][0]["content"] == mixed()[0].messages[0].content
    assert rows[4]["licences"] == ["cc-by-nc-sa-4.0", "Apache-2.0"]
    pairs = load_dataset(str(tmp_path / "set"), "pairs", split="train", cache_dir=str(tmp_path / "cache"))
    assert (pairs.num_rows, pairs.column_names) == (5, ["instr_en", "instr_ar", "resp_en", "resp_ar"])
    card = (tmp_path / "set" / "README.md").read_text(encoding="utf-8")
    assert "license: cc-by-nc-sa-4.0" in card
    assert "Non-commercial use only" in card
    assert contents.rows == 5
    assert inherited(contents).non_commercial
    export(one, tmp_path / "set")  # again: replaced, not added to
    assert len(list((tmp_path / "set" / "data").iterdir())) == 1


async def test_an_export_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    one = job(local_store(tmp_path / "job"))
    await translate_corpus(one, records(2), Perfect(), settings=FAST)
    mine, letter = tmp_path / "mine", tmp_path / "mine" / "letter.txt"
    mine.mkdir()
    letter.write_text("dear")
    for place in (mine, letter):
        with pytest.raises(InvalidInput, match="give a"):
            export(one, place)
    assert letter.read_text() == "dear"
    (tmp_path / "set").mkdir()
    for _ in range(2):
        assert export(one, tmp_path / "set").rows == 2


@pytest.mark.parametrize(
    ("licences", "field"),
    [(["mit"], "mit"), (["mit", "Apache-2.0"], "cc-by-4.0"), (["mit", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
     (["apache-2.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"), (["cc-by-sa-4.0", "cc-by-nc-4.0"], "cc-by-nc-sa-4.0"),
     (["odbl", "cc-by-sa-4.0"], "other"), (["unknown", "mit"], "other"), (["cc-by-nd-4.0"], "other"),
     (["Apache-2.0", "apache-2.0"], "apache-2.0")],
)  # fmt: skip
def test_terms_are_inherited_by_the_mixture(licences: list[str], field: str) -> None:
    assert obligations(licences).card_licence == field


async def test_the_waterfall_adds_up_and_shows_arabic_from_right_to_left(tmp_path: Path) -> None:
    one = job(local_store(tmp_path / "job"))
    spoilt = {"بوكادي ولد": "Bokadi was born in Diramo.", "بوكاديادي ولد": "<b>بوكاديادي</b> ولد في ديرامو."}
    lazy = Perfect(lambda text: next((bad for start, bad in spoilt.items() if text.startswith(start)), text))
    await translate_corpus(one, records(6), lazy, settings=FAST)
    found = measure(one)
    assert (found.rows, found.kept) == (6, 4)
    assert {step.name: step.rows for step in found.steps} == {"untranslated": 1, "protected": 1}
    assert found.rows - sum(step.rows for step in found.steps) == found.kept == found.steps[-1].left
    (script,) = [curve for curve in found.curves if curve.name == "script"]
    assert script.kept == pytest.approx(5 / 6)
    assert dict(script.points)[max(value for value, _ in script.points)] <= script.kept
    assert any({one.one, one.other} == {"script", "untranslated"} for one in found.agreement)
    shown = page(found)
    assert "lang=ar dir=rtl" in shown
    assert "<b>بوكاديادي" not in shown  # text from data is escaped
    assert "| untranslated | 1 |" in markdown(found)
    write(found, tmp_path / "report")
    assert (tmp_path / "report" / "waterfall.html").stat().st_size > 2000


class Numberless(Perfect):
    """Rejects every second record as the light translator does, and loses the number in the others."""

    async def translate(self, record: InstructionRecord, glossary: Glossary | None, seed: int) -> Outcome:
        """See RecordTranslator."""
        if int(record.provenance.source_id) % 2:
            return Outcome((), reason="numbers")
        return await super().translate(record, glossary, seed)


async def test_a_translators_rejection_and_a_filter_of_the_same_name_are_two_steps(tmp_path: Path) -> None:
    one = job(local_store(tmp_path / "job"))
    rows = records(7)
    rows.append(replace(rows[0], record_id="the same text again"))  # counts as a row wherever its twin does
    await translate_corpus(one, rows, Numberless(lambda text: text + " 77"), settings=FAST)
    found = measure(one)
    told = {step.name: (step.stage, step.rows, step.alone, step.left) for step in found.steps}
    assert told == {"numbers (translator)": ("translate", 3, 3, 5), "numbers": ("filter", 5, 5, 0)}
    shown = {step.name: {example.record_id for example in step.examples} for step in found.steps}
    odd = {record.record_id for record in rows if int(record.provenance.source_id) % 2}
    assert shown["numbers (translator)"] == odd
    assert len(shown["numbers"]) == 3
    assert not shown["numbers"] & odd


async def test_what_other_filters_judged_is_not_judged_yet_and_the_rest_not_attempted(tmp_path: Path) -> None:
    store = local_store(tmp_path / "job")
    one = job(store)
    await translate_corpus(one, records(3), Perfect(), settings=FAST)
    strict = job(store, filters=FilterSettings(length_ratio_slack=1.5))
    strict.plan(records(5))
    assert {step.name: (step.rows, step.left) for step in measure(strict).steps} == {
        "not judged yet": (3, 2), "not attempted yet": (2, 0),
    }  # fmt: skip


async def test_why_says_the_last_word_first_and_shows_both_texts(tmp_path: Path) -> None:
    one = job(local_store(tmp_path / "job"))
    await translate_corpus(one, records(1), Perfect(lambda text: "Bokadi was born in Diramo."), settings=FAST)
    with one.ledger() as ledger:
        told = "\n".join(explanation(ledger.why(records(1)[0].record_id)))
    assert told.startswith(f"{records(1)[0].record_id}  DROPPED: untranslated")
    assert "x untranslated" in told
    assert "licences: MIT, Apache-2.0" in told
    assert "-> Bokadi was born in Diramo." in told


async def test_why_knows_every_row_of_an_address_what_a_plan_dropped_and_what_nobody_attempted(tmp_path: Path) -> None:
    rows = records(3)
    rows.append(replace(rows[0], record_id="the same text again"))

    def told(one: Job, record: str) -> list[str]:
        with one.ledger() as ledger:
            return list(explanation(ledger.why(record), ledger.planned(record)))

    store = local_store(tmp_path / "job")
    dropping = job(store, duplicates=DuplicateSettings(near=None))
    await translate_corpus(dropping, rows[:1] + rows[3:], Perfect(), settings=FAST)
    assert told(dropping, rows[3].record_id)[0].startswith("the same text again  DROPPED: exact_duplicate")
    everything, model = job(store), Perfect()
    await prepare(everything, lambda: rows, settings=FAST)
    for record in (rows[1].record_id, IDENTITY.key(rows[1])):
        assert told(everything, record) == [
            f"{rows[1].record_id}  NOT ATTEMPTED YET (row 1 of the plan)", "from t 1; licences of the source: MIT"
        ]  # fmt: skip
    await translate_corpus(everything, rows, model, settings=FAST)
    assert sorted(model.asked) == sorted(row.record_id for row in rows[1:3])
    for row in rows:
        assert told(everything, row.record_id)[0] == f"{row.record_id}  KEPT"
    said = "\n".join(told(everything, rows[3].record_id))
    assert f"as {rows[0].record_id}: translated once, for both" in said
    assert "plan" not in said  # what the other plan dropped, this one asks for
    assert told(everything, IDENTITY.key(rows[0]))[0] == f"{rows[0].record_id}  KEPT"
    with everything.ledger() as ledger:
        assert not ledger.why("nobody")
        assert not ledger.planned("nobody")


async def test_what_was_planned_is_the_source_without_its_doubles_whatever_became_of_it(tmp_path: Path) -> None:
    """Training data in the source's language comes from here: a double of a held-out row is no training row."""
    exact = DuplicateSettings(near=None)
    one, rows = job(local_store(tmp_path / "job"), duplicates=exact), list(records(4))
    double = replace(rows[1], record_id="again")
    spoiled = Perfect(spoil=lambda text: text + " 77")
    found = await translate_corpus(one, [*rows, double], spoiled, settings=FAST)
    assert (found.records, found.kept) == (5, 0)
    assert [row.record_id for row in planned(one)] == [row.record_id for row in rows]
