"""KFP component of `pipelines/stages/light_translator.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def light_translator(
    stage: str,
    encyclopedia: str,
    pairs: Input[Dataset],
    model: Output[Model],
    scores: Output[Dataset],
    metrics: Output[Metrics],
    curve: Output[HTML],
) -> None:
    """The model that translates the corpus."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.light_translator import train_and_score

    work = train_and_score(stage, encyclopedia, pairs.path, model.path, scores.path, curve.path)
    log_metrics(metrics, asyncio.run(work))
