"""KFP component of `pipelines/stages/sft.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def tune(
    stage: str,
    base: Input[Model],
    arabic: Input[Dataset],
    model: Output[Model],
    metrics: Output[Metrics],
    curve: Output[HTML],
) -> None:
    """The base, tuned on Arabic."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.sft import finetune

    log_metrics(metrics, finetune(stage, base.path, arabic.path, model.path, curve.path))
