"""Parallel text: what is read, what a translator sees of it, and what never reaches training."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sindbad.corpus.parallel import ParallelFile, load_pairs, prepare, read_parallel, with_sentinels, write_pairs
from sindbad.errors import InvalidInput, NotFound
from sindbad.translation.spans import find_spans, mask
from tests.shared import shared

PLAIN = [("The ship left the harbour in the night.", "غادرت السفينة الميناء في الليل."),
         ("My brother bought a small red house.", "اشترى أخي بيتا أحمر صغيرا.")]  # fmt: skip


def file(name: str, **more: object) -> ParallelFile:
    return ParallelFile.model_validate({"path": name, "licence": "CC0", **more})


def test_tsv_jsonl_and_their_gzipped_forms_give_the_same_pairs(tmp_path: Path) -> None:
    tsv = "en\tar\tid\n" + "".join(f"{en}\t{ar}\t{n}\n" for n, (en, ar) in enumerate(PLAIN))
    (tmp_path / "a.tsv").write_text(tsv, "utf-8")
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(tsv.encode()))
    rows = "".join(f'{{"en": "{en}", "ar": "{ar}"}}\n' for en, ar in PLAIN)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    for name in ("a.tsv", "a.tsv.gz", "a.jsonl.gz"):
        assert read_parallel(tmp_path, file(name), training=True) == PLAIN


def test_what_is_wrong_with_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"away\.tsv"):
        read_parallel(tmp_path, file("away.tsv"), training=True)
    (tmp_path / "a.tsv").write_text("english\tar\nA\tب\n", "utf-8")
    with pytest.raises(InvalidInput, match=r"row 1 has no texts 'en' and 'ar'; it has ar, english"):
        read_parallel(tmp_path, file("a.tsv"), training=True)
    (tmp_path / "a.jsonl").write_text('{"en": "A", "ar": "ب"}\n[1]\n', "utf-8")
    with pytest.raises(InvalidInput, match="jsonl:2 is no JSON object"):
        read_parallel(tmp_path, file("a.jsonl"), training=True)
    (tmp_path / "a.jsonl").write_text('{"en": \n', "utf-8")
    with pytest.raises(InvalidInput, match="jsonl:1 is no JSON object"):
        read_parallel(tmp_path, file("a.jsonl"), training=True)
    (tmp_path / "a.tsv").write_bytes("en\tar\nA\tب\n".encode("cp1256"))
    with pytest.raises(InvalidInput, match="is no UTF-8 text"):
        read_parallel(tmp_path, file("a.tsv"), training=True)


def test_a_file_for_measuring_is_never_trained_on(tmp_path: Path) -> None:
    (tmp_path / "x.EVAL_ONLY.tsv").write_text("en\tar\nA\tب\n", "utf-8")
    with pytest.raises(InvalidInput, match="must not be trained on"):
        read_parallel(tmp_path, file("x.EVAL_ONLY.tsv"), training=True)
    assert read_parallel(tmp_path, file("x.EVAL_ONLY.tsv"), training=False) == [("A", "ب")]


@pytest.mark.parametrize(
    ("source", "target", "shown"),
    [
        ("He paid 12 pounds.", "دفع ١٢ جنيها.", ("He paid ⟦0⟧ pounds.", "دفع ⟦0⟧ جنيها.")),
        ("From 3 to 40 days", "من ٤٠ إلى 3 أيام", ("From ⟦0⟧ to ⟦1⟧ days", "من ⟦1⟧ إلى ⟦0⟧ أيام")),
        ("Run `ls` now.", "شغّل `ls` الآن.", ("Run ⟦0⟧ now.", "شغّل ⟦0⟧ الآن.")),
        ("He paid 12 pounds.", "دفع ١٣ جنيها.", None),
        ("He paid 12 pounds.", "دفع جنيها.", None),
        ("He paid.", "دفع 12 جنيها.", None),
        ("1990", "١٩٩٠", None),
        ("A cat.", "قطة.", ("A cat.", "قطة.")),
    ],
)
def test_spans_become_sentinels_where_both_sides_have_the_same(
    source: str, target: str, shown: tuple[str, str] | None
) -> None:
    assert with_sentinels(source, target) == shown


@given(st.lists(st.sampled_from(["sea", "12", "7.5", "`a b`", "https://x.org/a", "{name}", "ship"]), max_size=7))
def test_what_training_shows_is_what_the_translator_is_asked(words: list[str]) -> None:
    text = "old " + " ".join(words)
    shown = with_sentinels(text, text)
    assert shown == (mask(text).text,) * 2 or (shown is None and not find_spans(text)) or mask(text).only_spans


def test_nothing_of_a_test_set_is_trained_on_however_it_is_spelled() -> None:
    train = {"own": [*PLAIN, ("Where is the station?", "أين المحطة؟")]}
    tests = {"news": [("WHERE is the station", "اين المحطه"), ("Something else", PLAIN[1][1].replace("أ", "ا"))]}
    made = prepare(train, tests)
    assert made.train == [PLAIN[0]]
    assert made.dropped == {"in_tests": 2}


def test_held_out_sentences_leave_training_with_all_their_translations() -> None:
    twice = [*PLAIN, (PLAIN[0][0], "تركت السفينة المرفأ ليلا.")]
    made = prepare({"own": twice}, {}, held_out={"own": 1}, seed=1)
    ((source, _),) = made.tests["own"]
    assert source not in {en for en, _ in made.train}
    assert len({en for en, _ in made.train}) == 1
    with pytest.raises(InvalidInput, match="cannot be held out"):
        prepare({"own": twice}, {}, held_out={"own": 2})


def test_bad_pairs_are_counted_by_reason_and_doubles_kept_once() -> None:
    made = prepare({"a": [PLAIN[0], ("The sea is wide.", "The sea is wide.")], "b": [PLAIN[0]]}, {})
    assert made.train == [PLAIN[0]]
    assert made.dropped["duplicate"] == 1
    assert sum(made.dropped.values()) == 2
    assert made.sources == {"a": 1}


def test_pairs_survive_their_file(tmp_path: Path) -> None:
    pairs = [*PLAIN, ("One\u2028two\u0085three\x0bfour\x1cfive.", "واحد\u2029اثنان\rثلاثة.")]
    write_pairs(tmp_path / "x.jsonl", pairs)
    assert load_pairs(tmp_path / "x.jsonl") == pairs


def test_professional_text_is_mostly_kept() -> None:
    root = shared("data") / "parallel"
    pairs = read_parallel(root, file("tico19_en_ar.tsv.gz"), training=True)[:400]
    made = prepare({"tico": pairs}, {})
    assert len(made.train) > 0.9 * len(pairs)
    assert any("⟦0⟧" in en and "⟦0⟧" in ar for en, ar in made.train)
