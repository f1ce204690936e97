"""KFP component of `pipelines/stages/evaluate.py`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def evaluate(
    stage: str, questions: Input[Dataset], policy: Input[Model], outcomes: Output[Dataset], metrics: Output[Metrics]
) -> None:
    """Pass@1 with one model."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.evaluate import measure

    log_metrics(metrics, asyncio.run(measure(stage, questions.path, policy.path, outcomes.path)))
