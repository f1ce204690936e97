"""KFP component of `pipelines/stages/curate.py`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def curate(
    stage: str, questions: Input[Dataset], policy: Input[Model], active: Output[Dataset], metrics: Output[Metrics]
) -> None:
    """Profile the pool with these weights."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.curate import profile

    log_metrics(metrics, asyncio.run(profile(stage, questions.path, policy.path, active.path)))
