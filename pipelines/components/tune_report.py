"""KFP component of `pipelines/stages/tune_report.py`."""

from kfp.dsl import HTML, Dataset, Input, Metrics, Output

from pipelines.step import step


@step
def tune_report(
    stage: str,
    pairs: Input[Dataset],
    translation: Input[Dataset],
    corpus: Input[Dataset],
    evaluation: Input[Dataset],
    page: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """The end of a run."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.tune_report import write

    log_metrics(metrics, write(stage, pairs.path, translation.path, corpus.path, evaluation.path, page.path))
