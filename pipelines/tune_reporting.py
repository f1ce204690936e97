"""The page and the summary of a run of translate-and-tune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.stage import wall_seconds
from sindbad.evaluation.report import Curve, Fact, Report, Sample, Table
from sindbad.training.metrics import read_metrics

MODELS = {"base": "base (untranslated rows)", "tuned": "tuned (translated)", "merged": "merged"}
PROFILES = ("raw", "light", "eval")
SYSTEM = "translator"


def tune_summary(run: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """``tune.json``: translation by test set, rows by reason, losses by model, accuracies, wall time by stage."""
    sets, corpus = found["translation"]["sets"], found["corpus"]
    evaluation = found["evaluation"]
    return {
        "translation": {
            name: {row["profile"]: {"chrf": row["chrf"]["value"], "bleu": row["bleu"]["value"]}
                   for row in one["scores"][SYSTEM]}
            for name, one in sets.items()
        },
        "pairs": found["pairs"]["pairs"],
        "corpus": {name: corpus[name] for name in ("records", "kept", "dropped", "obligations")},
        "losses": {
            model: {kind: value[0] for kind, value in losses.items()} for model, losses in evaluation["losses"].items()
        },
        "choice": {
            model: {kind: {one["style"]: one["raw"]["value"] for one in styles} for kind, styles in sets_.items()}
            for model, sets_ in evaluation["choice"].items()
        },
        "contamination": {kind: one["rate"] for kind, one in evaluation.get("contamination", {}).items()},
        "sweep": evaluation["sweep"],
        "wall_seconds": wall_seconds(run),
    }  # fmt: skip


def tune_page(run: Path, found: Mapping[str, Any]) -> Report:
    """The page's data."""
    corpus = found["corpus"]
    source, target = corpus["languages"]
    return Report(
        f"Translate and tune · {run.name}",
        "A light translator trained on parallel text, instruction rows translated by it and filtered, a small model "
        "tuned on what was kept and merged with its base.",
        facts=_facts(found),
        tables=[
            _translation(found), _waterfall(found), _losses(found), *_choice(found), _contamination(found),
            _licences(found), _time(run),
        ],
        curves=_curves(run, found),
        curves_note="One run, one seed.",
        samples=[*_translations(found, source, target), *_rows(corpus, source, target), *_answers(found, target)],
        limits=_limits(found),
        languages={source: source, target: target},
    )  # fmt: skip


def _facts(found: Mapping[str, Any]) -> list[Fact]:
    facts = []
    for name, one in found["translation"]["sets"].items():
        value = one["scores"][SYSTEM][0]["chrf"]["value"]
        note = f"95 % {value['low']:.1f} to {value['high']:.1f}; {one['sentences']} sentences"
        facts.append(Fact(f"{value['value']:.1f}", f"chrF++, {name}", note))
    corpus = found["corpus"]
    share = corpus["kept"] / max(1, corpus["records"])
    facts.append(Fact(f"{share:.0%}", "of the instruction rows kept", f"{corpus['kept']:,} of {corpus['records']:,}"))
    return facts


def _translation(found: Mapping[str, Any]) -> Table:
    rows = []
    for name, one in found["translation"]["sets"].items():
        for system, scores in one["scores"].items():
            cells = [_told(row["chrf"]["value"]) for row in scores]
            rows.append([f"{name}, {system}", *cells, _told(scores[0]["bleu"]["value"]), str(one["sentences"])])
    first = next(iter(found["translation"]["sets"].values()))["scores"][SYSTEM]
    note = (
        "chrF++ by profile of Arabic spelling, BLEU of the raw text; 95 % bootstrap over sentences. "
        f"{first[0]['chrf']['signature']} · {first[0]['bleu']['signature']}"
    )
    header = ["test set, system", *(f"chrF++, {profile}" for profile in PROFILES), "BLEU", "sentences"]
    return Table("Translation of text that was not trained on", note, header, rows)


def _waterfall(found: Mapping[str, Any]) -> Table:
    fall = found["waterfall"]
    rows = [["rows", "", "", f"{fall['rows']:,}"]]
    rows += [[one["name"], f"{one['rows']:,}", f"{one['alone']:,}", f"{one['left']:,}"] for one in fall["steps"]]
    note = (
        f"Each row counts once, under the first reason; {fall['paid']['generations']:,} generations, "
        f"{fall['paid']['output_tokens']:,} tokens written, {fall['repaired']:,} rows with repaired spans. "
        "Examples and threshold curves: waterfall/waterfall.html beside this page."
    )
    return Table("Waterfall of the instruction rows", note, ["step", "took", "refuses alone", "left"], rows)


def _losses(found: Mapping[str, Any]) -> Table:
    losses = found["evaluation"]["losses"]
    kinds = list(losses["base"])
    rows = [[MODELS[name], *(f"{losses[name][kind][0]:.3f}" for kind in kinds)] for name in MODELS]
    note = "nats a token of the completion, less is better; the same held-out text for all three"
    return Table("Loss before and after", note, ["model", *kinds], rows)


