"""KFP component of `pipelines/stages/instruction_corpus.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def instruction_corpus(
    stage: str,
    data: str,
    translator: Input[Model],
    translated: Output[Dataset],
    metrics: Output[Metrics],
    page: Output[HTML],
) -> None:
    """Instruction rows through the translator and the filters."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.instruction_corpus import translate

    log_metrics(metrics, asyncio.run(translate(stage, data, translator.path, translated.path, page.path)))
