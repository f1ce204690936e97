"""KFP component of `pipelines/stages/compress.py`."""

from kfp.dsl import Input, Metrics, Model, Output

from pipelines.step import step


@step
def compress_teacher(stage: str, teacher: Input[Model], compressed: Output[Model], metrics: Output[Metrics]) -> None:
    """FP8_DYNAMIC weights of the teacher; what the translator service then serves."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.compress import compress

    log_metrics(metrics, compress(stage, teacher.path, compressed.path))
