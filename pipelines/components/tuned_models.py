"""KFP component of `pipelines/stages/tuned_models.py`."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from pipelines.step import step


@step
def evaluate_tuned(
    stage: str,
    data: str,
    corpus: Input[Dataset],
    base: Input[Model],
    tuned: Input[Model],
    merged: Input[Model],
    figures: Output[Dataset],
    metrics: Output[Metrics],
) -> None:
    """Base, tuned and merged model on the same held-out text, and a sweep over t."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.tuned_models import evaluate

    models = {"base": base.path, "tuned": tuned.path, "merged": merged.path}
    log_metrics(metrics, evaluate(stage, data, corpus.path, models, figures.path))
