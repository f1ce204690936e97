"""KFP component of `pipelines/stages/text_translator.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def text_translator(
    stage: str,
    pairs: Input[Dataset],
    model: Output[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
    page: Output[HTML],
) -> None:
    """The light translator, and what it reaches on text that it never saw."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.text_translator import train_and_score

    log_metrics(metrics, asyncio.run(train_and_score(stage, pairs.path, model.path, scores.path, page.path)))
