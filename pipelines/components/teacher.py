"""KFP component of `pipelines/stages/teacher.py`."""

from kfp.dsl import Metrics, Model, Output

from pipelines.step import step


@step
def teacher_translator(stage: str, model: Output[Model], metrics: Output[Metrics]) -> None:
    """The bilingual teacher (HALA step 1 starts from it)."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.teacher import make_teacher

    log_metrics(metrics, make_teacher(stage, model.path))
