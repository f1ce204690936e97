"""Arabic profiles, sacrebleu's numbers and signatures, intervals, and two systems compared in pairs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import sacrebleu
import typer
from typer.testing import CliRunner

from sindbad.cli import evaluate_texts
from sindbad.demo.tokenizer import build_tokenizer
from sindbad.errors import InvalidInput
from sindbad.evaluation.translation_report import PROFILES, TranslationReport, measure_translations, translation_tables
from sindbad.translation.small_models import SmallModelConfig, new_model
from sindbad.translation.train_teacher import FOLDER as TEACHER
from sindbad.translation.train_teacher import heldout_pairs

VOWELLED = ["ذَهَبَ الطَّالِبُ إِلَى المَدْرَسَةِ صَبَاحًا، وَعَادَ مَسَاءً.", "كَيْفَ حَالُكَ اليَوْمَ يَا صَدِيقِي؟", "أَكَلَ الوَلَدُ التُّفَّاحَةَ الحَمْرَاءَ كُلَّهَا."]
PLAIN = ["ذهب الطالب إلى المدرسة صباحا، وعاد مساء.", "كيف حالك اليوم يا صديقي؟", "أكل الولد التفاحة الحمراء كلها."]


def scores(report: TranslationReport, name: str = "a") -> dict[str, tuple[float, float]]:
    return {row.profile: (row.chrf.value.value, row.bleu.value.value) for row in report.scores[name]}


def test_vowel_marks_ruin_raw_scores_and_only_the_eval_profile_forgives_them() -> None:
    found = scores(measure_translations({"a": PLAIN}, VOWELLED, resamples=20))
    assert found["raw"][1] < 30
    assert found["raw"] == found["light"]
    assert found["eval"] == pytest.approx((100, 100))


def test_hamza_and_a_latin_comma_cost_raw_points_and_nothing_under_eval() -> None:
    for written in (
        [line.translate(str.maketrans("أإآ", "ااا")) for line in PLAIN],
        [line.replace("،", ",").replace("؟", "?") for line in PLAIN],
    ):
        found = scores(measure_translations({"a": written}, PLAIN, resamples=20))
        assert found["raw"][1] < 99
        assert found["eval"] == pytest.approx((100, 100))


def test_tatweel_and_invisible_marks_are_forgiven_from_light_on() -> None:
    found = scores(measure_translations({"a": [f"\u200f{line.replace('ال', 'الـ')}" for line in PLAIN]}, PLAIN))
    assert found["raw"][1] < 50
    assert found["light"] == found["eval"] == pytest.approx((100, 100))


def test_no_profile_decomposes_ligatures() -> None:
    for profile in PROFILES.values():
        assert "ﷺ" in profile("قال ﷺ")
        assert "ﻻ" in profile("ﻻ أعلم")


def test_the_default_tokeniser_splits_arabic_punctuation_and_13a_does_not() -> None:
    references, made = ["مرحبا، كيف الحال؟ قال الرجل لجاره", PLAIN[1]], ["مرحبا كيف الحال قال الرجل لجاره", PLAIN[1]]
    intl = measure_translations({"a": made}, references, resamples=20)
    old = measure_translations({"a": made}, references, resamples=20, tokeniser="13a")
    assert scores(intl)["raw"][1] != scores(old)["raw"][1]
    assert "tok:intl" in intl.scores["a"][0].bleu.signature
    assert "tok:13a" in old.scores["a"][0].bleu.signature


def test_values_are_sacrebleus_and_the_signature_names_version_and_profile() -> None:
    made = [*PLAIN[:2], "أكل الرجل التفاحة"]
    (raw, _, last) = measure_translations({"a": made}, PLAIN, resamples=200).scores["a"]
    assert raw.chrf.value.value == pytest.approx(sacrebleu.corpus_chrf(made, [PLAIN], word_order=2).score)
    assert raw.bleu.value.value == pytest.approx(sacrebleu.corpus_bleu(made, [PLAIN], tokenize="intl").score)
    assert f"version:{sacrebleu.__version__}|profile:raw.v1" in raw.bleu.signature
    assert "nw:2" in last.chrf.signature
    assert last.chrf.signature.endswith("profile:eval.v1")
    assert raw.chrf.value.low <= raw.chrf.value.value <= raw.chrf.value.high
    assert raw.exact == pytest.approx(200 / 3)


def test_a_clearly_better_system_is_significant_and_a_system_against_itself_is_not() -> None:
    references = [f"{line} {number}" for number in range(12) for line in PLAIN]
    worse = [line.split(" ", 2)[2] for line in references]
    found = measure_translations({"a": references, "b": worse}, references, resamples=200).differences[0]
    assert found.chrf.low > 0
    assert found.chrf_p < 0.02
    assert found.bleu_p < 0.02
    same = measure_translations({"a": worse, "b": list(worse)}, references, resamples=200).differences[0]
    assert (same.chrf.low, same.chrf.high, same.chrf_p) == (0, 0, 1)


def test_lists_of_different_length_are_refused_with_both_counts() -> None:
    with pytest.raises(InvalidInput, match="a has 2 translations for 3 references"):
        measure_translations({"a": PLAIN[:2]}, PLAIN)
    with pytest.raises(InvalidInput, match="one or two systems"):
        measure_translations({}, PLAIN)


def test_the_command_reads_tsv_and_lines_and_tells_differences(tmp_path: Path) -> None:
    (tmp_path / "ref.tsv").write_text("en\tar\n" + "".join(f"x\t{line}\n" for line in PLAIN), encoding="utf-8")
    (tmp_path / "a.txt").write_text("\n".join(PLAIN) + "\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("\n".join(VOWELLED) + "\n", encoding="utf-8")
    app = typer.Typer()
    evaluate_texts.register(app)
    arguments = ["translation", "ref.tsv", "--hypotheses", "a.txt", "--hypotheses", "b.txt", "--json", "out.json"]
    arguments = [str(tmp_path / one) if "." in one else one for one in arguments]
    done = CliRunner().invoke(app, [*arguments, "--resamples", "50"])
    assert done.exit_code == 0, done.output
    assert "Signatures" in done.output
    record = json.loads((tmp_path / "out.json").read_text())
    assert [row["profile"] for row in record["differences"]] == ["raw", "light", "eval"]
    wrong = CliRunner().invoke(app, [*arguments, "--target-column", "fr"])
    assert wrong.exit_code == 1
    assert "no column 'fr'; it has en, ar" in wrong.output


def test_the_command_asks_models_with_their_own_prompt_and_compares_them(tmp_path: Path) -> None:
    pairs = heldout_pairs()[:8]
    rows = ["id\tar\ten", *(f"{number}\t{pair.ar}\t{pair.en}" for number, pair in enumerate(pairs))]
    (tmp_path / "held.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    untrained = tmp_path / TEACHER.name
    shutil.copytree(TEACHER, untrained)
    new_model(SmallModelConfig(), build_tokenizer(), seed=0).save_pretrained(str(untrained))
    arguments = ["translation", tmp_path / "held.tsv", "--model", TEACHER, "--model", untrained,
                 "--out", tmp_path / "lines", "--max-tokens", 32, "--resamples", 60,
                 "--json", tmp_path / "found.json"]  # fmt: skip
    app = typer.Typer()
    evaluate_texts.register(app)
    told = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    found = json.loads((tmp_path / "found.json").read_text())
    (taught, *_), (blank, *_) = found["scores"][str(TEACHER)], found["scores"][str(untrained)]
    assert taught["chrf"]["value"]["value"] > 60 > 20 > blank["chrf"]["value"]["value"]
    assert found["differences"][0]["chrf_p"] < 0.05
    lines = {path.name: path.read_text(encoding="utf-8").splitlines() for path in (tmp_path / "lines").iterdir()}
    assert sorted(lines) == [f"{TEACHER.name}-1.txt", f"{TEACHER.name}-2.txt"]
    assert sum(line == pair.ar for line, pair in zip(lines[f"{TEACHER.name}-1.txt"], pairs, strict=True)) >= 4
    three = CliRunner().invoke(app, [*map(str, arguments), "--model", str(TEACHER)])
    assert three.exit_code == 1
    assert "one or two systems" in three.output


def test_tables_hold_every_system_under_every_profile() -> None:
    table, *_ = translation_tables(measure_translations({"a": PLAIN, "b": VOWELLED}, PLAIN, resamples=20))
    assert [row[0] for row in table.rows] == [f"{name}, {one}" for name in "ab" for one in PROFILES]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.jsonl", '{"ar": "a"}\n{', "x.jsonl:2 is no JSON object"),
        ("x.tsv", "en\tar\na\n", "x.tsv:2 has no column 'ar'"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    app = typer.Typer()
    evaluate_texts.register(app)
    done = CliRunner().invoke(app, ["translation", str(tmp_path / name), "--hypotheses", str(tmp_path / name)])
    assert done.exit_code == 1
    assert said in done.output
