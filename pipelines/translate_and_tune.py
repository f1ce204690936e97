"""HALA on real data as one Kubeflow pipeline: translator, translated instructions, SFT, SLERP, evaluation, report.

The data set that enters is a folder of files (``data_uri``); everything else is made from it. Steps, budgets and the
digests in their ``*_stage`` parameters work as in :mod:`pipelines.mission`.
"""

from kfp import dsl

from pipelines.components.instruction_corpus import instruction_corpus
from pipelines.components.merge import slerp_merge
from pipelines.components.parallel_text import parallel_text
from pipelines.components.sft import tune
from pipelines.components.small_base import small_base
from pipelines.components.text_translator import text_translator
from pipelines.components.tune_report import tune_report
from pipelines.components.tuned_models import evaluate_tuned
from pipelines.step import CPU, GPU, TRAIN, place


@dsl.pipeline(name="sindbad-translate-and-tune", description="HALA: translate instruction data, tune, merge")
def translate_and_tune(
    data_uri: str,
    parallel_stage: str,
    translator_stage: str,
    corpus_stage: str,
    base_stage: str,
    sft_stage: str,
    merge_stage: str,
    evaluate_stage: str,
    report_stage: str,
) -> None:
    """The stages as JSON; ``data_uri`` is the folder that the recipe's paths start from, a path as in the mission."""
    pairs = place(parallel_text(stage=parallel_stage, data=data_uri), CPU)
    translator = place(text_translator(stage=translator_stage, pairs=pairs.outputs["text"]), GPU)
    corpus = place(instruction_corpus(stage=corpus_stage, data=data_uri, translator=translator.outputs["model"]), GPU)
    base = place(small_base(stage=base_stage, pairs=pairs.outputs["text"], corpus=corpus.outputs["translated"]), TRAIN)
    tuned = place(tune(stage=sft_stage, base=base.outputs["model"], arabic=corpus.outputs["translated"]), TRAIN)
    merged = place(slerp_merge(stage=merge_stage, base=base.outputs["model"], tuned=tuned.outputs["model"]), CPU)
    outcome = place(
        evaluate_tuned(
            stage=evaluate_stage,
            data=data_uri,
            corpus=corpus.outputs["translated"],
            base=base.outputs["model"],
            tuned=tuned.outputs["model"],
            merged=merged.outputs["model"],
        ),
        GPU,
    )
    place(
        tune_report(
            stage=report_stage,
            pairs=pairs.outputs["text"],
            translation=translator.outputs["scores"],
            corpus=corpus.outputs["translated"],
            evaluation=outcome.outputs["figures"],
        ),
        CPU,
    )