def _choice(found: Mapping[str, Any]) -> list[Table]:
    rows = []
    for kind in next(iter(found["evaluation"]["choice"].values())):
        for name in MODELS:
            for one in found["evaluation"]["choice"][name][kind]:
                chosen = " ".join(f"{letter} {count}" for letter, count in sorted(one["answers"].items()))
                rows.append([
                    f"{kind}, {one['style']}, {name}", _told(one["raw"], 100), _told(one["normalised"], 100),
                    f"{100 * one['chance']:.1f}", str(one["items"]), chosen,
                ])  # fmt: skip
    if not rows:
        return []
    note = "per cent right by log-likelihood, zero-shot; 95 % Wilson. Look at chance, and at what was chosen, first."
    return [
        Table("Multiple choice", note, ["set, style, model", "raw", "normalised", "chance", "items", "chosen"], rows)
    ]


def _contamination(found: Mapping[str, Any]) -> Table:
    rows = [
        [kind, str(one["items"]), str(len(one["hits"])), f"{one['rate']:.2%}"]
        for kind, one in found["evaluation"].get("contamination", {}).items()
    ]
    note = "items of which at least half of the runs of 8 words stand in one translated training row"
    return Table("Contamination", note, ["set", "items", "found", "share"], rows)


def _licences(found: Mapping[str, Any]) -> Table:
    rows = [[sentence] for sentence in found["corpus"]["obligations"]]
    return Table("Licences that the translated rows inherit", "of sources and translator", ["obligation"], rows)


def _time(run: Path) -> Table:
    rows = [[name, f"{seconds:,.0f}"] for name, seconds in wall_seconds(run).items()]
    return Table("Wall time", "seconds, over all attempts", ["stage", "seconds"], rows)


Series = tuple[str, Sequence[float], Sequence[float], Sequence[float], Sequence[float]]


def _curves(run: Path, found: Mapping[str, Any]) -> list[Curve]:
    curves = []
    for stage, title in (("base", "Base"), ("sft", "Tuning")):
        path = run / "metrics" / f"{stage}.jsonl"
        rows = read_metrics(path) if path.is_file() else []
        series: list[Series] = []
        for name, label in (("loss", "training"), ("validation_loss", "held out")):
            points = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
            if points:
                x, y = zip(*points, strict=True)
                series.append((label, x, y, (), ()))
        if series:
            curves.append(Curve(title, "nats a token of the completion", y_label="loss", series=series))
    if sweep := found["evaluation"]["sweep"]:
        ts = [row["t"] for row in sweep]
        series = [(kind, ts, [row[kind] for row in sweep], (), ()) for kind in sweep[0] if kind != "t"]
        note = "0 is the base, 1 the tuned model; the merged model of this run stands at the recipe's t."
        curves.append(Curve("Merge at every t", note, x_label="t", y_label="loss", series=series))
    return curves


def _translations(found: Mapping[str, Any], source: str, target: str) -> list[Sample]:
    return [
        Sample(
            f"Translations: {name}", "source, the translator's, the reference", (source, target, target),
            ("source", "translator", "reference"), [[text or "(rejected)" for text in row] for row in one["samples"]],
        )
        for name, one in found["translation"]["sets"].items()
    ]  # fmt: skip


def _rows(corpus: Mapping[str, Any], source: str, target: str) -> list[Sample]:
    rows = [
        [f"{asked}\n\n{said}", f"{new_asked}\n\n{new_said}"] for asked, said, new_asked, new_said in corpus["samples"]
    ]
    note = "rows that every filter kept, short ones; no person has read them"
    return [Sample("Instruction rows side by side", note, (source, target), ("source", "translated"), rows)]


def _answers(found: Mapping[str, Any], target: str) -> list[Sample]:
    rows = [[row["prompt"], *(row[name] for name in MODELS)] for row in found["evaluation"]["answers"]]
    languages = (target,) * (1 + len(MODELS))
    return [Sample("Answers to held-out prompts", "greedy, 64 tokens", languages, ("prompt", *MODELS.values()), rows)]


def _limits(found: Mapping[str, Any]) -> list[str]:
    return [
        "A translator of a few million parameters from random weights on tens of thousands of pairs: it shows the "
        "whole recipe on real data, not the quality of HALA's 1.2B translator, which started from LFM2.",
        "The base is small too, unless the recipe names a folder: its multiple-choice accuracies are guesses.",
        "The filters see form, not meaning: fluent nonsense passes them. Read the rows above before you trust the "
        "share that was kept; a judge or a round trip (stages.corpus.settings.examiners) needs a model.",
        "The held-out translated rows are the translator's own words: a lower loss there is imitation of the "
        "translator. The native text is the honest column.",
        "One seed; no interval covers training.",
    ]


def _told(value: Mapping[str, float], scale: float = 1.0) -> str:
    return f"{scale * value['value']:.1f} [{scale * value['low']:.1f}, {scale * value['high']:.1f}]"
