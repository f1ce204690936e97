"""KFP component of `pipelines/stages/merge.py`."""

from kfp.dsl import HTML, Input, Metrics, Model, Output

from pipelines.step import step


@step
def slerp_merge(
    stage: str,
    base: Input[Model],
    tuned: Input[Model],
    model: Output[Model],
    metrics: Output[Metrics],
    page: Output[HTML],
) -> None:
    """The policy that RL starts from."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.merge import merge

    log_metrics(metrics, merge(stage, base.path, tuned.path, model.path, page.path))
