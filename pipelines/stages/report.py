"""`summary.json` and `report.html`: before and after, ReAct beside ReSum, curves, trajectories to read."""

from __future__ import annotations

from pipelines.stage import NoSettings

SETTINGS = NoSettings


async def write(stage_json: str, scores_path: str, outcomes: dict[str, str], page_path: str) -> dict[str, float]:
    """Write both files below the run and the page as an artifact."""
    import json
    import shutil
    from pathlib import Path

    from pipelines.judges import judge_agreement
    from pipelines.outcomes import read_outcomes
    from pipelines.reporting import mission_report, mission_summary
    from pipelines.stage import running
    from sindbad import atomic
    from sindbad.evaluation.report import write_report

    with running(stage_json, scores_path, *outcomes.values()) as stage:
        found = {name: read_outcomes(Path(path)) for name, path in outcomes.items()}
        scores = json.loads(Path(scores_path).read_text("utf-8"))
        summary = mission_summary(stage.run, found, scores)
        summary.write(stage.run / "summary.json")
        attempts = found["rl_live"].trajectories()
        agreement = await judge_agreement(stage, attempts)
        solved = {item.language: item.question for item in attempts if item.reward and item.tool_calls > 1}
        atomic.write_json(stage.run / "examples.json", solved)
        write_report(mission_report(stage.run, found, summary, scores, agreement), stage.run / "report.html")
        Path(page_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stage.run / "report.html", page_path)
        stage.say(f"{stage.run / 'report.html'}")
        rates = {f"success_{name}": value.success for name, value in summary.stages.items()}
        return {**rates, **{f"judge_{name}": float(value) for name, value in agreement.to_record().items()}}
