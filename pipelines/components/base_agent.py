"""KFP component of `pipelines/stages/base_agent.py`."""

from kfp.dsl import Metrics, Model, Output

from pipelines.step import step


@step
def base_agent(stage: str, model: Output[Model], metrics: Output[Metrics]) -> None:
    """The model that everything after starts from; SLERP merges back into it."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.base_agent import make_base

    log_metrics(metrics, make_base(stage, model.path))
