"""KFP component of `pipelines/stages/rl.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def grpo(
    stage: str,
    policy: Input[Model],
    questions: Input[Dataset],
    model: Output[Model],
    metrics: Output[Metrics],
    curve: Output[HTML],
) -> None:
    """One RL stage."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.rl import train

    log_metrics(metrics, asyncio.run(train(stage, policy.path, questions.path, model.path, curve.path)))
