"""KFP component of `pipelines/stages/questions.py`."""

from kfp.dsl import Dataset, Metrics, Output

from pipelines.step import step


@step
def synthesise_questions(
    stage: str, encyclopedia: str, train: Output[Dataset], test: Output[Dataset], metrics: Output[Metrics]
) -> None:
    """Questions that are verified against the whole graph, train and test disjoint by world."""
    import asyncio

    from pipelines.artifacts import log_metrics
    from pipelines.stages.questions import synthesise_all

    log_metrics(metrics, asyncio.run(synthesise_all(stage, encyclopedia, train.path, test.path)))
