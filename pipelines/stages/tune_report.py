"""What a run of translate-and-tune says: one page for people, `tune.json` for machines, from the same figures."""

from __future__ import annotations

from pipelines.stage import NoSettings

SETTINGS = NoSettings


def write(
    stage_json: str, pairs_path: str, scores_path: str, corpus_path: str, figures_path: str, page_path: str
) -> dict[str, float]:
    """Write both files below the run, and the page as an artifact; returns the chrF++ by test set."""
    import json
    import shutil
    from pathlib import Path

    from pipelines.stage import running
    from pipelines.tune_reporting import tune_page, tune_summary
    from sindbad import atomic
    from sindbad.evaluation.report import write_report

    with running(stage_json, pairs_path, scores_path, corpus_path, figures_path) as stage:
        found = {
            "pairs": json.loads((Path(pairs_path) / "about.json").read_text("utf-8")),
            "translation": json.loads(Path(scores_path).read_text("utf-8")),
            "corpus": json.loads((Path(corpus_path) / "about.json").read_text("utf-8")),
            "waterfall": json.loads((Path(corpus_path) / "waterfall" / "waterfall.json").read_text("utf-8")),
            "evaluation": json.loads(Path(figures_path).read_text("utf-8")),
        }
        summary = tune_summary(stage.run, found)
        atomic.write_json(stage.run / "tune.json", summary)
        write_report(tune_page(stage.run, found), stage.run / "report.html")
        Path(page_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stage.run / "report.html", page_path)
        stage.say(f"{stage.run / 'report.html'}")
        return {f"chrf_{name}": one["raw"]["chrf"]["value"] for name, one in summary["translation"].items()}
