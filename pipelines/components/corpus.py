"""KFP component of `pipelines/stages/corpus.py`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def translate_corpus(
    stage: str,
    encyclopedia: str,
    trajectories: Input[Dataset],
    instructions: Input[Dataset],
    base: Input[Model],
    translator: Input[Model],
    translated: Output[Dataset],
    metrics: Output[Metrics],
) -> None:
    """The Arabic corpus that SFT learns from."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.corpus import translate

    work = translate(
        stage, encyclopedia, trajectories.path, instructions.path, base.path, translator.path, translated.path
    )
    log_metrics(metrics, asyncio.run(work))
