"""KFP component of `pipelines/stages/index.py`."""

from kfp.dsl import Metrics, Output

from pipelines.step import step


@step
def index_encyclopedia(stage: str, encyclopedia: str, metrics: Output[Metrics]) -> None:
    """Pages, facts and the search index, on the volume that the search service reads."""
    from pipelines.artifacts import log_metrics
    from pipelines.stages.index import write_index

    log_metrics(metrics, write_index(stage, encyclopedia))
