"""The mission as ONE Kubeflow pipeline: translate-and-tune, cold start, merge, RL in the simulator, then live.

Every step takes the models and data that another step made as artifacts and loads them itself, so lineage is complete
and any step can run on any node; the worlds are a folder of the run. A step's ``*_stage`` parameter is a
:class:`pipelines.stage.Stage` as JSON: its settings and the digest of the code behind it, both part of KFP's cache key.
"""

from kfp import dsl

from pipelines.components.base_agent import base_agent
from pipelines.components.bilingual_pairs import bilingual_pairs
from pipelines.components.cold_start import cold_start
from pipelines.components.compress import compress_teacher
from pipelines.components.corpus import translate_corpus
from pipelines.components.curate import curate
from pipelines.components.evaluate import evaluate
from pipelines.components.index import index_encyclopedia
from pipelines.components.light_translator import light_translator
from pipelines.components.merge import slerp_merge
from pipelines.components.questions import synthesise_questions
from pipelines.components.report import report
from pipelines.components.rl import grpo
from pipelines.components.sft import tune
from pipelines.components.teacher import teacher_translator
from pipelines.step import CPU, GPU, TRAIN, place

STAGES = (
    "index", "teacher", "compress", "pairs", "translator", "questions", "base", "cold_start", "corpus", "sft", "merge",
    "curate", "rl_sim", "refresh", "rl_live",
    "evaluate_base", "evaluate_sft", "evaluate_merged", "evaluate_rl_sim", "evaluate_rl_live", "evaluate_react",
    "report",
)  # fmt: skip
"""In the order in which they run; each is a parameter ``<name>_stage``."""


@dsl.pipeline(name="sindbad-mission", description="HALA, WebSailor-V2 and ReSum, joined, end to end")
def mission(
    encyclopedia_uri: str,
    index_stage: str,
    teacher_stage: str,
    compress_stage: str,
    pairs_stage: str,
    translator_stage: str,
    questions_stage: str,
    base_stage: str,
    cold_start_stage: str,
    corpus_stage: str,
    sft_stage: str,
    merge_stage: str,
    curate_stage: str,
    rl_sim_stage: str,
    refresh_stage: str,
    rl_live_stage: str,
    evaluate_base_stage: str,
    evaluate_sft_stage: str,
    evaluate_merged_stage: str,
    evaluate_rl_sim_stage: str,
    evaluate_rl_live_stage: str,
    evaluate_react_stage: str,
    report_stage: str,
) -> None:
    """The stages as JSON; ``encyclopedia_uri`` is the folder of worlds.

    ``sindbad demo`` has written it and the index before the pipeline starts; in a cluster the first step writes both.
    It is a path, and no imported artifact: Kubeflow imports from object stores only, and a path fails there.
    """
    # Who reads the worlds or asks the search service comes after this step; the others depend on one that does.
    index = place(index_encyclopedia(stage=index_stage, encyclopedia=encyclopedia_uri), CPU, index=True)

    # HALA: teacher -> compressed weights -> judged pairs -> light translator.
    teacher = place(teacher_translator(stage=teacher_stage), GPU)
    compressed = place(compress_teacher(stage=compress_stage, teacher=teacher.outputs["model"]), GPU)
    pairs = place(
        bilingual_pairs(stage=pairs_stage, encyclopedia=encyclopedia_uri, teacher=compressed.outputs["compressed"]), CPU
    )
    pairs.after(index)
    translator = place(
        light_translator(stage=translator_stage, encyclopedia=encyclopedia_uri, pairs=pairs.outputs["kept"]), GPU
    )

    # WebSailor-V2: graph -> subgraphs -> verified questions -> oracle rollouts by rejection sampling.
    asked = place(synthesise_questions(stage=questions_stage, encyclopedia=encyclopedia_uri), CPU).after(index)
    base = place(base_agent(stage=base_stage), TRAIN)
    rollouts = place(
        cold_start(
            stage=cold_start_stage,
            questions=asked.outputs["train"],
            tests=asked.outputs["test"],
            base=base.outputs["model"],
        ),
        CPU,
    )

    # HALA again: the corpus translated through the translator service, SFT, SLERP with the base.
    corpus = place(
        translate_corpus(
            stage=corpus_stage,
            encyclopedia=encyclopedia_uri,
            trajectories=rollouts.outputs["trajectories"],
            instructions=rollouts.outputs["instructions"],
            base=base.outputs["model"],
            translator=translator.outputs["model"],
        ),
        CPU,
    )
    tuned = place(tune(stage=sft_stage, base=base.outputs["model"], arabic=corpus.outputs["translated"]), TRAIN)
    merged = place(slerp_merge(stage=merge_stage, base=base.outputs["model"], tuned=tuned.outputs["model"]), CPU)

    # WebSailor-V2 and ReSum: GRPO on segments in the simulator, a refreshed active set, then the live web.
    active = place(
        curate(stage=curate_stage, questions=asked.outputs["train"], policy=merged.outputs["model"]), CPU
    ).set_display_name("curate")
    rl_sim = place(
        grpo(stage=rl_sim_stage, policy=merged.outputs["model"], questions=active.outputs["active"]), TRAIN
    ).set_display_name("rl-sim")
    refreshed = place(
        curate(stage=refresh_stage, questions=asked.outputs["train"], policy=rl_sim.outputs["model"]), CPU
    ).set_display_name("curator-refresh")
    rl_live = place(
        grpo(stage=rl_live_stage, policy=rl_sim.outputs["model"], questions=refreshed.outputs["active"]), TRAIN
    ).set_display_name("rl-live")

    outcomes = {}
    for name, stage, model in (
        ("base", evaluate_base_stage, base.outputs["model"]),
        ("sft", evaluate_sft_stage, tuned.outputs["model"]),
        ("merged", evaluate_merged_stage, merged.outputs["model"]),
        ("rl_sim", evaluate_rl_sim_stage, rl_sim.outputs["model"]),
        ("rl_live", evaluate_rl_live_stage, rl_live.outputs["model"]),
        ("react", evaluate_react_stage, rl_live.outputs["model"]),
    ):
        task = place(evaluate(stage=stage, questions=asked.outputs["test"], policy=model), CPU)
        outcomes[name] = task.set_display_name(f"evaluate-{name.replace('_', '-')}").outputs["outcomes"]

    place(
        report(
            stage=report_stage,
            translation=translator.outputs["scores"],
            base=outcomes["base"],
            sft=outcomes["sft"],
            merged=outcomes["merged"],
            rl_sim=outcomes["rl_sim"],
            rl_live=outcomes["rl_live"],
            react=outcomes["react"],
        ),
        CPU,
    )
