"""KFP component of `pipelines/stages/parallel_text.py`."""

from kfp.dsl import Dataset, Metrics, Output

from pipelines.step import step


@step
def parallel_text(stage: str, data: str, text: Output[Dataset], metrics: Output[Metrics]) -> None:
    """Sentence pairs for the translator, and its test sets."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.parallel_text import write

    log_metrics(metrics, write(stage, data, text.path))
