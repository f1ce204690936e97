"""KFP component of `pipelines/stages/small_base.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def small_base(
    stage: str,
    pairs: Input[Dataset],
    corpus: Input[Dataset],
    model: Output[Model],
    metrics: Output[Metrics],
    page: Output[HTML],
) -> None:
    """The model that is tuned: one that is there, or a small English one made here."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.small_base import provide

    log_metrics(metrics, provide(stage, pairs.path, corpus.path, model.path, page.path))
