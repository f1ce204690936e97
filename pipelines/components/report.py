"""KFP component of `pipelines/stages/report.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Output

from pipelines.step import step


@step
def report(
    stage: str,
    translation: Input[Dataset],
    base: Input[Dataset],
    sft: Input[Dataset],
    merged: Input[Dataset],
    rl_sim: Input[Dataset],
    rl_live: Input[Dataset],
    react: Input[Dataset],
    page: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """The end of a run."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.report import write

    outcomes = {
        "base": base.path, "sft": sft.path, "merged": merged.path,
        "rl_sim": rl_sim.path, "rl_live": rl_live.path, "react": react.path,
    }  # fmt: skip
    log_metrics(metrics, asyncio.run(write(stage, translation.path, outcomes, page.path)))
