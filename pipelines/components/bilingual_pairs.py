"""KFP component of `pipelines/stages/bilingual_pairs.py`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def bilingual_pairs(
    stage: str,
    encyclopedia: str,
    teacher: Input[Model],
    kept: Output[Dataset],
    rejected: Output[Dataset],
    metrics: Output[Metrics],
) -> None:
    """Supervision for the light translator."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.bilingual_pairs import make_pairs

    values = asyncio.run(make_pairs(stage, encyclopedia, teacher.path, kept.path, rejected.path))
    log_metrics(metrics, values)
